/* Scheduling: policies and priorities (sched(7)), affinity. */
#include "proc/process.h"
#include "sys/syscall.h"
#include "vm/uaccess.h"

#define RESET_ON_FORK 0x40000000u

SYSCALL(sched_yield)
{
    (void)a;
    sched_yield();
    return 0;
}

/* The thread that a scheduling call means, with a reference. */
static struct thread *target(u64 tid)
{
    return thread_find(tid ? (u32)tid : current->tid);
}

/* May the caller change how t is scheduled? */
static bool is_ours(const struct thread *t)
{
    const struct cred *me = &current_process()->cred, *its = &t->process->cred;

    return me->euid == 0 || me->euid == its->euid || me->euid == its->uid;
}

SYSCALL(sched_getaffinity)
{
    struct thread *t = target(a[0]);
    u64 mask;

    if (!t)
        return -ESRCH;
    mask = t->cpus_allowed ? t->cpus_allowed & cpus_online_mask() : cpus_online_mask();
    thread_put(t);
    if (a[1] < sizeof mask || a[1] % sizeof mask)
        return -EINVAL;
    return put_user(a[2], &mask) ? -EFAULT : (s64)sizeof mask;
}

SYSCALL(sched_setaffinity)
{
    struct thread *t;
    u64 mask = 0;

    if (copy_from_user(&mask, a[2], MIN(a[1], sizeof mask)))
        return -EFAULT;
    mask &= cpus_online_mask();
    if (!mask)
        return -EINVAL;
    t = target(a[0]);
    if (!t || !t->process) {
        if (t)
            thread_put(t);
        return -ESRCH;
    }
    if (!is_ours(t)) {
        thread_put(t);
        return -EPERM;
    }
    WRITE_ONCE(t->cpus_allowed, mask);
    while (t == current && !(READ_ONCE(t->cpus_allowed) >> READ_ONCE(t->cpu) & 1)) /* another thread may have set it meanwhile */
        sched_move();
    thread_put(t);
    return 0;
}

/* ---- nice ---- */

enum { PRIO_PROCESS, PRIO_PGRP, PRIO_USER };

struct nice_query {
    u32 which, id;
    bool change;
    s32 nice;    /* to set; or the lowest that was found */
    bool found;
    int err;     /* the last that was met */
    const struct process *me;
};

static int nice_change(struct thread *t, const struct nice_query *q)
{
    const struct cred *me = &q->me->cred, *its = &t->process->cred;

    if (me->euid != 0 && me->euid != its->euid && me->euid != its->uid)
        return -EPERM;
    if (me->euid != 0 && q->nice < t->nice)
        return -EACCES;
    t->nice = q->nice;
    return 0;
}

static void nice_visit_thread(struct thread *t, struct nice_query *q)
{
    int err = 0;

    if (q->change)
        err = nice_change(t, q);
    else
        q->nice = q->found ? MIN(q->nice, t->nice) : t->nice;
    q->found = true;
    q->err = err ? err : q->err;
}

static void nice_visit(struct process *p, void *arg)
{
    struct nice_query *q = arg;
    struct thread *t;

    if (q->which == PRIO_PGRP ? p->pgid != q->id : p->cred.uid != q->id)
        return;
    list_for_each(t, &p->threads, process_link)
        nice_visit_thread(t, q);
}

/* id 0: the caller, its group, its user. */
static int nice_do(struct nice_query *q)
{
    struct process *p = current_process();
    struct thread *t;

    q->me = p;
    if (q->which == PRIO_PROCESS) {
        t = target(q->id);
        if (t && t->process)
            nice_visit_thread(t, q);
        if (t)
            thread_put(t);
    } else {
        if (q->id == 0)
            q->id = q->which == PRIO_PGRP ? p->pgid : p->cred.uid;
        spin_lock(&process_lock);
        process_for_each_locked(nice_visit, q);
        spin_unlock(&process_lock);
    }
    return q->found ? q->err : -ESRCH;
}

static int nice_set(u32 which, u32 id, s32 nice)
{
    struct nice_query q = {.which = which, .id = id, .change = true, .nice = MAX(MIN(nice, 19), -20)};

    return which > PRIO_USER ? -EINVAL : nice_do(&q);
}

SYSCALL(setpriority)
{
    return nice_set((u32)a[0], (u32)a[1], (s32)a[2]);
}

SYSCALL(getpriority)
{
    struct nice_query q = {.which = (u32)a[0], .id = (u32)a[1]};
    int err = a[0] > PRIO_USER ? -EINVAL : nice_do(&q);

    return err ? err : 20 - q.nice;
}

/* ---- policies ---- */

struct choice {
    u32 policy;
    s32 priority;
    bool reset_on_fork;
};

static int check(const struct choice *c)
{
    bool realtime = c->policy == POLICY_FIFO || c->policy == POLICY_RR;

    if (!realtime && c->policy != POLICY_OTHER && c->policy != POLICY_BATCH && c->policy != POLICY_IDLE)
        return -EINVAL;
    if (realtime ? c->priority < 1 || c->priority > RT_PRIORITY_MAX : c->priority != 0)
        return -EINVAL;
    return 0;
}

/* Root may do anything; others no more than their limit, to what is theirs. */
static int may_set(struct thread *t, const struct choice *c)
{
    u64 limit = t->process->rlimit[RLIMIT_RTPRIO].cur;

    if (cred_is_root())
        return 0;
    if (!is_ours(t))
        return -EPERM;
    if (c->priority > t->rt_priority && (u64)c->priority > limit)
        return -EPERM;
    if (c->priority && t->rt_priority == 0 && limit == 0)
        return -EPERM;
    return t->reset_on_fork && !c->reset_on_fork ? -EPERM : 0;
}

static int set(u64 tid, const struct choice *c)
{
    struct thread *t;
    int err;

    if ((s32)tid < 0)
        return -EINVAL;
    t = target(tid);
    if (!t || !t->process)
        err = -ESRCH;
    else
        err = check(c);
    if (!err)
        err = may_set(t, c);
    if (!err) {
        t->reset_on_fork = c->reset_on_fork;
        sched_policy_set(t, c->policy, (u8)c->priority);
    }
    if (t)
        thread_put(t);
    return err;
}

static int get(u64 tid, struct choice *c)
{
    struct thread *t;

    if ((s32)tid < 0)
        return -EINVAL;
    t = target(tid);
    if (!t)
        return -ESRCH;
    *c = (struct choice){t->policy, t->rt_priority, t->reset_on_fork};
    thread_put(t);
    return 0;
}

/* sched_setscheduler(tid, policy, param) */
SYSCALL(sched_setscheduler)
{
    struct choice c = {.policy = (u32)a[1] & ~RESET_ON_FORK, .reset_on_fork = a[1] & RESET_ON_FORK};

    if (!a[2] || (s32)a[0] < 0 || (s32)a[1] < 0)
        return -EINVAL;
    return get_user(&c.priority, a[2]) ? -EFAULT : set(a[0], &c);
}

SYSCALL(sched_getscheduler)
{
    struct choice c;
    int err = get(a[0], &c);

    return err ? err : (s64)(c.policy | (c.reset_on_fork ? RESET_ON_FORK : 0));
}

SYSCALL(sched_setparam)
{
    struct choice c;
    int err = a[1] ? get(a[0], &c) : -EINVAL;

    if (err)
        return err;
    return get_user(&c.priority, a[1]) ? -EFAULT : set(a[0], &c);
}

SYSCALL(sched_getparam)
{
    struct choice c;
    int err = a[1] ? get(a[0], &c) : -EINVAL;

    return err ? err : put_user(a[1], &c.priority);
}

/* Linux's struct sched_attr, its first version. */
struct sched_attr {
    u32 size, policy;
    u64 flags;
    s32 nice;
    u32 priority;
    u64 runtime, deadline, period;
};

/* sched_setattr(tid, attr, flags) */
SYSCALL(sched_setattr)
{
    enum { ATTR_RESET_ON_FORK = 1, ATTR_KEEP_POLICY = 8, ATTR_KEEP_PARAMS = 16 };
    struct sched_attr attr;
    struct choice c, now;
    int err;

    if (!a[1] || a[2] || (s32)a[0] < 0)
        return -EINVAL;
    if (get_user(&attr, a[1]))
        return -EFAULT;
    if (attr.size != 0 && attr.size < sizeof attr)
        return -EINVAL;
    if (attr.flags & ~(u64)(ATTR_RESET_ON_FORK | ATTR_KEEP_POLICY | ATTR_KEEP_PARAMS))
        return -EINVAL;
    err = get(a[0], &now);
    if (err)
        return err;
    c = (struct choice){attr.flags & ATTR_KEEP_POLICY ? now.policy : attr.policy,
                        attr.flags & ATTR_KEEP_PARAMS ? now.priority : (s32)attr.priority, attr.flags & ATTR_RESET_ON_FORK};
    err = set(a[0], &c);
    return err || (attr.flags & ATTR_KEEP_PARAMS) || c.priority ? err : nice_set(0, a[0] ? (u32)a[0] : current->tid, attr.nice);
}

/* sched_getattr(tid, attr, size, flags) */
SYSCALL(sched_getattr)
{
    struct sched_attr attr = {.size = sizeof attr};
    struct thread *t;

    if (!a[1] || a[2] < sizeof attr || a[3] || (s32)a[0] < 0)
        return -EINVAL;
    t = target(a[0]);
    if (!t)
        return -ESRCH;
    attr.policy = t->policy;
    attr.flags = t->reset_on_fork;
    attr.nice = t->nice;
    attr.priority = t->rt_priority;
    thread_put(t);
    return put_user(a[1], &attr);
}

SYSCALL(sched_rr_get_interval)
{
    struct thread *t;
    u64 ns;

    if ((s32)a[0] < 0)
        return -EINVAL;
    t = target(a[0]);
    if (!t)
        return -ESRCH;
    ns = sched_slice_ns(t);
    thread_put(t);
    return timespec_to_user(a[1], ns);
}

static s64 priority_of(u64 policy, s64 realtime)
{
    if (policy == POLICY_FIFO || policy == POLICY_RR)
        return realtime;
    return policy == POLICY_OTHER || policy == POLICY_BATCH || policy == POLICY_IDLE ? 0 : -EINVAL;
}

SYSCALL(sched_get_priority_max)
{
    return priority_of(a[0], RT_PRIORITY_MAX);
}

SYSCALL(sched_get_priority_min)
{
    return priority_of(a[0], 1);
}
