/*
 * epoll: who watches which files, and which of them may be ready.
 *
 * An item stands in its file's wait queues from epoll_add on. A wake there puts it on
 * the list of items that may be ready and wakes who waits; epoll_collect asks each of
 * those what is ready. An item that is level-triggered goes back on the list as long as
 * it is ready; an edge-triggered one waits for the next wake.
 *
 * An item holds no reference to its file: when the file's last reference goes, so does
 * the item (epoll_file_gone).
 *
 * Locks: epoll_lock (RANK_EPOLLS), for the links between files and items, before any
 * epoll->lock (RANK_EPOLL), for the items; `ready` is under ready_lock, a spin lock, taken
 * with a wait queue's held. An epoll is not watched by another.
 */
#include "fs/anon.h"
#include "fs/poll.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "vm/kmem.h"
#include <machine/abi.h>

#define QUEUES 2 /* that a file names */
#define EVENTS_MASK 0xffffu

struct epoll {
    struct mutex lock;
    struct list items;
    struct spinlock ready_lock; /* RANK_EPOLL_READY */
    struct list ready;
    struct waitq wait; /* its lock has RANK_EPOLL_WAIT: it is taken with another wait queue's held */
};

struct item {
    struct list link, file_link, ready_link;
    struct epoll *ep;
    struct file *file;
    int fd;
    u32 events; /* 0 but for flags: spent, until it is modified */
    u64 data;
    bool queued;
    struct waiter waiters[QUEUES];
    unsigned queues;
};

static struct mutex epoll_lock;
static const struct file_ops epoll_ops;

void epoll_init(void)
{
    mutex_init(&epoll_lock, "epolls", RANK_EPOLLS);
}

bool epoll_is(const struct file *f)
{
    return f->ops == &epoll_ops;
}

/* ---- ready ---- */

static void queue(struct item *i)
{
    struct epoll *ep = i->ep;

    spin_lock(&ep->ready_lock);
    if (!i->queued)
        list_append(&ep->ready, &i->ready_link);
    i->queued = true;
    spin_unlock(&ep->ready_lock);
    waitq_wake_all(&ep->wait);
}

static void unqueue(struct item *i)
{
    spin_lock(&i->ep->ready_lock);
    if (i->queued)
        list_remove(&i->ready_link);
    i->queued = false;
    spin_unlock(&i->ep->ready_lock);
}

/* The file's wait queue is locked; interrupts may be off. */
static void on_wake(struct waiter *w)
{
    queue(w->owner);
}

/* What of what it asks for is there. ep->lock. */
static unsigned ask(struct item *i, struct poll_set *ps)
{
    unsigned ready = i->file->ops->poll(i->file, ps);

    return i->events & EVENTS_MASK ? ready & ((i->events & EVENTS_MASK) | POLLERR | POLLHUP) : 0;
}

/* ---- items; epoll_lock and ep->lock ---- */

static struct item *find(struct epoll *ep, const struct file *f, int fd)
{
    struct item *i;

    list_for_each(i, &ep->items, link)
        if (i->file == f && i->fd == fd)
            return i;
    return NULL;
}

static void item_free(struct item *i)
{
    for (unsigned n = 0; n < i->queues; n++)
        waiter_remove(&i->waiters[n]); /* no wake is under way after this */
    unqueue(i);
    list_remove(&i->link);
    list_remove(&i->file_link);
    kmem_free(i);
}

static void set_events(struct item *i, u32 events, u64 data, struct poll_set *ps)
{
    i->events = events;
    i->data = data;
    if (ask(i, ps))
        queue(i);
}

static int add_locked(struct epoll *ep, struct file *f, int fd, u32 events, u64 data)
{
    struct item *i;
    struct poll_set ps;

    if (find(ep, f, fd))
        return -EEXIST;
    i = kmem_zalloc(sizeof *i);
    if (!i)
        return -ENOMEM;
    i->ep = ep;
    i->file = f;
    i->fd = fd;
    list_append(&ep->items, &i->link);
    f->watched = true;
    list_append(&f->epoll_links, &i->file_link);
    ps = (struct poll_set){.waiters = i->waiters, .size = QUEUES, .notify = on_wake, .owner = i};
    set_events(i, events, data, &ps);
    i->queues = ps.count;
    return 0;
}

int epoll_add(struct file *epf, struct file *f, int fd, u32 events, u64 data)
{
    struct epoll *ep = epf->priv;
    int err;

    if (epoll_is(f))
        return -EINVAL;
    if (!f->ops->poll)
        return -EPERM; /* always ready, and Linux says so like this */
    mutex_lock(&epoll_lock);
    mutex_lock(&ep->lock);
    err = add_locked(ep, f, fd, events, data);
    mutex_unlock(&ep->lock);
    mutex_unlock(&epoll_lock);
    return err;
}

int epoll_modify(struct file *epf, struct file *f, int fd, u32 events, u64 data)
{
    struct epoll *ep = epf->priv;
    struct item *i;

    mutex_lock(&ep->lock);
    i = find(ep, f, fd);
    if (i)
        set_events(i, events, data, NULL);
    mutex_unlock(&ep->lock);
    return i ? 0 : -ENOENT;
}

int epoll_delete(struct file *epf, struct file *f, int fd)
{
    struct epoll *ep = epf->priv;
    struct item *i;

    mutex_lock(&epoll_lock);
    mutex_lock(&ep->lock);
    i = find(ep, f, fd);
    if (i)
        item_free(i);
    mutex_unlock(&ep->lock);
    mutex_unlock(&epoll_lock);
    return i ? 0 : -ENOENT;
}

void epoll_file_gone(struct file *f)
{
    struct item *i, *next;

    mutex_lock(&epoll_lock);
    list_for_each_safe(i, next, &f->epoll_links, file_link) {
        struct epoll *ep = i->ep;

        mutex_lock(&ep->lock);
        item_free(i);
        mutex_unlock(&ep->lock);
    }
    mutex_unlock(&epoll_lock);
}

/* ---- waiting ---- */

static struct item *next_ready(struct epoll *ep)
{
    struct item *i = NULL;

    spin_lock(&ep->ready_lock);
    if (!list_empty(&ep->ready)) {
        i = list_first(&ep->ready, struct item, ready_link);
        list_remove(&i->ready_link);
        i->queued = false;
    }
    spin_unlock(&ep->ready_lock);
    return i;
}

/* Takes what is ready, each item once. ep->lock. */
static unsigned collect_locked(struct epoll *ep, struct epoll_event_abi *out, unsigned max)
{
    struct item *again[64], *i; /* level-triggered: still ready, for the next call */
    unsigned n = 0, kept = 0;

    while (n < max && kept < ARRAY_SIZE(again) && (i = next_ready(ep))) {
        unsigned ready = ask(i, NULL);

        if (!ready)
            continue;
        memset(&out[n], 0, sizeof out[n]);
        out[n].events = ready;
        out[n++].data = i->data;
        if (i->events & EPOLLONESHOT)
            i->events &= ~EVENTS_MASK;
        else if (!(i->events & EPOLLET))
            again[kept++] = i;
    }
    for (unsigned k = 0; k < kept; k++)
        queue(again[k]);
    return n;
}

static unsigned collect(struct epoll *ep, struct epoll_event_abi *out, unsigned max)
{
    unsigned n;

    mutex_lock(&ep->lock);
    n = collect_locked(ep, out, max);
    mutex_unlock(&ep->lock);
    return n;
}

int epoll_collect(struct file *epf, struct epoll_event_abi *out, unsigned max, u64 deadline)
{
    struct epoll *ep = epf->priv;
    unsigned n = collect(ep, out, max);
    int err;

    if (n > 0 || deadline == 0)
        return (int)n;
    err = wait_event(&ep->wait, (n = collect(ep, out, max)) > 0, SLEEP_INTERRUPTIBLE, deadline);
    return n > 0 ? (int)n : err == -ETIMEDOUT ? 0 : err;
}

/* ---- the epoll as a file ---- */

static unsigned epoll_poll(struct file *f, struct poll_set *ps)
{
    struct epoll *ep = f->priv;
    unsigned ready = 0;
    struct item *i;

    poll_set_add(ps, &ep->wait);
    mutex_lock(&ep->lock);
    list_for_each(i, &ep->items, link)
        if (READ_ONCE(i->queued) && ask(i, NULL))
            ready = POLLIN | POLLRDNORM;
    mutex_unlock(&ep->lock);
    return ready;
}

static void epoll_release(struct file *f)
{
    struct epoll *ep = f->priv;
    struct item *i, *next;

    mutex_lock(&epoll_lock);
    mutex_lock(&ep->lock);
    list_for_each_safe(i, next, &ep->items, link)
        item_free(i);
    mutex_unlock(&ep->lock);
    mutex_unlock(&epoll_lock);
    kmem_free(ep);
}

static const struct file_ops epoll_ops = {.poll = epoll_poll, .release = epoll_release};

int epoll_create(u32 flags, struct file **out)
{
    struct epoll *ep = kmem_zalloc(sizeof *ep);

    if (!ep)
        return -ENOMEM;
    mutex_init(&ep->lock, "epoll", RANK_EPOLL);
    list_init(&ep->items);
    spin_init(&ep->ready_lock, "epoll ready", RANK_EPOLL_READY);
    list_init(&ep->ready);
    waitq_init(&ep->wait);
    spin_init(&ep->wait.lock, "epoll wait queue", RANK_EPOLL_WAIT);
    *out = anon_create("anon_inode:[eventpoll]", &epoll_ops, O_RDWR | flags, ep);
    if (!*out)
        kmem_free(ep);
    return *out ? 0 : -ENOMEM;
}
