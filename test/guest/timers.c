/* Interval timers by every clock, timer_create, signalfd. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tap.h"

static volatile sig_atomic_t count;
static volatile int last_code, last_value, last_id;

static void handler(int signo, siginfo_t *info, void *context)
{
    (void)signo, (void)context;
    count++;
    last_code = info->si_code;
    last_value = info->si_value.sival_int;
    last_id = info->si_timerid;
}

static void handle(int signo)
{
    struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

    sigaction(signo, &a, NULL);
    count = 0;
}

static long ns_of(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000l + t.tv_nsec;
}

static void spin_ms(long ms)
{
    long end = ns_of(CLOCK_PROCESS_CPUTIME_ID) + ms * 1000000;

    while (ns_of(CLOCK_PROCESS_CPUTIME_ID) < end)
        ;
}

static void by_cpu(int which, int signo, const char *name)
{
    struct itimerval v = {.it_value = {0, 20000}, .it_interval = {0, 20000}}, off = {0}, now;
    long long turns;

    handle(signo);
    ok(setitimer(which, &v, NULL) == 0, "%s is set", name);
    usleep(60000);
    ok(count == 0, "%s does not run while the process sleeps", name);
    for (turns = 0; count < 3 && turns < 20000000000ll; turns++)
        __asm__ volatile("");
    ok(count >= 3, "%s goes off again and again", name);
    ok(getitimer(which, &now) == 0 && now.it_interval.tv_usec == 20000 && now.it_value.tv_usec <= 20000, "%s can be read", name);
    setitimer(which, &off, &now);
    count = 0;
    spin_ms(50);
    ok(count == 0 && getitimer(which, &now) == 0 && now.it_value.tv_usec == 0, "%s is off", name);
}

static void created(void)
{
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 77};
    struct itimerspec v = {.it_value = {0, 10000000}}, old, off = {0};
    timer_t t, second;
    sigset_t set;
    siginfo_t info;
    int i;

    handle(SIGRTMIN);
    ok(timer_create(CLOCK_MONOTONIC, &e, &t) == 0, "timer_create");
    ok(timer_create(CLOCK_REALTIME, NULL, &second) == 0 && second != t, "another, without an event");
    ok(timer_settime(t, 0, &v, &old) == 0 && old.it_value.tv_nsec == 0, "set for 10 ms");
    for (i = 0; i < 100 && !count; i++)
        usleep(10000);
    ok(count == 1 && last_code == SI_TIMER && last_value == 77, "its signal says that it is a timer's, and the value");
    ok(timer_gettime(t, &old) == 0 && old.it_value.tv_sec == 0 && old.it_value.tv_nsec == 0, "it is off then");
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    v.it_value = v.it_interval = (struct timespec){0, 5000000};
    timer_settime(t, 0, &v, NULL);
    usleep(100000);
    ok(sigwaitinfo(&set, &info) == SIGRTMIN && info.si_overrun >= 10 && timer_getoverrun(t) == info.si_overrun,
       "expirations that nobody took are the overrun: %d", info.si_overrun);
    ok(sigwaitinfo(&set, &info) == SIGRTMIN && info.si_overrun < 10, "then it goes on");
    ok(timer_gettime(t, &old) == 0 && old.it_interval.tv_nsec == 5000000 && old.it_value.tv_nsec <= 5000000, "its setting");
    timer_settime(t, 0, &off, &old);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    clock_gettime(CLOCK_MONOTONIC, &v.it_value);
    v.it_value.tv_sec--;
    v.it_interval = (struct timespec){0};
    count = 0;
    timer_settime(t, TIMER_ABSTIME, &v, NULL);
    for (i = 0; i < 100 && !count; i++)
        usleep(1000);
    ok(count == 1, "an absolute time that is past: at once");
    ok(timer_delete(t) == 0 && timer_delete(t) == -1 && errno == EINVAL, "deleted");
    ok(timer_delete(second) == 0, "the other, too");
    e.sigev_signo = 99;
    ok(timer_create(CLOCK_MONOTONIC, &e, &t) == -1 && errno == EINVAL, "no such signal");
    ok(timer_create(77, NULL, &t) == -1 && errno == EINVAL, "no such clock");
}

static void kinds(void)
{
    struct sigevent e = {.sigev_notify = SIGEV_NONE};
    struct itimerspec v = {.it_value = {100, 0}}, now;
    timer_t t;
    long long turns;
    int status;

    ok(timer_create(CLOCK_MONOTONIC, &e, &t) == 0 && timer_settime(t, 0, &v, NULL) == 0 && timer_gettime(t, &now) == 0 &&
           now.it_value.tv_sec >= 99,
       "a timer that tells nobody can be read");
    timer_delete(t);
    handle(SIGUSR1);
    e = (struct sigevent){.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 5};
    e._sigev_un._tid = (int)syscall(SYS_gettid);
    ok(timer_create(CLOCK_THREAD_CPUTIME_ID, &e, &t) == 0, "by the thread's CPU time, for a thread");
    v.it_value = (struct timespec){0, 20000000};
    timer_settime(t, 0, &v, NULL);
    usleep(50000);
    ok(count == 0, "not while it sleeps");
    for (turns = 0; !count && turns < 20000000000ll; turns++)
        __asm__ volatile("");
    ok(count == 1 && last_value == 5, "when it has used so much");
    timer_settime(t, 0, &v, NULL);
    if (fork() == 0)
        _exit(timer_delete(t) != -1);
    wait(&status);
    timer_delete(t);
    ok(status == 0, "a child has none of them");
}

static void deleted_while_pending(void)
{
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1};
    struct itimerspec v = {.it_value = {0, 20000}, .it_interval = {0, 1000000}};
    int i, good = 1;

    handle(SIGRTMIN + 1);
    for (i = 0; i < 100; i++) {
        timer_t t;

        good &= timer_create(CLOCK_MONOTONIC, &e, &t) == 0 && timer_settime(t, 0, &v, NULL) == 0 && timer_delete(t) == 0;
    }
    ok(good, "made, set and deleted, 100 times (%d signals)", (int)count);
}

/* One signal of a timer at a time, however often it is set. */
static void set_again_and_again(void)
{
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec v = {.it_value = {0, 1}};
    sigset_t set, pending;
    timer_t t;

    handle(SIGUSR1);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    timer_create(CLOCK_MONOTONIC, &e, &t);
    for (int i = 0; i < 100; i++) {
        timer_settime(t, 0, &v, NULL);
        usleep(100);
    }
    usleep(10000);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    ok(count == 1, "set again and again, with its signal blocked: %d", (int)count);
    sigprocmask(SIG_BLOCK, &set, NULL);
    timer_settime(t, 0, &v, NULL);
    usleep(10000);
    timer_delete(t);
    sigpending(&pending);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    ok(count <= 2, "deleted");
}

static void through_a_file(void)
{
    struct signalfd_siginfo s[3];
    struct pollfd p = {.events = POLLIN};
    struct epoll_event e = {.events = EPOLLIN};
    sigset_t set;
    int ep = epoll_create1(0);

    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    p.fd = signalfd(-1, &set, SFD_NONBLOCK);
    ok(p.fd >= 0 && read(p.fd, s, sizeof s) == -1 && errno == EAGAIN && poll(&p, 1, 0) == 0, "signalfd: nothing yet");
    epoll_ctl(ep, EPOLL_CTL_ADD, p.fd, &e);
    kill(getpid(), SIGUSR2);
    ok(poll(&p, 1, 0) == 1 && p.revents == POLLIN && epoll_wait(ep, &e, 1, 1000) == 1, "poll and epoll see a signal");
    ok(read(p.fd, s, sizeof s) == sizeof s[0] && s[0].ssi_signo == SIGUSR2 && s[0].ssi_pid == (unsigned)getpid() &&
           s[0].ssi_code == SI_USER,
       "it is read");
    if (fork() == 0)
        _exit(3);
    ok(poll(&p, 1, 5000) == 1 && read(p.fd, s, sizeof s) == sizeof s[0] && s[0].ssi_signo == SIGCHLD && s[0].ssi_status == 3,
       "a child's end");
    wait(NULL);
    sigdelset(&set, SIGUSR2);
    ok(signalfd(p.fd, &set, 0) == p.fd && kill(getpid(), SIGUSR2) == 0 && poll(&p, 1, 0) == 0, "another mask");
    ok(read(p.fd, s, 100) == -1 && errno == EINVAL, "a buffer that is too small");
    ok(signalfd(0, &set, 0) == -1 && errno == EINVAL, "that is no signalfd");
    signal(SIGUSR2, SIG_IGN);
    close(p.fd);
    close(ep);
}

static void sleeping(void)
{
    struct timespec t;
    long before = ns_of(CLOCK_REALTIME);

    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += 30000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    ok(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL) == 0 && ns_of(CLOCK_REALTIME) - before >= 30000000, "until a time of day");
    t = (struct timespec){0};
    ok(clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &t, NULL) == 0, "by CPU time");
    ok(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &t, NULL) == EINVAL, "not by the thread's own");
}

static long asked(clockid_t clock)
{
    struct timespec t;

    syscall(SYS_clock_gettime, clock, &t);
    return t.tv_sec * 1000000000l + t.tv_nsec;
}

/* libc's way, which need not ask the kernel, and the kernel's answer. */
static void both_ways(void)
{
    static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_MONOTONIC_RAW};
    int good = 1;

    for (int i = 0; i < 1000; i++) {
        clockid_t c = clocks[i % 4];
        long before = asked(c), between = ns_of(c), after = asked(c);

        good &= before <= between && between <= after;
    }
    ok(good, "the time, with and without asking the kernel");
}

int main(void)
{
    alarm(120);
    both_ways();
    by_cpu(ITIMER_PROF, SIGPROF, "ITIMER_PROF");
    by_cpu(ITIMER_VIRTUAL, SIGVTALRM, "ITIMER_VIRTUAL");
    created();
    kinds();
    deleted_while_pending();
    set_again_and_again();
    through_a_file();
    sleeping();
    return done();
}
