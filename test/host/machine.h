/*
 * A machine for the host tests: RAM, CPUs with a TLB, and what kernel/vm needs
 * of the rest of the kernel. kernel/vm itself is the shipped code.
 *
 * The TLB is as hostile as the architectures permit: it may fetch any
 * translation at any time, or that there is none, keeps it and the tables that it
 * walked through until a flush that covers them, and answers with old or new as a
 * coin falls. So a flush that is missing or too narrow shows as a wrong byte, as a
 * fault without end, or as a walk through a freed table; one that comes late, as
 * the free of a page that some CPU may still use. What it keeps belongs to the
 * address-space identifier that was loaded, and comes back with it.
 *
 * A CPU is what sets host_cpu to its number: one thread may be several CPUs in
 * turn, or (with threads) each thread one CPU.
 */
#pragma once
#include "proc/sched.h"
#include "vm/vm.h"

extern _Thread_local unsigned host_cpu;
extern bool host_threads;       /* set before host_boot: locks wait, instead of saying that they would wait for ever */
extern const char *host_plant;  /* the planted fault (vm/plant.h); NULL: none */
extern const char *host_fork, *host_overcommit; /* the boot arguments vm.fork and vm.overcommit */
extern bool host_asids;         /* translations stay when another address space is loaded; otherwise the machine has no identifiers */
extern void (*host_on_panic)(void); /* says where the test stood */
extern void (*host_before_flush)(void); /* what other CPUs do in the last moment before each flush; one thread only */

/* RAM of so many frames; page, kmem, object spaces and the checker are ready afterwards. Once. */
void host_boot(u64 frames);
void host_seed(u64 seed); /* of this thread's coin */
u64 host_random(u64 n);   /* 0 .. n-1 */
extern const u8 *host_bytes, *host_bytes_end; /* for a fuzzer: if set, what host_random takes instead, until the end */

extern _Atomic u64 host_synced; /* CPUs whose instruction cache was brought up to date since somebody cleared it */

/* The scheduler's part: this CPU loads the address space (NULL: none). */
void host_run(struct vmspace *vm);
struct vmspace *host_running(unsigned cpu);

/* One load or store of a u64 by this CPU in what it runs; faults go to vm_fault until it is done. */
enum fault_result host_load(vaddr_t va, u64 *value);
enum fault_result host_store(vaddr_t va, u64 value);
/* What a CPU's hardware does with a page if it does not fault: loads its first u64, or stores its first and last. */
bool host_touch(unsigned cpu, vaddr_t va, bool write, u64 *value);
/* This CPU's hardware fetches the translation of va, for no reason. */
void host_prefetch(vaddr_t va);

/* Free pages, kmem's included as far as it can give them back. */
u64 host_free_pages(void);
