/*
 * System calls: the dispatcher and the handlers.
 *
 * A handler takes the six argument registers and returns a result or a negative
 * errno; it decodes, checks and calls the subsystem. machine/syscalls.h lists
 * this machine's numbers as X(number, name); handlers are sys_NAME. Calls that
 * are not listed return -ENOSYS (and are traced with cowslip.trace=1).
 */
#pragma once
#include "lib/errno.h"
#include "lib/types.h"

struct trapframe;
void syscall_init(void), time_init(void), memfd_init(void);
void syscall_dispatch(struct trapframe *tf); /* interrupts on */

#define SYSCALL(name)           \
    s64 sys_##name(const u64 *a); \
    s64 sys_##name(const u64 *a)

/* Handlers that another personality has use for. */
s64 sys_getpid(const u64 *a), sys_kill(const u64 *a), sys_dup(const u64 *a), sys_pipe2(const u64 *a), sys_close(const u64 *a);

/* Linux's 64-bit structures that several files decode. */
struct timespec {
    s64 sec, nsec;
};
struct timeval {
    s64 sec, usec;
};
#define NS_PER_SEC 1000000000ul
/* From user memory: nanoseconds, or -EFAULT / -EINVAL. Values beyond what 64 bits of ns hold become UINT64_MAX - 1. */
int timespec_from_user(vaddr_t uts, u64 *ns) __must_check;
int timespec_to_user(vaddr_t uts, u64 ns) __must_check;
u64 time_realtime_ns(void); /* since 1970: boot-time wall clock + what was set + uptime */
u64 time_deadline(u64 relative_ns); /* arch_time_ns() + relative, saturating */
