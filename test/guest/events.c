/* eventfd, timerfd, epoll, memfd. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tap.h"

static long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void counters(void)
{
    int fd = eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC), sem;
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
    uint64_t v = 0;

    ok(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) && (fcntl(fd, F_GETFL) & O_NONBLOCK), "eventfd and its flags");
    ok(poll(&p, 1, 0) == 1 && p.revents == (POLLIN | POLLOUT), "it can be read and written");
    ok(read(fd, &v, 8) == 8 && v == 3 && read(fd, &v, 8) == -1 && errno == EAGAIN, "a read takes all");
    v = 5;
    ok(write(fd, &v, 8) == 8 && write(fd, &v, 8) == 8 && read(fd, &v, 8) == 8 && v == 10, "writes add up");
    ok(read(fd, &v, 7) == -1 && errno == EINVAL && write(fd, &v, 4) == -1 && errno == EINVAL, "eight bytes");
    v = UINT64_MAX;
    ok(write(fd, &v, 8) == -1 && errno == EINVAL, "all ones are refused");
    v = UINT64_MAX - 1;
    ok(write(fd, &v, 8) == 8 && poll(&p, 1, 0) == 1 && p.revents == POLLIN, "full");
    v = 1;
    ok(write(fd, &v, 8) == -1 && errno == EAGAIN, "no more fits");
    close(fd);
    sem = eventfd(2, EFD_SEMAPHORE);
    ok(read(sem, &v, 8) == 8 && v == 1 && read(sem, &v, 8) == 8 && v == 1, "a semaphore gives one at a time");
    if (fork() == 0) {
        usleep(30000);
        v = 7;
        _exit(write(sem, &v, 8) != 8);
    }
    ok(read(sem, &v, 8) == 8 && v == 1, "a read waits for another process's write");
    wait(NULL);
    close(sem);
    ok(eventfd(0, 0x10) == -1 && errno == EINVAL, "unknown flags");
}

static void timers(void)
{
    struct itimerspec s = {.it_value.tv_nsec = 30000000, .it_interval.tv_nsec = 20000000}, got;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), other;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint64_t v = 0;
    long start = now_ms();
    struct timespec t;

    ok(fd >= 0 && timerfd_gettime(fd, &got) == 0 && got.it_value.tv_nsec == 0, "off at first");
    ok(timerfd_settime(fd, 0, &s, NULL) == 0 && timerfd_gettime(fd, &got) == 0 && got.it_value.tv_nsec > 0 &&
           got.it_value.tv_nsec <= 30000000 && got.it_interval.tv_nsec == 20000000,
       "set");
    ok(read(fd, &v, 8) == -1 && errno == EAGAIN, "not yet");
    ok(poll(&p, 1, 2000) == 1 && p.revents == POLLIN && now_ms() - start >= 29, "poll waits for it");
    usleep(70000);
    ok(read(fd, &v, 8) == 8 && v >= 3, "expirations add up");
    ok(read(fd, &v, 8) == -1, "and are read once");
    memset(&s, 0, sizeof s);
    ok(timerfd_settime(fd, 0, &s, &got) == 0 && got.it_interval.tv_nsec == 20000000, "off, and what it was");
    usleep(50000);
    ok(read(fd, &v, 8) == -1 && errno == EAGAIN, "off is off");
    close(fd);
    other = timerfd_create(CLOCK_REALTIME, 0);
    clock_gettime(CLOCK_REALTIME, &t);
    s.it_value = (struct timespec){t.tv_sec, t.tv_nsec};
    ok(timerfd_settime(other, TFD_TIMER_ABSTIME, &s, NULL) == 0 && read(other, &v, 8) == 8 && v == 1, "a time that has come");
    s.it_value.tv_nsec = 1000000000;
    ok(timerfd_settime(other, 0, &s, NULL) == -1 && errno == EINVAL, "a bad time");
    ok(timerfd_settime(1, 0, &s, NULL) == -1 && errno == EINVAL && timerfd_create(99, 0) == -1 && errno == EINVAL, "bad files");
    close(other);
}

/* Intervals that no machine keeps up with, and such as never end. */
static void hard_timers(void)
{
    struct itimerspec s = {.it_value.tv_nsec = 1, .it_interval.tv_nsec = 1}, got;
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    uint64_t v = 0, sum = 0;

    ok(timerfd_settime(fd, 0, &s, NULL) == 0, "every nanosecond");
    for (int i = 0; i < 100; i++)
        sum += read(fd, &v, 8) == 8 ? v : 0;
    usleep(10000);
    ok(sum > 1000 && read(fd, &v, 8) == 8 && v > 1000000, "all are counted");
    s.it_interval.tv_sec = 0x7ffffffffffffffe;
    ok(timerfd_settime(fd, 0, &s, NULL) == 0 && read(fd, &v, 8) == 8 && v == 1 && timerfd_gettime(fd, &got) == 0, "once in a very long time");
    close(fd);
}

static int add(int ep, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event e = {.events = events, .data.u64 = data};

    return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}

static int change(int ep, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event e = {.events = events, .data.u64 = data};

    return epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e);
}

static void levels_and_edges(void)
{
    struct epoll_event got[8];
    int ep = epoll_create1(EPOLL_CLOEXEC), a[2], b[2], twin;
    struct pollfd p = {.fd = ep, .events = POLLIN};
    char buf[8];

    ok(ep >= 0 && pipe(a) == 0 && pipe(b) == 0, "an epoll");
    ok(add(ep, a[0], EPOLLIN, 11) == 0 && add(ep, b[0], EPOLLIN | EPOLLET, 22) == 0, "two pipes");
    ok(add(ep, a[0], EPOLLIN, 1) == -1 && errno == EEXIST && add(ep, 999, EPOLLIN, 1) == -1 && errno == EBADF, "EEXIST, EBADF");
    ok(epoll_wait(ep, got, 8, 0) == 0 && poll(&p, 1, 0) == 0, "nothing is ready");
    ok(write(a[1], "xy", 2) == 2 && write(b[1], "xy", 2) == 2 && poll(&p, 1, 0) == 1, "both are");
    ok(epoll_wait(ep, got, 8, 100) == 2 && got[0].data.u64 + got[1].data.u64 == 33 && got[0].events == EPOLLIN, "and it says so");
    ok(epoll_wait(ep, got, 8, 0) == 1 && got[0].data.u64 == 11, "the level stays, the edge does not");
    ok(read(b[0], buf, 1) == 1 && epoll_wait(ep, got, 8, 0) == 1, "reading is no edge");
    ok(write(b[1], "z", 1) == 1 && epoll_wait(ep, got, 8, 0) == 2, "writing is");
    ok(epoll_wait(ep, got, 1, 0) == 1, "as many as there is room for");
    ok(read(a[0], buf, 2) == 2 && epoll_wait(ep, got, 8, 0) == 0, "an empty pipe is not ready");
    ok(change(ep, a[0], EPOLLIN | EPOLLONESHOT, 33) == 0 && write(a[1], "x", 1) == 1 && epoll_wait(ep, got, 8, 0) == 1 &&
           got[0].data.u64 == 33,
       "one shot");
    ok(write(a[1], "x", 1) == 1 && epoll_wait(ep, got, 8, 0) == 0, "is one");
    ok(change(ep, a[0], EPOLLIN, 44) == 0 && epoll_wait(ep, got, 8, 0) == 1 && got[0].data.u64 == 44, "until it is armed again");
    ok(epoll_ctl(ep, EPOLL_CTL_DEL, a[0], NULL) == 0 && epoll_ctl(ep, EPOLL_CTL_DEL, a[0], NULL) == -1 && errno == ENOENT &&
           change(ep, a[0], EPOLLIN, 0) == -1 && errno == ENOENT && epoll_wait(ep, got, 8, 0) == 0,
       "gone");
    close(b[1]);
    ok(epoll_wait(ep, got, 8, 0) == 1 && (got[0].events & EPOLLHUP), "the other end hung up");
    twin = dup(b[0]);
    close(b[0]);
    ok(add(ep, a[1], EPOLLOUT, 5) == 0 && epoll_wait(ep, got, 8, 0) == 1 && got[0].events == EPOLLOUT, "room to write");
    close(twin);
    close(a[1]);
    ok(epoll_wait(ep, got, 8, 0) == 0, "closed files are watched no more");
    ok(epoll_wait(ep, got, 0, 0) == -1 && errno == EINVAL && epoll_wait(a[0], got, 1, 0) == -1 && errno == EINVAL &&
           epoll_ctl(ep, 9, a[0], got) == -1 && errno == EINVAL && add(ep, ep, EPOLLIN, 0) == -1 && errno == EINVAL,
       "EINVAL");
    for (const char *const *name = (const char *const[]){"/dev/null", "/dev/zero", "/dev/full", NULL}; *name; name++) {
        int always = open(*name, O_RDWR);

        ok(add(ep, always, EPOLLIN, 0) == -1 && errno == EPERM, "%s is always ready, and is not watched", *name);
        close(always);
    }
    close(a[0]);
    close(ep);
}

static void *write_later(void *arg)
{
    uint64_t one = 1;

    usleep(30000);
    return (void *)(intptr_t)(write(*(int *)arg, &one, 8) == 8);
}

static void on_alarm(int signo)
{
    (void)signo;
}

static void waiting(void)
{
    int ep = epoll_create1(0), fd = eventfd(0, 0), timer = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec s = {.it_value.tv_nsec = 40000000};
    struct sigaction sa = {.sa_handler = on_alarm};
    struct epoll_event got[4];
    struct timespec t = {0, 20000000};
    sigset_t none;
    pthread_t thread;
    long start = now_ms();

    ok(add(ep, fd, EPOLLIN, 1) == 0 && epoll_wait(ep, got, 4, 50) == 0 && now_ms() - start >= 49, "a timeout");
    pthread_create(&thread, NULL, write_later, &fd);
    ok(epoll_wait(ep, got, 4, 5000) == 1 && got[0].data.u64 == 1, "woken by a thread");
    pthread_join(thread, NULL);
    ok(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL) == 0 && add(ep, timer, EPOLLIN, 2) == 0 &&
           timerfd_settime(timer, 0, &s, NULL) == 0 && epoll_wait(ep, got, 4, 5000) == 1 && got[0].data.u64 == 2,
       "by a timer");
    epoll_ctl(ep, EPOLL_CTL_DEL, timer, NULL);
    sigaction(SIGALRM, &sa, NULL);
    sa.sa_flags = SA_RESTART;
    if (fork() == 0) {
        usleep(30000);
        _exit(kill(getppid(), SIGALRM));
    }
    ok(epoll_wait(ep, got, 4, 5000) == -1 && errno == EINTR, "a signal ends it");
    wait(NULL);
    sigemptyset(&none);
    ok(epoll_pwait(ep, got, 4, 1, &none) == 0, "with a mask");
    (void)t;
    close(ep);
    close(fd);
    close(timer);
}

static void many(void)
{
    static int fds[300][2];
    struct epoll_event got[400];
    int ep = epoll_create1(0), n = 0, sum = 0;

    for (int i = 0; i < 300; i++)
        if (pipe(fds[i]) || add(ep, fds[i][0], EPOLLIN, (uint64_t)i))
            n = -1;
    ok(n == 0, "three hundred pipes");
    for (int i = 0; i < 300; i += 3)
        n += write(fds[i][1], "x", 1) == 1;
    for (int round = 0; round < 300 && sum < 100; round++) {
        int k = epoll_wait(ep, got, 7, 0);
        for (int i = 0; i < k; i++) {
            char c;
            sum += read(fds[got[i].data.u64][0], &c, 1) == 1;
        }
    }
    ok(n == 100 && sum == 100 && epoll_wait(ep, got, 7, 0) == 0, "each that is ready is told, and no other");
    for (int i = 0; i < 300; i++)
        close(fds[i][0]), close(fds[i][1]);
    close(ep);
}

static void memory_files(void)
{
    int fd = memfd_create("a name", MFD_CLOEXEC), status;
    struct stat st;
    char *p, link[64] = "", path[64];
    pid_t pid;

    ok(fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC), "memfd");
    ok(ftruncate(fd, 8192) == 0 && pwrite(fd, "hello", 5, 4094) == 5, "written");
    p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ok(p != MAP_FAILED && memcmp(p + 4094, "hello", 5) == 0, "mapped");
    p[0] = 'x';
    pid = fork();
    if (pid == 0) {
        p[1] = 'y';
        _exit(p[0] != 'x');
    }
    waitpid(pid, &status, 0);
    ok(status == 0 && p[1] == 'y' && pread(fd, link, 2, 0) == 2 && memcmp(link, "xy", 2) == 0, "shared with a child and with read");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    memset(link, 0, sizeof link);
    ok(readlink(path, link, sizeof link - 1) > 0 && strcmp(link, "/memfd:a name (deleted)") == 0, "its name");
    ok(memfd_create("x", 0x8000) == -1 && errno == EINVAL, "unknown flags");
    close(fd);
    ok(p[1] == 'y', "the mapping outlives the file");
    munmap(p, 8192);
}

static void seals(void)
{
    int fd = memfd_create("sealed", MFD_CLOEXEC), other;
    char *p;

    ok(fcntl(fd, F_GET_SEALS) == F_SEAL_SEAL && fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) == -1 && errno == EPERM, "no seals but where they were wanted");
    close(fd);
    fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ok(fd >= 0 && fcntl(fd, F_GET_SEALS) == 0 && ftruncate(fd, 8192) == 0, "a file that may be sealed");
    ok(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0 && ftruncate(fd, 4096) == -1 && errno == EPERM &&
           ftruncate(fd, 16384) == -1 && errno == EPERM && pwrite(fd, "x", 1, 8192) == -1 && errno == EPERM,
       "it keeps its size");
    ok(pwrite(fd, "abc", 3, 8190) == 2, "a write ends there");
    p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ok(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == -1 && errno == EBUSY, "not while somebody could store to it");
    munmap(p, 8192);
    ok(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0 && pwrite(fd, "x", 1, 0) == -1 && errno == EPERM, "no writing any more");
    ok(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EPERM, "nor a mapping to store to");
    ok(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == -1 && errno == EPERM, "nor a hole");
    p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    p[0] = 'p';
    ok(pread(fd, p + 1, 1, 0) == 1 && p[1] == 0, "a private copy may be changed");
    munmap(p, 8192);
    ok(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == -1 && errno == EPERM, "the last one");
    other = memfd_create("both", 8 | 16);
    ok(other == -1 && errno == EINVAL, "executable and not");
    close(fd);
}

int main(void)
{
    counters();
    timers();
    hard_timers();
    levels_and_edges();
    waiting();
    many();
    memory_files();
    seals();
    return done();
}
