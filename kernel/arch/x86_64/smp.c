/*
 * The first C code of each CPU, and starting the others, one after another: each
 * finds in secondary_cpu who it is. Interrupts are off.
 */
#include "lib/print.h"
#include "lib/string.h"
#include "machine.h"

#define START_WAIT_NS 10000000000ul

extern const char trampoline[], trampoline_end[];
struct cpu *secondary_cpu;
static _Atomic bool secondary_runs, halting;

void machine_main(u64 info, u32 magic)
{
    cpu_find_features();
    cpu_init(&cpus[0]);
    platform_read((paddr_t){info}, magic);
    cpus[0].hw_id = machine.apic_ids[0];
    mmu_init();
    cpu_set_trap_stacks(&cpus[0]);
    apic_init_cpu();
    clock_init();
    kmain();
}

void secondary_main(void)
{
    struct cpu *c = arch_this_cpu();

    cpu_init(c);
    apic_init_cpu();
    atomic_store(&secondary_runs, true);
    sched_cpu_main(c);
}

/* The idle thread, and with it the stack, has been made by the scheduler (sched_cpu_prepare). */
static bool start(unsigned i)
{
    struct cpu *c = &cpus[i];
    u64 end;

    c->id = i;
    c->hw_id = machine.apic_ids[i];
    if (!sched_cpu_prepare(c))
        return false;
    secondary_cpu = c;
    atomic_store(&secondary_runs, false);
    apic_start(c->hw_id, TRAMPOLINE);
    for (end = arch_time_ns() + START_WAIT_NS; !atomic_load(&secondary_runs) && arch_time_ns() < end;)
        arch_cpu_relax();
    if (!atomic_load(&secondary_runs))
        printk(LOG_WARN, "the CPU with APIC id %u does not start", c->hw_id);
    return atomic_load(&secondary_runs);
}

void arch_start_cpus(void)
{
    memcpy(arch_phys_to_virt((paddr_t){TRAMPOLINE}), trampoline, (size_t)(trampoline_end - trampoline));
    for (unsigned i = 1; i < machine.cpu_count; i++)
        if (!start(i))
            break;
}

/* For a panic: the others find `halting` set. NMI, since they may wait with interrupts off. */
void arch_halt_other_cpus(void)
{
    u64 others = cpus_online_mask() & ~(1ul << arch_this_cpu()->id);

    atomic_store(&halting, true);
    for (; others; others &= others - 1)
        apic_send_nmi(cpus[__builtin_ctzl(others)].hw_id);
}

void halt_if_asked(void)
{
    if (!atomic_load(&halting))
        return;
    for (;;)
        __asm__ volatile("cli\n\thlt");
}
