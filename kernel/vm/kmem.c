/*
 * Kernel memory of any size. Up to 2032 bytes: a page cut into objects of one size
 * class, with the list of free objects inside the page. Above: runs of pages.
 *
 * struct page of a cut page: lock = object size, used = objects in use, link in
 * its class's list while it has both free and used objects. One wholly free
 * page per class may stay. Lock: one for each class (RANK_KMEM).
 *
 * In front of each class every CPU has a magazine of a few free objects, which
 * count as used in their pages; interrupts are off while it is looked at.
 */
#include "vm/kmem.h"
#include "lib/print.h"
#include "lib/string.h"
#include "proc/sched.h"
#include "vm/page.h"

#undef kmem_alloc
#undef kmem_alloc_reserve
#undef kmem_zalloc
#undef kmem_resize
#undef kmem_strdup
#undef page_alloc
#undef page_alloc_run

#define POISON 0x5a
static const u16 sizes[] = {16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 672, 1008, KMEM_SMALL};

struct class {
    struct spinlock lock;
    struct list partial; /* pages with at least one free object */
    u32 empty;           /* of them, how many are wholly free */
};
static struct class classes[ARRAY_SIZE(sizes)];

struct free_object {
    struct free_object *next;
};

#define MAGAZINE 8u
static struct magazine {
    u32 count;
    void *object[MAGAZINE];
} magazines[MAX_CPUS][ARRAY_SIZE(sizes)];

#ifdef ALLOC_SITES
static _Atomic u64 live_objects, live_bytes, cut_pages;

static void count_object(unsigned c, bool taken)
{
    atomic_fetch_add_explicit(&live_objects, taken ? 1 : -1ul, memory_order_relaxed);
    atomic_fetch_add_explicit(&live_bytes, taken ? sizes[c] : -(u64)sizes[c], memory_order_relaxed);
}

static void count_page(bool taken)
{
    atomic_fetch_add_explicit(&cut_pages, taken ? 1 : -1ul, memory_order_relaxed);
}

void kmem_stats(struct kmem_stats *out)
{
    *out = (struct kmem_stats){atomic_load(&live_objects), atomic_load(&live_bytes), atomic_load(&cut_pages)};
}
#else
static void count_object(unsigned c, bool taken)
{
    (void)c, (void)taken;
}

static void count_page(bool taken)
{
    (void)taken;
}
#endif

static u8 class_table[128]; /* by size in units of 16 bytes, rounded up */

static unsigned class_of(size_t size)
{
    return class_table[(size + 15) / 16];
}

void kmem_init(void)
{
    for (unsigned c = 0; c < ARRAY_SIZE(sizes); c++) {
        spin_init(&classes[c].lock, "kmem", RANK_KMEM);
        list_init(&classes[c].partial);
    }
    for (unsigned i = 0, c = 0; i < ARRAY_SIZE(class_table); i++) {
        c += i * 16 > sizes[c];
        class_table[i] = (u8)c;
    }
}

static struct free_object **free_head(struct page *p)
{
    return (struct free_object **)page_data(p);
}

/* The first 16 bytes of a cut page are its header: the head of the free list. */
#define HEADER 16

static struct page *page_cut(unsigned size, enum alloc_flags flags)
{
    struct page *p = page_alloc(PAGE_KERNEL, flags);
    char *base;

    if (!p)
        return NULL;
    count_page(true);
    base = page_data(p);
    p->lock = size;
    *free_head(p) = NULL;
    for (size_t at = HEADER; at + size <= PAGE_SIZE; at += size) {
        struct free_object *o = (struct free_object *)(base + at);
        o->next = *free_head(p);
        *free_head(p) = o;
    }
    return p;
}

static void *take_locked(struct class *k, struct page *p)
{
    struct free_object *o = *free_head(p);

    *free_head(p) = o->next;
    if (p->used++ == 0)
        k->empty--;
    if (!*free_head(p))
        list_remove(&p->link);
    return o;
}

static void *magazine_take(unsigned c)
{
    bool on = arch_irq_save();
    struct magazine *m = &magazines[arch_this_cpu()->id][c];
    void *o = m->count > 0 ? m->object[--m->count] : NULL;

    arch_irq_restore(on);
    return o;
}

static bool magazine_put(unsigned c, void *o)
{
    bool on = arch_irq_save(), room;
    struct magazine *m = &magazines[arch_this_cpu()->id][c];

    room = m->count < MAGAZINE;
    if (room)
        m->object[m->count++] = o;
    arch_irq_restore(on);
    return room;
}

/* From the class's pages, or a fresh one. */
static void *shared_alloc(unsigned c, enum alloc_flags flags)
{
    struct class *k = &classes[c];
    struct page *fresh = NULL;
    void *o;

    spin_lock(&k->lock);
    if (list_empty(&k->partial)) {
        spin_unlock(&k->lock);
        fresh = page_cut(sizes[c], flags);
        if (!fresh)
            return NULL;
        spin_lock(&k->lock);
        list_push(&k->partial, &fresh->link);
        k->empty++;
    }
    o = take_locked(k, list_first(&k->partial, struct page, link));
    spin_unlock(&k->lock);
    return o;
}

static void *small_alloc(unsigned c, enum alloc_flags flags)
{
    void *o = magazine_take(c);

    if (!o)
        o = shared_alloc(c, flags);
    if (o)
        count_object(c, true);
    return o;
}

void *kmem_alloc(size_t size)
{
    unsigned order = 0;
    struct page *p;

    if (alloc_should_fail())
        return NULL;
    if (size <= sizes[ARRAY_SIZE(sizes) - 1])
        return small_alloc(class_of(size), 0);
    while (PAGE_SIZE << order < size)
        if (++order > 10)
            return NULL;
    p = page_alloc_run(order, PAGE_KERNEL, 0);
    return p ? page_data(p) : NULL;
}

void *kmem_alloc_reserve(size_t size)
{
    ASSERT(size <= sizes[ARRAY_SIZE(sizes) - 1]);
    return small_alloc(class_of(size), ALLOC_RESERVE);
}

void *kmem_zalloc(size_t size)
{
    void *o = kmem_alloc(size);

    return o ? memset(o, 0, size) : NULL;
}

#ifdef COWSLIP_DEBUG
static void check_not_free(struct page *p, const void *o)
{
    struct magazine *m = &magazines[arch_this_cpu()->id][class_of(p->lock)]; /* the other CPUs' are theirs */

    for (unsigned n = 0; n < m->count; n++)
        if (m->object[n] == o)
            panic("kmem_free: %p is free already", o);
    for (struct free_object *f = *free_head(p); f; f = f->next)
        if (f == o)
            panic("kmem_free: %p is free already", o);
}
#endif

static void small_free(struct page *p, void *o)
{
    unsigned c = class_of(p->lock);
    struct class *k = &classes[c];
    struct page *surplus = NULL;

    DEBUG_ASSERT(((u64)o - (u64)page_data(p) - HEADER) % p->lock == 0);
#ifdef COWSLIP_DEBUG
    spin_lock(&k->lock);
    check_not_free(p, o);
    spin_unlock(&k->lock);
    memset(o, POISON, p->lock);
#endif
    count_object(c, false);
    if (magazine_put(c, o))
        return;
    spin_lock(&k->lock);
    ASSERT(p->used > 0);
    if (!*free_head(p))
        list_push(&k->partial, &p->link);
    ((struct free_object *)o)->next = *free_head(p);
    *free_head(p) = o;
    if (--p->used == 0 && ++k->empty > 1) {
        list_remove(&p->link);
        k->empty--;
        surplus = p;
    }
    spin_unlock(&k->lock);
    if (surplus) {
        count_page(false);
        surplus->lock = 0;
        page_put(surplus);
    }
}

void kmem_free(void *o)
{
    struct page *p;

    if (!o)
        return;
    p = page_of(arch_virt_to_phys(o));
    ASSERT(p->kind == PAGE_KERNEL);
    if (p->lock)
        small_free(p, o);
    else
        page_put(p);
}

void *kmem_resize(void *old, size_t old_size, size_t new_size)
{
    void *new = kmem_alloc(new_size);

    if (!new)
        return NULL;
    memcpy(new, old, MIN(old_size, new_size));
    kmem_free(old);
    return new;
}

char *kmem_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = kmem_alloc(n);

    return copy ? memcpy(copy, s, n) : NULL;
}
