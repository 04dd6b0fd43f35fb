/*
 * What one CPU asks others for by an interrupt, such as a flush: who asks sets
 * its bit in the other's word and waits until it is clear; the other does what
 * is asked, then clears the bits that it saw. A CPU that waits with interrupts
 * off, for this or for a lock, looks for requests itself (arch_cpu_relax), so two
 * that ask each other both get on.
 */
#include "arch/arch.h"
#include "proc/sched.h"

/* Preemption is off. The stores that the others must see come before: a fence is part of each atomic. */
void requests_ask(struct requests *r, u64 cpus_mask)
{
    u64 me = 1ul << arch_this_cpu()->id;

    for (u32 i = 0; i < MAX_CPUS; i++)
        if (cpus_mask >> i & 1)
            atomic_fetch_or(&r->askers[i], me);
    arch_send_ipi(cpus_mask);
    for (u32 i = 0; i < MAX_CPUS; i++)
        while (cpus_mask >> i & 1 && atomic_load(&r->askers[i]) & me)
            arch_cpu_relax();
}

/* Interrupts are off. */
void requests_serve(struct requests *r, void (*what)(void))
{
    _Atomic u64 *mine = &r->askers[arch_this_cpu()->id];
    u64 seen = atomic_load(mine);

    if (seen) {
        what();
        atomic_fetch_and(mine, ~seen);
    }
}
