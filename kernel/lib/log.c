/*
 * printk: lines into a ring in memory, and to the console.
 *
 * Lock: log_lock (RANK_LOG, innermost but for the console's). A panic stops
 * taking it, as its holder may be the one that broke.
 */
#include "lib/log.h"
#include "arch/arch.h"
#include "lib/lock.h"
#include "lib/string.h"

#define RING (128 * 1024ul)
#define LINE_MAX 512

static char ring[RING];
static u64 ring_end; /* position of the next byte; the ring holds the RING bytes before it */
static u64 replayed; /* what the console has been given */
static struct spinlock log_lock = SPINLOCK_INIT("kernel log", RANK_LOG);
static void (*console)(const char *buf, size_t n);
static int console_level = LOG_INFO + 1;
static bool panicking;

static void lock(void)
{
    if (!panicking)
        spin_lock(&log_lock);
}

static void unlock(void)
{
    if (!panicking)
        spin_unlock(&log_lock);
}

u64 log_end(void)
{
    return ring_end;
}

u64 log_start(void)
{
    return ring_end > RING ? ring_end - RING : 0;
}

size_t log_capacity(void)
{
    return RING;
}

int log_level(void)
{
    return console_level;
}

void log_set_level(int level)
{
    console_level = level;
}

static void ring_put(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ring[ring_end++ % RING] = s[i];
}

/* "<6>[   12.345678] text\n"; the console gets it without the level. */
static size_t format_line(char *line, enum log_level level, const char *fmt, va_list ap)
{
    u64 us = arch_time_ns() / 1000;
    size_t n = (size_t)snprintf(line, LINE_MAX, "<%d>[%5lu.%06lu] ", level, us / 1000000, us % 1000000);

    n += (size_t)vsnprintf(line + n, LINE_MAX - n, fmt, ap);
    n = MIN(n, LINE_MAX - 2);
    if (line[n - 1] != '\n')
        line[n++] = '\n';
    return n;
}

void printk(enum log_level level, const char *fmt, ...)
{
    char line[LINE_MAX];
    va_list ap;
    size_t n;

    va_start(ap, fmt);
    n = format_line(line, level, fmt, ap);
    va_end(ap);
    lock();
    ring_put(line, n);
    if (console) {
        if ((int)level < console_level || panicking)
            console(line + 3, n - 3);
        replayed = ring_end;
    }
    unlock();
}

/* One line from position pos, without its end mark; the position after it. */
static u64 ring_line(u64 pos, char *line, size_t *n)
{
    *n = 0;
    while (pos < ring_end) {
        char c = ring[pos++ % RING];
        if (*n < LINE_MAX)
            line[(*n)++] = c;
        if (c == '\n')
            break;
    }
    return pos;
}

static void replay(u64 from)
{
    char line[LINE_MAX];
    size_t n;

    for (u64 pos = MAX(from, log_start()); pos < ring_end;) {
        pos = ring_line(pos, line, &n);
        if (n > 3 && line[0] == '<' && (line[1] - '0' < console_level || panicking))
            console(line + 3, n - 3);
    }
    replayed = ring_end;
}

void log_set_console(void (*write)(const char *buf, size_t n))
{
    lock();
    console = write;
    replay(replayed);
    unlock();
}

void log_panic(void)
{
    panicking = true;
}

size_t log_read(u64 *pos, char *buf, size_t size)
{
    char line[LINE_MAX];
    size_t n, done = 0;

    lock();
    *pos = MAX(*pos, log_start());
    while (*pos < ring_end) {
        u64 next = ring_line(*pos, line, &n);
        if (done + n > size)
            break;
        memcpy(buf + done, line, n);
        done += n;
        *pos = next;
    }
    unlock();
    return done;
}
