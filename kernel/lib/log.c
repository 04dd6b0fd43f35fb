/*
 * printk: lines into a ring in memory, and to the console; log.h has the format.
 *
 * Lock: log_lock (RANK_LOG, innermost but for the console's). Before there is
 * a console lines are only kept. A CPU that panics stops taking the lock, as
 * the lock's holder may be what broke, or may have been stopped.
 */
#include "lib/log.h"
#include "arch/arch.h"
#include "lib/bootargs.h"
#include "lib/lock.h"
#include "lib/string.h"
#include "proc/sched.h"

#define RING (128 * 1024ul)
#define LINE_MAX 512ul
#define MARK 3 /* "<6>", which the console does not get */
#define TAIL 8192ul
#define PANIC_WAIT_NS 10000000ul

static char ring[RING];
static u64 ring_end; /* position of the next byte; the ring holds the RING bytes before it */
static u64 replayed; /* what the console has been given */
static struct spinlock log_lock = SPINLOCK_INIT("kernel log", RANK_LOG);
static void (*console)(const char *buf, size_t n);
static int console_level = LOG_INFO + 1;
static _Atomic u32 panic_cpu; /* 1 + the number of the CPU that panics; 0: none */
static u64 tail_end;          /* log_panic_tail goes up to here */

static bool panicking_here(void)
{
    return unlikely(panic_cpu) && panic_cpu == arch_this_cpu()->id + 1;
}

/* Says whether the lock was taken, so that the release is right even if a panic begins in between. */
static bool lock(void) NO_THREAD_SAFETY_ANALYSIS
{
    if (panicking_here())
        return false;
    spin_lock(&log_lock);
    return true;
}

static void unlock(bool locked) NO_THREAD_SAFETY_ANALYSIS
{
    if (locked)
        spin_unlock(&log_lock);
}

u64 log_end(void)
{
    return READ_ONCE(ring_end);
}

u64 log_start(void)
{
    u64 end = log_end();

    return end > RING ? end - RING : 0;
}

size_t log_capacity(void)
{
    return RING;
}

int log_level(void)
{
    return READ_ONCE(console_level);
}

void log_set_level(int level)
{
    WRITE_ONCE(console_level, level);
}

void log_init(void)
{
    log_set_level((int)bootarg_u64("loglevel", LOG_INFO + 1, 0, LOG_DEBUG + 1));
}

static void ring_put(const char *s, size_t n)
{
    u64 end = ring_end;

    for (size_t i = 0; i < n; i++)
        ring[end++ % RING] = s[i];
    WRITE_ONCE(ring_end, end);
}

/* "<6>[   12.345678] text\n" */
static size_t format_line(char *line, int level, const char *fmt, va_list ap)
{
    u64 us = arch_time_ns() / 1000;
    size_t start = (size_t)snprintf(line, LINE_MAX, "<%d>[%5lu.%06lu] ", level, us / 1000000, us % 1000000), n;

    n = start + (size_t)vsnprintf(line + start, LINE_MAX - start, fmt, ap);
    n = MIN(n, LINE_MAX - 1); /* what was stored; the newline may take the NUL's place */
    if (n > start && line[n - 1] == '\n')
        n--;
    for (size_t i = start; i < n; i++)
        if (((u8)line[i] < ' ' && line[i] != '\t') || line[i] == 0x7f)
            line[i] = '?';
    line[n++] = '\n';
    return n;
}

void printk(enum log_level level, const char *fmt, ...)
{
    char line[LINE_MAX];
    int number = MIN((int)level & 0xff, (int)LOG_DEBUG);
    bool locked;
    va_list ap;
    size_t n;

    if (unlikely(panic_cpu) && !panicking_here())
        return;
    va_start(ap, fmt);
    n = format_line(line, number, fmt, ap);
    va_end(ap);
    locked = lock();
    ring_put(line, n);
    if (console) {
        if (number < log_level() || panicking_here())
            console(line + MARK, n - MARK);
        replayed = ring_end;
    }
    unlock(locked);
}

/* The first line that begins at pos or after it. */
static u64 line_start(u64 pos)
{
    u64 start = log_start();

    if (pos >= ring_end)
        return ring_end;
    if (pos <= start) {
        if (start == 0)
            return 0;
        pos = start; /* most likely inside a line */
    } else if (ring[(pos - 1) % RING] == '\n') {
        return pos;
    }
    while (pos < ring_end && ring[pos % RING] != '\n')
        pos++;
    return MIN(pos + 1, ring_end);
}

/* The line at pos, which is where one begins, with its newline; the position after it. */
static u64 ring_line(u64 pos, char *line, size_t *n)
{
    *n = 0;
    while (pos < ring_end && *n < LINE_MAX) {
        char c = ring[pos++ % RING];
        line[(*n)++] = c;
        if (c == '\n')
            break;
    }
    return pos;
}

/* Gives the console the lines of [pos, end) whose level is from `lowest` up to and without `limit`. */
static void replay(u64 pos, u64 end, int lowest, int limit)
{
    char line[LINE_MAX];
    size_t n;

    for (pos = line_start(pos); pos < end;) {
        pos = ring_line(pos, line, &n);
        if (n > MARK && line[1] - '0' >= lowest && line[1] - '0' < limit)
            console(line + MARK, n - MARK);
    }
}

void log_set_console(void (*write)(const char *buf, size_t n))
{
    bool locked = lock();

    console = write;
    if (console) {
        replay(replayed, ring_end, 0, panicking_here() ? LOG_DEBUG + 1 : log_level());
        replayed = ring_end;
    }
    unlock(locked);
}

void log_panic(void)
{
    u64 until = arch_time_ns() + PANIC_WAIT_NS;

    /* Whoever prints on another CPU may end its line. */
    while (atomic_load(&log_lock.held) && !spin_held(&log_lock) && arch_time_ns() < until)
        continue;
    tail_end = console ? ring_end : 0; /* without a console nothing was kept from it: log_set_console gives it all */
    atomic_store(&panic_cpu, arch_this_cpu()->id + 1);
}

void log_panic_tail(void)
{
    if (console && tail_end > 0)
        replay(tail_end > TAIL ? tail_end - TAIL : 0, tail_end, log_level(), LOG_DEBUG + 1);
}

size_t log_read(u64 *pos, char *buf, size_t size)
{
    char line[LINE_MAX];
    size_t done = 0;

    while (done < size) {
        bool locked = lock();
        u64 next;
        size_t n;

        *pos = line_start(*pos);
        next = ring_line(*pos, line, &n);
        unlock(locked); /* for each line, so that interrupts are not off for long */
        if (n == 0 || (n > size - done && done > 0))
            break;
        n = MIN(n, size - done);
        memcpy(buf + done, line, n);
        done += n;
        *pos = next;
    }
    return done;
}
