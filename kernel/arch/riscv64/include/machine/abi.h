/* Linux's structures and orders of arguments that differ from machine to machine: here the generic ones. */
#pragma once
#include "proc/signal.h"
#include "sys/syscall.h"

/* asm-generic/stat.h */
struct stat_abi {
    u64 dev, ino;
    u32 mode, nlink, uid, gid;
    u64 rdev, pad1;
    s64 size;
    s32 blksize, pad2;
    s64 blocks;
    struct timespec atime, mtime, ctime;
    u32 unused[2];
};
_Static_assert(sizeof(struct stat_abi) == 128, "Linux's ABI");

struct epoll_event_abi {
    u32 events, pad;
    u64 data;
};

struct sigaction_abi { /* no sa_restorer */
    u64 handler, flags, mask;
};

static inline struct signal_action sigaction_read(const struct sigaction_abi *s)
{
    return (struct signal_action){.handler = s->handler, .flags = s->flags, .mask = s->mask};
}

static inline struct sigaction_abi sigaction_write(const struct signal_action *s)
{
    return (struct sigaction_abi){s->handler, s->flags, s->mask};
}

/* Which argument of clone(2) is which. */
#define CLONE_ARG_TLS 3
#define CLONE_ARG_CHILD_TID 4
