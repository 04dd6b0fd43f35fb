/* Registers and return addresses for panics. Everything is checked before it is read: the stack may be broken. */
#include "lib/ksyms.h"
#include "lib/print.h"
#include "machine.h"

#define DEPTH_MAX 32

static void print_address(vaddr_t pc)
{
    const char *name;
    u64 offset;

    if (ksyms_lookup(pc, &name, &offset))
        printk(LOG_EMERG, "  %#lx %s+%#lx", pc, name, offset);
    else
        printk(LOG_EMERG, "  %#lx", pc);
}

struct stack {
    vaddr_t start, end;
};

/* The stack that va lies in: the running thread's, or this CPU's for overflows. */
static struct stack stack_of(vaddr_t va)
{
    vaddr_t start = current ? current->kstack : (vaddr_t)boot_stack_guard + KSTACK_SIZE;
    const struct cpu *c = arch_this_cpu();

    if (va > (vaddr_t)c->overflow_stack && va <= (vaddr_t)c->overflow_stack + sizeof c->overflow_stack)
        return (struct stack){(vaddr_t)c->overflow_stack, (vaddr_t)c->overflow_stack + sizeof c->overflow_stack};
    return (struct stack){start, start + KSTACK_SIZE};
}

/* May 16 bytes below fp be read as a frame record? */
static bool frame_ok(vaddr_t fp, struct stack s)
{
    return fp % 8 == 0 && fp >= s.start + 16 && fp <= s.end;
}

void arch_backtrace(const struct trapframe *tf)
{
    vaddr_t fp = tf ? tf->regs[8] : (vaddr_t)__builtin_frame_address(0);
    struct stack s = stack_of(fp);

    printk(LOG_EMERG, "backtrace:");
    if (tf)
        print_address(tf->regs[0]);
    if (tf && !(tf->sstatus & SSTATUS_SPP)) {
        printk(LOG_EMERG, "  (user mode)");
        return;
    }
    if (tf)
        print_address(tf->regs[REG_RA]);
    for (unsigned i = 0; i < DEPTH_MAX && frame_ok(fp, s); i++) {
        const u64 *record = (const u64 *)fp;
        if (record[-1] < (u64)_kernel_start || record[-1] >= (u64)_text_end)
            break;
        print_address(record[-1] - 4); /* the call, not what follows it */
        if (record[-2] <= fp)
            break;
        fp = record[-2];
    }
}

void arch_print_frame(const struct trapframe *tf)
{
    static const char *const names[] = {"pc", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0",
                                        "a1", "a2", "a3", "a4", "a5", "a6", "a7", "s2", "s3", "s4", "s5",
                                        "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6"};

    for (unsigned i = 0; i < 32; i += 4)
        printk(LOG_EMERG, "  %3s %016lx  %3s %016lx  %3s %016lx  %3s %016lx", names[i], tf->regs[i], names[i + 1],
               tf->regs[i + 1], names[i + 2], tf->regs[i + 2], names[i + 3], tf->regs[i + 3]);
    printk(LOG_EMERG, "  sstatus %lx scause %lx stval %lx", tf->sstatus, tf->scause, tf->stval);
}
