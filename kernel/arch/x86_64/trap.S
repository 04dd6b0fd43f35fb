/*
 * Into the kernel and back.
 *
 * A trap from user mode starts at the top of the thread's kernel stack (TSS.rsp0,
 * or CPU_KERNEL_SP after SYSCALL); one from the kernel goes on below where it
 * was. What may come at any instruction, with GS still the user's or the stack
 * not yet the kernel's, has a stack of its own (IST) and asks the register which
 * GS it is: NMI, machine check, and the double fault that an overflown stack ends in.
 */
#include "asm.h"

    /* Clears AC (SMAP) where the CPU has it: cpu.c writes CLAC or STAC over the NOP. */
    .macro smap_site op
.Lsite\@:
    .byte 0x0f, 0x1f, 0x00
    .pushsection .smap_sites, "a"
    .quad .Lsite\@, \op
    .popsection
    .endm

    .macro push_regs
    push %rdi
    push %rsi
    push %rdx
    push %rcx
    push %rax
    push %r8
    push %r9
    push %r10
    push %r11
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    sub $TF_R15, %rsp
    .endm

    .macro pop_regs
    add $TF_R15, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rax
    pop %rcx
    pop %rdx
    pop %rsi
    pop %rdi
    .endm

    .text
    .balign 16
    .globl vector_stubs        /* 16 bytes for each; cpu.c */
vector_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30
    .else
    push $0                    /* where others have an error code */
    .endif
    push $vector
    .if vector == 2 || vector == 8 || vector == 18
    jmp trap_ist_common
    .else
    jmp trap_common
    .endif
    .set vector, vector + 1
    .endr

    .balign 16
trap_common:
    push_regs
    cld
    smap_site 0xca
    mov %rsp, %rdi
    testb $3, TF_CS(%rsp)
    jz 1f
    swapgs
    movq $-1, TF_ORIG_RAX(%rsp)   /* no system call */
    xor %ebp, %ebp             /* the end of backtraces */
    call trap_user
    mov %rsp, %rdi
    jmp arch_return_to_user
1:  call trap_kernel
    pop_regs
    add $16, %rsp
    iretq

    .globl syscall_entry       /* rcx: where to return, r11: flags; interrupts off by FMASK */
syscall_entry:
    swapgs
    mov %rsp, %gs:CPU_USER_SP
    mov %gs:CPU_KERNEL_SP, %rsp
    push $USER_DS
    push %gs:CPU_USER_SP
    push %r11
    push $USER_CS
    push %rcx
    push $0
    push $256                  /* TRAP_SYSCALL */
    push_regs
    mov %rax, TF_ORIG_RAX(%rsp)   /* orig_rax */
    mov %rsp, %rdi
    xor %ebp, %ebp
    call trap_user
    mov %rsp, %rdi

    /* rdi: the frame to return with. */
    .globl arch_return_to_user
arch_return_to_user:
    mov %rdi, %rsp
    call trap_exit_user        /* leaves interrupts off; may it be SYSRET? */
    test %al, %al
    jz 1f
    pop_regs
    mov TF_RSP - TF_TRAP(%rsp), %rsp
    swapgs
    sysretq
1:  pop_regs
    add $16, %rsp
    swapgs
    iretq

trap_ist_common:
    push_regs
    cld
    smap_site 0xca
    mov $MSR_GS_BASE, %ecx
    rdmsr
    xor %ebx, %ebx
    test %edx, %edx            /* the kernel's addresses are negative; a user's base is not (arch_prctl) */
    js 1f
    swapgs
    inc %ebx
1:  mov %rsp, %rdi
    call trap_ist
    test %ebx, %ebx
    jz 2f
    swapgs
2:  pop_regs
    add $16, %rsp
    iretq

    /* What a signal handler returns to; mapped into programs. Debuggers and unwinders know these bytes. */
    .section .rodata
    .globl sigreturn_code, sigreturn_code_end
sigreturn_code:
    mov $15, %rax
    syscall
sigreturn_code_end:
