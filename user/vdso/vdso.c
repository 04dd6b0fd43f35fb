/*
 * The vDSO: a shared object that the kernel maps into every program, so that
 * libc asks for the time without a trap (vdso(7)). It is position independent,
 * has no data of its own, and lies in one page; the page behind it is the
 * kernel's (proc/vdso.h), which writes it when the wall clock is set.
 */
#include "proc/vdso.h"
#include "machine.h"

struct timespec {
    long sec, nsec;
};
struct timeval {
    long sec, usec;
};
enum { REALTIME, MONOTONIC, MONOTONIC_RAW = 4, REALTIME_COARSE, MONOTONIC_COARSE, BOOTTIME, TAI = 11 };
#define NS_PER_SEC 1000000000ul

extern const struct vdso_data vdso_data __attribute__((visibility("hidden")));

static unsigned long since_boot(void)
{
    return (unsigned long)((unsigned __int128)machine_ticks() * vdso_data.tick_ns >> 32);
}

static unsigned long since_1970(void)
{
    return since_boot() + __atomic_load_n(&vdso_data.boot_realtime_ns, __ATOMIC_RELAXED);
}

int VDSO_NAME(clock_gettime)(int clock, struct timespec *t);
int VDSO_NAME(clock_gettime)(int clock, struct timespec *t)
{
    unsigned long ns;

    switch (clock) {
    case REALTIME:
    case REALTIME_COARSE:
    case TAI:
        ns = since_1970();
        break;
    case MONOTONIC:
    case MONOTONIC_RAW:
    case MONOTONIC_COARSE:
    case BOOTTIME:
        ns = since_boot();
        break;
    default:
        return (int)machine_call(CALL_CLOCK_GETTIME, clock, (long)t);
    }
    t->sec = (long)(ns / NS_PER_SEC);
    t->nsec = (long)(ns % NS_PER_SEC);
    return 0;
}

int VDSO_NAME(gettimeofday)(struct timeval *t, void *zone);
int VDSO_NAME(gettimeofday)(struct timeval *t, void *zone)
{
    unsigned long ns = since_1970();

    if (zone)
        return (int)machine_call(CALL_GETTIMEOFDAY, (long)t, (long)zone);
    if (t)
        *t = (struct timeval){(long)(ns / NS_PER_SEC), (long)(ns % NS_PER_SEC / 1000)};
    return 0;
}

int VDSO_NAME(clock_getres)(int clock, struct timespec *t);
int VDSO_NAME(clock_getres)(int clock, struct timespec *t)
{
    return (int)machine_call(CALL_CLOCK_GETRES, clock, (long)t);
}
