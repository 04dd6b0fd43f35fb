/* Time: clocks, sleeping, interval timers. */
#include "lib/string.h"
#include "proc/process.h"
#include "sys/misc.h"
#include "sys/syscall.h"
#include "vm/uaccess.h"

enum clock {
    CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW,
    CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_TAI = 11
};
#define TIMER_ABSTIME 1
enum restart_kind { RESTART_NONE, RESTART_SLEEP };

static u64 boot_realtime_ns; /* what the wall clock showed when the machine's time was 0 */

void time_init(void)
{
    u64 wall = arch_wallclock_ns();

    boot_realtime_ns = wall > arch_time_ns() ? wall - arch_time_ns() : 0;
    load_init();
}

u64 time_realtime_ns(void)
{
    return boot_realtime_ns + arch_time_ns();
}

u64 time_deadline(u64 relative_ns)
{
    u64 now = arch_time_ns();

    return relative_ns < UINT64_MAX - 1 - now ? now + relative_ns : UINT64_MAX - 1;
}

static int timespec_check(const struct timespec *t, u64 *ns)
{
    if (t->sec < 0 || t->nsec < 0 || t->nsec >= (s64)NS_PER_SEC)
        return -EINVAL;
    *ns = (u64)t->sec > UINT64_MAX / NS_PER_SEC - 2 ? UINT64_MAX - 1 : (u64)t->sec * NS_PER_SEC + (u64)t->nsec;
    return 0;
}

int timespec_from_user(vaddr_t uts, u64 *ns)
{
    struct timespec t;

    return get_user(&t, uts) ? -EFAULT : timespec_check(&t, ns);
}

int timespec_to_user(vaddr_t uts, u64 ns)
{
    struct timespec t = {(s64)(ns / NS_PER_SEC), (s64)(ns % NS_PER_SEC)};

    return put_user(uts, &t);
}

/* ---- clocks ---- */

/* What the running thread has used, the present time slice included. */
static u64 own_thread_ns(void)
{
    u64 ns;

    preempt_disable(); /* else a switch in between would move time from one summand to another */
    ns = current->utime_ns + current->stime_ns + (arch_time_ns() - current->last_ns);
    preempt_enable();
    return ns;
}

static int process_ns(struct process *p, u64 *ns)
{
    struct rusage_ns r;

    process_usage(p, false, &r);
    *ns = r.utime + r.stime;
    return 0;
}

/* The CPU clock of a process or thread (clock_getcpuclockid): the complement of its number, and what kind. */
static int cpu_clock_read(u32 clock, u64 *ns)
{
    enum { KIND = 3, KIND_SCHED = 2, OF_THREAD = 4 };
    u32 id = ~clock >> 3 & 0x1fffffff;
    struct process *p = NULL;
    struct thread *t = NULL;
    int err = -EINVAL;

    if ((clock & KIND) > KIND_SCHED)
        return -EINVAL;
    if (clock & OF_THREAD)
        t = thread_find(id ? id : current->tid);
    else
        p = process_find(id ? id : current_process()->pid);
    if (p)
        err = process_ns(p, ns);
    if (t && t->process == current_process()) {
        *ns = t == current ? own_thread_ns() : t->utime_ns + t->stime_ns;
        err = 0;
    }
    if (p)
        process_put(p);
    if (t)
        thread_put(t);
    return err;
}

static int clock_read(u64 clock, u64 *ns)
{
    if ((s32)clock < 0)
        return cpu_clock_read((u32)clock, ns);
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_TAI:
        *ns = time_realtime_ns();
        return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
        *ns = arch_time_ns();
        return 0;
    case CLOCK_PROCESS_CPUTIME_ID:
        return process_ns(current_process(), ns);
    case CLOCK_THREAD_CPUTIME_ID:
        *ns = own_thread_ns();
        return 0;
    }
    return -EINVAL;
}

SYSCALL(clock_gettime)
{
    u64 ns;
    int err = clock_read(a[0], &ns);

    return err ? err : timespec_to_user(a[1], ns);
}

SYSCALL(clock_getres)
{
    u64 ns;
    int err = clock_read(a[0], &ns);

    return err ? err : a[1] ? timespec_to_user(a[1], 1) : 0;
}

static s64 set_realtime(u64 ns)
{
    u64 up = arch_time_ns();

    if (ns < up || ns > (u64)INT64_MAX)
        return -EINVAL; /* the machine cannot have been started before 1970 */
    if (!cred_is_root())
        return -EPERM;
    boot_realtime_ns = ns - up;
    return 0;
}

SYSCALL(clock_settime)
{
    u64 ns;
    int err = timespec_from_user(a[1], &ns);

    if (a[0] != CLOCK_REALTIME)
        return -EINVAL;
    return err ? err : set_realtime(ns);
}

SYSCALL(gettimeofday)
{
    u64 now = time_realtime_ns();
    struct timeval t = {(s64)(now / NS_PER_SEC), (s64)(now % NS_PER_SEC / 1000)};
    s32 zone[2] = {0, 0};

    if ((a[0] && put_user(a[0], &t)) || (a[1] && put_user(a[1], &zone)))
        return -EFAULT;
    return 0;
}

SYSCALL(settimeofday)
{
    struct timeval t;

    if (!a[0])
        return 0;
    if (get_user(&t, a[0]))
        return -EFAULT;
    if (t.sec < 0 || t.sec > (s64)(INT64_MAX / NS_PER_SEC) || t.usec < 0 || t.usec >= 1000000)
        return -EINVAL;
    return set_realtime((u64)t.sec * NS_PER_SEC + (u64)t.usec * 1000);
}

/* ---- sleeping ---- */

/* Until the deadline; interrupted, says how much is left and remembers how to go on. */
static s64 sleep_until(u64 deadline, vaddr_t left)
{
    static struct waitq never = WAITQ_INIT(never);
    int err = wait_event(&never, false, SLEEP_INTERRUPTIBLE, deadline);
    u64 now = arch_time_ns();

    if (err == -ETIMEDOUT)
        return 0;
    if (left && timespec_to_user(left, deadline > now ? deadline - now : 0))
        return -EFAULT;
    current->restart.kind = RESTART_SLEEP;
    current->restart.deadline_ns = deadline;
    current->restart.a = left;
    return -ERESTART_RESTARTBLOCK;
}

SYSCALL(restart_syscall)
{
    u32 kind = current->restart.kind;

    (void)a;
    current->restart.kind = RESTART_NONE;
    return kind == RESTART_SLEEP ? sleep_until(current->restart.deadline_ns, current->restart.a) : -EINTR;
}

SYSCALL(nanosleep)
{
    u64 ns;
    int err = timespec_from_user(a[0], &ns);

    return err ? err : sleep_until(time_deadline(ns), a[1]);
}

SYSCALL(clock_nanosleep)
{
    u64 ns, boot = a[0] == CLOCK_REALTIME ? boot_realtime_ns : 0;
    s64 result;
    int err;

    if (a[0] != CLOCK_REALTIME && a[0] != CLOCK_MONOTONIC && a[0] != CLOCK_BOOTTIME)
        return a[0] == CLOCK_THREAD_CPUTIME_ID || a[0] > CLOCK_BOOTTIME ? -EINVAL : -EOPNOTSUPP;
    err = timespec_from_user(a[2], &ns);
    if (err)
        return err;
    if (!(a[1] & TIMER_ABSTIME))
        return sleep_until(time_deadline(ns), a[3]);
    result = sleep_until(ns > boot ? ns - boot : 0, 0);
    return result == -ERESTART_RESTARTBLOCK ? -ERESTARTNOHAND : result;
}

/* ---- ITIMER_REAL ---- */

struct itimerval {
    struct timeval interval, value;
};

static struct timeval to_timeval(u64 ns)
{
    return (struct timeval){(s64)(ns / NS_PER_SEC), (s64)((ns % NS_PER_SEC + 999) / 1000)};
}

static int itimer_put(vaddr_t to)
{
    u64 left, interval;
    struct itimerval v;

    itimer_get(current_process(), &left, &interval);
    v = (struct itimerval){to_timeval(interval), to_timeval(left)};
    return put_user(to, &v);
}

SYSCALL(getitimer)
{
    return a[0] ? -EINVAL : itimer_put(a[1]);
}

static bool timeval_ok(const struct timeval *t)
{
    return t->sec >= 0 && t->sec < (s64)(UINT64_MAX / NS_PER_SEC / 4) && t->usec >= 0 && t->usec < 1000000;
}

SYSCALL(setitimer)
{
    struct itimerval v = {0};

    if (a[0])
        return -EINVAL;
    if (a[1] && get_user(&v, a[1]))
        return -EFAULT;
    if (!timeval_ok(&v.value) || !timeval_ok(&v.interval))
        return -EINVAL;
    if (a[2] && itimer_put(a[2]))
        return -EFAULT;
    itimer_set(current_process(), (u64)v.value.sec * NS_PER_SEC + (u64)v.value.usec * 1000,
               (u64)v.interval.sec * NS_PER_SEC + (u64)v.interval.usec * 1000);
    return 0;
}
