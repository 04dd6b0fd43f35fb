/* Scheduling policies: real-time priorities, who may have them, what they mean. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tap.h"

static void calls(void)
{
    struct sched_param p = {0};
    struct timespec t;

    ok(sched_getscheduler(0) == SCHED_OTHER && sched_getparam(0, &p) == 0 && p.sched_priority == 0, "the usual policy");
    ok(sched_get_priority_min(SCHED_FIFO) == 1 && sched_get_priority_max(SCHED_RR) == 99 && sched_get_priority_max(SCHED_OTHER) == 0,
       "priorities");
    ok(sched_get_priority_max(77) == -1 && errno == EINVAL, "no such policy");
    p.sched_priority = 100;
    ok(sched_setscheduler(0, SCHED_FIFO, &p) == -1 && errno == EINVAL, "no such priority");
    p.sched_priority = 1;
    ok(sched_setscheduler(0, SCHED_OTHER, &p) == -1 && errno == EINVAL, "the usual policy has none");
    ok(sched_setscheduler(-1, SCHED_FIFO, &p) == -1 && errno == EINVAL, "a negative number");
    ok(sched_setscheduler(0x3ffffff, SCHED_FIFO, &p) == -1 && errno == ESRCH, "nobody");
    ok(sched_rr_get_interval(0, &t) == 0 && t.tv_sec == 0, "a slice");
}

static int realtime(void)
{
    struct sched_param p = {.sched_priority = 10}, q;
    struct timespec t;
    int status;

    if (sched_setscheduler(0, SCHED_RR, &p) || sched_getscheduler(0) != SCHED_RR || sched_getparam(0, &q) || q.sched_priority != 10)
        return 1;
    if (sched_rr_get_interval(0, &t) || t.tv_sec || t.tv_nsec != 100000000)
        return 2;
    if (fork() == 0)
        _exit(sched_getscheduler(0) != SCHED_RR);
    wait(&status);
    if (status)
        return 3;
    if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &p) || sched_getscheduler(0) != (SCHED_RR | SCHED_RESET_ON_FORK))
        return 4;
    if (fork() == 0)
        _exit(sched_getscheduler(0) != SCHED_OTHER);
    wait(&status);
    if (status)
        return 5;
    p.sched_priority = 0;
    return sched_setscheduler(0, SCHED_OTHER, &p) ? 6 : 0;
}

static volatile int order[3], arrived;

static void *worker(void *arg)
{
    order[__atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST)] = (int)(long)arg;
    return NULL;
}

static int start(pthread_t *t, int priority)
{
    struct sched_param p = {.sched_priority = priority};
    pthread_attr_t a;

    pthread_attr_init(&a);
    pthread_attr_setinheritsched(&a, PTHREAD_EXPLICIT_SCHED);
    pthread_attr_setschedpolicy(&a, SCHED_FIFO);
    pthread_attr_setschedparam(&a, &p);
    return pthread_create(t, &a, worker, (void *)(long)priority);
}

/* On one CPU: threads of a lower priority run when this one waits, the highest of them first. */
static int in_order(void)
{
    struct sched_param p = {.sched_priority = 50};
    pthread_t t[3];
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(0, &one);
    if (sched_setaffinity(0, sizeof one, &one) || sched_setscheduler(0, SCHED_FIFO, &p))
        return 1;
    if (start(&t[0], 10) || start(&t[1], 30) || start(&t[2], 20))
        return 2;
    if (arrived)
        return 3;
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    return order[0] == 30 && order[1] == 20 && order[2] == 10 ? 0 : 4;
}

/* One that never waits leaves the others something. */
static int not_alone(void)
{
    struct sched_param p = {.sched_priority = 50};
    cpu_set_t one;
    pid_t hog;
    int status;

    CPU_ZERO(&one);
    CPU_SET(0, &one);
    if (sched_setaffinity(0, sizeof one, &one))
        return 1;
    hog = fork();
    if (hog == 0) {
        sched_setscheduler(0, SCHED_FIFO, &p);
        for (;;)
            ;
    }
    usleep(100000);
    return kill(hog, SIGKILL) || waitpid(hog, &status, 0) != hog ? 2 : 0;
}

/* Two of equal priority that yield to each other, for longer than real-time threads may have a CPU for themselves. */
static int taking_turns(void)
{
    struct sched_param p = {.sched_priority = 20};
    struct timespec t;
    cpu_set_t one;
    time_t end;
    pid_t other;

    CPU_ZERO(&one);
    CPU_SET(0, &one);
    if (sched_setaffinity(0, sizeof one, &one) || sched_setscheduler(0, SCHED_FIFO, &p))
        return 1;
    other = fork();
    for (clock_gettime(CLOCK_MONOTONIC, &t), end = t.tv_sec + 3; t.tv_sec < end; clock_gettime(CLOCK_MONOTONIC, &t))
        sched_yield();
    if (other == 0)
        _exit(0);
    return waitpid(other, NULL, 0) == other ? 0 : 2;
}

static int as_nobody(void)
{
    struct sched_param p = {.sched_priority = 5}, none = {0};
    struct rlimit l = {3, 3};

    if (setrlimit(RLIMIT_RTPRIO, &l))
        return errno != EPERM; /* no root that may do all */
    if (setresuid(1000, 1000, 1000))
        return 1;
    if (sched_setscheduler(0, SCHED_FIFO, &p) != -1 || errno != EPERM)
        return 2;
    if (sched_setscheduler(getppid(), SCHED_OTHER, &none) != -1 || errno != EPERM)
        return 3;
    p.sched_priority = 3;
    if (sched_setscheduler(0, SCHED_FIFO, &p))
        return 4;
    if (setpriority(PRIO_PROCESS, 0, -5) != -1 || errno != EACCES || setpriority(PRIO_PROCESS, getppid(), 5) != -1 || errno != EPERM)
        return 5;
    if (setpriority(PRIO_PROCESS, 0, 5) || getpriority(PRIO_PROCESS, 0) != 5)
        return 6;
    return 0;
}

/* There and back: each time the thread runs where it was sent. */
static int from_cpu_to_cpu(void)
{
    cpu_set_t all, one;

    if (sched_getaffinity(0, sizeof all, &all))
        return 1;
    for (int turn = 0; turn < 200; turn++)
        for (int cpu = 0; cpu < 8; cpu++) {
            if (!CPU_ISSET(cpu, &all))
                continue;
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            if (sched_setaffinity(0, sizeof one, &one))
                return 2;
            if (sched_getcpu() >= 0 && sched_getcpu() != cpu)
                return 3;
        }
    return 0;
}

/* Two processes say different things about where one of them may run. */
static int sent_here_and_there(void)
{
    pid_t first = getpid(), other = fork();
    cpu_set_t one;

    for (int turn = 0; turn < 3000; turn++) {
        CPU_ZERO(&one);
        CPU_SET((other == 0) == (turn & 1), &one);
        sched_setaffinity(first, sizeof one, &one); /* EINVAL where there is one CPU */
    }
    if (other == 0)
        _exit(0);
    return waitpid(other, NULL, 0) == other ? 0 : 1;
}

static void checked_in_child(int (*fn)(void), const char *what)
{
    int status;

    if (fork() == 0) {
        alarm(30);
        _exit(fn());
    }
    wait(&status);
    ok(status == 0, "%s (%#x)", what, status);
}

int main(void)
{
    struct sched_param p = {.sched_priority = 1}, none = {0};

    alarm(120);
    calls();
    checked_in_child(from_cpu_to_cpu, "affinity");
    checked_in_child(sent_here_and_there, "affinity that two set at once");
    if (sched_setscheduler(0, SCHED_FIFO, &p) == 0) { /* else it is not permitted here */
        sched_setscheduler(0, SCHED_OTHER, &none);
        checked_in_child(realtime, "a real-time policy, and what a child has of it");
        checked_in_child(in_order, "threads run in the order of their priorities");
        checked_in_child(not_alone, "a thread that never waits can be killed");
        checked_in_child(taking_turns, "two that yield to each other");
        checked_in_child(as_nobody, "limits");
    }
    return done();
}
