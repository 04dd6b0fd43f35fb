/*
 * Interrupts: the local APIC of each CPU (SDM volume 3A, chapter 11), through
 * model-specific registers where there is an x2APIC, and the I/O APICs
 * (82093AA data sheet). The old controllers are told to be silent.
 *
 * A line is an index into machine.lines; behind those, from MESSAGE_LINES on,
 * are lines that no wire leads to: devices write their vectors to the local APIC
 * themselves (SDM volume 3A, 11.11). Line n has the vector VECTOR_IRQ + n.
 */
#include "machine.h"

enum lapic_register {
    EOI = 0xb, SPURIOUS = 0xf, ICR = 0x30, ICR_HIGH = 0x31, LVT_TIMER = 0x32, LVT_LINT0 = 0x35, LVT_LINT1 = 0x36,
    LVT_ERROR = 0x37, TIMER_INITIAL = 0x38, TIMER_CURRENT = 0x39, TIMER_DIVIDE = 0x3e
};
#define MSR_APIC_BASE 0x1b
#define BASE_X2APIC (1ul << 10)
#define BASE_ENABLE (1ul << 11)
#define MSR_X2APIC 0x800
#define SPURIOUS_ENABLE 0x100u
#define LVT_MASKED 0x10000u
#define LVT_NMI 0x400u
#define DIVIDE_16 3u
#define ICR_NMI 0x400u
#define ICR_INIT 0x500u
#define ICR_STARTUP 0x600u
#define ICR_ASSERT 0x4000u
#define ICR_PENDING 0x1000u
#define IO_REDIRECTION(n) (0x10 + 2 * (n))
#define IO_LOW_ACTIVE (1u << 13)
#define IO_LEVEL (1u << 15)
#define IO_MASKED (1u << 16)
#define IO_VERSION 1u
#define MESSAGE_LINES 64u
#define MESSAGE_COUNT 96u
#define MESSAGE_ADDRESS 0xfee00000u
_Static_assert(ARRAY_SIZE(machine.lines) <= MESSAGE_LINES, "lines of wires come first");
_Static_assert(VECTOR_IRQ + MESSAGE_LINES + MESSAGE_COUNT <= VECTOR_TIMER, "vectors");

static volatile u32 *lapic, *ioapics[ARRAY_SIZE(machine.ioapics)];
static unsigned messages; /* that have been given out */
static bool prepared;

static u32 apic_read(enum lapic_register r)
{
    return features.x2apic ? (u32)rdmsr(MSR_X2APIC + r) : lapic[r * 4];
}

static void apic_write(enum lapic_register r, u32 v)
{
    if (features.x2apic)
        wrmsr(MSR_X2APIC + r, v);
    else
        lapic[r * 4] = v;
}

/* Interrupts off, so that nobody comes between the halves. A store to x2APIC's register orders nothing before it. */
static void send(u32 apic_id, u32 command)
{
    bool on = arch_irq_save();

    if (features.x2apic) {
        __asm__ volatile("mfence\n\tlfence" ::: "memory");
        wrmsr(MSR_X2APIC + ICR, (u64)apic_id << 32 | command);
    } else {
        while (apic_read(ICR) & ICR_PENDING)
            __asm__ volatile("pause");
        apic_write(ICR_HIGH, apic_id << 24);
        apic_write(ICR, command);
    }
    arch_irq_restore(on);
}

void arch_send_ipi(u64 cpus_mask)
{
    for (; cpus_mask; cpus_mask &= cpus_mask - 1)
        send(cpus[__builtin_ctzl(cpus_mask)].hw_id, ICR_ASSERT | VECTOR_IPI);
}

void apic_send_nmi(u32 apic_id)
{
    send(apic_id, ICR_ASSERT | ICR_NMI);
}

static void wait_us(u64 us)
{
    u64 end = arch_time_ns() + us * 1000;

    while (arch_time_ns() < end)
        arch_cpu_relax();
}

/* SDM volume 3A, section 9.4.4.1. */
void apic_start(u32 apic_id, u64 trampoline_pa)
{
    send(apic_id, ICR_ASSERT | ICR_INIT);
    wait_us(10000);
    for (unsigned i = 0; i < 2; i++) {
        send(apic_id, ICR_ASSERT | ICR_STARTUP | (u32)(trampoline_pa >> PAGE_SHIFT));
        wait_us(200);
    }
}

void apic_eoi(void)
{
    apic_write(EOI, 0);
}

void apic_timer_start(u32 count)
{
    apic_write(TIMER_INITIAL, count);
}

u32 apic_timer_left(void)
{
    return apic_read(TIMER_CURRENT);
}

/* The two 8259s: vectors that are no exceptions, should one speak all the same; and all masked. */
static void silence_pics(void)
{
    static const u8 words[4] = {0x11, VECTOR_IRQ, 4, 1}, second[4] = {0x11, VECTOR_IRQ + 8, 2, 1};

    for (unsigned i = 0; i < 4; i++) {
        outb(i == 0 ? 0x20 : 0x21, words[i]);
        outb(i == 0 ? 0xa0 : 0xa1, second[i]);
    }
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
}

void apic_init_cpu(void)
{
    bool first = !prepared;

    if (first) {
        prepared = true;
        silence_pics();
        if (!features.x2apic)
            lapic = arch_map_device(machine.lapic, PAGE_SIZE);
        for (unsigned i = 0; i < machine.ioapic_count; i++)
            ioapics[i] = arch_map_device(machine.ioapics[i].base, PAGE_SIZE);
    }
    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BASE_ENABLE | (features.x2apic ? BASE_X2APIC : 0));
    apic_write(SPURIOUS, SPURIOUS_ENABLE | VECTOR_SPURIOUS);
    apic_write(LVT_LINT0, LVT_MASKED);
    apic_write(LVT_LINT1, first ? LVT_NMI : LVT_MASKED);
    apic_write(LVT_ERROR, LVT_MASKED);
    apic_write(TIMER_DIVIDE, DIVIDE_16);
    apic_write(LVT_TIMER, VECTOR_TIMER);
}

static u32 ioapic_read(volatile u32 *ioapic, u32 r)
{
    ioapic[0] = r;
    return ioapic[4];
}

static void ioapic_write(volatile u32 *ioapic, u32 r, u32 v)
{
    ioapic[0] = r;
    ioapic[4] = v;
}

/* The I/O APIC that has a line, and the line's pin there; NULL: none. */
static volatile u32 *ioapic_of(unsigned line, u32 *pin)
{
    for (unsigned i = 0; line < machine.line_count && i < machine.ioapic_count; i++) {
        *pin = machine.lines[line].global - machine.ioapics[i].first;
        if (*pin <= (ioapic_read(ioapics[i], IO_VERSION) >> 16 & 0xff))
            return ioapics[i];
    }
    return NULL;
}

/* All go to the boot CPU: the handlers are short and wake threads elsewhere. */
bool arch_irq_unmask(unsigned line)
{
    u32 pin;
    volatile u32 *ioapic = ioapic_of(line, &pin);

    if (!ioapic)
        return line >= MESSAGE_LINES && line < MESSAGE_LINES + messages;
    ioapic_write(ioapic, IO_REDIRECTION(pin) + 1, machine.apic_ids[0] << 24);
    ioapic_write(ioapic, IO_REDIRECTION(pin), (VECTOR_IRQ + line) | (machine.lines[line].low ? IO_LOW_ACTIVE : 0) |
                                                  (machine.lines[line].level ? IO_LEVEL : 0));
    return true;
}

bool arch_irq_mask(unsigned line)
{
    u32 pin;
    volatile u32 *ioapic = ioapic_of(line, &pin);

    if (ioapic)
        ioapic_write(ioapic, IO_REDIRECTION(pin), IO_MASKED);
    return ioapic != NULL;
}

/* Physical destination, fixed delivery, edge (SDM volume 3A, 11.11.1 and 11.11.2). */
bool arch_irq_message(unsigned *line, u64 *address, u32 *data)
{
    if (messages == MESSAGE_COUNT || machine.apic_ids[0] > 0xff)
        return false;
    *line = MESSAGE_LINES + messages++;
    *address = MESSAGE_ADDRESS | machine.apic_ids[0] << 12;
    *data = VECTOR_IRQ + *line;
    return true;
}
