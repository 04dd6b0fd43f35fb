/* Futexes (proc/futex.c): who waits for what. */
#include "kernel_fixture.h"
#include "../../kernel/proc/futex.c"

static struct vmspace space;
static struct vm_object object; /* what the region of the running thread maps */
static u32 word;

/* ---- the rest of the kernel ---- */

bool vm_region_find(struct vmspace *vm, vaddr_t va, struct region *out)
{
    (void)vm;
    *out = (struct region){.start = va & ~PAGE_MASK, .end = (va & ~PAGE_MASK) + PAGE_SIZE, .flags = VM_SHARED, .object = &object};
    return true;
}

void vm_region_release(struct region *r)
{
    (void)r;
}

int copy_from_user(void *dst, vaddr_t src, size_t n)
{
    (void)src;
    memcpy(dst, &word, n);
    return 0;
}

int copy_to_user(vaddr_t dst, const void *src, size_t n)
{
    (void)dst, (void)src, (void)n;
    return 0;
}

int cmpxchg_user32(vaddr_t uaddr, u32 expect, u32 new, u32 *old)
{
    (void)uaddr, (void)expect, (void)new;
    *old = word;
    return 0;
}

int timespec_from_user(vaddr_t uts, u64 *ns)
{
    (void)uts;
    *ns = 0;
    return 0;
}

u64 time_deadline(u64 relative_ns)
{
    return relative_ns;
}

u64 time_realtime_ns(void)
{
    return 0;
}

u64 arch_time_ns(void)
{
    return 0;
}

/* ---- the test ---- */

static s64 woken_by_other;

static void wake_one_of_the_same(void)
{
    woken_by_other = futex(0x10040, FUTEX_WAKE, 1, 0, 0, 0);
}

static int start(void **state)
{
    (void)state;
    fixture_start();
    futex_init();
    first.vm = &space;
    space.id = 1;
    object = (struct vm_object){.id = 1};
    between_at = &between; /* no lock: when it sleeps */
    woken_by_other = -1;
    return 0;
}

static void test_a_wake(void **state)
{
    (void)state;
    between = wake_one_of_the_same;
    assert_int_equal(futex(0x20040, FUTEX_WAIT, 0, 0, 0, 0), 0); /* the same word, mapped elsewhere */
    assert_int_equal(woken_by_other, 1);
}

static s64 steps[2];

/* The object goes while somebody waits in it (another thread has unmapped it), and a new one gets its memory. */
static void wake_in_both(void)
{
    object.id = 2;
    wake_one_of_the_same();
    steps[0] = woken_by_other;
    object.id = 1;
    wake_one_of_the_same();
    steps[1] = woken_by_other;
}

/* Who waits in the old one does not get a wake of the new one's, which would be lost to those that wait there. */
static void test_another_object_in_the_same_memory(void **state)
{
    (void)state;
    between = wake_in_both;
    assert_int_equal(futex(0x20040, FUTEX_WAIT, 0, 0, 0, 0), 0);
    assert_int_equal(steps[0], 0);
    assert_int_equal(steps[1], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_wake, start),
        cmocka_unit_test_setup(test_another_object_in_the_same_memory, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
