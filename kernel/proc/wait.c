/*
 * Wait queues. A waiter is in its queue from waiter_add to waiter_remove; a
 * wake sets `woken`, which stays set until wait_block has seen it, so no wake
 * between looking at a condition and going to sleep is lost:
 *   the sleeper stores its state SLEEPING, then reads woken;
 *   the waker stores woken, then reads the state (thread_wake).
 * Preemption is off in between, so that the sleeper is not taken off the CPU
 * with its state set and woken unread.
 */
#include "lib/errno.h"
#include "lib/print.h"
#include "proc/sched.h"

void waitq_init(struct waitq *q)
{
    spin_init(&q->lock, "wait queue", RANK_WAITQ);
    list_init(&q->waiters);
}

static void add(struct waitq *q, struct waiter *w)
{
    spin_lock(&q->lock);
    list_append(&q->waiters, &w->link);
    spin_unlock(&q->lock);
    atomic_thread_fence(memory_order_seq_cst); /* in the queue before the condition is looked at: mutex_unlock */
}

void waiter_add(struct waitq *q, struct waiter *w, unsigned kind)
{
    *w = (struct waiter){.q = q, .thread = current, .kind = kind};
    add(q, w);
}

void waiter_add_notify(struct waitq *q, struct waiter *w, void (*notify)(struct waiter *w), void *owner)
{
    *w = (struct waiter){.q = q, .notify = notify, .owner = owner};
    add(q, w);
}

void waiter_remove(struct waiter *w)
{
    spin_lock(&w->q->lock);
    list_remove(&w->link);
    spin_unlock(&w->q->lock);
}

static void wake_locked(struct waiter *w)
{
    if (w->notify) {
        w->notify(w);
        return;
    }
    atomic_store(&w->woken, 1);
    thread_wake(w->thread);
}

void waitq_wake_one(struct waitq *q)
{
    struct waiter *w;

    spin_lock(&q->lock);
    list_for_each(w, &q->waiters, link) {
        if (atomic_load(&w->woken))
            continue; /* on its way already */
        wake_locked(w);
        if (!w->notify) /* who only takes note leaves it to the next */
            break;
    }
    spin_unlock(&q->lock);
}

void waitq_wake_all(struct waitq *q)
{
    struct waiter *w;

    spin_lock(&q->lock);
    list_for_each(w, &q->waiters, link)
        wake_locked(w);
    spin_unlock(&q->lock);
}

struct sleep_timer {
    struct timer timer;
    struct thread *thread;
};

static void sleep_over(struct timer *t)
{
    thread_wake(container_of(t, struct sleep_timer, timer)->thread);
}

static bool any_woken(struct waiter *w, unsigned n)
{
    bool woken = false;

    for (unsigned i = 0; i < n; i++)
        woken |= atomic_exchange(&w[i].woken, 0);
    return woken;
}

static bool interrupted(unsigned kind)
{
    return (kind == SLEEP_INTERRUPTIBLE && atomic_load(&current->need_signal)) ||
           (kind == SLEEP_KILLABLE && signal_fatal_pending());
}

/* Sleeps once; the state is RUNNING again afterwards. */
static int sleep_once(struct waiter *w, unsigned n, unsigned kind, u64 deadline)
{
    int result = 1;

    preempt_disable();
    current->interruptible = kind;
    atomic_store(&current->state, THREAD_SLEEPING);
    if (any_woken(w, n))
        result = 0;
    else if (interrupted(kind))
        result = -ERESTARTSYS;
    else if (deadline != UINT64_MAX && arch_time_ns() >= deadline)
        result = -ETIMEDOUT;
    if (result <= 0)
        atomic_store(&current->state, THREAD_RUNNING);
    else
        schedule();
    preempt_enable();
    return result;
}

int wait_block_many(struct waiter *w, unsigned n, unsigned kind, u64 deadline)
{
    struct sleep_timer t = {.thread = current};
    int result;

    DEBUG_ASSERT(arch_this_cpu()->spin_depth == 0);
    if (deadline != UINT64_MAX) {
        t.timer = (struct timer){.fn = sleep_over};
        timer_arm(&t.timer, deadline);
    }
    do {
        result = sleep_once(w, n, kind, deadline);
    } while (result > 0);
    if (deadline != UINT64_MAX)
        timer_cancel(&t.timer);
    return result;
}

int wait_block(struct waiter *w, u64 deadline)
{
    return wait_block_many(w, 1, w->kind, deadline);
}
