/*
 * What backs a region: a sparse array of pages, 64 to a node, as high as its
 * largest index asks for.
 *
 * Lock: object->lock, taken after a vm->lock. A fault holds its vm->lock from
 * object_get_page until the page is installed, and vm_unmap_object_range takes
 * every vm->lock: so a truncation that first sets the size, then unmaps, then
 * drops the pages leaves no mapping beyond the end. Punching a hole drops the pages
 * first, as nothing keeps faults out; then it unmaps what was mapped before.
 */
#include "lib/errno.h"
#include "lib/print.h"
#include "lib/string.h"
#include "vm/commit.h"
#include "vm/kmem.h"
#include "vm/vm.h"

#define FANOUT_BITS 6
#define FANOUT (1u << FANOUT_BITS)

struct radix_node {
    u32 used;
    void *slot[FANOUT]; /* nodes; pages at the bottom */
};

static _Atomic u64 pages_total, last_id;

u64 object_pages_total(void)
{
    return atomic_load_explicit(&pages_total, memory_order_relaxed);
}

struct vm_object *object_create(const struct vm_object_ops *ops, u64 size, void *priv)
{
    struct vm_object *o = kmem_zalloc(sizeof *o);

    if (!o)
        return NULL;
    ref_init(&o->refs);
    o->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
    mutex_init(&o->lock, "vm object", RANK_OBJECT);
    o->ops = ops;
    o->size = size;
    o->priv = priv;
    return o;
}

struct vm_object *object_create_anonymous(u64 size)
{
    u64 pages = (size + PAGE_MASK) >> PAGE_SHIFT;
    struct vm_object *o;

    if (!commit_take(pages))
        return NULL;
    o = object_create(NULL, size, NULL);
    if (o)
        o->promised = pages;
    else
        commit_give(pages);
    return o;
}

void object_get(struct vm_object *o)
{
    ref_get(&o->refs);
}

/* ---- the radix tree; locked ---- */

static bool fits(const struct vm_object *o, u64 index)
{
    return o->height * FANOUT_BITS >= 64 || index >> (o->height * FANOUT_BITS) == 0;
}

static unsigned slot_of(u64 index, u32 level)
{
    return index >> (level * FANOUT_BITS) & (FANOUT - 1);
}

/* The node at the bottom that has the slot of this index; NULL: none. */
static struct radix_node *bottom(const struct vm_object *o, u64 index)
{
    struct radix_node *n = o->radix;

    if (!n || !fits(o, index))
        return NULL;
    for (u32 level = o->height - 1; n && level > 0; level--)
        n = n->slot[slot_of(index, level)];
    return n;
}

static struct page *lookup(const struct vm_object *o, u64 index)
{
    struct radix_node *n = bottom(o, index);

    return n ? n->slot[slot_of(index, 0)] : NULL;
}

/* A tree with a level more above it, until index fits. */
static int grow(struct vm_object *o, u64 index)
{
    while (o->height == 0 || !fits(o, index)) {
        struct radix_node *n = kmem_zalloc(sizeof *n);
        if (!n)
            return -ENOMEM;
        if (o->radix) {
            n->slot[0] = o->radix;
            n->used = 1;
        }
        o->radix = n;
        o->height++;
    }
    return 0;
}

static int insert_locked(struct vm_object *o, u64 index, struct page *p)
{
    struct radix_node *n;

    if (grow(o, index))
        return -ENOMEM;
    n = o->radix;
    for (u32 level = o->height - 1; level > 0; level--) {
        void **slot = &n->slot[slot_of(index, level)];
        if (!*slot) {
            *slot = kmem_zalloc(sizeof *n);
            if (!*slot)
                return -ENOMEM; /* empty nodes on the way stay until the object goes */
            n->used++;
        }
        n = *slot;
    }
    if (n->slot[slot_of(index, 0)])
        return -EEXIST;
    n->slot[slot_of(index, 0)] = p;
    n->used++;
    p->kind = PAGE_OBJECT;
    p->object = o;
    p->index = index;
    o->pages++;
    atomic_fetch_add_explicit(&pages_total, 1, memory_order_relaxed);
    return 0;
}

/* Drops pages [first, last) below a node that covers indexes from base on. True: the node is empty now. */
static bool drop_below(struct vm_object *o, struct radix_node *n, u32 level, u64 base, u64 first, u64 last)
{
    u64 span = 1ul << (level * FANOUT_BITS);

    for (unsigned i = 0; i < FANOUT && n->used > 0; i++) {
        u64 at = base + i * span;
        if (!n->slot[i] || at >= last || at + span <= first)
            continue;
        if (level > 0) {
            if (!drop_below(o, n->slot[i], level - 1, at, first, last))
                continue;
            kmem_free(n->slot[i]);
        } else {
            page_put(n->slot[i]);
            o->pages--;
            atomic_fetch_sub_explicit(&pages_total, 1, memory_order_relaxed);
        }
        n->slot[i] = NULL;
        n->used--;
    }
    return n->used == 0;
}

static void drop_locked(struct vm_object *o, u64 first, u64 last)
{
    if (o->radix && first < last && drop_below(o, o->radix, o->height - 1, 0, first, last)) {
        kmem_free(o->radix);
        o->radix = NULL;
        o->height = 0;
    }
}

void object_put(struct vm_object *o)
{
    if (!ref_put(&o->refs))
        return;
    if (o->ops && o->ops->destroy)
        o->ops->destroy(o);
    drop_locked(o, 0, UINT64_MAX);
    commit_give(o->promised);
    kmem_free(o);
}

/* ---- pages ---- */

struct page *object_find_page(struct vm_object *o, u64 index)
{
    struct page *p;

    mutex_lock(&o->lock);
    p = lookup(o, index);
    if (p)
        page_get(p);
    mutex_unlock(&o->lock);
    return p;
}

void object_find_pages(struct vm_object *o, u64 first, unsigned n, struct page **out)
{
    struct radix_node *node = NULL;
    u64 end;

    mutex_lock(&o->lock);
    end = (o->size + PAGE_MASK) >> PAGE_SHIFT;
    for (unsigned i = 0; i < n; i++) {
        if (i == 0 || slot_of(first + i, 0) == 0)
            node = bottom(o, first + i);
        out[i] = node && first + i < end ? node->slot[slot_of(first + i, 0)] : NULL;
        if (out[i])
            page_get(out[i]);
    }
    mutex_unlock(&o->lock);
}

int object_insert_page(struct vm_object *o, u64 index, struct page *p)
{
    int err;

    mutex_lock(&o->lock);
    err = insert_locked(o, index, p);
    mutex_unlock(&o->lock);
    return err;
}

/* A page of zeros where there is none. */
static int get_zeroed(struct vm_object *o, u64 index, struct page **out)
{
    struct page *p = lookup(o, index);
    int err;

    if (index >= (o->size + PAGE_MASK) >> PAGE_SHIFT)
        return -EFAULT;
    if (!p) {
        p = page_alloc(PAGE_OBJECT, o->promised ? ALLOC_ZERO | ALLOC_PROMISED : ALLOC_ZERO);
        if (!p)
            return -ENOMEM;
        err = insert_locked(o, index, p);
        if (err) {
            page_put(p);
            return err;
        }
    }
    page_get(p);
    *out = p;
    return 0;
}

int object_get_page(struct vm_object *o, u64 index, struct page **out)
{
    int err;

    if (o->ops && o->ops->get_page)
        return o->ops->get_page(o, index, out);
    mutex_lock(&o->lock);
    err = get_zeroed(o, index, out);
    mutex_unlock(&o->lock);
    return err;
}

/* ---- size ---- */

void object_truncate(struct vm_object *o, u64 size)
{
    u64 first = (size + PAGE_MASK) >> PAGE_SHIFT;
    bool shrinks;
    struct page *tail;

    mutex_lock(&o->lock);
    shrinks = size < o->size;
    o->size = size;
    mutex_unlock(&o->lock);
    if (!shrinks)
        return;
    vm_unmap_object_range(o, first, UINT64_MAX, true);
    mutex_lock(&o->lock);
    drop_locked(o, first, UINT64_MAX);
    tail = size & PAGE_MASK ? lookup(o, size >> PAGE_SHIFT) : NULL;
    if (tail)
        memset((char *)page_data(tail) + (size & PAGE_MASK), 0, PAGE_SIZE - (size & PAGE_MASK));
    mutex_unlock(&o->lock);
}

void object_punch(struct vm_object *o, u64 start, u64 end)
{
    u64 first = (start + PAGE_MASK) >> PAGE_SHIFT, last = end >> PAGE_SHIFT;

    if (first >= last)
        return;
    mutex_lock(&o->lock);
    drop_locked(o, first, last); /* from now on a fault finds zeros; who still maps an old page has the last reference */
    mutex_unlock(&o->lock);
    vm_unmap_object_range(o, first, last, false);
}
