/*
 * x86-64: what portable code sees through arch/arch.h. Intel 64 and IA-32
 * Architectures Software Developer's Manual (SDM); ABI: System V, and Linux's.
 *
 * In the kernel the base of GS is this CPU's struct cpu, whose first member is
 * the running thread, so that `current` is one load and right even if the
 * thread is moved to another CPU at that moment.
 */
#pragma once
#include "lib/types.h"

#define ARCH_NAME "x86_64"
#define ARCH_HW_ID "apicid" /* names in /proc/cpuinfo */
#define ARCH_ISA_NAME "flags"
#define ARCH_ISA arch_isa()
const char *arch_isa(void);
#define ARCH_ELF_MACHINE 62
#define ARCH_HAS_SA_RESTORER
#define ARCH_MINSIGSTKSZ 2048  /* a signal frame with the state of AVX fits */
extern u32 arch_hwcap;         /* CPUID.1:EDX, as Linux's AT_HWCAP */
#define ARCH_HWCAP arch_hwcap

/* Kernel addresses; each area has a root entry (512 GiB) of its own. The direct map has RAM at its address + DIRECT_MAP. */
#define DIRECT_MAP 0xffff888000000000ul
#define DIRECT_MAP_SIZE (512ul << 30)
#define KSTACK_AREA 0xffffc90000000000ul
#define TRAP_STACK_AREA 0xffffc98000000000ul /* stacks of traps that may come at any instruction, with guards */
#define TRAP_STACK_SIZE 8192ul
#define TRAP_STACKS 3 /* for each CPU */
#define DEVICE_AREA 0xffffd00000000000ul
#define ARCH_RETURN_CODE {0xc3} /* ret */
#define ARCH_RAISE_OWN_STACK "int $2" /* comes as an NMI does, on a stack of its own */
#define KERNEL_BASE 0xffffffff80000000ul

/*
 * What trap.S pushes, lowest first, above it what the CPU pushes. A user
 * thread's frame always lies at the top of its kernel stack, and the entry
 * leaves the two bases alone: there they are kept, and valid for such a frame only.
 */
struct trapframe {
    u64 fs_base, gs_base;
    u64 orig_rax; /* the number of the system call; rax becomes its result */
    u64 address;  /* of a page fault */
    u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    u64 trap, error; /* vector, or TRAP_SYSCALL, TRAP_NONE */
    u64 rip, cs, rflags, rsp, ss;
};
_Static_assert(sizeof(struct trapframe) % 16 == 0, "the stack stays aligned");
#define TRAP_SYSCALL 256
#define TRAP_NONE 257

struct context { /* what a function call preserves */
    u64 rip, rsp, rbx, rbp, r12, r13, r14, r15;
};

/* x87, SSE and AVX in XSAVE's standard form (SDM volume 1, section 13.4), which starts at the first multiple of 64. */
#define XSAVE_SIZE 832
struct fpu_state {
    u8 room[XSAVE_SIZE + 48] __attribute__((aligned(16)));
    bool valid;  /* else the initial state */
    bool loaded; /* the registers are the thread's, and newer */
};

#ifndef COWSLIP_HOST
#define RFLAGS_TF (1ul << 8)
#define RFLAGS_IF (1ul << 9)
#define RFLAGS_DF (1ul << 10)
#define RFLAGS_RF (1ul << 16)

static inline u64 rdmsr(u32 msr)
{
    u32 low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
    return (u64)high << 32 | low;
}

static inline void wrmsr(u32 msr, u64 v)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

static inline u8 inb(u16 port)
{
    u8 v;

    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}

static inline void outb(u16 port, u8 v)
{
    __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port) : "memory");
}

/* trap_scratch[3] of struct cpu holds its own address (asm.h: CPU_SELF). */
static inline struct cpu *arch_this_cpu(void)
{
    struct cpu *c;

    __asm__ volatile("movq %%gs:40, %0" : "=r"(c));
    return c;
}

static inline struct thread *arch_current(void)
{
    struct thread *t;

    __asm__ volatile("movq %%gs:0, %0" : "=r"(t));
    return t;
}

static inline bool arch_irq_enabled(void)
{
    u64 flags;

    __asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags)::"memory");
    return flags & RFLAGS_IF;
}

static inline void arch_irq_enable(void)
{
    __asm__ volatile("sti" ::: "memory");
}

static inline void arch_irq_disable(void)
{
    __asm__ volatile("cli" ::: "memory");
}

static inline bool arch_irq_save(void)
{
    bool on = arch_irq_enabled();

    arch_irq_disable();
    return on;
}

static inline void arch_irq_restore(bool on)
{
    if (on)
        arch_irq_enable();
}

/* What other CPUs ask for is done here, as interrupts may be off. */
void remote_serve(void);
static inline void arch_cpu_relax(void)
{
    bool on = arch_irq_save();

    remote_serve();
    __asm__ volatile("pause" ::: "memory");
    arch_irq_restore(on);
}

/* SDM volume 3A, 8.2.5: of loads and stores of all kinds of memory. */
static inline void arch_io_fence(void)
{
    __asm__ volatile("mfence" ::: "memory");
}

static inline u32 inl(u16 port)
{
    u32 v;

    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}

static inline void outl(u16 port, u32 v)
{
    __asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port) : "memory");
}

/* Time is counted from the TSC's 0: the machine's start. The vDSO does the same. */
extern u64 clock_tick_ns; /* length of a tick, in units of 2^-32 ns */
static inline u64 arch_vdso_tick(void)
{
    return clock_tick_ns;
}

static inline u64 arch_time_ns(void)
{
    u32 low, high;

    __asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high)::"memory");
    return (u64)((unsigned __int128)((u64)high << 32 | low) * clock_tick_ns >> 32);
}

static inline void *arch_phys_to_virt(paddr_t pa)
{
    return (void *)(pa.pa + DIRECT_MAP);
}

static inline paddr_t arch_virt_to_phys(const void *va)
{
    return (paddr_t){(u64)va - DIRECT_MAP};
}

/* A serial port's registers: in the I/O space. */
typedef u16 device_regs;
static inline device_regs arch_regs_map(paddr_t base, size_t size)
{
    (void)size;
    return (u16)base.pa;
}

static inline u8 arch_reg_read(device_regs r, unsigned i)
{
    return inb((u16)(r + i));
}

static inline void arch_reg_write(device_regs r, unsigned i, u8 v)
{
    outb((u16)(r + i), v);
}
#endif

/* To another place, where the alignment may be another. From a state that has been saved. */
static inline u8 *fpu_area(const struct fpu_state *s)
{
    return (u8 *)ROUND_UP((u64)s->room, 64ul);
}

static inline void arch_fpu_copy(struct fpu_state *to, const struct fpu_state *from)
{
    to->valid = from->valid;
    to->loaded = false;
    if (from->valid)
        __builtin_memcpy(fpu_area(to), fpu_area(from), XSAVE_SIZE);
}

static inline u64 tf_syscall_number(const struct trapframe *tf)
{
    return tf->orig_rax;
}

static inline u64 tf_syscall_arg(const struct trapframe *tf, unsigned i)
{
    const u64 args[] = {tf->rdi, tf->rsi, tf->rdx, tf->r10, tf->r8, tf->r9};

    return args[i];
}

static inline void tf_set_syscall_arg(struct trapframe *tf, unsigned i, u64 v)
{
    u64 *const args[] = {&tf->rdi, &tf->rsi, &tf->rdx, &tf->r10, &tf->r8, &tf->r9};

    *args[i] = v;
}

static inline void tf_set_result(struct trapframe *tf, u64 v)
{
    tf->rax = v;
}

static inline u64 tf_result(const struct trapframe *tf)
{
    return tf->rax;
}

static inline vaddr_t tf_pc(const struct trapframe *tf)
{
    return tf->rip;
}

static inline void tf_set_pc(struct trapframe *tf, vaddr_t pc)
{
    tf->rip = pc;
}

static inline vaddr_t tf_sp(const struct trapframe *tf)
{
    return tf->rsp;
}

/* A frame record lies where rbp points; calls are of several lengths. */
#define FRAME_RECORD 0
#define CALL_SIZE 1

static inline bool tf_from_user(const struct trapframe *tf)
{
    return tf->cs & 3;
}

static inline vaddr_t tf_fp(const struct trapframe *tf)
{
    return tf->rbp;
}

static inline vaddr_t tf_link(const struct trapframe *tf)
{
    (void)tf;
    return 0;
}

static inline void tf_set_sp(struct trapframe *tf, vaddr_t sp)
{
    tf->rsp = sp;
}

static inline void tf_set_tls(struct trapframe *tf, u64 tls)
{
    tf->fs_base = tls >> 47 ? 0 : tls; /* WRMSR faults on what is not canonical */
}

/* Did the thread come into the kernel by a system call? Until it has been said that this is dealt with. */
static inline bool tf_in_syscall(const struct trapframe *tf)
{
    return tf->trap == TRAP_SYSCALL;
}

static inline void tf_leave_syscall(struct trapframe *tf)
{
    tf->trap = TRAP_NONE;
}

static inline void tf_restart_syscall(struct trapframe *tf)
{
    tf->rax = tf->orig_rax;
    tf->rip -= 2; /* the length of SYSCALL */
}

/* The same, but through restart_syscall(2). */
static inline void tf_restart_syscall_block(struct trapframe *tf)
{
    tf_restart_syscall(tf);
    tf->rax = 219;
}
