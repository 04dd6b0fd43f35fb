/*
 * Editing the line that is being typed, and what of it is seen: erase, kill,
 * word erase, reprint; POSIX chapter 11.1.9, and what Linux adds. Every wipe
 * takes time in proportion to the line, as it runs in an interrupt.
 */
#include "fs/tty.h"

#define WIPE_MAX 4096u /* columns wiped at once: more than a screen */

bool line_has(const struct tty *t, u32 lflag)
{
    return t->termios.lflag & lflag;
}

bool line_is_cc(const struct tty *t, unsigned which, u8 c)
{
    return t->termios.cc[which] != 0 && t->termios.cc[which] == c;
}

bool line_is_continuation(const struct tty *t, u8 c)
{
    return (t->termios.iflag & IUTF8) && (c & 0xc0) == 0x80;
}

static u8 at(const struct tty *t, u64 position)
{
    return t->ring[position % TTY_RING];
}

/* ---- echo ---- */

/* False: what shows it is full; the rest is not seen. */
static bool echo_raw(struct tty *t, const char *s, size_t n)
{
    u8 out[32];
    size_t made;

    while (n > 0) {
        size_t used = line_output(t, (const u8 *)s, n, out, sizeof out, &made);

        if (!t->driver->write(t, out, made))
            return false;
        s += used;
        n -= used;
    }
    return true;
}

static bool echo_visible(struct tty *t, u8 c)
{
    char s[2] = {'^', (char)(c ^ 64)};

    if ((c < 32 || c == 127) && c != '\n' && c != '\t' && line_has(t, ECHOCTL))
        return echo_raw(t, s, 2);
    return echo_raw(t, (char *)&c, 1);
}

bool echo_byte(struct tty *t, u8 c)
{
    return line_has(t, ECHO) || (c == '\n' && line_has(t, ECHONL)) ? echo_visible(t, c) : true;
}

/* ---- erasing ---- */

/* Columns that a byte takes when it is echoed at this column. */
static u32 width(const struct tty *t, u8 c, u32 column)
{
    if (c == '\t')
        return 8 - column % 8;
    if (c < 32 || c == 127)
        return line_has(t, ECHOCTL) ? 2 : 0;
    return line_is_continuation(t, c) ? 0 : 1;
}

/* Where the cursor stands after echoing the line up to here. */
static u32 column_of(const struct tty *t, u64 position)
{
    u32 column = t->line_column;

    for (u64 p = t->canon; p < position; p++)
        column += width(t, at(t, p), column);
    return column;
}

/* The line ends here from now on, and what was behind is wiped from the screen. */
static void cut(struct tty *t, u64 end)
{
    u32 before = column_of(t, t->head), after = column_of(t, end);

    t->head = end;
    for (u32 n = MIN(before - after, WIPE_MAX); n > 0 && echo_raw(t, "\b \b", 3);)
        n--;
}

/* Where the character that ends at `end` begins: at all its bytes. */
static u64 character_start(const struct tty *t, u64 end)
{
    while (end > t->canon && line_is_continuation(t, at(t, end - 1)))
        end--;
    return end > t->canon ? end - 1 : end;
}

static bool is_word(u8 c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 128;
}

/* Where the last word begins; what is not a word behind it goes with it. */
static u64 word_start(const struct tty *t)
{
    u64 p = t->head;

    while (p > t->canon && !is_word(at(t, p - 1)))
        p--;
    while (p > t->canon && is_word(at(t, p - 1)))
        p--;
    return p;
}

/* wipe: from the screen, too; else the erase character is seen, as on paper. */
static void erase(struct tty *t, u64 start, bool wipe)
{
    if (start == t->head)
        return;
    if (line_has(t, ECHO) && wipe) {
        cut(t, start);
        return;
    }
    t->head = start;
    echo_byte(t, t->termios.cc[VERASE]);
}

static void kill_line(struct tty *t)
{
    if (line_has(t, ECHO) && line_has(t, ECHOK) && line_has(t, ECHOKE) && line_has(t, ECHOE)) {
        cut(t, t->canon);
        return;
    }
    t->head = t->canon;
    echo_byte(t, t->termios.cc[VKILL]);
    if (line_has(t, ECHO) && line_has(t, ECHOK))
        echo_raw(t, "\n", 1);
    t->line_column = t->column;
}

static void reprint(struct tty *t)
{
    echo_byte(t, t->termios.cc[VREPRINT]);
    echo_raw(t, "\n", 1);
    t->line_column = t->column;
    for (u64 p = t->canon; p < t->head && echo_byte(t, at(t, p));)
        p++;
}

/* Where VERASE is DEL, backspace erases too: some terminals send it for that key. */
bool edit_character(struct tty *t, u8 c)
{
    bool extended = line_has(t, IEXTEN);

    if (line_is_cc(t, VERASE, c) || (t->termios.cc[VERASE] == 127 && c == '\b')) {
        erase(t, character_start(t, t->head), line_has(t, ECHOE));
    } else if (line_is_cc(t, VKILL, c)) {
        kill_line(t);
    } else if (extended && line_is_cc(t, VWERASE, c)) {
        erase(t, word_start(t), true);
    } else if (extended && line_has(t, ECHO) && line_is_cc(t, VREPRINT, c)) {
        reprint(t);
    } else if (extended && line_is_cc(t, VLNEXT, c)) {
        t->literal_next = true;
        if (line_has(t, ECHO) && line_has(t, ECHOCTL))
            echo_raw(t, "^\b", 2);
    } else {
        return false;
    }
    return true;
}
