/*
 * Flushes on every CPU that runs an address space.
 *
 * vm->cpus has a bit for each CPU whose root register holds vm's root. A CPU
 * sets its bit before it loads the root and flushes as it loads (arch_activate),
 * so one that is missed here because it sets its bit later cannot hold an old
 * translation: its walks come after our store to the table. The fences on both
 * sides order bit and table (vmspace_switch has the other one).
 */
#include "vm/count.h"
#include "vm/plant.h"
#include "vm/tlb.h"
#include "arch/arch.h"
#include "proc/sched.h"

static u64 this_cpu_bit(void)
{
    return 1ul << arch_this_cpu()->id;
}

/* Whether this CPU runs vm; the others that do. Preemption is off: the answer stays true until it is on again. */
static bool running_here(struct vmspace *vm, u64 *others)
{
    u64 mask;

    atomic_thread_fence(memory_order_seq_cst);
    mask = atomic_load_explicit(&vm->cpus, memory_order_relaxed);
    *others = mask & ~this_cpu_bit();
    return mask & this_cpu_bit();
}

void tlb_flush_all(struct vmspace *vm)
{
    u64 others;

    if (vm_plant("flush"))
        return;
    preempt_disable();
    if (running_here(vm, &others)) {
        arch_flush_local_all();
        vm_count(VMC_flush_local, 1);
    }
    if (others) {
        arch_flush_remote_all(others);
        vm_count(VMC_flush_remote, 1);
    }
    preempt_enable();
}

void tlb_flush_local_page(struct vmspace *vm, vaddr_t va)
{
    u64 others;

    preempt_disable();
    if (running_here(vm, &others))
        arch_flush_local_page(va);
    preempt_enable();
}

void tlb_flush_local(struct vmspace *vm)
{
    u64 others;

    preempt_disable();
    if (running_here(vm, &others)) {
        arch_flush_local_all();
        vm_count(VMC_flush_local, 1);
    }
    preempt_enable();
}

/* A CPU that loads vm later does the same then (arch_activate). */
void tlb_sync_code(struct vmspace *vm)
{
    u64 others;

    preempt_disable();
    if (running_here(vm, &others))
        arch_icache_sync_local();
    if (others)
        arch_icache_sync_remote(others);
    preempt_enable();
}
