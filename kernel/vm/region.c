/*
 * The persistent tree of regions: an AVL tree built with join and split
 * (Blelloch, Ferizovic, Sun: Just Join for Parallel Ordered Sets, 2016).
 *
 * Functions that make nodes consume the references of the subtrees they are
 * given, and borrow the trees they take apart. A node that finds no memory sets
 * build.failed and becomes the empty tree; the whole new version is dropped at
 * the end, so nothing in between has to check.
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

static void summarize(struct region_node *n)
{
    const struct region_node *l = n->left, *r = n->right;

    summarize_promised(n);
    n->height = 1 + MAX(height(l), height(r));
    n->count = 1 + region_tree_count(l) + region_tree_count(r);
    n->pages = ((n->r.end - n->r.start) >> PAGE_SHIFT) + region_tree_pages(l) + region_tree_pages(r);
    n->first = l ? l->first : n->r.start;
    n->last = r ? r->last : n->r.end;
    n->max_gap = 0;
    if (l)
        n->max_gap = MAX(l->max_gap, n->r.start - l->last);
    if (r)
        n->max_gap = MAX(n->max_gap, r->max_gap);
    if (r)
        n->max_gap = MAX(n->max_gap, r->first - n->r.end);
}

static struct region_node *make(struct build *b, struct region_node *l, const struct region *r, struct region_node *right)
{
    struct region_node *n = NULL;

    if (!b->failed)
        n = b->reserve ? kmem_alloc_reserve(sizeof *n) : kmem_alloc(sizeof *n);
    if (!n) {
        b->failed = true;
        region_tree_put(l);
        region_tree_put(right);
        return NULL;
    }
    ref_init(&n->refs);
    n->r = *r;
    region_refs_get(r);
    n->left = l;
    n->right = right;
    summarize(n);
    return n;
}

/* ---- balance ---- */

/* l is two higher than r. */
static struct region_node *rotate_right(struct build *b, struct region_node *l, const struct region *m,
                                        struct region_node *r)
{
    struct region_node *ll = region_tree_get(l->left), *lr = region_tree_get(l->right), *n;

    if (height(ll) >= height(lr))
        n = make(b, ll, &l->r, make(b, lr, m, r));
    else {
        n = make(b, make(b, ll, &l->r, region_tree_get(lr->left)), &lr->r,
                 make(b, region_tree_get(lr->right), m, r));
        region_tree_put(lr);
    }
    region_tree_put(l);
    return n;
}

static struct region_node *rotate_left(struct build *b, struct region_node *l, const struct region *m,
                                       struct region_node *r)
{
    struct region_node *rl = region_tree_get(r->left), *rr = region_tree_get(r->right), *n;

    if (height(rr) >= height(rl))
        n = make(b, make(b, l, m, rl), &r->r, rr);
    else {
        n = make(b, make(b, l, m, region_tree_get(rl->left)), &rl->r,
                 make(b, region_tree_get(rl->right), &r->r, rr));
        region_tree_put(rl);
    }
    region_tree_put(r);
    return n;
}

/* Heights differ by two at most. */
static struct region_node *balance(struct build *b, struct region_node *l, const struct region *m, struct region_node *r)
{
    if (height(l) > height(r) + 1)
        return rotate_right(b, l, m, r);
    if (height(r) > height(l) + 1)
        return rotate_left(b, l, m, r);
    return make(b, l, m, r);
}

/* All of l lies below m, all of r above. */
static struct region_node *join(struct build *b, struct region_node *l, const struct region *m, struct region_node *r)
{
    struct region_node *n;

    if (height(l) > height(r) + 1) {
        n = balance(b, region_tree_get(l->left), &l->r, join(b, region_tree_get(l->right), m, r));
        region_tree_put(l);
        return n;
    }
    if (height(r) > height(l) + 1) {
        n = balance(b, join(b, l, m, region_tree_get(r->left)), &r->r, region_tree_get(r->right));
        region_tree_put(r);
        return n;
    }
    return make(b, l, m, r);
}

/* Takes the last region out; n is borrowed, not empty. *last is borrowed from n. */
static struct region_node *without_last(struct build *b, struct region_node *n, const struct region **last)
{
    if (!n->right) {
        *last = &n->r;
        return region_tree_get(n->left);
    }
    return balance(b, region_tree_get(n->left), &n->r, without_last(b, n->right, last));
}

static struct region_node *without_first(struct build *b, struct region_node *n, const struct region **first)
{
    if (!n->left) {
        *first = &n->r;
        return region_tree_get(n->right);
    }
    return balance(b, without_first(b, n->left, first), &n->r, region_tree_get(n->right));
}

static struct region_node *join2(struct build *b, struct region_node *l, struct region_node *r)
{
    const struct region *last;
    struct region_node *rest, *n;

    if (!l || !r)
        return l ? l : r;
    rest = without_last(b, l, &last);
    n = join(b, rest, last, r);
    region_tree_put(l);
    return n;
}

/* ---- split ---- */

static struct region cut(const struct region *r, vaddr_t start, vaddr_t end)
{
    struct region part = *r;

    part.start = start;
    part.end = end;
    if (r->object)
        part.offset += start - r->start;
    return part;
}

/* What lies below `at` and what lies above; a region across it is cut. n is borrowed. */
static void split(struct build *b, struct region_node *n, vaddr_t at, struct region_node **l, struct region_node **r)
{
    struct region_node *middle;

    if (!n) {
        *l = *r = NULL;
    } else if (at <= n->r.start) {
        split(b, n->left, at, l, &middle);
        *r = join(b, middle, &n->r, region_tree_get(n->right));
    } else if (at >= n->r.end) {
        split(b, n->right, at, &middle, r);
        *l = join(b, region_tree_get(n->left), &n->r, middle);
    } else {
        struct region low = cut(&n->r, n->r.start, at), high = cut(&n->r, at, n->r.end);
        *l = join(b, region_tree_get(n->left), &low, NULL);
        *r = join(b, NULL, &high, region_tree_get(n->right));
    }
}

/* ---- merging ---- */

static bool mergeable(const struct region *a, const struct region *b)
{
    return a->end == b->start && a->flags == b->flags && a->object == b->object && a->tag == b->tag &&
           (!a->object || a->offset + (a->end - a->start) == b->offset);
}

/* Adds a region above all of l; consumes l. */
static struct region_node *append(struct build *b, struct region_node *l, const struct region *r)
{
    struct region merged = *r;
    struct region_node *rest = l;
    const struct region *last;

    if (l) {
        rest = without_last(b, l, &last);
        if (mergeable(last, r)) {
            merged.start = last->start;
            merged.offset = last->offset;
        } else {
            region_tree_put(rest);
            rest = region_tree_get(l);
        }
    }
    rest = join(b, rest, &merged, NULL);
    region_tree_put(l);
    return rest;
}

/* l, then r, merging where they meet; consumes both. */
static struct region_node *concat(struct build *b, struct region_node *l, struct region_node *r)
{
    const struct region *first;
    struct region_node *rest;

    if (!l || !r)
        return l ? l : r;
    rest = without_first(b, r, &first);
    l = join2(b, append(b, l, first), rest);
    region_tree_put(r);
    return l;
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

/* Could r be one region with a neighbour? */
static bool merges(const struct region_node *root, const struct region *r)
{
    const struct region *below = region_find_before(root, r->start), *above = region_find(root, r->end);

    return (below && mergeable(below, r)) || (above && mergeable(r, above));
}

/* A path of new nodes and nothing else. n is borrowed; r's range is free. */
static struct region_node *insert_below(struct build *b, const struct region_node *n, const struct region *r)
{
    if (!n)
        return make(b, NULL, r, NULL);
    if (r->end <= n->r.start)
        return balance(b, insert_below(b, n->left, r), &n->r, region_tree_get(n->right));
    return balance(b, region_tree_get(n->left), &n->r, insert_below(b, n->right, r));
}

int region_insert(struct region_node *root, const struct region *r, struct region_node **out)
{
    struct build b = {0};
    struct region_node *low, *high;

    if (!merges(root, r))
        return finish(&b, insert_below(&b, root, r), out);
    split(&b, root, r->start, &low, &high);
    return finish(&b, concat(&b, append(&b, low, r), high), out);
}

int region_remove(struct region_node *root, vaddr_t start, vaddr_t end, struct region_node **out)
{
    struct build b = {.reserve = true};
    struct region_node *low, *rest, *gone, *high;

    split(&b, root, start, &low, &rest);
    split(&b, rest, end, &gone, &high);
    region_tree_put(rest);
    region_tree_put(gone);
    return finish(&b, join2(&b, low, high), out);
}

struct update {
    struct build *b;
    struct region_node *done;
    void (*fn)(struct region *r, void *arg);
    void *arg;
};

static void update_below(struct update *u, const struct region_node *n)
{
    struct region r;

    if (!n)
        return;
    update_below(u, n->left);
    r = n->r;
    u->fn(&r, u->arg);
    u->done = append(u->b, u->done, &r);
    update_below(u, n->right);
}

int region_update(struct region_node *root, vaddr_t start, vaddr_t end, void (*fn)(struct region *r, void *arg),
                  void *arg, struct region_node **out)
{
    struct build b = {0};
    struct update u = {&b, NULL, fn, arg};
    struct region_node *rest, *middle, *high;

    split(&b, root, start, &u.done, &rest);
    split(&b, rest, end, &middle, &high);
    region_tree_put(rest);
    update_below(&u, middle);
    region_tree_put(middle);
    return finish(&b, concat(&b, u.done, high), out);
}

struct region_node *region_extend_down(struct region_node *root, const struct region *r, vaddr_t start)
{
    struct region grown = *r;
    struct region_node *without, *out = NULL;

    grown.start = start;
    if (region_remove(root, r->start, r->end, &without))
        return NULL;
    if (region_insert(without, &grown, &out))
        out = NULL;
    region_tree_put(without);
    return out;
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
