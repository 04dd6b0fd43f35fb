/*
 * How several streams share the serial line (boot argument console=framed).
 *
 * Bytes belong to the channel selected last by DLE (0x10) and a letter; DLE DLE
 * is a literal 0x10. Guest to host: '0' terminal, '1' stdout, '2' stderr, 'L'
 * kernel log; 'P' panic, 'R' 4096 bytes of stdin were consumed, 'S' the boot is
 * over. Host to guest: '0' terminal, '1' stdin, 'E' stdin ends, 'W' and
 * "ROWS;COLUMNS\n". Pure: this is the direction to the guest, a byte at a time;
 * whatever comes, the next DLE and letter are understood again.
 */
#pragma once
#include "lib/types.h"

#define DLE 0x10

enum frame_event {
    FRAME_NOTHING,
    FRAME_TTY,    /* the byte is the terminal's */
    FRAME_STDIN,  /* … the program's standard input */
    FRAME_EOF,    /* standard input ends */
    FRAME_WINDOW, /* rows and columns are known */
};
struct frame_input {
    enum { FRAME_IN_DATA, FRAME_IN_CONTROL, FRAME_IN_WINDOW } state;
    bool to_stdin;
    bool in_columns, bad; /* of a size: behind the ';'; it is none */
    unsigned length;      /* of what the size is written with */
    unsigned rows, columns;
};

/* All zero is the state at the beginning. */
enum frame_event frame_input(struct frame_input *f, u8 c);
