/*
 * The tree of tables against a flat model: random forks, reads, writes, unmaps
 * and exits of several processes on two CPUs each, every allocation failing now
 * and then. After each step every reference is recounted and invariants 1 to 3
 * of vm.h are checked; each process's bytes are compared with the model's.
 *
 * The TLB is as hostile as the architecture permits: it may fetch any
 * translation at any time, keeps it and the tables it walked through until a
 * flush that covers them, and answers with old or new as a coin falls.
 *
 * Usage: test_pgtable [SEED [STEPS]]
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "vm/pgrange.c"
#include "vm/pgtable.c"
#include "vm/table.c"

#define PAGES 1500
#define PROCS 8
#define CPUS 2
#define VAS 48 /* 2 root entries x 3 tables x 8 pages */

static struct page desc[PAGES];
static u8 data[PAGES][PAGE_SIZE] __attribute__((aligned(4096)));
static u32 free_list[PAGES], free_count;
static u64 random_state, seed = 1, steps = 60000, done;
static bool allow_failure;

struct cached {
    bool valid, write;
    struct page *page;
};
static struct proc {
    bool live;
    struct vmspace vm;
    u64 value[VAS];
    bool mapped[VAS];
    unsigned prot[VAS]; /* what the region would say */
    struct cached tlb[CPUS][VAS];
    struct page *walk[CPUS][2]; /* paging-structure cache: table below a root entry */
} procs[PROCS];
static unsigned this_cpu;

static u64 rnd(u64 n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 33) % n;
}

static vaddr_t va_of(unsigned i)
{
    return ((u64)(i / 24) << 30) + ((u64)(i / 8 % 3) << 21) + ((u64)(i % 8) << 12);
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

void vm_count(enum vm_counter c, u64 n)
{
    (void)c, (void)n;
}
void *page_data(const struct page *p)
{
    return data[p - desc];
}
paddr_t page_paddr(const struct page *p)
{
    return (paddr_t){(u64)(p - desc) << PAGE_SHIFT};
}
struct page *page_of(paddr_t pa)
{
    ASSERT(pa.pa >> PAGE_SHIFT < PAGES);
    return &desc[pa.pa >> PAGE_SHIFT];
}
void page_lock(struct page *p)
{
    ASSERT(atomic_exchange(&p->lock, 1) == 0);
}
void page_unlock(struct page *p)
{
    p->lock = 0;
}
struct page *page_zero;
struct page *page_alloc(enum page_kind kind, enum alloc_flags flags)
{
    struct page *p;

    if (free_count == 0 || (allow_failure && rnd(50) == 0))
        return NULL;
    p = &desc[free_list[--free_count]];
    ASSERT(p->kind == PAGE_FREE && p->refs == 0);
    *p = (struct page){.refs = 1, .kind = kind};
    memset(page_data(p), flags & ALLOC_ZERO ? 0 : 0xa5, PAGE_SIZE);
    return p;
}
void page_free(struct page *p)
{
    ASSERT(p->refs == 0 && p->kind != PAGE_FREE);
    p->kind = PAGE_FREE;
    memset(page_data(p), 0xdb, PAGE_SIZE); /* poison: no entry of it is valid */
    free_list[free_count++] = (u32)(p - desc);
}
void page_put(struct page *p)
{
    if (page_put_last(p))
        page_free(p);
}

/* ---- flushes ---- */
static struct proc *proc_of(struct vmspace *vm)
{
    return container_of(vm, struct proc, vm);
}
static void flush_cpu(struct proc *p, unsigned cpu)
{
    memset(p->tlb[cpu], 0, sizeof p->tlb[cpu]);
    memset(p->walk[cpu], 0, sizeof p->walk[cpu]);
}
void tlb_flush_local(struct vmspace *vm)
{
    flush_cpu(proc_of(vm), this_cpu);
}
void tlb_flush_local_page(struct vmspace *vm, vaddr_t va)
{
    for (unsigned i = 0; i < VAS; i++)
        if (va_of(i) == va)
            proc_of(vm)->tlb[this_cpu][i].valid = false;
}
void tlb_flush_all(struct vmspace *vm)
{
    for (unsigned c = 0; c < CPUS; c++)
        flush_cpu(proc_of(vm), c);
}

/* ---- the hardware ---- */
static struct cached walk(struct proc *p, unsigned cpu, unsigned i)
{
    vaddr_t va = va_of(i);
    struct page *middle = p->walk[cpu][i / 24];
    pte_t e;

    if (!middle || rnd(2)) {
        e = *pt_slot(p->vm.root, 2, va);
        if (!pte_table_walkable(e))
            return (struct cached){0};
        p->walk[cpu][i / 24] = middle = page_of(pte_paddr(e));
    }
    ASSERT(middle->kind == PAGE_TABLE); /* else a walk went through a freed table */
    e = *pt_slot(middle, 1, va);
    if (!pte_table_walkable(e))
        return (struct cached){0};
    ASSERT(page_of(pte_paddr(e))->kind == PAGE_TABLE);
    e = *pt_slot(page_of(pte_paddr(e)), 0, va);
    if (pte_leaf_prot(e) == PROT_NONE)
        return (struct cached){0};
    ASSERT(page_of(pte_paddr(e))->kind == PAGE_DATA);
    return (struct cached){true, pte_leaf_writable(e), page_of(pte_paddr(e))};
}
static struct page *access_page(struct proc *p, unsigned cpu, unsigned i, bool write)
{
    struct cached *c = &p->tlb[cpu][i];

    if (c->valid && (!write || c->write) && rnd(4))
        return c->page;
    *c = walk(p, cpu, i);
    return c->valid && (!write || c->write) ? c->page : NULL;
}
static void prefetch(void)
{
    struct proc *p = &procs[rnd(PROCS)];
    unsigned cpu = (unsigned)rnd(CPUS), i = (unsigned)rnd(VAS);

    if (p->live)
        p->tlb[cpu][i] = walk(p, cpu, i);
}

/* ---- the checker ---- */
static u32 counted[PAGES];
static void recount(struct page *t, unsigned level, bool exclusive, bool walkable)
{
    for (unsigned i = 0; i < PT_ENTRIES; i++) {
        pte_t e = ((pte_t *)page_data(t))[i];
        struct page *n;
        if (pte_is_empty(e))
            continue;
        n = page_of(pte_paddr(e));
        bool first = counted[n - desc]++ == 0, x = exclusive && page_refs(n) == 1;
        if (level == 0) {
            ASSERT(n->kind == PAGE_DATA);
            ASSERT(!(walkable && pte_leaf_writable(e)) || x); /* invariant 3 */
            continue;
        }
        ASSERT(n->kind == PAGE_TABLE && n->level == level - 1);
        bool w = walkable && pte_table_walkable(e);
        ASSERT(!w || x || table_sealed(n));
        if (first)
            recount(n, level - 1, x, w);
    }
}
static void check(void)
{
    u32 used = 0;

    memset(counted, 0, sizeof counted);
    for (unsigned k = 0; k < PROCS; k++)
        if (procs[k].live) {
            counted[procs[k].vm.root - desc]++;
            recount(procs[k].vm.root, PT_LEVELS - 1, true, true);
        }
    for (unsigned i = 0; i < PAGES; i++) {
        ASSERT(counted[i] == desc[i].refs); /* invariant 1 */
        used += desc[i].kind != PAGE_FREE;
    }
    ASSERT(used + free_count == PAGES);
}

/* ---- operations ---- */
/* The writable region around i: its neighbours with the same permissions, as a region would clamp bulk reuse. */
static void region_of(struct proc *p, unsigned i, vaddr_t *lo, vaddr_t *hi)
{
    unsigned a = i, b = i;

    while (a % 8 > 0 && p->prot[a - 1] == p->prot[i])
        a--;
    while (b % 8 < 7 && p->prot[b + 1] == p->prot[i])
        b++;
    *lo = va_of(a);
    *hi = va_of(b) + PAGE_SIZE;
}
static bool fault(struct proc *p, unsigned i, bool write)
{
    struct pt_reserve r;
    vaddr_t va = va_of(i), lo, hi;
    pte_t e = pt_lookup(&p->vm, va);

    if (pt_permits(&p->vm, va, write ? PROT_WRITE : PROT_READ)) {
        tlb_flush_local(&p->vm);
        return true;
    }
    if (!pte_is_empty(e) && !write && (pte_leaf_prot(e) & PROT_READ)) {
        pt_open_read(&p->vm, va);
        return true;
    }
    if (pt_reserve(&p->vm, va, pte_is_empty(e) || pt_needs_copy(&p->vm, va), 0, &r))
        return false;
    if (pte_is_empty(e)) {
        struct page *d = r.data;
        r.data = NULL;
        memset(page_data(d), 0, PAGE_SIZE);
        pt_fill(&p->vm, va, d, p->prot[i], &r);
    } else if (!write) {
        pt_grant(&p->vm, va, p->prot[i] & ~(unsigned)PROT_WRITE, &r);
    } else {
        region_of(p, i, &lo, &hi);
        pt_grant_write(&p->vm, va, p->prot[i], lo, hi, &r);
    }
    pt_reserve_release(&r);
    return true;
}
static struct page *touch(struct proc *p, unsigned i, bool write)
{
    struct page *page;

    for (unsigned tries = 0; !(page = access_page(p, this_cpu, i, write)); tries++) {
        ASSERT(tries < 20);
        if (!fault(p, i, write))
            return NULL;
    }
    return page;
}
static void op_access(struct proc *p, unsigned i, bool write)
{
    static u64 next;
    struct page *page;

    if ((!write && !p->mapped[i]) || !(p->prot[i] & (write ? PROT_WRITE : PROT_READ))) {
        ASSERT(p->prot[i] & PROT_READ || !access_page(p, this_cpu, i, false));
        ASSERT(p->prot[i] & PROT_WRITE || !access_page(p, this_cpu, i, true)); /* invariant 7 */
        return;
    }
    if (!(page = touch(p, i, write)))
        return;
    ASSERT(!p->mapped[i] || *(u64 *)page_data(page) == p->value[i]);
    if (write) {
        *(u64 *)page_data(page) = p->value[i] = ++next;
        p->mapped[i] = true;
    }
}
static bool proc_init(struct proc *p)
{
    memset(p, 0, sizeof *p);
    for (unsigned i = 0; i < VAS; i++)
        p->prot[i] = PROT_READ | PROT_WRITE;
    p->vm.root = page_alloc(PAGE_ROOT, ALLOC_ZERO);
    return p->live = p->vm.root != NULL;
}
static void op_fork(struct proc *p)
{
    for (struct proc *q = procs; q < procs + PROCS; q++)
        if (!q->live) {
            if (!proc_init(q))
                return;
            pt_share(&p->vm, &q->vm);
            memcpy(q->value, p->value, sizeof p->value);
            memcpy(q->mapped, p->mapped, sizeof p->mapped);
            memcpy(q->prot, p->prot, sizeof p->prot);
            return;
        }
}
static void op_exit(struct proc *p)
{
    tlb_flush_all(&p->vm);
    p->live = false;
    pt_drop_all(&p->vm);
    page_put(p->vm.root);
}
/* [first, last] of the model's pages as addresses: one page, part of a table, or several tables and what lies between. */
static void op_unmap(struct proc *p, unsigned i)
{
    struct pt_reserve r;
    unsigned last = i + (unsigned)rnd(rnd(2) ? 4 : VAS);

    last = last < VAS ? last : VAS - 1;
    if (pt_reserve_unmap(&p->vm, va_of(i), va_of(last) + PAGE_SIZE, &r))
        return;
    pt_unmap(&p->vm, va_of(i), va_of(last) + PAGE_SIZE, &r);
    pt_reserve_release(&r);
    for (; i <= last; i++) {
        p->mapped[i] = false;
        p->prot[i] = PROT_READ | PROT_WRITE;
    }
}
static void op_protect(struct proc *p, unsigned i)
{
    static const unsigned prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC};
    unsigned last = i + (unsigned)rnd(rnd(2) ? 4 : VAS), prot = prots[rnd(4)], take = 7 & ~prot;
    vaddr_t start = va_of(i), end;
    struct pt_reserve r;

    last = last < VAS ? last : VAS - 1;
    end = va_of(last) + PAGE_SIZE;
    pt_reserve_init(&r);
    take = rnd(2) && prot == PROT_READ ? PROT_WRITE : take;
    if (take == PROT_WRITE) /* what region flags allow: no X was ever granted there */
        for (unsigned k = i; k <= last; k++)
            if (p->prot[k] & PROT_EXEC)
                return;
    if (take != PROT_WRITE && pt_reserve_range(&p->vm, start, end, false, &r))
        return;
    pt_restrict(&p->vm, start, end, take, &r);
    pt_reserve_release(&r);
    for (; i <= last; i++)
        p->prot[i] = prot;
}
/* Moves up to 8 pages into another place, which is emptied first. */
static void op_move(struct proc *p)
{
    unsigned from = (unsigned)rnd(VAS / 8) * 8, to = (unsigned)rnd(VAS / 8) * 8;
    struct pt_reserve u, src, dst;

    if (from == to || pt_reserve_unmap(&p->vm, va_of(to), va_of(to) + 8 * PAGE_SIZE, &u))
        return;
    pt_unmap(&p->vm, va_of(to), va_of(to) + 8 * PAGE_SIZE, &u);
    pt_reserve_release(&u);
    memset(p->mapped + to, 0, 8 * sizeof p->mapped[0]);
    if (pt_reserve_range(&p->vm, va_of(from), va_of(from) + 8 * PAGE_SIZE, false, &src))
        return;
    if (pt_reserve_range(&p->vm, va_of(to), va_of(to) + 8 * PAGE_SIZE, true, &dst)) {
        pt_reserve_release(&src);
        return;
    }
    pt_move(&p->vm, va_of(from), va_of(to), 8 * PAGE_SIZE, &src, &dst);
    pt_reserve_release(&src);
    pt_reserve_release(&dst);
    for (unsigned k = 0; k < 8; k++) {
        p->mapped[to + k] = p->mapped[from + k];
        p->value[to + k] = p->value[from + k];
        p->prot[to + k] = p->prot[from + k];
        p->mapped[from + k] = false;
    }
}
static void step(void)
{
    struct proc *p = &procs[rnd(PROCS)];
    unsigned i = (unsigned)rnd(VAS), op = (unsigned)rnd(100), live = 0;

    this_cpu = (unsigned)rnd(CPUS);
    for (unsigned k = 0; k < PROCS; k++)
        live += procs[k].live;
    if (!p->live)
        return;
    if (op < 45)
        op_access(p, i, true);
    else if (op < 80)
        op_access(p, i, false);
    else if (op < 87)
        op_fork(p);
    else if (op < 92 && live > 1)
        op_exit(p);
    else if (op < 95)
        op_unmap(p, i);
    else if (op < 98)
        op_protect(p, i);
    else
        op_move(p);
}

static void random_operations_match_the_flat_model(void **state)
{
    (void)state;
    random_state = seed;
    for (free_count = 0; free_count < PAGES; free_count++)
        free_list[free_count] = free_count;
    assert_true(proc_init(&procs[0]));
    allow_failure = true;
    for (done = 0; done < steps; done++) {
        step();
        prefetch();
        if (done % 8 == 0)
            check();
    }
    for (unsigned k = 0; k < PROCS; k++)
        if (procs[k].live)
            op_exit(&procs[k]);
    assert_int_equal(free_count, PAGES);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_operations_match_the_flat_model)};

    seed = argc > 1 ? strtoul(argv[1], NULL, 0) : seed;
    steps = argc > 2 ? strtoul(argv[2], NULL, 0) : steps;
    printf("seed %lu, %lu steps\n", seed, steps);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
