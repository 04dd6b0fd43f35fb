/* The kernel log: a ring of text that syslog(2) reads. printk is in lib/print.h. */
#pragma once
#include "lib/print.h"

/* Where lines at or above the console's level go as well. Lines from before are handed over at once. */
void log_set_console(void (*write)(const char *buf, size_t n));
void log_set_level(int level); /* lines with a lower number reach the console */
int log_level(void);
/* Text from position *pos on (positions only grow; what has been overwritten is skipped), as syslog(2) gives it:
 * each line with its "<level>" and time. Bytes copied; *pos advances. */
size_t log_read(u64 *pos, char *buf, size_t size);
u64 log_start(void), log_end(void); /* the positions that there is text for */
size_t log_capacity(void);
void log_panic(void); /* from now on without the lock, and everything reaches the console */
