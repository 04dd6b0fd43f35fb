/*
 * What the programs share: the clock, the calls that they measure, and how they
 * report. A program prints a line for each figure,
 *
 *     @ NAME X MEDIAN LEAST
 *
 * X being what it was measured against (MiB, regions, …; 0 for nothing), then the
 * median and the least of what was measured, in nanoseconds of the clock: with
 * -icount shift=0 that is guest instructions. What was measured once is its own least.
 *
 * The clock is read without a system call where the machine lets programs do so
 * (RISC-V: a tick is 100 ns; so a figure below 1,000 is an average of many. x86-64:
 * the TSC, whose rate calibrate() has found out). What
 * reading it takes is measured at the start and taken off each figure.
 */
#pragma once
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REPEATS 9
#define PAGE 4096l

#ifdef __x86_64__
static unsigned long tsc_tick = 1ul << 32; /* 2^-32 ns */

static inline unsigned long tsc(void)
{
    unsigned low, high;

    __asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high)::"memory");
    return (unsigned long)high << 32 | low;
}

/* Under -icount a tick is a nanosecond; what is measured as next to that is just that. */
static inline void measure_tsc(void)
{
    struct timespec a, b;
    unsigned long start = tsc(), ns, ticks;

    clock_gettime(CLOCK_MONOTONIC, &a);
    do {
        clock_gettime(CLOCK_MONOTONIC, &b);
        ticks = tsc() - start;
        ns = (unsigned long)((b.tv_sec - a.tv_sec) * 1000000000l + b.tv_nsec - a.tv_nsec);
    } while (ns < 20000000);
    if (ticks > ns + ns / 100 || ticks < ns - ns / 100)
        tsc_tick = (ns << 32) / ticks;
}
#else
static inline void measure_tsc(void)
{
}
#endif

static inline long now(void)
{
#if defined(__riscv)
    long t;

    __asm__ volatile("rdtime %0" : "=r"(t)::"memory");
    return t * 100;
#elif defined(__x86_64__)
    return (long)((unsigned __int128)tsc() * tsc_tick >> 32);
#else
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000l + t.tv_nsec;
#endif
}

static long overhead; /* of now() */

static inline void calibrate(void)
{
    long start;

    measure_tsc();
    start = now();
    for (int i = 0; i < 1000; i++)
        now();
    overhead = (now() - start) / 1000;
}

static inline long since(long start)
{
    long t = now() - start - overhead;

    return t > 0 ? t : 0;
}

static inline void report_both(const char *name, long x, long median, long least)
{
    printf("@ %s %ld %ld %ld\n", name, x, median, least);
    fflush(stdout);
}

static inline void report(const char *name, long x, long value)
{
    report_both(name, x, value, value);
}

static int bench_less(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;

    return (x > y) - (x < y);
}

/* Calls what(arg) `times` times, at most REPEATS, and reports what it returned. */
static inline void repeat_times(const char *name, long x, long (*what)(void *), void *arg, int times)
{
    long v[REPEATS];

    for (int i = 0; i < times; i++)
        v[i] = what(arg);
    qsort(v, (size_t)times, sizeof *v, bench_less);
    report_both(name, x, v[times / 2], v[0]);
}

static inline void repeat(const char *name, long x, long (*what)(void *), void *arg)
{
    repeat_times(name, x, what, arg, REPEATS);
}

/* fork(2) without the C library: nothing is written in the parent before it returns. */
static inline long bare_fork(void)
{
#ifdef __riscv
    register long a0 __asm__("a0") = SIGCHLD;
    register long a1 __asm__("a1") = 0, a2 __asm__("a2") = 0, a3 __asm__("a3") = 0, a4 __asm__("a4") = 0;
    register long a7 __asm__("a7") = SYS_clone;

    __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a7) : "memory");
    return a0;
#elif defined(__x86_64__)
    register long flags __asm__("rdi") = SIGCHLD;
    register long stack __asm__("rsi") = 0, parent_tid __asm__("rdx") = 0, child_tid __asm__("r10") = 0, tls __asm__("r8") = 0;
    long result = SYS_clone;

    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "r"(flags), "r"(stack), "r"(parent_tid), "r"(child_tid), "r"(tls)
                     : "rcx", "r11", "memory");
    return result;
#else
    return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
#endif
}

static inline void __attribute__((noreturn)) give_up(const char *what)
{
    perror(what);
    exit(1);
}

/* Private memory, every page of it written; NULL for 0. */
static inline volatile char *touched(long mib)
{
    volatile char *p;

    if (mib == 0)
        return NULL;
    p = mmap(NULL, (size_t)mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        give_up("mmap");
    madvise((void *)p, (size_t)mib << 20, 15 /* MADV_NOHUGEPAGE: all kernels with pages of 4 KiB */);
    for (long i = 0; i < mib * 256; i++)
        p[i * PAGE] = 1;
    return p;
}

/* A load whose value goes nowhere: a store of it would fault, too. */
static inline void load(volatile char *at)
{
    char c = *at;

    __asm__ volatile("" ::"r"(c));
}

/* This program's own file, for exec. */
static inline const char *own_path(void)
{
    static char path[4096];

    if (!path[0] && readlink("/proc/self/exe", path, sizeof path - 1) < 0)
        give_up("/proc/self/exe");
    return path;
}

/* The next of the programs' random numbers, below n; the same ones each time. */
static inline long random_below(long n)
{
    static unsigned long state = 1;

    state = state * 6364136223846793005ul + 1442695040888963407ul;
    return (long)((state >> 33) % (unsigned long)n);
}

/* A child that lives until *end is closed, and by now sleeps. */
static inline pid_t sleeper(int *end)
{
    int fd[2];
    char c;
    pid_t pid;

    if (pipe(fd))
        give_up("pipe");
    pid = fork();
    if (pid == 0) {
        close(fd[1]);
        _exit(read(fd[0], &c, 1) != 0);
    }
    close(fd[0]);
    usleep(5000);
    *end = fd[1];
    return pid;
}
