/*
 * Work on other CPUs, by an interrupt: who asks sets his bit in the other's word
 * and waits until it is clear; the other does the work, then clears the bits that
 * it saw. (RISC-V's firmware could flush, but waits in a loop of its own, which an
 * emulator with one thread for all CPUs does not see through.)
 *
 * A CPU that waits with interrupts off, for this or for a lock, looks for requests
 * itself (arch_cpu_relax), so two that ask each other both get on. An interrupt's
 * handler asks for nothing: its bit might be the one that is waited for.
 */
#include "arch/arch.h"
#include "proc/remote.h"
#include "proc/sched.h"

enum work { FLUSH_ALL, FLUSH_KERNEL, ICACHE_SYNC, WORKS };

static void (*const work_fn[WORKS])(void) = {arch_flush_local_all, arch_flush_local_kernel, arch_icache_sync_local};
static struct {
    _Atomic u64 askers[WORKS];
} requests[MAX_CPUS];

void remote_serve(void)
{
    u32 me = arch_this_cpu()->id;

    for (unsigned w = 0; w < WORKS; w++) {
        u64 seen = atomic_load(&requests[me].askers[w]);
        if (seen) {
            work_fn[w]();
            atomic_fetch_and(&requests[me].askers[w], ~seen);
        }
    }
}

/* The stores that the others must see come before: a fence is part of each atomic. */
static void ask(enum work w, u64 cpus_mask)
{
    u64 me = 1ul << arch_this_cpu()->id;

    for (u32 i = 0; i < MAX_CPUS; i++) {
        u64 before = cpus_mask >> i & 1 ? atomic_fetch_or(&requests[i].askers[w], me) : 0;
        ASSERT(!(before & me));
    }
    arch_send_ipi(cpus_mask);
    for (u32 i = 0; i < MAX_CPUS; i++)
        while (cpus_mask >> i & 1 && atomic_load(&requests[i].askers[w]) & me)
            arch_cpu_relax();
}

void remote_flush_all(u64 cpus_mask)
{
    ask(FLUSH_ALL, cpus_mask);
}

void remote_flush_kernel(u64 cpus_mask)
{
    ask(FLUSH_KERNEL, cpus_mask);
}

void remote_icache_sync(u64 cpus_mask)
{
    ask(ICACHE_SYNC, cpus_mask);
}
