/*
 * One page-table page: its entries, sealing, copying, dropping. The parts that
 * pgtable.c (paths) and pgrange.c (ranges) are made of; nobody else needs them
 * but the checker.
 */
#pragma once
#include "vm/vm.h"

static inline unsigned pt_index(vaddr_t va, unsigned level)
{
    return va >> (PAGE_SHIFT + level * PT_BITS) & (PT_ENTRIES - 1);
}

/* Bytes that one entry of a table of this level covers. */
static inline u64 pt_span(unsigned level)
{
    return 1ul << (PAGE_SHIFT + level * PT_BITS);
}

static inline pte_t *pt_slot(struct page *table, unsigned level, vaddr_t va)
{
    return (pte_t *)page_data(table) + pt_index(va, level);
}

static inline pte_t pte_load(const pte_t *slot)
{
    return (pte_t){__atomic_load_n(&slot->bits, __ATOMIC_ACQUIRE)};
}

static inline void pte_store(pte_t *slot, pte_t e)
{
    __atomic_store_n(&slot->bits, e.bits, __ATOMIC_RELEASE);
}

/* The node that an entry that is not empty points to. */
static inline struct page *pte_page(pte_t e)
{
    return page_of(pte_paddr(e));
}

static inline bool table_sealed(const struct page *t)
{
    return atomic_load_explicit(&((struct page *)(uintptr_t)t)->flags, memory_order_acquire) & PAGE_F_SEALED;
}

static inline void table_unmark(struct page *t)
{
    atomic_store_explicit(&t->flags, t->flags & (u8)~PAGE_F_SEALED, memory_order_release); /* exclusive: nobody else writes */
}

/* Table pages' bit lock, RANK_PTABLE, parent before child; interrupts off while held. */
void page_lock(struct page *p);
void page_unlock(struct page *p);

/* The entry with writing through it forbidden. A shared object's page gets no COW mark: it is never copied. */
pte_t pte_sealed(pte_t e, unsigned level);
/*
 * Seals every edge of a table. No CPU can hold a writable translation through
 * it: either all edges to it have been sealed and flushed, or it is about to be
 * copied for the only address space that can walk it, which flushes afterwards.
 */
void table_push_down(struct page *t);
/* A copy into dst whose children are counted once more; the edges of both are sealed. Returns dst. */
struct page *table_copy(struct page *src, struct page *dst);

/* Drops a reference to a node; the last one drops its children. Recursion is as deep as the tree; preemptible. */
void node_put(struct page *p);

/* Nodes whose reference is dropped once no CPU can reach them any more. */
#define DROPS_MAX 64
struct drops {
    struct vmspace *vm;
    unsigned count;
    bool edges;     /* some edge became more permissive */
    bool took_over; /* the path was sealed, and turned out to be exclusive again */
    struct page *page[DROPS_MAX];
};
void drops_add(struct drops *d, struct page *p); /* flushes and drops when full */
void drops_finish(struct drops *d);              /* drops all; the caller has flushed */
