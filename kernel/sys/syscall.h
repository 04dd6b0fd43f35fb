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

/* What older calls of a machine mean, too: poll's and select's arguments, with a deadline (ns since boot) in place of the
 * time; two times of a file, which the path (0: none, dirfd itself) names. */
s64 poll_until(const u64 *a, u64 deadline, vaddr_t umask, u64 mask_size);
s64 select_until(const u64 *a, u64 deadline, vaddr_t umask, u64 mask_size);
struct timespec;
s64 utimes_at(int dirfd, vaddr_t path, u64 flags, const struct timespec *t);
#define UTIME_NOW 0x3fffffff /* as nsec */

/* Linux's 64-bit structures that several files decode. */
struct timespec {
    s64 sec, nsec;
};
struct timeval {
    s64 sec, usec;
};
#define NS_PER_SEC 1000000000ul
enum clock {
    CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW,
    CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_TAI = 11
};
/* A CPU clock's number (clock_getcpuclockid): a process or thread, complemented, and these bits. */
enum { CPU_CLOCK_KIND = 3, CPU_CLOCK_SCHED = 2, CPU_CLOCK_OF_THREAD = 4 };
static inline u32 cpu_clock_id(u32 clock)
{
    return ~clock >> 3 & 0x1fffffff; /* 0: the running one */
}
/* From user memory: nanoseconds, or -EFAULT / -EINVAL. Values beyond what 64 bits of ns hold become UINT64_MAX - 1. */
int timespec_from_user(vaddr_t uts, u64 *ns) __must_check;
int timespec_to_user(vaddr_t uts, u64 ns) __must_check;
u64 time_realtime_ns(void); /* since 1970: boot-time wall clock + what was set + uptime */
u64 time_deadline(u64 relative_ns); /* arch_time_ns() + relative, saturating */
