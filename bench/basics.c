/*
 * The ordinary operations of a kernel, each an average over many, nine times:
 *
 *   call.null           getppid
 *   fault.zero, .read   first store to, first load from a page of private memory
 *   fault.shared        first store to a page of shared memory
 *   fault.file          first load from a page of a mapped file that is in memory;
 *   fault.file.private  first store to one mapped MAP_PRIVATE,
 *   fault.file.shared   … MAP_SHARED
 *   mmap.munmap, brk    16 pages more and less, one of them touched
 *   mprotect            one page of a mapping, read-only or writable in turn
 *   exec                of this program, until its main
 *   pipe.roundtrip      a byte to another process and one back
 *   pipe.64k, read.64k, write.64k   64 KiB to another process, from and to a file
 *   switch              from one process to another
 *   signal              kill to oneself, with its handler
 *   futex.wake          nobody waits; futex.roundtrip: to another process and back
 *   open.read.close     a byte of a file
 *
 * Each figure has the loop around it in it, a few instructions. The other process's
 * part is in the figure where there is one; no CPU is idle meanwhile.
 *
 * basics [OPERATIONS]
 */
#include "bench.h"
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>

static long count = 1000; /* operations to a sample; --quick: fewer */
static char buffer[65536];

static long null_call(void *arg)
{
    long start = now();

    (void)arg;
    for (long i = 0; i < count; i++)
        syscall(SYS_getppid);
    return since(start) / count;
}

/* ---- memory ---- */

#define PAGES 512l

static void *map_pages(int prot, int flags, int fd)
{
    void *p = mmap(NULL, PAGES * PAGE, prot, flags, fd, 0);

    if (p == MAP_FAILED)
        give_up("mmap");
    madvise(p, PAGES * PAGE, 15 /* MADV_NOHUGEPAGE */);
    return p;
}

static long fault(int prot, int flags, int fd, int write)
{
    volatile char *p = map_pages(prot, flags, fd);
    long start = now(), took;

    for (long i = 0; i < PAGES; i++) {
        if (write)
            p[i * PAGE] = 1;
        else
            load(p + i * PAGE);
    }
    took = since(start) / PAGES;
    munmap((void *)p, PAGES * PAGE);
    return took;
}

static long fault_zero(void *arg)
{
    (void)arg;
    return fault(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 1);
}

static long fault_read(void *arg)
{
    (void)arg;
    return fault(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static long fault_shared(void *arg)
{
    (void)arg;
    return fault(PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 1);
}

static int scratch_file(void)
{
    static int fd = -1;

    if (fd >= 0)
        return fd;
    fd = open("/bench.file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    for (long i = 0; fd >= 0 && i < PAGES * PAGE; i += (long)sizeof buffer)
        if (write(fd, buffer, sizeof buffer) != (ssize_t)sizeof buffer)
            give_up("write");
    if (fd < 0)
        give_up("open");
    return fd;
}

static long fault_file(void *arg)
{
    (void)arg;
    return fault(PROT_READ, MAP_PRIVATE, scratch_file(), 0);
}

static long fault_file_private(void *arg)
{
    (void)arg;
    return fault(PROT_READ | PROT_WRITE, MAP_PRIVATE, scratch_file(), 1);
}

static long fault_file_shared(void *arg)
{
    (void)arg;
    return fault(PROT_READ | PROT_WRITE, MAP_SHARED, scratch_file(), 1);
}

static long map_unmap(void *arg)
{
    long start = now();

    (void)arg;
    for (long i = 0; i < count; i++) {
        volatile char *p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        p[0] = 1;
        munmap((void *)p, 16 * PAGE);
    }
    return since(start) / count;
}

static long protect(void *arg)
{
    volatile char *p = map_pages(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    long start, took;

    (void)arg;
    p[0] = 1;
    start = now();
    for (long i = 0; i < count; i++)
        mprotect((void *)p, PAGE, i % 2 ? PROT_READ | PROT_WRITE : PROT_READ);
    took = since(start) / count;
    munmap((void *)p, PAGES * PAGE);
    return took;
}

static long grow_break(void *arg)
{
    long start = now();

    (void)arg;
    for (long i = 0; i < count; i++) {
        char *p = sbrk(16 * PAGE);
        *(volatile char *)p = 1;
        sbrk(-16 * PAGE);
    }
    return since(start) / count;
}

/* ---- between processes ---- */

/* A child that answers each byte with one. */
static pid_t echo_start(int to[2], int from[2])
{
    pid_t pid;
    char c;

    if (pipe(to) || pipe(from))
        give_up("pipe");
    pid = fork();
    if (pid == 0) {
        close(to[1]);
        while (read(to[0], &c, 1) == 1 && write(from[1], &c, 1) == 1)
            ;
        _exit(0);
    }
    return pid;
}

static long pipe_round_trip(void *arg)
{
    int to[2], from[2];
    pid_t pid = echo_start(to, from);
    long start, took;
    char c = 0;

    (void)arg;
    if (write(to[1], &c, 1) != 1 || read(from[0], &c, 1) != 1)
        give_up("pipe");
    start = now();
    for (long i = 0; i < count; i++)
        if (write(to[1], &c, 1) != 1 || read(from[0], &c, 1) != 1)
            give_up("pipe");
    took = since(start) / count;
    close(to[1]), close(to[0]), close(from[0]), close(from[1]);
    waitpid(pid, NULL, 0);
    return took;
}

static long pipe_64k(void *arg)
{
    int fd[2];
    pid_t pid;
    long start, took;

    (void)arg;
    if (pipe(fd))
        give_up("pipe");
    pid = fork();
    if (pid == 0) {
        close(fd[1]);
        while (read(fd[0], buffer, sizeof buffer) > 0)
            ;
        _exit(0);
    }
    close(fd[0]);
    start = now();
    for (long i = 0; i < count / 10; i++)
        if (write(fd[1], buffer, sizeof buffer) != (ssize_t)sizeof buffer)
            give_up("write");
    took = since(start) / (count / 10);
    close(fd[1]);
    waitpid(pid, NULL, 0);
    return took;
}

/* What two processes share while they are measured. */
struct shared {
    volatile int stop, last, word;
    volatile long switches;
};

static struct shared *share(void)
{
    struct shared *s = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (s == MAP_FAILED)
        give_up("mmap");
    return s;
}

static void yield_until(struct shared *s, int me, long switches)
{
    while (!s->stop && s->switches < switches) {
        if (s->last != me) {
            s->last = me;
            s->switches++;
        }
        sched_yield();
    }
}

/* Two processes on one CPU yield to each other; one counts only where the other had run. */
static long context_switch(void *arg)
{
    struct shared *s = share();
    cpu_set_t one;
    long start, took;
    pid_t pid;

    (void)arg;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    sched_setaffinity(0, sizeof one, &one);
    pid = fork();
    if (pid == 0) {
        yield_until(s, 2, 1l << 40);
        _exit(0);
    }
    yield_until(s, 1, 100);
    s->switches = 0;
    start = now();
    yield_until(s, 1, count);
    took = since(start) / s->switches;
    s->stop = 1;
    waitpid(pid, NULL, 0);
    munmap(s, PAGE);
    return took;
}

static void futex_turn(struct shared *s, int mine, int other)
{
    while (s->word != mine && !s->stop)
        syscall(SYS_futex, &s->word, FUTEX_WAIT, other, NULL, NULL, 0);
    s->word = other;
    syscall(SYS_futex, &s->word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Two processes hand a word to each other and sleep in between. */
static long futex_round_trip(void *arg)
{
    struct shared *s = share();
    long start, took;
    pid_t pid = fork();

    (void)arg;
    if (pid == 0) {
        while (!s->stop)
            futex_turn(s, 1, 0);
        _exit(0);
    }
    futex_turn(s, 0, 1);
    start = now();
    for (long i = 0; i < count; i++)
        futex_turn(s, 0, 1);
    took = since(start) / count;
    s->stop = 1;
    futex_turn(s, 0, 1);
    waitpid(pid, NULL, 0);
    munmap(s, PAGE);
    return took;
}

static volatile sig_atomic_t signals;

static void on_signal(int signo)
{
    (void)signo;
    signals++;
}

static long signal_delivery(void *arg)
{
    long start;

    (void)arg;
    signal(SIGUSR1, on_signal);
    start = now();
    for (long i = 0; i < count; i++)
        kill(getpid(), SIGUSR1);
    return since(start) / count;
}

static long futex_wake(void *arg)
{
    int word = 0;
    long start = now();

    (void)arg;
    for (long i = 0; i < count; i++)
        syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    return since(start) / count;
}

/* ---- files ---- */

static long open_read_close(void *arg)
{
    long start;

    (void)arg;
    scratch_file();
    start = now();
    for (long i = 0; i < count; i++) {
        char c;
        int fd = open("/bench.file", O_RDONLY);

        if (read(fd, &c, 1) != 1)
            give_up("/bench.file");
        close(fd);
    }
    return since(start) / count;
}

static long read_64k(void *arg)
{
    int fd = scratch_file();
    long start = now();

    (void)arg;
    for (long i = 0; i < count / 10; i++)
        if (pread(fd, buffer, sizeof buffer, 0) != (ssize_t)sizeof buffer)
            give_up("pread");
    return since(start) / (count / 10);
}

static long write_64k(void *arg)
{
    int fd = scratch_file();
    long start = now();

    (void)arg;
    for (long i = 0; i < count / 10; i++)
        if (pwrite(fd, buffer, sizeof buffer, 0) != (ssize_t)sizeof buffer)
            give_up("pwrite");
    return since(start) / (count / 10);
}

/* ---- exec ---- */

/* From fork to the end of a child that goes through `links` execs of this program. */
static long chain(const char *path, long links)
{
    char left[24];
    long start = now();
    pid_t pid = fork();

    if (pid == 0) {
        snprintf(left, sizeof left, "%ld", links - 1);
        execl(path, path, "-", left, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
    return since(start);
}

static int next_link(const char *path, long links)
{
    char left[24];

    if (links == 0)
        return 0;
    snprintf(left, sizeof left, "%ld", links - 1);
    execl(path, path, "-", left, (char *)NULL);
    return 127;
}

/* One exec, and the start of a C library until its main. */
static long exec_itself(void *path)
{
    return (chain(path, 11) - chain(path, 1)) / 10;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        long (*what)(void *);
    } all[] = {{"call.null", null_call},       {"fault.zero", fault_zero},     {"fault.read", fault_read},
               {"fault.shared", fault_shared}, {"fault.file", fault_file},     {"mmap.munmap", map_unmap},
               {"fault.file.private", fault_file_private}, {"fault.file.shared", fault_file_shared},
               {"mprotect", protect},          {"brk", grow_break},            {"exec", exec_itself},
               {"pipe.roundtrip", pipe_round_trip}, {"pipe.64k", pipe_64k},    {"switch", context_switch},
               {"signal", signal_delivery},    {"futex.wake", futex_wake},     {"futex.roundtrip", futex_round_trip},
               {"open.read.close", open_read_close}, {"read.64k", read_64k},   {"write.64k", write_64k}};

    if (argc > 2 && strcmp(argv[1], "-") == 0)
        return next_link(argv[0], atol(argv[2]));
    if (argc > 1)
        count = atol(argv[1]);
    calibrate();
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
        repeat(all[i].name, 0, all[i].what, (void *)own_path());
    return 0;
}
