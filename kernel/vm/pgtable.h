/*
 * The tree of tables: walk, share, seal, copy a path, drop.
 *
 * PAGE_F_SEALED on a table says that nothing can be written through any of its
 * edges: its leaves lack W, its table edges are sealed or lead to sealed tables.
 * An edge to a sealed table may stay walkable when its table is shared. The
 * mark is cleared on the whole path before a write is granted below it.
 *
 * All functions: vm->lock held (of the parent's address space in pt_share).
 */
#pragma once
#include "vm/vm.h"

/* ---- what the tables say about an address: found once for all that a fault does ---- */
struct pt_path {
    vaddr_t va;         /* of the page */
    struct page *table; /* the leaf table; NULL: there is none */
    pte_t leaf;         /* empty: no page */
    unsigned allows;    /* what the CPU may do there now: enum prot bits */
    unsigned needed;    /* tables that a private path takes: those missing, and from the first shared one all */
    struct page *shared; /* the first shared table from above, NULL: none */
    bool open;          /* the path is private, and nothing on it is sealed */
};
/* Walks, through sealed edges too. What it finds is true until the tables of vm change. */
void pt_find(struct vmspace *vm, vaddr_t va, struct pt_path *p);

/* Pages set aside before the first change of an operation (invariant 6). */
struct pt_reserve {
    struct page *tables; /* a chain through page->next */
    u64 count;
    struct page *data;
};

/* ---- setting aside: 0, or -ENOMEM with nothing kept ---- */

/* What a private path takes, and a data page if asked. */
int pt_reserve(const struct pt_path *p, bool data, enum alloc_flags flags, struct pt_reserve *r) __must_check;
/* What pt_unmap needs: the paths of the two ends. */
int pt_reserve_unmap(struct vmspace *vm, vaddr_t start, vaddr_t end, struct pt_reserve *r) __must_check;
/* Private paths to all that is mapped in the range. */
int pt_reserve_range(struct vmspace *vm, vaddr_t start, vaddr_t end, struct pt_reserve *r) __must_check;
/* Private paths to all of the range, whatever is there now. */
int pt_reserve_fresh(vaddr_t start, vaddr_t end, struct pt_reserve *r) __must_check;
void pt_reserve_init(struct pt_reserve *r);
void pt_reserve_release(struct pt_reserve *r); /* gives back what was not used */

/* ---- pgtable.c: one page ---- */

/*
 * Fork: child, whose user part is empty, shares everything of parent. Flushes
 * parent before it returns. Nothing below the root is looked at: pushing a few
 * tables down at once was measured, and saves less than it costs (docs/vm.md).
 */
void pt_share(struct vmspace *parent, struct vmspace *child);
/*
 * The same, as other kernels do it: child gets a copy of every table, and every
 * leaf of both is sealed. For comparison (boot argument vm.fork=eager). 0 or
 * -ENOMEM, parent unchanged.
 */
int pt_share_eager(struct vmspace *parent, struct vmspace *child) __must_check;

/*
 * Bounds the work of one fault: if a private path takes a copy of a full table
 * above the last level (p->needed > 1), that one is copied now. True: it was, and
 * p is no longer true.
 */
bool pt_copy_ahead(struct vmspace *vm, const struct pt_path *p);

/* The leaf entry of va as the tables have it now, through sealed edges too; empty if there is none. */
pte_t pt_lookup(struct vmspace *vm, vaddr_t va);
/* Makes a present leaf reachable for reading. Flushes locally. */
void pt_open_read(struct vmspace *vm, vaddr_t va);
/* Maps the page (the caller's reference is taken over) where there was no leaf. W only for a page that is va's alone,
 * or an object's in a VM_SHARED region. */
void pt_fill(struct vmspace *vm, const struct pt_path *p, struct page *page, unsigned prot, struct pt_reserve *r);
/*
 * Maps n pages from va on, within the leaf table of the page that was just
 * filled there: those that are not NULL (the caller's references are taken over)
 * and whose entry is empty. Never with W. The pages mapped.
 */
unsigned pt_fill_around(struct vmspace *vm, vaddr_t va, struct page **pages, unsigned n, unsigned prot);
/*
 * Grants a store to a private present leaf: reuses the page where its path is
 * exclusive, else copies it into r->data. Where pages are found to be va's alone
 * again, its neighbours within [lo, hi), the region, get W back as well.
 */
void pt_grant_write(struct vmspace *vm, const struct pt_path *p, unsigned prot, vaddr_t lo, vaddr_t hi,
                    struct pt_reserve *r);
/* Gives a present leaf these permissions; W only for an object's page in a VM_SHARED region. */
void pt_grant(struct vmspace *vm, const struct pt_path *p, unsigned prot, struct pt_reserve *r);
/* Does a store to this present private leaf need a page to copy into? Never a wrong no. */
bool pt_needs_copy(const struct pt_path *p);
/* Drops everything; no CPU runs vm. Preemptible. */
void pt_drop_all(struct vmspace *vm);

/* ---- pgrange.c: ranges; start and end page-aligned ---- */

/* Removes what is mapped in the range, whole shared subtrees by their edge. Flushes. r: from pt_reserve_unmap. */
void pt_unmap(struct vmspace *vm, vaddr_t start, vaddr_t end, struct pt_reserve *r);
/*
 * Takes permissions (enum prot bits) away from all leaves of the range. Flushes.
 * Taking only W needs no reserve (sealing will do); else r is from
 * pt_reserve_range.
 */
void pt_restrict(struct vmspace *vm, vaddr_t start, vaddr_t end, unsigned take, struct pt_reserve *r);
/* Moves what is mapped in [from, from + len) to [to, to + len), which is empty and does not overlap. Flushes.
 * src: from pt_reserve_range, dst: from pt_reserve_fresh. */
void pt_move(struct vmspace *vm, vaddr_t from, vaddr_t to, u64 len, struct pt_reserve *src, struct pt_reserve *dst);
/*
 * Pages mapped in the range. exact: of pages' own, looking at every leaf; else
 * the page of zeros counts, too, and only leaf tables are looked at where they
 * lie in the range as a whole.
 */
u64 pt_count(struct vmspace *vm, vaddr_t start, vaddr_t end, bool exact);

/* For both files: the child at `slot` of the exclusive table t, made exclusive and open for writing. */
struct drops;
struct page *pt_path_step(struct page *t, unsigned level, pte_t *slot, struct pt_reserve *r, struct drops *d);
/* The leaf table of va, exclusive and open; tables are made where they are missing. */
struct page *pt_path_private(struct vmspace *vm, vaddr_t va, struct pt_reserve *r, struct drops *d);
