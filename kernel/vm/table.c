/*
 * One page-table page: sealing, copying, dropping. See table.h; pgtable.h says
 * what the seal mark means.
 */
#include "vm/table.h"
#include "vm/plant.h"
#include "vm/tlb.h"

pte_t pte_sealed(pte_t e, unsigned level)
{
    struct page *node = pte_page(e);

    if (level > 0)
        return pte_table_seal(e, table_sealed(node));
    if (node->kind == PAGE_OBJECT && pte_leaf_writable(e))
        return pte_leaf(pte_paddr(e), pte_leaf_prot(e) & ~(unsigned)PROT_WRITE);
    return pte_leaf_seal(e);
}

static void table_push_down_locked(struct page *t)
{
    pte_t *slots = page_data(t);

    if (table_sealed(t))
        return;
    for (unsigned i = 0; i < PT_ENTRIES; i++) {
        pte_t e = pte_load(&slots[i]);
        if (!pte_is_empty(e) && !vm_plant("seal"))
            pte_store(&slots[i], pte_sealed(e, t->level));
    }
    atomic_store_explicit(&t->flags, t->flags | PAGE_F_SEALED, memory_order_release); /* the lock is held */
    vm_count(VMC_table_pushdown, 1);
}

void table_push_down(struct page *t)
{
    page_lock(t);
    table_push_down_locked(t);
    page_unlock(t);
}

struct page *table_copy(struct page *src, struct page *dst)
{
    pte_t *from = page_data(src), *to = page_data(dst);

    page_lock(src);
    table_push_down_locked(src);
    for (unsigned i = 0; i < PT_ENTRIES; i++) {
        pte_t e = pte_load(&from[i]);
        if (!pte_is_empty(e) && !vm_plant("count"))
            page_get(pte_page(e));
        to[i] = e;
    }
    dst->used = src->used;
    page_unlock(src);
    dst->level = src->level;
    vm_count(VMC_table_copy, 1);
    return dst;
}

void node_put(struct page *p)
{
    if (!page_put_last(p))
        return;
    if (p->kind == PAGE_TABLE) {
        pte_t *slots = page_data(p);
        for (unsigned i = 0; p->used > 0; i++) {
            pte_t e = slots[i];
            if (pte_is_empty(e))
                continue;
            p->used--;
            node_put(pte_page(e));
        }
        vm_count(VMC_table_free, 1);
    }
    page_free(p);
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
