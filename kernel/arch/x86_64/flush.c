/* Flushes on other CPUs. */
#include "machine.h"

static struct requests flushes;

void flush_serve(void)
{
    requests_serve(&flushes, arch_flush_local_all);
}

void arch_flush_remote_all(u64 cpus_mask)
{
    requests_ask(&flushes, cpus_mask);
}
