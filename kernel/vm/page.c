/*
 * Page descriptors and the allocator: buddies for runs of 2^order pages, and a
 * cache of single pages for each CPU in front of them.
 *
 * What stays true: a page is in a free list, in one CPU's cache, or somebody's.
 * The first page of a free run has PAGE_F_HEAD and its order; free_pages counts
 * all of the buddy's. Locks: `zone` (RANK_PAGE); caches with interrupts off.
 */
#include "vm/commit.h"
#include "vm/count.h"
#include "vm/page.h"
#include "lib/print.h"
#include "lib/string.h"
#include "proc/sched.h"
#include "vm/table.h"
#include "vm/vm.h"

#undef page_alloc
#undef page_alloc_run
#undef page_alloc_table

#define ORDERS 11
#define BATCH 32
#define POISON 0x6b

struct page *page_array, *page_base, *page_zero;
u64 page_first, page_last;

static struct spinlock zone = SPINLOCK_INIT("page allocator", RANK_PAGE);
static struct list free_lists[ORDERS];
static u64 free_pages, total_pages, reserve_pages;

/* ---- debugging ---- */

#ifdef COWSLIP_HOST
_Atomic s64 alloc_fail_countdown = -1;

bool alloc_should_fail(void)
{
    return atomic_load_explicit(&alloc_fail_countdown, memory_order_relaxed) >= 0 &&
           atomic_fetch_sub(&alloc_fail_countdown, 1) == 0;
}
#endif

#ifdef COWSLIP_DEBUG
static void poison(struct page *p, unsigned order)
{
    memset(page_data(p), POISON, PAGE_SIZE << order);
}

static void poison_check(struct page *p)
{
    const u64 *word = page_data(p);

    for (unsigned i = 0; i < PAGE_SIZE / sizeof *word; i++)
        if (word[i] != 0x6b6b6b6b6b6b6b6bul)
            panic("free page %#lx was written to at offset %#lx: %#lx", page_paddr(p).pa, i * sizeof *word, word[i]);
}
#else
static void poison(struct page *p, unsigned order)
{
    (void)p, (void)order;
}

static void poison_check(struct page *p)
{
    (void)p;
}
#endif

/* ---- buddies; zone locked ---- */

static struct page *buddy_of(struct page *p, unsigned order)
{
    u64 frame = (page_paddr(p).pa >> PAGE_SHIFT) ^ (1ul << order);

    return frame >= page_first && frame <= page_last ? page_of((paddr_t){frame << PAGE_SHIFT}) : NULL;
}

static bool is_free_run(const struct page *p, unsigned order)
{
    return p && (p->flags & PAGE_F_HEAD) && p->order == order; /* only the first page of a free run has the flag */
}

static void buddy_free_locked(struct page *p, unsigned order)
{
    free_pages += 1ul << order;
    for (; order < ORDERS - 1; order++) {
        struct page *buddy = buddy_of(p, order);
        if (!is_free_run(buddy, order))
            break;
        list_remove(&buddy->link);
        buddy->flags = 0;
        p = p < buddy ? p : buddy;
    }
    p->flags = PAGE_F_HEAD;
    p->order = (u8)order;
    list_push(&free_lists[order], &p->link);
}

static struct page *buddy_alloc_locked(unsigned order)
{
    unsigned from = order;
    struct page *p;

    while (from < ORDERS && list_empty(&free_lists[from]))
        from++;
    if (from == ORDERS)
        return NULL;
    p = list_first(&free_lists[from], struct page, link);
    list_remove(&p->link);
    while (from > order) {
        struct page *half = p + (1ul << --from);
        half->flags = PAGE_F_HEAD;
        half->order = (u8)from;
        list_push(&free_lists[from], &half->link);
    }
    p->flags = 0;
    free_pages -= 1ul << order;
    return p;
}

/* ---- boot ---- */

static bool is_reserved(u64 frame)
{
    u64 pa = frame << PAGE_SHIFT;

    if (platform.initrd_size && pa + PAGE_SIZE > platform.initrd.pa && pa < platform.initrd.pa + platform.initrd_size)
        return true;
    for (unsigned i = 0; i < platform.reserved_count; i++)
        if (pa + PAGE_SIZE > platform.reserved[i].base.pa && pa < platform.reserved[i].base.pa + platform.reserved[i].size)
            return true;
    return false;
}

/* The lowest run of frames of this bank that nothing else needs; 0: none. */
static u64 find_frames(const struct platform_range *bank, u64 count)
{
    u64 start = ROUND_UP(bank->base.pa, PAGE_SIZE) >> PAGE_SHIFT, end = (bank->base.pa + bank->size) >> PAGE_SHIFT;
    u64 run = 0;

    for (u64 f = start; f < end; f++) {
        run = is_reserved(f) ? 0 : run + 1;
        if (run == count)
            return f + 1 - count;
    }
    return 0;
}

/* So that a count of 32 bits cannot overflow: fewer than 2^32 entries, were all frames but one tables. 32 GiB. */
#define FRAMES_MAX ((1ul << 32) / 512)

static void forget_ram_above(u64 last_frame)
{
    for (unsigned i = 0; i < platform.ram_count; i++) {
        struct platform_range *bank = &platform.ram[i];
        u64 end = (last_frame + 1) << PAGE_SHIFT;

        if (bank->base.pa + bank->size > end)
            bank->size = bank->base.pa < end ? end - bank->base.pa : 0;
    }
}

/* Sets the descriptors up, all reserved, in the first place of RAM that is large enough. */
static void place_descriptors(void)
{
    u64 bytes, frame = 0;

    page_first = UINT64_MAX;
    for (unsigned i = 0; i < platform.ram_count; i++) {
        page_first = MIN(page_first, platform.ram[i].base.pa >> PAGE_SHIFT);
        page_last = MAX(page_last, ((platform.ram[i].base.pa + platform.ram[i].size) >> PAGE_SHIFT) - 1);
    }
    if (page_last - page_first >= FRAMES_MAX) {
        printk(LOG_WARN, "RAM beyond %lu GiB is not used", (FRAMES_MAX << PAGE_SHIFT) >> 30);
        page_last = page_first + FRAMES_MAX - 1;
        forget_ram_above(page_last);
    }
    bytes = (page_last - page_first + 1) * sizeof(struct page);
    for (unsigned i = 0; i < platform.ram_count && !frame; i++)
        frame = find_frames(&platform.ram[i], (bytes + PAGE_SIZE - 1) >> PAGE_SHIFT);
    if (!frame || platform.reserved_count == ARRAY_SIZE(platform.reserved))
        panic("no room for page descriptors");
    page_array = arch_phys_to_virt((paddr_t){frame << PAGE_SHIFT});
    page_base = (struct page *)((u64)page_array - page_first * sizeof *page_array);
    memset(page_array, 0, bytes);
    platform.reserved[platform.reserved_count++] =
        (struct platform_range){{frame << PAGE_SHIFT}, ROUND_UP(bytes, PAGE_SIZE)};
    for (u64 f = page_first; f <= page_last; f++)
        page_of((paddr_t){f << PAGE_SHIFT})->kind = PAGE_RESERVED;
}

static void give(u64 frame)
{
    struct page *p = page_of((paddr_t){frame << PAGE_SHIFT});

    p->kind = PAGE_FREE;
    poison(p, 0);
    total_pages++;
    buddy_free_locked(p, 0);
}

void page_free_range(paddr_t start, u64 size)
{
    u64 last = (start.pa + size) >> PAGE_SHIFT;

    for (u64 f = (start.pa + PAGE_MASK) >> PAGE_SHIFT; f < last; f++) {
        spin_lock(&zone);
        give(f);
        spin_unlock(&zone);
    }
}

void page_init(void)
{
    for (unsigned i = 0; i < ORDERS; i++)
        list_init(&free_lists[i]);
    place_descriptors();
    for (unsigned i = 0; i < platform.ram_count; i++) {
        u64 end = (platform.ram[i].base.pa + platform.ram[i].size) >> PAGE_SHIFT;
        for (u64 f = (platform.ram[i].base.pa + PAGE_MASK) >> PAGE_SHIFT; f < end; f++)
            if (!is_reserved(f))
                give(f);
    }
    reserve_pages = MIN(64ul, total_pages / 64);
    page_zero = page_alloc(PAGE_DATA, ALLOC_ZERO);
    ASSERT(page_zero);
}

bool page_is_ram(paddr_t pa)
{
    u64 frame = pa.pa >> PAGE_SHIFT;

    return frame >= page_first && frame <= page_last;
}

/* ---- allocation ---- */

static bool may_take(u64 count, enum alloc_flags flags)
{
    return free_pages >= count + (flags & ALLOC_RESERVE ? 0 : reserve_pages);
}

static bool is_promised(enum page_kind kind, bool promised)
{
    return kind == PAGE_DATA || kind == PAGE_TABLE || promised;
}

/* In strict mode what nobody was promised may not take what somebody was. */
static bool may_have(unsigned order, enum page_kind kind, enum alloc_flags flags)
{
    return is_promised(kind, flags & ALLOC_PROMISED) || commit_room(1ul << order);
}

#define REFILL_ORDER 4u

/* Interrupts off. A run in one go, if there is one: a fault that comes to this shall not pay much more than others. */
static void cache_refill(struct cpu *c, enum alloc_flags flags)
{
    unsigned order = REFILL_ORDER;
    struct page *run;

    spin_lock(&zone);
    /* Of what is kept for munmap only the one page that is asked for: the cache is everybody's. */
    while (!(run = may_take(1ul << order, order > 0 ? 0 : flags) ? buddy_alloc_locked(order) : NULL) && order > 0)
        order--;
    spin_unlock(&zone);
    for (unsigned i = 0; run && i < 1u << order; i++)
        c->page_cache[c->page_cache_count++] = run + i;
}

static void cache_drain(struct cpu *c, u32 keep)
{
    spin_lock(&zone);
    while (c->page_cache_count > keep)
        buddy_free_locked(c->page_cache[--c->page_cache_count], 0);
    spin_unlock(&zone);
}

static struct page *hand_out(struct page *p, unsigned order, enum page_kind kind, enum alloc_flags flags)
{
    vm_count(VMC_pgalloc, 1ul << order);
    if (!is_promised(kind, flags & ALLOC_PROMISED))
        vm_count(VMC_pgalloc_kernel, 1ul << order);
    for (unsigned i = 0; i < 1u << order; i++)
        poison_check(p + i);
    p->kind = (u8)kind;
    p->order = (u8)order;
    p->flags = flags & ALLOC_PROMISED ? PAGE_F_PROMISED : 0;
    p->used = 0;
    p->lock = 0;
    atomic_store_explicit(&p->refs, 1, memory_order_relaxed);
    if (flags & ALLOC_ZERO)
        memset(page_data(p), 0, PAGE_SIZE << order);
    return p;
}

static struct page *table_cache_take(enum page_kind kind)
{
    bool on = arch_irq_save();
    struct cpu *c = arch_this_cpu();
    struct page *p = c->table_cache[kind == PAGE_ROOT];

    if (p) {
        c->table_cache[kind == PAGE_ROOT] = p->next;
        c->table_cache_count[kind == PAGE_ROOT]--;
    }
    arch_irq_restore(on);
    return p;
}

/* When there is nothing else: this CPU's empty tables become pages again. False: it has none. */
static bool tables_give_back(void)
{
    bool any = false;
    struct page *p;

    for (enum page_kind kind = PAGE_TABLE; kind <= PAGE_ROOT; kind++)
        while ((p = table_cache_take(kind))) {
            p->kind = (u8)kind;
            page_free(p);
            any = true;
        }
    return any;
}

struct page *page_alloc(enum page_kind kind, enum alloc_flags flags)
{
    struct page *p = NULL;
    struct cpu *c;
    bool on;

    if (!(flags & (ALLOC_RESERVE | ALLOC_RETRIED)) && (alloc_should_fail() || !may_have(0, kind, flags)))
        return NULL;
    on = arch_irq_save();
    c = arch_this_cpu();
    if (c->page_cache_count == 0)
        cache_refill(c, flags);
    if (c->page_cache_count > 0)
        p = c->page_cache[--c->page_cache_count];
    arch_irq_restore(on);
    if (p)
        return hand_out(p, 0, kind, flags);
    return tables_give_back() ? page_alloc(kind, flags | ALLOC_RETRIED) : NULL;
}

struct page *page_alloc_run(unsigned order, enum page_kind kind, enum alloc_flags flags)
{
    struct page *p = NULL;

    if (order == 0)
        return page_alloc(kind, flags);
    if (order >= ORDERS || alloc_should_fail() || !may_have(order, kind, flags))
        return NULL;
    spin_lock(&zone);
    if (may_take(1ul << order, flags))
        p = buddy_alloc_locked(order);
    spin_unlock(&zone);
    if (!p)
        return NULL;
    for (unsigned i = 1; i < 1u << order; i++)
        p[i].kind = (u8)kind;
    return hand_out(p, order, kind, flags);
}

void page_free(struct page *p)
{
    unsigned order = p->order;
    bool on;

    ASSERT(p->kind != PAGE_FREE && p->kind != PAGE_RESERVED && page_refs(p) == 0);
    if (!is_promised(p->kind, p->flags & PAGE_F_PROMISED))
        vm_count(VMC_pgfree_kernel, 1ul << order);
    poison(p, order);
    for (unsigned i = 0; i < 1u << order; i++)
        p[i].kind = PAGE_FREE;
    p->flags = 0;
    vm_count(VMC_pgfree, 1ul << order);
    if (order > 0) {
        spin_lock(&zone);
        buddy_free_locked(p, order);
        spin_unlock(&zone);
        return;
    }
    on = arch_irq_save();
    if (arch_this_cpu()->page_cache_count == ARRAY_SIZE(arch_this_cpu()->page_cache))
        cache_drain(arch_this_cpu(), ARRAY_SIZE(arch_this_cpu()->page_cache) - BATCH);
    arch_this_cpu()->page_cache[arch_this_cpu()->page_cache_count++] = p;
    arch_irq_restore(on);
}

void page_put(struct page *p)
{
    if (page_put_last(p))
        page_free(p);
}

/* ---- empty tables ---- */

#define TABLES_KEPT 16u /* for each CPU and kind */

#ifdef COWSLIP_DEBUG
static void empty_check(struct page *p, unsigned entries)
{
    const u64 *word = page_data(p);

    for (unsigned i = 0; i < entries; i++)
        if (word[i] != 0)
            panic("free table %#lx has an entry at %u: %#lx", page_paddr(p).pa, i, word[i]);
}
#else
static void empty_check(struct page *p, unsigned entries)
{
    (void)p, (void)entries;
}
#endif

static unsigned user_entries(enum page_kind kind)
{
    return kind == PAGE_ROOT ? USER_ROOT_ENTRIES : PT_ENTRIES;
}

struct page *page_alloc_table(enum page_kind kind, enum alloc_flags flags)
{
    struct page *p;

    if (!(flags & ALLOC_RESERVE) && (alloc_should_fail() || !may_have(0, kind, flags)))
        return NULL;
    p = table_cache_take(kind);
    if (p) {
        empty_check(p, user_entries(kind));
        p->kind = (u8)kind;
        p->flags = 0;
        p->groups = 0;
        atomic_store_explicit(&p->refs, 1, memory_order_relaxed);
        return p;
    }
    p = page_alloc(kind, flags | ALLOC_ZERO | ALLOC_RETRIED);
    if (p) {
        p->groups = 0;
        if (kind == PAGE_ROOT)
            arch_root_init(page_data(p));
    }
    return p;
}

void page_free_table(struct page *p)
{
    unsigned which = p->kind == PAGE_ROOT;
    struct cpu *c;
    bool on;

    ASSERT(page_refs(p) == 0 && p->used == 0);
    empty_check(p, user_entries(p->kind));
    on = arch_irq_save();
    c = arch_this_cpu();
    if (c->table_cache_count[which] < TABLES_KEPT) {
        p->kind = PAGE_FREE;
        p->next = c->table_cache[which];
        c->table_cache[which] = p;
        c->table_cache_count[which]++;
        p = NULL;
    }
    arch_irq_restore(on);
    if (p)
        page_free(p);
}

/* Other CPUs' counts are read as they stand: exact when nobody allocates. */
void page_stats(struct page_stats *out)
{
    *out = (struct page_stats){.total = total_pages, .reserve = reserve_pages};
    spin_lock(&zone);
    out->free = free_pages;
    for (u32 i = 0; i < MAX_CPUS; i++)
        out->free += cpus[i].page_cache_count + cpus[i].table_cache_count[0] + cpus[i].table_cache_count[1];
    spin_unlock(&zone);
}

void page_for_each(void (*fn)(struct page *p, void *arg), void *arg)
{
    for (u64 f = page_first; f <= page_last; f++)
        fn(page_of((paddr_t){f << PAGE_SHIFT}), arg);
}

/* ---- the lock of table pages ---- */

void page_lock(struct page *p)
{
    preempt_disable();
    while (atomic_exchange_explicit(&p->lock, 1, memory_order_acquire))
        while (atomic_load_explicit(&p->lock, memory_order_relaxed))
            arch_cpu_relax();
}

void page_unlock(struct page *p)
{
    atomic_store_explicit(&p->lock, 0, memory_order_release);
    preempt_enable();
}

u64 page_room(void)
{
    u64 freed = vm_counter_read(VMC_pgfree_kernel), taken = vm_counter_read(VMC_pgalloc_kernel), room;
    struct page_stats s;

    page_stats(&s);
    room = s.free + (taken > freed ? taken - freed : 0);
    return room > s.total / 16 ? room - s.total / 16 : 0;
}
