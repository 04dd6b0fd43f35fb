/* Every address that is wrong is EFAULT (or the call's own error), and harms nobody. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tap.h"

#define PAGE 4096l

static long addresses[12];
static int address_count;

static void collect(void)
{
    char *p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    mprotect(p + PAGE, PAGE, PROT_NONE);
    addresses[address_count++] = 1;
    addresses[address_count++] = -1;
    addresses[address_count++] = -PAGE;
    addresses[address_count++] = (long)(p + PAGE);
    addresses[address_count++] = 0x3ffffffff0;           /* the top of user space, and across it */
    addresses[address_count++] = 0x4000000000;
    addresses[address_count++] = (long)0xffffffc000000000; /* where the kernel is */
    addresses[address_count++] = (long)0xffffffff80200000;
    addresses[address_count++] = 0x7000000000000000;
}

static int all_fault(const char *name, long (*call)(long bad))
{
    int good = 1;

    for (int i = 0; i < address_count; i++) {
        errno = 0;
        if (call(addresses[i]) != -1 || errno != EFAULT) {
            printf("# %s(%#lx): errno %d\n", name, (unsigned long)addresses[i], errno);
            good = 0;
        }
    }
    return ok(good, "%s", name);
}

static int zero_fd, pipe_fd[2];

static long try_read(long a)
{
    return syscall(SYS_read, zero_fd, a, 100);
}
static long try_write(long a)
{
    return syscall(SYS_write, pipe_fd[1], a, 100);
}
static long try_open(long a)
{
    return syscall(SYS_openat, AT_FDCWD, a, O_RDONLY, 0);
}
static long try_stat(long a)
{
    return syscall(SYS_fstat, 0, a);
}
static long try_pipe(long a)
{
    return syscall(SYS_pipe2, a, 0);
}
static long try_readv(long a)
{
    return syscall(SYS_readv, zero_fd, a, 2);
}
static long try_exec(long a)
{
    return syscall(SYS_execve, a, 0, 0);
}
static long try_exec_args(long a)
{
    return syscall(SYS_execve, "/proc/self/exe", a, 0);
}
static long try_sigaction(long a)
{
    return syscall(SYS_rt_sigaction, SIGUSR1, a, 0, 8);
}
static long try_clock(long a)
{
    return syscall(SYS_clock_gettime, CLOCK_MONOTONIC, a);
}
static long try_times(long a)
{
    return syscall(SYS_times, a);
}
static long try_uname(long a)
{
    return syscall(SYS_uname, a);
}
static long try_getcwd(long a)
{
    long n = syscall(SYS_getcwd, a, 100);

    return n > 0 ? -2 : n;
}
static long try_wait(long a)
{
    long n;

    if (fork() == 0)
        _exit(0);
    n = syscall(SYS_wait4, -1, a, 0, 0);
    return n;
}
static long try_poll(long a)
{
    return syscall(SYS_ppoll, a, 1, 0, 0, 8);
}
static long try_mask(long a)
{
    return syscall(SYS_rt_sigprocmask, SIG_BLOCK, a, 0, 8);
}

int main(void)
{
    collect();
    zero_fd = open("/dev/zero", O_RDONLY);
    ok(pipe(pipe_fd) == 0, "a pipe");
    all_fault("read", try_read);
    all_fault("write", try_write);
    all_fault("openat", try_open);
    all_fault("fstat", try_stat);
    all_fault("pipe2", try_pipe);
    all_fault("readv", try_readv);
    all_fault("execve, path", try_exec);
    all_fault("execve, argv", try_exec_args);
    all_fault("rt_sigaction", try_sigaction);
    all_fault("clock_gettime", try_clock);
    all_fault("times", try_times);
    all_fault("uname", try_uname);
    all_fault("getcwd", try_getcwd);
    all_fault("wait4", try_wait);
    all_fault("ppoll", try_poll);
    all_fault("rt_sigprocmask", try_mask);
    return done();
}
