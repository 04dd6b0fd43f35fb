/* Handlers, masks, restarts, alternate stacks, faults. */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tap.h"

static volatile sig_atomic_t count, last_code;
static volatile void *fault_address;
static volatile unsigned long handler_stack;
static sigjmp_buf back;

static void handler(int signo, siginfo_t *info, void *context)
{
    (void)signo, (void)context;
    count++;
    last_code = info->si_code;
    fault_address = info->si_addr;
    handler_stack = (unsigned long)__builtin_frame_address(0);
}

static void jump(int signo, siginfo_t *info, void *context)
{
    handler(signo, info, context);
    siglongjmp(back, 1);
}

static void install(int signo, void (*fn)(int, siginfo_t *, void *), int flags)
{
    struct sigaction a = {.sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags};

    sigaction(signo, &a, NULL);
}

static void masks(void)
{
    sigset_t set, old, pending;

    install(SIGUSR1, handler, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &old);
    count = 0;
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR1);
    sigpending(&pending);
    ok(count == 0 && sigismember(&pending, SIGUSR1), "blocked and pending");
    sigprocmask(SIG_SETMASK, &old, NULL);
    ok(count == 1 && last_code == SI_USER, "delivered once when unblocked");
}

static void realtime(void)
{
    union sigval v = {.sival_int = 42};
    sigset_t set;
    siginfo_t info;

    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sigqueue(getpid(), SIGRTMIN, v);
    v.sival_int = 43;
    sigqueue(getpid(), SIGRTMIN, v);
    ok(sigwaitinfo(&set, &info) == SIGRTMIN && info.si_value.sival_int == 42, "real-time signals queue");
    ok(sigwaitinfo(&set, &info) == SIGRTMIN && info.si_value.sival_int == 43, "in order");
}

static void restart(int flags, const char *what, int want_eintr)
{
    struct itimerval t = {.it_value = {.tv_usec = 50000}};
    char c = 0;
    int p[2];
    ssize_t n;

    if (pipe(p))
        return;
    install(SIGALRM, handler, flags);
    if (fork() == 0) {
        usleep(200000);
        _exit(write(p[1], "x", 1) != 1);
    }
    count = 0;
    setitimer(ITIMER_REAL, &t, NULL);
    n = read(p[0], &c, 1);
    ok(count == 1 && (want_eintr ? n == -1 && errno == EINTR : n == 1 && c == 'x'), "read is %s", what);
    wait(NULL);
    close(p[0]);
    close(p[1]);
}

static void faults(void)
{
    install(SIGSEGV, jump, 0);
    if (!sigsetjmp(back, 1))
        *(volatile int *)8 = 1;
    ok(last_code == SEGV_MAPERR && fault_address == (void *)8, "SIGSEGV with its address");
    if (!sigsetjmp(back, 1))
        *(volatile char *)(void *)&faults = 1;
    ok(last_code == SEGV_ACCERR, "and its reason");
    signal(SIGSEGV, SIG_DFL);
}

static char alternate[65536];

static void altstack(void)
{
    stack_t s = {.ss_sp = alternate, .ss_size = sizeof alternate};

    ok(sigaltstack(&s, NULL) == 0, "sigaltstack");
    install(SIGUSR2, handler, SA_ONSTACK);
    raise(SIGUSR2);
    ok(handler_stack >= (unsigned long)alternate && handler_stack <= (unsigned long)alternate + sizeof alternate, "runs on it");
}

static void floating_point(void)
{
    volatile double x = 1.5;

    install(SIGUSR1, handler, 0);
    for (int i = 0; i < 100; i++) {
        x = x * 1.0;
        raise(SIGUSR1);
    }
    ok(x == 1.5, "floating-point registers survive");
}

static void sleeping(void)
{
    struct itimerval t = {.it_value = {.tv_usec = 30000}};
    struct timespec want = {.tv_nsec = 200000000}, left;

    install(SIGALRM, handler, SA_RESTART);
    setitimer(ITIMER_REAL, &t, NULL);
    ok(nanosleep(&want, &left) == -1 && errno == EINTR && left.tv_nsec > 50000000, "nanosleep says what is left");
}

int main(void)
{
    masks();
    realtime();
    restart(SA_RESTART, "restarted", 0);
    restart(0, "interrupted", 1);
    faults();
    altstack();
    floating_point();
    sleeping();
    return done();
}
