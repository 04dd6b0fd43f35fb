/*
 * The serial line: one ring of output for all channels, and a demultiplexer of
 * input. console.h has the framing. Received bytes are taken in one CPU's
 * interrupt only; when the terminal has no room the receive interrupt is masked,
 * and the line waits (nothing is dropped).
 */
#include "dev/console.h"
#include "dev/uart16550.h"
#include "fs/tty.h"
#include "lib/bootargs.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/string.h"
#include "proc/process.h"

#define DLE 0x10
#define RING 65536u
#define HOSTIN_RING 65536u /* the host sends no more than half of it before it is told that there is room */
#define CREDIT 4096u
#define ROOM_MIN 64u       /* what a writer waits for */

static struct spinlock console_lock = SPINLOCK_INIT("console", RANK_CONSOLE);
static u8 ring[RING];
static u64 head, tail;     /* written, sent; console_lock */
static char channel = CONSOLE_TTY; /* selected last on the line */
static bool present, framed, started, panicking, rx_masked, tx_wanted;
static struct waitq writers = WAITQ_INIT(writers);

static u8 in_ring[HOSTIN_RING];
static u64 in_head, in_tail, in_credit;
static bool in_eof;
static struct waitq in_wait = WAITQ_INIT(in_wait);

/* A panic goes on without the lock, whose holder may be the one that broke. Returns whether it was taken. */
static bool lock(void)
{
    bool take = !panicking;

    if (take)
        spin_lock(&console_lock);
    return take;
}

static void unlock(bool taken)
{
    if (taken)
        spin_unlock(&console_lock);
}

/* ---- output; locked ---- */

static u64 room(void)
{
    return RING - (head - tail);
}

static void send_locked(void)
{
    while (head != tail && uart_tx_ready())
        for (unsigned i = 0; i < UART_TX_BURST && head != tail; i++)
            uart_put(ring[tail++ % RING]);
    if (started && tx_wanted != (head != tail)) {
        tx_wanted = head != tail;
        uart_interrupts(!rx_masked, tx_wanted);
    }
}

static void put_locked(u8 c)
{
    while (room() == 0) /* only who may not sleep comes here */
        send_locked();
    ring[head++ % RING] = c;
}

static void select_locked(char ch)
{
    if (!framed || ch == channel)
        return;
    put_locked(DLE);
    put_locked((u8)ch);
    channel = ch;
}

static void put_data_locked(char ch, u8 c)
{
    if (framed && c == DLE)
        put_locked(DLE);
    if (!framed && ch == CONSOLE_LOG && c == '\n')
        put_locked('\r');
    put_locked(c);
}

/* As much as there is room for. */
static size_t put_some_locked(char ch, const u8 *buf, size_t n)
{
    size_t done = 0;

    if (room() < ROOM_MIN)
        return 0;
    select_locked(ch);
    while (done < n && room() >= 4)
        put_data_locked(ch, buf[done++]);
    send_locked();
    return done;
}

bool console_write_ready(void)
{
    return room() >= ROOM_MIN;
}

struct waitq *console_write_waitq(void)
{
    return &writers;
}

ssize_t console_write(enum console_channel ch, const void *buf, size_t n, bool nonblock)
{
    bool locked;
    size_t done = 0;
    int err = 0;

    while (done < n && !err) {
        size_t part = 0;

        if (present) {
            locked = lock();
            part = put_some_locked((char)ch, (const u8 *)buf + done, n - done);
            unlock(locked);
        } else {
            part = n - done;
        }
        done += part;
        if (part > 0)
            continue;
        err = nonblock ? -EAGAIN : wait_event(&writers, console_write_ready(), SLEEP_KILLABLE, UINT64_MAX);
    }
    return done ? (ssize_t)done : err;
}

/* For those who may not sleep: what does not fit is lost (echo) or waits for the line (log). */
void console_echo(const void *buf, size_t n)
{
    bool locked;

    if (!present)
        return;
    locked = lock();
    put_some_locked(CONSOLE_TTY, buf, n);
    unlock(locked);
}

void console_log_write(const char *buf, size_t n)
{
    bool locked;

    if (!present) {
        for (size_t i = 0; i < n && panicking; i++)
            arch_early_putc(buf[i]);
        return;
    }
    locked = lock();
    select_locked(CONSOLE_LOG);
    for (size_t i = 0; i < n; i++)
        put_data_locked(CONSOLE_LOG, (u8)buf[i]);
    if (!framed)
        channel = CONSOLE_LOG;
    send_locked();
    unlock(locked);
}

void console_event(char letter)
{
    bool locked;

    if (!present || !framed)
        return;
    locked = lock();
    put_locked(DLE);
    put_locked((u8)letter);
    send_locked();
    unlock(locked);
}

void console_drain(void)
{
    bool locked;
    bool left = present;

    while (left) {
        locked = lock();
        send_locked();
        left = head != tail || !uart_tx_ready();
        unlock(locked);
    }
}

void console_panic(void)
{
    panicking = true;
    started = false;
    log_set_console(console_log_write);
    console_event('P');
}

/* ---- input ---- */

enum in_state { IN_DATA, IN_DLE, IN_WINDOW };
static enum in_state in_state;
static char in_channel = '0';
static char window[16];
static unsigned window_len;

static unsigned parse_number(const char **s)
{
    unsigned v = 0;

    for (; **s >= '0' && **s <= '9' && v < 10000; ++*s)
        v = v * 10 + (unsigned)(**s - '0');
    return v;
}

static void window_done(void)
{
    const char *s = window;
    unsigned rows, columns;

    window[window_len] = 0;
    rows = parse_number(&s);
    if (*s++ != ';')
        return;
    columns = parse_number(&s);
    if (rows > 0 && columns > 0)
        tty_set_window((u16)rows, (u16)columns);
}

static void hostin_byte(u8 c)
{
    if (in_head - in_tail < HOSTIN_RING)
        in_ring[in_head++ % HOSTIN_RING] = c;
}

/* What follows a DLE. True: a literal DLE. */
static bool control(u8 c)
{
    in_state = IN_DATA;
    if (c == DLE)
        return true;
    if (c == '0' || c == '1')
        in_channel = (char)c;
    if (c == 'E')
        in_eof = true;
    if (c == 'W') {
        in_state = IN_WINDOW;
        window_len = 0;
    }
    return false;
}

/* One byte off the line. True: it is *the terminal's*. */
static bool demultiplex(u8 c)
{
    if (!framed)
        return true;
    if (in_state == IN_WINDOW) {
        if (c == '\n' || window_len == sizeof window - 1) {
            in_state = IN_DATA;
            window_done();
        } else {
            window[window_len++] = (char)c;
        }
        return false;
    }
    if (in_state == IN_DATA && c == DLE) {
        in_state = IN_DLE;
        return false;
    }
    if (in_state == IN_DLE && !control(c))
        return false;
    if (in_channel == '0')
        return true;
    hostin_byte(c);
    return false;
}

static void receive(void)
{
    u8 tty[64];
    size_t n = 0;
    u64 before = in_head;
    bool eof = in_eof;

    while (uart_rx_ready()) {
        if (n + 1 > MIN(tty_input_room(), sizeof tty)) {
            if (n > 0) {
                tty_input(tty, n);
                n = 0;
                continue;
            }
            rx_masked = true;
            break;
        }
        tty[n] = uart_get();
        n += demultiplex(tty[n]);
    }
    if (n > 0)
        tty_input(tty, n);
    if (in_head != before || in_eof != eof)
        waitq_wake_all(&in_wait);
}

static void uart_interrupt(void *arg)
{
    bool locked;
    bool wake;

    (void)arg;
    receive();
    locked = lock();
    send_locked();
    uart_interrupts(!rx_masked, tx_wanted);
    wake = room() >= RING / 2;
    unlock(locked);
    if (wake)
        waitq_wake_all(&writers);
}

void console_input_resume(void)
{
    bool locked;

    locked = lock();
    if (rx_masked) {
        rx_masked = false;
        uart_interrupts(true, tx_wanted);
    }
    unlock(locked);
}

/* ---- the host's devices ---- */

static ssize_t hostin_read(struct file *f, struct uio *u, u64 *pos)
{
    size_t done = 0;
    int err;

    (void)pos;
    if (!framed || u->left == 0)
        return 0;
    if ((f->flags & O_NONBLOCK) && in_head == in_tail && !in_eof)
        return -EAGAIN;
    err = wait_event(&in_wait, in_head != in_tail || in_eof, SLEEP_INTERRUPTIBLE, UINT64_MAX);
    if (err)
        return err;
    while (u->left > 0 && in_tail != __atomic_load_n(&in_head, __ATOMIC_ACQUIRE)) {
        size_t at = in_tail % HOSTIN_RING, part = MIN(MIN(u->left, in_head - in_tail), HOSTIN_RING - at);
        size_t moved = uio_put(u, in_ring + at, part);
        in_tail += moved;
        done += moved;
        if (moved < part)
            return done ? (ssize_t)done : -EFAULT;
        for (; in_tail - in_credit >= CREDIT; in_credit += CREDIT)
            console_event('R');
    }
    return (ssize_t)done;
}

static unsigned hostin_poll(struct file *f, struct poll_set *ps)
{
    (void)f;
    poll_set_add(ps, &in_wait);
    return in_head != in_tail || in_eof || !framed ? POLLIN | POLLRDNORM : 0;
}

static int host_open(struct file *f, void *priv)
{
    f->priv = priv;
    f->stream = true;
    return 0;
}

static ssize_t hostout_write(struct file *f, struct uio *u, u64 *pos)
{
    char buf[512];
    size_t done = 0;

    (void)pos;
    while (u->left > 0) {
        size_t part = uio_get(u, buf, MIN(u->left, sizeof buf));
        ssize_t n;

        if (part == 0)
            return done ? (ssize_t)done : -EFAULT;
        n = console_write(framed ? (enum console_channel)(u64)f->priv : CONSOLE_TTY, buf, part, f->flags & O_NONBLOCK);
        done += n > 0 ? (size_t)n : 0;
        if (n < (ssize_t)part)
            return done ? (ssize_t)done : n;
        if (u->left > 0 && signal_pending())
            break;
    }
    return (ssize_t)done;
}

static unsigned hostout_poll(struct file *f, struct poll_set *ps)
{
    (void)f;
    poll_set_add(ps, &writers);
    return console_write_ready() ? POLLOUT | POLLWRNORM : 0;
}

static const struct file_ops hostin_ops = {.open = host_open, .read = hostin_read, .poll = hostin_poll};
static const struct file_ops hostout_ops = {.open = host_open, .write = hostout_write, .poll = hostout_poll};

/* ---- starting ---- */

void console_init(void)
{
    const char *mode = bootarg("console");

    framed = mode && strcmp(mode, "framed") == 0;
    present = uart_init();
    if (present)
        log_set_console(console_log_write);
}

void console_start(void)
{
    bool locked;

    device_register("hostin", MKDEV(240, 0), S_IFCHR | 0666, &hostin_ops, NULL);
    device_register("hostout", MKDEV(240, 1), S_IFCHR | 0666, &hostout_ops, (void *)CONSOLE_OUT);
    device_register("hosterr", MKDEV(240, 2), S_IFCHR | 0666, &hostout_ops, (void *)CONSOLE_ERR);
    if (!present)
        return;
    arch_irq_register(platform.uart_irq, uart_interrupt, NULL);
    locked = lock();
    started = true;
    uart_interrupts(true, tx_wanted);
    send_locked();
    unlock(locked);
}
