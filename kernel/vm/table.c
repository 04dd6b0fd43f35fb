/*
 * One page-table page: sealing, copying, dropping. See table.h; pgtable.h says
 * what the seal mark means.
 */
#include "vm/count.h"
#include "vm/table.h"
#include "vm/plant.h"
#include "vm/tlb.h"

static void table_push_down_locked(struct page *t)
{
    pte_t *slots = page_data(t);
    u64 groups = t->groups;

    if (table_sealed(t))
        return;
    for_each_group(g, groups)
        for (unsigned i = g * GROUP_ENTRIES; i < (g + 1) * GROUP_ENTRIES; i++) {
            pte_t e = pte_load(&slots[i]), sealed;
            if (pte_is_empty(e) || vm_plant("seal"))
                continue;
            sealed = pte_sealed(e, t->level);
            if (sealed.bits != e.bits)
                pte_store(&slots[i], sealed);
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
    u64 groups;

    page_lock(src);
    table_push_down_locked(src);
    groups = dst->groups = src->groups;
    for_each_group(g, groups)
        for (unsigned i = g * GROUP_ENTRIES; i < (g + 1) * GROUP_ENTRIES; i++) {
            pte_t e = pte_load(&from[i]);
            if (pte_is_empty(e))
                continue;
            if (!vm_plant("count"))
                page_get(pte_page(e));
            to[i] = e;
        }
    dst->used = src->used;
    page_unlock(src);
    dst->level = src->level;
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
