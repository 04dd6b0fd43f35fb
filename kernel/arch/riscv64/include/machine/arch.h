/*
 * RISC-V 64: what portable code sees through arch/arch.h. Privileged
 * specification 20211203, Sv39; firmware: SBI 1.0.
 *
 * In the kernel tp holds this CPU's struct cpu, whose first member is the
 * running thread, so that `current` is one load and right even if the thread is
 * moved to another CPU at that moment. In user mode sscratch holds it.
 */
#pragma once
#include "lib/types.h"

#define ARCH_NAME "riscv64"
#define ARCH_HW_ID "hart" /* names in /proc/cpuinfo */
#define ARCH_ISA_NAME "isa"
#define ARCH_ISA "rv64imafdc"
#define ARCH_MINSIGSTKSZ 1088 /* a signal frame */
#define ARCH_HWCAP 0x112dul /* a c d f i m, as Linux's AT_HWCAP */
#define ARCH_ELF_MACHINE 243

/* Kernel addresses. The direct map has all RAM at its physical address + DIRECT_MAP. */
#define DIRECT_MAP 0xffffffc000000000ul
#define DIRECT_MAP_SIZE (64ul << 30)
#define KSTACK_AREA 0xffffffe000000000ul
#define DEVICE_AREA 0xfffffff000000000ul
#define ARCH_RETURN_CODE {0x82, 0x80} /* ret */
#define KERNEL_BASE 0xffffffff80000000ul

struct trapframe {
    u64 regs[32]; /* x1..x31 at their numbers; regs[0] is the pc, as in Linux's user_regs_struct */
    u64 sstatus, orig_a0, scause, stval;
};
_Static_assert(sizeof(struct trapframe) % 16 == 0, "the stack stays aligned");

struct context { /* what a function call preserves */
    u64 ra, sp, s[12];
};

struct fpu_state {
    u64 f[32];
    u32 fcsr;
    bool valid; /* else all zero */
};

#define REG_RA 1
#define REG_SP 2
#define REG_TP 4
#define REG_A0 10
#define REG_A7 17

#ifndef COWSLIP_HOST
#define SSTATUS_SIE (1ul << 1)
#define SSTATUS_SPIE (1ul << 5)
#define SSTATUS_SPP (1ul << 8)
#define SSTATUS_FS (3ul << 13)
#define SSTATUS_FS_DIRTY (3ul << 13)
#define SSTATUS_FS_CLEAN (2ul << 13)
#define SSTATUS_SUM (1ul << 18)

#define csr_read(name)                                    \
    ({                                                    \
        u64 _v;                                           \
        __asm__ volatile("csrr %0, " #name : "=r"(_v) :: "memory"); \
        _v;                                               \
    })
#define csr_write(name, v) __asm__ volatile("csrw " #name ", %0" ::"r"((u64)(v)) : "memory")
#define csr_set(name, v) __asm__ volatile("csrs " #name ", %0" ::"r"((u64)(v)) : "memory")
#define csr_clear(name, v) __asm__ volatile("csrc " #name ", %0" ::"r"((u64)(v)) : "memory")

static inline struct cpu *arch_this_cpu(void)
{
    struct cpu *c;

    __asm__ volatile("mv %0, tp" : "=r"(c));
    return c;
}

static inline struct thread *arch_current(void)
{
    struct thread *t;

    __asm__ volatile("ld %0, 0(tp)" : "=r"(t));
    return t;
}

static inline bool arch_irq_save(void)
{
    u64 old;

    __asm__ volatile("csrrci %0, sstatus, 2" : "=r"(old)::"memory");
    return old & SSTATUS_SIE;
}

static inline void arch_irq_enable(void)
{
    __asm__ volatile("csrsi sstatus, 2" ::: "memory");
}

static inline void arch_irq_disable(void)
{
    __asm__ volatile("csrci sstatus, 2" ::: "memory");
}

static inline void arch_irq_restore(bool on)
{
    if (on)
        arch_irq_enable();
}

static inline bool arch_irq_enabled(void)
{
    return csr_read(sstatus) & SSTATUS_SIE;
}

/*
 * An emulator that runs all harts in one thread gives the next one its turn at a
 * wfi, and may let this one spin for a tenth of a second otherwise. The software
 * interrupt that is made pending first ends the wfi at once, there and in
 * hardware; when it is taken it finds nothing to do. What other harts ask for is
 * done here, as interrupts may be off.
 */
void remote_serve(void);
static inline void arch_cpu_relax(void)
{
    bool on = arch_irq_save();

    remote_serve();
    __asm__ volatile("csrsi sip, 2\n\twfi" ::: "memory");
    arch_irq_restore(on);
}

/* Unprivileged specification 2.7: of a fence, i and o are the registers of devices, r and w memory. */
static inline void arch_io_fence(void)
{
    __asm__ volatile("fence iorw, iorw" ::: "memory");
}

extern u64 arch_tick_ns; /* length of a tick of the time register, in units of 2^-32 ns */
static inline u64 arch_vdso_tick(void)
{
    return arch_tick_ns;
}

static inline u64 arch_time_ns(void)
{
    u64 ticks;

    __asm__ volatile("rdtime %0" : "=r"(ticks));
    return (u64)((unsigned __int128)ticks * arch_tick_ns >> 32);
}

static inline void *arch_phys_to_virt(paddr_t pa)
{
    return (void *)(pa.pa + DIRECT_MAP);
}

static inline paddr_t arch_virt_to_phys(const void *va)
{
    return (paddr_t){(u64)va - DIRECT_MAP};
}

/* A serial port's registers: in memory. */
typedef volatile u8 *device_regs;
#define arch_regs_map(base, size) ((device_regs)arch_map_device((base), (size)))
static inline u8 arch_reg_read(device_regs r, unsigned i)
{
    return r[i];
}

static inline void arch_reg_write(device_regs r, unsigned i, u8 v)
{
    r[i] = v;
}
#endif

static inline void arch_fpu_copy(struct fpu_state *to, const struct fpu_state *from)
{
    *to = *from;
}

static inline u64 tf_syscall_number(const struct trapframe *tf)
{
    return tf->regs[REG_A7];
}

static inline u64 tf_syscall_arg(const struct trapframe *tf, unsigned i)
{
    return i == 0 ? tf->orig_a0 : tf->regs[REG_A0 + i];
}

static inline void tf_set_syscall_arg(struct trapframe *tf, unsigned i, u64 v)
{
    tf->regs[REG_A0 + i] = v;
}

static inline void tf_set_result(struct trapframe *tf, u64 v)
{
    tf->regs[REG_A0] = v;
}

static inline u64 tf_result(const struct trapframe *tf)
{
    return tf->regs[REG_A0];
}

static inline vaddr_t tf_pc(const struct trapframe *tf)
{
    return tf->regs[0];
}

static inline void tf_set_pc(struct trapframe *tf, vaddr_t pc)
{
    tf->regs[0] = pc;
}

static inline vaddr_t tf_sp(const struct trapframe *tf)
{
    return tf->regs[REG_SP];
}

static inline bool tf_from_user(const struct trapframe *tf)
{
    return !(tf->sstatus & SSTATUS_SPP);
}

/* A frame record lies below what s0 holds; a call has 4 bytes, or 2. */
#define FRAME_RECORD (-16)
#define CALL_SIZE 4

static inline vaddr_t tf_fp(const struct trapframe *tf)
{
    return tf->regs[8];
}

static inline vaddr_t tf_link(const struct trapframe *tf)
{
    return tf->regs[REG_RA];
}

static inline void tf_set_sp(struct trapframe *tf, vaddr_t sp)
{
    tf->regs[REG_SP] = sp;
}

static inline void tf_set_tls(struct trapframe *tf, u64 tls)
{
    tf->regs[REG_TP] = tls;
}

/* Did the thread come into the kernel by a system call? Until it has been said that this is dealt with. */
static inline bool tf_in_syscall(const struct trapframe *tf)
{
    return tf->scause == 8;
}

static inline void tf_leave_syscall(struct trapframe *tf)
{
    tf->scause = 0;
}

static inline void tf_restart_syscall(struct trapframe *tf)
{
    tf->regs[REG_A0] = tf->orig_a0;
    tf->regs[0] -= 4; /* ecall has no compressed form */
}

/* The same, but through restart_syscall(2). */
static inline void tf_restart_syscall_block(struct trapframe *tf)
{
    tf_restart_syscall(tf);
    tf->regs[REG_A7] = 128;
}
