/* Planted failures of allocations: see failnth.h. */
#include "vm/failnth.h"
#include "proc/sched.h"

#ifdef ALLOC_SITES
extern struct alloc_site *const _alloc_sites_start[], *const _alloc_sites_end[];

bool alloc_fails(struct alloc_site *site, bool reserve)
{
    struct thread *t = current;
    u64 plan, left;

    atomic_fetch_add_explicit(&site->calls, 1, memory_order_relaxed);
    if (!t->process || t->alloc_exempt) {
        atomic_fetch_add_explicit(&site->exempt, 1, memory_order_relaxed);
        return false;
    }
    plan = atomic_load_explicit(&t->alloc_plan, memory_order_relaxed);
    do {
        if (plan == 0 || (reserve && !(plan & ALLOC_FAIL_RESERVE)))
            return false;
        left = plan & ALLOC_FAIL_COUNT ? plan - 1 : plan;
        if (!(left & (ALLOC_FAIL_COUNT | ALLOC_FAIL_ALL)))
            left = 0;
    } while (!atomic_compare_exchange_weak(&t->alloc_plan, &plan, left)); /* somebody writes another plan */
    if (left & ALLOC_FAIL_COUNT)
        return false;
    atomic_fetch_add_explicit(&site->failed, 1, memory_order_relaxed);
    return true;
}

void alloc_plan_clear(void)
{
    atomic_store(&current->alloc_plan, 0);
}

void alloc_exempt_begin(void)
{
    current->alloc_exempt++;
}

void alloc_exempt_end(void)
{
    current->alloc_exempt--;
}

void alloc_site_for_each(void (*fn)(const struct alloc_site *site, void *arg), void *arg)
{
    for (struct alloc_site *const *s = _alloc_sites_start; s < _alloc_sites_end; s++)
        fn(*s, arg);
}
#endif
