/*
 * Terminals: the line discipline (tty_line.c), job control and the calls (tty.c).
 *
 * Lock: tty->lock (RANK_TTY) for rings and settings; tty->read_lock
 * (RANK_TTY_READ) keeps readers apart. Input arrives from interrupts.
 */
#pragma once
#include "fs/file.h"

struct process;
struct session;

/* Linux's struct termios (asm-generic/termbits.h). */
#define NCCS 19
struct termios {
    u32 iflag, oflag, cflag, lflag;
    u8 line, cc[NCCS];
};
struct winsize {
    u16 rows, columns, xpixel, ypixel;
};
enum { VINTR, VQUIT, VERASE, VKILL, VEOF, VTIME, VMIN, VSWTC, VSTART, VSTOP, VSUSP, VEOL, VREPRINT, VDISCARD, VWERASE,
       VLNEXT, VEOL2 };
#define ISTRIP 0x20u
#define INLCR 0x40u
#define IGNCR 0x80u
#define ICRNL 0x100u
#define IXON 0x400u
#define IXANY 0x800u
#define IUTF8 0x4000u
#define OPOST 1u
#define ONLCR 4u
#define OCRNL 8u
#define ONLRET 0x20u
#define ISIG 1u
#define ICANON 2u
#define ECHO 8u
#define ECHOE 0x10u
#define ECHOK 0x20u
#define ECHONL 0x40u
#define NOFLSH 0x80u
#define TOSTOP 0x100u
#define ECHOCTL 0x200u
#define ECHOKE 0x800u
#define IEXTEN 0x8000u

#define TTY_RING 65536u
#define TTY_LINE_MAX 4095u

struct tty {
    struct spinlock lock;     /* RANK_TTY */
    struct mutex read_lock;   /* RANK_TTY_READ */
    struct termios termios;
    struct winsize window;
    u8 ring[TTY_RING];
    u64 marks[TTY_RING / 64]; /* an end of file was typed here */
    u64 tail, canon, head;    /* read so far; complete lines up to here; all, with the line that is being typed */
    bool literal_next;        /* after VLNEXT */
    bool stopped;             /* output, by VSTOP */
    u32 column, line_column;  /* of the cursor; where the line that is being typed began */
    struct waitq readable, writable;
    struct session *session;  /* whose controlling terminal it is; process_lock */
    u32 foreground;           /* process group; process_lock */
};

/* ---- tty_line.c: the line discipline; lock held ---- */
struct tty_effects { /* to be carried out when the lock has been released */
    u64 signals;     /* SIG_BITs for the foreground group */
    bool readable, resumed;
};
void line_init(struct tty *t);
void line_input(struct tty *t, u8 c, struct tty_effects *e);
/* Bytes for the user that a read may have now: up to a line's end in canonical mode. *eof: a typed end of file stands
 * first. line_take advances past n of them (and past the end of file). */
size_t line_available(const struct tty *t, bool *eof);
void line_take(struct tty *t, size_t n, bool eof);
void line_flush_input(struct tty *t);
void line_mode_changed(struct tty *t, u32 old_lflag);
/* Output processing of n bytes into out, which has room for 2 n + 8; the bytes there. */
size_t line_output(struct tty *t, const u8 *in, size_t n, u8 *out);

/* ---- tty.c ---- */
void tty_init(void);                        /* /dev/console, /dev/tty, /dev/ttyS0 */
void tty_input(const u8 *buf, size_t n);    /* from the console, interrupt context; no more than tty_input_room */
size_t tty_input_room(void);
void tty_set_window(u16 rows, u16 columns); /* SIGWINCH when changed */
/* A session leader ends: the terminal is no longer controlling; its foreground group gets SIGHUP and SIGCONT. */
void tty_hangup_session(struct process *leader);
u32 tty_number(struct tty *t), tty_foreground(struct tty *t); /* for /proc/PID/stat */
