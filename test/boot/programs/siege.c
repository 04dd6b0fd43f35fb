/*
 * A fork bomb and a memory hog side by side, and a bystander with a real-time priority, who every 10 ms looks at its own
 * bytes, has a word with its partner through a pipe, and must be done in time; who is late leaves out the periods that
 * are over. Then all end, and memory is as before.
 *
 * siege SECONDS DEADLINE_US [ROUNDS]     the last round's memory is compared with the one's before it
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
#define BYTES (1ul << 20)
#define PERIOD_NS 10000000l
#define BOMB_USER 1001
#define HOG_USER 1002
#define BOMB_LIMIT 20

static struct shared {
    long worst_us, periods, late, wrong; /* the bystander's */
    volatile int hush;                   /* it is over */
    volatile long bombs, refused, hogs_dead, hogged;
} *shared;

static long now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000l + t.tv_nsec;
}

static void real_time(void)
{
    struct sched_param p = {.sched_priority = 10};

    if (sched_setscheduler(0, SCHED_FIFO, &p))
        exit(3);
}

static void partner(int in, int out)
{
    char c;

    real_time();
    while (read(in, &c, 1) == 1)
        if (write(out, &c, 1) != 1)
            break;
    _exit(0);
}

static int is_whole(const unsigned char *bytes, int n)
{
    for (unsigned long at = 0; at < BYTES; at += 64)
        if (bytes[at] != (unsigned char)(at / 64 * 5 + (unsigned long)n))
            return 0;
    return 1;
}

static void rewrite(unsigned char *bytes, int n)
{
    for (unsigned long at = 0; at < BYTES; at += 64)
        bytes[at] = (unsigned char)(at / 64 * 5 + (unsigned long)n);
}

static void one_period(unsigned char *bytes, int n, int to, int from)
{
    char c = (char)n, answer = 0;

    shared->wrong += !is_whole(bytes, n - 1);
    rewrite(bytes, n);
    shared->wrong += write(to, &c, 1) != 1 || read(from, &answer, 1) != 1 || answer != c;
}

static void __attribute__((noreturn)) bystander(long deadline_us)
{
    unsigned char *bytes = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    int to[2], from[2];
    long next;

    if (pipe(to) || pipe(from))
        _exit(3);
    if (fork() == 0) {
        close(to[1]);
        partner(to[0], from[1]);
    }
    real_time();
    rewrite(bytes, 0);
    next = now_ns();
    for (int n = 1; !shared->hush; n++) {
        struct timespec t = {next / 1000000000, next % 1000000000};
        long late;

        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
        one_period(bytes, n, to[1], from[0]);
        late = (now_ns() - next) / 1000;
        if (late > shared->worst_us)
            shared->worst_us = late;
        shared->late += late > deadline_us;
        shared->periods++;
        next += (1 + late * 1000 / PERIOD_NS) * PERIOD_NS;
    }
    close(to[1]);
    wait(NULL);
    _exit(0);
}

static void __attribute__((noreturn)) bomb(void)
{
    for (;;) {
        pid_t pid = fork();
        if (pid < 0)
            __atomic_fetch_add(&shared->refused, 1, __ATOMIC_RELAXED);
        else if (pid > 0)
            __atomic_fetch_add(&shared->bombs, 1, __ATOMIC_RELAXED);
        if (pid < 0)
            sched_yield();
    }
}

static void __attribute__((noreturn)) hog(void)
{
    for (unsigned long n = 1;; n++) {
        char *p = mmap(NULL, 256 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            _exit(4);
        memset(p, 0x55, 256 * PAGE);
        __atomic_fetch_add(&shared->hogged, 1, __ATOMIC_RELAXED);
    }
}

static pid_t as_user(uid_t user, rlim_t processes, void (*fn)(void))
{
    struct rlimit r = {processes, processes};
    struct sched_param usual = {0};
    pid_t pid = fork();

    if (pid)
        return pid;
    if (sched_setscheduler(0, SCHED_OTHER, &usual) || setpgid(0, 0) || setrlimit(RLIMIT_NPROC, &r) || setgid(user) || setuid(user))
        _exit(3);
    fn();
    _exit(0);
}

/* Each hog that dies for want of memory is followed by another. */
static void keep_hogs(long until)
{
    pid_t hogs = as_user(HOG_USER, 10, hog);

    while (now_ns() < until) {
        int status;
        if (waitpid(hogs, &status, WNOHANG) == hogs) {
            shared->hogs_dead += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
            hogs = as_user(HOG_USER, 10, hog);
        }
        usleep(20000);
    }
    kill(hogs, SIGKILL);
    waitpid(hogs, NULL, 0);
}

/* All processes of the bomb, however fast they multiply: by their user, until there is none. */
static void end_bombs(void)
{
    if (fork() == 0) {
        if (setgid(BOMB_USER) || setuid(BOMB_USER))
            _exit(3);
        while (kill(-1, SIGKILL) == 0) /* who has ended counts until it has been waited for */
            usleep(1000);
        _exit(0);
    }
}

static long free_kib(void)
{
    static char text[2000];
    int fd = open("/proc/meminfo", O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);
    char *at = n > 0 ? strstr(text, "MemFree:") : NULL;

    close(fd);
    return at ? strtol(at + strlen("MemFree:"), NULL, 10) : -1;
}

static void one_siege(long seconds, long deadline_us)
{
    if (fork() == 0)
        bystander(deadline_us);
    usleep(200000);
    (void)as_user(BOMB_USER, BOMB_LIMIT, bomb);
    keep_hogs(now_ns() + seconds * 1000000000l);
    end_bombs();
    shared->hush = 1;
    while (wait(NULL) > 0) /* all of them, and the bomb's orphans, who are ours */
        ;
    usleep(200000);
}

int main(int argc, char **argv)
{
    static char output[4096];
    long cpus = sysconf(_SC_NPROCESSORS_ONLN), enough = cpus > 1 ? 5 : 50; /* an emulator's CPUs take turns: then few are in time */
    long seconds = argc > 1 ? atol(argv[1]) : 3, deadline_us = argc > 2 ? atol(argv[2]) : 5000, before = 0, after = 0;
    int rounds = argc > 3 ? atoi(argv[3]) : 3;

    setvbuf(stdout, output, _IOLBF, sizeof output);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    real_time(); /* who ends the siege must not wait for it */
    for (int r = 0; r < rounds; r++) {
        before = after;
        shared->hush = 0;
        one_siege(seconds, deadline_us);
        after = free_kib();
        printf("siege %d: %ld forks, %ld refused, %ld MiB taken, %ld hogs killed; bystander: %ld periods, worst %ld us, %ld late, %ld wrong; MemFree %ld kB\n",
               r, shared->bombs, shared->refused, shared->hogged, shared->hogs_dead, shared->periods, shared->worst_us, shared->late, shared->wrong, after);
    }
    printf("MemFree %+ld kB\n", after - before);
    return shared->late || shared->wrong || !shared->hogs_dead || !shared->refused || shared->periods < enough * seconds * rounds;
}
