/*
 * Time: the TSC, the local APIC's timer, and the clock on the wall. The rates of
 * the first two are measured against the first channel of the 8254 (1193182 Hz),
 * whose interrupt nobody listens to.
 */
#include "machine.h"

#define PIT_HZ 1193182ul
#define PIT_CHANNEL0 0x40
#define PIT_COMMAND 0x43
#define PIT_LOAD 0x30      /* channel 0, two bytes, mode 0: counts down once */
#define PIT_READ_BACK 0xc2 /* the next three reads: status and count of now */
#define PIT_OUT 0x80       /* of the status: the count has reached 0 */
#define MEASURE_TICKS 23864 /* 20 ms */
#define NS 1000000000ul
#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71

u64 clock_tick_ns;
static u64 apic_hz;
static u64 deadlines[MAX_CPUS]; /* what each CPU's timer is set for; its own CPU's only */

static u64 rdtsc(void)
{
    u32 low, high;

    __asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high)::"memory");
    return (u64)high << 32 | low;
}

struct sample {
    u64 tsc, took;
    u32 apic;
    u16 pit;
    bool ended;
};

static struct sample sample_once(void)
{
    struct sample s = {.tsc = rdtsc()};
    u8 low;

    outb(PIT_COMMAND, PIT_READ_BACK);
    s.apic = apic_timer_left();
    s.took = rdtsc() - s.tsc;
    s.ended = inb(PIT_CHANNEL0) & PIT_OUT;
    low = inb(PIT_CHANNEL0);
    s.pit = (u16)(low | inb(PIT_CHANNEL0) << 8);
    return s;
}

/* The tightest of several: between the reads anything may happen, as under an emulator on a busy machine. */
static struct sample sample(void)
{
    struct sample best = sample_once();

    for (unsigned i = 0; i < 20; i++) {
        struct sample s = sample_once();
        if (s.took < best.took)
            best = s;
    }
    return best;
}

/* False: the counter ran out before the second sample (the CPU was away for longer), or there is none. */
static bool measure(struct sample *a, struct sample *b)
{
    outb(PIT_COMMAND, PIT_LOAD);
    outb(PIT_CHANNEL0, 0xff);
    outb(PIT_CHANNEL0, 0xff);
    apic_timer_start(UINT32_MAX);
    *a = sample();
    for (unsigned i = 0; i < 10000000 && (u16)(a->pit - sample_once().pit) < MEASURE_TICKS; i++)
        ;
    *b = sample();
    apic_timer_start(0);
    return !b->ended && (u16)(a->pit - b->pit) >= MEASURE_TICKS && b->tsc > a->tsc && a->apic > b->apic;
}

void clock_init(void)
{
    struct sample a, b;
    unsigned tries = 0;
    u64 ticks, ns;

    while (!measure(&a, &b))
        if (++tries == 20)
            boot_fail("time cannot be measured: no 8254");
    ticks = (u16)(a.pit - b.pit);
    ns = ticks * NS / PIT_HZ; /* less than 2^26 */
    clock_tick_ns = (ns << 32) / (b.tsc - a.tsc);
    apic_hz = (a.apic - b.apic) * PIT_HZ / ticks;
}

/* ---- the timer ---- */

/* In good time: its longest is some seconds, and when it comes too early, it is set again. */
static void set(u64 deadline, u64 now)
{
    u64 wait = deadline > now ? MIN(deadline - now, NS) : 0;

    apic_timer_start((u32)MIN(MAX(wait * apic_hz / NS, 1ul), (u64)UINT32_MAX));
}

/* Of the interrupt, it may still be on its way. */
void arch_timer_set(u64 deadline_ns)
{
    bool on = arch_irq_save();

    deadlines[arch_this_cpu()->id] = deadline_ns;
    if (deadline_ns == UINT64_MAX)
        apic_timer_start(0);
    else
        set(deadline_ns, arch_time_ns());
    arch_irq_restore(on);
}

bool clock_timer_due(void)
{
    u64 *deadline = &deadlines[arch_this_cpu()->id], now = arch_time_ns();

    if (*deadline == UINT64_MAX)
        return false;
    if (now < *deadline) {
        set(*deadline, now);
        return false;
    }
    *deadline = UINT64_MAX;
    return true;
}

/* ---- the clock on the wall: MC146818 ---- */

struct wall {
    u8 second, minute, hour, day, month, year;
};

static u8 cmos(u8 index)
{
    outb(CMOS_INDEX, index);
    return inb(CMOS_DATA);
}

static struct wall wall_read(void)
{
    return (struct wall){cmos(0), cmos(2), cmos(4), cmos(7), cmos(8), cmos(9)};
}

static unsigned decimal(u8 v, bool binary)
{
    return binary ? v : v / 16 * 10u + v % 16u;
}

/* Days since 1970 of a date in this century. */
static u64 days(unsigned year, unsigned month, unsigned day)
{
    static const u16 before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    u64 n = 10957 + year * 365ul + (year + 3) / 4 + before[month - 1] + day - 1;

    return n + (month > 2 && year % 4 == 0);
}

/* Twice the same, with no update under way, is true. */
u64 arch_wallclock_ns(void)
{
    struct wall w = {0}, again;
    unsigned hour, month, tries = 0;
    bool binary;

    do {
        again = w;
        while (cmos(10) & 0x80 && tries < 100000)
            tries++;
        w = wall_read();
    } while (__builtin_memcmp(&w, &again, sizeof w) != 0 && tries++ < 100000);
    binary = cmos(11) & 4;
    hour = decimal(w.hour & 0x7f, binary);
    if (!(cmos(11) & 2)) /* of twelve hours */
        hour = hour % 12 + (w.hour & 0x80 ? 12 : 0);
    month = decimal(w.month, binary);
    if (tries >= 100000 || month < 1 || month > 12)
        return 0;
    return ((days(decimal(w.year, binary), month, decimal(w.day, binary)) * 24 + hour) * 3600 +
            decimal(w.minute, binary) * 60 + decimal(w.second, binary)) * NS;
}
