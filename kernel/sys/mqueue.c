/* POSIX message queues: mq_open(2) and kin. libc has taken the slash off the name. */
#include "fs/mqueue.h"
#include "lib/string.h"
#include "proc/itimer.h"
#include "sys/syscall.h"
#include "vm/uaccess.h"

static int name_from_user(char name[NAME_MAX + 1], vaddr_t from)
{
    ssize_t n = copy_string_from_user(name, from, NAME_MAX + 1);

    if (n < 0)
        return (int)n;
    if (n == 0)
        return -ENOENT;
    return memchr(name, '/', (size_t)n) || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ? -EACCES : 0;
}

/* mq_open(name, flags, mode, attr) */
SYSCALL(mq_open)
{
    char name[NAME_MAX + 1];
    struct mq_attr attr;
    struct file *f;
    int err = name_from_user(name, a[0]);

    if (!err && a[3] && get_user(&attr, a[3]))
        err = -EFAULT;
    if (!err)
        err = fd_room(); /* before there is a new queue */
    if (!err)
        err = mqueue_open(name, (u32)a[1], (u32)a[2] & ~current_process()->fs->umask, a[3] ? &attr : NULL, &f);
    return err ? err : fd_give(f, true);
}

SYSCALL(mq_unlink)
{
    char name[NAME_MAX + 1];
    int err = name_from_user(name, a[0]);

    return err ? err : mqueue_unlink(name);
}

static struct file *queue_get(u64 fd)
{
    struct file *f = fd_get((int)fd);

    if (f && !mqueue_is(f)) {
        file_put(f);
        f = NULL;
    }
    return f;
}

/* A time of day at which to give up. */
static int deadline_from_user(vaddr_t from, u64 *deadline)
{
    u64 ns, boot = time_realtime_ns() - arch_time_ns();
    int err;

    *deadline = UINT64_MAX;
    if (!from)
        return 0;
    err = timespec_from_user(from, &ns);
    if (!err)
        *deadline = ns > boot ? ns - boot : 0;
    return err;
}

/* mq_timedsend(fd, text, length, priority, deadline) */
SYSCALL(mq_timedsend)
{
    u64 deadline;
    s64 result = deadline_from_user(a[4], &deadline);
    struct file *f;

    if (result)
        return result;
    f = queue_get(a[0]);
    if (!f)
        return -EBADF;
    result = mqueue_send(f, a[1], a[2], (u32)a[3], deadline);
    file_put(f);
    return result;
}

/* mq_timedreceive(fd, text, size, priority, deadline) */
SYSCALL(mq_timedreceive)
{
    u32 priority = 0;
    u64 deadline;
    s64 result = deadline_from_user(a[4], &deadline);
    struct file *f;

    if (result)
        return result;
    f = queue_get(a[0]);
    if (!f)
        return -EBADF;
    result = mqueue_receive(f, a[1], a[2], &priority, deadline);
    file_put(f);
    return result >= 0 && a[3] && put_user(a[3], &priority) ? -EFAULT : result;
}

SYSCALL(mq_notify)
{
    struct {
        u64 value;
        s32 signo, notify;
    } e = {0};
    struct mq_notify n;
    struct file *f;
    int err;

    if (a[1] && copy_from_user(&e, a[1], sizeof e))
        return -EFAULT;
    if (a[1] && e.notify != SIGEV_NONE && (e.notify != SIGEV_SIGNAL || e.signo < 0 || e.signo > SIG_COUNT))
        return -EINVAL;
    f = queue_get(a[0]);
    if (!f)
        return -EBADF;
    n = (struct mq_notify){e.signo ? e.notify : SIGEV_NONE, e.signo, e.value};
    err = mqueue_set_notify(f, a[1] ? &n : NULL);
    file_put(f);
    return err;
}

/* mq_getsetattr(fd, new, old): only O_NONBLOCK is set. */
SYSCALL(mq_getsetattr)
{
    struct mq_attr new, old;
    struct file *f;

    if (a[1] && get_user(&new, a[1]))
        return -EFAULT;
    if (a[1] && (new.flags & ~(s64)O_NONBLOCK))
        return -EINVAL;
    f = queue_get(a[0]);
    if (!f)
        return -EBADF;
    mqueue_get_attr(f, &old);
    if (a[1])
        f->flags = (f->flags & ~O_NONBLOCK) | (u32)new.flags;
    file_put(f);
    return a[2] ? put_user(a[2], &old) : 0;
}
