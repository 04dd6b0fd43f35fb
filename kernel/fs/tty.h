/*
 * Terminals: the line discipline (tty_line.c, tty_edit.c), job control
 * (tty_job.c) and the calls (tty.c). Below a terminal is a driver: the console's
 * serial line, or the program at the other end of a pseudoterminal (pty.c).
 *
 * Lock: tty->lock (RANK_TTY) for rings and settings; tty->read_lock
 * (RANK_TTY_READ) keeps what one reader takes in one piece; nobody waits for
 * input with it held. Input arrives from interrupts. Which session and group a
 * terminal belongs to is under process_lock, and signals are sent with no lock
 * of the terminal held, as that takes process_lock.
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
#define IUCLC 0x200u
#define IXON 0x400u
#define IXANY 0x800u
#define IMAXBEL 0x2000u
#define IUTF8 0x4000u
#define OPOST 1u
#define OLCUC 2u
#define ONLCR 4u
#define OCRNL 8u
#define ONOCR 0x10u
#define ONLRET 0x20u
#define TABDLY 0x1800u
#define TAB3 0x1800u
#define ISIG 1u
#define ICANON 2u
#define ECHO 8u
#define ECHOE 0x10u
#define ECHOK 0x20u
#define ECHONL 0x40u
#define NOFLSH 0x80u
#define TOSTOP 0x100u
#define ECHOCTL 0x200u
#define ECHOPRT 0x400u
#define ECHOKE 0x800u
#define IEXTEN 0x8000u

#define TTY_RING 65536u
#define TTY_LINE_MAX 4095u

struct tty;
struct tty_driver {
    bool (*write)(struct tty *t, const void *buf, size_t n); /* n <= CONSOLE_CHUNK: all of it or false; t->lock held */
    void (*written)(struct tty *t);        /* after one or more of these, without the lock */
    bool (*ready)(struct tty *t);          /* has write room for a piece? */
    struct waitq *(*waitq)(struct tty *t); /* who waits for that, or for output to go on */
    int (*wait_sent)(struct tty *t);       /* 0, -ERESTARTSYS */
    size_t (*pending)(struct tty *t);      /* bytes that are not sent yet */
    void (*input_taken)(struct tty *t);    /* there may be more room for input */
};

struct tty {
    const struct tty_driver *driver;
    u64 rdev;
    struct spinlock lock;     /* RANK_TTY */
    struct mutex read_lock;   /* RANK_TTY_READ */
    struct termios termios;
    struct winsize window;
    u8 ring[TTY_RING];
    u64 marks[TTY_RING / 64]; /* a line ends with this byte; a marked NUL is an end of file and not a byte */
    u64 tail, canon, head;    /* read so far; what may be read ends here; all, with the line that is being typed */
    bool literal_next;        /* after VLNEXT */
    bool stopped;             /* output, by VSTOP or TCXONC */
    bool hung_up;             /* the other end is gone for ever: reads end, all else is -EIO */
    u32 column, line_column;  /* of the cursor; where the line that is being typed began */
    struct waitq readable;
    struct session *session;  /* whose controlling terminal it is; process_lock */
    u32 foreground;           /* process group; written under process_lock */
};

/* ---- tty_line.c: the line discipline; lock held ---- */
struct tty_effects { /* to be carried out when the lock has been released */
    u64 signals;     /* SIG_BITs for the foreground group */
    bool readable, resumed;
};
void line_init(struct tty *t);
void line_input(struct tty *t, u8 c, struct tty_effects *e);
/* Would a read have something to return: in canonical mode a line or an end of file, else so many bytes? */
bool line_ready(const struct tty *t, size_t want);
/* Bytes that could be read; those of all lines in canonical mode. */
size_t line_count(const struct tty *t);
/* Takes up to n bytes, no more than a line in canonical mode; the bytes. *end: a read returns now, as the line, the
 * file or all there was has ended. */
size_t line_read(struct tty *t, u8 *buf, size_t n, bool *end);
void line_flush_input(struct tty *t);
void line_mode_changed(struct tty *t, u32 old_lflag);
/* Output processing: how many of the n bytes found room in out, of `size` bytes (8 or more); *made of them are used. */
size_t line_output(struct tty *t, const u8 *in, size_t n, u8 *out, size_t size, size_t *made);

/* ---- tty_edit.c: echo, and editing of the line [canon, head) that is being typed; lock held ---- */
bool line_has(const struct tty *t, u32 lflag);
bool line_is_cc(const struct tty *t, unsigned which, u8 c);
bool line_is_continuation(const struct tty *t, u8 c); /* of a character of UTF-8 that has begun before */
bool echo_byte(struct tty *t, u8 c); /* if the settings want it; false: there is no room to show it */
bool edit_character(struct tty *t, u8 c);             /* true: the byte edited the line and is done with */

/* ---- tty_job.c: job control ---- */
int tty_background_check(struct tty *t, int signo); /* for SIGTTIN, SIGTTOU: 0, -EIO, -ERESTARTSYS */
s64 tty_job_ioctl(struct tty *t, u32 cmd, u64 arg); /* -ENOTTY: not one of job control */
void tty_open_session(struct tty *t, u32 flags); /* a session leader that has none may get it as its own */
struct tty *tty_controlling_get(void);           /* with pty_get; NULL: there is none */
/* A session leader ends: the terminal is no longer controlling; its foreground group gets SIGHUP and SIGCONT. */
void tty_hangup_session(struct process *leader);
/* The terminal itself is gone: its session has none any more, and its leader and foreground group are told. */
void tty_hangup(struct tty *t);
s64 tty_job_ioctl_master(struct tty *t, u32 cmd, u64 arg); /* the questions that the other end of a pseudoterminal asks */
u32 tty_number(struct tty *t), tty_foreground(struct tty *t); /* for /proc/PID/stat */

/* ---- tty.c ---- */
enum {
    TCGETS = 0x5401, TCSETS, TCSETSW, TCSETSF, TCSBRK = 0x5409, TCXONC, TCFLSH, TIOCEXCL, TIOCNXCL, TIOCSCTTY,
    TIOCGPGRP, TIOCSPGRP, TIOCOUTQ, TIOCSTI, TIOCGWINSZ, TIOCSWINSZ, FIONREAD = 0x541b, TIOCNOTTY = 0x5422,
    TIOCGETD = 0x5424, TCSBRKP = 0x5425, TIOCGSID = 0x5429
};
void tty_init(void); /* /dev/console, /dev/tty, /dev/ttyS0 */
extern struct tty console_tty;
void tty_start(struct tty *t, const struct tty_driver *driver, u64 rdev); /* makes zeroed memory a terminal */
void tty_input(struct tty *t, const u8 *buf, size_t n); /* any context; no more than tty_input_room */
size_t tty_input_room(struct tty *t);
void tty_set_window(struct tty *t, u16 rows, u16 columns); /* SIGWINCH when changed */
/* What the file operations of any terminal are made of; f->priv is the terminal. */
ssize_t tty_read(struct file *f, struct uio *u, u64 *pos), tty_write(struct file *f, struct uio *u, u64 *pos);
unsigned tty_poll(struct file *f, struct poll_set *ps);
s64 tty_ioctl(struct file *f, u32 cmd, u64 arg);
s64 tty_ioctl_settings(struct tty *t, u32 cmd, u64 arg); /* those that both ends have; -ENOTTY */

/* ---- pty.c ---- */
void pty_init(void); /* /dev/ptmx, and /dev/pts */
#define PTY_MAJOR 136u
bool pty_get(struct tty *t); /* an open file of the slave more; false: it is going away. ptys_lock, or process_lock and a session's */
extern const struct file_ops pty_slave_ops;
