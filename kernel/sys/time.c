/* Time: clocks and sleeping. */
#include "lib/string.h"
#include "proc/itimer.h"
#include "proc/vdso.h"
#include "sys/misc.h"
#include "sys/syscall.h"
#include "vm/uaccess.h"

#define TIMER_ABSTIME 1
#define LOOK_AGAIN_NS 1000000ul
enum restart_kind { RESTART_NONE, RESTART_SLEEP };

static struct waitq clock_was_set = WAITQ_INIT(clock_was_set);
static u64 boot_realtime_ns; /* what the wall clock showed when the machine's time was 0 */

void time_init(void)
{
    u64 wall = arch_wallclock_ns();

    boot_realtime_ns = wall > arch_time_ns() ? wall - arch_time_ns() : 0;
    vdso_set_realtime(boot_realtime_ns);
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

/* The CPU clock of a process or thread (clock_getcpuclockid): the complement of its number, and what kind. */
static int cpu_clock_read(u32 clock, u64 *ns)
{
    u32 id = cpu_clock_id(clock);
    struct process *p = NULL;
    struct thread *t = NULL;
    int err;

    if ((clock & CPU_CLOCK_KIND) > CPU_CLOCK_SCHED)
        return -EINVAL;
    if (clock & CPU_CLOCK_OF_THREAD)
        t = thread_find(id ? id : current->tid);
    else
        p = process_find(id ? id : current_process()->pid);
    err = p || t ? 0 : -EINVAL;
    if (p)
        *ns = process_cpu_ns(p);
    if (t && t->process == current_process())
        *ns = thread_cpu_ns(t);
    else if (t)
        err = -EINVAL;
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
        *ns = process_cpu_ns(current_process());
        return 0;
    case CLOCK_THREAD_CPUTIME_ID:
        *ns = thread_cpu_ns(current);
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
    s64 ahead;

    if (ns < up || ns > (u64)INT64_MAX)
        return -EINVAL; /* the machine cannot have been started before 1970 */
    if (!cred_is_root())
        return -EPERM;
    ahead = (s64)(ns - up - boot_realtime_ns);
    boot_realtime_ns = ns - up;
    vdso_set_realtime(boot_realtime_ns);
    posix_timers_clock_was_set(ahead);
    waitq_wake_all(&clock_was_set);
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

static struct waitq never = WAITQ_INIT(never);

/* Until the deadline; interrupted, says how much is left and remembers how to go on. */
static s64 sleep_until(u64 deadline, vaddr_t left)
{
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

/* Until the wall clock shows this, which may be set meanwhile. */
static s64 sleep_until_realtime(u64 ns)
{
    int err;

    do {
        u64 boot = boot_realtime_ns;

        err = wait_event(&clock_was_set, READ_ONCE(boot_realtime_ns) != boot, SLEEP_INTERRUPTIBLE, ns > boot ? ns - boot : 0);
    } while (err == 0);
    return err == -ETIMEDOUT ? 0 : -ERESTARTNOHAND;
}

/* Until the process has used so much CPU time; looks now and then. */
static s64 sleep_until_used(struct process *p, u64 ns)
{
    u64 used;

    while ((used = process_cpu_ns(p)) < ns) {
        u64 wait = MAX((ns - used) / MAX(MIN(READ_ONCE(p->thread_count), cpu_count), 1u), LOOK_AGAIN_NS);

        if (wait_event(&never, false, SLEEP_INTERRUPTIBLE, time_deadline(wait)) != -ETIMEDOUT)
            return -ERESTARTNOHAND;
    }
    return 0;
}

static s64 sleep_by_process(u32 pid, bool absolute, u64 ns)
{
    struct process *p = process_find(pid ? pid : current_process()->pid);
    s64 result;

    if (!p)
        return -EINVAL;
    result = sleep_until_used(p, absolute ? ns : time_deadline(ns) - arch_time_ns() + process_cpu_ns(p));
    process_put(p);
    return result;
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
    bool absolute = a[1] & TIMER_ABSTIME;
    s64 result;
    u64 ns;
    int err;

    if (a[0] == CLOCK_THREAD_CPUTIME_ID || clock_read(a[0], &ns))
        return -EINVAL;
    if (a[0] == CLOCK_MONOTONIC_RAW || a[0] == CLOCK_REALTIME_COARSE || a[0] == CLOCK_MONOTONIC_COARSE)
        return -EOPNOTSUPP;
    err = timespec_from_user(a[2], &ns);
    if (err)
        return err;
    if ((s32)a[0] < 0)
        return a[0] & CPU_CLOCK_OF_THREAD ? -EINVAL : sleep_by_process(cpu_clock_id((u32)a[0]), absolute, ns);
    if (a[0] == CLOCK_PROCESS_CPUTIME_ID)
        return sleep_by_process(current_process()->pid, absolute, ns);
    if (!absolute)
        return sleep_until(time_deadline(ns), a[3]);
    if (a[0] == CLOCK_REALTIME || a[0] == CLOCK_TAI)
        return sleep_until_realtime(ns);
    result = sleep_until(ns, 0);
    return result == -ERESTART_RESTARTBLOCK ? -ERESTARTNOHAND : result;
}
