/* The system calls that newer machines do without, called by number: a C library need not use them any more. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>
#include "../tap.h"

static volatile sig_atomic_t rang;

static void ring(int signo)
{
    (void)signo;
    rang = 1;
}

static void processes(void)
{
    int status = 0;
    long pid = syscall(SYS_fork);

    if (pid == 0)
        _exit(3);
    ok(pid > 0 && waitpid((pid_t)pid, &status, 0) == pid && WEXITSTATUS(status) == 3, "fork");
    ok(syscall(SYS_getpgrp) == getpgid(0), "getpgrp");
    pid = vfork();
    if (pid == 0)
        _exit(4);
    ok(waitpid((pid_t)pid, &status, 0) == pid && WEXITSTATUS(status) == 4, "vfork");
}

static void times(void)
{
    struct timeval before, after;
    time_t t = 0;

    signal(SIGALRM, ring);
    ok(syscall(SYS_time, &t) == t && t - time(NULL) <= 0 && time(NULL) - t < 5, "time");
    gettimeofday(&before, NULL);
    ok(syscall(SYS_alarm, 100) == 0 && syscall(SYS_alarm, 1) == 100, "alarm tells what was left");
    ok(syscall(SYS_pause) == -1 && errno == EINTR && rang, "pause");
    gettimeofday(&after, NULL);
    ok((after.tv_sec - before.tv_sec) * 1000000 + after.tv_usec - before.tv_usec >= 1000000, "after a second");
}

static void descriptors(void)
{
    int p[2], fd;
    char c = 0;

    ok(syscall(SYS_pipe, p) == 0 && write(p[1], "x", 1) == 1 && read(p[0], &c, 1) == 1 && c == 'x', "pipe");
    ok(syscall(SYS_dup2, p[0], 50) == 50 && fcntl(50, F_GETFD) == 0, "dup2");
    ok(syscall(SYS_dup2, 50, 50) == 50 && syscall(SYS_dup2, 51, 51) == -1 && errno == EBADF, "dup2 to itself");
    close(50);
    fd = (int)syscall(SYS_creat, "legacy-file", 0640);
    ok(fd >= 0 && write(fd, "abc", 3) == 3, "creat");
    close(fd);
    fd = (int)syscall(SYS_open, "legacy-file", O_RDWR);
    ok(fd >= 0, "open");
    close(fd);
    fd = (int)syscall(SYS_eventfd, 5);
    ok(fd >= 0, "eventfd");
    close(fd);
    close(p[0]);
    close(p[1]);
}

static void waiting(void)
{
    struct timeval t = {5, 0};
    struct pollfd f;
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = 0x123456789abcdef0}, got[2];
    fd_set set;
    int p[2], ep;

    if (pipe(p))
        return;
    f = (struct pollfd){p[0], POLLIN, 0};
    ok(syscall(SYS_poll, &f, 1, 10) == 0, "poll ends without anything");
    ok(write(p[1], "y", 1) == 1 && syscall(SYS_poll, &f, 1, -1) == 1 && f.revents == POLLIN, "poll");
    FD_ZERO(&set);
    FD_SET(p[0], &set);
    ok(syscall(SYS_select, p[0] + 1, &set, NULL, NULL, &t) == 1 && FD_ISSET(p[0], &set) && t.tv_sec <= 5 && t.tv_sec >= 3,
       "select, which tells the time that was left");
    t = (struct timeval){0, 20000};
    ok(syscall(SYS_select, 0, NULL, NULL, NULL, &t) == 0 && t.tv_sec == 0 && t.tv_usec == 0, "select sleeps");
    ep = (int)syscall(SYS_epoll_create, 1);
    ok(ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e) == 0 && syscall(SYS_epoll_wait, ep, got, 2, -1) == 1 &&
           got[0].data.u64 == 0x123456789abcdef0 && got[0].events == EPOLLIN, "epoll_create, epoll_wait, and the packed event");
    close(ep);
    close(p[0]);
    close(p[1]);
}

static void names(void)
{
    struct stat s, l;
    char text[64] = "";

    ok(syscall(SYS_stat, "legacy-file", &s) == 0 && s.st_size == 3 && (s.st_mode & 0777) == 0640 && s.st_nlink == 1 &&
           s.st_blksize == 4096, "stat");
    ok(syscall(SYS_symlink, "legacy-file", "legacy-link") == 0 && syscall(SYS_lstat, "legacy-link", &l) == 0 && S_ISLNK(l.st_mode),
       "symlink, lstat");
    ok(syscall(SYS_readlink, "legacy-link", text, sizeof text) == 11 && strcmp(text, "legacy-file") == 0, "readlink");
    ok(syscall(SYS_access, "legacy-link", R_OK) == 0 && syscall(SYS_access, "legacy-none", F_OK) == -1 && errno == ENOENT, "access");
    ok(syscall(SYS_link, "legacy-file", "legacy-two") == 0 && syscall(SYS_stat, "legacy-two", &s) == 0 && s.st_nlink == 2, "link");
    ok(syscall(SYS_rename, "legacy-two", "legacy-three") == 0 && syscall(SYS_unlink, "legacy-three") == 0, "rename, unlink");
    ok(syscall(SYS_mkdir, "legacy-dir", 0755) == 0 && syscall(SYS_rmdir, "legacy-dir") == 0, "mkdir, rmdir");
    ok(syscall(SYS_chmod, "legacy-file", 0600) == 0 && syscall(SYS_stat, "legacy-file", &s) == 0 && (s.st_mode & 0777) == 0600, "chmod");
    ok(syscall(SYS_chown, "legacy-file", -1, -1) == 0 && syscall(SYS_lchown, "legacy-link", -1, -1) == 0, "chown, lchown");
}

static void file_times(void)
{
    struct utimbuf u = {1000, 2000};
    struct timeval v[2] = {{3000, 500000}, {4000, 250000}}, bad[2] = {{1, 1000000}, {1, 0}};
    struct stat s;

    ok(syscall(SYS_utime, "legacy-file", &u) == 0 && stat("legacy-file", &s) == 0 && s.st_atime == 1000 && s.st_mtime == 2000, "utime");
    ok(syscall(SYS_utimes, "legacy-file", v) == 0 && stat("legacy-file", &s) == 0 && s.st_atime == 3000 &&
           s.st_mtim.tv_nsec == 250000000, "utimes");
    ok(syscall(SYS_futimesat, AT_FDCWD, "legacy-file", bad) == -1 && errno == EINVAL, "futimesat of a second and more");
    ok(syscall(SYS_utime, "legacy-file", NULL) == 0 && stat("legacy-file", &s) == 0 && s.st_mtime > 4000, "utime of now");
}

int main(void)
{
    if (chdir("/tmp"))
        return 1;
    unlink("legacy-file"), unlink("legacy-link"), unlink("legacy-two"), unlink("legacy-three"), rmdir("legacy-dir");
    processes();
    times();
    descriptors();
    waiting();
    names();
    file_times();
    unlink("legacy-file"), unlink("legacy-link");
    return done();
}
