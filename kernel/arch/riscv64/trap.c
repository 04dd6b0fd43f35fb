/*
 * Traps: what came from user mode becomes a system call, a page fault or a
 * signal; what came from the kernel is an interrupt, a fault of the user-copy
 * layer, or the end.
 */
#include "arch/fault.h"
#include "lib/print.h"
#include "machine.h"
#include "proc/personality.h"
#include "proc/process.h"
#include "proc/remote.h"
#include "protect.h"
#include "vm/failnth.h"

#define CAUSE_INTERRUPT (1ul << 63)
enum interrupt { INTERRUPT_SOFTWARE = 1, INTERRUPT_TIMER = 5, INTERRUPT_EXTERNAL = 9 };
enum exception {
    FETCH_MISALIGNED = 0,
    FETCH_ACCESS = 1,
    ILLEGAL_INSTRUCTION = 2,
    BREAKPOINT = 3,
    LOAD_MISALIGNED = 4,
    LOAD_ACCESS = 5,
    STORE_MISALIGNED = 6,
    STORE_ACCESS = 7,
    USER_ECALL = 8,
    FETCH_PAGE_FAULT = 12,
    LOAD_PAGE_FAULT = 13,
    STORE_PAGE_FAULT = 15,
};

void trap_init_cpu(void)
{
    csr_write(sie, 1ul << INTERRUPT_SOFTWARE | 1ul << INTERRUPT_TIMER | 1ul << INTERRUPT_EXTERNAL);
    csr_write(scounteren, 2); /* user mode may read the time */
}

static void interrupt(u64 cause)
{
    alloc_exempt_begin();
    switch (cause & ~CAUSE_INTERRUPT) {
    case INTERRUPT_SOFTWARE:
        csr_clear(sip, 1ul << INTERRUPT_SOFTWARE);
        remote_serve();
        halt_if_asked();
        sched_ipi();
        break;
    case INTERRUPT_TIMER:
        arch_timer_set(UINT64_MAX); /* no longer pending */
        timer_interrupt();
        break;
    case INTERRUPT_EXTERNAL:
        plic_handle();
        break;
    }
    alloc_exempt_end();
}

/* ---- floating point: loaded when first used after a switch ---- */

static bool fpu_first_use(struct trapframe *tf)
{
    if (tf->sstatus & SSTATUS_FS)
        return false;
    arch_irq_disable();
    csr_set(sstatus, SSTATUS_FS);
    fpu_load_regs(&current->fpu); /* zeros at first */
    csr_clear(sstatus, SSTATUS_FS);
    tf->sstatus |= SSTATUS_FS_CLEAN;
    arch_irq_enable();
    return true;
}

/* Interrupts off, or the thread is current and stays here. */
void arch_fpu_save(struct fpu_state *s)
{
    struct trapframe *tf = current->frame;
    bool on = arch_irq_save();

    if ((tf->sstatus & SSTATUS_FS) == SSTATUS_FS_DIRTY) {
        csr_set(sstatus, SSTATUS_FS);
        fpu_save_regs(s);
        csr_clear(sstatus, SSTATUS_FS);
        s->valid = true;
    }
    tf->sstatus &= ~SSTATUS_FS;
    arch_irq_restore(on);
}

/* ---- from user mode ---- */

static enum fault_access fault_access(u64 cause)
{
    return cause == STORE_PAGE_FAULT ? FAULT_WRITE : cause == FETCH_PAGE_FAULT ? FAULT_EXEC : FAULT_READ;
}

static void user_exception(struct trapframe *tf)
{
    switch (tf->scause) {
    case USER_ECALL:
        tf->regs[0] += 4;
        current_process()->personality->syscall(tf);
        break;
    case FETCH_PAGE_FAULT:
    case LOAD_PAGE_FAULT:
    case STORE_PAGE_FAULT:
        user_fault(tf->stval, fault_access(tf->scause));
        break;
    case ILLEGAL_INSTRUCTION:
        if (!fpu_first_use(tf))
            signal_fault(SIGILL, ILL_ILLOPC, tf->regs[0]);
        break;
    case BREAKPOINT:
        signal_fault(SIGTRAP, TRAP_BRKPT, tf->regs[0]);
        break;
    case FETCH_MISALIGNED:
    case LOAD_MISALIGNED:
    case STORE_MISALIGNED:
        signal_fault(SIGBUS, BUS_ADRALN, tf->stval);
        break;
    default:
        signal_fault(SIGSEGV, SEGV_MAPERR, tf->stval);
    }
}

void trap_user(struct trapframe *tf)
{
    sched_account(false);
    if (tf->scause & CAUSE_INTERRUPT) {
        interrupt(tf->scause);
        return;
    }
    arch_irq_enable();
    user_exception(tf);
}

void trap_exit_user(struct trapframe *tf)
{
    for (;;) {
        arch_irq_disable();
        if (!return_to_user_pending())
            break;
        arch_irq_enable();
        return_to_user_work(tf);
    }
    sched_account(true);
}

/* ---- from the kernel ---- */

static const char *cause_name(u64 cause)
{
    static const char *const names[] = {"fetch misaligned", "fetch access fault", "illegal instruction", "breakpoint",
                                        "load misaligned", "load access fault", "store misaligned",
                                        "store access fault", "ecall", "ecall", NULL, NULL, "fetch page fault",
                                        "load page fault", NULL, "store page fault"};

    return cause < ARRAY_SIZE(names) && names[cause] ? names[cause] : "unknown trap";
}

void trap_kernel(struct trapframe *tf)
{
    if (tf->scause & CAUSE_INTERRUPT) {
        interrupt(tf->scause);
        preempt_check();
        return;
    }
    if (user_copy_fault(tf, tf->scause >= FETCH_PAGE_FAULT && tf->sstatus & SSTATUS_SPIE, tf->stval, fault_access(tf->scause)))
        return;
    panic_frame(tf, "%s in the kernel at %#lx, address %#lx: a %s %s", cause_name(tf->scause), tf->regs[0], tf->stval,
                tf->scause == FETCH_PAGE_FAULT ? "fetch from" : tf->scause == STORE_PAGE_FAULT ? "store to" : "load from",
                protect_name(tf->stval));
}

void trap_overflow(struct trapframe *tf)
{
    panic_frame(tf, "kernel stack overflow at %#lx, stack pointer %#lx", tf->regs[0], tf->regs[REG_SP]);
}

/* ---- threads ---- */

void arch_context_init(struct context *c, vaddr_t stack_top, void (*fn)(void *), void *arg)
{
    *c = (struct context){.ra = (u64)context_start, .sp = stack_top - sizeof(struct trapframe)};
    c->s[1] = (u64)fn;
    c->s[2] = (u64)arg;
}

struct trapframe *arch_user_frame(vaddr_t stack_top)
{
    return (struct trapframe *)(stack_top - sizeof(struct trapframe));
}

void arch_frame_exec(struct trapframe *tf, const struct exec_start *start)
{
    *tf = (struct trapframe){.sstatus = SSTATUS_SPIE};
    tf->regs[0] = start->entry;
    tf->regs[REG_SP] = start->sp;
    tf->regs[REG_A0] = start->arg[0];
    tf->regs[REG_A0 + 1] = start->arg[1];
}

bool arch_trap_stack_of(vaddr_t va, vaddr_t *start, vaddr_t *end)
{
    const struct cpu *c = arch_this_cpu();

    *start = (vaddr_t)c->overflow_stack;
    *end = *start + sizeof c->overflow_stack;
    return va >= *start && va < *end;
}
