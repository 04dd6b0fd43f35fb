/*
 * The ordinary operations of a kernel, each an average over many, the median of
 * nine such: system calls, faults, mappings, pipes, switches, signals, files.
 *
 * Each figure has the loop around it in it, a few instructions.
 */
#include "bench.h"
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <spawn.h>

static long count = 1000; /* operations to a sample; --quick: fewer */
static volatile char sink;
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
            sink = p[i * PAGE];
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

static long yield(void *arg)
{
    long start = now();

    (void)arg;
    for (long i = 0; i < count; i++)
        sched_yield();
    return since(start) / count;
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

static long open_close(void *arg)
{
    long start = now();

    (void)arg;
    for (long i = 0; i < count; i++)
        close(open("/dev/null", O_RDONLY));
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

static long spawn(void *path)
{
    char *argv[] = {path, "-", NULL}, *envp[] = {NULL};
    long start = now();
    pid_t pid;

    if (posix_spawn(&pid, path, NULL, NULL, argv, envp))
        give_up("posix_spawn");
    waitpid(pid, NULL, 0);
    return since(start);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        long (*what)(void *);
    } all[] = {{"call.null", null_call},       {"fault.zero", fault_zero},     {"fault.read", fault_read},
               {"fault.shared", fault_shared}, {"fault.file", fault_file},     {"mmap.munmap", map_unmap},
               {"mprotect", protect},          {"brk", grow_break},            {"spawn", spawn},
               {"pipe.roundtrip", pipe_round_trip}, {"pipe.64k", pipe_64k},    {"yield", yield},
               {"signal", signal_delivery},    {"futex.wake", futex_wake},     {"open.close", open_close},
               {"read.64k", read_64k},         {"write.64k", write_64k}};

    if (argc > 1 && strcmp(argv[1], "-") == 0)
        return 0;
    if (argc > 1)
        count = atol(argv[1]);
    calibrate();
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
        report(all[i].name, 0, repeat(all[i].what, (void *)own_path()));
    return 0;
}
