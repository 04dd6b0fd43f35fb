/*
 * Traps: what came from user mode becomes a system call, a page fault or a
 * signal; what came from the kernel is an interrupt, a fault of the user-copy
 * layer, or the end.
 */
#include "arch/fault.h"
#include "dev/irq.h"
#include "lib/print.h"
#include "machine.h"
#include "proc/personality.h"
#include "proc/process.h"
#include "proc/remote.h"
#include "protect.h"
#include "vm/failnth.h"

enum exception {
    DIVIDE = 0,
    DEBUG = 1,
    NMI = 2,
    BREAKPOINT = 3,
    OVERFLOW = 4,
    INVALID_OPCODE = 6,
    DOUBLE_FAULT = 8,
    STACK_SEGMENT = 12,
    PROTECTION = 13,
    PAGE_FAULT = 14,
    X87 = 16,
    ALIGNMENT = 17,
    SIMD = 19,
};
#define PF_WRITE 2u
#define PF_RESERVED 8u
#define PF_FETCH 16u
#define FPE_INTDIV 1
#define FPE_FLTDIV 3
#define FPE_FLTOVF 4
#define FPE_FLTUND 5
#define FPE_FLTRES 6
#define FPE_FLTINV 7
#define TRAP_TRACE 2

static u64 read_cr2(void)
{
    u64 v;

    __asm__ volatile("mov %%cr2, %0" : "=r"(v)::"memory");
    return v;
}

static void interrupt(u64 vector)
{
    if (vector == VECTOR_SPURIOUS)
        return;
    if (vector < VECTOR_TIMER) { /* told after the handler: a line with a level would come again at once */
        alloc_exempt_begin();
        irq_dispatch((unsigned)vector - VECTOR_IRQ);
        alloc_exempt_end();
        apic_eoi();
        return;
    }
    apic_eoi(); /* interrupts stay off: the next one waits */
    alloc_exempt_begin();
    if (vector == VECTOR_TIMER) {
        if (clock_timer_due())
            timer_interrupt();
    } else if (vector == VECTOR_IPI) {
        remote_serve();
        sched_ipi();
    }
    alloc_exempt_end();
}

/* Interrupts off, lets one come, and waits for it: nothing comes between STI and HLT. */
void arch_cpu_idle(void)
{
    __asm__ volatile("sti\n\thlt\n\tcli" ::: "memory");
}

/* ---- from user mode ---- */

static enum fault_access fault_access(u64 error)
{
    return error & PF_FETCH ? FAULT_EXEC : error & PF_WRITE ? FAULT_WRITE : FAULT_READ;
}

static void user_page_fault(struct trapframe *tf)
{
    if (tf->error & PF_RESERVED)
        panic_frame(tf, "reserved bits are set in an entry for address %#lx", tf->address);
    user_fault(tf->address, fault_access(tf->error));
}

/* What si_code says, from the flags that are set and not masked: of x87's status and control words, or of MXCSR. */
static int float_code(u32 raised)
{
    return raised & 1 ? FPE_FLTINV : raised & 4 ? FPE_FLTDIV : raised & 8 ? FPE_FLTOVF : raised & 0x12 ? FPE_FLTUND : FPE_FLTRES;
}

static void user_float_fault(struct trapframe *tf)
{
    const u8 *area = fpu_area(&current->fpu);
    u16 control, status;
    u32 mxcsr;

    arch_fpu_save(&current->fpu);
    __builtin_memcpy(&control, area, sizeof control);
    __builtin_memcpy(&status, area + 2, sizeof status);
    __builtin_memcpy(&mxcsr, area + 24, sizeof mxcsr);
    signal_fault(SIGFPE, float_code(tf->trap == SIMD ? mxcsr & ~(mxcsr >> 7) & 0x3f : status & ~control & 0x3fu), tf->rip);
}

static void user_exception(struct trapframe *tf)
{
    switch (tf->trap) {
    case TRAP_SYSCALL:
        current_process()->personality->syscall(tf);
        break;
    case PAGE_FAULT:
        user_page_fault(tf);
        break;
    case DIVIDE:
        signal_fault(SIGFPE, FPE_INTDIV, tf->rip);
        break;
    case DEBUG:
        signal_fault(SIGTRAP, TRAP_TRACE, tf->rip);
        break;
    case BREAKPOINT:
        signal_fault(SIGTRAP, SI_KERNEL, 0);
        break;
    case INVALID_OPCODE:
        signal_fault(SIGILL, ILL_ILLOPC, tf->rip);
        break;
    case STACK_SEGMENT:
        signal_fault(SIGBUS, SI_KERNEL, 0);
        break;
    case ALIGNMENT:
        signal_fault(SIGBUS, BUS_ADRALN, 0);
        break;
    case X87:
    case SIMD:
        user_float_fault(tf);
        break;
    default:
        signal_fault(SIGSEGV, SI_KERNEL, 0);
    }
}

void trap_user(struct trapframe *tf)
{
    sched_account(false);
    if (tf->trap >= VECTOR_IRQ && tf->trap <= VECTOR_SPURIOUS) {
        interrupt(tf->trap);
        return;
    }
    if (tf->trap == PAGE_FAULT)
        tf->address = read_cr2(); /* before another fault */
    arch_irq_enable();
    user_exception(tf);
}

/*
 * A return address that is not the user's: SYSRET and IRET would fault on it in
 * the kernel, with the user's GS loaded (SDM volume 2B, SYSRET). Nothing says how
 * a program got there (a jump past the end, a handler, sigreturn): one check.
 */
static void check_pc(struct trapframe *tf)
{
    if (tf->rip < USER_TOP)
        return;
    arch_irq_enable();
    signal_fault(SIGSEGV, SEGV_MAPERR, tf->rip);
    return_to_user_work(tf);
    arch_irq_disable();
}

/* SYSRET takes rip from rcx and rflags from r11, and RF is lost; a single step would begin in the kernel. */
static bool sysret_will_do(const struct trapframe *tf)
{
    return tf->rcx == tf->rip && tf->r11 == tf->rflags && !(tf->rflags & (RFLAGS_TF | RFLAGS_RF));
}

bool trap_exit_user(struct trapframe *tf)
{
    for (;;) {
        arch_irq_disable();
        check_pc(tf);
        if (!return_to_user_pending() && tf->rip < USER_TOP)
            break;
        arch_irq_enable();
        return_to_user_work(tf);
    }
    if (!current->fpu.loaded)
        fpu_load();
    sched_account(true);
    return sysret_will_do(tf);
}

/* ---- from the kernel ---- */

/* A store of the kernel's to a page that is not writable faults as the user's would (CR0.WP), and takes the same way. */
static bool copy_fault(struct trapframe *tf)
{
    bool page = tf->trap == PAGE_FAULT;

    return (page || tf->trap == PROTECTION) &&
           user_copy_fault(tf, page && tf->rflags & RFLAGS_IF && !(tf->error & PF_RESERVED), tf->address, fault_access(tf->error));
}

static const char *trap_name(u64 trap)
{
    static const char *const names[] = {"divide error", "debug trap", "NMI", "breakpoint", "overflow", "bound", "invalid opcode",
                                        "no coprocessor", "double fault", NULL, "invalid TSS", "segment not present",
                                        "stack segment fault", "general protection fault", "page fault", NULL, "x87 error",
                                        "misaligned access", "machine check", "SIMD error"};

    return trap < ARRAY_SIZE(names) && names[trap] ? names[trap] : "unknown trap";
}

void trap_kernel(struct trapframe *tf)
{
    if (tf->trap >= VECTOR_IRQ) {
        interrupt(tf->trap);
        preempt_check();
        return;
    }
    if (tf->trap == PAGE_FAULT)
        tf->address = read_cr2();
    if (copy_fault(tf))
        return;
    if (tf->trap != PAGE_FAULT)
        panic_frame(tf, "%s in the kernel at %#lx", trap_name(tf->trap), tf->rip);
    panic_frame(tf, "page fault in the kernel at %#lx, address %#lx: a %s %s", tf->rip, tf->address,
                tf->error & PF_FETCH ? "fetch from" : tf->error & PF_WRITE ? "store to" : "load from", protect_name(tf->address));
}

static bool is_stack_guard(vaddr_t va)
{
    return (va >= KSTACK_AREA && va < DEVICE_AREA) ||
           (va >= (vaddr_t)boot_stack_guard && va < (vaddr_t)boot_stack_guard + KSTACK_SIZE);
}

/* On a stack of its own; nothing may be assumed of locks or of interrupts. An overflown stack ends in a double fault. */
void trap_ist(struct trapframe *tf)
{
    int own = -1;

    tf->address = read_cr2();
    if (tf->trap == NMI)
        halt_if_asked();
    if (tf->trap == DOUBLE_FAULT)
        own = cpu_trap_stack_of(tf->address);
    else
        protect_in_trap();
    if (own >= 0)
        panic_frame(tf, "overflow of the stack for %s at %#lx, stack pointer %#lx", trap_stack_name[own], tf->rip, tf->rsp);
    if (tf->trap == DOUBLE_FAULT && is_stack_guard(tf->address))
        panic_frame(tf, "kernel stack overflow at %#lx, stack pointer %#lx", tf->rip, tf->rsp);
    panic_frame(tf, "%s at %#lx", trap_name(tf->trap), tf->rip);
}

/* ---- threads ---- */

void arch_context_init(struct context *c, vaddr_t stack_top, void (*fn)(void *), void *arg)
{
    *c = (struct context){.rip = (u64)context_start, .rsp = stack_top - sizeof(struct trapframe), .rbx = (u64)fn, .r12 = (u64)arg};
}

struct trapframe *arch_user_frame(vaddr_t stack_top)
{
    return (struct trapframe *)(stack_top - sizeof(struct trapframe));
}

void arch_frame_exec(struct trapframe *tf, const struct exec_start *start)
{
    *tf = (struct trapframe){.trap = TRAP_NONE, .cs = USER_CS, .ss = USER_DS, .rflags = RFLAGS_IF | 2, .rip = start->entry,
                             .rsp = start->sp, .rdi = start->arg[0], .rsi = start->arg[1]};
}
