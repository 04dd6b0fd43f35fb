/*
 * The only code that opens the user window (SUM). Each access has an entry in
 * the exception table: if vm_fault cannot mend it, execution goes on at the
 * fixup, which closes the window and says how much is left.
 */
#include "asm.h"

    .macro user insn:vararg
99: \insn
    .pushsection __ex_table, "a"
    .balign 8
    .quad 99b, 98f
    .popsection
    .endm

    .macro open
    li t6, SR_SUM
    csrs sstatus, t6
    .endm

    .macro close
    li t6, SR_SUM
    csrc sstatus, t6
    .endm

    .text
/*
 * One loop for both directions and for clearing. a0: dst, a1: src, a2: bytes;
 * returns the bytes left. Words where both are equally aligned, else bytes.
 */
    .macro copy_body load, store, lw8, sw8
    open
    xor t0, a0, a1
    andi t0, t0, 7
    bnez t0, 5f
1:  andi t0, a0, 7             /* bytes up to a word */
    beqz t0, 2f
    beqz a2, 7f
    \load t1, 0(a1)
    \store t1, 0(a0)
    addi a0, a0, 1
    addi a1, a1, 1
    addi a2, a2, -1
    j 1b
2:  li t5, 64
3:  bltu a2, t5, 4f            /* eight words at a time */
    \lw8 t0, 0(a1)
    \lw8 t1, 8(a1)
    \lw8 t2, 16(a1)
    \lw8 t3, 24(a1)
    \lw8 a3, 32(a1)
    \lw8 a4, 40(a1)
    \lw8 a5, 48(a1)
    \lw8 a6, 56(a1)
    \sw8 t0, 0(a0)
    \sw8 t1, 8(a0)
    \sw8 t2, 16(a0)
    \sw8 t3, 24(a0)
    \sw8 a3, 32(a0)
    \sw8 a4, 40(a0)
    \sw8 a5, 48(a0)
    \sw8 a6, 56(a0)
    addi a0, a0, 64
    addi a1, a1, 64
    addi a2, a2, -64
    j 3b
4:  li t5, 8
6:  bltu a2, t5, 5f
    \lw8 t1, 0(a1)
    \sw8 t1, 0(a0)
    addi a0, a0, 8
    addi a1, a1, 8
    addi a2, a2, -8
    j 6b
5:  beqz a2, 7f
    \load t1, 0(a1)
    \store t1, 0(a0)
    addi a0, a0, 1
    addi a1, a1, 1
    addi a2, a2, -1
    j 5b
7:
98: close
    mv a0, a2
    ret
    .endm

    .globl arch_copy_from_user
arch_copy_from_user:
    copy_body "user lbu", "sb", "user ld", "sd"

    .globl arch_copy_to_user
arch_copy_to_user:
    copy_body "lbu", "user sb", "ld", "user sd"

    .globl arch_clear_user     /* a0: dst, a1: bytes */
arch_clear_user:
    open
1:  andi t0, a0, 7
    beqz t0, 2f
    beqz a1, 5f
    user sb zero, 0(a0)
    addi a0, a0, 1
    addi a1, a1, -1
    j 1b
2:  li t5, 8
3:  bltu a1, t5, 4f
    user sd zero, 0(a0)
    addi a0, a0, 8
    addi a1, a1, -8
    j 3b
4:  beqz a1, 5f
    user sb zero, 0(a0)
    addi a0, a0, 1
    addi a1, a1, -1
    j 4b
5:
98: close
    mv a0, a1
    ret

    .globl arch_strncpy_from_user /* a0: dst, a1: src, a2: size */
arch_strncpy_from_user:
    open
    mv t2, zero
1:  beq t2, a2, 2f
    add t3, a1, t2
    user lbu t1, 0(t3)
    add t3, a0, t2
    sb t1, 0(t3)
    beqz t1, 2f
    addi t2, t2, 1
    j 1b
2:  close
    mv a0, t2
    ret
98: close
    li a0, -1
    ret

    .globl arch_cmpxchg_user32 /* a0: address, a1: expect, a2: new, a3: where the old value goes */
arch_cmpxchg_user32:
    open
    sext.w a1, a1
1:  user lr.w.aqrl t0, (a0)
    bne t0, a1, 2f
    user sc.w.aqrl t1, a2, (a0)
    bnez t1, 1b
2:  close
    sw t0, 0(a3)
    li a0, 0
    ret
98: close
    li a0, -1
    ret
