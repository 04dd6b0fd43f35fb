/*
 * Terminals: the line discipline, job control, and the console's terminal.
 *
 * Lock: tty->lock (RANK_TTY) for rings and settings; tty->read_lock
 * (RANK_TTY_MUTEX) keeps readers apart. Input arrives from interrupts.
 */
#pragma once
#include "fs/file.h"

struct tty;
struct process;
void tty_init(void);                            /* /dev/console, /dev/tty, /dev/ttyS0 */
void tty_input(const u8 *buf, size_t n);        /* from the console driver, interrupt context; returns what was not taken as throttling */
size_t tty_input_room(void);                    /* bytes that tty_input takes now */
void tty_set_window(u16 rows, u16 cols);        /* SIGWINCH when changed */
/* A session leader ends: the terminal is no longer controlling, its foreground group gets SIGHUP and SIGCONT. process_lock not held. */
void tty_hangup_session(struct process *leader);
u32 tty_number(struct tty *t), tty_foreground(struct tty *t); /* for /proc/PID/stat */
