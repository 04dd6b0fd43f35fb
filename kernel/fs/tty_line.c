/*
 * The line discipline: from typed bytes to lines, and output processing; POSIX
 * chapter 11, and what Linux adds. Pure but for the echo.
 *
 * tail <= canon <= head <= tail + TTY_RING. Out of canonical mode canon is head:
 * what has come may be read at once.
 */
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

/* ---- output ---- */

static void column_after(struct tty *t, u8 c)
{
    if (c == '\r')
        t->column = 0;
    else if (c == '\b')
        t->column -= t->column > 0;
    else if (c == '\t')
        t->column += 8 - t->column % 8;
    else if (c >= 32 && c != 127 && !line_is_continuation(t, c))
        t->column++;
}

static u8 *plain(struct tty *t, u8 c, u8 *out)
{
    column_after(t, c);
    *out = c;
    return out + 1;
}

/* One byte as OPOST wants it; up to 8 bytes. Returns the end of them. */
static u8 *process(struct tty *t, u8 c, u8 *out)
{
    u32 f = t->termios.oflag;

    if (c == '\n') {
        if (f & ONLCR)
            out = plain(t, '\r', out);
        else if (f & ONLRET)
            t->column = 0;
        return plain(t, c, out);
    }
    if (c == '\r') {
        if ((f & ONOCR) && t->column == 0)
            return out;
        if (f & OCRNL) {
            c = '\n';
            if (f & ONLRET)
                t->column = 0;
        }
        return plain(t, c, out);
    }
    if (c == '\t' && (f & TABDLY) == TAB3) {
        do
            out = plain(t, ' ', out);
        while (t->column % 8);
        return out;
    }
    if ((f & OLCUC) && c >= 'a' && c <= 'z')
        c -= 32;
    return plain(t, c, out);
}

size_t line_output(struct tty *t, const u8 *in, size_t n, u8 *out, size_t size, size_t *made)
{
    u8 *to = out;
    size_t done = 0;

    for (; done < n && size - (size_t)(to - out) >= 8; done++)
        to = t->termios.oflag & OPOST ? process(t, in[done], to) : plain(t, in[done], to);
    *made = (size_t)(to - out);
    return done;
}

/* ---- the ring ---- */

static void append(struct tty *t, u8 c)
{
    t->marks[t->head % TTY_RING / 64] &= ~(1ul << t->head % 64);
    t->ring[t->head++ % TTY_RING] = c;
}

static void mark(struct tty *t, u64 position)
{
    t->marks[position % TTY_RING / 64] |= 1ul << position % 64;
}

static bool is_mark(const struct tty *t, u64 position)
{
    return t->marks[position % TTY_RING / 64] >> position % 64 & 1;
}

static bool is_end_of_file(const struct tty *t, u64 position)
{
    return is_mark(t, position) && t->ring[position % TTY_RING] == 0;
}

/* What has been typed may be read. */
static void commit(struct tty *t, struct tty_effects *e)
{
    t->canon = t->head;
    e->readable = true;
}

/* The same, as a line that ends with the last byte. */
static void commit_line(struct tty *t, struct tty_effects *e)
{
    mark(t, t->head - 1);
    commit(t, e);
}

/* ---- input ---- */

static void resume(struct tty *t, struct tty_effects *e)
{
    e->resumed |= t->stopped;
    t->stopped = false;
}

static bool signal_character(struct tty *t, u8 c, struct tty_effects *e)
{
    int signo = line_is_cc(t, VINTR, c) ? SIGINT : line_is_cc(t, VQUIT, c) ? SIGQUIT
                : line_is_cc(t, VSUSP, c) ? SIGTSTP : 0;

    if (!signo || !line_has(t, ISIG))
        return false;
    if (!line_has(t, NOFLSH))
        line_flush_input(t);
    resume(t, e);
    echo_byte(t, c);
    e->signals |= SIG_BIT(signo);
    return true;
}

static bool flow_character(struct tty *t, u8 c, struct tty_effects *e)
{
    bool start = line_is_cc(t, VSTART, c), stop = line_is_cc(t, VSTOP, c);

    if (!(t->termios.iflag & IXON))
        return false;
    if (stop && (!start || !t->stopped)) { /* one key may be both */
        t->stopped = true;
        return true;
    }
    if (start || (t->termios.iflag & IXANY))
        resume(t, e);
    return start;
}

static void add(struct tty *t, u8 c)
{
    if (t->head == t->canon)
        t->line_column = t->column;
    echo_byte(t, c);
    append(t, c);
}

/* Is there room for one more byte of the line, before its end? What is typed beyond is lost, as on Linux. */
static bool line_is_full(struct tty *t)
{
    return t->head - t->canon >= TTY_LINE_MAX;
}

static void canonical(struct tty *t, u8 c, struct tty_effects *e)
{
    bool end = c == '\n' || line_is_cc(t, VEOL, c) || (line_is_cc(t, VEOL2, c) && line_has(t, IEXTEN));

    if (line_is_cc(t, VEOF, c)) {
        append(t, 0);
        commit_line(t, e);
    } else if (end) {
        add(t, c);
        commit_line(t, e);
    } else if (!line_is_full(t)) {
        add(t, c);
    } else if (t->termios.iflag & IMAXBEL) {
        (void)t->driver->write(t, "\a", 1);
    }
}

/* The byte as the settings want it; false: it is ignored. */
static bool translate(const struct tty *t, u8 *c)
{
    u32 f = t->termios.iflag;

    if (f & ISTRIP)
        *c &= 127;
    if ((f & IUCLC) && line_has(t, IEXTEN) && *c >= 'A' && *c <= 'Z')
        *c += 32;
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
        if (!line_is_full(t))
            add(t, c);
        if (!line_has(t, ICANON))
            commit(t, e);
        return;
    }
    if (!translate(t, &c) || signal_character(t, c, e) || flow_character(t, c, e))
        return;
    if (!line_has(t, ICANON)) {
        add(t, c);
        commit(t, e);
    } else {
        if (t->head == t->canon)
            t->line_column = t->column;
        if (!edit_character(t, c))
            canonical(t, c, e);
    }
}

void line_flush_input(struct tty *t)
{
    t->tail = t->canon = t->head;
    t->literal_next = false;
}

/* Out of canonical mode what was typed is there at once; into it, what nobody has read yet is a line. */
void line_mode_changed(struct tty *t, u32 old_lflag)
{
    u64 last = t->head - 1;

    if (!((old_lflag ^ t->termios.lflag) & ICANON))
        return;
    t->canon = t->head;
    if (t->head > t->tail && t->ring[last % TTY_RING] != 0)
        mark(t, last);
}

/* ---- reading ---- */

bool line_ready(const struct tty *t, size_t want)
{
    return line_has(t, ICANON) ? t->canon != t->tail : t->canon - t->tail >= want;
}

size_t line_count(const struct tty *t)
{
    size_t n = t->canon - t->tail;

    if (!line_has(t, ICANON))
        return n;
    for (u64 p = t->tail; p < t->canon; p++)
        n -= is_end_of_file(t, p);
    return n;
}

static size_t read_line(struct tty *t, u8 *buf, size_t n, bool *end)
{
    size_t done = 0;

    while (t->tail < t->canon) {
        u64 p = t->tail;

        if (is_end_of_file(t, p)) { /* also one that stands right behind a full buffer: it belongs to these bytes */
            t->tail++;
            *end = true;
            return done;
        }
        if (done == n)
            return done;
        buf[done++] = t->ring[p % TTY_RING];
        t->tail++;
        if (is_mark(t, p)) {
            *end = true;
            return done;
        }
    }
    *end = true; /* nothing but what became readable by a change of settings */
    return done;
}

size_t line_read(struct tty *t, u8 *buf, size_t n, bool *end)
{
    size_t at = t->tail % TTY_RING;

    *end = false;
    if (line_has(t, ICANON))
        return read_line(t, buf, n, end);
    n = MIN(n, t->canon - t->tail);
    memcpy(buf, t->ring + at, MIN(n, TTY_RING - at));
    memcpy(buf + MIN(n, TTY_RING - at), t->ring, n - MIN(n, TTY_RING - at));
    t->tail += n;
    *end = t->tail == t->canon;
    return n;
}
