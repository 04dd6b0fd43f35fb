/*
 * One-shot timers, a sorted list for each CPU. A timer lives on the CPU that
 * armed it. Callbacks run in that CPU's timer interrupt with no lock held; they
 * must not take a lock that a canceller holds, as cancelling waits for them. However
 * many are due, no more than AT_ONCE run before everything else has its turn.
 * Lock: cpu->timer_lock (RANK_TIMER).
 */
#include "proc/sched.h"

#define AT_ONCE 32u
#define PAUSE_NS 1000000ul

/*
 * The hardware is set for whatever comes first, or earlier: setting it is a call
 * of the firmware, while an interrupt for nothing comes once and sets it right.
 * So it is set only for what comes before that. timer_lock held.
 */
static void timer_program_locked(struct cpu *c)
{
    u64 next = c->slice_end_ns ? c->slice_end_ns : UINT64_MAX;

    if (!list_empty(&c->timers))
        next = MIN(next, MAX(list_first(&c->timers, struct timer, link)->deadline_ns, c->timer_floor_ns));
    if (next >= c->timer_set_ns)
        return;
    c->timer_set_ns = next;
    arch_timer_set(next);
}

void timer_program(struct cpu *c)
{
    spin_lock(&c->timer_lock); /* whoever takes a timer off the list may forget it at once */
    timer_program_locked(c);
    spin_unlock(&c->timer_lock);
}

void timer_arm(struct timer *t, u64 deadline_ns)
{
    struct timer *before;
    struct list *at;
    struct cpu *c;

    preempt_disable();
    c = arch_this_cpu();
    spin_lock(&c->timer_lock);
    t->deadline_ns = deadline_ns;
    for (at = c->timers.prev; at != &c->timers; at = at->prev) {
        before = list_entry(at, struct timer, link);
        if (before->deadline_ns <= deadline_ns)
            break;
    }
    list_insert_between(&t->link, at, at->next);
    t->armed = true;
    __atomic_store_n(&t->cpu, c, __ATOMIC_RELEASE);
    if (c->timers.next == &t->link)
        timer_program_locked(c);
    spin_unlock(&c->timer_lock);
    preempt_enable();
}

/* A callback of t has not returned, wherever: t may have been armed elsewhere meanwhile. */
static bool is_running(const struct timer *t)
{
    for (u32 i = 0; i < MAX_CPUS; i++)
        if (__atomic_load_n(&cpus[i].timer_running, __ATOMIC_ACQUIRE) == t)
            return true;
    return false;
}

bool timer_cancel(struct timer *t)
{
    bool was_armed = false, under_way = true;
    struct cpu *c;

    while (under_way && (c = __atomic_load_n(&t->cpu, __ATOMIC_ACQUIRE))) {
        under_way = is_running(t); /* before the list: a callback that has returned by now may have armed it */
        spin_lock(&c->timer_lock);
        if (t->cpu == c && t->armed) {
            list_remove(&t->link);
            t->armed = false;
            was_armed = true;
        }
        under_way |= c->timer_running == t || t->cpu != c; /* after it: one begins with the lock of the CPU that it is armed on */
        spin_unlock(&c->timer_lock);
        if (under_way)
            arch_cpu_relax(); /* its callback, in an interrupt of another CPU, is short */
    }
    return was_armed;
}

/* Takes the first timer that is due off the list; it stays `running` until its callback has returned. */
static struct timer *timer_take_due(struct cpu *c, u64 now, bool another)
{
    struct timer *t = NULL;

    spin_lock(&c->timer_lock);
    __atomic_store_n(&c->timer_running, NULL, __ATOMIC_RELEASE);
    if (another && !list_empty(&c->timers))
        t = list_first(&c->timers, struct timer, link);
    if (t && t->deadline_ns > now)
        t = NULL;
    if (t) {
        list_remove(&t->link);
        t->armed = false;
        c->timer_running = t;
    }
    spin_unlock(&c->timer_lock);
    return t;
}

/* From the timer interrupt. A callback may arm its timer anew. Whoever owns a timer cancels it before its memory goes. */
void timers_run(struct cpu *c)
{
    struct timer *t;
    unsigned n = 0;

    while ((t = timer_take_due(c, arch_time_ns(), n < AT_ONCE))) {
        t->fn(t);
        n++;
    }
    c->timer_floor_ns = n == AT_ONCE ? arch_time_ns() + PAUSE_NS : 0;
    c->timer_set_ns = UINT64_MAX; /* it has fired */
    timer_program(c);
}
