/*
 * The only code that opens the user window (AC, under SMAP). Each access has an
 * entry in the exception table: if vm_fault cannot mend it, execution goes on at
 * the fixup, which closes the window and says how much is left. A string
 * instruction that faults has its registers where it stopped, and goes on there.
 */
    .macro user fixup, insn:vararg
.Luser\@: \insn
    .pushsection __ex_table, "a"
    .balign 8
    .quad .Luser\@, \fixup
    .popsection
    .endm

    .macro smap_site op
.Lsite\@:
    .byte 0x0f, 0x1f, 0x00
    .pushsection .smap_sites, "a"
    .quad .Lsite\@, \op
    .popsection
    .endm

    .macro open
    smap_site 0xcb             /* STAC */
    .endm

    .macro close
    smap_site 0xca             /* CLAC */
    .endm

    /* rcx words and then rdx bytes by a string instruction; returns the bytes left. */
    .macro string_body name
    open
    user 1f, rep \name\()q
    mov %edx, %ecx
    user 2f, rep \name\()b
2:  close
    mov %rcx, %rax
    ret
1:  close
    lea (%rdx, %rcx, 8), %rax
    ret
    .endm

    .text
    .globl arch_copy_from_user, arch_copy_to_user
arch_copy_from_user:
arch_copy_to_user:             /* rdi: dst, rsi: src, rdx: bytes */
    mov %rdx, %rcx
    shr $3, %rcx
    and $7, %edx
    string_body movs

    .globl arch_clear_user     /* rdi: dst, rsi: bytes */
arch_clear_user:
    mov %rsi, %rcx
    shr $3, %rcx
    mov %esi, %edx
    and $7, %edx
    xor %eax, %eax
    string_body stos

    .globl arch_strncpy_from_user /* rdi: dst, rsi: src, rdx: size */
arch_strncpy_from_user:
    open
    xor %eax, %eax
1:  cmp %rdx, %rax
    je 2f
    user 3f, movb (%rsi, %rax), %cl
    movb %cl, (%rdi, %rax)
    test %cl, %cl
    jz 2f
    inc %rax
    jmp 1b
2:  close
    ret
3:  close
    mov $-1, %rax
    ret

    .globl arch_cmpxchg_user32 /* rdi: address, esi: expect, edx: new, rcx: where the old value goes */
arch_cmpxchg_user32:
    open
    mov %esi, %eax
    user 1f, lock cmpxchgl %edx, (%rdi)
    close
    mov %eax, (%rcx)
    xor %eax, %eax
    ret
1:  close
    mov $-1, %eax
    ret
