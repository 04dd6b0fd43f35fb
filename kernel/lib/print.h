/*
 * Messages, formatting and giving up.
 *
 * printk goes to the kernel log (a ring in memory that dmesg reads) and, when
 * its level is at or below the console's, to the console. Safe in any context,
 * interrupts and held spinlocks included. Formats: d i u x X p s c % with
 * flags - 0 + space #, width and precision (also *), lengths hh h l ll z.
 */
#pragma once
#include <stdarg.h>
#include "lib/types.h"

enum log_level { LOG_EMERG = 0, LOG_ERR = 3, LOG_WARN = 4, LOG_NOTICE = 5, LOG_INFO = 6, LOG_DEBUG = 7 };

void printk(enum log_level level, const char *fmt, ...) __printf_like(2, 3);
/* As C's: at most size-1 characters and a NUL are stored; returns the length that would have been. */
int snprintf(char *buf, size_t size, const char *fmt, ...) __printf_like(3, 4);
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);

/*
 * An invariant is broken: stops the other CPUs, prints the reason, registers
 * and a backtrace, powers off with a failing status. Never because of what a
 * user program, an image or a boot argument said.
 */
void panic(const char *fmt, ...) __printf_like(1, 2) __noreturn;

#define ASSERT(cond)                                                         \
    do {                                                                     \
        if (unlikely(!(cond)))                                               \
            panic("assertion failed: %s (%s:%d)", #cond, __FILE__, __LINE__); \
    } while (0)
/* Checked in debug builds only, but always compiled. */
#ifdef COWSLIP_DEBUG
#define DEBUG_ASSERT(cond) ASSERT(cond)
#else
#define DEBUG_ASSERT(cond) ((void)sizeof(!(cond)))
#endif
