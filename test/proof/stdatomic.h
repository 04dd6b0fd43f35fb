/* C11's atomics as plain loads and stores: what runs at the same time is modelled in machine.h, between the stores. */
#pragma once

typedef enum { memory_order_relaxed, memory_order_consume, memory_order_acquire, memory_order_release, memory_order_acq_rel,
               memory_order_seq_cst } memory_order;

#define atomic_load(p) (*(p))
#define atomic_store(p, v) ((void)(*(p) = (v)))
#define atomic_fetch_add(p, v) (*(p) += (v), *(p) - (v))
#define atomic_fetch_sub(p, v) (*(p) -= (v), *(p) + (v))
#define atomic_fetch_or(p, v) ((void)(*(p) |= (v)))
#define atomic_fetch_and(p, v) ((void)(*(p) &= (v)))
#define atomic_load_explicit(p, o) atomic_load(p)
#define atomic_store_explicit(p, v, o) atomic_store(p, v)
#define atomic_fetch_add_explicit(p, v, o) atomic_fetch_add(p, v)
#define atomic_fetch_sub_explicit(p, v, o) atomic_fetch_sub(p, v)
#define atomic_thread_fence(o) ((void)0)
#define atomic_compare_exchange_weak(p, old, v) (*(p) == *(old) ? (*(p) = (v), true) : (*(old) = *(p), false))
