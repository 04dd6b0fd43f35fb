/*
 * What CPUs remember of address spaces: their loading and their flushes.
 *
 * A CPU keeps the translations of the last few address spaces that it ran, each
 * under an address-space identifier (RISC-V's ASID, x86's PCID) that is this
 * CPU's own affair. Flushes go to the CPUs that run vm (vm->cpus); vm->lock is
 * held; each returns when no CPU can use what the flush covered any more.
 */
#pragma once
#include "vm/vm.h"

#define TLB_ASIDS 6u /* besides 0, the kernel's; three bits of an identifier are enough */

/* Under one identifier of one CPU: whose translations, and how many of its flushes they have seen. */
struct tlb_asid {
    u64 vm_id, flushes;
};

void tlb_load(struct vmspace *vm); /* this CPU's root register; its bit is set in vm->cpus; interrupts are off */

void tlb_flush_all(struct vmspace *vm);   /* table edges and leaves, all CPUs */
void tlb_flush_local(struct vmspace *vm); /* the same, this CPU only: after an entry that became more permissive */
void tlb_sync_code(struct vmspace *vm);   /* what was stored to a page before now is what all CPUs of vm execute */
void tlb_flush_local_page(struct vmspace *vm, vaddr_t va); /* one leaf entry, this CPU only */
