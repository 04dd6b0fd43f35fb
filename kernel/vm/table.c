/*
 * One page-table page: sealing, copying, dropping. See table.h; pgtable.h says
 * what the seal mark means.
 */
#include "vm/count.h"
#include "vm/table.h"
#include "vm/plant.h"
#include "vm/tlb.h"

/*
 * Seals an entry in its place; what it is now. The hardware reads entries at any
 * time and writes none (A and D are set from the start), and whoever else seals
 * one holds the table's lock: a plain store of the whole word will do.
 */
static inline pte_t seal_in_place(pte_t *slot, pte_t e, unsigned level)
{
    pte_t sealed = pte_sealed(e, level);

    if (sealed.bits != e.bits && !vm_plant("seal"))
        pte_store_relaxed(slot, sealed);
    return sealed;
}

static inline void mark_sealed(struct page *t)
{
    atomic_store_explicit(&t->flags, t->flags | PAGE_F_SEALED, memory_order_release); /* the lock is held */
}

/* One group of entries. */
static inline void seal_leaves(pte_t *slot)
{
    for (pte_t *end = slot + GROUP_ENTRIES; slot < end; slot++) {
        pte_t e = pte_load_relaxed(slot);
        if (pte_leaf_writable(e) && !vm_plant("seal"))
            pte_store_relaxed(slot, pte_leaf_seal(e));
    }
}

static inline void seal_edges(pte_t *slot, unsigned level)
{
    for (pte_t *end = slot + GROUP_ENTRIES; slot < end; slot++) {
        pte_t e = pte_load_relaxed(slot);
        if (!pte_is_empty(e))
            seal_in_place(slot, e, level);
    }
}

void table_push_down(struct page *t)
{
    pte_t *slots = page_data(t);
    unsigned level = t->level;
    u64 groups;

    if (table_sealed(t))
        return;
    page_lock(t);
    groups = t->groups;
    for_each_group(g, groups)
        if (level == 0)
            seal_leaves(slots + g * GROUP_ENTRIES);
        else
            seal_edges(slots + g * GROUP_ENTRIES, level);
    mark_sealed(t);
    page_unlock(t);
    vm_count(VMC_table_pushdown, 1);
}

/* One group of entries: its children are counted once more. Apart for leaves, of which a fault may copy 512. */
static inline void copy_leaves(pte_t *from, pte_t *to, u64 base, bool sealed)
{
    for (pte_t *end = from + GROUP_ENTRIES; from < end; from++, to++) {
        pte_t e = pte_load_relaxed(from);
        if (pte_is_empty(e))
            continue;
        if (!vm_plant("count"))
            page_get((struct page *)(base + pte_frame_32(e)));
        if (!sealed && likely(pte_leaf_writable(e)) && !vm_plant("seal")) {
            e = pte_leaf_seal(e);
            pte_store_relaxed(from, e);
        }
        *to = e;
    }
}

static inline void copy_edges(pte_t *from, pte_t *to, unsigned level)
{
    for (pte_t *end = from + GROUP_ENTRIES; from < end; from++, to++) {
        pte_t e = pte_load_relaxed(from);
        if (pte_is_empty(e))
            continue;
        page_get(pte_page(e));
        *to = seal_in_place(from, e, level);
    }
}

struct page *table_copy(struct page *src, struct page *dst)
{
    pte_t *from = page_data(src), *to = page_data(dst);
    u64 base = (u64)page_base; /* a copy, which the stores to tables cannot change */
    unsigned level = src->level;
    u64 groups;

    page_lock(src);
    groups = src->groups;
    for_each_group(g, groups)
        if (level > 0)
            copy_edges(from + g * GROUP_ENTRIES, to + g * GROUP_ENTRIES, level);
        else if (table_sealed(src)) /* a loop of its own: no entry has W */
            copy_leaves(from + g * GROUP_ENTRIES, to + g * GROUP_ENTRIES, base, true);
        else
            copy_leaves(from + g * GROUP_ENTRIES, to + g * GROUP_ENTRIES, base, false);
    mark_sealed(src);
    dst->groups = src->groups;
    dst->used = src->used;
    page_unlock(src);
    dst->level = (u8)level;
    vm_count(VMC_table_copy, 1);
    return dst;
}

/* Nobody else knows the table any more: drops its children, and leaves it empty. */
static void table_clear(struct page *t)
{
    pte_t *slots = page_data(t);
    u64 groups = t->groups;

    for_each_group(g, groups)
        for (unsigned i = g * GROUP_ENTRIES; i < (g + 1) * GROUP_ENTRIES; i++) {
            pte_t e = slots[i];
            if (pte_is_empty(e))
                continue;
            slots[i] = (pte_t){0};
            t->used--;
            node_put(pte_page(e));
        }
}

void node_put(struct page *p)
{
    if (!page_put_last(p))
        return;
    if (p->kind != PAGE_TABLE) {
        page_free(p);
        return;
    }
    table_clear(p);
    page_free_table(p);
    vm_count(VMC_table_free, 1);
}

void root_clear(struct page *root)
{
    table_clear(root);
}

void drops_finish(struct drops *d)
{
    while (d->count > 0)
        node_put(d->page[--d->count]);
}

void drops_add(struct drops *d, struct page *p)
{
    if (d->count == DROPS_MAX) {
        tlb_flush_all(d->vm);
        drops_finish(d);
    }
    d->page[d->count++] = p;
}
