/*
 * The console: one serial line that carries the terminal, the kernel log and,
 * when the host command drives it, a program's own stdin, stdout and stderr.
 *
 * Framed (boot argument console=framed): bytes belong to the channel selected
 * last by DLE (0x10) and a letter; DLE DLE is a literal 0x10. docs/testing.md
 * has the table.
 *
 * Output waits in a ring that the transmit interrupt drains; a writer sleeps
 * while it is full, so nothing is lost. Lock: console_lock (RANK_CONSOLE).
 */
#pragma once
#include "lib/types.h"

enum console_channel { CONSOLE_TTY = '0', CONSOLE_OUT = '1', CONSOLE_ERR = '2', CONSOLE_LOG = 'L' };

void console_init(void);   /* early: after the machine has filled `platform`; polled output until console_start */
void console_start(void);  /* interrupts and threads work: interrupt-driven from now; registers /dev/host* */
/* Sleeps while the ring is full; killable. Bytes taken (> 0), or -ERESTARTSYS. nonblock: -EAGAIN. */
ssize_t console_write(enum console_channel ch, const void *buf, size_t n, bool nonblock);
struct waitq *console_write_waitq(void);
bool console_write_ready(void);
void console_echo(const void *buf, size_t n); /* to the terminal, any context: never sleeps, drops what does not fit */
void console_input_resume(void); /* the terminal has room again */
/* For printk: any context, never sleeps; drains by polling when the ring is full. */
void console_log_write(const char *buf, size_t n);
void console_event(char letter);  /* DLE letter: 'S' boot is over */
void console_drain(void);         /* waits until everything has left; before power-off */
void console_panic(void);         /* from now on polled, without locks; announces DLE 'P' */
