/* Many forks: nothing is lost, limits are errors. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tap.h"

static void sequence(int n)
{
    int bad = 0, status;

    for (int i = 0; i < n; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(i & 0x7f);
        if (pid < 0 || waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != (i & 0x7f))
            bad++;
    }
    ok(bad == 0, "%d forks one after another", n);
}

static void at_once(int n)
{
    int reaped = 0, sum = 0, status;

    for (int i = 0; i < n; i++)
        if (fork() == 0)
            _exit(1);
    while (wait(&status) > 0) {
        reaped++;
        sum += WEXITSTATUS(status);
    }
    ok(reaped == n && sum == n, "%d children at once", n);
    ok(wait(&status) == -1 && errno == ECHILD, "and then none");
}

static volatile sig_atomic_t announced;

static void on_child(int signo)
{
    (void)signo;
    announced++;
}

/* A wait that is interrupted by the very child that ends must not swallow it. */
static void interrupted(int n)
{
    struct sigaction act = {.sa_handler = on_child}, old;
    int status, lost = 0;

    sigaction(SIGCHLD, &act, &old);
    for (int i = 0; i < n; i++) {
        pid_t pid = fork(), got;
        if (pid == 0)
            _exit(i & 63);
        while ((got = waitpid(-1, &status, 0)) == -1 && errno == EINTR)
            ;
        lost += got != pid || WEXITSTATUS(status) != (i & 63);
    }
    sigaction(SIGCHLD, &old, NULL);
    ok(lost == 0 && announced > 0, "%d children announced by SIGCHLD, %d lost", n, lost);
}

static void limited(void)
{
    struct rlimit old, low = {.rlim_cur = 1, .rlim_max = 1};
    pid_t pid;
    int status;

    getrlimit(RLIMIT_NPROC, &old);
    pid = fork();
    if (pid == 0) {
        if (setrlimit(RLIMIT_NPROC, &low) || setuid(12345))
            _exit(2);
        pid = fork();
        if (pid == 0)
            _exit(0);
        _exit(pid == -1 && errno == EAGAIN ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    ok(geteuid() != 0 || status == 0, "RLIMIT_NPROC: EAGAIN");
}

/* More memory than the machine has, one after the other, in children that nobody has waited for. */
static void zombies_own_nothing(int n)
{
    size_t size = 24u << 20;
    int status, good = 0;
    siginfo_t info;
    pid_t pid[64];

    for (int i = 0; i < n; i++) {
        pid[i] = fork();
        if (pid[i] == 0) {
            char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
            for (size_t at = 0; at < size; at += 4096)
                p[at] = 1;
            _exit(0);
        }
        waitid(P_PID, (id_t)pid[i], &info, WEXITED | WNOWAIT);
    }
    for (int i = 0; i < n; i++)
        good += waitpid(pid[i], &status, 0) == pid[i] && status == 0;
    ok(good == n, "B6 %d of %d children found the memory that zombies had", good, n);
}

static void vforked(void)
{
    int status;
    pid_t pid = vfork();

    if (pid == 0)
        _exit(3);
    ok(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 3, "vfork");
}

static void stopped(void)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        for (;;)
            pause();
    kill(pid, SIGSTOP);
    ok(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP, "a stopped child");
    kill(pid, SIGCONT);
    ok(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status), "continued");
    ok(waitpid(pid, &status, WNOHANG) == 0, "nothing new");
    kill(pid, SIGKILL);
    ok(waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGKILL, "killed");
}

/* A child that was made to end without a word to its parent: who takes it in as an orphan can wait for it. */
static void orphans_without_a_signal(void)
{
    int status = 0;
    pid_t child;

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    child = fork();
    if (child == 0) {
        long made = syscall(SYS_clone, 0, 0, 0, 0, 0);

        if (made == 0) {
            usleep(50000);
            _exit(7);
        }
        _exit(made < 0 ? 99 : 0);
    }
    waitpid(child, &status, 0);
    alarm(20);
    if (WEXITSTATUS(status) != 99) /* the emulator of another machine's programs has no such thing */
        ok(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 7, "an orphan that had no signal for its parent");
    alarm(0);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static volatile sig_atomic_t seen_usr1;

static void on_usr1(int signo)
{
    (void)signo;
    seen_usr1 = 1;
}

/* Whose parent is to be the caller's parent tells it of its end as the caller would: not by a signal of the caller's choice. */
static void siblings_do_not_choose(void)
{
    int reaped = 0;

    signal(SIGUSR1, on_usr1);
    if (fork() == 0) {
        long pid = syscall(SYS_clone, 0x8000 /* CLONE_PARENT */ | SIGUSR1, NULL, NULL, NULL, NULL);
        _exit(pid < 0 ? 1 : 0);
    }
    while (waitpid(-1, NULL, __WALL) > 0)
        reaped++;
    ok(seen_usr1 == 0 && reaped >= 1, "the end of a sibling is SIGCHLD");
    signal(SIGUSR1, SIG_DFL);
}

static volatile int *over; /* shared */

/* One process after another: each makes the next, and ends. */
static void __attribute__((noreturn)) relay(void)
{
    while (!*over)
        if (fork() > 0)
            _exit(0);
    _exit(0);
}

static void __attribute__((noreturn)) relays(int n)
{
    setpgid(0, 0);
    for (int i = 0; i < n; i++)
        if (fork() == 0)
            relay();
    for (;;)
        pause();
}

/* A signal for a group is for all of it: also for whom a member is just making. */
static void groups_end_whole(int rounds)
{
    int survived = 0, alive[2];
    char c;

    over = mmap(NULL, sizeof *over, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int i = 0; i < rounds; i++) {
        struct pollfd p = {.events = POLLIN};
        pid_t group;

        if (pipe(alive))
            break;
        group = fork();
        if (group == 0)
            relays(6);
        setpgid(group, group);
        close(alive[1]);
        usleep(2000 + i % 16 * 100);
        kill(-group, SIGKILL);
        p.fd = alive[0];
        survived += poll(&p, 1, 3000) != 1 || read(alive[0], &c, 1) != 0; /* the end, when nobody has the other one any more */
        *over = survived > 0;
        close(alive[0]);
        while (wait(NULL) > 0)
            ;
        if (survived)
            break;
    }
    ok(survived == 0, "%d groups that multiply end by one signal", rounds);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

int main(void)
{
    sequence(300);
    at_once(100);
    interrupted(1500);
    limited();
    zombies_own_nothing(30);
    vforked();
    stopped();
    orphans_without_a_signal();
    siblings_do_not_choose();
    groups_end_whole(40);
    return done();
}
