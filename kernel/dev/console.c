/*
 * The serial line: one ring of output for all channels, and where its input
 * goes. Received bytes are taken in one CPU's interrupt only; when the terminal
 * has no room the receive interrupt is masked, and the line waits (nothing is
 * dropped).
 *
 * console_lock protects the ring, the selected channel and the mask. It is the
 * innermost lock, so nobody is woken with it held: wake_wanted keeps the
 * transmit interrupt on until the interrupt has done that.
 */
#include "dev/console.h"
#include "dev/framing.h"
#include "dev/irq.h"
#include "dev/uart16550.h"
#include "fs/tty.h"
#include "lib/bootargs.h"
#include "lib/log.h"
#include "lib/string.h"
#include "proc/process.h"

#define RING 65536u
#define ROOM_MIN (2 * CONSOLE_CHUNK + 2) /* a chunk of nothing but DLEs, and the switch of channel */
#define RESUME_ROOM 256u                 /* the line goes on when the terminal has room for so much */

static struct spinlock console_lock = SPINLOCK_INIT("console", RANK_CONSOLE);
static u8 ring[RING];
static u64 head, tail;             /* written, sent; console_lock */
static char channel = CONSOLE_TTY; /* selected last on the line */
static bool present, framed, started, panicking;
static bool rx_masked, wake_wanted; /* console_lock */
static bool rx_on, tx_on;           /* as the device was told last; console_lock */
static struct waitq writers = WAITQ_INIT(writers);
static struct frame_input input;    /* the interrupt's */

/* A panic goes on without the lock, whose holder may be the one that broke. Returns whether it was taken. */
static bool lock(void) NO_THREAD_SAFETY_ANALYSIS
{
    bool take = !panicking;

    if (take)
        spin_lock(&console_lock);
    return take;
}

static void unlock(bool taken) NO_THREAD_SAFETY_ANALYSIS
{
    if (taken)
        spin_unlock(&console_lock);
}

bool console_is_framed(void)
{
    return framed;
}

/* ---- output; locked ---- */

static u64 room(void)
{
    return RING - (head - tail);
}

static void interrupts_update_locked(void)
{
    bool rx = started && !rx_masked, tx = started && (head != tail || wake_wanted);

    if (rx != rx_on || tx != tx_on)
        uart_interrupts(rx, tx);
    rx_on = rx;
    tx_on = tx;
}

static void send_locked(void)
{
    while (head != tail && uart_tx_ready())
        for (unsigned i = 0; i < UART_TX_BURST && head != tail; i++)
            uart_put(ring[tail++ % RING]);
    interrupts_update_locked();
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

/* For who has made sure that there is room. */
static void copy_locked(const u8 *buf, size_t n)
{
    size_t at = head % RING, part = MIN(n, RING - at);

    memcpy(ring + at, buf, part);
    memcpy(ring, buf + part, n - part);
    head += n;
}

/* All of it, or false: there is no room. */
static bool put_all_locked(char ch, const u8 *buf, size_t n)
{
    if (room() < 2 * n + 2)
        return false;
    select_locked(ch);
    while (n > 0) {
        const u8 *dle = framed ? memchr(buf, DLE, n) : NULL;
        size_t run = dle ? (size_t)(dle - buf) + 1 : n;

        copy_locked(buf, run);
        if (dle)
            copy_locked(dle, 1);
        buf += run;
        n -= run;
    }
    send_locked();
    return true;
}

/* ---- output ---- */

bool console_try_write(enum console_channel ch, const void *buf, size_t n)
{
    bool locked, done;

    DEBUG_ASSERT(n <= CONSOLE_CHUNK);
    if (!present)
        return true;
    locked = lock();
    done = put_all_locked(framed ? (char)ch : CONSOLE_TTY, buf, n);
    unlock(locked);
    return done;
}

static bool ready_or_ask(bool (*ready)(u64 arg), u64 arg)
{
    bool locked = lock(), yes = !present || ready(arg);

    if (!yes) {
        wake_wanted = true;
        interrupts_update_locked();
    }
    unlock(locked);
    return yes;
}

static bool has_room(u64 want)
{
    return room() >= want;
}

static bool has_sent(u64 position)
{
    return tail >= position;
}

bool console_write_ready(void)
{
    return ready_or_ask(has_room, ROOM_MIN);
}

struct waitq *console_write_waitq(void)
{
    return &writers;
}

int console_wait_sent(void)
{
    bool locked = lock();
    u64 position = head;

    unlock(locked);
    return wait_event(&writers, ready_or_ask(has_sent, position), SLEEP_INTERRUPTIBLE, UINT64_MAX);
}

size_t console_pending(void)
{
    bool locked = lock();
    size_t n = head - tail;

    unlock(locked);
    return n;
}

static void put_log_locked(u8 c)
{
    if (framed && c == DLE)
        put_locked(DLE);
    if (!framed && c == '\n')
        put_locked('\r');
    put_locked(c);
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
        put_log_locked((u8)buf[i]);
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
    bool locked, left = present;

    while (left) {
        locked = lock();
        send_locked();
        left = head != tail || !uart_tx_ready();
        unlock(locked);
    }
}

/* The letter goes out twice: another CPU may have been stopped between a DLE and what belongs to it. */
void console_panic(void)
{
    panicking = true;
    started = false;
    channel = 0;
    console_event('P');
    console_event('P');
    log_set_console(console_log_write);
}

/* ---- input ---- */

/* The terminal is full: no more interrupts for input. False: it has room again, as a reader came in between. */
static bool throttle(void)
{
    bool locked = lock(), full;

    rx_masked = true; /* before the second look: a reader makes room first, then looks at this */
    full = tty_input_room(&console_tty) < RESUME_ROOM;
    rx_masked = full;
    interrupts_update_locked();
    unlock(locked);
    return full;
}

void console_input_resume(void)
{
    bool locked = lock();

    if (rx_masked && tty_input_room(&console_tty) >= RESUME_ROOM) {
        rx_masked = false;
        interrupts_update_locked();
    }
    unlock(locked);
}

/* What one byte off the line means. True: it is the terminal's. */
static bool demultiplex(u8 c)
{
    switch (framed ? frame_input(&input, c) : FRAME_TTY) {
    case FRAME_TTY:
        return true;
    case FRAME_STDIN:
        hostin_add(c);
        break;
    case FRAME_EOF:
        hostin_end();
        break;
    case FRAME_WINDOW:
        tty_set_window(&console_tty, (u16)input.rows, (u16)input.columns);
        break;
    case FRAME_NOTHING:
        break;
    }
    return false;
}

static void receive(void)
{
    u8 typed[64];
    size_t n = 0;
    bool any = false;

    while (uart_rx_ready()) {
        if (n == sizeof typed || tty_input_room(&console_tty) <= n) {
            tty_input(&console_tty, typed, n);
            n = 0;
            if (tty_input_room(&console_tty) == 0 && throttle())
                break;
        }
        typed[n] = uart_get();
        n += demultiplex(typed[n]);
        any = true;
    }
    tty_input(&console_tty, typed, n);
    if (any)
        hostin_wake();
}

static bool uart_interrupt(void *arg)
{
    bool locked, wake;

    (void)arg;
    receive();
    locked = lock();
    send_locked();
    wake = wake_wanted && room() >= RING / 2;
    wake_wanted = wake_wanted && !wake;
    interrupts_update_locked();
    unlock(locked);
    if (wake)
        waitq_wake_all(&writers);
    return true;
}

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

    hostdev_init();
    if (!present)
        return;
    if (!irq_register(platform.uart_irq, uart_interrupt, NULL))
        panic("the serial port's interrupt line %u cannot be used", platform.uart_irq);
    locked = lock();
    started = true;
    send_locked();
    unlock(locked);
}
