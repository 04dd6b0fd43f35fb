/* Timers by several clocks, and the three of setitimer(2). */
#include "proc/itimer.h"
#include "vm/kmem.h"

#define LOOK_AGAIN_NS 1000000ul  /* pauses between two looks at a CPU clock: so long when it runs, */
#define LOOK_SELDOM_NS 16000000ul /* and up to so long when it stands */

/* ---- clocks ---- */

/* What the thread has used; the stretch that it runs in counts as user time until it is over. */
static u64 used(const struct thread *t, bool user_only)
{
    u64 since, ns;

    do {
        since = READ_ONCE(t->last_ns);
        ns = READ_ONCE(t->utime_ns) + (user_only ? 0 : READ_ONCE(t->stime_ns));
    } while (READ_ONCE(t->last_ns) != since); /* it came to a border in between */
    if (READ_ONCE(cpus[READ_ONCE(t->cpu)].thread) == t)
        ns += MAX(arch_time_ns(), since) - since;
    return ns;
}

static u64 process_used(struct process *p, bool user_only)
{
    struct thread *t;
    u64 ns;

    spin_lock(&process_lock);
    ns = p->dead_utime_ns + (user_only ? 0 : p->dead_stime_ns);
    list_for_each(t, &p->threads, process_link)
        ns += used(t, user_only);
    spin_unlock(&process_lock);
    return ns;
}

u64 thread_cpu_ns(const struct thread *t)
{
    return used(t, false);
}

u64 process_cpu_ns(struct process *p)
{
    return process_used(p, false);
}

u64 itimer_now(const struct itimer *t)
{
    switch (t->clock) {
    case ITIMER_BY_WALL:
        return arch_time_ns();
    case ITIMER_BY_CPU:
        return process_used(t->process, false);
    case ITIMER_BY_USER:
        return process_used(t->process, true);
    case ITIMER_BY_THREAD:
        return used(t->thread, false);
    }
    return 0;
}

/* ---- running ---- */

void itimer_start(struct itimer *t, u64 soonest_ns)
{
    u64 now = arch_time_ns(), left, clock_now;

    if (t->clock == ITIMER_BY_WALL) {
        timer_arm(&t->timer, MAX(t->deadline_ns, now + soonest_ns));
        return;
    }
    clock_now = itimer_now(t);
    left = t->deadline_ns > clock_now ? t->deadline_ns - clock_now : 0;
    if (t->clock != ITIMER_BY_THREAD)
        left /= MAX(MIN(READ_ONCE(t->process->thread_count), cpu_count), 1u);
    t->pause_ns = clock_now == t->looked_ns ? MIN(MAX(t->pause_ns * 2, LOOK_AGAIN_NS), LOOK_SELDOM_NS) : LOOK_AGAIN_NS;
    t->looked_ns = clock_now;
    timer_arm(&t->timer, now + MIN(MAX(left, t->pause_ns), UINT64_MAX / 2));
}

static void fired(struct timer *timer)
{
    struct itimer *t = container_of(timer, struct itimer, timer);

    if (t->clock != ITIMER_BY_WALL && itimer_now(t) < t->deadline_ns)
        itimer_start(t, 0);
    else
        t->expired(t);
}

void itimer_init(struct itimer *t, struct process *p, enum itimer_clock clock, void (*when)(struct itimer *t))
{
    *t = (struct itimer){.timer.fn = fired, .process = p, .clock = clock, .expired = when};
}

/* ---- setitimer ---- */

static void expired(struct itimer *t)
{
    static const int signals[ITIMER_COUNT] = {[ITIMER_BY_WALL] = SIGALRM, [ITIMER_BY_USER] = SIGVTALRM, [ITIMER_BY_CPU] = SIGPROF};
    u64 interval = t->interval_ns;

    signal_send_process(t->process, signals[t->clock], NULL);
    if (interval == 0 || __builtin_add_overflow(t->deadline_ns, interval, &t->deadline_ns))
        t->deadline_ns = 0;
    else
        itimer_start(t, ITIMER_SHORTEST_NS);
}

void itimer_get(const struct itimer *t, struct itimer_setting *out)
{
    u64 now = itimer_now(t), deadline = READ_ONCE(t->deadline_ns);

    out->interval_ns = t->interval_ns;
    out->after_ns = deadline == 0 ? 0 : deadline > now ? deadline - now : 1;
}

void itimer_set(struct itimer *t, const struct itimer_setting *s)
{
    timer_cancel(&t->timer);
    t->interval_ns = s->interval_ns;
    t->deadline_ns = 0;
    if (s->after_ns) {
        t->deadline_ns = itimer_now(t) + MIN(s->after_ns, UINT64_MAX / 4);
        itimer_start(t, 0);
    }
}

/* ---- all timers of a process ---- */

static struct process_timers *make(struct process *p)
{
    static const enum itimer_clock clocks[ITIMER_COUNT] = {ITIMER_BY_WALL, ITIMER_BY_USER, ITIMER_BY_CPU};
    struct process_timers *all = kmem_zalloc(sizeof *all);

    if (!all)
        return NULL;
    mutex_init(&all->lock, "timers", RANK_PROC_MUTEX);
    list_init(&all->posix);
    for (unsigned i = 0; i < ITIMER_COUNT; i++)
        itimer_init(&all->itimer[i], p, clocks[i], expired);
    return all;
}

struct process_timers *process_timers(void)
{
    struct process *p = current_process();
    struct process_timers *mine, *all = __atomic_load_n(&p->timers, __ATOMIC_ACQUIRE);

    if (all)
        return all;
    mine = make(p);
    if (!mine)
        return NULL;
    if (__atomic_compare_exchange_n(&p->timers, &all, mine, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return mine;
    kmem_free(mine); /* another thread was faster */
    return all;
}

void process_timers_exec(struct process *p)
{
    if (p->timers)
        posix_timers_drop(p->timers);
}

/* Its memory goes with the process: somebody may be looking at it. */
void process_timers_exit(struct process *p)
{
    if (!p->timers)
        return;
    posix_timers_drop(p->timers);
    mutex_lock(&p->timers->lock);
    for (unsigned i = 0; i < ITIMER_COUNT; i++)
        itimer_set(&p->timers->itimer[i], &(struct itimer_setting){0});
    mutex_unlock(&p->timers->lock);
}
