/*
 * The persistent tree of regions against a flat model of pages: random inserts,
 * removes, updates and gap searches on several versions that share nodes, every
 * allocation failing now and then. After each step: the tree is balanced and its
 * sums are right, it says what the model says, and nothing leaks at the end.
 *
 * Usage: test_region [SEED [STEPS]]
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "vm/region.c"

#define PAGES 64
#define VERSIONS 4
#define BASE 0x100000ul

static u64 random_state, seed = 1, steps = 60000, done;
static long nodes, made, object_refs, tag_refs;
static bool allow_failure;
static struct vm_object object;

const struct vm_tag_ops *vm_tag_ops;

struct cell { /* of a page: flags 0 means nothing is mapped */
    u32 flags;
    bool backed, tagged;
    u64 offset;
};
static struct version {
    struct region_node *root;
    struct cell cell[PAGES];
} versions[VERSIONS];

static u64 rnd(u64 n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 33) % n;
}

void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fprintf(stderr, "seed %lu step %lu: ", seed, done);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    abort();
}
void *kmem_alloc(size_t size)
{
    if (allow_failure && rnd(60) == 0)
        return NULL;
    nodes++;
    made++;
    return malloc(size);
}
void *kmem_alloc_reserve(size_t size)
{
    nodes++;
    return malloc(size);
}
void kmem_free(void *p)
{
    nodes -= p != NULL;
    free(p);
}
void object_get(struct vm_object *o)
{
    ASSERT(o == &object);
    object_refs++;
}
void object_put(struct vm_object *o)
{
    ASSERT(o == &object && object_refs > 0);
    object_refs--;
}
static void tag_get(void *tag)
{
    (void)tag;
    tag_refs++;
}
static void tag_put(void *tag)
{
    (void)tag;
    tag_refs--;
}

static vaddr_t va(unsigned page)
{
    return BASE + page * PAGE_SIZE;
}

/* ---- checking ---- */

static u32 check_node(const struct region_node *n)
{
    struct region_node again;
    u32 l, r;

    if (!n)
        return 0;
    l = check_node(n->left);
    r = check_node(n->right);
    ASSERT(l <= r + 1 && r <= l + 1 && n->height == 1 + (l > r ? l : r));
    ASSERT(n->r.start < n->r.end && n->refs.n > 0);
    ASSERT(!n->left || n->left->last <= n->r.start);
    ASSERT(!n->right || n->right->first >= n->r.end);
    ASSERT(n->first == (n->left ? n->left->first : n->r.start) && n->last == (n->right ? n->right->last : n->r.end));
    again = *n;
    summarize(&again);
    ASSERT(again.max_gap == n->max_gap && again.promised == n->promised && again.pages == n->pages);
    ASSERT(n->count == 1 + region_tree_count(n->left) + region_tree_count(n->right));
    return n->height;
}

static void check_cell(const struct region *r, unsigned page, const struct cell *c)
{
    bool covers = r && r->start <= va(page);

    ASSERT(covers == (c->flags != 0));
    if (!covers)
        return;
    ASSERT(r->flags == c->flags && (r->object != NULL) == c->backed && (r->tag != NULL) == c->tagged);
    ASSERT(!c->backed || r->offset + (va(page) - r->start) == c->offset);
}

static void check(const struct version *v)
{
    u64 pages = 0;

    check_node(v->root);
    for (unsigned i = 0; i < PAGES; i++) {
        check_cell(region_find(v->root, va(i)), i, &v->cell[i]);
        pages += v->cell[i].flags != 0;
    }
    ASSERT(region_tree_pages(v->root) == pages);
    for (const struct region *r = region_find(v->root, 0), *next; r; r = next) {
        next = region_find(v->root, r->end);
        ASSERT(!next || !mergeable(r, next)); /* what can be one region is one */
        ASSERT(!next || region_find_before(v->root, next->start) == r);
    }
}

/* ---- operations ---- */

static void publish(struct version *v, int err, struct region_node *next)
{
    ASSERT(err == 0 || (err == -ENOMEM && allow_failure));
    if (err)
        return;
    region_tree_put(v->root);
    v->root = next;
}

static void remove_range(struct version *v, unsigned a, unsigned b)
{
    struct region_node *next = NULL;
    int err = region_remove(v->root, va(a), va(b), &next);

    publish(v, err, next);
    if (!err)
        memset(v->cell + a, 0, (b - a) * sizeof v->cell[0]);
}

static void insert(struct version *v, unsigned a, unsigned b)
{
    struct cell c = {1 + (u32)rnd(2), rnd(2), rnd(2), 0};
    struct region r = {.start = va(a), .end = va(b), .flags = c.flags, .object = c.backed ? &object : NULL,
                       .offset = c.backed ? a * PAGE_SIZE : 0, .tag = c.tagged ? &object : NULL};
    struct region_node *next = NULL;
    int err;

    for (unsigned i = a; i < b; i++)
        if (v->cell[i].flags)
            return;
    err = region_insert(v->root, &r, &next);
    publish(v, err, next);
    for (unsigned i = a; i < b && !err; i++) {
        v->cell[i] = c;
        v->cell[i].offset = i * PAGE_SIZE;
    }
}

static void set_flags(struct region *r, void *flags)
{
    r->flags = *(u32 *)flags;
}

static void update(struct version *v, unsigned a, unsigned b)
{
    u32 flags = 1 + (u32)rnd(2);
    struct region_node *next = NULL;
    int err = region_update(v->root, va(a), va(b), set_flags, &flags, &next);

    publish(v, err, next);
    for (unsigned i = a; i < b && !err; i++)
        if (v->cell[i].flags)
            v->cell[i].flags = flags;
}

static void find_gap_as_model(struct version *v)
{
    unsigned want = 1 + (unsigned)rnd(6), low = (unsigned)rnd(PAGES), high = low + (unsigned)rnd(PAGES - low) + 1, best = PAGES;
    vaddr_t at = region_find_gap(v->root, va(low), va(high), want * PAGE_SIZE);

    for (unsigned a = low; a + want <= high; a++) {
        unsigned i = a;
        while (i < a + want && !v->cell[i].flags)
            i++;
        if (i == a + want)
            best = a;
    }
    ASSERT(at == (best == PAGES ? 0 : va(best)));
}

static void fork_version(struct version *v)
{
    struct version *to = &versions[rnd(VERSIONS)];

    if (to == v)
        return;
    region_tree_put(to->root);
    *to = *v;
    region_tree_get(to->root);
}

static void step(void)
{
    struct version *v = &versions[rnd(VERSIONS)];
    unsigned a = (unsigned)rnd(PAGES), b = a + 1 + (unsigned)rnd(rnd(2) ? 4 : PAGES - a), op = (unsigned)rnd(100);

    b = b < PAGES ? b : PAGES;
    if (op < 45)
        insert(v, a, b);
    else if (op < 65)
        remove_range(v, a, b);
    else if (op < 85)
        update(v, a, b);
    else if (op < 95)
        find_gap_as_model(v);
    else
        fork_version(v);
    check(v);
}

static void random_operations_match_the_flat_model(void **state)
{
    static const struct vm_tag_ops ops = {tag_get, tag_put, NULL};

    (void)state;
    vm_tag_ops = &ops;
    random_state = seed;
    for (done = 0; done < steps; done++) {
        allow_failure = done % 1000 < 500; /* memory that never runs out shows what it would have ended */
        step();
    }
    for (unsigned i = 0; i < VERSIONS; i++)
        region_tree_put(versions[i].root);
    assert_int_equal(nodes, 0);
    assert_int_equal(object_refs, 0);
    assert_int_equal(tag_refs, 0);
}

/* A change of one page among many regions copies a path or two, not the tree. */
static void changes_copy_paths(void **state)
{
    struct version v = {0};
    long most = 0;

    (void)state;
    allow_failure = false;
    for (unsigned i = 0; i < PAGES; i += 2) {
        struct region r = {.start = va(i), .end = va(i + 1), .flags = 1};
        struct region_node *next;

        assert_int_equal(region_insert(v.root, &r, &next), 0);
        region_tree_put(v.root);
        v.root = next;
    }
    for (unsigned i = 0; i < PAGES; i += 2) {
        u32 flags = 2;
        struct region_node *next;
        long before = made;

        assert_int_equal(region_update(v.root, va(i), va(i + 1), set_flags, &flags, &next), 0);
        most = MAX(most, made - before);
        region_tree_put(v.root);
        v.root = next;
    }
    assert_true(most <= (long)v.root->height + 2);
    region_tree_put(v.root);
    assert_int_equal(nodes, 0);
}

/* However many regions a range has, taking it out copies two paths. */
static void many_go_at_once(void **state)
{
    struct version v = {0};
    struct region_node *next;
    long before;

    (void)state;
    allow_failure = false;
    for (unsigned i = 0; i < 4000; i++) {
        struct region r = {.start = va(2 * i), .end = va(2 * i + 1), .flags = 1};

        assert_int_equal(region_insert(v.root, &r, &next), 0);
        region_tree_put(v.root);
        v.root = next;
    }
    before = nodes;
    for (unsigned i = 0; i < 1000; i++) {
        unsigned a = (unsigned)rnd(8000), b = a + 1 + (unsigned)rnd(8000 - a), left = 0;

        assert_int_equal(region_remove(v.root, va(a), va(b), &next), 0);
        assert_true(nodes - before <= 6 * (long)v.root->height);
        check_node(next);
        for (unsigned k = 0; k < 4000; k++)
            left += 2 * k < a || 2 * k >= b;
        assert_int_equal(region_tree_count(next), left);
        region_tree_put(next);
    }
    region_tree_put(v.root);
    assert_int_equal(nodes, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_operations_match_the_flat_model),
                                       cmocka_unit_test(changes_copy_paths),
                                       cmocka_unit_test(many_go_at_once)};

    seed = argc > 1 ? strtoul(argv[1], NULL, 0) : seed;
    steps = argc > 2 ? strtoul(argv[2], NULL, 0) : steps;
    printf("seed %lu, %lu steps\n", seed, steps);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
