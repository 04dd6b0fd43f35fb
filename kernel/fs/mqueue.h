/*
 * POSIX message queues. A queue has a name of its own world (no directory lists
 * them) until it is unlinked, and lives as long as a file or the name.
 *
 * Locks: queues_lock (RANK_MQUEUES) for names; queue->lock
 * (RANK_PIPE) for what is in it.
 */
#pragma once
#include "fs/file.h"

/* Linux's struct mq_attr. */
struct mq_attr {
    s64 flags, maxmsg, msgsize, curmsgs, reserved[4];
};
struct mq_notify {
    int how;   /* SIGEV_SIGNAL or SIGEV_NONE */
    int signo;
    u64 value;
};
void mqueue_init(void);
/* name: without the slash. attr NULL: the usual size. -ENOENT, -EEXIST, -EACCES, -EINVAL, -ENOSPC, -EMFILE
 * (RLIMIT_MSGQUEUE), -ENOMEM */
int mqueue_open(const char *name, u32 flags, u32 mode, const struct mq_attr *attr, struct file **out) __must_check;
int mqueue_unlink(const char *name);
bool mqueue_is(const struct file *f);
void mqueue_closed(struct file *f); /* one of the running process's descriptors of it is closed: it is not told any more */
/* deadline: ns since boot. The file's permission and O_NONBLOCK are heeded. 0 or bytes; -EMSGSIZE, -EAGAIN, -ETIMEDOUT, … */
s64 mqueue_send(struct file *f, vaddr_t text, size_t n, u32 priority, u64 deadline);
s64 mqueue_receive(struct file *f, vaddr_t text, size_t n, u32 *priority, u64 deadline);
int mqueue_set_notify(struct file *f, const struct mq_notify *n); /* NULL: no more; -EBUSY: another process waits */
void mqueue_get_attr(struct file *f, struct mq_attr *out);
