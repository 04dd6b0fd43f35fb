/*
 * The console: one serial line that carries the terminal, the kernel log and,
 * when the host command drives it, a program's own stdin, stdout and stderr
 * (boot argument console=framed; dev/framing.h).
 *
 * Output waits in a ring that the transmit interrupt drains; a writer sleeps
 * while it is full, so nothing is lost. Lock: console_lock (RANK_CONSOLE).
 */
#pragma once
#include "lib/types.h"

enum console_channel { CONSOLE_TTY = '0', CONSOLE_OUT = '1', CONSOLE_ERR = '2', CONSOLE_LOG = 'L' };
#define CONSOLE_CHUNK 4104u /* what console_try_write takes at once */

void console_init(void);   /* early: after the machine has filled `platform`; polled output until console_start */
void console_start(void);  /* interrupts and threads work: interrupt-driven from now; registers /dev/host* */
bool console_is_framed(void);

/* All n bytes (<= CONSOLE_CHUNK) in one piece, or false: wait for console_write_ready. Never sleeps; any context. */
bool console_try_write(enum console_channel ch, const void *buf, size_t n);
/* Asks for a wake of console_write_waitq if the answer is no: to be called by who is in that queue already. */
bool console_write_ready(void);
struct waitq *console_write_waitq(void);
/* Sleeps until what was written before the call has left: 0, or -ERESTARTSYS. */
int console_wait_sent(void);
size_t console_pending(void);     /* bytes not yet sent */
void console_input_resume(void);  /* the terminal has more room */

/* For printk: any context, never sleeps; drains by polling when the ring is full. */
void console_log_write(const char *buf, size_t n);
void console_event(char letter);  /* DLE letter */
void console_drain(void);         /* waits until everything has left; before power-off */
void console_panic(void);         /* from now on polled, without locks; announces DLE 'P' */

/* ---- hostdev.c: /dev/hostin, hostout, hosterr ---- */
void hostdev_init(void);
void hostin_add(u8 c); /* from the console's interrupt */
void hostin_end(void);
void hostin_wake(void); /* after some of them */
