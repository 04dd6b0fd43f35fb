/*
 * timerfd: a timer whose expirations are read from a file.
 *
 * The count goes up in the timer's interrupt; everything else is under the lock.
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
    _Atomic u64 expired;
    struct waitq changed;
};

/* Interrupt context. Periods that have gone by meanwhile count, too. */
static void fired(struct timer *timer)
{
    struct timerfd *t = container_of(timer, struct timerfd, timer);
    u64 interval = __atomic_load_n(&t->interval_ns, __ATOMIC_ACQUIRE), now = arch_time_ns(), periods = 1;

    if (interval) {
        periods += now > timer->deadline_ns ? (now - timer->deadline_ns) / interval : 0;
        timer_arm(timer, timer->deadline_ns + periods * interval);
    }
    atomic_fetch_add(&t->expired, periods);
    waitq_wake_all(&t->changed);
}

static void stop(struct timerfd *t)
{
    __atomic_store_n(&t->interval_ns, 0, __ATOMIC_RELEASE); /* so that a callback in flight does not arm it again */
    timer_cancel(&t->timer);
}

static bool take(struct timerfd *t, u64 *count)
{
    *count = atomic_exchange(&t->expired, 0);
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
    stop(f->priv);
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
    mutex_unlock(&t->lock);
}

void timerfd_set(struct file *f, u64 deadline_ns, u64 interval_ns)
{
    struct timerfd *t = f->priv;

    mutex_lock(&t->lock);
    stop(t);
    atomic_store(&t->expired, 0);
    if (deadline_ns) {
        __atomic_store_n(&t->interval_ns, interval_ns, __ATOMIC_RELEASE);
        timer_arm(&t->timer, deadline_ns);
    }
    mutex_unlock(&t->lock);
}
