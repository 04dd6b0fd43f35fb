/*
 * The first instructions of each hart.
 *
 * The firmware enters the boot hart at _start with a0 = hart id, a1 = device
 * tree, address translation off. Early tables map the image where it is linked
 * and a window where it is loaded; mmu.c builds the final ones. Other harts are
 * started through SBI HSM at secondary_start with a1 = struct secondary (smp.c).
 */
#include "asm.h"

    .section .text.boot, "ax"
    .globl _start
_start:
    csrw sie, zero
    csrw sip, zero
    la t0, _bss_start          /* pc-relative: physical here */
    la t1, _bss_end
1:  sd zero, 0(t0)
    addi t0, t0, 8
    bltu t0, t1, 1b
    mv s0, a0
    mv s1, a1
    la sp, boot_stack_top
    la a0, _start
    call early_tables          /* a0: physical load address; returns satp */
    la t0, boot_high_pointer   /* the address of boot_high as linked */
    ld t0, 0(t0)
    la t1, _start
    li t2, 0xffffffff80200000
    sub t2, t2, t1             /* linked minus loaded */
    add sp, sp, t2
    csrw stvec, t0             /* the instruction after satp faults where it is not mapped, and lands there */
    sfence.vma
    csrw satp, a0
    jr t0

    .balign 4
boot_high:
    la t0, trap_entry
    csrw stvec, t0
    csrw sscratch, zero
    la tp, cpus
    la t0, boot_stack_top
    sd t0, CPU_KERNEL_SP(tp)
    mv a0, s0
    mv a1, s1
    call machine_main          /* does not return */
    unimp

    .globl secondary_start
secondary_start:               /* physical; a1: physical address of struct secondary {satp, entry, tp, sp} */
    csrw sie, zero
    ld a0, 0(a1)
    ld t0, 8(a1)
    ld tp, 16(a1)
    ld sp, 24(a1)
    csrw stvec, t0
    sfence.vma
    csrw satp, a0
    jr t0

    .balign 4
    .globl secondary_high
secondary_high:
    la t0, trap_entry
    csrw stvec, t0
    csrw sscratch, zero
    call secondary_main
    unimp

    .section .rodata
    .balign 8
boot_high_pointer:
    .quad boot_high

    .section .bss.stack, "aw", @nobits
    .balign 32768
    .globl boot_stack_guard
boot_stack_guard:              /* not mapped (mmu.c); its addresses tell trap_entry that it is a guard */
    .space BOOT_STACK_SIZE
    .space BOOT_STACK_SIZE
    .globl boot_stack_top
boot_stack_top:
