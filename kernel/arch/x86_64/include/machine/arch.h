/*
 * x86-64: what portable code sees through arch/arch.h. The machine itself is
 * not there yet; this is what the VM core's host tests need to be built for it.
 */
#pragma once
#include "lib/types.h"

struct trapframe { /* in the order of Linux's user_regs_struct */
    u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax;
    u64 rip, cs, rflags, rsp, ss, fs_base, trap, error;
};
_Static_assert(sizeof(struct trapframe) % 16 == 0, "the stack stays aligned");

struct context { /* what a function call preserves */
    u64 rsp, rbx, rbp, r12, r13, r14, r15;
};

struct fpu_state {
    u8 xsave[512] __attribute__((aligned(64)));
};

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

static inline vaddr_t tf_sp(const struct trapframe *tf)
{
    return tf->rsp;
}

static inline void tf_set_sp(struct trapframe *tf, vaddr_t sp)
{
    tf->rsp = sp;
}

static inline void tf_set_tls(struct trapframe *tf, u64 tls)
{
    tf->fs_base = tls;
}

static inline u64 arch_vdso_tick(void)
{
    return 0;
}

static inline void tf_restart_syscall(struct trapframe *tf)
{
    tf->rax = tf->orig_rax;
    tf->rip -= 2; /* the length of SYSCALL */
}
