/* From one kernel thread to another. Interrupts are off. */
    .text
    .globl arch_context_switch     /* a0: struct context to save in, a1: to load from */
arch_context_switch:
    sd ra, 0(a0)
    sd sp, 8(a0)
    sd s0, 16(a0)
    sd s1, 24(a0)
    sd s2, 32(a0)
    sd s3, 40(a0)
    sd s4, 48(a0)
    sd s5, 56(a0)
    sd s6, 64(a0)
    sd s7, 72(a0)
    sd s8, 80(a0)
    sd s9, 88(a0)
    sd s10, 96(a0)
    sd s11, 104(a0)
    ld ra, 0(a1)
    ld sp, 8(a1)
    ld s0, 16(a1)
    ld s1, 24(a1)
    ld s2, 32(a1)
    ld s3, 40(a1)
    ld s4, 48(a1)
    ld s5, 56(a1)
    ld s6, 64(a1)
    ld s7, 72(a1)
    ld s8, 80(a1)
    ld s9, 88(a1)
    ld s10, 96(a1)
    ld s11, 104(a1)
    ret

    .globl context_start           /* a new thread: s1 = fn, s2 = arg */
context_start:
    mv a0, s2
    jalr s1
    unimp

    .globl fpu_save_regs           /* a0: struct fpu_state; FS is on */
    .option arch, +d
fpu_save_regs:
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    fsd f\n, 8*\n(a0)
    .endr
    frcsr t0
    sw t0, 256(a0)
    ret

    .globl fpu_load_regs
fpu_load_regs:
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    fld f\n, 8*\n(a0)
    .endr
    lw t0, 256(a0)
    fscsr t0
    ret
