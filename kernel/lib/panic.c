/* The end: says why, shows where, powers off with a failing status. */
#include "arch/arch.h"
#include "dev/console.h"
#include "lib/log.h"
#include "proc/sched.h"

#define PANIC_STATUS 70 /* EX_SOFTWARE of sysexits.h; the host command knows it */

static _Atomic u32 panics;

static void __noreturn die(const struct trapframe *tf, const char *fmt, va_list ap)
{
    char why[256];

    arch_irq_disable();
    if (atomic_fetch_add(&panics, 1) > 0)
        arch_poweroff(PANIC_STATUS); /* while panicking: no more words */
    arch_halt_other_cpus();
    log_panic();
    console_panic();
    vsnprintf(why, sizeof why, fmt, ap);
    printk(LOG_EMERG, "KERNEL PANIC: %s", why);
    if (current)
        printk(LOG_EMERG, "CPU %u, thread %u (%s)", arch_this_cpu()->id, current->tid, current->comm);
    if (tf)
        arch_print_frame(tf);
    arch_backtrace(tf);
    console_drain();
    arch_poweroff(PANIC_STATUS);
}

void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    die(NULL, fmt, ap);
}

void panic_frame(const struct trapframe *tf, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    die(tf, fmt, ap);
}
