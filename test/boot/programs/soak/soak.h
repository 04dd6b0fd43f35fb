/* What the parts of soak share; see soak.c. */
#pragma once
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
#define WORDS (PAGE / 8)
#define AREA ((unsigned char *)(0x1040000000ul - 0x300000)) /* across a root entry's edge (GiB) */
#define SLOTS 200
#define MAPS 3          /* shared maps: anonymous, memfd, file */
#define MAP_PAGES 64ul
#define PATTERN_PAGES 256ul
#define DEPTH_MAX 8
#define CHILDREN 8
#define ROOTS 4         /* first processes of the storm, the keeper's own children */
#define SLACK 2048      /* KiB that caches of the kernel may keep, as in the stress suite */
#define ROUND_MAX 60
#define HANG 60         /* seconds without any step */

enum { FD_SHARED = 100, FD_MEMFD, FD_PATTERN, FD_FILE };

#define OPS(X)                                                                                                      \
    X(store) X(look) X(map) X(map_file) X(protect) X(discard) X(wipe) X(move) X(scratch) X(kernel_store) X(pipe)    \
    X(getdents) X(denied) X(shared) X(fork) X(exec) X(vfork) X(thread) X(signal) X(stop) X(kill) X(hungry) X(refused)
enum {
#define X(n) OP_##n,
    OPS(X)
#undef X
    OP_COUNT
};

/* Seen by all, through FD_SHARED; kept over exec. */
extern struct shared {
    atomic_ulong ops[OP_COUNT], wrong, owners, pressure_seen;
    atomic_int stop, hungry; /* the process that eats memory, or 0 */
    atomic_int slots[SLOTS]; /* who is alive: 0 free, -1 promised */
    unsigned long seed, pages, processes;
    int group;
} *shared;

struct page_state {
    uint64_t value; /* what its words hold; 0: all zero */
    int32_t file;   /* its page of the pattern file, if nothing was stored; -1: zeros */
    uint8_t prot, wipe;
};
extern struct page_state *model; /* private, so shared by forks as the area is */
extern unsigned char *maps[MAPS];
extern uint64_t shadow[MAPS][MAP_PAGES]; /* what this process's word must hold; 0: not known */
extern unsigned depth, slot;
extern pid_t children[CHILDREN];
extern atomic_int threads;

/* A thread's part of the area is its own: nobody else looks at it or changes it. */
extern _Thread_local struct worker {
    unsigned long lo, hi;
    uint64_t random, owner, sequence;
    sigjmp_buf denied;
    volatile sig_atomic_t expects;
} me;

/* pages.c: numbers, what is wrong, a process's private pages and their maps */
unsigned long rnd(unsigned long n);
void count(int op);
double now(void);
int is_pressed(void);
void refused(const char *what);
uint64_t *page_words(unsigned long p);
uint64_t new_value(void);
uint64_t pattern(unsigned long p);
void words_set(uint64_t *w, uint64_t value);
int words_hold(const uint64_t *w, uint64_t value);
void look(unsigned long p);
int protect(unsigned long p, unsigned long n, int prot);
int make_writable(unsigned long p);
void store(unsigned long p);
void denied(unsigned long p);
void map(unsigned long p, unsigned long n, int from_file);
void discard(unsigned long p, unsigned long n);
void wipe(unsigned long p, unsigned long n);
void move(unsigned long p, unsigned long n);
void scratch(void);
uint64_t mix(uint64_t x);
void __attribute__((format(printf, 1, 2))) wrong(const char *fmt, ...);

/* kernel.c: the kernel's stores into private pages, shared pages */
void kernel_store(unsigned long p);
void through_pipe(unsigned long from, unsigned long to);
void list_folder(unsigned long p);
void share(void);
int open_maps(void);

/* worker.c: processes */
void ended(pid_t pid, int status);
int slot_claim(void);
void new_owner(void);
void signal_somebody(int signo);
void worker_begin(void);
void __attribute__((noreturn)) work(void);
