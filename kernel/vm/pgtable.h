/*
 * The tree of tables: walk, share, seal, copy a path, drop.
 *
 * PAGE_F_SEALED on a table says that nothing can be written through any of its
 * edges: its leaves lack W, its table edges are sealed or lead to sealed tables.
 * An edge to a sealed table may stay walkable when its table is shared. The
 * mark is cleared on the whole path before a write is granted below it.
 *
 * All functions: vm->lock held (of both address spaces in pt_share).
 */
#pragma once
#include "vm/vm.h"

/* Pages set aside before the first change of an operation (invariant 6). */
struct pt_reserve {
    struct page *tables[PT_LEVELS - 1];
    unsigned count;
    struct page *data;
};

/* Table pages' bit lock, RANK_PTABLE, parent before child; interrupts off while held. */
void page_lock(struct page *p);
void page_unlock(struct page *p);

/* Sets aside what a private path to va needs, and a data page if asked. 0, or -ENOMEM with nothing kept. */
int pt_reserve(struct vmspace *vm, vaddr_t va, bool data, enum alloc_flags flags, struct pt_reserve *r) __must_check;
void pt_reserve_release(struct pt_reserve *r); /* gives back what was not used */

/* Fork: child, whose user part is empty, shares everything of parent. Flushes parent before it returns. */
void pt_share(struct vmspace *parent, struct vmspace *child);

/* The leaf entry of va as the tables have it now, through sealed edges too; empty if there is none. */
pte_t pt_lookup(struct vmspace *vm, vaddr_t va);
/* Makes a present leaf reachable for reading. Flushes locally. */
void pt_open_read(struct vmspace *vm, vaddr_t va);
/* Maps the page (the caller's reference is taken over) where there was no leaf. r: from pt_reserve. */
void pt_fill(struct vmspace *vm, vaddr_t va, struct page *page, unsigned prot, struct pt_reserve *r);
/* Grants a store to a private present leaf: reuses the page where its path is exclusive, else copies it into r->data. */
void pt_grant_write(struct vmspace *vm, vaddr_t va, unsigned prot, struct pt_reserve *r);
/* Removes the leaf of one page, if any. */
void pt_clear(struct vmspace *vm, vaddr_t va, struct pt_reserve *r);
/* Drops everything; no CPU runs vm. Preemptible. */
void pt_drop_all(struct vmspace *vm);
