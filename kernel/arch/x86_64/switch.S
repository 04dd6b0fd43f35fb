/* From one kernel thread to another. Interrupts are off. */
#include "asm.h"
    .text
    .globl arch_context_switch     /* rdi: struct context to save in, rsi: to load from */
arch_context_switch:
    pop %rax
    mov %rax, 0(%rdi)
    mov %rsp, 8(%rdi)
    mov %rbx, 16(%rdi)
    mov %rbp, 24(%rdi)
    mov %r12, 32(%rdi)
    mov %r13, 40(%rdi)
    mov %r14, 48(%rdi)
    mov %r15, 56(%rdi)
    mov %gs:CPU_KERNEL_SP, %rax    /* traps from user mode: the new thread's stack */
    mov %gs:CPU_TSS, %rdx
    mov %rax, TSS_RSP0(%rdx)
    mov 8(%rsi), %rsp
    mov 16(%rsi), %rbx
    mov 24(%rsi), %rbp
    mov 32(%rsi), %r12
    mov 40(%rsi), %r13
    mov 48(%rsi), %r14
    mov 56(%rsi), %r15
    jmp *0(%rsi)

    .globl context_start           /* a new thread: rbx = fn, r12 = arg */
context_start:
    mov %r12, %rdi
    call *%rbx
    ud2
