/*
 * The line discipline: from typed bytes to lines, with echo and editing; POSIX
 * chapter 11, and what Linux adds. Pure but for the echo.
 */
#include "dev/console.h"
#include "fs/tty.h"
#include "lib/string.h"
#include "proc/signal.h"

#define CTRL(c) ((c) & 31)

void line_init(struct tty *t)
{
    static const u8 cc[NCCS] = {[VINTR] = CTRL('c'), [VQUIT] = CTRL('\\'), [VERASE] = 127,         [VKILL] = CTRL('u'),
                                [VEOF] = CTRL('d'),  [VMIN] = 1,           [VSTART] = CTRL('q'),   [VSTOP] = CTRL('s'),
                                [VSUSP] = CTRL('z'), [VREPRINT] = CTRL('r'), [VDISCARD] = CTRL('o'),
                                [VWERASE] = CTRL('w'), [VLNEXT] = CTRL('v')};

    t->termios = (struct termios){.iflag = ICRNL | IXON | IUTF8,
                                  .oflag = OPOST | ONLCR,
                                  .cflag = 0xbf, /* 38400 baud, 8 bits, receiver on */
                                  .lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN};
    memcpy(t->termios.cc, cc, sizeof cc);
    t->window = (struct winsize){.rows = 24, .columns = 80};
}

static bool has(const struct tty *t, u32 lflag)
{
    return t->termios.lflag & lflag;
}

static bool is_cc(const struct tty *t, unsigned which, u8 c)
{
    return t->termios.cc[which] != 0 && t->termios.cc[which] == c;
}

/* ---- columns ---- */

static bool is_continuation(const struct tty *t, u8 c)
{
    return (t->termios.iflag & IUTF8) && (c & 0xc0) == 0x80;
}

/* Columns that a byte takes when it is echoed at this column. */
static u32 width(const struct tty *t, u8 c, u32 column)
{
    if (c == '\t')
        return 8 - column % 8;
    if (c < 32 || c == 127)
        return has(t, ECHOCTL) ? 2 : 0;
    return is_continuation(t, c) ? 0 : 1;
}

/* ---- output ---- */

static void column_after(struct tty *t, u8 c)
{
    if (c == '\n' && !(t->termios.oflag & (OPOST | ONLCR)))
        return;
    if (c == '\n' || c == '\r')
        t->column = 0;
    else if (c == '\b')
        t->column -= t->column > 0;
    else if (c == '\t')
        t->column += 8 - t->column % 8;
    else if (c >= 32 && !is_continuation(t, c))
        t->column++;
}

size_t line_output(struct tty *t, const u8 *in, size_t n, u8 *out)
{
    size_t done = 0;

    for (size_t i = 0; i < n; i++) {
        u8 c = in[i];
        column_after(t, c);
        if (t->termios.oflag & OPOST) {
            if (c == '\n' && (t->termios.oflag & ONLCR))
                out[done++] = '\r';
            else if (c == '\r' && (t->termios.oflag & OCRNL))
                c = '\n';
        }
        out[done++] = c;
    }
    return done;
}

/* ---- echo ---- */

static void echo_raw(struct tty *t, const char *s, size_t n)
{
    u8 out[40];

    while (n > 0) {
        size_t part = MIN(n, 16ul);
        console_echo(out, line_output(t, (const u8 *)s, part, out));
        s += part;
        n -= part;
    }
}

static void echo_byte(struct tty *t, u8 c)
{
    char s[2] = {'^', (char)(c ^ 64)};

    if ((c < 32 || c == 127) && c != '\n' && c != '\t' && has(t, ECHOCTL))
        echo_raw(t, s, 2);
    else
        echo_raw(t, (char *)&c, 1);
}

static void echo(struct tty *t, u8 c)
{
    if (has(t, ECHO) || (c == '\n' && has(t, ECHONL)))
        echo_byte(t, c);
}

/* ---- the line that is being typed: [canon, head) ---- */

static u8 at(const struct tty *t, u64 position)
{
    return t->ring[position % TTY_RING];
}

static void append(struct tty *t, u8 c)
{
    t->marks[t->head % TTY_RING / 64] &= ~(1ul << t->head % 64);
    t->ring[t->head++ % TTY_RING] = c;
}

/* Where the cursor stands after echoing the line up to here. */
static u32 column_of(const struct tty *t, u64 position)
{
    u32 column = t->line_column;

    for (u64 p = t->canon; p < position; p++)
        column += width(t, at(t, p), column);
    return column;
}

/* Takes back the character before head, all its bytes, and wipes it from the screen. */
static void erase_character(struct tty *t)
{
    u32 before = column_of(t, t->head), after;

    while (t->head > t->canon && is_continuation(t, at(t, t->head - 1)))
        t->head--;
    if (t->head > t->canon)
        t->head--;
    if (!has(t, ECHO))
        return;
    after = column_of(t, t->head);
    if (!has(t, ECHOE)) {
        echo_byte(t, t->termios.cc[VERASE]);
        return;
    }
    for (; before > after; before--)
        echo_raw(t, "\b \b", 3);
}

static bool is_word(u8 c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 128;
}

static void erase_word(struct tty *t)
{
    bool seen = false;

    while (t->head > t->canon) {
        bool word = is_word(at(t, t->head - 1));
        if (seen && !word)
            break;
        seen |= word;
        erase_character(t);
    }
}

static void erase_line(struct tty *t)
{
    if (has(t, ECHOK) && !(has(t, ECHOKE) && has(t, ECHOE))) {
        t->head = t->canon;
        echo(t, t->termios.cc[VKILL]);
        echo_raw(t, "\n", 1);
        t->line_column = 0;
        return;
    }
    while (t->head > t->canon)
        erase_character(t);
}

static void reprint(struct tty *t)
{
    echo(t, t->termios.cc[VREPRINT]);
    echo_raw(t, "\n", 1);
    t->line_column = 0;
    for (u64 p = t->canon; p < t->head; p++)
        echo(t, at(t, p));
}

static void commit(struct tty *t, struct tty_effects *e)
{
    t->canon = t->head;
    t->line_column = t->column;
    e->readable = true;
}

static void end_of_file(struct tty *t, struct tty_effects *e)
{
    append(t, 0);
    t->marks[(t->head - 1) % TTY_RING / 64] |= 1ul << (t->head - 1) % 64;
    commit(t, e);
}

/* ---- input ---- */

static bool signal_character(struct tty *t, u8 c, struct tty_effects *e)
{
    int signo = is_cc(t, VINTR, c) ? SIGINT : is_cc(t, VQUIT, c) ? SIGQUIT : is_cc(t, VSUSP, c) ? SIGTSTP : 0;

    if (!signo || !has(t, ISIG))
        return false;
    if (!has(t, NOFLSH))
        line_flush_input(t);
    t->stopped = false;
    echo(t, c);
    t->line_column = t->column;
    e->signals |= SIG_BIT(signo);
    e->resumed = true;
    return true;
}

static bool flow_character(struct tty *t, u8 c, struct tty_effects *e)
{
    if (!(t->termios.iflag & IXON))
        return false;
    if (is_cc(t, VSTOP, c) && !(t->stopped && is_cc(t, VSTART, c))) {
        t->stopped = true;
        return true;
    }
    if (is_cc(t, VSTART, c) || (t->stopped && (t->termios.iflag & IXANY))) {
        e->resumed = t->stopped;
        t->stopped = false;
        return is_cc(t, VSTART, c);
    }
    return false;
}

/* True: the byte edited the line and is done with. */
static bool edit_character(struct tty *t, u8 c)
{
    if (is_cc(t, VERASE, c) || (t->termios.cc[VERASE] == 127 && c == '\b')) {
        if (t->head > t->canon)
            erase_character(t);
    } else if (is_cc(t, VKILL, c)) {
        erase_line(t);
    } else if (is_cc(t, VWERASE, c) && has(t, IEXTEN)) {
        erase_word(t);
    } else if (is_cc(t, VREPRINT, c) && has(t, IEXTEN)) {
        reprint(t);
    } else if (is_cc(t, VLNEXT, c) && has(t, IEXTEN)) {
        t->literal_next = true;
        if (has(t, ECHO) && has(t, ECHOCTL))
            echo_raw(t, "^\b", 2);
    } else {
        return false;
    }
    return true;
}

static void add(struct tty *t, u8 c, struct tty_effects *e)
{
    if (t->head - t->canon >= TTY_LINE_MAX && has(t, ICANON) && c != '\n')
        return; /* the line is full: as Linux, nothing more is taken before its end */
    echo(t, c);
    append(t, c);
    if (!has(t, ICANON))
        commit(t, e);
}

static void canonical(struct tty *t, u8 c, struct tty_effects *e)
{
    if (is_cc(t, VEOF, c)) {
        end_of_file(t, e);
        return;
    }
    add(t, c, e);
    if (c == '\n' || is_cc(t, VEOL, c) || (is_cc(t, VEOL2, c) && has(t, IEXTEN)))
        commit(t, e);
}

/* The byte as the settings want it; false: it is ignored. */
static bool translate(const struct tty *t, u8 *c)
{
    u32 f = t->termios.iflag;

    if (f & ISTRIP)
        *c &= 127;
    if (*c == '\r') {
        if (f & IGNCR)
            return false;
        if (f & ICRNL)
            *c = '\n';
    } else if (*c == '\n' && (f & INLCR)) {
        *c = '\r';
    }
    return true;
}

void line_input(struct tty *t, u8 c, struct tty_effects *e)
{
    if (t->literal_next) {
        t->literal_next = false;
        add(t, c, e);
        return;
    }
    if (!translate(t, &c) || signal_character(t, c, e) || flow_character(t, c, e))
        return;
    if (t->head == t->canon)
        t->line_column = t->column;
    if (!has(t, ICANON))
        add(t, c, e);
    else if (!edit_character(t, c))
        canonical(t, c, e);
}

void line_flush_input(struct tty *t)
{
    t->tail = t->canon = t->head;
    t->literal_next = false;
}

/* Out of canonical mode what was typed is there at once; into it, it is a line's beginning. */
void line_mode_changed(struct tty *t, u32 old_lflag)
{
    if ((old_lflag ^ t->termios.lflag) & ICANON)
        t->canon = t->head;
}

/* ---- reading ---- */

static bool is_mark(const struct tty *t, u64 position)
{
    return t->marks[position % TTY_RING / 64] >> position % 64 & 1;
}

static bool ends_line(const struct tty *t, u64 position)
{
    u8 c = at(t, position);

    return c == '\n' || is_cc(t, VEOL, c) || is_cc(t, VEOL2, c);
}

size_t line_available(const struct tty *t, bool *eof)
{
    u64 p = t->tail;

    *eof = false;
    for (; p < t->canon; p++) {
        if (is_mark(t, p)) {
            *eof = true;
            break;
        }
        if (has(t, ICANON) && ends_line(t, p)) {
            p++;
            break;
        }
    }
    return p - t->tail;
}

void line_take(struct tty *t, size_t n, bool eof)
{
    t->tail += n + eof;
}
