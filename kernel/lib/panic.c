/*
 * The end: says why, shows where, powers off with a failing status.
 *
 * The most telling comes first, as anything here may fail in its turn: a panic
 * inside a panic powers off at once. Of several CPUs that panic, the first one
 * speaks. No lock is taken: log.c and the console stop doing so.
 */
#include "arch/arch.h"
#include "dev/console.h"
#include "lib/log.h"
#include "proc/sched.h"

#define PANIC_STATUS 70 /* EX_SOFTWARE of sysexits.h; the host command knows it */

static _Atomic u32 panic_owner; /* 1 + the number of the CPU that panics */

/* Only the first CPU to come here gets on. */
static void claim(void)
{
    u32 me = arch_this_cpu()->id + 1, owner = 0;

    if (atomic_compare_exchange_strong(&panic_owner, &owner, me))
        return;
    if (owner == me)
        arch_poweroff(PANIC_STATUS);
    for (;;) /* the owner turns the machine off */
        arch_cpu_idle();
}

static void print_where(void)
{
    const struct thread *t = current;

    if (t)
        printk(LOG_EMERG, "CPU %u, thread %u (%.*s)", arch_this_cpu()->id, t->tid, (int)sizeof t->comm, t->comm);
    else
        printk(LOG_EMERG, "CPU %u, no thread yet", arch_this_cpu()->id);
    if (t && t->frame) /* in it, or after it */
        printk(LOG_EMERG, "last system call %lu(%#lx, %#lx, %#lx, %#lx, %#lx, %#lx)", tf_syscall_number(t->frame),
               tf_syscall_arg(t->frame, 0), tf_syscall_arg(t->frame, 1), tf_syscall_arg(t->frame, 2), tf_syscall_arg(t->frame, 3),
               tf_syscall_arg(t->frame, 4), tf_syscall_arg(t->frame, 5));
}

static void __noreturn die(const struct trapframe *tf, const char *fmt, va_list ap)
{
    char why[256];

    arch_irq_save();
    claim();
    arch_halt_other_cpus();
    log_panic();
    console_panic();
    vsnprintf(why, sizeof why, fmt, ap);
    printk(LOG_EMERG, "KERNEL PANIC: %s", why);
    print_where();
    if (tf)
        arch_print_frame(tf);
    arch_backtrace(tf);
    log_panic_tail();
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
