/*
 * The first instructions of each CPU.
 *
 * The boot CPU comes to start32 as PVH says (Xen's docs/misc/pvh.pandoc), or
 * Multiboot 2: 32-bit protected mode without paging, flat segments, ebx = physical
 * address of what the loader tells, eax = the loader's magic number. Others start
 * in real mode in a copy of the trampoline (smp.c).
 * The early tables map the low 4 GiB where they are and at DIRECT_MAP, and the
 * first GiB at KERNEL_BASE; mmu.c builds the final ones.
 */
#include "asm.h"
#define PHYS(symbol) (symbol - IMAGE_OFFSET)
#define ENTRY_TABLE 0x3 /* present, writable */
#define ENTRY_2M 0x83   /* and a leaf */
#define DIRECT_MAP_INDEX 273

    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 8, 18             /* sizes of name and value; XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .quad PHYS(start32)

    .section .text.boot, "ax"
    .balign 8
multiboot_header:              /* Multiboot 2, section 3.1: for i386, and no tag but the last */
    .long 0xe85250d6, 0, multiboot_end - multiboot_header, -(0xe85250d6 + multiboot_end - multiboot_header)
    .long 0, 8
multiboot_end:

    .code32
    .globl start32
start32:
    cli
    cld
    mov %eax, %ebp
    mov $PHYS(_bss_start), %edi
    mov $PHYS(_bss_end), %ecx
    sub %edi, %ecx
    xor %eax, %eax
    rep stosb
    mov $PHYS(early_pages), %edi /* 4 tables of 2 MiB leaves for 4 GiB */
    mov $ENTRY_2M, %eax
1:  mov %eax, (%edi)
    add $8, %edi
    add $0x200000, %eax
    jnc 1b
    movl $PHYS(early_pages) + ENTRY_TABLE, PHYS(early_low)
    movl $PHYS(early_pages) + 0x1000 + ENTRY_TABLE, PHYS(early_low) + 8
    movl $PHYS(early_pages) + 0x2000 + ENTRY_TABLE, PHYS(early_low) + 16
    movl $PHYS(early_pages) + 0x3000 + ENTRY_TABLE, PHYS(early_low) + 24
    movl $PHYS(early_pages) + ENTRY_TABLE, PHYS(early_high) + 510 * 8
    movl $PHYS(early_low) + ENTRY_TABLE, PHYS(early_root)
    movl $PHYS(early_low) + ENTRY_TABLE, PHYS(early_root) + DIRECT_MAP_INDEX * 8
    movl $PHYS(early_high) + ENTRY_TABLE, PHYS(early_root) + 511 * 8
    xor %esi, %esi

/* Into long mode. esi: 0 on the boot CPU. */
enter_long:
    mov $CR4_PAE, %eax
    mov %eax, %cr4
    mov $PHYS(early_root), %eax
    mov %eax, %cr3
    mov $MSR_EFER, %ecx
    rdmsr
    or $(EFER_LME | EFER_NXE | EFER_SCE), %eax
    wrmsr
    mov $(CR0_PG | CR0_AM | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE), %eax
    mov %eax, %cr0
    lgdt PHYS(boot_gdt_pointer)
    ljmp $KERNEL_CS, $PHYS(low64)

    .code64
low64:
    movabs $high64, %rax
    jmp *%rax
high64:
    mov $KERNEL_DS, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    mov %ebp, %r12d
    xor %ebp, %ebp             /* the end of backtraces */
    test %esi, %esi
    jnz 1f
    mov $cpus, %rdi
    mov $boot_stack_top, %rsp
    mov %rsp, CPU_KERNEL_SP(%rdi)
    call set_self
    mov %ebx, %edi
    mov %r12d, %esi
    call machine_main          /* does not return */
    ud2
1:  mov kernel_cr3, %rax       /* the stack is mapped there only */
    mov %rax, %cr3
    mov secondary_cpu, %rdi
    mov CPU_KERNEL_SP(%rdi), %rsp
    call set_self
    call secondary_main
    ud2

set_self:                      /* rdi: this CPU's struct cpu */
    mov %rdi, CPU_SELF(%rdi)
    mov %rdi, %rax
    mov %rdi, %rdx
    shr $32, %rdx
    mov $MSR_GS_BASE, %ecx
    wrmsr
    ret

    .code32
secondary32:
    mov $KERNEL_DS, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $1, %esi
    jmp enter_long

    .section .rodata
    .code16
    .globl trampoline, trampoline_end
trampoline:                    /* copied to TRAMPOLINE */
    cli
    cld
    xor %ax, %ax
    mov %ax, %ds
    lgdtl TRAMPOLINE + trampoline_gdt_pointer - trampoline
    mov $CR0_PE, %eax
    mov %eax, %cr0
    ljmpl $8, $PHYS(secondary32)
    .balign 4
trampoline_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .long PHYS(boot_gdt)
trampoline_end:

    .balign 16
boot_gdt:                      /* null, 32-bit code, and as the final one (cpu.c): 64-bit code, data */
    .quad 0, 0x00cf9b000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff
boot_gdt_end:
    .word 0, 0, 0
boot_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .quad PHYS(boot_gdt)

    .section .bss.stack, "aw", @nobits
    .balign KSTACK_BYTES
    .globl boot_stack_guard, boot_stack_top
boot_stack_guard:              /* not mapped (mmu.c) */
    .space KSTACK_BYTES
    .space KSTACK_BYTES
boot_stack_top:
    .bss
    .balign 4096
early_root: .space 4096
early_low: .space 4096
early_high: .space 4096
early_pages: .space 4 * 4096
