/*
 * The VM core against a flat model: random forks, loads, stores, mmap, munmap,
 * mprotect, mremap, MADV_DONTNEED, truncation and exits of up to 64 processes on
 * four CPUs, several of which may run the same process.
 *
 * The model keeps every page's value for every process. After each step the
 * kernel's own checker (vm/check.c) recounts every reference and checks the
 * invariants; a store or load that goes through the hostile TLB of machine.h
 * must find the model's bytes. Where an allocation can fail, it is made to, one
 * after the other, until the operation succeeds: it must then have changed
 * nothing, and munmap and exit may not fail at all.
 *
 * Usage: test_vm [--seed N] [--steps N] [--plant NAME] [--fork eager] [--overcommit 2] [--asids 0] [--seconds N] [--trace STEP]
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "machine.h"
#include "lib/errno.h"
#include "vm/commit.h"
#include "vm/kmem.h"
#include "vm/pgtable.h"
#include "vm/table.h"

#define PROCS 64
#define CPUS 4
#define OBJECTS 4
#define OBJECT_PAGES 12
#define LOW 16u /* pages below MMAP_LOW */

/* The model's pages: all of user space in the small geometry; else chunks of 8 that lie in several tables. */
#if PT_BITS < 9
#define PAGES ((unsigned)(USER_TOP >> PAGE_SHIFT) - LOW)
#define CHUNK PAGES
static vaddr_t va_of(unsigned i)
{
    return (vaddr_t)(i + LOW) << PAGE_SHIFT;
}
#else
#define PAGES 96u /* 4 chunks in each of 3 tables */
#define CHUNK 8u
static vaddr_t va_of(unsigned i)
{
    return pt_span(PT_LEVELS - 1) * (i / 48) + pt_span(1) * (1 + i / 16 % 3) + PAGE_SIZE * (i % 8 + i / 8 % 2 * 300);
}
#endif

struct cell {
    bool mapped, shared, own; /* own: `value` is this process's, else the object's, or zero */
    bool promised;            /* private, and writable once: what keeps regions from being one */
    u8 prot, object;          /* object: 1 + its number */
    u16 index;
    u64 value;
};
static struct proc {
    struct vmspace *vm; /* NULL: no such process */
    struct cell cells[PAGES];
} procs[PROCS];
static struct object {
    struct vm_object *o;
    u64 pages, value[OBJECT_PAGES];
} objects[OBJECTS];
static u64 seed = 1, steps = 300000, step, next_value, failures, operations;
static u64 done; /* loads and stores that found a page */
static unsigned live, focus; /* focus: the page that was accessed last */
static const struct cell *copying; /* a page of an object of which a first store is making a copy of the process's own */
static const char *doing = "starting";

#define HALF_STORED "second store"

static void where(void)
{
    fprintf(stderr, "at: --seed %lu, step %lu, %s\n", seed, step, doing);
}

static u64 rnd(u64 n)
{
    return host_random(n);
}

/* With --trace STEP: what is done from that step on. */
static u64 trace_from = UINT64_MAX;

static void trace(const struct proc *p, unsigned i, unsigned n, unsigned how)
{
    if (step >= trace_from)
        fprintf(stderr, "%lu: cpu %u process %u: %s [%u, %u) %u\n", step, host_cpu, (unsigned)(p - procs), doing, i, i + n, how);
}

#define EXPECT(cond, ...)            \
    do {                             \
        if (!(cond))                 \
            panic("" __VA_ARGS__);   \
    } while (0)

/* ---- what the model says ---- */

static u64 expected(const struct cell *c)
{
    if (c->own)
        return c->value;
    return c->object && c->index < objects[c->object - 1].pages ? objects[c->object - 1].value[c->index] : 0;
}

static enum fault_result verdict(const struct cell *c, bool write)
{
    if (!c->mapped)
        return FAULT_SEGV_MAPERR;
    if (write ? !(c->prot & PROT_WRITE) : c->prot == 0)
        return FAULT_SEGV_ACCERR;
    if (c->object && !c->own && c->index >= objects[c->object - 1].pages)
        return FAULT_BUS;
    return FAULT_DONE;
}

static void store_model(struct cell *c, u64 value)
{
    if (c->shared && c->object) {
        objects[c->object - 1].value[c->index] = value;
        return;
    }
    c->own = true;
    c->value = value;
}

/* ---- failing allocations ---- */

static s64 fail_at = -1;

/* Is this attempt to fail, and at which allocation? Until an attempt did not come so far. */
static void attempt(void)
{
    atomic_store(&alloc_fail_countdown, fail_at);
}

/* True: the attempt was hit by the failure. */
static bool was_hit(void)
{
    bool hit = fail_at >= 0 && atomic_load(&alloc_fail_countdown) < 0;

    atomic_store(&alloc_fail_countdown, -1);
    failures += hit;
    return hit;
}

/* Memory may run out by itself. What other CPUs keep for themselves cannot be had. In strict mode it may be refused. */
static bool scarce(void)
{
    return host_overcommit || host_free_pages() < 200 + CPUS * 100;
}

/* Runs the operation so that its first, second, … allocation fails, until none is left; or just runs it. */
#define WITH_FAILURES(...)                            \
    for (fail_at = rnd(8) ? -1 : 0;; fail_at++) {     \
        bool failed, hit;                             \
        attempt();                                    \
        failed = (__VA_ARGS__);                       \
        hit = was_hit();                              \
        if (failed)                                   \
            EXPECT(hit || scarce(), "failed with memory free"); \
        else                                          \
            break;                                    \
        if (!hit)                                     \
            return;                                   \
    }

/* ---- operations ---- */

static struct proc *some_process(void)
{
    unsigned k = (unsigned)rnd(PROCS);

    while (!procs[k].vm)
        k = (k + 1) % PROCS;
    return &procs[k];
}

static struct proc *free_place(void)
{
    for (struct proc *p = procs; p < procs + PROCS; p++)
        if (!p->vm)
            return p;
    return NULL;
}

/* Mostly from a window that moves on slowly, so that one operation meets what another left. */
static unsigned any_page(void)
{
    return (unsigned)(rnd(4) ? step / 10000 * 11 + rnd(12) : rnd(PAGES)) % PAGES;
}

/* Mostly one that is mapped. */
static unsigned some_page(const struct proc *p)
{
    unsigned i = any_page();

    for (unsigned tries = 0; tries < 6 && !p->cells[i].mapped; tries++)
        i = any_page();
    return i;
}

/* An instruction fetch, as far as the kernel is concerned. */
static void op_execute(struct proc *p)
{
    unsigned i = some_page(p);
    const struct cell *c = &p->cells[i];
    enum fault_result want = verdict(c, false), r;

    doing = "execute";
    if (want == FAULT_DONE && !(c->prot & PROT_EXEC))
        want = FAULT_SEGV_ACCERR;
    trace(p, i, 1, c->prot);
    host_run(p->vm);
    while ((r = vm_fault(p->vm, va_of(i), FAULT_EXEC)) == FAULT_RETRY)
        ;
    if (r == FAULT_OOM && scarce())
        return;
    if (r == FAULT_BUS && c->object && host_overcommit)
        return;
    EXPECT(r == want || (want == FAULT_BUS && r == FAULT_SEGV_ACCERR), "execute page %u: %d, not %d", i, r, want);
}

/* One page, through the hardware of a CPU. */
static void op_access(struct proc *p)
{
    bool write = rnd(2), high = rnd(2), hit;
    unsigned i = some_page(p);
    struct cell *c = &p->cells[i];
    enum fault_result r, want = verdict(c, write);
    vaddr_t va = va_of(i) + (high ? PAGE_SIZE - 8 : 0); /* both ends of a page hold the value */
    u64 value = 0, new_value = ++next_value;

    doing = write ? "store" : "load";
    focus = i;
    trace(p, i, 1, c->prot);
    host_run(p->vm);
    fail_at = rnd(8) ? -1 : (s64)rnd(6);
    attempt();
    copying = write && c->object && !c->shared && !c->own ? c : NULL;
    r = write ? host_store(va, new_value) : host_load(va, &value);
    copying = NULL;
    hit = was_hit();
    if (r == FAULT_OOM && (hit || (scarce() && !host_overcommit))) /* in strict mode what was promised is there */
        return;
    if (r == FAULT_BUS && c->object && host_overcommit)
        return;
    EXPECT(r == want, "fault at page %u: %d, not %d", i, r, want);
    if (r != FAULT_DONE)
        return;
    done++;
    if (!write) {
        EXPECT(value == expected(c), "page %u has %lu, not %lu", i, value, expected(c));
        return;
    }
    store_model(c, new_value);
    doing = HALF_STORED; /* the page's two ends differ */
    r = host_store(va_of(i) + (high ? 0 : PAGE_SIZE - 8), new_value);
    EXPECT(r == FAULT_DONE, "second store: %d", r);
}

static void op_fork(struct proc *p)
{
    struct proc *child = free_place();

    doing = "fork";
    if (!child)
        return;
    trace(p, 0, 0, (unsigned)(child - procs));
    host_run(p->vm);
    WITH_FAILURES(!(child->vm = vmspace_fork(p->vm)));
    memcpy(child->cells, p->cells, sizeof p->cells);
    live++;
}

static void leave_cpus(struct vmspace *vm)
{
    unsigned here = host_cpu;

    for (host_cpu = 0; host_cpu < CPUS; host_cpu++)
        if (host_running(host_cpu) == vm)
            host_run(NULL);
    host_cpu = here;
}

static void op_exit(struct proc *p)
{
    doing = "exit";
    trace(p, 0, 0, 0);
    leave_cpus(p->vm);
    vmspace_put(p->vm);
    p->vm = NULL;
    live--;
}

static void range(unsigned *i, unsigned *n, bool large)
{
    unsigned room;

    *i = any_page();
    room = rnd(4) ? CHUNK - *i % CHUNK : PAGES - *i;
    *n = 1 + (unsigned)rnd(large || rnd(8) == 0 ? room : MIN(room, 6u));
}

/* The addresses of [i, i + n). In the large geometry a range may have pages between that the model does not know. */
static u64 bytes_of(unsigned i, unsigned n)
{
    return va_of(i + n - 1) + PAGE_SIZE - va_of(i);
}

static bool in_order(unsigned i, unsigned n)
{
    for (unsigned k = i + 1; k < i + n; k++)
        if (va_of(k) != va_of(k - 1) + PAGE_SIZE)
            return false;
    return true;
}

static void op_map(struct proc *p)
{
    struct map_request q = {.flags = MAP_FIXED_, .prot = (unsigned)rnd(8) | (rnd(2) ? PROT_READ | PROT_WRITE : 0)};
    unsigned i, n, object = (unsigned)rnd(8), first = (unsigned)rnd(OBJECT_PAGES);
    s64 at;

    doing = "mmap";
    range(&i, &n, rnd(2));
    if (!in_order(i, n))
        return;
    q.addr = va_of(i);
    q.len = bytes_of(i, n);
    if (object < OBJECTS) {
        q.object = objects[object].o;
        q.offset = first * PAGE_SIZE;
        q.flags |= rnd(2) ? MAP_SHARED_ : 0;
    }
    trace(p, i, n, q.prot | q.flags << 8);
    WITH_FAILURES((at = vm_map(p->vm, &q)) == -ENOMEM);
    EXPECT(at == (s64)q.addr, "mmap: %ld", at);
    for (unsigned k = 0; k < n; k++)
        p->cells[i + k] = (struct cell){.mapped = true, .prot = (u8)q.prot, .shared = q.flags & MAP_SHARED_,
                                        .promised = !(q.flags & MAP_SHARED_) && (q.prot & PROT_WRITE),
                                        .object = q.object ? (u8)(object + 1) : 0, .index = (u16)(first + k)};
}

static void op_unmap(struct proc *p)
{
    unsigned i, n;
    int err;

    doing = "munmap";
    range(&i, &n, false);
    fail_at = (s64)rnd(4) - 1;
    trace(p, i, n, 0);
    attempt();
    err = vm_unmap(p->vm, va_of(i), bytes_of(i, n));
    was_hit();
    EXPECT(err == 0, "munmap: %d", err);
    memset(p->cells + i, 0, n * sizeof p->cells[0]);
}

static void op_discard(struct proc *p)
{
    unsigned i, n;
    int err;

    doing = "MADV_DONTNEED";
    range(&i, &n, false);
    fail_at = (s64)rnd(4) - 1;
    trace(p, i, n, 0);
    attempt();
    err = vm_discard(p->vm, va_of(i), bytes_of(i, n));
    was_hit();
    EXPECT(err == 0, "discard: %d", err);
    for (; n-- > 0; i++)
        p->cells[i].own = false;
}

static void op_protect(struct proc *p)
{
    unsigned i, n, prot = (unsigned)rnd(8);
    bool whole = true;
    int err;

    doing = "mprotect";
    range(&i, &n, false);
    i = some_page(p);
    n = MIN(n, CHUNK - i % CHUNK);
    for (unsigned k = 1; k < n && rnd(16); k++)
        n = p->cells[i + k].mapped ? n : k;
    for (unsigned k = i; k < i + n; k++)
        whole = whole && p->cells[k].mapped;
    if (!whole)
        EXPECT(vm_protect(p->vm, va_of(i), bytes_of(i, n), prot) == -ENOMEM, "mprotect of a hole");
    if (!whole)
        return;
    trace(p, i, n, prot);
    WITH_FAILURES((err = vm_protect(p->vm, va_of(i), bytes_of(i, n), prot)) == -ENOMEM);
    EXPECT(err == 0, "mprotect: %d", err);
    for (; n-- > 0; i++) {
        p->cells[i].prot = (u8)prot;
        p->cells[i].promised |= (prot & PROT_WRITE) && !p->cells[i].shared;
    }
}

/* One region covers [i, i + n)? (What the kernel may have merged is one, too.) */
static bool one_region(const struct proc *p, unsigned i, unsigned n)
{
    const struct cell *c = &p->cells[i];

    for (unsigned k = 0; k < n; k++)
        if (!c[k].mapped || c[k].prot != c->prot || c[k].shared != c->shared || c[k].promised != c->promised || c[k].object != c->object ||
            (c->object && c[k].index != c->index + k))
            return false;
    return true;
}

#define MREMAP_MAYMOVE 1u
#define MREMAP_FIXED 2u
static void op_move(struct proc *p)
{
    unsigned i, n, to = any_page();
    struct cell moved[PAGES];
    s64 at;

    doing = "mremap";
    range(&i, &n, false);
    if (to + n > PAGES || (to < i + n && i < to + n) || !one_region(p, i, n) || !in_order(i, n) || !in_order(to, n))
        return;
    trace(p, i, n, to);
    WITH_FAILURES((at = vm_remap(p->vm, va_of(i), n * PAGE_SIZE, n * PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
                                 va_of(to))) == -ENOMEM);
    EXPECT(at == (s64)va_of(to), "mremap: %ld", at);
    memcpy(moved, p->cells + i, n * sizeof moved[0]);
    memset(p->cells + i, 0, n * sizeof moved[0]);
    memcpy(p->cells + to, moved, n * sizeof moved[0]);
}

/* Pages beyond the new end are gone from all mappings, private copies too; pages added are zero. */
static void op_truncate(void)
{
    struct object *o = &objects[rnd(OBJECTS)];
    u64 pages = rnd(OBJECT_PAGES + 1);

    doing = "truncate";
    object_truncate(o->o, pages * PAGE_SIZE);
    for (u64 k = pages; k < OBJECT_PAGES; k++)
        o->value[k] = 0;
    for (struct proc *p = procs; p < procs + PROCS && pages < o->pages; p++)
        for (unsigned i = 0; p->vm && i < PAGES; i++)
            if (p->cells[i].object == o - objects + 1 && p->cells[i].index >= pages)
                p->cells[i].own = false;
    o->pages = pages;
}

/* Another CPU runs the process, or nobody's; or the CPU fetches something. */
static void op_schedule(struct proc *p)
{
    doing = "schedule";
    if (rnd(8) == 0)
        host_run(NULL);
    else if (rnd(2))
        host_run(p->vm);
    else
        host_prefetch(va_of((unsigned)rnd(PAGES)));
}

/* Every page of a process as the tables have it. */
static void compare(const struct proc *p)
{
    for (unsigned i = 0; i < PAGES; i++) {
        const struct cell *c = &p->cells[i];
        pte_t e = pt_lookup(p->vm, va_of(i));

        if (pte_is_empty(e)) {
            EXPECT(!c->own || (!c->mapped && !c->value), "page %u of a process is lost", i);
            continue;
        }
        EXPECT(c->mapped, "page %u is still there", i);
        EXPECT(*(u64 *)page_data(pte_page(e)) == expected(c), "page %u has %lu, not %lu", i,
               *(u64 *)page_data(pte_page(e)), expected(c));
    }
}

static void one_step(void)
{
    struct proc *p = some_process();
    unsigned op = (unsigned)rnd(100);

    host_cpu = (unsigned)rnd(CPUS);
    operations++;
    if (op < 64)
        op_access(p);
    else if (op < 68)
        op_execute(p);
    else if (op < 75)
        op_schedule(p);
    else if (op < 80)
        op_fork(p);
    else if (op < 85 && live > 1 + rnd(PROCS))
        op_exit(p);
    else if (op < 89)
        op_map(p);
    else if (op == 89)
        op_unmap(p);
    else if (op == 90)
        op_discard(p);
    else if (op < 96)
        op_protect(p);
    else if (op < 99)
        op_move(p);
    else if (rnd(4) == 0)
        op_truncate();
    if (step % 16 == 0)
        compare(some_process());
}

/* Another CPU ends a process, and drops its references, while a fault is under way. */
static void exit_meanwhile(void)
{
    const char *was_doing = doing;
    struct proc *p = some_process();

    if ((strcmp(doing, "store") && strcmp(doing, "load")) || p->vm == host_running(host_cpu) || live < 4)
        return;
    op_exit(p);
    doing = was_doing;
}

/* A store to the object now may be in the copy that is being made of it, or not. */
static bool is_being_copied(const struct cell *c)
{
    return copying && c->shared && c->object == copying->object && c->index == copying->index;
}

/*
 * In the last moment before a flush the CPUs still do what they may: one stores to a page, and all that run the process
 * must then read the same, whichever page they find. (mremap shows the moved pages before its second flush.)
 */
static void last_moment(void)
{
    unsigned cpu = (unsigned)rnd(CPUS), i = rnd(2) ? focus : any_page();
    struct vmspace *vm = host_running(cpu);
    struct proc *p = procs;
    u64 value;

    if (rnd(8) == 0)
        exit_meanwhile();
    if (!vm || vm != host_running(cpu) || !strcmp(doing, "mremap") || !strcmp(doing, HALF_STORED))
        return;
    while (p < procs + PROCS && p->vm != vm)
        p++;
    if (p == procs + PROCS)
        return;
    value = ++next_value;
    if (rnd(2) && !is_being_copied(&p->cells[i]) && host_touch(cpu, va_of(i), true, &value)) {
        EXPECT(verdict(&p->cells[i], true) == FAULT_DONE, "page %u can be written", i);
        store_model(&p->cells[i], value);
    }
    for (cpu = 0; cpu < CPUS; cpu++)
        if (host_running(cpu) == vm && host_touch(cpu, va_of(i), false, &value))
            EXPECT(value == expected(&p->cells[i]), "CPU %u has %lu in page %u, not %lu", cpu, value, i, expected(&p->cells[i]));
}

/* ---- the run ---- */

static u64 seconds_limit;

static void objects_make(void)
{
    for (unsigned k = 0; k < OBJECTS; k++) {
        objects[k].o = object_create(NULL, OBJECT_PAGES * PAGE_SIZE, NULL);
        objects[k].pages = OBJECT_PAGES;
        assert_non_null(objects[k].o);
    }
}

static void machine_start(void)
{
    host_on_panic = where;
    host_before_flush = last_moment;
    host_seed(seed);
    host_boot(PT_BITS < 9 ? 2000 : 6000);
}

static void first_process(void)
{
    objects_make();
    procs[0].vm = vmspace_create();
    assert_non_null(procs[0].vm);
    procs[0].vm->mmap_top = USER_TOP;
    procs[0].vm->as_limit = procs[0].vm->data_limit = UINT64_MAX;
    live = 1;
}

static void all_exit(void)
{
    doing = "the end";
    for (unsigned k = 0; k < PROCS; k++)
        if (procs[k].vm)
            op_exit(&procs[k]);
    memset(procs, 0, sizeof procs);
    for (unsigned k = 0; k < OBJECTS; k++)
        object_put(objects[k].o);
    memset(objects, 0, sizeof objects);
    EXPECT(commit_total() == 0, "%lu pages are still promised", commit_total());
    vm_check_all("end");
}

static void random_operations(void **state)
{
    time_t start = time(NULL);
    u64 free_before;

    (void)state;
    machine_start();
    free_before = host_free_pages();
    first_process();
    for (step = 0; step < steps && !(seconds_limit && time(NULL) - start >= (time_t)seconds_limit); step++) {
        one_step();
        doing = "recount";
        vm_check_all("step");
    }
    all_exit();
    printf("%lu operations, %lu loads and stores done, %lu failed allocations, %lu forks, %lu table copies, "
           "%lu takeovers, %lu page copies\n", operations, done, failures, vm_counter_read(VMC_fork),
           vm_counter_read(VMC_table_copy), vm_counter_read(VMC_table_takeover), vm_counter_read(VMC_cow_page_copy));
    EXPECT(host_free_pages() + 100 >= free_before, "pages are lost: %lu of %lu", host_free_pages(), free_before);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_operations)};

    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--seed"))
            seed = strtoul(argv[i + 1], NULL, 0);
        else if (!strcmp(argv[i], "--steps"))
            steps = strtoul(argv[i + 1], NULL, 0);
        else if (!strcmp(argv[i], "--seconds"))
            seconds_limit = strtoul(argv[i + 1], NULL, 0);
        else if (!strcmp(argv[i], "--trace"))
            trace_from = strtoul(argv[i + 1], NULL, 0);
        else if (!strcmp(argv[i], "--fork"))
            host_fork = argv[i + 1];
        else if (!strcmp(argv[i], "--overcommit"))
            host_overcommit = argv[i + 1];
        else if (!strcmp(argv[i], "--plant"))
            host_plant = argv[i + 1];
        else if (!strcmp(argv[i], "--asids"))
            host_asids = argv[i + 1][0] == '1';
    }
    printf("%s, %d levels of %d entries: --seed %lu --steps %lu\n", HOST_ARCH, PT_LEVELS, PT_ENTRIES, seed, steps);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
