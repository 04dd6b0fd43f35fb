/*
 * Into the kernel and back.
 *
 * sscratch is 0 in the kernel and this CPU's struct cpu in user mode. A trap
 * from user mode starts at the top of the thread's kernel stack; one from the
 * kernel goes on below where it was, unless the stack has overflowed, which one
 * bit of the address tells (asm.h).
 */
#include "asm.h"

    .macro save_regs
    sd x1, TF_REG(1)(sp)
    sd x3, TF_REG(3)(sp)
    sd x5, TF_REG(5)(sp)
    sd x6, TF_REG(6)(sp)
    sd x7, TF_REG(7)(sp)
    sd x8, TF_REG(8)(sp)
    sd x9, TF_REG(9)(sp)
    sd x10, TF_REG(10)(sp)
    sd x11, TF_REG(11)(sp)
    sd x12, TF_REG(12)(sp)
    sd x13, TF_REG(13)(sp)
    sd x14, TF_REG(14)(sp)
    sd x15, TF_REG(15)(sp)
    sd x16, TF_REG(16)(sp)
    sd x17, TF_REG(17)(sp)
    sd x18, TF_REG(18)(sp)
    sd x19, TF_REG(19)(sp)
    sd x20, TF_REG(20)(sp)
    sd x21, TF_REG(21)(sp)
    sd x22, TF_REG(22)(sp)
    sd x23, TF_REG(23)(sp)
    sd x24, TF_REG(24)(sp)
    sd x25, TF_REG(25)(sp)
    sd x26, TF_REG(26)(sp)
    sd x27, TF_REG(27)(sp)
    sd x28, TF_REG(28)(sp)
    sd x29, TF_REG(29)(sp)
    sd x30, TF_REG(30)(sp)
    sd x31, TF_REG(31)(sp)
    csrr t0, sepc
    csrr t1, sstatus
    csrr t2, scause
    csrr t3, stval
    sd t0, TF_REG(0)(sp)
    sd t1, TF_SSTATUS(sp)
    sd a0, TF_ORIG_A0(sp)
    sd t2, TF_SCAUSE(sp)
    sd t3, TF_STVAL(sp)
    li t0, SR_SUM | SR_FS      /* user memory and floating point are closed in the kernel */
    csrc sstatus, t0
    .endm

    /* All but sp and tp. */
    .macro load_regs
    ld x1, TF_REG(1)(sp)
    ld x3, TF_REG(3)(sp)
    ld x5, TF_REG(5)(sp)
    ld x6, TF_REG(6)(sp)
    ld x7, TF_REG(7)(sp)
    ld x8, TF_REG(8)(sp)
    ld x9, TF_REG(9)(sp)
    ld x10, TF_REG(10)(sp)
    ld x11, TF_REG(11)(sp)
    ld x12, TF_REG(12)(sp)
    ld x13, TF_REG(13)(sp)
    ld x14, TF_REG(14)(sp)
    ld x15, TF_REG(15)(sp)
    ld x16, TF_REG(16)(sp)
    ld x17, TF_REG(17)(sp)
    ld x18, TF_REG(18)(sp)
    ld x19, TF_REG(19)(sp)
    ld x20, TF_REG(20)(sp)
    ld x21, TF_REG(21)(sp)
    ld x22, TF_REG(22)(sp)
    ld x23, TF_REG(23)(sp)
    ld x24, TF_REG(24)(sp)
    ld x25, TF_REG(25)(sp)
    ld x26, TF_REG(26)(sp)
    ld x27, TF_REG(27)(sp)
    ld x28, TF_REG(28)(sp)
    ld x29, TF_REG(29)(sp)
    ld x30, TF_REG(30)(sp)
    ld x31, TF_REG(31)(sp)
    .endm

    .text
    .balign 4
    .globl trap_entry
trap_entry:
    csrrw tp, sscratch, tp
    beqz tp, from_kernel

    /* From user mode. sscratch has the user's tp. */
    sd sp, CPU_SCRATCH(tp)
    ld sp, CPU_KERNEL_SP(tp)
    addi sp, sp, -TF_SIZE
    save_regs
    ld t0, CPU_SCRATCH(tp)
    csrr t1, sscratch
    csrw sscratch, zero
    sd t0, TF_REG(2)(sp)
    sd t1, TF_REG(4)(sp)
    mv a0, sp
    li s0, 0                   /* the end of backtraces */
    call trap_user
    mv a0, sp

    /* a0: the frame to return with. */
    .globl arch_return_to_user
arch_return_to_user:
    mv sp, a0
    call trap_exit_user        /* leaves interrupts off */
    ld t0, TF_REG(0)(sp)
    ld t1, TF_SSTATUS(sp)
    sc.d zero, zero, 0(sp)     /* no reservation of another thread may survive */
    csrw sepc, t0
    csrw sstatus, t1
    csrw sscratch, tp
    load_regs
    ld x4, TF_REG(4)(sp)
    ld x2, TF_REG(2)(sp)
    sret

from_kernel:
    csrr tp, sscratch
    csrw sscratch, zero
    sd t0, CPU_SCRATCH(tp)
    addi t0, sp, -TF_SIZE
    srli t0, t0, KSTACK_BIT
    andi t0, t0, 1
    beqz t0, overflow
    ld t0, CPU_SCRATCH(tp)
    addi sp, sp, -TF_SIZE
    sd tp, TF_REG(4)(sp)
     save_regs
    addi t0, sp, TF_SIZE
    sd t0, TF_REG(2)(sp)
    mv a0, sp
    call trap_kernel
    ld t0, TF_REG(0)(sp)
    ld t1, TF_SSTATUS(sp)
    csrw sepc, t0
    csrw sstatus, t1
    load_regs                  /* tp stays: the thread may be on another CPU now */
    addi sp, sp, TF_SIZE
    sret

overflow:                      /* the stack is gone: on another one, to the panic */
    sd sp, CPU_SCRATCH + 8(tp)
    ld t0, CPU_SCRATCH(tp)
    ld sp, CPU_SCRATCH + 16(tp)
    addi sp, sp, -TF_SIZE
    save_regs
    ld t0, CPU_SCRATCH + 8(tp)
    sd t0, TF_REG(2)(sp)
    sd tp, TF_REG(4)(sp)
    mv a0, sp
    call trap_overflow
    unimp

    /* What a signal handler returns to; mapped into programs. */
    .section .rodata
    .balign 4
    .globl sigreturn_code, sigreturn_code_end
sigreturn_code:
    li a7, 139
    ecall
sigreturn_code_end:
