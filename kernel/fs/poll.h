/* What sys/poll.c asks of fs/poll.c. */
#pragma once
#include "fs/file.h"

/* The wait queues that poll handlers name. */
struct poll_set {
    struct waiter *waiters;
    unsigned count, size;
    bool failed;
    void (*notify)(struct waiter *w); /* NULL: the running thread is woken */
    void *owner;
};

struct poll_entry {
    struct file *file; /* NULL: none; revents is taken as it stands */
    unsigned events, revents;
};
/* Waits until a file is ready or the deadline (ns since boot; 0: does not wait) is past: how many are ready; -ERESTARTSYS. */
int poll_wait(struct poll_entry *e, unsigned n, u64 deadline) __must_check;
