/* Linux's structures and orders of arguments that differ from machine to machine: x86-64's own. */
#pragma once
#include "proc/signal.h"
#include "sys/syscall.h"

/* asm/stat.h */
struct stat_abi {
    u64 dev, ino, nlink;
    u32 mode, uid, gid, pad;
    u64 rdev;
    s64 size, blksize, blocks;
    struct timespec atime, mtime, ctime;
    s64 unused[3];
};
_Static_assert(sizeof(struct stat_abi) == 144, "Linux's ABI");

struct epoll_event_abi { /* as a 32-bit program sees it */
    u32 events;
    u64 data __attribute__((packed));
};
_Static_assert(sizeof(struct epoll_event_abi) == 12, "Linux's ABI");

struct sigaction_abi {
    u64 handler, flags, restorer, mask;
};

static inline struct signal_action sigaction_read(const struct sigaction_abi *s)
{
    return (struct signal_action){.handler = s->handler, .flags = s->flags, .mask = s->mask,
                                  .restorer = s->flags & SA_RESTORER ? s->restorer : 0};
}

static inline struct sigaction_abi sigaction_write(const struct signal_action *s)
{
    return (struct sigaction_abi){s->handler, s->flags, s->restorer, s->mask};
}

/* Which argument of clone(2) is which. */
#define CLONE_ARG_TLS 4
#define CLONE_ARG_CHILD_TID 3
