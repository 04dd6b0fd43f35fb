/*
 * One page-table page: its entries, sealing, copying, dropping. The parts that
 * pgtable.c (paths) and pgrange.c (ranges) are made of; nobody else needs them
 * but the checker.
 */
#pragma once
#include "lib/bits.h"
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

/* The same without order, where a lock gives it or nobody else looks. */
static inline pte_t pte_load_relaxed(const pte_t *slot)
{
    return (pte_t){__atomic_load_n(&slot->bits, __ATOMIC_RELAXED)};
}

static inline void pte_store_relaxed(pte_t *slot, pte_t e)
{
    __atomic_store_n(&slot->bits, e.bits, __ATOMIC_RELAXED);
}

/*
 * Entries are kept in groups, of a cache line where tables are full-sized.
 * page->groups has a bit for each that may have an entry that is not empty, so
 * that what looks at all entries of a table costs what is in it.
 */
#define GROUPS (PT_ENTRIES < 64 ? PT_ENTRIES : 64)
#define GROUP_ENTRIES (PT_ENTRIES / GROUPS)
_Static_assert(GROUPS <= 64, "a bit for each in page->groups");

/* Runs through the groups of this bitmap: `g` is the number of each in turn; bits: a u64 that is used up. */
#define for_each_group(g, bits) for (unsigned g; (bits) && ((g = lowest_bit(bits)), true); (bits) &= (bits) - 1)

/* An entry that was empty gets its value. */
static inline void table_entry_set(struct page *t, pte_t *slot, pte_t e)
{
    unsigned i = (unsigned)(slot - (pte_t *)page_data(t));

    t->used++;
    t->groups |= 1ul << i / GROUP_ENTRIES;
    pte_store(slot, e);
}

/* An entry becomes empty. */
static inline void table_entry_clear(struct page *t, pte_t *slot)
{
    t->used--;
    pte_store(slot, (pte_t){0});
}

/* The node that an entry that is not empty points to. */
static inline struct page *pte_page(pte_t e)
{
    return (struct page *)((u64)page_base + pte_frame_32(e));
}
_Static_assert(sizeof(struct page) == 32, "pte_frame_32");

static inline bool table_sealed(const struct page *t)
{
    return atomic_load_explicit(&((struct page *)(uintptr_t)t)->flags, memory_order_acquire) & PAGE_F_SEALED;
}

static inline void table_unmark(struct page *t)
{
    atomic_store_explicit(&t->flags, t->flags & (u8)~PAGE_F_SEALED, memory_order_release); /* exclusive: nobody else writes */
}

/* Table pages' bit lock, RANK_PTABLE, parent before child; no preemption while held, no interrupt handler takes it. */
void page_lock(struct page *p);
void page_unlock(struct page *p);

/* The entry with writing through it forbidden. */
static inline pte_t pte_sealed(pte_t e, unsigned level)
{
    return level > 0 ? pte_table_seal(e, table_sealed(pte_page(e))) : pte_leaf_seal(e);
}
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

/* Drops all that a root has. No CPU runs it. */
void root_clear(struct page *root);

/* Nodes whose reference is dropped once no CPU can reach them any more. */
#define DROPS_MAX 64
struct drops {
    struct vmspace *vm;
    unsigned count;
    bool edges;     /* some edge became more permissive */
    bool took_over; /* the path was sealed, and turned out to be exclusive again */
    struct page *page[DROPS_MAX];
};
static inline void drops_init(struct drops *d, struct vmspace *vm)
{
    d->vm = vm;
    d->count = 0;
    d->edges = d->took_over = false;
}
void drops_add(struct drops *d, struct page *p); /* flushes and drops when full */
void drops_finish(struct drops *d);              /* drops all; the caller has flushed */
