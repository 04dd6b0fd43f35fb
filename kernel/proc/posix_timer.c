/*
 * Timers of timer_create(2). One that has expired is armed again when its signal
 * is delivered; what has gone by meanwhile is its overrun. So however short the
 * interval, there is one expiry for each signal; where the signal is ignored, one
 * each IGNORED_NS.
 */
#include "lib/errno.h"
#include "proc/itimer.h"
#include "sys/syscall.h"
#include "vm/kmem.h"

#define TIMERS_MAX 256u    /* of one process */
#define CPU_TIMERS_MAX 16u /* of these by CPU time, which look again and again */
#define IGNORED_NS 4000000ul /* between two expiries that nobody hears of */

struct posix_timer {
    struct list link;
    struct itimer timer;
    s32 id;
    bool realtime, absolute;  /* of the wall clock; the deadline is a time of it */
    struct posix_timer_event event;
    struct thread *target;    /* SIGEV_THREAD_ID: with a reference */
    _Atomic bool pending;     /* the signal is on its way */
    s32 overrun;              /* of the last one delivered */
};

/* ---- expiring ---- */

static void rearm_unheard(struct posix_timer *p)
{
    struct itimer *t = &p->timer;

    if (t->interval_ns == 0 || __builtin_add_overflow(t->deadline_ns, t->interval_ns, &t->deadline_ns))
        return;
    itimer_start(t, IGNORED_NS);
}

static void expired(struct itimer *t)
{
    struct posix_timer *p = container_of(t, struct posix_timer, timer);
    struct siginfo info = {.signo = p->event.signo, .code = SI_TIMER, .from_timer = 1};
    bool queued;

    info.timer_id = p->id;
    info.value = p->event.value;
    atomic_store(&p->pending, true); /* before: it may be delivered at once */
    queued = signal_send_timer(t->process, p->target, &info);
    if (!queued) {
        atomic_store(&p->pending, false);
        rearm_unheard(p);
    }
}

/* Periods that have gone by since the deadline, which becomes the next to come; the lock is held. */
static u64 forward(struct itimer *t)
{
    u64 now = itimer_now(t), periods;

    if (t->interval_ns == 0 || now < t->deadline_ns)
        return 0;
    periods = (now - t->deadline_ns) / t->interval_ns;
    if (__builtin_add_overflow(t->deadline_ns, periods * t->interval_ns, &t->deadline_ns) ||
        __builtin_add_overflow(t->deadline_ns, t->interval_ns, &t->deadline_ns))
        t->interval_ns = t->deadline_ns = 0; /* later than the end of time */
    return periods;
}

/* ---- finding; the lock is held ---- */

static struct posix_timer *find(struct process_timers *all, s32 id)
{
    struct posix_timer *p;

    list_for_each(p, &all->posix, link)
        if (p->id == id)
            return p;
    return NULL;
}

static bool is_full(const struct process_timers *all, enum itimer_clock clock)
{
    const struct posix_timer *p;
    unsigned by_cpu = 0;

    list_for_each(p, &all->posix, link)
        by_cpu += p->timer.clock != ITIMER_BY_WALL;
    return all->count >= TIMERS_MAX || (clock != ITIMER_BY_WALL && by_cpu >= CPU_TIMERS_MAX);
}

/* The timer with the lock held, which the caller drops; NULL: there is none, and no lock. */
static struct posix_timer *find_and_lock(s32 id)
{
    struct process_timers *all = current_process()->timers;
    struct posix_timer *p;

    if (!all)
        return NULL;
    mutex_lock(&all->lock);
    p = find(all, id);
    if (!p)
        mutex_unlock(&all->lock);
    return p;
}

static void unlock(void)
{
    mutex_unlock(&current_process()->timers->lock);
}

void posix_timer_delivered(struct siginfo *info)
{
    struct posix_timer *p = find_and_lock(info->timer_id);
    u64 periods;

    info->from_timer = 0;
    if (!p)
        return;
    if (atomic_load(&p->pending)) {
        atomic_store(&p->pending, false);
        periods = forward(&p->timer);
        p->overrun = periods > INT32_MAX ? INT32_MAX : (s32)periods;
        info->overrun = p->overrun;
        if (p->timer.interval_ns)
            itimer_start(&p->timer, ITIMER_SHORTEST_NS);
    }
    unlock();
}

/* ---- the calls ---- */

static int target_of(const struct posix_timer_event *e, struct thread **out)
{
    *out = NULL;
    if (e->notify == SIGEV_NONE)
        return 0;
    if (e->signo <= 0 || e->signo > SIG_COUNT)
        return -EINVAL;
    if (e->notify != SIGEV_THREAD_ID)
        return e->notify == SIGEV_SIGNAL || e->notify == SIGEV_THREAD ? 0 : -EINVAL;
    *out = thread_find(e->tid);
    if (*out && (*out)->process == current_process())
        return 0;
    if (*out)
        thread_put(*out);
    return -EINVAL;
}

/* No expiry is under way any more, and no signal. */
static void quieten(struct posix_timer *p)
{
    timer_cancel(&p->timer.timer);
    if (atomic_load(&p->pending))
        signal_recall_timer(p->timer.process, p->target, p->event.signo, p->id);
    atomic_store(&p->pending, false);
}

static void forget(struct posix_timer *p)
{
    quieten(p);
    if (p->timer.thread)
        thread_put(p->timer.thread);
    if (p->target)
        thread_put(p->target);
    kmem_free(p);
}

s64 posix_timer_create(enum itimer_clock clock, struct thread *thread, bool realtime, const struct posix_timer_event *event,
                       bool value_is_id)
{
    struct process_timers *all = process_timers();
    struct posix_timer *p = all ? kmem_zalloc(sizeof *p) : NULL;
    s32 id = 0;
    int err;

    if (!p)
        return -EAGAIN;
    err = target_of(event, &p->target);
    if (err) {
        kmem_free(p);
        return err;
    }
    itimer_init(&p->timer, current_process(), clock, expired);
    p->realtime = realtime;
    p->event = *event;
    if (thread)
        thread_get(p->timer.thread = thread);
    mutex_lock(&all->lock);
    if (!is_full(all, clock)) {
        while (find(all, all->next_id))
            all->next_id = (all->next_id + 1) & INT32_MAX;
        p->id = id = all->next_id;
        all->next_id = (all->next_id + 1) & INT32_MAX;
        if (value_is_id)
            p->event.value = (u64)p->id;
        all->count++;
        list_append(&all->posix, &p->link);
    } else {
        err = -EAGAIN;
    }
    mutex_unlock(&all->lock);
    if (err)
        forget(p);
    return err ? err : id; /* it may be deleted by now: numbers can be guessed */
}

s64 posix_timer_delete(s32 id)
{
    struct posix_timer *p = find_and_lock(id);

    if (!p)
        return -EINVAL;
    list_remove(&p->link);
    current_process()->timers->count--;
    unlock();
    forget(p);
    return 0;
}

void posix_timers_drop(struct process_timers *all)
{
    struct posix_timer *p;

    mutex_lock(&all->lock);
    while (!list_empty(&all->posix)) {
        p = list_first(&all->posix, struct posix_timer, link);
        list_remove(&p->link);
        forget(p);
    }
    all->count = 0;
    mutex_unlock(&all->lock);
}

/* A timer that has expired, unheard or with its signal under way, goes on all the same. */
static void get(const struct posix_timer *p, struct itimer_setting *out)
{
    const struct itimer *t = &p->timer;
    u64 now = itimer_now(t), deadline = READ_ONCE(t->deadline_ns);

    *out = (struct itimer_setting){.interval_ns = t->interval_ns};
    if (deadline == 0)
        return;
    if (deadline > now)
        out->after_ns = deadline - now;
    else if (t->interval_ns)
        out->after_ns = t->interval_ns - (now - deadline) % t->interval_ns;
    else
        out->after_ns = t->timer.armed && !atomic_load(&p->pending) ? 1 : 0;
}

s64 posix_timer_get(s32 id, struct itimer_setting *out)
{
    struct posix_timer *p = find_and_lock(id);

    if (!p)
        return -EINVAL;
    get(p, out);
    unlock();
    return 0;
}

static u64 since_boot(u64 realtime_ns)
{
    u64 boot = time_realtime_ns() - arch_time_ns();

    return realtime_ns > boot ? realtime_ns - boot : 1;
}

static void set(struct posix_timer *p, bool absolute, const struct itimer_setting *s)
{
    struct itimer *t = &p->timer;

    quieten(p);
    p->absolute = absolute;
    t->interval_ns = s->interval_ns;
    t->deadline_ns = 0;
    if (s->after_ns == 0)
        return;
    if (!absolute)
        t->deadline_ns = itimer_now(t) + MIN(s->after_ns, UINT64_MAX / 4);
    else
        t->deadline_ns = p->realtime ? since_boot(s->after_ns) : s->after_ns;
    if (p->event.notify != SIGEV_NONE)
        itimer_start(t, 0);
}

s64 posix_timer_set(s32 id, bool absolute, const struct itimer_setting *s, struct itimer_setting *old)
{
    struct posix_timer *p = find_and_lock(id);

    if (!p)
        return -EINVAL;
    get(p, old);
    set(p, absolute, s);
    unlock();
    return 0;
}

s64 posix_timer_overrun(s32 id)
{
    struct posix_timer *p = find_and_lock(id);
    s64 overrun;

    if (!p)
        return -EINVAL;
    overrun = p->overrun;
    unlock();
    return overrun;
}

/* ---- the wall clock is set ---- */

static void follow_clock(struct posix_timer *p, s64 ahead_ns)
{
    struct itimer *t = &p->timer;

    if (!p->realtime || !p->absolute || !timer_cancel(&t->timer))
        return; /* not by this clock, or it has gone off */
    t->deadline_ns = (s64)t->deadline_ns > ahead_ns ? t->deadline_ns - (u64)ahead_ns : 1;
    itimer_start(t, 0);
}

void posix_timers_clock_was_set(s64 ahead_ns)
{
    struct posix_timer *t;
    struct process *p;

    for (u32 pid = 1; (p = process_next(pid)); pid++) {
        struct process_timers *all = __atomic_load_n(&p->timers, __ATOMIC_ACQUIRE);

        pid = p->pid;
        if (all) {
            mutex_lock(&all->lock);
            list_for_each(t, &all->posix, link)
                follow_clock(t, ahead_ns);
            mutex_unlock(&all->lock);
        }
        process_put(p);
    }
}
