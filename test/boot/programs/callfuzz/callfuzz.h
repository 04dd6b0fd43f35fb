/* What the parts of callfuzz share; see callfuzz.c. */
#pragma once
#define _GNU_SOURCE
#pragma GCC optimize("O2")
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STEPS 20480ul
#define BLOCK 1024ul
#define SCAN 64ul         /* steps between looks at the whole arena */
#define PAGE 4096ul
#define ARENA 0x2000000000ul
#define SLOT 0x2000ul     /* bytes of the arena for each argument */
#define BUFFERS (8 * SLOT) /* what can be read and written; behind it: a hole, no access, read-only, then room for maps */
#define NONE (ARENA + BUFFERS + PAGE)
#define READ_ONLY (NONE + PAGE)
#define MAPS (READ_ONLY + PAGE)
#define MAP_PAGES 16ul
#define FILL 0xa5
#define WORKERS_MAX 16
#define RING 64
#define SHOWN 6ul        /* of them, when something is wrong */
#define SEGMENTS 256
#define NUMBERS 512
#define STUCK 3           /* seconds without a step */
#define HANG 60
#define SLACK 4096        /* KiB */
#define LOG_FD 70

/* Seen by keeper and workers. */
extern struct shared {
    int marked; /* a debug build: what the kernel does not use holds markers */
    atomic_ulong leaks, halves, done[NUMBERS], good[NUMBERS], other, segment_count;
    int segments[SEGMENTS]; /* of shmget; the keeper removes them */
    char leak[256];         /* what the first one was */
    struct slot {
        atomic_ulong calls, step;
        uint64_t episode;
        struct record {
            uint64_t step, args[6];
            long number, result;
        } ring[RING];
    } slots[WORKERS_MAX];
} *shared;

extern uint64_t seed, episode, step_now, step_end;
extern _Thread_local uint64_t state; /* of the random numbers */
extern int alone, logging, is_root;
extern struct slot *mine;
extern char folder[64];
extern pid_t own_pid;

#define NAMES 53
#define OWN_NAMES 16 /* the first are the folder's */
extern const char *const names[NAMES];

/* arguments.c: what is called, from seed, episode and step. choose: the number; its six arguments; whether it makes a process */
uint64_t mix(uint64_t x);
uint64_t rnd64(void);
unsigned long rnd(unsigned long n);
const struct call *call_of(long n);
long choose(uint64_t *a, int *forks);

/* episode.c: a process that makes calls; it does not return. log: a descriptor for --log */
void on_signal(int signo);
void __attribute__((noreturn)) worker(int log);
