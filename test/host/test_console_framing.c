/*
 * dev/framing.c and dev/console.c: channels that share a line, in both
 * directions. The device is made up: it takes bursts while it is told to be
 * ready, and what left is decoded as the host does it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "dev/console.c"
#include "dev/framing.c"

struct platform platform;
static struct thread thread;
static u8 sent[1 << 22]; /* what has left */
static size_t sent_size;
static size_t device_takes; /* bytes before it is not ready any more; SIZE_MAX: always ready */
static bool polling_allowed;
static bool want_rx, want_tx;
static const u8 *arriving;
static size_t arriving_size;
static size_t tty_room, tty_got, stdin_got;
static u8 tty_bytes[70000], stdin_bytes[70000];
static bool ended;
static unsigned wakes, rows, columns, locked_now;

/* ---- the rest of the kernel ---- */

struct thread *arch_current(void)
{
    return &thread;
}

void spin_lock(struct spinlock *l)
{
    assert_int_equal(l->held, 0);
    l->held = 1;
    locked_now++;
}

void spin_unlock(struct spinlock *l)
{
    assert_int_equal(l->held, 1);
    l->held = 0;
    locked_now--;
}

void waiter_add(struct waitq *q, struct waiter *w, unsigned kind)
{
    *w = (struct waiter){.q = q, .kind = kind};
}

void waiter_remove(struct waiter *w)
{
    w->q = NULL;
}

int wait_block(struct waiter *w, u64 deadline)
{
    (void)deadline;
    assert_int_equal(w->kind, SLEEP_INTERRUPTIBLE);
    assert_int_equal(locked_now, 0);
    return -ERESTARTSYS;
}

void waitq_wake_all(struct waitq *q)
{
    assert_ptr_equal(q, &writers);
    assert_int_equal(locked_now, 0);
    wakes++;
}

void panic(const char *fmt, ...)
{
    fail_msg("%s", fmt);
    abort();
}

const char *bootarg(const char *name)
{
    return strcmp(name, "console") == 0 ? "framed" : NULL;
}

void log_set_console(void (*write)(const char *buf, size_t n))
{
    (void)write;
}

void arch_early_putc(char c)
{
    (void)c;
}

bool irq_register(unsigned line, bool (*handler)(void *), void *arg)
{
    (void)line, (void)handler, (void)arg;
    return true;
}

void hostdev_init(void)
{
}

void hostin_add(u8 c)
{
    assert_true(stdin_got < sizeof stdin_bytes);
    stdin_bytes[stdin_got++] = c;
}

void hostin_end(void)
{
    ended = true;
}

void hostin_wake(void)
{
}

struct tty console_tty;

size_t tty_input_room(struct tty *t)
{
    (void)t;
    return tty_room;
}

void tty_input(struct tty *t, const u8 *buf, size_t n)
{
    (void)t;
    assert_int_equal(locked_now, 0);
    assert_true(n <= tty_room && tty_got + n <= sizeof tty_bytes);
    memcpy(tty_bytes + tty_got, buf, n);
    tty_got += n;
    tty_room -= n;
}

void tty_set_window(struct tty *t, u16 r, u16 c)
{
    (void)t;
    rows = r;
    columns = c;
}

bool uart_init(void)
{
    return true;
}

/* For who polls, time passes. */
bool uart_tx_ready(void)
{
    if (polling_allowed && device_takes < UART_TX_BURST)
        device_takes = UART_TX_BURST;
    return device_takes >= UART_TX_BURST;
}

void uart_put(u8 c)
{
    assert_true(device_takes > 0 && sent_size < sizeof sent);
    device_takes -= device_takes != SIZE_MAX;
    sent[sent_size++] = c;
}

bool uart_rx_ready(void)
{
    return arriving_size > 0;
}

u8 uart_get(void)
{
    assert_true(arriving_size > 0);
    arriving_size--;
    return *arriving++;
}

void uart_interrupts(bool rx, bool tx)
{
    want_rx = rx;
    want_tx = tx;
}

/* ---- helpers ---- */

static int setup(void **state)
{
    (void)state;
    head = tail = 0;
    channel = CONSOLE_TTY;
    started = panicking = rx_masked = wake_wanted = rx_on = tx_on = false;
    input = (struct frame_input){0};
    sent_size = tty_got = stdin_got = arriving_size = 0;
    device_takes = SIZE_MAX;
    tty_room = sizeof tty_bytes;
    ended = polling_allowed = want_rx = want_tx = false;
    rows = columns = wakes = 0;
    console_lock.held = 0;
    console_init();
    console_start();
    assert_true(want_rx && !want_tx);
    return 0;
}

static void arrive(const void *bytes, size_t n)
{
    arriving = bytes;
    arriving_size = n;
    uart_interrupt(NULL);
}

#define ARRIVE(s) arrive(s, sizeof(s) - 1)
#define EVENT 256u

static u32 on(u32 ch, u8 c)
{
    return ch << 16 | c;
}

/* As the host: each byte with its channel, as one number; events are on a channel of their own. */
static size_t decode(u32 *out)
{
    size_t made = 0;
    u32 ch = '0';

    for (size_t i = 0; i < sent_size; i++) {
        if (sent[i] != DLE)
            out[made++] = on(ch, sent[i]);
        else if (++i < sent_size && sent[i] == DLE)
            out[made++] = on(ch, DLE);
        else if (i < sent_size && strchr("012L", sent[i]))
            ch = sent[i];
        else if (i < sent_size)
            out[made++] = on(EVENT, sent[i]);
    }
    return made;
}

static u32 random_next(void)
{
    static u32 seed = 7;

    seed = seed * 1664525 + 1013904223;
    return seed >> 8;
}

/* ---- to the guest ---- */

static void test_channels(void **state)
{
    (void)state;
    ARRIVE("ab\0201xy\020\020\0200c\020\020\0201z\020E");
    assert_int_equal(tty_got, 4);
    assert_memory_equal(tty_bytes, "abc\020", 4);
    assert_int_equal(stdin_got, 4);
    assert_memory_equal(stdin_bytes, "xy\020z", 4);
    assert_true(ended);
}

static void test_pieces(void **state)
{
    static const char line[] = "a\0201b\020W40;132\nc\0200d";

    (void)state;
    for (size_t i = 0; i < sizeof line - 1; i++)
        arrive(line + i, 1);
    assert_memory_equal(tty_bytes, "ad", 2);
    assert_memory_equal(stdin_bytes, "bc", 2);
    assert_int_equal(rows, 40);
    assert_int_equal(columns, 132);
}

static void test_bad_window(void **state)
{
    static const char *const bad[] = {"0;80\n", "24;0\n", "24\n", ";\n", "\n", "a;b\n", "24;80;1\n", "99999;80\n",
                                      "24;80x\n", "4;1234567890\n", "1;11111111111111111"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        setup(NULL);
        ARRIVE("\020W");
        arrive(bad[i], strlen(bad[i]));
        assert_int_equal(rows + columns, 0);
        assert_true(tty_got <= 3); /* of the one that never ends */
        tty_got = 0;
        ARRIVE("\0200ok");
        assert_memory_equal(tty_bytes, "ok", 2);
    }
}

/* After any garbage two selections are understood, as the first may end an escape. */
static void test_garbage(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        struct frame_input f = {0};

        for (unsigned n = random_next() % 64; n > 0; n--) {
            u32 r = random_next();
            (void)frame_input(&f, r % 4 == 0 ? DLE : r % 4 == 1 ? (u8) "01EWRPS;\n"[r / 4 % 9] : (u8)(r / 4));
        }
        (void)frame_input(&f, DLE), (void)frame_input(&f, '1');
        (void)frame_input(&f, DLE), (void)frame_input(&f, '0');
        assert_int_equal(frame_input(&f, 'x'), FRAME_TTY);
    }
}

static void test_round_trip(void **state)
{
    static u8 line[400000], want[2][60000];
    size_t n = 0, got[2] = {0};
    unsigned ch = 0;

    (void)state;
    while (got[0] < sizeof want[0] && got[1] < sizeof want[1]) {
        u32 r = random_next();

        if (r % 9 == 0) {
            line[n++] = DLE;
            line[n++] = (u8)('0' + (ch = r / 9 % 2));
        }
        want[ch][got[ch]++] = line[n++] = r / 18 % 5 ? (u8)(r >> 12) : DLE;
        if (line[n - 1] == DLE)
            line[n++] = DLE;
    }
    arrive(line, n);
    assert_int_equal(tty_got, got[0]);
    assert_int_equal(stdin_got, got[1]);
    assert_memory_equal(tty_bytes, want[0], got[0]);
    assert_memory_equal(stdin_bytes, want[1], got[1]);
}

/* A terminal without room masks the interrupt, and nothing is lost. */
static void test_throttle(void **state)
{
    static u8 line[3000];

    (void)state;
    for (size_t i = 0; i < sizeof line; i++)
        line[i] = (u8)('a' + i % 26);
    tty_room = 1000;
    arrive(line, sizeof line);
    assert_int_equal(tty_got, 1000);
    assert_int_equal(arriving_size, 2000);
    assert_false(want_rx);
    tty_room = 10;
    console_input_resume(); /* not worth it yet */
    assert_false(want_rx);
    while (arriving_size > 0) {
        tty_room = RESUME_ROOM;
        console_input_resume();
        assert_true(want_rx);
        uart_interrupt(NULL);
    }
    assert_int_equal(tty_got, sizeof line);
    assert_memory_equal(tty_bytes, line, sizeof line);
}

/* ---- to the host ---- */

static u32 wanted[1 << 20], arrived[1 << 20];
static size_t wanted_size;

static void want(u32 ch, const u8 *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        wanted[wanted_size++] = on(ch, bytes[i]);
}

static void random_output(u32 r)
{
    static const u32 channels[] = {CONSOLE_TTY, CONSOLE_OUT, CONSOLE_ERR};
    static u8 piece[CONSOLE_CHUNK];
    size_t n = random_next() % (r % 10 == 0 ? CONSOLE_CHUNK + 1 : 50);

    for (size_t i = 0; i < n; i++)
        piece[i] = random_next() % 6 ? (u8)random_next() : DLE;
    polling_allowed = r % 7 < 2; /* neither the log nor an event waits */
    if (r % 7 == 0) {
        console_log_write("[log]\020\n", 7);
        want(CONSOLE_LOG, (const u8 *)"[log]\020\n", 7);
    } else if (r % 7 == 1) {
        console_event('R');
        want(EVENT, (const u8 *)"R", 1);
    } else if (console_try_write(channels[r % 3], piece, n)) {
        want(channels[r % 3], piece, n);
    }
    polling_allowed = false;
}

/* Everything arrives in the order in which it was taken, so no piece has another channel's bytes inside. */
static void test_order(void **state)
{
    (void)state;
    wanted_size = 0;
    device_takes = 0;
    for (unsigned round = 0; round < 3000; round++) {
        u32 r = random_next();

        random_output(r);
        if (r % 3 == 0) {
            device_takes = UART_TX_BURST * (random_next() % 200);
            uart_interrupt(NULL);
            device_takes = 0;
        }
    }
    polling_allowed = true;
    console_drain();
    assert_int_equal(decode(arrived), wanted_size);
    assert_memory_equal(arrived, wanted, wanted_size * sizeof *wanted);
}

static void test_all_dle(void **state)
{
    static u8 piece[CONSOLE_CHUNK];

    (void)state;
    memset(piece, DLE, sizeof piece);
    device_takes = 0;
    assert_true(console_try_write(CONSOLE_ERR, piece, sizeof piece));
    assert_int_equal(console_pending(), ROOM_MIN);
    while (console_try_write(CONSOLE_ERR, piece, sizeof piece))
        continue;
    assert_true(console_pending() <= RING);
    polling_allowed = true;
    console_drain();
    assert_int_equal(decode(arrived) % sizeof piece, 0);
}

/* A full ring refuses whole pieces, and whoever asked is woken once it is half empty, even if it is not the interrupt
 * that empties it. */
static void test_full(void **state)
{
    static u8 piece[1000];
    size_t before;

    (void)state;
    device_takes = 0;
    while (console_try_write(CONSOLE_OUT, piece, sizeof piece))
        continue;
    before = console_pending();
    assert_true(before > RING - 2 * sizeof piece - 4);
    assert_false(console_write_ready());
    assert_true(want_tx);
    assert_int_equal(console_pending(), before);
    device_takes = UART_TX_BURST;
    uart_interrupt(NULL);
    assert_int_equal(wakes, 0);
    assert_true(want_tx);
    device_takes = SIZE_MAX;
    console_event('R'); /* drains the ring, but may wake nobody */
    assert_int_equal(console_pending(), 0);
    assert_true(want_tx);
    uart_interrupt(NULL);
    assert_int_equal(wakes, 1);
    assert_false(want_tx);
    assert_true(console_write_ready());
}

static void test_wait_sent(void **state)
{
    (void)state;
    device_takes = 0;
    assert_int_equal(console_wait_sent(), 0);
    assert_true(console_try_write(CONSOLE_TTY, "abc", 3));
    assert_int_equal(console_wait_sent(), -ERESTARTSYS); /* a signal comes before the device is ready */
    device_takes = UART_TX_BURST;
    uart_interrupt(NULL);
    assert_int_equal(wakes, 1);
    assert_int_equal(console_wait_sent(), 0);
}

static void test_unframed(void **state)
{
    (void)state;
    framed = false;
    assert_true(console_try_write(CONSOLE_OUT, "a\020b\n", 4));
    console_log_write("log\n", 4);
    console_event('R');
    assert_int_equal(sent_size, 9);
    assert_memory_equal(sent, "a\020b\nlog\r\n", 9);
    ARRIVE("\020\0200x");
    assert_int_equal(tty_got, 4);
    assert_memory_equal(tty_bytes, "\020\0200x", 4);
}

/* Another CPU was stopped with the lock held, between a DLE and its letter. */
static void test_panic(void **state)
{
    size_t n;
    bool told = false;

    (void)state;
    device_takes = 0;
    assert_true(console_try_write(CONSOLE_OUT, "z", 1));
    channel = CONSOLE_LOG; /* as that CPU meant to */
    spin_lock(&console_lock);
    ring[head++ % RING] = DLE;
    polling_allowed = true;
    console_panic();
    console_log_write("why", 3);
    console_drain();
    n = decode(arrived);
    for (size_t i = 0; i < n; i++)
        told |= arrived[i] == on(EVENT, 'P');
    assert_true(told);
    assert_int_equal(arrived[n - 3], on(CONSOLE_LOG, 'w'));
    assert_int_equal(arrived[n - 1], on(CONSOLE_LOG, 'y'));
    spin_unlock(&console_lock);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        T(test_channels), T(test_pieces), T(test_bad_window), T(test_garbage), T(test_round_trip), T(test_throttle),
        T(test_order), T(test_all_dle), T(test_full), T(test_wait_sent), T(test_unframed), T(test_panic)};

    return cmocka_run_group_tests_name("console", tests, NULL, NULL);
}
