/*
 * System calls that only this machine has: arch_prctl(2), and those from before
 * the calls that take a folder's descriptor or flags, which newer machines do
 * without. Each is another call with its arguments moved.
 */
#include "fs/file.h"
#include "machine.h"
#include "proc/clone.h"
#include "proc/itimer.h"
#include "proc/process.h"
#include "sys/syscall.h"
#include "vm/uaccess.h"
#include <machine/syscalls.h>

#define X(number, name) SYSCALL(name);
MACHINE_SYSCALLS(X)
#undef X

#define CALL(name, ...) sys_##name((const u64[6]){__VA_ARGS__})
#define HERE ((u64)AT_FDCWD)
#define AT_SYMLINK_NOFOLLOW 0x100
#define AT_REMOVEDIR 0x200
#define F_GETFD 1

/* ---- arch_prctl(code, address) ---- */

enum { ARCH_SET_GS = 0x1001, ARCH_SET_FS, ARCH_GET_FS, ARCH_GET_GS };

SYSCALL(arch_prctl)
{
    struct trapframe *tf = current->frame;
    u64 *base = a[0] == ARCH_SET_GS || a[0] == ARCH_GET_GS ? &tf->gs_base : &tf->fs_base;

    switch (a[0]) {
    case ARCH_SET_FS:
    case ARCH_SET_GS:
        if (a[1] >= USER_TOP)
            return -EPERM;
        preempt_disable();
        *base = a[1];
        fpu_set_bases(tf);
        preempt_enable();
        return 0;
    case ARCH_GET_FS:
    case ARCH_GET_GS:
        return put_user(a[1], base);
    default:
        return -EINVAL;
    }
}

/* ---- processes ---- */

SYSCALL(fork)
{
    struct clone_args c = {.exit_signal = SIGCHLD};

    (void)a;
    return process_clone(&c, current->frame);
}

SYSCALL(vfork)
{
    struct clone_args c = {.flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD};

    (void)a;
    return process_clone(&c, current->frame);
}

SYSCALL(getpgrp)
{
    (void)a;
    return CALL(getpgid, 0);
}

SYSCALL(pause)
{
    static struct waitq never = WAITQ_INIT(never);
    int err = wait_event(&never, false, SLEEP_INTERRUPTIBLE, UINT64_MAX);

    (void)a;
    return err == -ERESTARTSYS ? -ERESTARTNOHAND : err;
}

/* Seconds, rounded up when there is anything left. */
SYSCALL(alarm)
{
    struct process_timers *all = process_timers();
    struct itimer_setting left, new = {.after_ns = (u32)a[0] * NS_PER_SEC};

    if (!all)
        return -ENOMEM;
    mutex_lock(&all->lock);
    itimer_get(&all->itimer[ITIMER_REAL], &left);
    itimer_set(&all->itimer[ITIMER_REAL], &new);
    mutex_unlock(&all->lock);
    return (s64)((left.after_ns + NS_PER_SEC - 1) / NS_PER_SEC);
}

SYSCALL(time)
{
    s64 now = (s64)(time_realtime_ns() / NS_PER_SEC);

    return a[0] && put_user(a[0], &now) ? -EFAULT : now;
}

/* ---- descriptors ---- */

SYSCALL(open)
{
    return CALL(openat, HERE, a[0], a[1], a[2]);
}

SYSCALL(creat)
{
    return CALL(openat, HERE, a[0], O_CREAT | O_WRONLY | O_TRUNC, a[1]);
}

SYSCALL(pipe)
{
    return CALL(pipe2, a[0], 0);
}

SYSCALL(dup2)
{
    if ((u32)a[0] == (u32)a[1])
        return CALL(fcntl, a[0], F_GETFD) < 0 ? -EBADF : (s64)(u32)a[0];
    return CALL(dup3, a[0], a[1], 0);
}

SYSCALL(eventfd)
{
    return CALL(eventfd2, a[0], 0);
}

SYSCALL(signalfd)
{
    return CALL(signalfd4, a[0], a[1], a[2], 0);
}

SYSCALL(epoll_create)
{
    return (s32)a[0] <= 0 ? -EINVAL : CALL(epoll_create1, 0);
}

SYSCALL(epoll_wait)
{
    return CALL(epoll_pwait, a[0], a[1], a[2], a[3], 0, 0);
}

SYSCALL(poll)
{
    s32 ms = (s32)a[2];

    return poll_until(a, ms < 0 ? UINT64_MAX : ms == 0 ? 0 : time_deadline((u64)ms * 1000000), 0, 0);
}

#define SECONDS_MAX ((s64)(UINT64_MAX / NS_PER_SEC / 8))

/* What is left of the time is told, as Linux does. */
SYSCALL(select)
{
    struct timeval t;
    u64 deadline = UINT64_MAX, now;
    s64 result;

    if (a[4]) {
        if (get_user(&t, a[4]))
            return -EFAULT;
        if (t.sec < 0 || t.usec < 0)
            return -EINVAL;
        t.sec = MIN(MIN(t.sec, SECONDS_MAX) + t.usec / 1000000, SECONDS_MAX);
        deadline = (u64)t.sec * NS_PER_SEC + (u64)(t.usec % 1000000) * 1000;
        deadline = deadline ? time_deadline(deadline) : 0;
    }
    result = select_until(a, deadline, 0, 0);
    if (!a[4])
        return result;
    now = arch_time_ns();
    now = deadline > now ? deadline - now : 0;
    t = (struct timeval){(s64)(now / NS_PER_SEC), (s64)(now % NS_PER_SEC / 1000)};
    if (put_user(a[4], &t))
        return result; /* what was found counts, as on Linux */
    return result;
}

/* ---- names ---- */

SYSCALL(stat)
{
    return CALL(newfstatat, HERE, a[0], a[1], 0);
}

SYSCALL(lstat)
{
    return CALL(newfstatat, HERE, a[0], a[1], AT_SYMLINK_NOFOLLOW);
}

SYSCALL(access)
{
    return CALL(faccessat, HERE, a[0], a[1]);
}

SYSCALL(rename)
{
    return CALL(renameat2, HERE, a[0], HERE, a[1], 0);
}

SYSCALL(renameat)
{
    return CALL(renameat2, a[0], a[1], a[2], a[3], 0);
}

SYSCALL(mkdir)
{
    return CALL(mkdirat, HERE, a[0], a[1]);
}

SYSCALL(rmdir)
{
    return CALL(unlinkat, HERE, a[0], AT_REMOVEDIR);
}

SYSCALL(mknod)
{
    return CALL(mknodat, HERE, a[0], a[1], a[2]);
}

SYSCALL(link)
{
    return CALL(linkat, HERE, a[0], HERE, a[1], 0);
}

SYSCALL(unlink)
{
    return CALL(unlinkat, HERE, a[0], 0);
}

SYSCALL(symlink)
{
    return CALL(symlinkat, a[0], HERE, a[1]);
}

SYSCALL(readlink)
{
    return CALL(readlinkat, HERE, a[0], a[1], a[2]);
}

SYSCALL(chmod)
{
    return CALL(fchmodat, HERE, a[0], a[1]);
}

SYSCALL(chown)
{
    return CALL(fchownat, HERE, a[0], a[1], a[2], 0);
}

SYSCALL(lchown)
{
    return CALL(fchownat, HERE, a[0], a[1], a[2], AT_SYMLINK_NOFOLLOW);
}

SYSCALL(utime)
{
    struct timespec t[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
    s64 seconds[2];

    if (a[1]) {
        if (get_user(&seconds, a[1]))
            return -EFAULT;
        t[0] = (struct timespec){seconds[0], 0};
        t[1] = (struct timespec){seconds[1], 0};
    }
    return utimes_at(AT_FDCWD, a[0], 0, t);
}

SYSCALL(futimesat)
{
    struct timespec t[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
    struct timeval v[2];

    if (a[2]) {
        if (get_user(&v, a[2]))
            return -EFAULT;
        for (unsigned i = 0; i < 2; i++) {
            if (v[i].usec < 0 || v[i].usec >= 1000000)
                return -EINVAL;
            t[i] = (struct timespec){v[i].sec, v[i].usec * 1000};
        }
    }
    return utimes_at((int)a[0], a[1], 0, t);
}

SYSCALL(utimes)
{
    return CALL(futimesat, HERE, a[0], a[1]);
}
