/*
 * mmap, munmap, mprotect, mremap, brk, the stack, looking from outside, kernel
 * memory: what a caller is told, and the cases that the random test does not
 * come to by itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "machine.h"
#include "lib/errno.h"
#include "vm/check.h"
#include "vm/commit.h"
#include "vm/kmem.h"
#include "vm/table.h"

#define RW (PROT_READ | PROT_WRITE)
#define A (16 * PAGE_SIZE) /* the lowest address that may be mapped */

static struct vmspace *vm;

static int begin(void **state)
{
    (void)state;
    vm = vmspace_create();
    vm->mmap_top = USER_TOP - 8 * PAGE_SIZE;
    vm->as_limit = vm->data_limit = UINT64_MAX;
    vm->brk_start = vm->brk = A + 100;
    host_run(vm);
    return 0;
}

static int end(void **state)
{
    (void)state;
    host_run(NULL);
    vmspace_put(vm);
    vm_check_all("end of a test");
    return commit_total() != 0;
}

static s64 map(vaddr_t addr, u64 pages, unsigned prot, unsigned flags)
{
    struct map_request q = {.addr = addr, .len = pages * PAGE_SIZE, .prot = prot, .flags = flags};

    return vm_map(vm, &q);
}

static void store(vaddr_t va, u64 value)
{
    assert_int_equal(host_store(va, value), FAULT_DONE);
}

static u64 load(vaddr_t va)
{
    u64 value;

    assert_int_equal(host_load(va, &value), FAULT_DONE);
    return value;
}

static void test_mmap_places(void **state)
{
    s64 a, b;

    (void)state;
    assert_int_equal(map(A, 2, RW, 0), A);                          /* a hint that is free */
    a = map(A, 2, RW, 0);                                           /* one that is not: the highest gap */
    assert_int_equal(a, vm->mmap_top - 2 * PAGE_SIZE);
    b = map(0, 1, RW, 0);
    assert_int_equal(b, a - (s64)PAGE_SIZE);
    assert_int_equal(map(A, 1, RW, MAP_FIXED_ | MAP_NOREPLACE_), -EEXIST);
    assert_int_equal(map(A + 2 * PAGE_SIZE, 1, RW, MAP_FIXED_ | MAP_NOREPLACE_), A + 2 * PAGE_SIZE);
    assert_int_equal(map(A + 1, 1, RW, MAP_FIXED_), -EINVAL);
    assert_int_equal(map(0, 1, RW, MAP_FIXED_), -EPERM);
    assert_int_equal(map(USER_TOP - PAGE_SIZE, 2, RW, MAP_FIXED_), -ENOMEM);
    assert_int_equal(map(0, 0, RW, 0), -EINVAL);
    assert_int_equal(map(0, USER_TOP / PAGE_SIZE, RW, 0), -ENOMEM);
    assert_int_equal(map(0, UINT64_MAX / PAGE_SIZE, RW, 0), -ENOMEM);
    assert_int_equal(map(0, 4, RW, MAP_SHARED_ | MAP_GROWSDOWN_), -EINVAL);
    vm->as_limit = 6 * PAGE_SIZE;
    assert_int_equal(map(0, 1, RW, 0), -ENOMEM);
}

static void test_above_the_top(void **state)
{
    (void)state;
    vm->mmap_top = A + PAGE_SIZE;
    assert_int_equal(map(0, 4, RW, 0), USER_TOP - 4 * PAGE_SIZE); /* no gap below the stack: then above it */
}

static void test_populate(void **state)
{
    s64 at = map(0, 5, RW, MAP_POPULATE_);

    (void)state;
    assert_int_equal(vm_resident(vm, (vaddr_t)at, (vaddr_t)at + 5 * PAGE_SIZE), 5);
    assert_int_equal(map(0, 2, PROT_READ, MAP_POPULATE_) > 0, 1);
}

static void test_munmap(void **state)
{
    (void)state;
    map(A, 4, RW, MAP_FIXED_);
    assert_int_equal(vm_unmap(vm, A + 1, PAGE_SIZE), -EINVAL);
    assert_int_equal(vm_unmap(vm, A, 0), -EINVAL);
    assert_int_equal(vm_unmap(vm, USER_TOP, PAGE_SIZE), -EINVAL);
    assert_int_equal(vm_unmap(vm, A, UINT64_MAX), -EINVAL);
    assert_int_equal(vm_unmap(vm, A + PAGE_SIZE, 1), 0); /* rounded up to a page */
    assert_int_equal(host_store(A + PAGE_SIZE, 1), FAULT_SEGV_MAPERR);
    store(A + 2 * PAGE_SIZE, 1);
}

static void test_mprotect(void **state)
{
    struct vm_object *o = object_create(NULL, PAGE_SIZE, NULL);
    struct map_request q = {.addr = A + 4 * PAGE_SIZE, .len = PAGE_SIZE, .prot = PROT_READ, .object = o,
                            .flags = MAP_FIXED_ | MAP_SHARED_ | MAP_NO_MAYWRITE_};

    (void)state;
    map(A, 4, RW, MAP_FIXED_);
    assert_int_equal(vm_map(vm, &q), q.addr);
    assert_int_equal(vm_protect(vm, q.addr, PAGE_SIZE, RW), -EACCES);
    assert_int_equal(vm_protect(vm, A + 1, PAGE_SIZE, RW), -EINVAL);
    assert_int_equal(vm_protect(vm, A, 0, RW), 0);
    assert_int_equal(vm_protect(vm, A, UINT64_MAX / 2, RW), -ENOMEM);
    assert_int_equal(vm_protect(vm, A, 6 * PAGE_SIZE, PROT_READ), -ENOMEM); /* a hole at its end */
    store(A, 7);
    assert_int_equal(vm_protect(vm, A, PAGE_SIZE, PROT_EXEC), 0);
    assert_int_equal(host_store(A, 8), FAULT_SEGV_ACCERR);
    assert_int_equal(vm_fault(vm, A, FAULT_EXEC), FAULT_DONE);
    assert_int_equal(vm_protect(vm, A, PAGE_SIZE, RW), 0);
    assert_int_equal(vm_fault(vm, A, FAULT_EXEC), FAULT_SEGV_ACCERR);
    assert_int_equal(load(A), 7);
    assert_int_equal(vm_fault(vm, USER_TOP, FAULT_READ), FAULT_SEGV_MAPERR);
    assert_int_equal(vm_fault(vm, UINT64_MAX, FAULT_WRITE), FAULT_SEGV_MAPERR);
    object_put(o);
}

/* A fault that gives a leaf other permissions may take W from it, which another CPU remembers. */
static void test_execute_takes_write_away(void **state)
{
    (void)state;
    for (u64 i = 0; i < 30; i++) { /* the TLB of the other CPU answers as a coin falls */
        map(A, 1, RW, MAP_FIXED_);
        host_cpu = 1;
        host_run(vm);
        store(A, i);
        host_cpu = 0;
        assert_int_equal(vm_protect(vm, A, PAGE_SIZE, RW | PROT_EXEC), 0);
        assert_int_equal(vm_fault(vm, A, FAULT_EXEC), FAULT_DONE);
        assert_int_equal(vm_protect(vm, A, PAGE_SIZE, PROT_READ | PROT_EXEC), 0);
        host_cpu = 1;
        assert_int_equal(host_store(A, 99), FAULT_SEGV_ACCERR);
        host_run(NULL);
        host_cpu = 0;
        assert_int_equal(load(A), i);
    }
}

/* What is stored to a page before a fetch from it is what every CPU of the address space executes. */
static void test_execute_syncs_code(void **state)
{
    (void)state;
    map(A, 1, RW | PROT_EXEC, MAP_FIXED_);
    host_cpu = 1;
    host_run(vm);
    host_cpu = 0;
    store(A, 1);
    host_synced = 0;
    assert_int_equal(vm_fault(vm, A, FAULT_EXEC), FAULT_DONE);
    assert_int_equal(host_synced, 3);
    host_cpu = 1;
    host_run(NULL);
    host_cpu = 0;
}

/* On one CPU each change is followed by the flush that it needs: no access faults twice, however firm the TLB is. */
static void a10_no_fault_comes_twice(void **state)
{
    u64 before = vm_counter_read(VMC_fault_spurious);
    struct vmspace *child;

    (void)state;
    for (u64 round = 0; round < 40; round++) {
        map(A, 64, RW, MAP_FIXED_);
        for (u64 i = 0; i < 64; i++) {
            host_prefetch(A + i * PAGE_SIZE);
            if (i % 2)
                load(A + i * PAGE_SIZE);
            store(A + i * PAGE_SIZE, i);
        }
        child = vmspace_fork(vm);
        for (u64 i = 0; i < 64; i += 7)
            load(A + i * PAGE_SIZE);
        vmspace_put(child);
        child = vmspace_fork(vm);
        for (u64 i = 0; i < 64; i++) {
            host_prefetch(A + i * PAGE_SIZE);
            store(A + i * PAGE_SIZE, i + 1);
        }
        assert_int_equal(vm_protect(vm, A, 8 * PAGE_SIZE, PROT_READ), 0);
        assert_int_equal(vm_protect(vm, A, 8 * PAGE_SIZE, RW), 0);
        for (u64 i = 0; i < 8; i++)
            store(A + i * PAGE_SIZE, i);
        vmspace_put(child);
    }
    assert_int_equal(vm_counter_read(VMC_fault_spurious), before);
}

/* mprotect where nothing is mapped yet copies shared tables all the same; no CPU walks through the old ones afterwards. */
static void test_mprotect_of_what_is_not_there(void **state)
{
    struct vmspace *child;

    (void)state;
    for (u64 i = 0; i < 8; i++) {
        map(A, 4, RW, MAP_FIXED_);
        store(A, i);
        child = vmspace_fork(vm);
        assert_int_equal(load(A), i);
        assert_int_equal(vm_protect(vm, A + 2 * PAGE_SIZE, PAGE_SIZE, PROT_NONE), 0);
        vmspace_put(child); /* the last to have the old tables */
        assert_int_equal(load(A), i);
    }
}

/* More pages than are gathered for one flush, known to two CPUs. */
static void test_munmap_of_many_pages(void **state)
{
    (void)state;
    map(A, 200, RW, MAP_FIXED_);
    host_cpu = 1;
    host_run(vm);
    for (u64 i = 0; i < 200; i++)
        store(A + i * PAGE_SIZE, i);
    host_cpu = 0;
    for (u64 i = 0; i < 200; i++)
        host_prefetch(A + i * PAGE_SIZE);
    assert_int_equal(vm_unmap(vm, A, 200 * PAGE_SIZE), 0);
    host_cpu = 1;
    assert_int_equal(host_store(A + 3 * PAGE_SIZE, 1), FAULT_SEGV_MAPERR);
    host_run(NULL);
    host_cpu = 0;
}

#if PT_BITS == 9
/* More references than 16 bits hold, of one page. */
static void a11_many_references(void **state)
{
    u64 n = 70000, before = page_refs(page_zero);

    (void)state;
    map(A, n, PROT_READ, MAP_FIXED_);
    for (u64 i = 0; i < n; i++)
        load(A + i * PAGE_SIZE);
    assert_int_equal(page_refs(page_zero), before + n);
    vm_check_all("many references");
    assert_int_equal(vm_unmap(vm, A, n * PAGE_SIZE), 0);
    assert_int_equal(page_refs(page_zero), before);
}
#endif

static void test_brk(void **state)
{
    vaddr_t start = A + 100;

    (void)state;
    assert_int_equal(vm_brk(vm, 0), start);
    assert_int_equal(vm_brk(vm, start + 3 * PAGE_SIZE), start + 3 * PAGE_SIZE);
    store(A + 2 * PAGE_SIZE, 5);
    assert_int_equal(vm_brk(vm, start + 3 * PAGE_SIZE + 8), start + 3 * PAGE_SIZE + 8); /* in the same page */
    assert_int_equal(vm_brk(vm, start + PAGE_SIZE), start + PAGE_SIZE);
    assert_int_equal(host_store(A + 2 * PAGE_SIZE, 5), FAULT_SEGV_MAPERR);
    assert_int_equal(vm_brk(vm, start + 3 * PAGE_SIZE), start + 3 * PAGE_SIZE);
    assert_int_equal(load(A + 2 * PAGE_SIZE), 0);
    map(A + 8 * PAGE_SIZE, 1, RW, MAP_FIXED_);
    assert_int_equal(vm_brk(vm, start + 12 * PAGE_SIZE), start + 3 * PAGE_SIZE); /* something is in the way */
    assert_int_equal(vm_brk(vm, USER_TOP), start + 3 * PAGE_SIZE);
    vm->data_limit = 4 * PAGE_SIZE;
    assert_int_equal(vm_brk(vm, start + 6 * PAGE_SIZE), start + 3 * PAGE_SIZE);
}

#define MAYMOVE 1u
#define FIXED 2u
static void test_mremap(void **state)
{
    s64 at, a = map(A, 4, RW, MAP_FIXED_);

    (void)state;
    for (u64 i = 0; i < 4; i++)
        store(A + i * PAGE_SIZE, 10 + i);
    assert_int_equal(vm_remap(vm, A, 4 * PAGE_SIZE, 6 * PAGE_SIZE, 0, 0), A); /* there is room behind it */
    map(A + 6 * PAGE_SIZE, 1, PROT_READ, MAP_FIXED_);
    assert_int_equal(vm_remap(vm, A, 6 * PAGE_SIZE, 8 * PAGE_SIZE, 0, 0), -ENOMEM);
    at = vm_remap(vm, A, 6 * PAGE_SIZE, 8 * PAGE_SIZE, MAYMOVE, 0);
    assert_true(at > a);
    for (u64 i = 0; i < 4; i++)
        assert_int_equal(load((vaddr_t)at + i * PAGE_SIZE), 10 + i);
    assert_int_equal(host_store(A, 1), FAULT_SEGV_MAPERR);
    assert_int_equal(vm_remap(vm, (vaddr_t)at, 8 * PAGE_SIZE, 2 * PAGE_SIZE, 0, 0), at); /* shrinks in its place */
    assert_int_equal(host_store((vaddr_t)at + 2 * PAGE_SIZE, 1), FAULT_SEGV_MAPERR);
    assert_int_equal(vm_remap(vm, (vaddr_t)at, 2 * PAGE_SIZE, PAGE_SIZE, MAYMOVE | FIXED, A), A); /* and as it moves */
    assert_int_equal(host_store((vaddr_t)at + PAGE_SIZE, 1), FAULT_SEGV_MAPERR);
    assert_int_equal(load(A), 10);
    assert_int_equal(vm_remap(vm, A, PAGE_SIZE, PAGE_SIZE, 0, 0), A);
}

static void test_mremap_refuses(void **state)
{
    (void)state;
    map(A, 4, RW, MAP_FIXED_);
    assert_int_equal(vm_remap(vm, A + 1, PAGE_SIZE, PAGE_SIZE, 0, 0), -EINVAL);
    assert_int_equal(vm_remap(vm, A, PAGE_SIZE, 0, 0, 0), -EINVAL);
    assert_int_equal(vm_remap(vm, A, PAGE_SIZE, PAGE_SIZE, 8, 0), -EINVAL);
    assert_int_equal(vm_remap(vm, A, PAGE_SIZE, PAGE_SIZE, FIXED, 0), -EINVAL);
    assert_int_equal(vm_remap(vm, A, PAGE_SIZE, USER_TOP * 2, MAYMOVE, 0), -ENOMEM);
    assert_int_equal(vm_remap(vm, A, 8 * PAGE_SIZE, 8 * PAGE_SIZE, 0, 0), -EFAULT);
    assert_int_equal(vm_remap(vm, A, PAGE_SIZE, PAGE_SIZE, MAYMOVE | FIXED, 0), -EINVAL);
    assert_int_equal(vm_remap(vm, A, 2 * PAGE_SIZE, 2 * PAGE_SIZE, MAYMOVE | FIXED, A + PAGE_SIZE), -EINVAL);
    assert_int_equal(vm_remap(vm, A, 4 * PAGE_SIZE, USER_TOP, MAYMOVE, 0), -ENOMEM);
    vm->as_limit = 4 * PAGE_SIZE;
    assert_int_equal(vm_remap(vm, A, 4 * PAGE_SIZE, 5 * PAGE_SIZE, MAYMOVE, 0), -ENOMEM);
}

#if PT_BITS == 9
static void test_stack_grows(void **state)
{
    vaddr_t top = 1ul << 30;

    (void)state;
    map(top - 4 * PAGE_SIZE, 4, RW, MAP_FIXED_ | MAP_GROWSDOWN_ | MAP_STACK_);
    vm->stack_limit = top - (1000 * PAGE_SIZE);
    store(top - 10 * PAGE_SIZE, 1);
    store(top - 1000 * PAGE_SIZE, 2);
    assert_int_equal(load(top - 10 * PAGE_SIZE), 1);
    assert_int_equal(host_store(top - 1001 * PAGE_SIZE, 1), FAULT_SEGV_MAPERR); /* the limit */
    vm->stack_limit = A;
    map(top - 2000 * PAGE_SIZE, 1, RW, MAP_FIXED_);
    assert_int_equal(host_store(top - 1800 * PAGE_SIZE, 1), FAULT_SEGV_MAPERR); /* the guard above what is below */
    store(top - 1700 * PAGE_SIZE, 1);
    vm->as_limit = 0;
    assert_int_equal(host_store(top - 1701 * PAGE_SIZE, 1), FAULT_SEGV_MAPERR);
}

/* A mapping that grows and is not the program's stack: as far as its size may be, wherever it lies. */
static void test_another_stack_grows(void **state)
{
    vaddr_t top = 1ul << 30;

    (void)state;
    map(top - 4 * PAGE_SIZE, 4, RW, MAP_FIXED_ | MAP_GROWSDOWN_);
    vm->stack_limit = top;
    vm->stack_size = 100 * PAGE_SIZE;
    store(top - 100 * PAGE_SIZE, 1);
    assert_int_equal(host_store(top - 101 * PAGE_SIZE, 1), FAULT_SEGV_MAPERR);
    map(A, 1, RW, MAP_FIXED_ | MAP_GROWSDOWN_); /* never to where nothing may be mapped */
    assert_int_equal(host_store(A - PAGE_SIZE, 1), FAULT_SEGV_MAPERR);
}

/* Large mappings are kept away from the topmost GiB. */
static void test_large_mappings(void **state)
{
    s64 small, large;

    (void)state;
    vm->mmap_top = USER_TOP - (1ul << 29);
    small = map(0, 10, RW, 0);
    large = map(0, (64ul << 20) / PAGE_SIZE, RW, 0);
    assert_int_equal(small, vm->mmap_top - 10 * PAGE_SIZE);
    assert_true((vaddr_t)large + (64ul << 20) <= USER_TOP - (1ul << 30));
}
#endif

static void test_looking_from_outside(void **state)
{
    struct region r;
    u64 words[3] = {0};

    (void)state;
    map(A, 2, RW, MAP_FIXED_);
    map(A + 4 * PAGE_SIZE, 1, PROT_NONE, MAP_FIXED_);
    store(A + PAGE_SIZE - 8, 1);
    store(A + PAGE_SIZE, 2);
    assert_int_equal(vm_read_remote(vm, A + PAGE_SIZE - 8, words, 16), 16);
    assert_true(words[0] == 1 && words[1] == 2);
    assert_int_equal(vm_read_remote(vm, A + 2 * PAGE_SIZE - 8, words, 24), 8); /* up to a hole */
    assert_int_equal(vm_read_remote(vm, A + 4 * PAGE_SIZE, words, 8), 0);
    assert_true(vm_region_find(vm, 0, &r));
    assert_true(r.start == A && r.end == A + 2 * PAGE_SIZE);
    vm_region_release(&r);
    assert_false(vm_region_find(vm, A + 5 * PAGE_SIZE, &r));
    assert_int_equal(vm_resident(vm, 0, UINT64_MAX), 2);
}

static void test_discard(void **state)
{
    (void)state;
    map(A, 2, RW, MAP_FIXED_);
    store(A, 1);
    assert_int_equal(vm_discard(vm, A, 0), 0);
    assert_int_equal(vm_discard(vm, A + 1, PAGE_SIZE), -EINVAL);
    assert_int_equal(vm_discard(vm, A, PAGE_SIZE), 0);
    assert_int_equal(load(A), 0);
}

static void test_objects(void **state)
{
    struct vm_object *o = object_create(NULL, 100 * PAGE_SIZE, NULL);
    struct map_request q = {.addr = A, .len = 4 * PAGE_SIZE, .prot = RW, .flags = MAP_FIXED_ | MAP_SHARED_,
                            .object = o, .offset = 62 * PAGE_SIZE};
    struct page *p, *several[4];

    (void)state;
    assert_int_equal(vm_map(vm, &q), A);
    for (u64 i = 0; i < 4; i++) /* across a node of the tree of pages */
        store(A + i * PAGE_SIZE, i);
    assert_int_equal(o->pages, 4);
    object_punch(o, 63 * PAGE_SIZE, 65 * PAGE_SIZE - 1); /* one whole page */
    assert_int_equal(o->pages, 3);
    object_punch(o, 5, 6);
    q.flags = MAP_FIXED_; /* private copies stay when a hole is punched */
    q.addr = A + 8 * PAGE_SIZE;
    assert_int_equal(vm_map(vm, &q), q.addr);
    assert_int_equal(load(q.addr + 3 * PAGE_SIZE), 3);
    store(q.addr + 2 * PAGE_SIZE, 77);
    object_punch(o, 64 * PAGE_SIZE, 66 * PAGE_SIZE);
    assert_int_equal(load(q.addr + 2 * PAGE_SIZE), 77);
    assert_int_equal(load(q.addr + 3 * PAGE_SIZE), 0);
    assert_int_equal(load(A + 2 * PAGE_SIZE), 0);
    store(A + 2 * PAGE_SIZE, 2);
    store(A + 3 * PAGE_SIZE, 3);
    assert_int_equal(vm_unmap(vm, q.addr, q.len), 0);
    assert_int_equal(load(A + PAGE_SIZE), 0);
    assert_int_equal(load(A + 2 * PAGE_SIZE), 2);
    assert_null(object_find_page(o, 7));
    p = object_find_page(o, 62);
    assert_int_equal(object_insert_page(o, 62, p), -EEXIST);
    page_put(p);
    object_find_pages(o, 61, 4, several);
    assert_true(!several[0] && several[1] && several[2] && several[3]);
    for (unsigned i = 1; i < 4; i++)
        page_put(several[i]);
    assert_int_equal(object_get_page(o, 100, &p), -EFAULT);
    store(A, 0x1111111122222222);
    object_truncate(o, 62 * PAGE_SIZE + 4); /* the rest of the last page reads as zeros when the file grows again */
    assert_int_equal(host_load(A + PAGE_SIZE, several[0] ? NULL : &(u64){0}), FAULT_BUS);
    assert_int_equal(load(A), 0x22222222);
    object_truncate(o, 200 * PAGE_SIZE);
    assert_int_equal(load(A + PAGE_SIZE), 0);
    assert_true(object_pages_total() > 0);
    object_put(o);
}

static void test_anonymous_shared(void **state)
{
    s64 at = map(0, 3, RW, MAP_SHARED_);
    struct vmspace *child;

    (void)state;
    assert_true(commit_total() >= 3);
    store((vaddr_t)at, 1);
    child = vmspace_fork(vm);
    host_run(child);
    store((vaddr_t)at, 2);
    host_run(vm);
    assert_int_equal(load((vaddr_t)at), 2);
    vmspace_put(child);
}

static void test_strict_promises(void **state)
{
    u64 all;
    s64 at;

    (void)state;
    commit_set_mode(2);
    all = commit_limit() - commit_total();
    at = map(0, all - 40, RW, 0); /* and some tables */
    assert_true(at > 0);
    assert_null(page_alloc_run(10, PAGE_KERNEL, 0)); /* what nobody was promised comes last */
    assert_null(vmspace_fork(vm));
    assert_int_equal(map(0, 100, RW, 0), -ENOMEM);
    assert_int_equal(map(0, 100, RW, MAP_SHARED_), -ENOMEM);
    assert_true(map(A, 1, PROT_READ, MAP_FIXED_) > 0); /* but for its tables nothing is promised */
    assert_int_equal(vm_protect(vm, A, PAGE_SIZE, RW), 0);
    assert_int_equal(vm_brk(vm, A + 100 * PAGE_SIZE), A + 100);
    assert_int_equal(vm_remap(vm, A, PAGE_SIZE, 100 * PAGE_SIZE, MAYMOVE, 0), -ENOMEM);
    assert_int_equal(vm_unmap(vm, (vaddr_t)at, (all - 40) * PAGE_SIZE), 0);
    assert_true(map(0, 100, RW, 0) > 0);
    commit_set_mode(1);
}

static void test_kmem(void **state)
{
    char *p[600];

    (void)state;
    for (unsigned i = 0; i < 600; i++) { /* more than a magazine and several pages of each class; and runs of pages */
        size_t size = i < 500 ? 1 + i * 4 : PAGE_SIZE + i;
        p[i] = i % 3 ? kmem_alloc(size) : kmem_zalloc(size);
        assert_non_null(p[i]);
        assert_int_equal((u64)p[i] % 16, 0);
        if (i % 3 == 0)
            for (size_t k = 0; k < size; k++)
                assert_int_equal(p[i][k], 0);
        memset(p[i], (int)i, size);
    }
    for (unsigned i = 0; i < 600; i++) {
        assert_int_equal((u8)p[i][0], (u8)i);
        kmem_free(p[i]);
    }
    kmem_free(NULL);
    p[0] = kmem_strdup("hello");
    p[0] = kmem_resize(p[0], 6, 5000);
    assert_string_equal(p[0], "hello");
    kmem_free(p[0]);
    assert_null(kmem_alloc(64ul << 20));
    kmem_free(kmem_alloc_reserve(100));
    atomic_store(&alloc_fail_countdown, 0);
    assert_null(kmem_alloc(8));
    atomic_store(&alloc_fail_countdown, -1);
}

static void test_pages(void **state)
{
    struct page *run[200], *all = NULL, *p;
    u64 before = host_free_pages(), taken = 0;
    unsigned n = 0;

    (void)state;
    while (n < 200 && (run[n] = page_alloc_run(n % 5, PAGE_KERNEL, ALLOC_ZERO))) {
        assert_int_equal(page_paddr(run[n]).pa % (PAGE_SIZE << n % 5), 0);
        n++;
    }
    assert_null(page_alloc_run(11, PAGE_KERNEL, 0));
    while (n-- > 0)
        page_put(run[n]);
    assert_in_range(host_free_pages(), before - 64, before);
    while ((p = page_alloc(PAGE_DATA, 0))) { /* all there are: the reserve is kept */
        p->next = all;
        all = p;
        taken++;
    }
    assert_true(taken > 1000);
    p = page_alloc(PAGE_DATA, ALLOC_RESERVE);
    assert_non_null(p);
    page_put(p);
    while ((p = all)) {
        all = p->next;
        page_put(p);
    }
    assert_in_range(host_free_pages(), before - 64, before);
    assert_true(page_is_ram(page_paddr(page_zero)) && !page_is_ram((paddr_t){0}));
}

/* What a child is not to have, or to have empty; every allocation of the fork failed in turn. */
static void test_left_out_of_fork(void **state)
{
    struct vmspace *child = NULL;
    struct region r;
    int failures = 0;

    (void)state;
    map(A, 64, RW, MAP_FIXED_);
    for (u64 i = 0; i < 64; i++)
        store(A + i * PAGE_SIZE, i + 1);
    assert_int_equal(vm_advise_fork(vm, A + 8 * PAGE_SIZE, 4 * PAGE_SIZE, VM_DONTFORK, 0), 0);
    assert_int_equal(vm_advise_fork(vm, A + 20 * PAGE_SIZE, 4 * PAGE_SIZE, VM_WIPEONFORK, 0), 0);
    for (; !child; failures++) {
        atomic_store(&alloc_fail_countdown, failures);
        child = vmspace_fork(vm);
        atomic_store(&alloc_fail_countdown, -1);
        vm_check_all("a fork");
    }
    assert_true(failures > 2); /* what munmap needs comes from its own stock */
    host_run(child);
    for (u64 i = 0; i < 64; i++)
        if (i < 8 || i >= 12)
            assert_int_equal(load(A + i * PAGE_SIZE), i >= 20 && i < 24 ? 0 : i + 1);
    assert_int_equal(host_store(A + 9 * PAGE_SIZE, 1), FAULT_SEGV_MAPERR);
    assert_true(vm_region_find(child, A + 8 * PAGE_SIZE, &r) && r.start == A + 12 * PAGE_SIZE);
    vm_region_release(&r);
    host_run(vm);
    vmspace_put(child);
    for (u64 i = 0; i < 64; i++)
        assert_int_equal(load(A + i * PAGE_SIZE), i + 1);
    assert_int_equal(vm_advise_fork(vm, A, 64 * PAGE_SIZE, 0, VM_DONTFORK | VM_WIPEONFORK), 0);
    assert_int_equal(vm->region_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
        TEST(test_mmap_places),  TEST(test_above_the_top), TEST(test_populate),
        TEST(test_munmap),       TEST(test_mprotect),      TEST(test_brk),
        TEST(test_execute_takes_write_away), TEST(test_execute_syncs_code),
        TEST(a10_no_fault_comes_twice), TEST(test_munmap_of_many_pages),
        TEST(test_mprotect_of_what_is_not_there),
        TEST(test_mremap),       TEST(test_mremap_refuses), TEST(test_looking_from_outside),
        TEST(test_left_out_of_fork),
        TEST(test_discard),      TEST(test_objects),       TEST(test_anonymous_shared),
        TEST(test_strict_promises), TEST(test_kmem),       TEST(test_pages),
#if PT_BITS == 9
        TEST(test_stack_grows),  TEST(test_another_stack_grows), TEST(test_large_mappings), TEST(a11_many_references),
#endif
    };

    host_boot(8000);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
