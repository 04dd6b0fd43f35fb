/*
 * Mistakes that other kernels have made: the rows of docs/testing.md's table that only kernel/vm itself shows, each named
 * by its number. Four CPUs with the TLB of machine.h, which panics when a page is freed that some CPU may still use.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "machine.h"
#include "lib/errno.h"
#include "vm/check.h"
#include "vm/commit.h"
#include "vm/table.h"

#define RW (PROT_READ | PROT_WRITE)
#define A (16 * PAGE_SIZE) /* the lowest address that may be mapped */
#define CPUS 4u
#define MAYMOVE 1u
#define FIXED 2u
#define POISON 0x6b6b6b6b6b6b6b6bul

static struct vmspace *vm;

static struct vmspace *space(void)
{
    struct vmspace *s = vmspace_create();

    assert_non_null(s);
    s->mmap_top = USER_TOP - 8 * PAGE_SIZE;
    s->as_limit = s->data_limit = UINT64_MAX;
    return s;
}

static int begin(void **state)
{
    (void)state;
    vm = space();
    host_run(vm);
    return 0;
}

static int end(void **state)
{
    (void)state;
    host_before_flush = NULL;
    for (host_cpu = CPUS; host_cpu-- > 0;) {
        host_run(NULL);
        if (host_cpu == 0)
            break;
    }
    vmspace_put(vm);
    vm_check_all("end of a test");
    return commit_total() != 0;
}

/* As that CPU: what follows runs there. */
static void on(unsigned cpu, struct vmspace *s)
{
    host_cpu = cpu;
    host_run(s);
}

static s64 map_at(vaddr_t addr, u64 pages, unsigned prot, unsigned flags)
{
    struct map_request q = {.addr = addr, .len = pages * PAGE_SIZE, .prot = prot, .flags = flags | MAP_FIXED_};

    return vm_map(vm, &q);
}

static void store(vaddr_t va, u64 value)
{
    assert_int_equal(host_store(va, value), FAULT_DONE);
}

static u64 load(vaddr_t va)
{
    u64 value = 0;

    assert_int_equal(host_load(va, &value), FAULT_DONE);
    return value;
}

/* ---- A2: who has a page to itself is decided by counts, whatever the entry looks like: every short history ---- */

#define OPS 6u
#define LENGTH 4u
static struct vm_object *backing; /* NULL: anonymous */
static struct {
    struct vmspace *child;
    u64 own, childs;
    bool writable;
} history;

static void a2_step(unsigned op, u64 value)
{
    switch (op) {
    case 0:
        assert_int_equal(load(A), history.own);
        break;
    case 1:
        assert_int_equal(host_store(A, value), history.writable ? FAULT_DONE : FAULT_SEGV_ACCERR);
        history.own = history.writable ? value : history.own;
        break;
    case 2: /* the younger child stays; what it has is looked at in the end */
        if (history.child)
            vmspace_put(history.child);
        assert_non_null(history.child = vmspace_fork(vm));
        history.childs = history.own;
        break;
    case 3:
    case 4:
        assert_int_equal(vm_protect(vm, A, PAGE_SIZE, op == 3 ? PROT_READ : RW), 0);
        history.writable = op == 4;
        break;
    case 5:
        assert_true(vm_write_remote(vm, A, &value, sizeof value) == sizeof value); /* a debugger's store */
        history.own = value;
        break;
    }
}

static void a2_history(unsigned code)
{
    struct map_request q = {.addr = A, .len = PAGE_SIZE, .prot = RW, .flags = MAP_FIXED_, .object = backing};
    u64 first = backing ? 77 : 0;

    assert_int_equal(vm_map(vm, &q), A);
    memset(&history, 0, sizeof history);
    history.own = first;
    history.writable = true;
    for (unsigned i = 0; i < LENGTH; i++, code /= OPS)
        a2_step(code % OPS, 1000 + i);
    a2_step(0, 0);
    if (history.child) {
        host_run(history.child);
        assert_int_equal(load(A), history.childs);
        host_run(vm);
        vmspace_put(history.child);
    }
    assert_int_equal(((u64 *)page_data(page_zero))[0], 0);
    assert_int_equal(vm_unmap(vm, A, PAGE_SIZE), 0);
}

static void a2_marks_are_not_ownership(void **state)
{
    struct page *p;

    (void)state;
    for (unsigned with_object = 0; with_object < 2; with_object++) {
        backing = with_object ? object_create(NULL, PAGE_SIZE, NULL) : NULL;
        if (backing) {
            assert_int_equal(object_get_page(backing, 0, &p), 0);
            *(u64 *)page_data(p) = 77;
        }
        for (unsigned code = 0; code < OPS * OPS * OPS * OPS; code++) {
            a2_history(code);
            if (backing)
                assert_int_equal(*(u64 *)page_data(p), 77);
        }
        vm_check_all("a2");
        if (backing) {
            page_put(p);
            object_put(backing);
        }
    }
}

/* ---- A5: after mremap nobody sees at the new place what is put at the old one ---- */

static void a5_moved_pages_are_not_seen_at_the_old_place(void **state)
{
    vaddr_t there = A + 64 * PAGE_SIZE;

    (void)state;
    for (u64 round = 1; round <= 300; round++) {
        map_at(A, 4, RW, 0);
        for (u64 i = 0; i < 4; i++)
            store(A + i * PAGE_SIZE, round + i);
        for (unsigned cpu = 1; cpu < CPUS; cpu++) {
            on(cpu, vm);
            for (u64 i = 0; i < 4; i++)
                host_prefetch(A + i * PAGE_SIZE), host_prefetch(there + i * PAGE_SIZE);
        }
        on(0, vm);
        assert_int_equal(vm_remap(vm, A, 4 * PAGE_SIZE, 4 * PAGE_SIZE, MAYMOVE | FIXED, there), there);
        map_at(A, 4, RW, 0);
        for (u64 i = 0; i < 4; i++)
            store(A + i * PAGE_SIZE, POISON);
        for (unsigned cpu = 0; cpu < CPUS; cpu++) {
            on(cpu, vm);
            for (u64 i = 0; i < 4; i++) {
                assert_int_equal(load(there + i * PAGE_SIZE), round + i);
                assert_int_equal(load(A + i * PAGE_SIZE), POISON);
            }
        }
        on(0, vm);
        assert_int_equal(vm_unmap(vm, A, 100 * PAGE_SIZE), 0);
    }
}

/* ---- A6: every way in which a page becomes free, while all CPUs remember it ---- */

/* By a load: behind a seal there may be nothing that a CPU could fetch by itself. */
static void remembered(u64 pages)
{
    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        on(cpu, vm);
        for (u64 i = 0; i < pages; i++)
            load(A + i * PAGE_SIZE);
    }
    on(0, vm);
}

static void fill_pages(u64 pages, u64 value)
{
    map_at(A, pages, RW, 0);
    for (u64 i = 0; i < pages; i++)
        store(A + i * PAGE_SIZE, value + i);
    remembered(pages);
}

static void a6_what_is_freed_is_mapped_nowhere(void **state)
{
    struct vm_object *o = object_create(NULL, 8 * PAGE_SIZE, NULL);
    struct map_request q = {.addr = A, .len = 8 * PAGE_SIZE, .prot = RW, .flags = MAP_FIXED_ | MAP_SHARED_, .object = o};
    u64 freed = vm_counter_read(VMC_pgfree);
    struct vmspace *child;

    (void)state;
    for (u64 round = 0; round < 20; round++) {
        fill_pages(200, 1); /* more than are gathered for one flush */
        assert_int_equal(vm_unmap(vm, A, 200 * PAGE_SIZE), 0);
        fill_pages(8, 2);
        assert_int_equal(vm_discard(vm, A, 8 * PAGE_SIZE), 0);
        fill_pages(8, 3); /* a mapping in the place of one that has pages */
        fill_pages(8, 4);
        child = vmspace_fork(vm);
        remembered(8);
        for (u64 i = 0; i < 8; i++)
            store(A + i * PAGE_SIZE, 5); /* the copies' originals are the child's alone now */
        remembered(8);
        vmspace_put(child);
        child = vmspace_fork(vm);
        vmspace_put(child);
        assert_int_equal(vm_remap(vm, A + 32 * PAGE_SIZE, 0, 0, 0, 0), -EINVAL);
        map_at(A + 32 * PAGE_SIZE, 4, RW, 0);
        store(A + 32 * PAGE_SIZE, 6);
        assert_int_equal(vm_remap(vm, A + 32 * PAGE_SIZE, 4 * PAGE_SIZE, 4 * PAGE_SIZE, MAYMOVE | FIXED, A), A);
        assert_int_equal(vm_unmap(vm, A, 100 * PAGE_SIZE), 0);
        q.len = 8 * PAGE_SIZE;
        assert_int_equal(vm_map(vm, &q), A);
        for (u64 i = 0; i < 8; i++)
            store(A + i * PAGE_SIZE, 7);
        remembered(8);
        object_truncate(o, 0);
        object_truncate(o, 8 * PAGE_SIZE);
    }
    object_put(o);
    assert_true(vm_counter_read(VMC_pgfree) - freed > 20 * 8 * 5);
}

/* ---- A7: in the last moment before each flush another CPU stores, and all CPUs must read the same ---- */

static u64 a7_value, a7_moments;

static void a7_last_moment(void)
{
    u64 seen[CPUS], n = 0, value = a7_value + 1000000;

    if (host_touch(1, A, true, &value))
        a7_value = value;
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        if (host_running(cpu) == vm && host_touch(cpu, A, false, &value))
            seen[n++] = value;
    for (u64 i = 0; i < n; i++)
        if (seen[i] != a7_value)
            panic("a CPU reads %lu, and %lu was stored", seen[i], a7_value);
    a7_moments += n > 1;
}

static void a7_the_copy_is_writable_when_nobody_reads_the_old(void **state)
{
    (void)state;
    map_at(A, 1, RW, 0);
    store(A, a7_value = 1);
    for (unsigned cpu = 1; cpu < CPUS; cpu++)
        on(cpu, vm);
    on(0, vm);
    host_before_flush = a7_last_moment;
    for (u64 round = 0; round < 100000; round++) {
        struct vmspace *child = vmspace_fork(vm);
        assert_non_null(child);
        remembered(1);
        store(A, round);
        a7_value = round;
        for (unsigned cpu = 0; cpu < CPUS; cpu++) {
            on(cpu, vm);
            assert_int_equal(load(A), round);
        }
        on(0, vm);
        vmspace_put(child);
    }
    assert_true(a7_moments > 50000);
}

/* ---- A9: short-lived holders of a page are no sharers, and no reason to lose it ---- */

static void a9_pins_are_counted_apart(void **state)
{
    struct vm_object *o = object_create(NULL, 4 * PAGE_SIZE, NULL);
    struct map_request q = {.addr = A, .len = 4 * PAGE_SIZE, .prot = RW, .flags = MAP_FIXED_ | MAP_SHARED_, .object = o};
    struct page *p[3];
    struct vmspace *child;
    u64 before;

    (void)state;
    assert_int_equal(vm_map(vm, &q), A);
    store(A, 5);
    assert_int_equal(vm_unmap(vm, A, PAGE_SIZE), 0);
    before = host_free_pages();
    for (unsigned round = 0; round < 100; round++) {
        assert_int_equal(vm_map(vm, &q), A);
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(object_get_page(o, 0, &p[i]), 0);
        assert_int_equal(page_refs(p[0]), 1 + 3);
        assert_int_equal(load(A), 5);
        assert_int_equal(page_refs(p[0]), 1 + 3 + 1);
        child = vmspace_fork(vm);
        vm_check_all("pinned"); /* holders that are not entries are known to the recount as such */
        assert_int_equal(vm_unmap(vm, A, PAGE_SIZE), 0);
        vmspace_put(child);
        assert_int_equal(page_refs(p[0]), 1 + 3);
        object_truncate(o, 0); /* the page goes, but not under who holds it */
        assert_int_equal(page_refs(p[0]), 3);
        assert_int_equal(*(u64 *)page_data(p[0]), 5);
        for (unsigned i = 0; i < 3; i++)
            page_put(p[i]);
        object_truncate(o, 4 * PAGE_SIZE);
        assert_int_equal(vm_map(vm, &q), A);
        store(A, 5);
        assert_int_equal(vm_unmap(vm, A, 4 * PAGE_SIZE), 0);
    }
    assert_int_equal(host_free_pages(), before);
    object_put(o);
}

/* ---- A11: a count at its limit ---- */

/* Does fn end the program? It runs in a process of its own, whose last words nobody needs. */
static bool dies(void (*fn)(void))
{
    int status;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stderr) || !freopen("/dev/null", "w", stdout))
            _exit(0);
        fn();
        _exit(0);
    }
    assert_true(waitpid(pid, &status, 0) == pid);
    return status != 0;
}

static void count_to_the_top(void)
{
    atomic_store(&page_zero->refs, UINT32_MAX - 1);
    load(A);
}

static void count_over_the_top(void)
{
    atomic_store(&page_zero->refs, UINT32_MAX);
    load(A);
}

static void a11_a_count_at_its_limit_is_an_error(void **state)
{
    (void)state;
    map_at(A, 2, RW, 0);
    assert_false(dies(count_to_the_top));
    assert_true(dies(count_over_the_top));
}

/* ---- A12, B4: every allocation of every operation fails in turn ---- */

#define SIXTY_FOUR 64u
static struct vmspace *relative;
static struct vm_object *file;

static bool do_fork(void)
{
    struct vmspace *child = vmspace_fork(vm);

    if (child)
        vmspace_put(child);
    return child;
}

static bool do_store(void)
{
    enum fault_result r = host_store(A + 8, 1); /* beside the word that is looked at */

    assert_true(r == FAULT_DONE || r == FAULT_OOM);
    return r == FAULT_DONE;
}

static bool do_load_new(void)
{
    u64 value;
    enum fault_result r = host_load(A + 200 * PAGE_SIZE, &value);

    assert_true(r == FAULT_DONE || r == FAULT_OOM);
    return r == FAULT_DONE;
}

static bool succeeded(s64 r)
{
    assert_true(r >= 0 || r == -ENOMEM);
    return r >= 0;
}

static bool do_map(void)
{
    return succeeded(map_at(A + 300 * PAGE_SIZE, 4, RW, 0));
}

static bool do_map_over(void)
{
    return succeeded(map_at(A + 199 * PAGE_SIZE, 4, PROT_READ, 0));
}

static bool do_map_file(void)
{
    struct map_request q = {.addr = A + 400 * PAGE_SIZE, .len = PAGE_SIZE, .prot = RW, .flags = MAP_FIXED_, .object = file};
    enum fault_result r;

    if (!succeeded(vm_map(vm, &q)))
        return false;
    r = host_store(q.addr, 1);
    assert_true(r == FAULT_DONE || r == FAULT_OOM);
    return r == FAULT_DONE;
}

static bool do_protect(void)
{
    return succeeded(vm_protect(vm, A + 3 * PAGE_SIZE, 2 * PAGE_SIZE, PROT_READ));
}

static bool do_move(void)
{
    return succeeded(vm_remap(vm, A + 199 * PAGE_SIZE, 2 * PAGE_SIZE, 2 * PAGE_SIZE, MAYMOVE | FIXED, A + 1000 * PAGE_SIZE));
}

static bool do_unmap(void)
{
    return succeeded(vm_unmap(vm, A + 199 * PAGE_SIZE, PAGE_SIZE));
}

static bool do_brk(void)
{
    vm->brk_start = vm->brk = A + 500 * PAGE_SIZE;
    return vm_brk(vm, A + 505 * PAGE_SIZE) == A + 505 * PAGE_SIZE;
}

static bool do_discard(void)
{
    return succeeded(vm_discard(vm, A + 199 * PAGE_SIZE, PAGE_SIZE));
}

static const struct {
    const char *name;
    bool (*run)(void);
    int least; /* so many allocations, at least */
} operations[] = {{"fork", do_fork, 2}, {"store", do_store, 3}, {"load", do_load_new, 1}, {"mmap", do_map, 1},
                  {"mmap over", do_map_over, 2}, {"file", do_map_file, 3}, {"mprotect", do_protect, 2},
                  {"mremap", do_move, 2}, {"munmap", do_unmap, 0}, {"brk", do_brk, 1}, {"discard", do_discard, 0}};

/* A process with a relative that shares everything. */
static void a12_set_up(void)
{
    map_at(A, SIXTY_FOUR, RW, 0);
    map_at(A + 199 * PAGE_SIZE, 4, RW, 0);
    for (u64 i = 0; i < SIXTY_FOUR; i++)
        store(A + i * PAGE_SIZE, i + 1);
    store(A + 199 * PAGE_SIZE, 9);
    assert_non_null(relative = vmspace_fork(vm));
}

static void a12_tear_down(void)
{
    vmspace_put(relative);
    assert_int_equal(vm_unmap(vm, A, 2000 * PAGE_SIZE), 0);
}

/* Both still have every byte; looking takes memory, so it is the children of both that look. */
static void a12_look(void)
{
    struct vmspace *lookers[] = {vmspace_fork(vm), vmspace_fork(relative)};

    for (unsigned k = 0; k < 2; k++) {
        assert_non_null(lookers[k]);
        host_run(lookers[k]);
        for (u64 i = 0; i < SIXTY_FOUR; i++)
            assert_int_equal(load(A + i * PAGE_SIZE), i + 1);
        host_run(vm);
        vmspace_put(lookers[k]);
    }
}

/* How many allocations the operation took. What a failed attempt has taken must be free again, when all is over. */
static int fail_each(bool (*run)(void))
{
    int k = 0;
    bool done = false;

    a12_set_up();
    for (; !done; k++) {
        assert_true(k < 100);
        atomic_store(&alloc_fail_countdown, k);
        done = run();
        atomic_store(&alloc_fail_countdown, -1);
        vm_check_all("an allocation failed");
        if (!done)
            a12_look();
    }
    a12_look();
    a12_tear_down();
    return k - 1;
}

static void a12_every_allocation_fails_in_turn(void **state)
{
    u64 before, sites = 0;

    (void)state;
    file = object_create(NULL, PAGE_SIZE, NULL);
    for (unsigned round = 0; round < 3; round++) { /* the first one fills the caches */
        before = host_free_pages();
        for (unsigned i = 0; i < ARRAY_SIZE(operations); i++) {
            int n = fail_each(operations[i].run);
            if (n < operations[i].least)
                fail_msg("%s makes %d allocations, not %d", operations[i].name, n, operations[i].least);
            sites += (u64)n;
        }
    }
    assert_int_equal(host_free_pages(), before);
    printf("A12: %lu allocations failed, one at a time\n", sites);
    object_put(file);
}

static void b4_no_page_for_a_copy_changes_no_byte(void **state)
{
    struct vmspace *child;

    (void)state;
    map_at(A, 1, RW, 0);
    store(A, 7);
    assert_non_null(child = vmspace_fork(vm));
    host_run(child);
    for (int k = 0; k < 3; k++) { /* two tables, a page */
        atomic_store(&alloc_fail_countdown, k);
        assert_int_equal(host_store(A, 8), FAULT_OOM);
        atomic_store(&alloc_fail_countdown, -1);
        assert_int_equal(load(A), 7);
    }
    store(A, 8);
    host_run(vm);
    assert_int_equal(load(A), 7);
    vmspace_put(child);
}

/* ---- B5, B7: free pages, exactly ---- */

static void b5_a_thousand_failed_forks_cost_nothing(void **state)
{
    u64 before;

    (void)state;
    map_at(A, SIXTY_FOUR, RW, 0);
    fill_pages(SIXTY_FOUR, 1);
    assert_int_equal(vm_advise_fork(vm, A, 4 * PAGE_SIZE, VM_DONTFORK, 0), 0); /* so that it can fail late, too */
    assert_true(do_fork());
    before = host_free_pages();
    for (int i = 0; i < 1000; i++) {
        atomic_store(&alloc_fail_countdown, i % 2);
        assert_null(vmspace_fork(vm));
        atomic_store(&alloc_fail_countdown, -1);
    }
    assert_int_equal(host_free_pages(), before);
    vm_check_all("b5");
}

static void b7_many_forks_cost_nothing(void **state)
{
    u64 before = 0;

    (void)state;
    fill_pages(SIXTY_FOUR, 1);
    for (u64 i = 0; i < 100100; i++) {
        struct vmspace *child = vmspace_fork(vm);
        assert_non_null(child);
        host_run(child);
        store(A + i % SIXTY_FOUR * PAGE_SIZE, i);
        host_run(vm);
        store(A + (i + 7) % SIXTY_FOUR * PAGE_SIZE, i);
        vmspace_put(child);
        if (i == 100)
            before = host_free_pages();
    }
    assert_int_equal(host_free_pages(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
        TEST(a2_marks_are_not_ownership),
        TEST(a5_moved_pages_are_not_seen_at_the_old_place),
        TEST(a6_what_is_freed_is_mapped_nowhere),
        TEST(a7_the_copy_is_writable_when_nobody_reads_the_old),
        TEST(a9_pins_are_counted_apart),
        TEST(a11_a_count_at_its_limit_is_an_error),
        TEST(a12_every_allocation_fails_in_turn),
        TEST(b4_no_page_for_a_copy_changes_no_byte),
        TEST(b5_a_thousand_failed_forks_cost_nothing),
        TEST(b7_many_forks_cost_nothing),
    };

    host_boot(8000);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
