/* Promises of memory; see commit.h. No lock: one atomic sum, checked after it was raised, so two cannot both get the last. */
#include "vm/commit.h"
#include "lib/bootargs.h"
#include "lib/print.h"
#include "vm/count.h"

/* Pages that other CPUs keep for themselves, and those on their way between two owners. */
#define SLACK (128 + 128ul * cpu_count)

static _Atomic u64 promised;
static _Atomic unsigned mode = 1;

void commit_init(void)
{
    commit_set_mode((unsigned)bootarg_u64("vm.overcommit", 1, 1, 2));
}

unsigned commit_mode(void)
{
    return atomic_load_explicit(&mode, memory_order_relaxed);
}

void commit_set_mode(unsigned m)
{
    atomic_store(&mode, m);
}

u64 commit_total(void)
{
    return atomic_load(&promised);
}

/* Pages in use that nobody was promised. The two sums are not of the same moment: never below 0. */
static u64 unpromised(void)
{
    u64 freed = vm_counter_read(VMC_pgfree_kernel), taken = vm_counter_read(VMC_pgalloc_kernel);

    return taken > freed ? taken - freed : 0;
}

u64 commit_limit(void)
{
    struct page_stats s;
    u64 gone;

    page_stats(&s);
    gone = s.reserve + SLACK + unpromised();
    return s.total > gone ? s.total - gone : 0;
}

bool commit_take(u64 pages)
{
    atomic_fetch_add(&promised, pages);
    if (commit_mode() == 1 || commit_total() <= commit_limit())
        return true;
    commit_give(pages);
    return false;
}

void commit_give(u64 pages)
{
    u64 before = atomic_fetch_sub(&promised, pages);

    ASSERT(before >= pages);
}

bool commit_room(u64 pages)
{
    return commit_mode() == 1 || commit_total() + pages <= commit_limit();
}
