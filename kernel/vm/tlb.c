/*
 * Flushes on every CPU that runs an address space, and the loading of one.
 *
 * vm->cpus has a bit for each CPU whose root register holds vm's root, and
 * vm->flushes counts the flushes. Who flushes stores to the tables, raises the
 * count, reads the bits. Who loads sets its bit, reads the count, loads the root,
 * and forgets what it knows if the count has been raised since it last forgot.
 * Between the first and the second step of both there is a full fence, so
 *
 *  - one that is missed because it sets its bit later finds the count raised;
 *  - one that finds the count not raised yet is asked. It has interrupts off until
 *    the root is loaded, so that what it forgets then is vm's; or it has gone on to
 *    another address space by then, and forgets vm's when it comes back, because
 *    the count that it has noted is the lower one.
 *
 * So a count that is noted for an identifier is never higher than what has been
 * forgotten, and translations under it are used only while it is vm->flushes, or
 * vm's bit is set and a flush asks. An address space that has ended has an id that
 * nobody gets again; what is remembered of it is never used.
 */
#include "vm/count.h"
#include "vm/plant.h"
#include "vm/tlb.h"
#include "arch/arch.h"
#include "proc/remote.h"
#include "proc/sched.h"

/* The identifier of vm on this CPU: the one that it had, or that of whoever got its one first. */
static unsigned asid_of(struct cpu *c, struct vmspace *vm)
{
    unsigned hint = atomic_load_explicit(&vm->asid_hint, memory_order_relaxed); /* of any CPU */

    if (c->asids[hint].vm_id == vm->id)
        return hint;
    for (unsigned i = 0; i < TLB_ASIDS; i++)
        if (c->asids[i].vm_id == vm->id)
            return i;
    return c->asid_turn++ % TLB_ASIDS;
}

void tlb_load(struct vmspace *vm)
{
    struct cpu *c = arch_this_cpu();
    unsigned i = asid_of(c, vm);
    u64 flushes = atomic_load(&vm->flushes);
    bool keep = c->asids[i].vm_id == vm->id && c->asids[i].flushes == flushes && arch_has_asids();

    atomic_store_explicit(&vm->asid_hint, (u8)i, memory_order_relaxed);
    c->asids[i] = (struct tlb_asid){vm->id, flushes};
    c->asid = (u8)i;
    vm_count(keep ? VMC_switch_keep : VMC_switch_flush, 1);
    arch_activate(page_paddr(vm->root), i + 1, !keep);
}

static u64 this_cpu_bit(void)
{
    return 1ul << arch_this_cpu()->id;
}

/* Whether this CPU runs vm; the others that do. Preemption is off: the answer stays true until it is on again. */
static bool running_here(struct vmspace *vm, u64 *others)
{
    u64 mask = atomic_load(&vm->cpus);

    *others = mask & ~this_cpu_bit();
    return mask & this_cpu_bit();
}

void tlb_flush_all(struct vmspace *vm)
{
    u64 others, flushes;

    if (vm_plant("flush"))
        return;
    preempt_disable();
    flushes = atomic_fetch_add(&vm->flushes, 1) + 1;
    atomic_thread_fence(memory_order_seq_cst);
    if (running_here(vm, &others)) {
        struct cpu *c = arch_this_cpu();

        arch_flush_local_all();
        c->asids[c->asid].flushes = flushes; /* all that came before is forgotten here */
        vm_count(VMC_flush_local, 1);
    }
    if (others) {
        remote_flush_all(others);
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
        remote_icache_sync(others);
    preempt_enable();
}
