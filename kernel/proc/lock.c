/*
 * Spin locks and mutexes; lib/lock.h has the rules.
 *
 * A CPU's state of its spin locks is in struct cpu: how many it holds, whether
 * interrupts were on before the first, and (debug builds) their ranks. It stays
 * right across a context switch, which happens with the run queue's lock held
 * and is finished on the same CPU.
 */
#include "lib/lock.h"
#include "lib/print.h"
#include "proc/sched.h"

/* ---- spin locks ---- */

void spin_init(struct spinlock *l, const char *name, enum lock_rank rank)
{
    *l = (struct spinlock){.rank = (u16)rank, .name = name};
}

#ifdef COWSLIP_DEBUG
static void spin_rank_push(struct cpu *c, const struct spinlock *l, bool nested)
{
    u32 at = c->spin_depth - 1;
    u16 last = 0;

    for (u32 i = 0; i < at; i++)
        last = MAX(last, c->spin_ranks[i]);
    if (at >= ARRAY_SIZE(c->spin_ranks))
        panic("too many spin locks held at %s", l->name);
    if (l->rank && (nested ? l->rank < last : l->rank <= last))
        panic("lock order: %s (rank %u) taken with rank %u held", l->name, l->rank, last);
    c->spin_ranks[at] = l->rank;
}

static void spin_rank_pop(struct cpu *c, const struct spinlock *l)
{
    for (u32 i = c->spin_depth; i-- > 0;)
        if (c->spin_ranks[i] == l->rank) {
            c->spin_ranks[i] = c->spin_ranks[c->spin_depth - 1];
            return;
        }
    panic("%s is unlocked and was not held here", l->name);
}
#else
static void spin_rank_push(struct cpu *c, const struct spinlock *l, bool nested)
{
    (void)c, (void)l, (void)nested;
}

static void spin_rank_pop(struct cpu *c, const struct spinlock *l)
{
    (void)c, (void)l;
}
#endif

/* Interrupts go off; the outermost lock remembers whether they were on. */
static struct cpu *spin_enter(void)
{
    bool on = arch_irq_save();
    struct cpu *c = arch_this_cpu();

    if (c->spin_depth++ == 0)
        c->spin_irq_saved = on;
    return c;
}

static void spin_leave(struct cpu *c)
{
    if (--c->spin_depth == 0 && c->spin_irq_saved) {
        arch_irq_enable();
        if (c->need_resched)
            preempt_check();
    }
}

static void acquire(struct spinlock *l, bool nested)
{
    struct cpu *c = spin_enter();
    u32 free = 0;

    DEBUG_ASSERT(l->held != c->id + 1);
    spin_rank_push(c, l, nested);
    while (!atomic_compare_exchange_weak_explicit(&l->held, &free, c->id + 1, memory_order_acquire,
                                                  memory_order_relaxed)) {
        free = 0;
        arch_cpu_relax();
    }
}

void spin_lock(struct spinlock *l) NO_THREAD_SAFETY_ANALYSIS
{
    acquire(l, false);
}

void spin_lock_nested(struct spinlock *l) NO_THREAD_SAFETY_ANALYSIS
{
    acquire(l, true);
}

bool spin_trylock(struct spinlock *l) NO_THREAD_SAFETY_ANALYSIS
{
    struct cpu *c = spin_enter();
    u32 free = 0;

    if (atomic_compare_exchange_strong_explicit(&l->held, &free, c->id + 1, memory_order_acquire,
                                                memory_order_relaxed)) {
        spin_rank_push(c, l, true);
        return true;
    }
    spin_leave(c);
    return false;
}

void spin_unlock(struct spinlock *l) NO_THREAD_SAFETY_ANALYSIS
{
    struct cpu *c = arch_this_cpu();

    DEBUG_ASSERT(l->held == c->id + 1);
    spin_rank_pop(c, l);
    atomic_store_explicit(&l->held, 0, memory_order_release);
    spin_leave(c);
}

bool spin_held(const struct spinlock *l)
{
    return l->held == arch_this_cpu()->id + 1;
}

/* ---- mutexes ---- */

void mutex_init(struct mutex *m, const char *name, enum lock_rank rank)
{
    *m = (struct mutex){.rank = (u16)rank, .name = name};
    waitq_init(&m->waitq);
}

#ifdef COWSLIP_DEBUG
static void mutex_rank_push(const struct mutex *m, bool nested)
{
    struct thread *t = current;
    u32 last = t->held_count ? t->held_ranks[t->held_count - 1] : 0;

    if (arch_this_cpu()->spin_depth > 0 && m->rank)
        panic("mutex %s taken with a spin lock held", m->name);
    if (t->held_count >= ARRAY_SIZE(t->held_ranks))
        panic("too many mutexes held at %s", m->name);
    if (m->rank && (nested ? m->rank < last : m->rank <= last))
        panic("lock order: mutex %s (rank %u) taken with rank %u held", m->name, m->rank, last);
    t->held_ranks[t->held_count++] = MAX(m->rank, last);
}

static void mutex_rank_pop(void)
{
    current->held_count--;
}
#else
static void mutex_rank_push(const struct mutex *m, bool nested)
{
    (void)m, (void)nested;
}

static void mutex_rank_pop(void)
{
}
#endif

static bool try_own(struct mutex *m)
{
    struct thread *nobody = NULL;

    return atomic_compare_exchange_strong_explicit(&m->owner, &nobody, current, memory_order_acquire,
                                                   memory_order_relaxed);
}

bool mutex_trylock(struct mutex *m) NO_THREAD_SAFETY_ANALYSIS
{
    if (!try_own(m))
        return false;
    mutex_rank_push(m, true);
    return true;
}

static void own(struct mutex *m, bool nested)
{
    DEBUG_ASSERT(m->owner != current);
    mutex_rank_push(m, nested);
    if (!try_own(m))
        (void)wait_event(&m->waitq, try_own(m), SLEEP_FIRMLY, UINT64_MAX);
}

void mutex_lock(struct mutex *m) NO_THREAD_SAFETY_ANALYSIS
{
    own(m, false);
}

void mutex_lock_nested(struct mutex *m) NO_THREAD_SAFETY_ANALYSIS
{
    own(m, true);
}

/* A waiter queues before it tries again, so either its try sees the mutex free or this sees it in the queue. */
void mutex_unlock(struct mutex *m) NO_THREAD_SAFETY_ANALYSIS
{
    DEBUG_ASSERT(m->owner == current);
    mutex_rank_pop();
    atomic_store_explicit(&m->owner, NULL, memory_order_seq_cst); /* GCC's: an exchange, or a fence behind it; the look comes later */
    if (!list_empty(&m->waitq.waiters))
        waitq_wake_one(&m->waitq);
}

bool mutex_held(const struct mutex *m)
{
    return m->owner == current;
}
