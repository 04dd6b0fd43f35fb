/*
 * Flushes on other harts, by an interrupt of the kernel's own. The firmware could
 * do it (SBI RFENCE), but waits in a loop of its own, which an emulator with one
 * thread for all harts does not see through; and every machine needs this anyway.
 */
#include "machine.h"

static struct requests flushes, fences;

void flush_serve(void)
{
    requests_serve(&flushes, arch_flush_local_all);
    requests_serve(&fences, arch_icache_sync_local);
}

void arch_flush_remote_all(u64 cpus_mask)
{
    requests_ask(&flushes, cpus_mask);
}

void arch_icache_sync_remote(u64 cpus_mask)
{
    requests_ask(&fences, cpus_mask);
}
