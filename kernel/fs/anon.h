/* Files that are no files: what eventfd(2), timerfd_create(2) and epoll_create1(2) return. */
#pragma once
#include "fs/file.h"

/* A file without a place; name, which stays, is what /proc/PID/fd shows. NULL: no memory, and priv is still the caller's. */
struct file *anon_create(const char *name, const struct file_ops *ops, u32 flags, void *priv) __must_check;
const char *anon_name(const struct file *f); /* NULL: it is another kind of file */

int eventfd_create(u64 count, bool semaphore, u32 flags, struct file **out) __must_check;

/* timerfd: times in ns since boot. */
struct timerfd_setting {
    u64 after_ns;    /* until it expires; 0: it is off */
    u64 interval_ns; /* 0: once */
};
int timerfd_create(bool realtime, u32 flags, struct file **out) __must_check;
bool timerfd_is(const struct file *f), timerfd_is_realtime(const struct file *f);
void timerfd_get(struct file *f, struct timerfd_setting *out);
void timerfd_set(struct file *f, u64 deadline_ns, u64 interval_ns); /* deadline 0: off */

/* signalfd */
int signalfd_create(u64 mask, u32 flags, struct file **out) __must_check;
bool signalfd_set_mask(struct file *f, u64 mask); /* false: it is none */

/* epoll: who is interested in which file. Events are Linux's EPOLL* numbers. */
#define EPOLLET (1u << 31)
#define EPOLLONESHOT (1u << 30)
#define EPOLLWAKEUP (1u << 29)
#define EPOLLEXCLUSIVE (1u << 28)
struct epoll_event_abi; /* machine/abi.h */
void epoll_init(void);
int epoll_create(u32 flags, struct file **out) __must_check;
bool epoll_is(const struct file *f);
int epoll_add(struct file *ep, struct file *f, int fd, u32 events, u64 data); /* -EEXIST, -EPERM, -EINVAL, -ENOMEM */
int epoll_modify(struct file *ep, struct file *f, int fd, u32 events, u64 data); /* -ENOENT */
int epoll_delete(struct file *ep, struct file *f, int fd);               /* -ENOENT */
/* Up to max events into `out`, how many; 0 after the deadline (ns since boot; 0: does not wait); -ERESTARTSYS. */
int epoll_collect(struct file *ep, struct epoll_event_abi *out, unsigned max, u64 deadline);
void epoll_file_gone(struct file *f); /* its last reference is gone: nobody watches it any more */
