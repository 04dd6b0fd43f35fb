/* What the files of vm/ share about address spaces; others use vm.h. */
#pragma once
#include "vm/vm.h"

extern struct mutex vmspaces_lock; /* RANK_VMSPACES, before any vm->lock */
extern struct list vmspaces;       /* struct vmspace.link */

/* Every operation is between these two; unlock also lets go of the old versions of the regions (that may close files). */
void vm_lock(struct vmspace *vm);
void vm_unlock(struct vmspace *vm);

/* ---- fault.c, for mmap.c ---- */
/* vm->lock held. The region that covers va, growing the stack down to it if that is allowed; NULL: none. */
const struct region *region_at(struct vmspace *vm, vaddr_t va);
/* Stores n bytes within one page, which becomes the address space's own first; with vm->lock held from the fault to the
 * store, so that the page is not shared anew in between. To private memory that can be read, permitted or not; to shared
 * memory if permitted. */
bool vm_store(struct vmspace *vm, vaddr_t va, const void *src, size_t n);

/* ---- mmap.c ---- */
/* Puts a new version of the regions in place of the present one, whose reference is dropped. vm->lock held. */
void vm_regions_publish(struct vmspace *vm, struct region_node *next);
/* Promises what the version `next` needs more than the present one (commit.h). Before the first change; false: refused. */
bool vm_regions_promise(struct vmspace *vm, struct region_node *next) __must_check;
/* vm_fault, again and again while it says FAULT_RETRY: for who has no instruction to try again. */
static inline enum fault_result vm_fault_wholly(struct vmspace *vm, vaddr_t va, enum fault_access access)
{
    enum fault_result r;

    do
        r = vm_fault(vm, va, access);
    while (r == FAULT_RETRY);
    return r;
}
/* vm->lock held, start < end: unmaps all of the range. 0 or -ENOMEM (nothing changed). */
int vm_unmap_locked(struct vmspace *vm, vaddr_t start, vaddr_t end) __must_check;
int vm_discard_locked(struct vmspace *vm, vaddr_t start, vaddr_t end) __must_check;

/* ---- mlock.c; vm->lock held ---- */
/* Sets and clears flags of all regions in the range. 0 or -ENOMEM. */
int vm_change_flags_locked(struct vmspace *vm, vaddr_t start, vaddr_t end, unsigned set, unsigned clear) __must_check;
bool vm_lock_permits(const struct vmspace *vm, u64 more); /* so many bytes more */
bool vm_has_locked(const struct vmspace *vm, vaddr_t start, vaddr_t end);
