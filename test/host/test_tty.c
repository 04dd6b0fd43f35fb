/* fs/tty_line.c and tty_edit.c: what a person types and sees, and the lines that a program reads. */
#include "tty_fixture.h"

/* ---- lines ---- */

static void test_line(void **state)
{
    (void)state;
    type("hello");
    file.flags = O_NONBLOCK;
    assert_int_equal(get(seen, 1), -EAGAIN);
    type("\r");
    assert_reads("hello\n");
    type("one\ntwo\nthr");
    assert_reads("one\n");
    assert_reads("two\n");
    assert_int_equal(get(seen, 1), -EAGAIN);
    type("ee\n");
    assert_reads("three\n");
}

static void test_echo(void **state)
{
    (void)state;
    type("hello\r");
    assert_seen("hello\r\n");
}

static void test_line_in_pieces(void **state)
{
    char buf[4] = "";

    (void)state;
    type("abcdef\nx\n");
    assert_int_equal(get(buf, 3), 3);
    assert_memory_equal(buf, "abc", 3);
    assert_int_equal(get(buf, 3), 3);
    assert_int_equal(get(buf, 3), 1);
    assert_int_equal(buf[0], '\n');
    assert_reads("x\n");
}

static void test_end_of_file(void **state)
{
    char buf[4];

    (void)state;
    type("\004");
    assert_reads("");
    type("abc\004\004");
    assert_reads("abc");
    assert_reads("");
    type("abc\004def\n"); /* a full buffer takes the end of file that stands behind it */
    assert_int_equal(get(buf, 3), 3);
    assert_reads("def\n");
    assert_seen("abcabcdef\r\n");
}

static void test_literal_next(void **state)
{
    (void)state;
    type("a\026\003b\026\004c\026\nd\026\177\n");
    assert_int_equal(signals, 0);
    assert_reads("a\003b\004c\nd\177\n"); /* a literal newline ends no line */
    assert_seen("a^\b^Cb^\b^Dc^\b\r\nd^\b^?\r\n");
}

static void test_other_line_ends(void **state)
{
    (void)state;
    t->termios.cc[VEOL] = ';';
    type("a;b\n");
    t->termios.cc[VEOL] = 0; /* does not change what has been typed */
    assert_reads("a;");
    assert_reads("b\n");
}

static void test_long_line(void **state)
{
    static char line[8192], buf[8192];

    (void)state;
    memset(line, 'x', 5000);
    t->termios.lflag &= ~ECHO;
    type(line);
    type("\r");
    assert_int_equal(get(buf, sizeof buf), TTY_LINE_MAX + 1);
    assert_int_equal(buf[TTY_LINE_MAX], '\n');
    assert_int_equal(t->head, t->tail);
}

/* ---- editing ---- */

static void test_erase(void **state)
{
    (void)state;
    type("ab\177c\177\177\177\177x\n");
    assert_reads("x\n");
    assert_seen("ab\b \bc\b \b\b \bx\r\n");
    type("\303\244\342\202\254\177\177z\n"); /* two characters of two and three bytes */
    assert_reads("z\n");
    assert_seen("\303\244\342\202\254\b \b\b \bz\r\n");
    type("a\tb\177\177c\n"); /* the tab went to column 8 */
    assert_reads("ac\n");
    assert_seen("a\tb\b \b\b \b\b \b\b \b\b \b\b \b\b \b\b \bc\r\n");
    type("\001\177q\n"); /* seen as ^A: two columns */
    assert_reads("q\n");
    assert_seen("^A\b \b\b \bq\r\n");
}

static void test_tab_after_prompt(void **state)
{
    (void)state;
    put_text("name: ");
    seen_size = 0;
    type("\t\177k\n");
    assert_seen("\t\b \b\b \bk\r\n"); /* from column 6 to 8 */
}

static void test_word_and_line_erase(void **state)
{
    (void)state;
    type("one two, \027X\n");
    assert_reads("one X\n");
    seen_size = 0;
    type("abc\025d\n");
    assert_reads("d\n");
    assert_seen("abc\b \b\b \b\b \bd\r\n");
    t->termios.lflag &= ~ECHOKE;
    type("abc\025d\n");
    assert_reads("d\n");
    assert_seen("abc^U\r\nd\r\n");
    t->termios.lflag &= ~ECHO; /* a password: nothing is seen of its editing either */
    type("abc\025d\027e\177f\022\n");
    assert_reads("f\022\n");
    assert_seen("");
}

static void test_reprint(void **state)
{
    (void)state;
    type("ab\003");
    type("cd\022e\n");
    assert_seen("ab^Ccd^R\r\ncde\r\n");
    assert_reads("cde\n");
}

static void test_long_erase_is_bounded(void **state)
{
    static char tabs[TTY_LINE_MAX + 1];

    (void)state;
    memset(tabs, '\t', TTY_LINE_MAX);
    type(tabs);
    seen_size = 0;
    type("\025");
    assert_int_equal(seen_size, 3 * WIPE_MAX);
    type("ok\n");
    assert_reads("ok\n");
}

/* ---- signals and flow ---- */

static void test_signals(void **state)
{
    (void)state;
    type("typed\003");
    assert_int_equal(signals, SIG_BIT(SIGINT));
    type("\034\032");
    assert_int_equal(signals, SIG_BIT(SIGINT) | SIG_BIT(SIGQUIT) | SIG_BIT(SIGTSTP));
    type("x\n");
    assert_reads("x\n"); /* what was typed before is gone */
    set_lflag(t->termios.lflag | NOFLSH);
    type("keep\003\n");
    assert_reads("keep\n");
    set_lflag(t->termios.lflag & ~ISIG);
    signals = 0;
    type("\003\n");
    assert_reads("\003\n");
    assert_int_equal(signals, 0);
}

/* A flush by a signal character between two pieces of a read leaves the ring sound. */
static void test_flush_while_reading(void **state)
{
    char buf[300];

    (void)state;
    for (unsigned i = 0; i < 3 * TTY_RING / 600; i++) {
        memset(buf, 'a', sizeof buf - 1);
        buf[sizeof buf - 1] = 0;
        type(buf);
        type("\n");
        assert_int_equal(get(buf, 10), 10);
        type("more\003");
        assert_int_equal(t->head, t->tail);
        assert_int_equal(tty_input_room(t), TTY_RING - 2);
    }
}

static void test_flow(void **state)
{
    static const struct piece resume_typed[] = {{5, "\021"}, {0}};
    char c = 'x';
    struct uio u = {.cur.base = (u64)&c, .left = 1};

    (void)state;
    type("\023");
    file.flags = O_NONBLOCK;
    assert_int_equal(tty_write(&file, &u, NULL), -EAGAIN);
    assert_int_equal(tty_poll(&file, NULL) & POLLOUT, 0);
    file.flags = 0;
    script = resume_typed;
    put_text("later");
    assert_int_equal(now, 5);
    assert_seen("later");
    t->termios.iflag &= ~IXON;
    type("\023\n");
    assert_reads("\023\n");
}

static void test_window(void **state)
{
    struct winsize w;

    (void)state;
    tty_set_window(t, 24, 80); /* as it is */
    assert_int_equal(signals, 0);
    tty_set_window(t, 50, 100);
    assert_int_equal(signals, SIG_BIT(SIGWINCH));
    assert_int_equal(tty_ioctl(&file, TIOCGWINSZ, (u64)&w), 0);
    assert_int_equal(w.rows, 50);
    assert_int_equal(w.columns, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_line), T(test_echo), T(test_line_in_pieces), T(test_end_of_file), T(test_literal_next),
        T(test_other_line_ends), T(test_long_line), T(test_erase), T(test_tab_after_prompt), T(test_word_and_line_erase),
        T(test_reprint), T(test_long_erase_is_bounded), T(test_signals), T(test_flush_while_reading), T(test_flow),
        T(test_window)};

    return cmocka_run_group_tests_name("terminal: lines", tests, NULL, NULL);
}
