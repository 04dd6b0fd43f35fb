/* Files that come from nowhere: eventfd2, timerfd, memfd_create. */
#include "fs/anon.h"
#include "lib/print.h"
#include "proc/process.h"
#include "sys/syscall.h"
#include "vm/uaccess.h"

#define EFD_SEMAPHORE 1u
#define CLOCK_REALTIME 0u
#define CLOCK_MONOTONIC 1u
#define CLOCK_BOOTTIME 7u
#define TFD_TIMER_ABSTIME 1u
#define TFD_TIMER_CANCEL_ON_SET 2u

SYSCALL(eventfd2)
{
    struct file *f;
    int err;

    if (a[1] & ~(u64)(EFD_SEMAPHORE | O_CLOEXEC | O_NONBLOCK))
        return -EINVAL;
    err = eventfd_create((u32)a[0], a[1] & EFD_SEMAPHORE, (u32)a[1] & O_NONBLOCK, &f);
    return err ? err : fd_give(f, a[1] & O_CLOEXEC);
}

SYSCALL(timerfd_create)
{
    struct file *f;
    int err;

    if ((a[0] != CLOCK_REALTIME && a[0] != CLOCK_MONOTONIC && a[0] != CLOCK_BOOTTIME) ||
        (a[1] & ~(u64)(O_CLOEXEC | O_NONBLOCK)))
        return -EINVAL;
    err = timerfd_create(a[0] == CLOCK_REALTIME, (u32)a[1] & O_NONBLOCK, &f);
    return err ? err : fd_give(f, a[1] & O_CLOEXEC);
}

struct itimerspec {
    struct timespec interval, value;
};

static int put_setting(vaddr_t to, const struct timerfd_setting *s)
{
    int err = timespec_to_user(to, s->interval_ns);

    return err ? err : timespec_to_user(to + sizeof(struct timespec), s->after_ns);
}

/* When it is to expire, ns since boot; what has gone by already does so at once. */
static u64 deadline_of(struct file *f, u64 flags, u64 value)
{
    u64 boot = timerfd_is_realtime(f) ? time_realtime_ns() - arch_time_ns() : 0;

    if (!value)
        return 0;
    if (!(flags & TFD_TIMER_ABSTIME))
        return time_deadline(value);
    return value > boot ? value - boot : 1;
}

static s64 set(struct file *f, const u64 *a)
{
    struct timerfd_setting old;
    u64 interval, value;
    int err;

    if (!timerfd_is(f) || (a[1] & ~(u64)(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)))
        return -EINVAL;
    err = timespec_from_user(a[2], &interval);
    if (!err)
        err = timespec_from_user(a[2] + sizeof(struct timespec), &value);
    if (err)
        return err;
    timerfd_get(f, &old);
    timerfd_set(f, deadline_of(f, a[1], value), interval);
    return a[3] ? put_setting(a[3], &old) : 0;
}

static s64 get(struct file *f, const u64 *a)
{
    struct timerfd_setting now;

    if (!timerfd_is(f))
        return -EINVAL;
    timerfd_get(f, &now);
    return put_setting(a[1], &now);
}

static s64 with_file(const u64 *a, s64 (*what)(struct file *f, const u64 *a))
{
    struct file *f = fd_get((int)a[0]);
    s64 result = f ? what(f, a) : -EBADF;

    if (f)
        file_put(f);
    return result;
}

SYSCALL(timerfd_settime)
{
    return with_file(a, set);
}

SYSCALL(timerfd_gettime)
{
    return with_file(a, get);
}

/* ---- memfd: a file of a file system that is mounted nowhere ---- */

#define MFD_CLOEXEC 1u
#define MFD_ALLOW_SEALING 2u
#define MFD_NOEXEC_SEAL 8u
#define MFD_EXEC 16u
#define MFD_NAME_MAX 249u

static struct dentry *memfd_root;

void memfd_init(void)
{
    if (!ramfs_create(&memfd_root))
        panic("no memory for memfd's file system");
}

SYSCALL(memfd_create)
{
    char name[MFD_NAME_MAX + 8] = "memfd:";
    ssize_t n = copy_string_from_user(name + 6, a[0], MFD_NAME_MAX + 1);
    struct file *f;
    int err;

    if (a[1] & ~(u64)(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC)) /* no huge pages */
        return -EINVAL;
    if ((a[1] & MFD_EXEC) && (a[1] & MFD_NOEXEC_SEAL))
        return -EINVAL;
    if (n < 0)
        return n == -ENAMETOOLONG ? -EINVAL : n;
    for (ssize_t i = 6; i < n + 6; i++)
        name[i] = name[i] == '/' ? '_' : name[i]; /* a name in a path */
    err = file_create_unnamed(memfd_root, name, O_RDWR, a[1] & MFD_NOEXEC_SEAL ? 0666 : 0777, &f);
    if (err == -ENOSPC)
        err = -ENOMEM; /* there is no disk that could be full */
    if (!err && (a[1] & (MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL)))
        f->vnode->seals = a[1] & MFD_NOEXEC_SEAL ? SEAL_EXEC : 0;
    return err ? err : fd_give(f, a[1] & MFD_CLOEXEC);
}
