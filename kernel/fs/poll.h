/* What sys/poll.c asks of fs/poll.c. */
#pragma once
#include "fs/file.h"

struct poll_entry {
    struct file *file; /* NULL: none; revents is taken as it stands */
    unsigned events, revents;
};
/* Waits until a file is ready or the deadline (ns since boot; 0: does not wait) is past: how many are ready; -ERESTARTSYS. */
int poll_wait(struct poll_entry *e, unsigned n, u64 deadline) __must_check;
