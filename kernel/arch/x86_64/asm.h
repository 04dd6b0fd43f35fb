/* Offsets and numbers that the assembly needs; offsets.c checks each against the C structures. */
#pragma once
#define CPU_CURRENT 0
#define CPU_KERNEL_SP 8
#define CPU_USER_SP 16  /* trap_scratch[0] */
#define CPU_TSS 24      /* trap_scratch[1] */
#define CPU_SELF 40     /* trap_scratch[3] */
#define TSS_RSP0 4

#define TF_SIZE 208
#define TF_ORIG_RAX 16  /* below it fs_base and gs_base: nothing is pushed over them */
#define TF_R15 32
#define TF_RDI 144
#define TF_TRAP 152
#define TF_CS 176
#define TF_RSP 192

/* The selectors' numbers are Linux's: programs see them. There is no 32-bit code segment for the user. */
#define KERNEL_CS 0x10
#define KERNEL_DS 0x18
#define USER_DS 0x2b
#define USER_CS 0x33
#define TSS_SELECTOR 0x40
#define GDT_ENTRIES 10

#define VECTOR_IRQ 32       /* line n of the interrupt controller comes as VECTOR_IRQ + n */
#define VECTOR_TIMER 0xf0
#define VECTOR_IPI 0xf1
#define VECTOR_SPURIOUS 0xff

#define IMAGE_OFFSET 0xffffffff80000000 /* linked minus physical */
#define KSTACK_BYTES 16384
#define TRAMPOLINE 0x8000 /* physical: where other CPUs start, in real mode */

#define MSR_EFER 0xc0000080
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_FMASK 0xc0000084
#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102
#define EFER_SCE 1
#define EFER_LME 0x100
#define EFER_NXE 0x800
#define CR0_PE 1
#define CR0_MP 2
#define CR0_ET 16
#define CR0_NE 32
#define CR0_WP 0x10000
#define CR0_AM 0x40000
#define CR0_PG 0x80000000
#define CR4_PAE 0x20
#define CR4_MCE 0x40
#define CR4_PGE 0x80
#define CR4_OSFXSR 0x200
#define CR4_OSXMMEXCPT 0x400
#define CR4_UMIP 0x800
#define CR4_PCIDE 0x20000
#define CR4_OSXSAVE 0x40000
#define CR4_SMEP 0x100000
#define CR4_SMAP 0x200000
