/* What the files of this machine share. */
#pragma once
#include "arch/arch.h"
#include "asm.h"
#include "proc/sched.h"

#define ISA_LINES 16u

/* What the firmware's tables say beyond `platform`; filled by platform.c and acpi.c. */
struct machine {
    u32 apic_ids[MAX_CPUS];  /* of CPUs that may run us; [0] is the boot CPU */
    unsigned cpu_count;
    paddr_t lapic;
    struct {
        paddr_t base;
        u32 first;           /* of its global interrupt numbers */
    } ioapics[4];
    unsigned ioapic_count;
    struct {
        u32 global;          /* its global interrupt number, and how it is wired */
        bool low, level;
    } lines[ISA_LINES + 32]; /* those of the ISA bus, then those of devices that are found */
    unsigned line_count;
    u16 pm1a_control, pm1b_control; /* ports of ACPI's fixed power management; 0: none */
    u16 sleep_type_a, sleep_type_b; /* of S5; valid if pm1a_control is */
    paddr_t sleep_register;  /* of reduced hardware, in memory; 0: none */
    u64 reset_address;       /* of the FADT's reset register; 0: none */
    bool reset_in_memory;
    u8 reset_value;
};
extern struct machine machine;

/* CPUID, as far as it matters; cpu.c. */
struct features {
    bool x2apic, rdrand, pages_1g, smep, smap, umip, mce, pcid, invpcid;
};
extern struct features features;
struct cpuid {
    u32 a, b, c, d;
};
struct cpuid cpuid(u32 leaf, u32 subleaf);

struct tss { /* SDM volume 3A, figure 8-11 */
    u32 reserved0;
    u64 rsp0, rsp1, rsp2, reserved1, ist[7], reserved2;
    u16 reserved3, io_map;
} __attribute__((packed));

extern char _kernel_start[], _text_end[], _rodata_end[], _kernel_end[], boot_stack_guard[];
static inline paddr_t image_phys(const void *p)
{
    return (paddr_t){(u64)p - IMAGE_OFFSET};
}

/* cpu.c: everything that this CPU must be told once. */
void cpu_find_features(void); /* boot CPU */
void cpu_init(struct cpu *c);
void cpu_set_trap_stacks(struct cpu *c); /* after mmu_init */
/* The stack of this CPU's traps of their own that va lies in, or in the guard below: its number, or -1. */
int cpu_trap_stack_of(vaddr_t va);
extern const char *const trap_stack_name[];

/* platform.c: reads what the loader tells; multiboot.c: Multiboot's form of it; acpi.c: the tables at rsdp (0: look for it).
 * The early tables map the low 4 GiB. */
#define MULTIBOOT_MAGIC 0x36d76289
void platform_read(paddr_t info, u32 magic);
void platform_add_ram(u64 base, u64 size);
paddr_t multiboot_read(paddr_t info); /* the RSDP */
void acpi_read(paddr_t rsdp);
void __noreturn boot_fail(const char *why); /* says why on the serial line; the end */

/* pci.c */
void pci_detect(void);

/* virtio.c: places in memory where a virtio device may be, from the boot line and from the DSDT. */
void virtio_read_bootargs(void);
void virtio_read_dsdt(const u8 *code, const u8 *end);

/* mmu.c */
void mmu_init(void); /* final tables; boot CPU */
vaddr_t mmu_trap_stack_top(u32 cpu, unsigned i); /* of TRAP_STACKS; mapped from mmu_init on */
extern u64 kernel_cr3;

/* apic.c */
void apic_init_cpu(void);
void apic_start(u32 apic_id, u64 trampoline_pa); /* INIT, then start-up IPIs */
void apic_send_nmi(u32 apic_id);
void apic_eoi(void);
void apic_timer_start(u32 count); /* ticks of the timer from now; 0 stops it */
u32 apic_timer_left(void);

/* clock.c */
void clock_init(void);     /* boot CPU, after apic_init_cpu */
bool clock_timer_due(void); /* the timer's interrupt: is it time? Else it has been set again */

/* fpu.c */
void fpu_init_cpu(void);
void fpu_make_valid(struct fpu_state *s); /* what has never been used, or is to begin anew, is the initial state */
void fpu_load(void);       /* this thread's state and bases into the registers; interrupts off */
void fpu_set_bases(const struct trapframe *tf);
extern u64 fpu_features;   /* XCR0 */
extern u32 fpu_mxcsr_mask;

/* smp.c */
void halt_if_asked(void);  /* stops this CPU for good if another one panicked */
void machine_main(u64 info, u32 magic) __noreturn;
void secondary_main(void) __noreturn;
void context_start(void);

/* trap.c; the assembly calls them. */
void trap_user(struct trapframe *tf);
void trap_kernel(struct trapframe *tf);
bool trap_exit_user(struct trapframe *tf); /* true: SYSRET gives back all that is in the frame */
void trap_ist(struct trapframe *tf);
void syscall_entry(void);
