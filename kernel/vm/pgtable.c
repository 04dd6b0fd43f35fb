/*
 * The tree of tables, one page at a time. pgtable.h says what the seal mark
 * means; vm.h has the invariants, whose numbers the comments here use.
 *
 * Counts of tables on a path seen as 1 under vm->lock with all above them 1
 * cannot rise; one seen above 1 may fall meanwhile, which costs a needless copy
 * and nothing else (then the old table is dropped by its last owner).
 */
#include "vm/count.h"
#include "vm/pgtable.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "lib/string.h"
#include "vm/table.h"
#include "vm/tlb.h"

#define REUSE_WINDOW 16 /* leaves that are looked at when one page is found to be sole-owned */

/* ---- finding ---- */

void pt_find(struct vmspace *vm, vaddr_t va, struct pt_path *p)
{
    bool walkable = true, writable = true, sealed = false;
    struct page *t = vm->root;

    p->va = ROUND_DOWN(va, PAGE_SIZE);
    p->shared = NULL;
    p->needed = 0;
    for (unsigned level = PT_LEVELS - 1; level > 0; level--) {
        pte_t e = pte_load(pt_slot(t, level, va));
        if (pte_is_empty(e)) {
            p->needed = MAX(p->needed, level);
            p->table = NULL;
            p->leaf = e;
            p->allows = 0;
            p->open = false;
            return;
        }
        t = pte_page(e);
        walkable = walkable && pte_table_walkable(e);
        writable = writable && pte_table_writable(e);
        sealed = sealed || table_sealed(t);
        if (!p->shared && page_refs(t) > 1) {
            p->shared = t;
            p->needed = level;
        }
    }
    p->table = t;
    p->leaf = pte_load(pt_slot(t, 0, va));
    p->allows = walkable ? pte_leaf_prot(p->leaf) & ~(writable ? 0u : (unsigned)PROT_WRITE) : 0;
    p->open = writable && !sealed && !p->shared;
}

/* ---- reserving ---- */

void pt_reserve_init(struct pt_reserve *r)
{
    *r = (struct pt_reserve){0};
}

static int reserve_tables(struct pt_reserve *r, u64 count, enum alloc_flags flags)
{
    while (count-- > 0) {
        struct page *t = page_alloc_table(PAGE_TABLE, flags);
        if (!t) {
            pt_reserve_release(r);
            return -ENOMEM;
        }
        t->next = r->tables;
        r->tables = t;
        r->count++;
    }
    return 0;
}

int pt_reserve(const struct pt_path *p, bool data, enum alloc_flags flags, struct pt_reserve *r)
{
    pt_reserve_init(r);
    if (p->needed && reserve_tables(r, p->needed, flags))
        return -ENOMEM;
    if (!data || (r->data = page_alloc(PAGE_DATA, flags)))
        return 0;
    pt_reserve_release(r);
    return -ENOMEM;
}

int pt_reserve_unmap(struct vmspace *vm, vaddr_t start, vaddr_t end, struct pt_reserve *r)
{
    struct pt_path first, last;

    pt_reserve_init(r);
    pt_find(vm, start, &first);
    pt_find(vm, end - 1, &last);
    return reserve_tables(r, first.needed + last.needed, ALLOC_RESERVE);
}

/* Tables below t, a table of this level, that private paths to the range take. */
static u64 range_tables(struct page *t, unsigned level, bool shared, vaddr_t start, vaddr_t end, bool missing)
{
    u64 count = 0;

    for (vaddr_t va = start; level > 0 && va < end; va = ROUND_DOWN(va, pt_span(level)) + pt_span(level)) {
        pte_t e = t ? pte_load(pt_slot(t, level, va)) : (pte_t){0};
        struct page *child = pte_is_empty(e) ? NULL : pte_page(e);
        bool child_shared = shared || !child || page_refs(child) > 1;

        if (!child && !missing)
            continue;
        count += child_shared;
        count += range_tables(child, level - 1, child_shared, va,
                              MIN(end, ROUND_DOWN(va, pt_span(level)) + pt_span(level)), missing);
    }
    return count;
}

int pt_reserve_range(struct vmspace *vm, vaddr_t start, vaddr_t end, struct pt_reserve *r)
{
    pt_reserve_init(r);
    return reserve_tables(r, range_tables(vm->root, PT_LEVELS - 1, false, start, end, false), 0);
}

int pt_reserve_fresh(vaddr_t start, vaddr_t end, struct pt_reserve *r)
{
    pt_reserve_init(r);
    return reserve_tables(r, range_tables(NULL, PT_LEVELS - 1, true, start, end, true), 0);
}

void pt_reserve_release(struct pt_reserve *r)
{
    while (r->tables) {
        struct page *t = r->tables;
        r->tables = t->next;
        t->used = 0;
        if (page_put_last(t))
            page_free_table(t);
    }
    if (r->data)
        page_put(r->data);
    pt_reserve_init(r);
}

static struct page *reserve_take(struct pt_reserve *r, unsigned level)
{
    struct page *t = r->tables;

    ASSERT(t);
    r->tables = t->next;
    r->count--;
    t->level = (u8)level;
    t->used = 0;
    t->lock = 0;
    vm_count(VMC_table_alloc, 1);
    return t;
}

/* ---- the private path ---- */

struct page *pt_path_step(struct page *t, unsigned level, pte_t *slot, struct pt_reserve *r, struct drops *d)
{
    pte_t e = pte_load(slot);
    struct page *child;

    if (pte_is_empty(e)) {
        child = reserve_take(r, level - 1);
        table_entry_set(t, slot, pte_table(page_paddr(child)));
        d->edges = true;
        return child;
    }
    child = pte_page(e);
    if (page_refs(child) > 1) {
        struct page *copy = table_copy(child, reserve_take(r, level - 1));
        pte_store(slot, pte_table(page_paddr(copy)));
        drops_add(d, child);
        return copy;
    }
    if (pte_table_writable(e) && !table_sealed(child))
        return child;
    pte_store(slot, pte_table_open(e));
    table_unmark(child);
    d->took_over = d->edges = true;
    vm_count(VMC_table_takeover, 1);
    return child;
}

struct page *pt_path_private(struct vmspace *vm, vaddr_t va, struct pt_reserve *r, struct drops *d)
{
    struct page *t = vm->root;

    for (unsigned level = PT_LEVELS - 1; level > 0; level--)
        t = pt_path_step(t, level, pt_slot(t, level, va), r, d);
    return t;
}

#define DENSE (PT_ENTRIES / 8) /* entries; a table with more is copied in a fault of its own */

bool pt_copy_ahead(struct vmspace *vm, const struct pt_path *p)
{
    struct page *t = vm->root;
    struct pt_reserve r;
    struct drops d;

    if (!p->shared || p->shared->used <= DENSE)
        return false;
    pt_reserve_init(&r);
    if (reserve_tables(&r, 1, 0))
        return false;
    drops_init(&d, vm);
    /* Opens what is above, and copies it (unless whoever shared it has just let go: then it is opened, too). */
    for (unsigned level = PT_LEVELS - 1; level >= p->needed; level--)
        t = pt_path_step(t, level, pt_slot(t, level, p->va), &r, &d);
    tlb_flush_all(vm);
    drops_finish(&d);
    pt_reserve_release(&r);
    return true;
}

/* ---- fork ---- */

/* One group of root entries; how many were sealed. What was sealed before stays as it is. */
static inline unsigned share_group(pte_t *from, pte_t *to, u64 base)
{
    unsigned sealed = 0;

    for (pte_t *end = from + GROUP_ENTRIES; from < end; from++, to++) {
        pte_t e = pte_load_relaxed(from), s;
        struct page *child = (struct page *)(base + pte_frame_32(e));
        if (pte_is_empty(e))
            continue;
        page_get(child);
        s = pte_table_seal(e, table_sealed(child));
        *to = s;
        if (s.bits != e.bits) {
            pte_store_relaxed(from, s); /* the flush orders it before whatever follows */
            sealed++;
        }
    }
    return sealed;
}

void pt_share(struct vmspace *parent, struct vmspace *child)
{
    pte_t *from = page_data(parent->root), *to = page_data(child->root);
    u64 groups = parent->root->groups, sealed = 0, base = (u64)page_base;

    for_each_group(g, groups)
        sealed += share_group(from + g * GROUP_ENTRIES, to + g * GROUP_ENTRIES, base);
    child->root->groups = parent->root->groups;
    child->root->used = parent->root->used;
    vm_count(VMC_table_share, parent->root->used);
    vm_count(VMC_edge_seal, sealed);
    tlb_flush_all(parent);
}

static u64 tables_below(struct page *t, unsigned level)
{
    u64 groups = t->groups, count = t->used;
    pte_t *slots = page_data(t);

    if (level > 1)
        for_each_group(g, groups)
            for (unsigned i = g * GROUP_ENTRIES; i < (g + 1) * GROUP_ENTRIES; i++)
                if (!pte_is_empty(pte_load(&slots[i])))
                    count += tables_below(pte_page(pte_load(&slots[i])), level - 1);
    return count;
}

/* Fills dst, of this level, with copies of all that is below src; src's leaves are sealed. */
static void copy_eagerly(struct page *src, struct page *dst, unsigned level, struct pt_reserve *r)
{
    pte_t *from = page_data(src), *to = page_data(dst);
    u64 groups = src->groups;

    dst->groups = groups;
    dst->used = src->used;
    for_each_group(g, groups)
        for (unsigned i = g * GROUP_ENTRIES; i < (g + 1) * GROUP_ENTRIES; i++) {
            pte_t e = pte_load(&from[i]);
            struct page *child;

            if (pte_is_empty(e))
                continue;
            if (level == 0) {
                page_get(pte_page(e));
                pte_store(&from[i], pte_leaf_seal(e));
                to[i] = pte_leaf_seal(e);
                continue;
            }
            child = reserve_take(r, level - 1);
            copy_eagerly(pte_page(e), child, level - 1, r);
            to[i] = pte_table(page_paddr(child));
        }
}

int pt_share_eager(struct vmspace *parent, struct vmspace *child)
{
    struct pt_reserve r;

    pt_reserve_init(&r);
    if (reserve_tables(&r, tables_below(parent->root, PT_LEVELS - 1), 0))
        return -ENOMEM;
    copy_eagerly(parent->root, child->root, PT_LEVELS - 1, &r);
    pt_reserve_release(&r);
    tlb_flush_all(parent);
    return 0;
}

/* ---- looking ---- */

pte_t pt_lookup(struct vmspace *vm, vaddr_t va)
{
    struct page *t = vm->root;

    for (unsigned level = PT_LEVELS - 1; level > 0; level--) {
        pte_t e = pte_load(pt_slot(t, level, va));
        if (pte_is_empty(e))
            return e;
        t = pte_page(e);
    }
    return pte_load(pt_slot(t, 0, va));
}

bool pt_needs_copy(const struct pt_path *p)
{
    return p->needed > 0 || page_refs(pte_page(p->leaf)) > 1 || pte_page(p->leaf)->kind == PAGE_OBJECT;
}

/* An exclusive path may be opened whole, unless that would leave an unsealed table below a sealed mark. */
static void open_exclusive_edge(struct vmspace *vm, vaddr_t va, unsigned level, pte_t *slot, pte_t e)
{
    struct page *t = vm->root;

    for (unsigned l = PT_LEVELS - 1; l > level; l--) {
        t = pte_page(pte_load(pt_slot(t, l, va)));
        table_unmark(t);
    }
    pte_store(slot, pte_table_open(e));
}

void pt_open_read(struct vmspace *vm, vaddr_t va)
{
    struct page *t = vm->root;
    bool exclusive = true;

    for (unsigned level = PT_LEVELS - 1; level > 0; level--) {
        pte_t *slot = pt_slot(t, level, va), e = pte_load(slot);
        struct page *child = pte_page(e);

        exclusive = exclusive && page_refs(child) == 1;
        if (!pte_table_walkable(e) && exclusive) {
            open_exclusive_edge(vm, va, level, slot, e);
        } else if (!pte_table_walkable(e)) {
            table_push_down(child); /* before anybody can walk to it */
            pte_store(slot, pte_table_validate(e));
            vm_count(VMC_edge_validate, 1);
        }
        t = child;
    }
    tlb_flush_local(vm);
}

/* After the leaf of va became more permissive; where tables were replaced on the way, the old ones go after a flush. */
static void path_finish(struct vmspace *vm, vaddr_t va, struct drops *d)
{
    if (d->count > 0)
        tlb_flush_all(vm);
    else if (d->edges)
        tlb_flush_local(vm);
    else
        tlb_flush_local_page(vm, va);
    drops_finish(d);
}

/* The leaf table of p, made private and open if it is not. */
static struct page *path_open(struct vmspace *vm, const struct pt_path *p, struct pt_reserve *r, struct drops *d)
{
    drops_init(d, vm);
    return p->open ? p->table : pt_path_private(vm, p->va, r, d);
}

void pt_fill(struct vmspace *vm, const struct pt_path *p, struct page *page, unsigned prot, struct pt_reserve *r)
{
    struct drops d;
    struct page *t = path_open(vm, p, r, &d);
    pte_t *slot = pt_slot(t, 0, p->va);

    ASSERT(pte_is_empty(pte_load(slot)));
    table_entry_set(t, slot, pte_leaf(page_paddr(page), prot));
    path_finish(vm, p->va, &d);
}

unsigned pt_fill_around(struct vmspace *vm, vaddr_t va, struct page **pages, unsigned n, unsigned prot)
{
    unsigned count = 0;
    struct pt_path p;
    pte_t *slot;

    pt_find(vm, va, &p);
    slot = pt_slot(p.table, 0, va);
    for (unsigned i = 0; i < n; i++) {
        if (!pages[i])
            continue;
        if (pte_is_empty(pte_load(&slot[i]))) {
            table_entry_set(p.table, &slot[i], pte_leaf(page_paddr(pages[i]), prot & ~(unsigned)PROT_WRITE));
            count++;
        } else {
            page_put(pages[i]);
        }
    }
    return count;
}

void pt_grant(struct vmspace *vm, const struct pt_path *p, unsigned prot, struct pt_reserve *r)
{
    struct drops d;
    pte_t *slot = pt_slot(path_open(vm, p, r, &d), 0, p->va);
    pte_t e = pte_load(slot);

    ASSERT(!pte_is_empty(e) && (!(prot & PROT_WRITE) || pte_page(e)->kind == PAGE_OBJECT));
    pte_store(slot, pte_leaf(pte_paddr(e), prot));
    if (pte_leaf_writable(e) && !(prot & PROT_WRITE))
        tlb_flush_all(vm); /* W came back by the way, and goes: another CPU may remember it */
    path_finish(vm, p->va, &d);
}

static void page_copy(struct page *to, struct page *from)
{
    if (from == page_zero)
        memset(page_data(to), 0, PAGE_SIZE);
    else
        memcpy(page_data(to), page_data(from), PAGE_SIZE);
}

/*
 * Invariant 5: the copy is published read-only and flushed before any CPU may
 * write it. The flush covers the edges that were opened and the tables that were
 * replaced on the way, too. Who has fetched the entry without W meanwhile faults
 * once more, for nothing.
 */
static void copy_leaf(struct vmspace *vm, pte_t *slot, unsigned prot, struct pt_reserve *r, struct drops *d)
{
    struct page *old = pte_page(pte_load(slot)), *copy = r->data;

    ASSERT(copy);
    r->data = NULL;
    page_copy(copy, old);
    pte_store(slot, pte_leaf(page_paddr(copy), prot & ~(unsigned)PROT_WRITE));
    tlb_flush_all(vm);
    pte_store(slot, pte_leaf(page_paddr(copy), prot));
    node_put(old);
    drops_finish(d);
    vm_count(VMC_cow_page_copy, 1);
}

/* Gives W to the leaves of [lo, hi), all in exclusive table t, whose pages have no other reference. */
static void reuse_leaves(struct page *t, vaddr_t lo, vaddr_t hi, unsigned prot)
{
    unsigned first = pt_index(lo, 0), last = pt_index(hi - PAGE_SIZE, 0);
    pte_t *slots = page_data(t);
    u64 groups = t->groups & ~0ul << first / GROUP_ENTRIES & ~0ul >> (63 - last / GROUP_ENTRIES), count = 0;

    for_each_group(g, groups)
        for (unsigned i = MAX(g * GROUP_ENTRIES, first), end = MIN((g + 1) * GROUP_ENTRIES, last + 1); i < end; i++) {
            pte_t e = pte_load_relaxed(&slots[i]);
            struct page *page = pte_page(e);

            if (pte_is_empty(e) || pte_leaf_writable(e) || page_refs(page) > 1 || page->kind != PAGE_DATA)
                continue;
            pte_store_relaxed(&slots[i], pte_leaf(pte_paddr(e), prot));
            count++;
        }
    vm_count(VMC_cow_page_reuse, count);
}

void pt_grant_write(struct vmspace *vm, const struct pt_path *p, unsigned prot, vaddr_t lo, vaddr_t hi,
                    struct pt_reserve *r)
{
    struct drops d;
    struct page *t = path_open(vm, p, r, &d), *page;
    pte_t *slot = pt_slot(t, 0, p->va);
    u64 window = d.took_over ? pt_span(1) : MIN(REUSE_WINDOW * PAGE_SIZE, pt_span(1)); /* within t */

    page = pte_page(pte_load(slot));
    if (page_refs(page) > 1 || page->kind == PAGE_OBJECT) {
        copy_leaf(vm, slot, prot, r, &d);
        return;
    }
    if (d.took_over)
        vm_count(VMC_cow_bulk_reuse, 1);
    reuse_leaves(t, MAX(lo, ROUND_DOWN(p->va, window)), MIN(hi, ROUND_DOWN(p->va, window) + window), prot);
    path_finish(vm, p->va, &d);
}

void pt_drop_all(struct vmspace *vm)
{
    root_clear(vm->root);
}
