/*
 * What the programs share: the clock, the calls that they measure, and how they
 * report. A program prints a line for each figure,
 *
 *     @ NAME X VALUE
 *
 * X being what it was measured against (MiB, regions, …; 0 for nothing), VALUE in
 * nanoseconds of the clock: with -icount shift=0 that is guest instructions.
 *
 * The clock is read without a system call where the machine lets programs do so
 * (RISC-V: a tick is 100 ns; so a figure below 1,000 is an average of many). What
 * reading it takes is measured at the start and taken off each figure.
 */
#pragma once
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

static inline long now(void)
{
#ifdef __riscv
    long t;

    __asm__ volatile("rdtime %0" : "=r"(t)::"memory");
    return t * 100;
#else
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000l + t.tv_nsec;
#endif
}

static long overhead; /* of now() */

static inline void calibrate(void)
{
    long start = now();

    for (int i = 0; i < 1000; i++)
        now();
    overhead = (now() - start) / 1000;
}

static inline long since(long start)
{
    long t = now() - start - overhead;

    return t > 0 ? t : 0;
}

static inline void report(const char *name, long x, long value)
{
    printf("@ %s %ld %ld\n", name, x, value);
    fflush(stdout);
}

static int bench_less(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;

    return (x > y) - (x < y);
}

/* The median of REPEATS calls of what(arg). */
static inline long repeat(long (*what)(void *), void *arg)
{
    long v[REPEATS];

    for (int i = 0; i < REPEATS; i++)
        v[i] = what(arg);
    qsort(v, REPEATS, sizeof *v, bench_less);
    return v[REPEATS / 2];
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

/* This program's own file, for exec. */
static inline const char *own_path(void)
{
    static char path[4096];

    if (readlink("/proc/self/exe", path, sizeof path - 1) < 0)
        give_up("/proc/self/exe");
    return path;
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
