/* Offsets that the assembly needs; offsets.c checks each against the C structures. */
#pragma once
#define CPU_CURRENT 0
#define CPU_KERNEL_SP 8
#define CPU_SCRATCH 16

#define TF_SIZE 288
#define TF_REG(n) ((n) * 8)
#define TF_SSTATUS 256
#define TF_ORIG_A0 264
#define TF_SCAUSE 272
#define TF_STVAL 280

#define KSTACK_BIT 14 /* set in every address of a kernel stack, clear in the guard below it */
#define BOOT_STACK_SIZE 16384

#define SR_SIE 2
#define SR_SPP 0x100
#define SR_SUM 0x40000
#define SR_FS 0x6000
