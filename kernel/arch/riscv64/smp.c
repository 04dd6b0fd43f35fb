/*
 * The first C code of each hart, and starting the others through SBI HSM. The
 * boot hart may have any id.
 */
#include "asm.h"
#include "lib/print.h"
#include "lib/string.h"
#include "machine.h"

#define SBI_HSM 0x48534d
#define HSM_START 0

/* What secondary_start reads, by physical address. */
struct secondary {
    u64 satp, entry, tp, sp;
};
static struct secondary secondary[MAX_CPUS];
static _Atomic bool halting;
void secondary_start(void);
void secondary_high(void);
extern char boot_stack_top[];

void machine_main(u64 hart, u64 fdt)
{
    cpus[0].hw_id = (u32)hart;
    cpus[0].trap_scratch[2] = (u64)cpus[0].overflow_stack + sizeof cpus[0].overflow_stack;
    platform_read((paddr_t){fdt}, (u32)hart);
    mmu_init();
    trap_init_cpu();
    plic_init_cpu(0);
    kmain();
}

void secondary_main(void)
{
    struct cpu *c = arch_this_cpu();

    trap_init_cpu();
    plic_init_cpu(c->id);
    sched_cpu_main(c);
}

/* The idle thread, and with it the stack, has been made by the scheduler (sched_cpu_prepare). */
static bool start(unsigned i)
{
    struct cpu *c = &cpus[i];
    struct sbi_result r;

    c->id = i;
    c->hw_id = machine.harts[i];
    c->trap_scratch[2] = (u64)c->overflow_stack + sizeof c->overflow_stack;
    if (!sched_cpu_prepare(c))
        return false;
    secondary[i] = (struct secondary){kernel_satp, (u64)secondary_high, (u64)c, c->kernel_sp};
    atomic_thread_fence(memory_order_seq_cst);
    r = sbi_call(SBI_HSM, HSM_START, c->hw_id, image_phys((void *)secondary_start).pa,
                 image_phys(&secondary[i]).pa, 0, 0);
    if (r.error)
        printk(LOG_WARN, "hart %u does not start: SBI error %ld", c->hw_id, r.error);
    return r.error == 0;
}

void arch_start_cpus(void)
{
    for (unsigned i = 1; i < machine.hart_count; i++)
        if (!start(i))
            break;
}

/* For a panic: the others find `halting` set in their next interrupt. */
void arch_halt_other_cpus(void)
{
    u64 others = cpus_online_mask() & ~(1ul << arch_this_cpu()->id);

    atomic_store(&halting, true);
    if (others)
        arch_send_ipi(others);
}

void halt_if_asked(void)
{
    if (!atomic_load(&halting))
        return;
    csr_write(sie, 0);
    for (;;)
        __asm__ volatile("wfi");
}
