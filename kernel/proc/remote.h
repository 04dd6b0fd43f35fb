/*
 * What one CPU asks of others. `cpus` is a mask without this one; preemption is
 * off, vm->lock or a spin lock may be held. Each returns when all have done it.
 */
#pragma once
#include "lib/types.h"

void remote_flush_all(u64 cpus);    /* arch_flush_local_all */
void remote_flush_kernel(u64 cpus); /* arch_flush_local_kernel */
void remote_icache_sync(u64 cpus);  /* arch_icache_sync_local */

/* Does what this CPU has been asked for; interrupts are off. From the interrupt (arch_send_ipi), and from arch_cpu_relax. */
void remote_serve(void);
