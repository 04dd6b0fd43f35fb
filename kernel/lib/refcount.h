/* Reference counts for kernel objects other than pages (those have page_get/page_put). */
#pragma once
#include <stdatomic.h>
#include "lib/print.h"

struct refcount {
    _Atomic u32 n;
};

static inline void ref_init(struct refcount *r)
{
    atomic_store_explicit(&r->n, 1, memory_order_relaxed);
}

static inline void ref_get(struct refcount *r)
{
    u32 old = atomic_fetch_add_explicit(&r->n, 1, memory_order_relaxed);
    ASSERT(old != 0 && old < UINT32_MAX);
}

/* Gets a reference unless the count has already reached zero. */
static inline bool ref_get_unless_zero(struct refcount *r)
{
    u32 old = atomic_load_explicit(&r->n, memory_order_relaxed);
    while (old != 0)
        if (atomic_compare_exchange_weak(&r->n, &old, old + 1))
            return true;
    return false;
}

/* Returns true when this was the last reference: the caller destroys the object. */
static inline bool __must_check ref_put(struct refcount *r)
{
    u32 old = atomic_fetch_sub_explicit(&r->n, 1, memory_order_acq_rel);
    ASSERT(old != 0);
    return old == 1;
}

static inline u32 ref_count(const struct refcount *r)
{
    return atomic_load_explicit(&((struct refcount *)(uintptr_t)r)->n, memory_order_acquire);
}
