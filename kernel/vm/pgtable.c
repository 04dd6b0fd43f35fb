/*
 * The tree of tables. pgtable.h says what the seal mark means; vm.h has the
 * invariants, whose numbers the comments here use.
 *
 * Counts of tables on a path seen as 1 under vm->lock with all above them 1
 * cannot rise; one seen above 1 may fall meanwhile, which costs a needless copy
 * and nothing else (then the old table is dropped by its last owner).
 */
#include "vm/pgtable.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "lib/string.h"
#include "vm/tlb.h"

/* Nodes whose reference is dropped once the flush is done: at most a path of tables and a page. */
struct drops {
    struct page *page[PT_LEVELS];
    unsigned count;
};

static unsigned pt_index(vaddr_t va, unsigned level)
{
    return va >> (PAGE_SHIFT + level * PT_BITS) & (PT_ENTRIES - 1);
}

static pte_t *pt_slot(struct page *table, unsigned level, vaddr_t va)
{
    return (pte_t *)page_data(table) + pt_index(va, level);
}

static pte_t pte_load(const pte_t *slot)
{
    return (pte_t){__atomic_load_n(&slot->bits, __ATOMIC_ACQUIRE)};
}

static void pte_store(pte_t *slot, pte_t e)
{
    __atomic_store_n(&slot->bits, e.bits, __ATOMIC_RELEASE);
}

static bool table_sealed(const struct page *t)
{
    return atomic_load_explicit(&((struct page *)(uintptr_t)t)->flags, memory_order_acquire) & PAGE_F_SEALED;
}

static void table_unmark(struct page *t)
{
    atomic_fetch_and(&t->flags, (u8)~PAGE_F_SEALED);
}

static void root_mark_used(struct vmspace *vm, vaddr_t va, bool used)
{
    unsigned i = pt_index(va, PT_LEVELS - 1);
    u64 bit = 1ul << i % 64;

    vm->root_used[i / 64] = used ? vm->root_used[i / 64] | bit : vm->root_used[i / 64] & ~bit;
}

/* The entry with writing through it forbidden. A shared object's page gets no COW mark: it is never copied. */
static pte_t pte_sealed(pte_t e, unsigned level)
{
    struct page *node = page_of(pte_paddr(e));

    if (level > 0)
        return pte_table_seal(e, table_sealed(node));
    if (node->kind == PAGE_OBJECT && pte_leaf_writable(e))
        return pte_leaf(pte_paddr(e), pte_leaf_prot(e) & ~(unsigned)PROT_WRITE);
    return pte_leaf_seal(e);
}

/*
 * Seals every edge of a table. No CPU can hold a writable translation through
 * it: either all edges to it have been sealed and flushed, or it is about to be
 * copied for the only address space that can walk it, which flushes afterwards.
 */
static void table_push_down_locked(struct page *t)
{
    pte_t *slots = page_data(t);

    if (table_sealed(t))
        return;
    for (unsigned i = 0; i < PT_ENTRIES; i++) {
        pte_t e = pte_load(&slots[i]);
        if (!pte_is_empty(e))
            pte_store(&slots[i], pte_sealed(e, t->level));
    }
    atomic_fetch_or(&t->flags, PAGE_F_SEALED);
    vm_count(VMC_table_pushdown, 1);
}

static void table_push_down(struct page *t)
{
    page_lock(t);
    table_push_down_locked(t);
    page_unlock(t);
}

/* A copy whose children are counted once more; the edges of both are sealed. */
static struct page *table_copy(struct page *src, struct page *dst)
{
    pte_t *from = page_data(src), *to = page_data(dst);

    page_lock(src);
    table_push_down_locked(src);
    for (unsigned i = 0; i < PT_ENTRIES; i++) {
        pte_t e = pte_load(&from[i]);
        if (!pte_is_empty(e))
            page_get(page_of(pte_paddr(e)));
        to[i] = e;
    }
    dst->used = src->used;
    page_unlock(src);
    dst->level = src->level;
    vm_count(VMC_table_copy, 1);
    return dst;
}

/* Drops a reference to a node; the last one drops its children. Recursion is as deep as the tree. */
static void node_put(struct page *p)
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
            node_put(page_of(pte_paddr(e)));
        }
        vm_count(VMC_table_free, 1);
    }
    page_free(p);
}

static void drops_finish(struct drops *d)
{
    while (d->count > 0)
        node_put(d->page[--d->count]);
}

/* ---- reserving ---- */

/* Tables that a private path to va takes from the reserve: those missing, and from the first shared one all. */
static unsigned pt_tables_needed(struct vmspace *vm, vaddr_t va)
{
    struct page *t = vm->root;

    for (unsigned level = PT_LEVELS - 1; level > 0; level--) {
        pte_t e = pte_load(pt_slot(t, level, va));
        if (pte_is_empty(e) || page_refs(page_of(pte_paddr(e))) > 1)
            return level;
        t = page_of(pte_paddr(e));
    }
    return 0;
}

int pt_reserve(struct vmspace *vm, vaddr_t va, bool data, enum alloc_flags flags, struct pt_reserve *r)
{
    unsigned need = pt_tables_needed(vm, va);

    *r = (struct pt_reserve){0};
    while (r->count < need) {
        struct page *t = page_alloc(PAGE_TABLE, flags | ALLOC_ZERO);
        if (!t)
            goto fail;
        r->tables[r->count++] = t;
    }
    if (!data || (r->data = page_alloc(PAGE_DATA, flags)))
        return 0;
fail:
    pt_reserve_release(r);
    return -ENOMEM;
}

void pt_reserve_release(struct pt_reserve *r)
{
    while (r->count > 0)
        page_put(r->tables[--r->count]);
    if (r->data)
        page_put(r->data);
    r->data = NULL;
}

static struct page *reserve_take(struct pt_reserve *r, unsigned level)
{
    struct page *t;

    ASSERT(r->count > 0);
    t = r->tables[--r->count];
    t->level = level;
    vm_count(VMC_table_alloc, 1);
    return t;
}

/* ---- the private path ---- */

/* Makes the child at `slot` exclusive and open for writing; t, which holds the slot, is exclusive. */
static struct page *path_step(struct page *t, unsigned level, pte_t *slot, struct pt_reserve *r, struct drops *d)
{
    pte_t e = pte_load(slot);
    struct page *child;

    if (pte_is_empty(e)) {
        child = reserve_take(r, level - 1);
        t->used++;
        pte_store(slot, pte_table(page_paddr(child)));
        return child;
    }
    child = page_of(pte_paddr(e));
    if (page_refs(child) > 1) {
        struct page *copy = table_copy(child, reserve_take(r, level - 1));
        pte_store(slot, pte_table(page_paddr(copy)));
        d->page[d->count++] = child;
        return copy;
    }
    if (!pte_table_writable(e)) {
        pte_store(slot, pte_table_open(e));
        vm_count(VMC_table_takeover, 1);
    }
    table_unmark(child);
    return child;
}

/* The leaf table of va, exclusive and open. What was replaced goes to d, to be dropped after the flush. */
static struct page *path_private(struct vmspace *vm, vaddr_t va, struct pt_reserve *r, struct drops *d)
{
    struct page *t = vm->root;

    root_mark_used(vm, va, true);
    for (unsigned level = PT_LEVELS - 1; level > 0; level--)
        t = path_step(t, level, pt_slot(t, level, va), r, d);
    return t;
}

/* ---- operations ---- */

void pt_share(struct vmspace *parent, struct vmspace *child)
{
    pte_t *from = page_data(parent->root), *to = page_data(child->root);

    for (unsigned w = 0; w < USER_ROOT_ENTRIES / 64; w++) {
        for (u64 bits = parent->root_used[w]; bits; bits &= bits - 1) {
            unsigned i = w * 64 + (unsigned)__builtin_ctzl(bits);
            pte_t e = pte_load(&from[i]);
            page_get(page_of(pte_paddr(e)));
            e = pte_sealed(e, PT_LEVELS - 1);
            pte_store(&from[i], e);
            pte_store(&to[i], e);
            vm_count(VMC_table_share, 1);
        }
        child->root_used[w] = parent->root_used[w];
    }
    child->root->used = parent->root->used;
    tlb_flush_all(parent);
}

pte_t pt_lookup(struct vmspace *vm, vaddr_t va)
{
    struct page *t = vm->root;

    for (unsigned level = PT_LEVELS - 1; level > 0; level--) {
        pte_t e = pte_load(pt_slot(t, level, va));
        if (pte_is_empty(e))
            return e;
        t = page_of(pte_paddr(e));
    }
    return pte_load(pt_slot(t, 0, va));
}

/* An exclusive path may be opened whole, unless that would leave an unsealed table below a sealed mark. */
static void open_exclusive_edge(struct vmspace *vm, vaddr_t va, unsigned level, pte_t *slot, pte_t e)
{
    struct page *t = vm->root;

    for (unsigned l = PT_LEVELS - 1; l > level; l--) {
        t = page_of(pte_paddr(pte_load(pt_slot(t, l, va))));
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
        struct page *child = page_of(pte_paddr(e));

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

void pt_fill(struct vmspace *vm, vaddr_t va, struct page *page, unsigned prot, struct pt_reserve *r)
{
    struct drops d = {.count = 0};
    struct page *t = path_private(vm, va, r, &d);
    pte_t *slot = pt_slot(t, 0, va);

    ASSERT(pte_is_empty(pte_load(slot)));
    t->used++;
    pte_store(slot, pte_leaf(page_paddr(page), prot));
    if (d.count > 0)
        tlb_flush_all(vm); /* tables were replaced */
    else
        tlb_flush_local(vm);
    drops_finish(&d);
}

/* Invariant 5: the copy is published read-only and flushed before any CPU may write it. */
static void copy_leaf(struct vmspace *vm, pte_t *slot, unsigned prot, struct pt_reserve *r, struct drops *d)
{
    struct page *old = page_of(pte_paddr(pte_load(slot))), *copy = r->data;

    ASSERT(copy);
    r->data = NULL;
    memcpy(page_data(copy), page_data(old), PAGE_SIZE);
    pte_store(slot, pte_leaf(page_paddr(copy), prot & ~(unsigned)PROT_WRITE));
    tlb_flush_all(vm);
    d->page[d->count++] = old;
    vm_count(VMC_cow_page_copy, 1);
}

void pt_grant_write(struct vmspace *vm, vaddr_t va, unsigned prot, struct pt_reserve *r)
{
    struct drops d = {.count = 0};
    struct page *t = path_private(vm, va, r, &d);
    pte_t *slot = pt_slot(t, 0, va);
    pte_t e = pte_load(slot);

    ASSERT(!pte_is_empty(e) && (prot & PROT_WRITE));
    if (page_refs(page_of(pte_paddr(e))) > 1) {
        copy_leaf(vm, slot, prot, r, &d);
    } else {
        vm_count(VMC_cow_page_reuse, 1);
        /* A table was copied and the other owners let go of its page since: the old table goes after a flush. */
        if (d.count > 0)
            tlb_flush_all(vm);
    }
    pte_store(slot, pte_leaf(pte_paddr(pte_load(slot)), prot));
    tlb_flush_local(vm);
    drops_finish(&d);
}

/* Takes out the tables of va's path that have become empty, from the leaf table up. */
static void prune(struct vmspace *vm, vaddr_t va, struct drops *d)
{
    struct page *path[PT_LEVELS];

    path[PT_LEVELS - 1] = vm->root;
    for (unsigned level = PT_LEVELS - 1; level > 0; level--)
        path[level - 1] = page_of(pte_paddr(pte_load(pt_slot(path[level], level, va))));
    for (unsigned level = 0; level < PT_LEVELS - 1 && path[level]->used == 0; level++) {
        pte_store(pt_slot(path[level + 1], level + 1, va), (pte_t){0});
        path[level + 1]->used--;
        d->page[d->count++] = path[level];
        if (level + 1 == PT_LEVELS - 1)
            root_mark_used(vm, va, false);
    }
}

void pt_clear(struct vmspace *vm, vaddr_t va, struct pt_reserve *r)
{
    struct drops old = {.count = 0}, d = {.count = 0};
    struct page *t;
    pte_t *slot;

    if (pte_is_empty(pt_lookup(vm, va)))
        return;
    t = path_private(vm, va, r, &old);
    slot = pt_slot(t, 0, va);
    d.page[d.count++] = page_of(pte_paddr(pte_load(slot)));
    pte_store(slot, (pte_t){0});
    t->used--;
    prune(vm, va, &d);
    tlb_flush_all(vm);
    drops_finish(&old);
    drops_finish(&d);
}

void pt_drop_all(struct vmspace *vm)
{
    pte_t *slots = page_data(vm->root);

    for (unsigned w = 0; w < USER_ROOT_ENTRIES / 64; w++)
        for (; vm->root_used[w]; vm->root_used[w] &= vm->root_used[w] - 1) {
            unsigned i = w * 64 + (unsigned)__builtin_ctzl(vm->root_used[w]);
            struct page *child = page_of(pte_paddr(slots[i]));
            slots[i] = (pte_t){0};
            vm->root->used--;
            node_put(child);
        }
}
