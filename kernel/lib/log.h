/*
 * The kernel log: a ring of text lines that syslog(2) reads. printk is in lib/print.h.
 *
 * A position counts all bytes that were ever logged, so it only grows; the
 * ring holds the last log_capacity() of them. Each line is "<level>[time] text"
 * and a newline, and has no other control characters than tabs in it, whatever
 * was printed: nobody can forge a line.
 */
#pragma once
#include "lib/print.h"

void log_init(void); /* after bootargs_parse: takes the console's level from loglevel= */
/* Where lines at or above the console's level go as well, without their "<level>"; called with the log's lock held.
 * Lines from before, which no console has seen, are handed over at once. */
void log_set_console(void (*write)(const char *buf, size_t n));
void log_set_level(int level); /* lines with a lower number reach the console */
int log_level(void);
/* Whole lines from position *pos on; *pos advances past them. A position inside a line, or of text that has been
 * overwritten, counts as the next line's. A first line longer than the buffer is cut. Returns the bytes copied. */
size_t log_read(u64 *pos, char *buf, size_t size);
u64 log_start(void), log_end(void); /* the positions that there is text for */
size_t log_capacity(void);
/* For panics, interrupts off. From now on this CPU logs without the lock, all that it says reaches the console, and
 * what others say is lost. */
void log_panic(void);
void log_panic_tail(void); /* gives the console the last lines before log_panic that its level kept from it */
