/*
 * The persistent tree of regions: an AVL tree whose nodes are copied before they
 * are changed, once for each new version: a node that only the new version has is
 * changed in place (own).
 *
 * Functions that return a tree consume the reference to the tree that they are
 * given. Where memory is short, build.failed is set and some part of the tree is
 * missing; the whole new version is dropped at the end, so nothing in between has
 * to check but for NULL.
 */
#include "vm/region.h"
#include "lib/errno.h"
#include "vm/kmem.h"

struct region_node {
    struct refcount refs;
    u32 height, count;
    u64 pages;
    vaddr_t first, last; /* start of the first region below, end of the last */
    u64 max_gap;         /* between two neighbours below */
    u32 special;         /* regions that fork does not just share */
    u64 promised;        /* pages that all below may need, tables included */
    struct region r;
    struct region_node *left, *right;
};

struct build {
    bool failed;
    bool reserve; /* may use the memory that is kept for munmap */
};

void region_refs_get(const struct region *r)
{
    if (r->object)
        object_get(r->object);
    if (r->tag && vm_tag_ops)
        vm_tag_ops->get(r->tag);
}

void region_refs_put(const struct region *r)
{
    if (r->tag && vm_tag_ops)
        vm_tag_ops->put(r->tag);
    if (r->object)
        object_put(r->object);
}

/* ---- nodes ---- */

struct region_node *region_tree_get(struct region_node *n)
{
    if (n)
        ref_get(&n->refs);
    return n;
}

void region_tree_put(struct region_node *n)
{
    if (!n || !ref_put(&n->refs))
        return;
    region_tree_put(n->left);
    region_tree_put(n->right);
    region_refs_put(&n->r);
    kmem_free(n);
}

static u32 height(const struct region_node *n)
{
    return n ? n->height : 0;
}

u32 region_tree_count(const struct region_node *n)
{
    return n ? n->count : 0;
}

u64 region_tree_pages(const struct region_node *n)
{
    return n ? n->pages : 0;
}

u64 region_tree_promised(const struct region_node *n)
{
    return n ? n->promised : 0;
}

/* Which table of those that hold the entries of this level maps va. */
static u64 table_number(vaddr_t va, unsigned level)
{
    return va >> (PAGE_SHIFT + (level + 1) * PT_BITS);
}

/* Tables of all levels below the root that map [start, end). */
static u64 tables_of(vaddr_t start, vaddr_t end)
{
    u64 count = 0;

    for (unsigned level = 0; level < PT_LEVELS - 1; level++)
        count += table_number(end - 1, level) - table_number(start, level) + 1;
    return count;
}

/* How many of those does a region that begins at start share with its neighbour that ends at end? */
static u64 tables_shared(vaddr_t end, vaddr_t start)
{
    u64 count = 0;

    for (unsigned level = 0; level < PT_LEVELS - 1; level++)
        count += table_number(end - 1, level) == table_number(start, level);
    return count;
}

static void summarize_promised(struct region_node *n)
{
    const struct region_node *l = n->left, *r = n->right;

    n->promised = tables_of(n->r.start, n->r.end) + region_tree_promised(l) + region_tree_promised(r);
    if (n->r.flags & VM_PROMISED)
        n->promised += (n->r.end - n->r.start) >> PAGE_SHIFT;
    if (l)
        n->promised -= tables_shared(l->last, n->r.start);
    if (r)
        n->promised -= tables_shared(n->r.end, r->first);
}

static bool is_special(const struct region *r)
{
    return r->flags & (VM_DONTFORK | VM_WIPEONFORK | VM_LOCKED);
}

static void summarize(struct region_node *n)
{
    const struct region_node *l = n->left, *r = n->right;

    summarize_promised(n);
    n->height = 1 + MAX(height(l), height(r));
    n->count = 1 + region_tree_count(l) + region_tree_count(r);
    n->pages = ((n->r.end - n->r.start) >> PAGE_SHIFT) + region_tree_pages(l) + region_tree_pages(r);
    n->first = l ? l->first : n->r.start;
    n->last = r ? r->last : n->r.end;
    n->special = is_special(&n->r) + (l ? l->special : 0) + (r ? r->special : 0);
    n->max_gap = 0;
    if (l)
        n->max_gap = MAX(l->max_gap, n->r.start - l->last);
    if (r)
        n->max_gap = MAX(n->max_gap, r->max_gap);
    if (r)
        n->max_gap = MAX(n->max_gap, r->first - n->r.end);
}

/* ---- a version being built ---- */

static struct region_node *node_new(struct build *b, const struct region *r)
{
    struct region_node *n = NULL;

    if (!b->failed)
        n = b->reserve ? kmem_alloc_reserve(sizeof *n) : kmem_alloc(sizeof *n);
    if (!n) {
        b->failed = true;
        return NULL;
    }
    ref_init(&n->refs);
    n->r = *r;
    region_refs_get(r);
    n->left = n->right = NULL;
    n->height = 1; /* for who balances a tree of which a part is missing */
    return n;
}

/*
 * n, or a copy of it, which this version alone has and may change. A node with one
 * reference below nodes of ours is ours: copying its parent would have counted it.
 */
static struct region_node *own(struct build *b, struct region_node *n)
{
    struct region_node *copy;

    if (ref_count(&n->refs) == 1)
        return n;
    copy = node_new(b, &n->r);
    if (copy) {
        copy->left = region_tree_get(n->left);
        copy->right = region_tree_get(n->right);
    }
    region_tree_put(n);
    return copy;
}

/* ---- balance: n is ours, its children are trees of which one may be higher by two ---- */

static struct region_node *rotate_right(struct build *b, struct region_node *n)
{
    struct region_node *l = n->left = own(b, n->left);

    if (!l)
        return n;
    n->left = l->right;
    l->right = n;
    summarize(n);
    summarize(l);
    return l;
}

static struct region_node *rotate_left(struct build *b, struct region_node *n)
{
    struct region_node *r = n->right = own(b, n->right);

    if (!r)
        return n;
    n->right = r->left;
    r->left = n;
    summarize(n);
    summarize(r);
    return r;
}

static struct region_node *balance(struct build *b, struct region_node *n)
{
    if (height(n->left) > height(n->right) + 1) {
        n->left = own(b, n->left);
        if (n->left && height(n->left->right) > height(n->left->left))
            n->left = rotate_left(b, n->left);
        return n->left ? rotate_right(b, n) : n;
    }
    if (height(n->right) > height(n->left) + 1) {
        n->right = own(b, n->right);
        if (n->right && height(n->right->left) > height(n->right->right))
            n->right = rotate_right(b, n->right);
        return n->right ? rotate_left(b, n) : n;
    }
    summarize(n);
    return n;
}

/* ---- one region more, less, or another in its place ---- */

/* r's range is free. */
static struct region_node *with(struct build *b, struct region_node *n, const struct region *r)
{
    if (!n) {
        n = node_new(b, r);
        if (n)
            summarize(n);
        return n;
    }
    n = own(b, n);
    if (!n)
        return NULL;
    if (r->start < n->r.start)
        n->left = with(b, n->left, r);
    else
        n->right = with(b, n->right, r);
    return balance(b, n);
}

/* n without its first node, which is ours and *first; NULL there: no memory. */
static struct region_node *without_first(struct build *b, struct region_node *n, struct region_node **first)
{
    struct region_node *rest;

    n = own(b, n);
    if (!n || !n->left) {
        *first = n;
        rest = n ? n->right : NULL;
        if (n)
            n->right = NULL;
        return rest;
    }
    n->left = without_first(b, n->left, first);
    return balance(b, n);
}

/* l, the node m, which is ours, and r, in this order; of any heights. */
static struct region_node *link(struct build *b, struct region_node *l, struct region_node *m, struct region_node *r)
{
    if (height(l) > height(r) + 1) {
        l = own(b, l);
        if (l) {
            l->right = link(b, l->right, m, r);
            return balance(b, l);
        }
    } else if (height(r) > height(l) + 1) {
        r = own(b, r);
        if (r) {
            r->left = link(b, l, m, r->left);
            return balance(b, r);
        }
    }
    m->left = l;
    m->right = r;
    summarize(m);
    return m;
}

/* Two trees, one below the other. */
static struct region_node *join(struct build *b, struct region_node *l, struct region_node *r)
{
    struct region_node *first;

    if (!l || !r)
        return l ? l : r;
    r = without_first(b, r, &first);
    if (first)
        return link(b, l, first, r);
    region_tree_put(l);
    region_tree_put(r);
    return NULL;
}

/* What of n starts below `at` (or, not `low`, what does not); whole subtrees of the rest are let go. */
static struct region_node *part(struct build *b, struct region_node *n, vaddr_t at, bool low)
{
    struct region_node *l, *r;

    if (!n)
        return NULL;
    if ((n->r.start < at) != low) { /* the node itself and one side of it go */
        struct region_node *rest = region_tree_get(low ? n->left : n->right);

        region_tree_put(n);
        return part(b, rest, at, low);
    }
    n = own(b, n);
    if (!n)
        return NULL;
    l = low ? n->left : part(b, n->left, at, low);
    r = low ? part(b, n->right, at, low) : n->right;
    return link(b, l, n, r);
}

/* The region that starts at `start` is there. */
static struct region_node *without(struct build *b, struct region_node *n, vaddr_t start)
{
    if (start == n->r.start) {
        struct region_node *l = region_tree_get(n->left), *r = region_tree_get(n->right);

        region_tree_put(n);
        return join(b, l, r);
    }
    n = own(b, n);
    if (!n)
        return NULL;
    if (start < n->r.start)
        n->left = without(b, n->left, start);
    else
        n->right = without(b, n->right, start);
    return balance(b, n);
}

/* The same, and r, which comes between the same neighbours, takes its place. */
static struct region_node *replaced(struct build *b, struct region_node *n, vaddr_t start, const struct region *r)
{
    n = own(b, n);
    if (!n)
        return NULL;
    if (start < n->r.start) {
        n->left = replaced(b, n->left, start, r);
    } else if (start > n->r.start) {
        n->right = replaced(b, n->right, start, r);
    } else {
        region_refs_get(r);
        region_refs_put(&n->r);
        n->r = *r;
    }
    summarize(n);
    return n;
}

/* ---- ranges ---- */

static struct region cut(const struct region *r, vaddr_t start, vaddr_t end)
{
    struct region part = *r;

    part.start = start;
    part.end = end;
    if (r->object)
        part.offset += start - r->start;
    return part;
}

static bool mergeable(const struct region *a, const struct region *b)
{
    return a->end == b->start && a->flags == b->flags && a->object == b->object && a->tag == b->tag &&
           (!a->object || a->offset + (a->end - a->start) == b->offset);
}

/* Could r be one region with a neighbour? */
static bool merges(const struct region_node *n, const struct region *r)
{
    const struct region *below = region_find_before(n, r->start), *above = region_find(n, r->end);

    return (below && mergeable(below, r)) || (above && mergeable(r, above));
}

/* Adds r, whose range is free, merged with its neighbours where they permit. */
static struct region_node *add(struct build *b, struct region_node *n, const struct region *r)
{
    const struct region *below = region_find_before(n, r->start), *above = region_find(n, r->end);
    struct region merged = *r;
    vaddr_t start_above = above ? above->start : 0;
    bool merges_below = below && mergeable(below, r), merges_above = above && mergeable(r, above);

    if (merges_above)
        merged.end = above->end;
    if (merges_below) {
        merged.start = below->start;
        merged.offset = below->offset;
    }
    if (merges_below && merges_above)
        n = without(b, n, start_above);
    if (b->failed)
        return n;
    if (merges_below)
        return replaced(b, n, merged.start, &merged);
    return merges_above ? replaced(b, n, start_above, &merged) : with(b, n, &merged);
}

/* Takes [start, end) out of r, a region of n's that overlaps it. */
static struct region_node *cut_out(struct build *b, struct region_node *n, struct region r, vaddr_t start, vaddr_t end)
{
    struct region low = cut(&r, r.start, start), high = cut(&r, end, r.end);

    if (r.start >= start)
        return r.end > end ? replaced(b, n, r.start, &high) : without(b, n, r.start);
    n = replaced(b, n, r.start, &low);
    return r.end > end ? with(b, n, &high) : n;
}

static int finish(struct build *b, struct region_node *n, struct region_node **out)
{
    if (b->failed) {
        region_tree_put(n);
        return -ENOMEM;
    }
    *out = n;
    return 0;
}

/* ---- operations ---- */

int region_insert(struct region_node *root, const struct region *r, struct region_node **out)
{
    struct build b = {0};

    return finish(&b, add(&b, region_tree_get(root), r), out);
}

/* A region that lies across `at` loses what it has in [start, end). */
static struct region_node *trim(struct build *b, struct region_node *n, vaddr_t at, vaddr_t start, vaddr_t end)
{
    const struct region *r = region_find(n, at);

    return !b->failed && r && r->start < at ? cut_out(b, n, *r, start, end) : n;
}

int region_remove(struct region_node *root, vaddr_t start, vaddr_t end, struct region_node **out)
{
    struct build b = {.reserve = true};
    struct region_node *n = trim(&b, region_tree_get(root), start, start, end);
    const struct region *first, *next;
    struct region_node *low;

    n = trim(&b, n, end, start, end);
    first = region_find(n, start);
    if (b.failed || !first || first->start >= end)
        return finish(&b, n, out);
    next = region_find(n, first->end);
    if (next && next->start < end) {
        low = part(&b, region_tree_get(n), start, true);
        n = join(&b, low, part(&b, n, end, false));
    } else {
        n = without(&b, n, first->start);
    }
    return finish(&b, n, out);
}

int region_update(struct region_node *root, vaddr_t start, vaddr_t end, void (*fn)(struct region *r, void *arg),
                  void *arg, struct region_node **out)
{
    struct build b = {0};
    struct region_node *n = region_tree_get(root);
    const struct region *r;

    while (!b.failed && start < end && (r = region_find(n, start)) && r->start < end) {
        struct region was = *r, part = cut(r, MAX(start, r->start), MIN(end, r->end));

        start = part.end;
        fn(&part, arg);
        if (part.start == was.start && part.end == was.end && !merges(n, &part))
            n = replaced(&b, n, was.start, &part);
        else
            n = add(&b, cut_out(&b, n, was, part.start, part.end), &part);
    }
    return finish(&b, n, out);
}

struct region_node *region_extend_down(struct region_node *root, const struct region *r, vaddr_t start)
{
    struct build b = {0};
    struct region grown = *r;
    struct region_node *out = NULL;

    grown.start = start;
    return finish(&b, replaced(&b, region_tree_get(root), r->start, &grown), &out) ? NULL : out;
}

/* ---- looking ---- */

const struct region *region_find(const struct region_node *n, vaddr_t va)
{
    const struct region *best = NULL;

    while (n) {
        if (va < n->r.end) {
            best = &n->r;
            n = va < n->r.start ? n->left : NULL;
        } else {
            n = n->right;
        }
    }
    return best;
}

const struct region *region_find_special(const struct region_node *n, vaddr_t va)
{
    const struct region *r = NULL;

    if (!n || n->special == 0 || n->last <= va)
        return NULL;
    if (va < n->r.start)
        r = region_find_special(n->left, va);
    if (!r && n->r.end > va && is_special(&n->r))
        r = &n->r;
    return r ? r : region_find_special(n->right, va);
}

const struct region *region_find_before(const struct region_node *n, vaddr_t va)
{
    const struct region *best = NULL;

    while (n) {
        if (n->r.end <= va) {
            best = &n->r;
            n = n->right;
        } else {
            n = n->left;
        }
    }
    return best;
}

/* The subtree lies in [from, to): the end of what comes before it and the start of what comes after. */
static vaddr_t find_gap(const struct region_node *n, vaddr_t from, vaddr_t to, u64 len)
{
    vaddr_t at;

    if (to <= from || to - from < len)
        return 0;
    if (!n)
        return to - len;
    if (n->max_gap < len && (n->first < from + len) && (to < n->last + len))
        return 0;
    at = find_gap(n->right, MAX(from, n->r.end), to, len);
    return at ? at : find_gap(n->left, from, MIN(to, n->r.start), len);
}

vaddr_t region_find_gap(const struct region_node *root, vaddr_t low, vaddr_t high, u64 len)
{
    return find_gap(root, low, high, len);
}
