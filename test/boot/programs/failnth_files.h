/* failnth.c: calls about files, pipes, and waiting for them. */
#pragma once
#include "failnth_calls.h"

/* ---- files ---- */

static int close_or_errno(int fd)
{
    return fd == -1 ? errno : OR_ERRNO(close(fd));
}

static int act_open(void)
{
    return close_or_errno(open("f", O_RDONLY));
}

static int act_creat(void)
{
    return close_or_errno(open("new", O_RDWR | O_CREAT | O_EXCL, 0600));
}

static int act_mkdir(void)
{
    return OR_ERRNO(mkdir("dir", 0700));
}

static int act_link(void)
{
    return OR_ERRNO(link("f", "g"));
}

static int act_symlink(void)
{
    return OR_ERRNO(symlink("f", "g"));
}

static int act_mknod(void)
{
    return OR_ERRNO(mknod("node", S_IFREG | 0600, 0));
}

static int act_mkfifo(void)
{
    return OR_ERRNO(mkfifo("fifo", 0600));
}

static void prepare_fifo(void)
{
    sure(mkfifo("fifo", 0600));
}

static int act_open_fifo(void)
{
    return close_or_errno(open("fifo", O_RDWR));
}

static int act_rename(void)
{
    return OR_ERRNO(rename("f", "longer-than-that"));
}

static void prepare_two(void)
{
    prepare_file();
    file_make("g", PAGE);
}

static int act_rename_over(void)
{
    return OR_ERRNO(rename("f", "g"));
}

static int act_exchange(void)
{
    return OR_ERRNO(syscall(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "g", 2));
}

static int act_unlink(void)
{
    return OR_ERRNO(unlink("f"));
}

static int act_path(void)
{
    struct statfs fs;
    struct stat st;

    if (strcmp(test->arg, "stat") == 0)
        return OR_ERRNO(stat("f", &st));
    if (strcmp(test->arg, "chmod") == 0)
        return OR_ERRNO(chmod("f", 0600));
    if (strcmp(test->arg, "chown") == 0)
        return OR_ERRNO(chown("f", 0, 0));
    if (strcmp(test->arg, "access") == 0)
        return OR_ERRNO(access("f", R_OK));
    if (strcmp(test->arg, "truncate") == 0)
        return OR_ERRNO(truncate("f", 100));
    if (strcmp(test->arg, "utimensat") == 0)
        return OR_ERRNO(utimensat(AT_FDCWD, "f", NULL, 0));
    if (strcmp(test->arg, "chdir") == 0)
        return OR_ERRNO(chdir("."));
    if (strcmp(test->arg, "chroot") == 0)
        return OR_ERRNO(chroot("/"));
    if (strcmp(test->arg, "statfs") == 0)
        return OR_ERRNO(statfs("f", &fs));
    if (strcmp(test->arg, "statx") == 0)
        return OR_ERRNO(syscall(SYS_statx, AT_FDCWD, "f", 0, 0x7ff, buffer));
    wrong("what is %s", test->arg);
    return 0;
}

static int act_rmdir(void)
{
    return OR_ERRNO(rmdir("dir"));
}

static int act_readlink(void)
{
    return OR_ERRNO(readlink("/proc/self", buffer, sizeof buffer));
}

static int act_getcwd(void)
{
    return syscall(SYS_getcwd, buffer, sizeof buffer) == -1 ? errno : 0;
}

static int act_mount(void)
{
    return OR_ERRNO(mount("none", "dir", "tmpfs", 0, NULL));
}

static void undo_mount(void)
{
    sure(umount("dir"));
}

static void prepare_dir(void)
{
    sure(mkdir("dir", 0700));
}

static void prepare_mount(void)
{
    prepare_dir();
    sure(mount("none", "dir", "tmpfs", 0, NULL));
}

static int act_umount(void)
{
    return OR_ERRNO(umount("dir"));
}

static void prepare_dir_open(void)
{
    sure(mkdir("dir", 0700));
    fds[0] = (int)sure(open(test->arg, O_RDONLY | O_DIRECTORY));
}

static int act_getdents(void)
{
    sure(lseek(fds[0], 0, SEEK_SET));
    return OR_ERRNO(syscall(SYS_getdents64, fds[0], buffer, 4096));
}

static void prepare_empty(void)
{
    file_make("f", 0);
}

/* Pages and the nodes above them; a write that came short has written that much. */
static int act_write(void)
{
    ssize_t n, done = 0;

    while (done < 5 * (ssize_t)PAGE) {
        n = pwrite(fds[0], buffer, 5 * PAGE - (size_t)done, done);
        if (n <= 0)
            return errno;
        done += n;
    }
    return 0;
}

static int act_write_far(void)
{
    return OR_ERRNO(pwrite(fds[0], "x", 1, 1l << 40));
}

static int vector(int way)
{
    struct iovec v[200];

    for (int i = 0; i < 200; i++)
        v[i] = (struct iovec){buffer + i, 1};
    return OR_ERRNO(way ? pwritev(fds[0], v, 200, 0) : preadv(fds[0], v, 200, 0));
}

static int act_writev(void)
{
    return vector(1);
}

static int act_readv(void)
{
    return vector(0);
}

static int act_dup_high(void)
{
    int fd = fcntl(fds[0], F_DUPFD, 900);

    return close_or_errno(fd);
}

static int act_close(void)
{
    return OR_ERRNO(close(0));
}

static int act_dup2(void)
{
    return OR_ERRNO(dup2(2, 0));
}

static int act_cloexec(void)
{
    return OR_ERRNO(fcntl(0, F_SETFD, FD_CLOEXEC));
}

static int act_tmpfile(void)
{
    return close_or_errno(open(".", O_RDWR | O_TMPFILE, 0600));
}

static int act_lock(void)
{
    struct flock l = {.l_type = F_WRLCK, .l_start = 10, .l_len = 10};

    return OR_ERRNO(fcntl(fds[0], F_SETLK, &l));
}

static void prepare_lock(void)
{
    struct flock l = {.l_type = F_WRLCK, .l_start = 0, .l_len = 100};

    prepare_file();
    sure(fcntl(fds[0], F_SETLK, &l));
}

static int act_unlock(void)
{
    struct flock l = {.l_type = F_UNLCK, .l_start = 10, .l_len = 10};

    return OR_ERRNO(fcntl(fds[0], F_SETLK, &l));
}

static int act_flock(void)
{
    return OR_ERRNO(flock(fds[0], LOCK_EX));
}

static int act_memfd(void)
{
    return close_or_errno((int)syscall(SYS_memfd_create, "m", 0));
}

/* ---- pipes, and what moves bytes ---- */

static int act_pipe(void)
{
    int p[2];

    return pipe(p) ? errno : OR_ERRNO(close(p[0])) | OR_ERRNO(close(p[1]));
}

static void prepare_pipes(void)
{
    prepare_file();
    sure(pipe(fds + 2));
    sure(pipe(fds + 4));
}

static int act_pipe_write(void)
{
    int n = (int)write(fds[3], buffer, 2 * PAGE);

    if (n == (int)PAGE) /* the second page could not be had */
        n = (int)write(fds[3], buffer, PAGE);
    return OR_ERRNO(n);
}

static int act_pipe_resize(void)
{
    return OR_ERRNO(fcntl(fds[3], F_SETPIPE_SZ, 128 * 1024));
}

/* All of the file, in order, whatever failed meanwhile. */
static int splice_file(int with_position)
{
    off_t at = 0;
    ssize_t n, got = 0;
    static char whole[8 * PAGE];

    sure(lseek(fds[0], 0, SEEK_SET));
    while (got < (ssize_t)sizeof whole) {
        n = splice(fds[0], with_position ? &at : NULL, fds[3], NULL, sizeof whole - (size_t)got, 0);
        if (n < 0) {
            int err = errno;

            if ((with_position ? at : sure(lseek(fds[0], 0, SEEK_CUR))) != got)
                wrong("splice failed and has moved the file's position");
            return err;
        }
        if (n == 0 || read(fds[2], whole, (size_t)n) != n)
            wrong("splice says %ld", (long)n);
        got += n;
    }
    return 0;
}

static int act_splice_in(void)
{
    return splice_file(0);
}

static int act_splice_in_at(void)
{
    return splice_file(1);
}

static void prepare_pipes_full(void)
{
    prepare_pipes();
    sure(write(fds[3], buffer, 3 * PAGE));
}

static int act_splice_out(void)
{
    ssize_t n = splice(fds[2], NULL, fds[0], NULL, 3 * PAGE, SPLICE_F_NONBLOCK);

    return n == -1 && errno != EAGAIN ? errno : 0;
}

static int act_tee(void)
{
    return OR_ERRNO(tee(fds[2], fds[5], 2 * PAGE, 0));
}

static int act_vmsplice(void)
{
    struct iovec v = {buffer, 2 * PAGE};

    return OR_ERRNO(vmsplice(fds[3], &v, 1, 0));
}

static int act_sendfile(void)
{
    off_t at = 0;

    return OR_ERRNO(sendfile(fds[3], fds[0], &at, PAGE));
}

static int act_copy_file_range(void)
{
    off_t from = 0, to = (off_t)(8 * PAGE);

    return OR_ERRNO(copy_file_range(fds[0], &from, fds[0], &to, 2 * PAGE, 0));
}

/* ---- waiting ---- */

static void prepare_many(void)
{
    struct pollfd *p = (struct pollfd *)buffer;

    fds[0] = (int)sure(eventfd(1, 0));
    for (int i = 0; i < 200; i++)
        p[i] = (struct pollfd){fds[0], POLLIN, 0};
}

static int act_poll(void)
{
    struct timespec zero = {0, 0};
    int n = (int)syscall(SYS_ppoll, buffer, 200, &zero, NULL, 8);

    return n == -1 ? errno : n == 200 ? 0 : EILSEQ;
}

static int act_select(void)
{
    struct timeval zero = {0, 0};
    fd_set set;

    FD_ZERO(&set);
    FD_SET(fds[0], &set);
    return OR_ERRNO(select(fds[0] + 1, &set, NULL, NULL, &zero));
}

static void prepare_epoll(void)
{
    struct epoll_event e = {.events = EPOLLIN};

    prepare_many();
    fds[1] = (int)sure(epoll_create1(0));
    if (strcmp(test->arg, "wait") == 0)
        sure(epoll_ctl(fds[1], EPOLL_CTL_ADD, fds[0], &e));
}

static int act_epoll_create(void)
{
    return close_or_errno(epoll_create1(0));
}

static int act_epoll_add(void)
{
    struct epoll_event e = {.events = EPOLLIN};

    return OR_ERRNO(epoll_ctl(fds[1], EPOLL_CTL_ADD, fds[0], &e));
}

static int act_epoll_wait(void)
{
    struct epoll_event e[4];

    return OR_ERRNO(epoll_wait(fds[1], e, 4, 0));
}

static int act_eventfd(void)
{
    return close_or_errno(eventfd(0, 0));
}

static int act_signalfd(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    return close_or_errno(signalfd(-1, &set, 0));
}

static int act_timerfd(void)
{
    return close_or_errno(timerfd_create(CLOCK_MONOTONIC, 0));
}
