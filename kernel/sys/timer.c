/* setitimer(2), and timer_create(2) with its kin. */
#include "proc/itimer.h"
#include "sys/syscall.h"
#include "vm/uaccess.h"

#define TIMER_ABSTIME 1u

/* ---- setitimer ---- */

struct itimerval {
    struct timeval interval, value;
};

static struct timeval to_timeval(u64 ns)
{
    u64 us = (ns + 999) / 1000;

    return (struct timeval){(s64)(us / 1000000), (s64)(us % 1000000)};
}

static int itimer_put(unsigned which, vaddr_t to)
{
    struct process_timers *all = process_timers();
    struct itimer_setting now;
    struct itimerval v;

    if (!all)
        return -ENOMEM;
    mutex_lock(&all->lock);
    itimer_get(&all->itimer[which], &now);
    mutex_unlock(&all->lock);
    v = (struct itimerval){to_timeval(now.interval_ns), to_timeval(now.after_ns)};
    return put_user(to, &v);
}

SYSCALL(getitimer)
{
    return a[0] >= ITIMER_COUNT ? -EINVAL : itimer_put((unsigned)a[0], a[1]);
}

static bool timeval_ok(const struct timeval *t)
{
    return t->sec >= 0 && t->sec < (s64)(UINT64_MAX / NS_PER_SEC / 4) && t->usec >= 0 && t->usec < 1000000;
}

static u64 timeval_ns(const struct timeval *t)
{
    return (u64)t->sec * NS_PER_SEC + (u64)t->usec * 1000;
}

SYSCALL(setitimer)
{
    struct process_timers *all;
    struct itimerval v = {0};

    if (a[0] >= ITIMER_COUNT)
        return -EINVAL;
    if (a[1] && get_user(&v, a[1]))
        return -EFAULT;
    if (!timeval_ok(&v.value) || !timeval_ok(&v.interval))
        return -EINVAL;
    if (a[2] && itimer_put((unsigned)a[0], a[2]))
        return -EFAULT;
    all = process_timers();
    if (!all)
        return -ENOMEM;
    mutex_lock(&all->lock);
    itimer_set(&all->itimer[a[0]], &(struct itimer_setting){timeval_ns(&v.value), timeval_ns(&v.interval)});
    mutex_unlock(&all->lock);
    return 0;
}

/* ---- timer_create ---- */

struct sigevent_abi {
    u64 value;
    s32 signo, notify;
    s32 tid, pad[11];
};

struct clock_choice {
    enum itimer_clock clock;
    bool realtime;
    struct thread *thread; /* with a reference */
};

/* The CPU clock of the process, or of a thread of it: its number complemented, and the kind (clock_getcpuclockid). */
static int cpu_clock(u32 clock, struct clock_choice *out)
{
    u32 id = cpu_clock_id(clock);

    if ((clock & CPU_CLOCK_KIND) > CPU_CLOCK_SCHED)
        return -EINVAL;
    if (!(clock & CPU_CLOCK_OF_THREAD)) {
        out->clock = ITIMER_BY_CPU;
        return id == 0 || id == current_process()->pid ? 0 : -EINVAL;
    }
    out->clock = ITIMER_BY_THREAD;
    out->thread = thread_find(id ? id : current->tid);
    if (out->thread && out->thread->process == current_process())
        return 0;
    if (out->thread)
        thread_put(out->thread);
    return -EINVAL;
}

static int clock_choose(u64 clock, struct clock_choice *out)
{
    *out = (struct clock_choice){.clock = ITIMER_BY_WALL};
    if ((s32)clock < 0)
        return cpu_clock((u32)clock, out);
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_TAI:
        out->realtime = true;
        return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_BOOTTIME:
        return 0;
    case CLOCK_PROCESS_CPUTIME_ID:
        out->clock = ITIMER_BY_CPU;
        return 0;
    case CLOCK_THREAD_CPUTIME_ID:
        out->clock = ITIMER_BY_THREAD;
        thread_get(out->thread = current);
        return 0;
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_MONOTONIC_COARSE:
        return -EOPNOTSUPP;
    }
    return -EINVAL;
}

/* timer_create(clock, event, id) */
SYSCALL(timer_create)
{
    struct sigevent_abi e = {.signo = SIGALRM};
    struct posix_timer_event event;
    struct clock_choice choice;
    s64 id;
    s32 out;

    if (a[1] && get_user(&e, a[1]))
        return -EFAULT;
    id = clock_choose(a[0], &choice);
    if (id)
        return id;
    event = (struct posix_timer_event){e.value, e.signo, e.notify, (u32)e.tid};
    id = posix_timer_create(choice.clock, choice.thread, choice.realtime, &event, !a[1]);
    if (choice.thread)
        thread_put(choice.thread);
    out = (s32)id;
    if (id >= 0 && put_user(a[2], &out)) {
        posix_timer_delete(out);
        return -EFAULT;
    }
    return MIN(id, 0l);
}

static int put_setting(vaddr_t to, const struct itimer_setting *s)
{
    int err = timespec_to_user(to, s->interval_ns);

    return err ? err : timespec_to_user(to + sizeof(struct timespec), s->after_ns);
}

SYSCALL(timer_gettime)
{
    struct itimer_setting s;
    s64 err = posix_timer_get((s32)a[0], &s);

    return err ? err : put_setting(a[1], &s);
}

/* timer_settime(id, flags, new, old) */
SYSCALL(timer_settime)
{
    struct itimer_setting s, old;
    s64 err = a[2] ? timespec_from_user(a[2], &s.interval_ns) : -EINVAL;

    if (!err)
        err = timespec_from_user(a[2] + sizeof(struct timespec), &s.after_ns);
    if (!err)
        err = posix_timer_set((s32)a[0], a[1] & TIMER_ABSTIME, &s, &old);
    return err || !a[3] ? err : put_setting(a[3], &old);
}

SYSCALL(timer_getoverrun)
{
    return posix_timer_overrun((s32)a[0]);
}

SYSCALL(timer_delete)
{
    return posix_timer_delete((s32)a[0]);
}
