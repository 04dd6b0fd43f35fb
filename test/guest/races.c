/*
 * What two threads or processes do to each other at once, many times over: what is written here holds whoever is faster.
 * test/host shows some of the same moments one by one (test_signal.c, test_pipe.c, test_table.c, test_names.c).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include "tap.h"

static volatile int stop;
static char folder[] = "/tmp/races-XXXXXX";

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *path(char *out, const char *name)
{
    sprintf(out, "%s/%s", folder, name);
    return out;
}

/* Does it end within so many seconds? It is killed if not. */
static int ends(pid_t pid, double limit, int *status)
{
    double end = seconds() + limit;

    while (seconds() < end) {
        if (waitpid(pid, status, WNOHANG) == pid)
            return 1;
        usleep(200);
    }
    kill(pid, SIGKILL);
    waitpid(pid, status, 0);
    return 0;
}

/* ---- stopping ---- */

static void stop_and_continue(void)
{
    volatile unsigned *counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = fork();
    int stuck = 0;

    if (pid == 0)
        for (;;)
            counts[0]++;
    for (int i = 0; i < 300 && !stuck; i++) {
        unsigned before;
        double end = seconds() + 5;

        kill(pid, SIGSTOP);
        for (volatile int wait = i % 50 * 20; wait > 0; wait--)
            ;
        kill(pid, SIGCONT);
        before = counts[0];
        while (counts[0] == before && seconds() < end)
            usleep(100);
        stuck = counts[0] == before;
    }
    ok(!stuck, "who is continued right after it was stopped goes on");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* ---- a signal to a process whose first thread ends ---- */

static void *sleeps(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static void signal_and_thread_exit(void)
{
    int lost = 0, status;

    for (int i = 0; i < 40 && !lost; i++) {
        int ready[2];
        char c;
        pid_t pid;

        if (pipe(ready))
            return;
        pid = fork();
        if (pid == 0) {
            pthread_t t;

            pthread_create(&t, NULL, sleeps, NULL);
            if (write(ready[1], "x", 1) != 1)
                _exit(1);
            pthread_exit(NULL);
        }
        if (read(ready[0], &c, 1) == 1)
            kill(pid, SIGTERM);
        close(ready[0]);
        close(ready[1]);
        lost = !ends(pid, 5, &status);
    }
    ok(!lost, "a signal to a process is not lost with the thread that was told of it");
}

/* ---- exec while another thread makes threads ---- */

static void *nothing(void *arg)
{
    return arg;
}

static void *makes_threads(void *arg)
{
    pthread_t t;

    for (;;)
        if (pthread_create(&t, NULL, nothing, NULL) == 0)
            pthread_detach(t);
    return arg;
}

static void exec_and_clone(void)
{
    int failed = 0, status = 0;

    for (int i = 0; i < 20 && !failed; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            pthread_t t[2];

            for (int k = 0; k < 2; k++)
                pthread_create(&t[k], NULL, makes_threads, NULL);
            usleep(2000);
            execl("/bin/true", "true", NULL);
            _exit(1);
        }
        failed = !ends(pid, 20, &status) || status;
    }
    ok(!failed, "exec ends threads that come while it ends threads (status %#x)", (unsigned)status);
}

/* ---- descriptors ---- */

static void *opens_and_closes(void *arg)
{
    while (!stop) {
        int fd = open("/dev/null", O_RDONLY);

        if (fd >= 0)
            close(fd);
    }
    return arg;
}

static void numbers(void)
{
    int before = open("/dev/null", O_RDONLY), after;
    pthread_t t[4];

    close(before);
    stop = 0;
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, opens_and_closes, NULL);
    usleep(700000);
    stop = 1;
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    after = open("/dev/null", O_RDONLY);
    close(after);
    ok(before == after, "no number is lost: %d, then %d", before, after);
}

/* ---- FIFOs ---- */

static void fifo(void)
{
    char name[64];
    int lost = 0, status;

    mkfifo(path(name, "fifo"), 0600);
    for (int i = 0; i < 60 && !lost; i++) {
        char c = 0;
        pid_t pid = fork();

        if (pid == 0) {
            int fd = open(name, O_RDONLY);

            _exit(fd >= 0 && read(fd, &c, 1) == 1 && c == 'x' && read(fd, &c, 1) == 0 ? 0 : 1);
        }
        int fd = open(name, O_WRONLY);

        lost = write(fd, "x", 1) != 1;
        close(fd);
        lost = !ends(pid, 5, &status) || status;
    }
    ok(!lost, "a reader sees the writer that came and went");
    unlink(name);
}

/* ---- names ---- */

static void *renames(void *arg)
{
    char a[64], b[64];

    path(a, "a-name-that-is-rather-long-so-that-it-has-memory-of-its-own"), path(b, "b");
    while (!stop) {
        rename(a, b);
        rename(b, a);
    }
    return arg;
}

static void listing(void)
{
    char name[64];
    int strange = 0;
    double end;
    pthread_t t;

    close(open(path(name, "b"), O_CREAT | O_WRONLY, 0600));
    stop = 0;
    pthread_create(&t, NULL, renames, NULL);
    for (end = seconds() + 0.7; seconds() < end && !strange;) {
        DIR *d = opendir(folder);
        struct dirent *e;

        while ((e = readdir(d)))
            strange |= e->d_name[0] != '.' && strcmp(e->d_name, "b") && strncmp(e->d_name, "a-name-that-is-", 15);
        closedir(d);
    }
    stop = 1;
    pthread_join(t, NULL);
    ok(!strange, "a directory has no names but those that were given");
    unlink(name);
    unlink(path(name, "a-name-that-is-rather-long-so-that-it-has-memory-of-its-own"));
}

static void *links(void *arg)
{
    char a[64], b[80];

    path(a, "linked");
    sprintf(b, "%s/d%ld/l", folder, (long)arg);
    while (!stop) {
        if (link(a, b) == 0)
            unlink(b);
    }
    return NULL;
}

static void link_counts(void)
{
    char name[64];
    struct stat s;
    pthread_t t[2];

    close(open(path(name, "linked"), O_CREAT | O_WRONLY, 0600));
    stop = 0;
    for (long i = 0; i < 2; i++) {
        char d[64];

        sprintf(d, "%s/d%ld", folder, i);
        mkdir(d, 0700);
        pthread_create(&t[i], NULL, links, (void *)i);
    }
    usleep(500000);
    stop = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    ok(stat(name, &s) == 0 && s.st_nlink == 1, "links from two directories are all counted: %d", (int)s.st_nlink);
    unlink(name);
}

/* ---- what is closed while it is busy ---- */

static void *reads_and_closes(void *arg)
{
    while (!stop) {
        struct itimerspec often = {{0, 20000}, {0, 20000}};
        int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
        unsigned long long n;

        timerfd_settime(fd, 0, &often, NULL);
        for (int i = 0; i < 200 && read(fd, &n, sizeof n) != sizeof n; i++)
            ;
        close(fd);
    }
    return arg;
}

static void *watches(void *arg)
{
    while (!stop) {
        int ep = epoll_create1(0), fds[2];
        struct epoll_event e = {.events = EPOLLIN};

        if (pipe(fds))
            break;
        epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &e);
        *(volatile int *)arg = fds[0]; /* the other thread closes it, perhaps */
        close(ep);
        close(fds[0]);
        close(fds[1]);
    }
    return NULL;
}

static void *closes(void *arg)
{
    while (!stop)
        close(*(volatile int *)arg);
    return NULL;
}

static int closing(void)
{
    volatile int shared = -1;
    pthread_t t[4];

    stop = 0;
    pthread_create(&t[0], NULL, reads_and_closes, NULL);
    pthread_create(&t[1], NULL, reads_and_closes, NULL);
    pthread_create(&t[2], NULL, watches, (void *)&shared);
    pthread_create(&t[3], NULL, closes, (void *)&shared);
    usleep(700000);
    stop = 1;
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    return 0;
}

/* ---- /proc/PID/fd of who ends ---- */

static void opens_and_ends(void)
{
    struct epoll_event e = {.events = EPOLLIN};
    int fds[2], ep = epoll_create1(0), pt = open("/dev/ptmx", O_RDWR | O_NOCTTY);

    (void)!pipe(fds);
    epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &e);
    epoll_ctl(ep, EPOLL_CTL_ADD, pt, &e);
    usleep(300);
    _exit(0);
}

static void descriptors_of_who_ends(void)
{
    double end = seconds() + 1.5;
    unsigned seen = 0;

    while (seconds() < end) {
        char name[64], info[64];
        pid_t pid = fork();
        int status = 0;

        if (pid == 0)
            opens_and_ends();
        sprintf(name, "/proc/%d/fd", pid);
        sprintf(info, "/proc/%d/fdinfo/3", pid);
        while (waitpid(pid, &status, WNOHANG) == 0) {
            DIR *d = opendir(name);
            int fd = open(info, O_RDONLY);
            char text[128];

            while (d && readdir(d))
                seen++;
            if (d)
                closedir(d);
            if (fd >= 0)
                seen += read(fd, text, sizeof text) > 0;
            close(fd);
        }
    }
    ok(seen > 0, "the descriptors of processes that end are looked at");
}

/* ---- access(2) lends the real ids to one thread ---- */

static void *asks(void *arg)
{
    while (!stop)
        syscall(SYS_faccessat, AT_FDCWD, arg, R_OK);
    return NULL;
}

/* With the real user 0 and another effective one: what only root may open stays closed to the other threads. */
static int borrowed(void)
{
    char name[64];
    int opened = 0;
    pthread_t t[2];
    double end;

    close(open(path(name, "secret"), O_CREAT | O_WRONLY, 0600));
    chmod(folder, 0755);
    stop = 0;
    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, asks, name);
    if (syscall(SYS_setresuid, 0, 12345, 0))
        return 2;
    for (end = seconds() + 0.5; seconds() < end && !opened;)
        opened = syscall(SYS_openat, AT_FDCWD, name, O_RDONLY) >= 0;
    _exit(opened);
}

/* ---- a file changes its owner while the old one sets its mode ---- */

static void owner_and_mode(void)
{
    char name[64];
    int strange = 0;
    double end = seconds() + 0.7;
    struct stat s;
    pid_t pid;

    close(open(path(name, "program"), O_CREAT | O_WRONLY, 0700));
    if (chown(name, 12345, 12345))
        return;
    chmod(folder, 0755);
    pid = fork();
    if (pid == 0) {
        if (setresuid(12345, 12345, 12345))
            _exit(1);
        for (;;)
            chmod(name, 04755);
    }
    while (seconds() < end && !strange) {
        chown(name, 0, 0);
        strange = stat(name, &s) || (s.st_mode & S_ISUID);
        chown(name, 12345, 12345);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    ok(!strange, "nobody makes a program set-id for its next owner (%d, %o)", (int)s.st_uid, (unsigned)s.st_mode);
    unlink(name);
}

int main(void)
{
    int status;

    alarm(110);
    if (!mkdtemp(folder))
        return 1;
    stop_and_continue();
    signal_and_thread_exit();
    exec_and_clone();
    numbers();
    fifo();
    listing();
    link_counts();
    descriptors_of_who_ends();
    ok(in_child(closing) == 0, "closed while it is busy");
    if (geteuid() == 0) {
        status = in_child(borrowed);
        ok(status == 0, "access(2) in one thread does not let another one in (%d)", status);
        owner_and_mode();
    }
    return done();
}
