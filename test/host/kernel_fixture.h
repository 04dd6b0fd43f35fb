/*
 * For tests of what two CPUs do to each other: the locks and the memory of the kernel on one
 * host thread. When a lock is given back, or where a test says so, `between` runs once: it is
 * what the other CPU does at that very moment. Nobody sleeps. Included once by each test.
 */
#pragma once
#define timespec host_timespec /* the kernel has its own */
#define timeval host_timeval
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#undef timespec
#undef timeval
#include "lib/errno.h"
#include "lib/lock.h"
#include "proc/process.h"
#include "vm/kmem.h"

#define UNUSED __attribute__((unused))

static struct thread first, *on_cpu = &first; /* who does what is done */
static struct process my_process;
static void (*between)(void); /* once, when the lock `between_at` is given back (NULL: any) */
static UNUSED const void *between_at;

struct thread *arch_current(void)
{
    return on_cpu;
}

static UNUSED void other_cpu(const void *lock)
{
    void (*step)(void) = between;

    if (!step || (between_at && between_at != lock))
        return;
    between = NULL;
    step();
}

/* ---- spin locks ---- */

void spin_init(struct spinlock *l, const char *name, enum lock_rank rank)
{
    *l = (struct spinlock){.rank = (u16)rank, .name = name};
}

void spin_lock(struct spinlock *l)
{
    assert_int_equal(l->held, 0);
    l->held = 1;
}

void spin_lock_nested(struct spinlock *l)
{
    spin_lock(l);
}

void spin_unlock(struct spinlock *l)
{
    assert_int_equal(l->held, 1);
    l->held = 0;
    other_cpu(l);
}

/* ---- mutexes ---- */

void mutex_init(struct mutex *m, const char *name, enum lock_rank rank)
{
    *m = (struct mutex){.rank = (u16)rank, .name = name};
    list_init(&m->waitq.waiters);
}

static jmp_buf *instead_of_waiting; /* where the other CPU goes on instead of waiting for a mutex; NULL: it must not have to */

void mutex_lock(struct mutex *m)
{
    if (m->owner && instead_of_waiting)
        longjmp(*instead_of_waiting, 1);
    assert_null(m->owner);
    m->owner = on_cpu;
}

void mutex_lock_nested(struct mutex *m)
{
    mutex_lock(m);
}

void mutex_unlock(struct mutex *m)
{
    assert_non_null(m->owner);
    m->owner = NULL;
    other_cpu(m);
}

bool mutex_held(const struct mutex *m)
{
    return m->owner != NULL;
}

/* ---- sleeping: a test that comes to it fails, unless the other CPU does something ---- */

void waitq_init(struct waitq *q)
{
    spin_init(&q->lock, "wait queue", RANK_WAITQ);
    list_init(&q->waiters);
}

void waiter_add(struct waitq *q, struct waiter *w, unsigned kind)
{
    *w = (struct waiter){.q = q, .thread = on_cpu, .kind = kind};
    list_append(&q->waiters, &w->link);
}

void waiter_remove(struct waiter *w)
{
    list_remove(&w->link);
}

int wait_block(struct waiter *w, u64 deadline_ns)
{
    (void)w, (void)deadline_ns;
    if (!between)
        fail_msg("it sleeps for ever");
    between_at = NULL;
    other_cpu(NULL);
    return 0;
}

void waitq_wake_all(struct waitq *q)
{
    (void)q;
}

/* ---- memory ---- */

static UNUSED unsigned allocations; /* that have not been given back */

void *(kmem_alloc)(size_t size)
{
    allocations++;
    return malloc(size);
}

void *(kmem_zalloc)(size_t size)
{
    allocations++;
    return calloc(1, size);
}

void kmem_free(void *p)
{
    allocations -= p != NULL;
    free(p);
}

void panic(const char *fmt, ...)
{
    fail_msg("panic: %s", fmt);
    abort();
}

/* ---- for each test ---- */

static UNUSED void fixture_start(void)
{
    memset(&first, 0, sizeof first);
    memset(&my_process, 0, sizeof my_process);
    first.process = &my_process;
    list_init(&first.process_link);
    on_cpu = &first;
    between = NULL;
    between_at = NULL;
    instead_of_waiting = NULL;
}
