/* What the files of this machine share. */
#pragma once
#include "arch/arch.h"
#include "proc/sched.h"

/* What the device tree says beyond `platform`; filled by platform.c. */
struct machine {
    u64 timebase;            /* ticks of rdtime in a second */
    u32 harts[MAX_CPUS];     /* ids of those that may run us; [0] is the boot hart */
    unsigned hart_count;
    paddr_t plic;            /* 0: none */
    u32 plic_context[MAX_CPUS]; /* of harts[i]'s S-mode external interrupt; UINT32_MAX: none */
    u32 plic_lines;
    paddr_t pci_space;       /* of bus 0's configuration; 0: no PCI */
    paddr_t finisher, rtc;   /* test device that ends the emulator; goldfish real-time clock. 0: none */
    paddr_t fdt;
};
extern struct machine machine;

extern char _kernel_start[], _text_end[], _rodata_end[], _kernel_end[], boot_stack_guard[];
#define IMAGE_OFFSET 0xffffffff00000000ul /* linked minus physical */
static inline paddr_t image_phys(const void *p)
{
    return (paddr_t){(u64)p - IMAGE_OFFSET};
}

/* platform.c: reads the device tree; the early tables map the low 64 GiB at DIRECT_MAP. */
void platform_read(paddr_t fdt, u32 boot_hart);
void __noreturn boot_fail(const char *why); /* says why on the firmware's console and stops */

/* pci.c */
struct fdt;
void pci_read_tree(const struct fdt *t);

/* mmu.c */
void mmu_init(void);            /* final tables; boot hart */
extern u64 kernel_satp;

/* trap.c, plic.c, smp.c */
void halt_if_asked(void);       /* stops this hart for good if another one panicked */
void trap_init_cpu(void);       /* interrupt enables of this hart */
void plic_init_cpu(u32 cpu);
void plic_handle(void);

/* SBI calls, specification 1.0. */
struct sbi_result {
    s64 error, value;
};
struct sbi_result sbi_call(u64 extension, u64 function, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4);
void fpu_save_regs(struct fpu_state *s);
void fpu_load_regs(const struct fpu_state *s);

void trap_user(struct trapframe *tf);
void trap_kernel(struct trapframe *tf);
void trap_exit_user(struct trapframe *tf);
void trap_overflow(struct trapframe *tf) __noreturn;
u64 early_tables(u64 load_address);
void machine_main(u64 hart, u64 fdt) __noreturn;
void secondary_main(void) __noreturn;
void context_start(void);
