/*
 * timerfd: a timer whose expirations are read from a file.
 *
 * The timer's interrupt says that it has expired; everything else is under the lock.
 */
#include "fs/anon.h"
#include "lib/errno.h"
#include "proc/sched.h"
#include "vm/kmem.h"

struct timerfd {
    struct mutex lock; /* RANK_PIPE: settings */
    bool realtime;     /* absolute times are of the wall clock */
    struct timer timer;
    u64 interval_ns;
    _Atomic bool expired; /* since it was read or set */
    struct waitq changed;
};

/* Interrupt context. It is armed again when it is read: however short the interval, there is one interrupt for each read. */
static void fired(struct timer *timer)
{
    struct timerfd *t = container_of(timer, struct timerfd, timer);

    atomic_store(&t->expired, true);
    waitq_wake_all(&t->changed);
}

/* Periods that have gone by, and the timer is armed for the next; t->lock. */
static u64 forward(struct timerfd *t)
{
    u64 now = arch_time_ns(), deadline = t->timer.deadline_ns, periods = 1, next;

    atomic_store(&t->expired, false);
    if (t->interval_ns == 0)
        return 1;
    periods += now > deadline ? (now - deadline) / t->interval_ns : 0;
    if (!__builtin_mul_overflow(periods, t->interval_ns, &next) && !__builtin_add_overflow(next, deadline, &next))
        timer_arm(&t->timer, next); /* else it is later than the end of time */
    return periods;
}

static bool take(struct timerfd *t, u64 *count)
{
    mutex_lock(&t->lock);
    *count = atomic_load(&t->expired) ? forward(t) : 0;
    mutex_unlock(&t->lock);
    return *count > 0;
}

static ssize_t timerfd_read(struct file *f, struct uio *u, u64 *pos)
{
    struct timerfd *t = f->priv;
    u64 count;
    int err;

    (void)pos;
    if (u->left < sizeof count)
        return -EINVAL;
    if (!take(t, &count)) {
        if (f->flags & O_NONBLOCK)
            return -EAGAIN;
        err = wait_event(&t->changed, take(t, &count), SLEEP_INTERRUPTIBLE, UINT64_MAX);
        if (err)
            return err;
    }
    return uio_put(u, &count, sizeof count) == sizeof count ? (ssize_t)sizeof count : -EFAULT;
}

static unsigned timerfd_poll(struct file *f, struct poll_set *ps)
{
    struct timerfd *t = f->priv;

    poll_set_add(ps, &t->changed);
    return atomic_load(&t->expired) ? POLLIN : 0;
}

static void timerfd_release(struct file *f)
{
    struct timerfd *t = f->priv;

    timer_cancel(&t->timer);
    kmem_free(f->priv);
}

static const struct file_ops timerfd_ops = {.read = timerfd_read, .poll = timerfd_poll, .release = timerfd_release};

bool timerfd_is(const struct file *f)
{
    return f->ops == &timerfd_ops;
}

bool timerfd_is_realtime(const struct file *f)
{
    return ((const struct timerfd *)f->priv)->realtime;
}

int timerfd_create(bool realtime, u32 flags, struct file **out)
{
    struct timerfd *t = kmem_zalloc(sizeof *t);

    if (!t)
        return -ENOMEM;
    mutex_init(&t->lock, "timerfd", RANK_PIPE);
    waitq_init(&t->changed);
    t->timer.fn = fired;
    t->realtime = realtime;
    *out = anon_create("anon_inode:[timerfd]", &timerfd_ops, O_RDWR | flags, t);
    if (!*out)
        kmem_free(t);
    return *out ? 0 : -ENOMEM;
}

void timerfd_get(struct file *f, struct timerfd_setting *out)
{
    struct timerfd *t = f->priv;
    u64 now = arch_time_ns();

    mutex_lock(&t->lock);
    out->interval_ns = t->interval_ns;
    out->after_ns = !t->timer.armed ? 0 : t->timer.deadline_ns > now ? t->timer.deadline_ns - now : 1;
    if (atomic_load(&t->expired) && t->interval_ns) /* it goes on, though nobody has read it */
        out->after_ns = t->interval_ns - (now - t->timer.deadline_ns) % t->interval_ns;
    mutex_unlock(&t->lock);
}

void timerfd_set(struct file *f, u64 deadline_ns, u64 interval_ns)
{
    struct timerfd *t = f->priv;

    mutex_lock(&t->lock);
    timer_cancel(&t->timer);
    atomic_store(&t->expired, false);
    t->interval_ns = deadline_ns ? interval_ns : 0;
    if (deadline_ns)
        timer_arm(&t->timer, deadline_ns);
    mutex_unlock(&t->lock);
}
