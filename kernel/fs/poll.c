/*
 * Waiting for files: a set of the wait queues that the files in question named.
 * They are all joined before any file is asked, so no change is missed.
 */
#include "fs/poll.h"
#include "lib/errno.h"
#include "vm/kmem.h"

void poll_set_add(struct poll_set *ps, struct waitq *q)
{
    if (!ps || ps->failed)
        return;
    if (ps->count == ps->size) {
        ps->failed = true;
        return;
    }
    if (ps->notify)
        waiter_add_notify(q, &ps->waiters[ps->count++], ps->notify, ps->owner);
    else
        waiter_add(q, &ps->waiters[ps->count++], SLEEP_INTERRUPTIBLE);
}

/* One round: asks every file; how many are ready. ps is given in the first round only. */
static int ask(struct poll_entry *e, unsigned n, struct poll_set *ps)
{
    int ready = 0;

    for (unsigned i = 0; i < n; i++) {
        if (!e[i].file) {
            ready += e[i].revents != 0;
            continue;
        }
        e[i].revents = (e[i].file->ops->poll ? e[i].file->ops->poll(e[i].file, ps)
                                             : POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM) &
                       (e[i].events | POLLERR | POLLHUP);
        ready += e[i].revents != 0;
    }
    return ready;
}

int poll_wait(struct poll_entry *e, unsigned n, u64 deadline)
{
    struct poll_set ps = {.size = 2 * n + 1}; /* a file names two queues at most */
    int ready, err = 0;

    ps.waiters = kmem_alloc(ps.size * sizeof *ps.waiters);
    if (!ps.waiters)
        return -ENOMEM;
    ready = ask(e, n, &ps);
    while (ready == 0 && !err && deadline != 0) {
        err = wait_block_many(ps.waiters, ps.count, SLEEP_INTERRUPTIBLE, deadline);
        ready = ask(e, n, NULL);
    }
    for (unsigned i = 0; i < ps.count; i++)
        waiter_remove(&ps.waiters[i]);
    kmem_free(ps.waiters);
    if (ready)
        return ready;
    return err == -ETIMEDOUT ? 0 : err;
}
