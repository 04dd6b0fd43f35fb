/*
 * The tree of tables, ranges: unmap, restrict, move, count. A subtree that lies
 * wholly in the range is dropped by its edge; only the two ends need a path of
 * their own.
 */
#include "lib/print.h"
#include "vm/pgtable.h"
#include "vm/table.h"
#include "vm/tlb.h"

/* The end of the entry that covers va at this level, but not beyond end. */
static vaddr_t entry_end(vaddr_t va, unsigned level, vaddr_t end)
{
    return MIN(end, ROUND_DOWN(va, pt_span(level)) + pt_span(level));
}

static void slot_clear(struct page *t, unsigned level, vaddr_t va, struct drops *d)
{
    pte_t *slot = pt_slot(t, level, va);
    struct page *node = pte_page(pte_load(slot));

    table_entry_clear(t, slot);
    drops_add(d, node);
}

/* t: exclusive, of this level. */
static void unmap_below(struct vmspace *vm, struct page *t, unsigned level, vaddr_t start, vaddr_t end,
                        struct pt_reserve *r, struct drops *d)
{
    for (vaddr_t va = start, next; va < end && t->used > 0; va = next) {
        pte_t *slot = pt_slot(t, level, va);
        struct page *child;

        next = entry_end(va, level, end);
        if (pte_is_empty(pte_load(slot)))
            continue;
        if (level > 0 && next - va < pt_span(level)) {
            child = pt_path_step(t, level, slot, r, d);
            unmap_below(vm, child, level - 1, va, next, r, d);
            if (child->used > 0)
                continue;
        }
        slot_clear(t, level, va, d);
    }
}

void pt_unmap(struct vmspace *vm, vaddr_t start, vaddr_t end, struct pt_reserve *r)
{
    struct drops d;

    drops_init(&d, vm);
    unmap_below(vm, vm->root, PT_LEVELS - 1, start, end, r, &d);
    if (d.count > 0)
        tlb_flush_all(vm);
    drops_finish(&d);
}

/* Leaf table t is exclusive and open. True if anything changed. */
static bool restrict_leaves(struct page *t, vaddr_t start, vaddr_t end, unsigned take)
{
    bool changed = false;

    for (vaddr_t va = start; va < end; va += PAGE_SIZE) {
        pte_t *slot = pt_slot(t, 0, va), e = pte_load(slot);

        if (pte_is_empty(e) || !(pte_leaf_prot(e) & take))
            continue;
        pte_store(slot, pte_leaf(pte_paddr(e), pte_leaf_prot(e) & ~take));
        changed = true;
    }
    return changed;
}

/*
 * Takes only W. No path is needed: a leaf table that is shared, or sealed off by
 * an edge above, is pushed down instead, which every sharer may see. (Its leaves
 * may still carry W, and would show it when the path is opened again.)
 */
static bool restrict_write(struct page *t, unsigned level, bool open, vaddr_t start, vaddr_t end)
{
    bool changed = false;

    if (level == 0 && open)
        return restrict_leaves(t, start, end, PROT_WRITE);
    if (level == 0) {
        table_push_down(t);
        return false;
    }
    for (vaddr_t va = start, next; va < end; va = next) {
        pte_t e = pte_load(pt_slot(t, level, va));

        next = entry_end(va, level, end);
        if (!pte_is_empty(e))
            changed |= restrict_write(pte_page(e), level - 1,
                                      open && pte_table_writable(e) && page_refs(pte_page(e)) == 1, va, next);
    }
    return changed;
}

/* t: exclusive and open, of this level. True if anything changed. */
static bool restrict_below(struct page *t, unsigned level, vaddr_t start, vaddr_t end, unsigned take,
                           struct pt_reserve *r, struct drops *d)
{
    bool changed = false;

    if (level == 0)
        return restrict_leaves(t, start, end, take);
    for (vaddr_t va = start, next; va < end; va = next) {
        pte_t *slot = pt_slot(t, level, va);

        next = entry_end(va, level, end);
        if (!pte_is_empty(pte_load(slot)))
            changed |= restrict_below(pt_path_step(t, level, slot, r, d), level - 1, va, next, take, r, d);
    }
    return changed;
}

void pt_restrict(struct vmspace *vm, vaddr_t start, vaddr_t end, unsigned take, struct pt_reserve *r)
{
    struct drops d;
    bool changed;

    drops_init(&d, vm);
    if (take == PROT_WRITE)
        changed = restrict_write(vm->root, PT_LEVELS - 1, true, start, end);
    else
        changed = restrict_below(vm->root, PT_LEVELS - 1, start, end, take, r, &d);
    if (changed || d.count > 0)
        tlb_flush_all(vm);
    drops_finish(&d);
}

/* Moves the leaves of one source table's part; from and to advance together. */
static void move_leaf(struct vmspace *vm, vaddr_t from, vaddr_t to, struct pt_reserve *src, struct pt_reserve *dst,
                      struct drops *d)
{
    struct page *t = pt_path_private(vm, from, src, d), *u = pt_path_private(vm, to, dst, d);
    pte_t *slot = pt_slot(t, 0, from), e = pte_load(slot);

    table_entry_clear(t, slot);
    ASSERT(pte_is_empty(pte_load(pt_slot(u, 0, to))));
    table_entry_set(u, pt_slot(u, 0, to), e);
}

/* Takes out the tables of [start, end) that have become empty. */
static void prune_below(struct page *t, unsigned level, vaddr_t start, vaddr_t end, struct drops *d)
{
    for (vaddr_t va = start, next; level > 0 && va < end; va = next) {
        pte_t e = pte_load(pt_slot(t, level, va));

        next = entry_end(va, level, end);
        if (pte_is_empty(e))
            continue;
        if (pte_page(e)->used > 0 && page_refs(pte_page(e)) == 1)
            prune_below(pte_page(e), level - 1, va, next, d);
        if (pte_page(e)->used == 0)
            slot_clear(t, level, va, d);
    }
}

void pt_move(struct vmspace *vm, vaddr_t from, vaddr_t to, u64 len, struct pt_reserve *src, struct pt_reserve *dst)
{
    struct drops d;

    drops_init(&d, vm);
    for (u64 at = 0; at < len; at += PAGE_SIZE)
        if (!pte_is_empty(pt_lookup(vm, from + at)))
            move_leaf(vm, from + at, to + at, src, dst, &d);
    prune_below(vm->root, PT_LEVELS - 1, from, from + len, &d);
    tlb_flush_all(vm); /* before anybody may map the old range anew */
    drops_finish(&d);
}

/*
 * exact: leaf by leaf, without the page of zeros; else a leaf table that lies
 * wholly in the range counts all that it maps.
 */
static u64 count_below(struct page *t, unsigned level, vaddr_t start, vaddr_t end, bool exact)
{
    u64 count = 0;

    for (vaddr_t va = start, next; va < end; va = next) {
        pte_t e = pte_load(pt_slot(t, level, va));

        next = entry_end(va, level, end);
        if (pte_is_empty(e))
            continue;
        if (level == 1 && !exact && next - va == pt_span(1))
            count += pte_page(e)->used;
        else if (level > 0)
            count += count_below(pte_page(e), level - 1, va, next, exact);
        else
            count += pte_page(e) != page_zero;
    }
    return count;
}

u64 pt_count(struct vmspace *vm, vaddr_t start, vaddr_t end, bool exact)
{
    return count_below(vm->root, PT_LEVELS - 1, start, end, exact);
}
