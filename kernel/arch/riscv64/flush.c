/*
 * Flushes on other harts, by an interrupt of the kernel's own: who asks sets a
 * bit in the other's word and waits until it is clear; the other flushes, then
 * clears the bits that it saw. The firmware could do it (SBI RFENCE), but waits
 * in a loop of its own, which an emulator with one thread for all harts does not
 * see through; and every machine needs this anyway.
 *
 * A hart that waits with interrupts off, for this or for a lock, looks for
 * requests itself (arch_cpu_relax), so two that ask each other both get on.
 */
#include "machine.h"

_Atomic u64 flush_requests[MAX_CPUS], fence_i_requests[MAX_CPUS];

void flush_serve(void)
{
    u32 me = arch_this_cpu()->id;
    u64 flush = atomic_load(&flush_requests[me]), fence_i = atomic_load(&fence_i_requests[me]);

    if (flush) {
        arch_flush_local_all();
        atomic_fetch_and(&flush_requests[me], ~flush);
    }
    if (fence_i) {
        arch_icache_sync_local();
        atomic_fetch_and(&fence_i_requests[me], ~fence_i);
    }
}

/* The stores that the others must see come before: a fence is part of each atomic. */
static void ask(_Atomic u64 *requests, u64 cpus_mask)
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

/* Preemption is off. */
void arch_flush_remote_all(u64 cpus_mask)
{
    ask(flush_requests, cpus_mask);
}

void arch_icache_sync_remote(u64 cpus_mask)
{
    ask(fence_i_requests, cpus_mask);
}
