/* The demultiplexer of the serial line's input; framing.h has the table. */
#include "dev/framing.h"

#define WINDOW_MAX 9999u
#define WINDOW_LENGTH_MAX 15u

static enum frame_event data(const struct frame_input *f)
{
    return f->to_stdin ? FRAME_STDIN : FRAME_TTY;
}

/* What follows a DLE. Letters that nobody knows are ignored. */
static enum frame_event control(struct frame_input *f, u8 c)
{
    f->state = FRAME_IN_DATA;
    switch (c) {
    case DLE:
        return data(f);
    case '0':
    case '1':
        f->to_stdin = c == '1';
        break;
    case 'E':
        return FRAME_EOF;
    case 'W':
        f->state = FRAME_IN_WINDOW;
        f->in_columns = f->bad = false;
        f->length = f->rows = f->columns = 0;
        break;
    }
    return FRAME_NOTHING;
}

/* "ROWS;COLUMNS\n". What is none has no effect, and a newline that got lost does not cost more than a few bytes. */
static enum frame_event window(struct frame_input *f, u8 c)
{
    unsigned *number = f->in_columns ? &f->columns : &f->rows;

    if (c == '\n' || ++f->length > WINDOW_LENGTH_MAX) {
        f->state = FRAME_IN_DATA;
        return c == '\n' && !f->bad && f->rows > 0 && f->columns > 0 ? FRAME_WINDOW : FRAME_NOTHING;
    }
    if (c >= '0' && c <= '9' && *number <= WINDOW_MAX / 10)
        *number = *number * 10 + (unsigned)(c - '0');
    else if (c == ';' && !f->in_columns)
        f->in_columns = true;
    else
        f->bad = true;
    return FRAME_NOTHING;
}

enum frame_event frame_input(struct frame_input *f, u8 c)
{
    if (f->state == FRAME_IN_CONTROL)
        return control(f, c);
    if (c == DLE) {
        f->state = FRAME_IN_CONTROL;
        return FRAME_NOTHING;
    }
    return f->state == FRAME_IN_WINDOW ? window(f, c) : data(f);
}
