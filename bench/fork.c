/*
 * What fork costs, against the memory that a process has touched, the regions it
 * has, and the files it has open. Guest instructions when run with --icount (the
 * counter ticks every 100); medians of 9, the worst store is a maximum.
 *
 *   fork       the system call alone, parent's side, called without the C library
 *   libc fork  fork() as a program calls it: with what the parent faults on first
 *   +exit      fork, exit of the child, wait
 *   +exec      fork, exec of this small static program, wait
 *   1st write  the first store to one page, while the child lives
 *   write      a store to each page in turn, for each page (of the first GiB: both copies must fit in RAM)
 *   worst      the longest of those stores; interrupts in it are counted, too
 *   2nd write  the same walk when the child has gone: what was shared is taken back
 *
 * fork [MAX_MIB [REGIONS [FILES]]], each 0 for nothing of the kind
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REPEATS 9
#define PAGE 4096l
#define GIB_PAGES 262144l

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

static int less(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;

    return (x > y) - (x < y);
}

static long median(long *v)
{
    qsort(v, REPEATS, sizeof *v, less);
    return v[REPEATS / 2];
}

static volatile char *memory;
static long pages;
static const char *self;

static long time_fork(void)
{
    long before = now(), pid = bare_fork(), after = now();

    if (pid == 0)
        _exit(0);
    waitpid((pid_t)pid, NULL, 0);
    return after - before;
}

static long time_libc_fork(void)
{
    long before = now(), after;
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    after = now();
    waitpid(pid, NULL, 0);
    return after - before;
}

static long time_exit(void)
{
    long before = now();
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    return now() - before;
}

static long time_exec(void)
{
    long before = now();
    pid_t pid = fork();

    if (pid == 0) {
        execl(self, self, "-", (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
    return now() - before;
}

/* A child that lives until the descriptor is closed. */
static pid_t sleeper(int *end)
{
    int fd[2];
    char c;
    pid_t pid;

    if (pipe(fd))
        exit(1);
    pid = fork();
    if (pid == 0) {
        close(fd[1]);
        _exit(read(fd[0], &c, 1) != 0);
    }
    close(fd[0]);
    *end = fd[1];
    return pid;
}

static long repeat(long (*what)(void))
{
    long v[REPEATS];

    for (int i = 0; i < REPEATS; i++)
        v[i] = what();
    return median(v);
}

static long first_write(void)
{
    int end;
    pid_t pid = sleeper(&end);
    long before = now();

    memory[pages / 2 * PAGE] = 2;
    before = now() - before;
    close(end);
    waitpid(pid, NULL, 0);
    return before;
}

static long walk(long *worst)
{
    long start = now(), count = pages < GIB_PAGES ? pages : GIB_PAGES;

    for (long i = 0; i < count; i++) {
        long before = now(), took;
        memory[i * PAGE] = 3;
        took = now() - before;
        if (worst && took > *worst)
            *worst = took;
    }
    return (now() - start) / count;
}

static void row(const char *what, long n)
{
    long fork_ = repeat(time_fork), libc = repeat(time_libc_fork), exit_ = repeat(time_exit), exec_ = repeat(time_exec);
    long first = 0, each = 0, worst = 0, again = 0;

    if (pages > 0) {
        int end;
        pid_t pid;

        first = repeat(first_write);
        pid = sleeper(&end);
        each = walk(&worst);
        close(end);
        waitpid(pid, NULL, 0);
        time_exit();
        again = walk(NULL);
    }
    printf("%8ld %-8s %8ld %10ld %9ld %9ld %10ld %7ld %8ld %10ld\n", n, what, fork_, libc, exit_, exec_, first, each,
           worst, again);
    fflush(stdout);
}

static void *need(void *p)
{
    if (p == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return p;
}

static void against_memory(long max)
{
    pages = 0;
    row("MiB", 0);
    for (long mib = 1; mib <= max; mib *= mib < 256 ? 16 : 2) {
        memory = need(mmap(NULL, (size_t)mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        pages = mib * 256;
        for (long i = 0; i < pages; i++)
            memory[i * PAGE] = 1;
        row("MiB", mib);
        munmap((void *)memory, (size_t)mib << 20);
    }
}

/* Every other page of a mapping has other permissions, so that each is a region. */
static void against_regions(long max)
{
    for (long n = 20; n <= max; n = n * 10 < max || n == max ? n * 10 : max) {
        size_t size = (size_t)(n + 1) * PAGE;
        char *at = need(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        for (long i = 1; i < n; i += 2)
            mprotect(at + i * PAGE, PAGE, PROT_READ);
        pages = 0;
        row("regions", n);
        munmap(at, size);
    }
}

static void against_files(long max)
{
    struct rlimit limit = {(rlim_t)max + 100, (rlim_t)max + 100};

    setrlimit(RLIMIT_NOFILE, &limit);
    pages = 0;
    for (long have = 3, n = 3; n <= max; n = n * 10 < max || n == max ? n * 10 : max) {
        for (; have < n; have++)
            if (open("/dev/null", O_RDONLY) < 0)
                perror("open"), exit(1);
        row("files", n);
    }
}

int main(int argc, char **argv)
{
    static char path[4096];
    long max[3] = {256, 2000, 1000};

    if (argc > 1 && strcmp(argv[1], "-") == 0)
        return 0;
    if (readlink("/proc/self/exe", path, sizeof path - 1) < 0)
        return 1;
    self = path;
    for (int i = 1; i < argc && i < 4; i++)
        max[i - 1] = atol(argv[i]);
    printf("%17s %8s %10s %9s %9s %10s %7s %8s %10s\n", "", "fork", "libc fork", "+exit", "+exec", "1st write", "write",
           "worst", "2nd write");
    if (max[0])
        against_memory(max[0]);
    if (max[1])
        against_regions(max[1]);
    if (max[2])
        against_files(max[2]);
    return 0;
}
