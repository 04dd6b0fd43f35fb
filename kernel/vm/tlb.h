/*
 * Flushes of one address space, on every CPU that runs it (vm->cpus). vm->lock
 * is held; each returns when no CPU can use what the flush covered any more.
 */
#pragma once
#include "vm/vm.h"

void tlb_flush_all(struct vmspace *vm);   /* table edges and leaves, all CPUs */
void tlb_flush_local(struct vmspace *vm); /* the same, this CPU only: after an entry that became more permissive */
void tlb_sync_code(struct vmspace *vm);   /* what was stored to a page before now is what all CPUs of vm execute */
void tlb_flush_local_page(struct vmspace *vm, vaddr_t va); /* one leaf entry, this CPU only */
