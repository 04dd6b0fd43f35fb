/* fs/tty.c: reading and writing, raw mode, settings; and that the ring stays sound whatever comes. */
#include "tty_fixture.h"

/* ---- translations ---- */

static void test_input_translation(void **state)
{
    (void)state;
    t->termios.iflag = IGNCR;
    type("a\rb\n");
    assert_reads("ab\n");
    t->termios.iflag = INLCR | ISTRIP;
    type("a\nb\343\n");
    t->termios.iflag = 0;
    type("\n");
    assert_reads("a\rbc\r\n");
}

static void test_output(void **state)
{
    static char big[10000];

    (void)state;
    put_text("a\nb\r");
    assert_seen("a\r\nb\r");
    t->termios.oflag = OPOST | TAB3 | OCRNL | OLCUC;
    put_text("ab\tc\r");
    assert_seen("AB      C\n");
    t->termios.oflag = ONLCR; /* without OPOST */
    put_text("a\n");
    assert_seen("a\n");
    t->column = 0;
    t->termios.oflag = OPOST | TAB3;
    memset(big, '\t', sizeof big - 1);
    put_text(big);
    assert_int_equal(seen_size, 8 * (sizeof big - 1));
    seen_size = 0;
    t->termios.oflag = OPOST | ONLCR;
    memset(big, '\n', sizeof big - 1);
    put_text(big);
    assert_int_equal(seen_size, 2 * (sizeof big - 1));
}

/* What the line did not take is not counted, and the cursor stays where it is. */
static void test_output_refused(void **state)
{
    struct uio u = {.cur.base = (u64) "abc", .left = 3};

    (void)state;
    line_full = true;
    file.flags = O_NONBLOCK;
    assert_int_equal(tty_write(&file, &u, NULL), -EAGAIN);
    assert_int_equal(t->column, 0);
    file.flags = 0;
    u = (struct uio){.cur.base = (u64) "abc", .left = 3};
    assert_int_equal(tty_write(&file, &u, NULL), -ERESTARTSYS);
}

/* ---- raw reading: POSIX 11.1.7, cases A to D ---- */

static void test_min_and_time(void **state)
{
    static const struct piece fast[] = {{TENTH, "a"}, {2 * TENTH, "bc"}, {3 * TENTH, "d"}, {0}};
    static const struct piece slow[] = {{50 * TENTH, "a"}, {90 * TENTH, "b"}, {0}};
    static const struct piece steady[] = {{10 * TENTH, "a"}, {11 * TENTH, "b"}, {12 * TENTH, "c"}, {13 * TENTH, "d"}, {0}};

    (void)state;
    raw(4, 2); /* A: the time runs from each byte */
    script = fast;
    assert_reads("abcd");
    now = 1;
    script = slow;
    assert_reads("a");
    assert_int_equal(now, 52 * TENTH);
    now = 1;
    script = steady; /* no gap is too long, though all together are */
    assert_reads("abcd");
}

static void test_min_only(void **state)
{
    static const struct piece slow[] = {{50 * TENTH, "a"}, {90 * TENTH, "b"}, {99 * TENTH, "cd"}, {0}};
    char buf[2];

    (void)state;
    raw(3, 0); /* B */
    script = slow;
    assert_reads("abcd");
    type("xy");
    assert_int_equal(get(buf, 2), 2); /* a short buffer asks for no more than it holds */
    type("z");
    file.flags = O_NONBLOCK;
    assert_reads("z"); /* nobody waits for MIN who does not wait */
    assert_int_equal(get(buf, 2), -EAGAIN);
}

static void test_time_only(void **state)
{
    static const struct piece one[] = {{3 * TENTH, "k"}, {0}};

    (void)state;
    raw(0, 5); /* C */
    script = one;
    assert_reads("k");
    now = 1;
    assert_reads("");
    assert_int_equal(now, 1 + 5 * TENTH);
}

static void test_neither(void **state)
{
    (void)state;
    raw(0, 0); /* D */
    assert_reads("");
    type("q\004\003");
    assert_reads("q\004\003");
}

static void test_poll(void **state)
{
    (void)state;
    type("x");
    assert_int_equal(tty_poll(&file, NULL) & POLLIN, 0);
    type("\n");
    assert_int_equal(tty_poll(&file, NULL) & POLLIN, POLLIN);
    assert_reads("x\n");
    raw(3, 0);
    type("ab");
    assert_int_equal(tty_poll(&file, NULL) & POLLIN, 0);
    type("c");
    assert_int_equal(tty_poll(&file, NULL) & POLLIN, POLLIN);
}

static void test_interrupted(void **state)
{
    static const struct piece signal[] = {{5, NULL}, {0}};
    char c;

    (void)state;
    script = signal;
    assert_int_equal(get(&c, 1), -ERESTARTSYS);
}

/* ---- settings ---- */

static void test_mode_changes(void **state)
{
    u32 canonical_mode = t->termios.lflag, n;

    (void)state;
    type("typed ahead");
    set_lflag(canonical_mode & ~ICANON);
    assert_reads("typed ahead");
    type("raw bytes");
    set_lflag(canonical_mode);
    type("line\n");
    assert_reads("raw bytes"); /* as if it were a line */
    type("ab\nc\004");
    assert_int_equal(tty_ioctl(&file, FIONREAD, (u64)&n), 0);
    assert_int_equal(n, strlen("line\nab\nc"));
    assert_reads("line\n");
    assert_int_equal(tty_ioctl(&file, TCFLSH, 0), 0);
    file.flags = O_NONBLOCK;
    assert_int_equal(get(&n, 1), -EAGAIN);
}

static void test_drop_on_set(void **state)
{
    struct termios new = t->termios;

    (void)state;
    type("gone\n");
    assert_int_equal(tty_ioctl(&file, TCSETSF, (u64)&new), 0);
    type("here\n");
    assert_reads("here\n");
}

/* ---- nothing is lost, whatever comes ---- */

static void test_ring_full(void **state)
{
    static char big[TTY_RING + 1], back[TTY_RING + 5001];

    (void)state;
    raw(1, 0);
    for (size_t i = 0; i < TTY_RING; i++)
        big[i] = (char)('a' + i % 23);
    for (size_t round = 0; round < 5; round++) {
        size_t n = tty_input_room(t), taken = 0;

        tty_input(t, (u8 *)big, n);
        assert_int_equal(tty_input_room(t), 0);
        while (taken < n) {
            ssize_t got = get(back + taken, 1 + (taken * 7 + round) % 5000);
            assert_true(got > 0);
            taken += (size_t)got;
        }
        assert_memory_equal(big, back, n);
    }
    assert_true(resumes > 0);
}

static u8 random_byte(u32 r)
{
    static const u8 special[] = "\003\004\010\n\r\t\021\022\023\025\026\027\032\034\177";

    return r & 1 ? (u8)(r >> 8) : special[(r >> 8) % (sizeof special - 1)];
}

/* Every kind of byte in every mode: the order of the ring's positions holds. */
static void test_random(void **state)
{
    u8 buf[64], c;
    u32 seed = 12345;

    (void)state;
    file.flags = O_NONBLOCK;
    for (unsigned i = 0; i < 300000; i++) {
        u32 r = (seed = seed * 1664525 + 1013904223) >> 8;

        c = random_byte(r);
        tty_input(t, &c, 1);
        if (r % 7 == 0)
            (void)get(buf, 1 + r / 7 % sizeof buf);
        if (r % 997 == 0) {
            u32 visible = ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE;
            set_lflag(t->termios.lflag ^ (r / 997 % 2 ? ICANON : 0) ^ (r / 997 & visible));
        }
        if (seen_size > sizeof seen / 2 || tty_input_room(t) < 100) {
            seen_size = 0;
            assert_int_equal(tty_ioctl(&file, TCFLSH, 2), 0);
        }
        assert_true(t->tail <= t->canon && t->canon <= t->head && t->head - t->tail <= TTY_RING);
        assert_int_equal(locks, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_input_translation), T(test_output), T(test_output_refused), T(test_min_and_time), T(test_min_only),
        T(test_time_only), T(test_neither), T(test_poll), T(test_interrupted), T(test_mode_changes), T(test_drop_on_set),
        T(test_ring_full), T(test_random)};

    return cmocka_run_group_tests_name("terminal: reading and writing", tests, NULL, NULL);
}
