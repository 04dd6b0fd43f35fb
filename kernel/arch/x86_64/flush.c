/*
 * Flushes on other CPUs, by an interrupt: who asks sets a bit in the other's
 * word and waits until it is clear; the other flushes, then clears the bits that
 * it saw. A CPU that waits with interrupts off, for this or for a lock, looks for
 * requests itself (arch_cpu_relax), so two that ask each other both get on.
 */
#include "machine.h"

static _Atomic u64 requests[MAX_CPUS];

void flush_serve(void)
{
    _Atomic u64 *mine = &requests[arch_this_cpu()->id];
    u64 seen = atomic_load(mine);

    if (seen) {
        arch_flush_local_all();
        atomic_fetch_and(mine, ~seen);
    }
}

/* Preemption is off. The stores that the others must see come before: a fence is part of each atomic. */
void arch_flush_remote_all(u64 cpus_mask)
{
    u64 me = 1ul << arch_this_cpu()->id;

    for (u32 i = 0; i < MAX_CPUS; i++)
        if (cpus_mask >> i & 1)
            atomic_fetch_or(&requests[i], me);
    arch_send_ipi(cpus_mask);
    for (u32 i = 0; i < MAX_CPUS; i++)
        while (cpus_mask >> i & 1 && atomic_load(&requests[i]) & me)
            arch_cpu_relax();
}
