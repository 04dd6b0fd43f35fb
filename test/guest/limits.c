/* Limits that hold (getrlimit), and how far stacks grow. An emulator of programs has its own idea of most of these. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tap.h"

#define PAGE 4096ul
#define RW (PROT_READ | PROT_WRITE)
#define GAP 256ul /* pages below a stack where it does not grow to what is mapped there */
#define NOBODY 12348

static int limit(int which, rlim_t n)
{
    struct rlimit r = {n, n};

    return setrlimit((__rlimit_resource_t)which, &r);
}

static long mapped_kib(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[200];
    long n = 0;

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmSize: %ld", &n) == 1)
            break;
    if (f)
        fclose(f);
    return n;
}

static int address_space(void)
{
    char *p;

    if (limit(RLIMIT_AS, (rlim_t)mapped_kib() * 1024 + 64 * PAGE))
        return 1;
    p = mmap(NULL, 65 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p != MAP_FAILED || errno != ENOMEM)
        return 2;
    p = mmap(NULL, 32 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || sbrk(64 * PAGE) != (void *)-1)
        return 3;
    return mremap(p, 32 * PAGE, 100 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == ENOMEM ? 0 : 4;
}

static int data(void)
{
    if (limit(RLIMIT_DATA, 1 << 20))
        return 1;
    return sbrk(2 << 20) == (void *)-1 && errno == ENOMEM ? 0 : 2;
}

/* The program's stack at exec: 256 KiB. */
static int small_stack(void)
{
    if (limit(RLIMIT_STACK, 256 * 1024))
        return 1;
    execl("/proc/self/exe", "limits", "deep", (char *)NULL);
    return 2;
}

static int same_stack(void)
{
    execl("/proc/self/exe", "limits", "deep", (char *)NULL);
    return 2;
}

static int __attribute__((noinline)) deep(int pages)
{
    volatile char room[PAGE];

    room[0] = (char)pages;
    return pages == 0 ? 0 : deep(pages - 1) + room[0] - (char)pages;
}

static int become_nobody(void)
{
    return setgid(NOBODY) || setuid(NOBODY);
}

/* Three processes of one user; those of others do not count. */
static int three_processes(void)
{
    pid_t children[3];
    int made = 0, why = 0;

    if (become_nobody() || limit(RLIMIT_NPROC, 3))
        return 1;
    for (int i = 0; i < 3; i++) {
        children[i] = fork();
        if (children[i] == 0)
            for (;;)
                pause();
        why = children[i] < 0 ? errno : 0;
        made += children[i] > 0;
    }
    for (int i = 0; i < made; i++)
        kill(children[i], SIGKILL), waitpid(children[i], NULL, 0);
    return made == 2 && why == EAGAIN ? 0 : 2 + made;
}

static void processes(void)
{
    pid_t others[5];

    for (int i = 0; i < 5; i++)
        if ((others[i] = fork()) == 0)
            for (;;)
                pause();
    ok(geteuid() != 0 || in_child(three_processes) == 0, "RLIMIT_NPROC: of this user, EAGAIN");
    for (int i = 0; i < 5; i++)
        kill(others[i], SIGKILL), waitpid(others[i], NULL, 0);
}

static int files(void)
{
    int last = -1, fd;

    if (limit(RLIMIT_NOFILE, 20))
        return 1;
    while ((fd = open("/dev/null", O_RDONLY)) >= 0)
        last = fd;
    if (errno != EMFILE || last != 19)
        return 2;
    return dup2(0, 20) == -1 && errno == EBADF && dup2(0, 19) == 19 ? 0 : 3;
}

static int file_size(void)
{
    int fd = open("/tmp/limits", O_RDWR | O_CREAT | O_TRUNC, 0600);
    char page[PAGE] = {0};

    unlink("/tmp/limits");
    signal(SIGXFSZ, SIG_IGN);
    if (fd < 0 || limit(RLIMIT_FSIZE, 5000) || write(fd, page, PAGE) != (ssize_t)PAGE || write(fd, page, PAGE) != 5000 - (ssize_t)PAGE)
        return 1;
    if (write(fd, page, 1) != -1 || errno != EFBIG || ftruncate(fd, 5001) != -1 || errno != EFBIG)
        return 2;
    signal(SIGXFSZ, SIG_DFL);
    return write(fd, page, 1) != 3 ? 3 : 0;
}

static int aborts(void)
{
    return limit(RLIMIT_CORE, 0) ? 1 : (abort(), 0);
}

static int locked(void)
{
    char *p = mmap(NULL, 32 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (limit(RLIMIT_MEMLOCK, 16 * PAGE) || become_nobody() || mlock(p, 16 * PAGE))
        return 1;
    return mlock(p + 16 * PAGE, PAGE) == -1 && errno == ENOMEM && munlock(p, PAGE) == 0 && mlock(p + 16 * PAGE, PAGE) == 0 ? 0 : 2;
}

static int queued(void)
{
    sigset_t all;
    union sigval v = {0};
    int n = 0;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    if (become_nobody() || limit(RLIMIT_SIGPENDING, 5))
        return 1;
    while (n < 100 && sigqueue(getpid(), SIGRTMIN + 3, v) == 0)
        n++;
    return n == 5 && errno == EAGAIN ? 0 : 2;
}

static int queues(void)
{
    struct mq_attr a = {.mq_maxmsg = 10, .mq_msgsize = 1000};

    if (become_nobody() || limit(RLIMIT_MSGQUEUE, 5000))
        return 1;
    return mq_open("/limits", O_RDWR | O_CREAT, 0600, &a) == (mqd_t)-1 && errno == EMFILE ? 0 : 2;
}

/* ---- how far a stack grows ---- */

static sigjmp_buf faulted;

static void on_fault(int signo)
{
    siglongjmp(faulted, signo);
}

static void catch_faults(void)
{
    static char other[1 << 16]; /* the stack itself may be at its end */
    stack_t s = {.ss_sp = other, .ss_size = sizeof other};
    struct sigaction act = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK};

    sigaltstack(&s, NULL);
    sigaction(SIGSEGV, &act, NULL);
}

/* Stores in each page from `top` down: how many, until a fault. */
static unsigned long stores_down(char *top, unsigned long most)
{
    static volatile unsigned long n;

    n = 0;
    if (sigsetjmp(faulted, 1) == 0)
        while (n < most) {
            *(volatile char *)(top - (n + 1) * PAGE) = 1;
            n++;
        }
    return n;
}

static char *stack_start(void)
{
    FILE *f = fopen("/proc/self/maps", "r");
    unsigned long start = 0;
    char line[500];

    while (f && fgets(line, sizeof line, f))
        if (strstr(line, "[stack]"))
            sscanf(line, "%lx-", &start);
    if (f)
        fclose(f);
    return (char *)start;
}

/* A mapping of one page, 700 pages below the stack: the gap above it stays free. */
static int gap_above_a_mapping(void)
{
    char *stack = stack_start(), *at = stack - 700 * PAGE;

    catch_faults();
    if (mmap(at, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != at)
        return 1;
    return stores_down(stack, 1000) == 700 - 1 - GAP ? 0 : 2;
}

static int stack_ends_at_its_limit(void)
{
    char *stack = stack_start();
    unsigned long n;

    catch_faults();
    n = stores_down(stack, 4096);
    return n >= 1900 && n <= 2048 ? 0 : 1; /* 8 MiB, of which a part is in use */
}

/* A mapping that grows, of a program's own making. */
static int grows_down(void)
{
    char *hole = mmap(NULL, 4096 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *top = hole + 4000 * PAGE;

    catch_faults();
    if (munmap(hole + 1024 * PAGE, 3072 * PAGE) ||
        mmap(top, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0) != top)
        return 1;
    if (stores_down(top, 500) != 500)
        return 2;
    if (mmap(top - 1000 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        return 3;
    return stores_down(top - 500 * PAGE, 500) == 500 - 1 - GAP ? 0 : 4;
}

/* Below the lowest address that a mapping may have, nothing grows. */
static int grows_to_the_bottom(void)
{
    char *bottom = (char *)0x10000;

    catch_faults();
    if (setuid(1000))
        return 1;
    if (mmap(bottom, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0) != bottom)
        return errno == EEXIST ? 0 : 3; /* this program lies there itself: test_vm_calls.c has the same */
    return stores_down(bottom, 16) == 0 ? 0 : 2;
}

int main(int argc, char **argv)
{
    int status;

    if (argc > 1 && strcmp(argv[1], "deep") == 0)
        return deep(200);
    ok(in_child(address_space) == 0, "RLIMIT_AS: mmap, brk, mremap");
    ok(in_child(data) == 0, "RLIMIT_DATA: brk");
    ok(in_child(same_stack) == 0, "a stack of 800 KiB");
    ok(in_child(small_stack) == 1000 + SIGSEGV, "RLIMIT_STACK of 256 KiB: SIGSEGV");
    processes();
    ok(in_child(files) == 0, "RLIMIT_NOFILE: EMFILE");
    ok(in_child(file_size) == 1000 + SIGXFSZ, "RLIMIT_FSIZE: a part, EFBIG, SIGXFSZ");
    if (fork() == 0)
        _exit(aborts());
    ok(wait(&status) > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && !WCOREDUMP(status), "RLIMIT_CORE 0: no core");
    if (geteuid() == 0) {
        ok(in_child(locked) == 0, "RLIMIT_MEMLOCK: mlock");
        ok(in_child(queued) == 0, "RLIMIT_SIGPENDING: EAGAIN");
        ok(in_child(queues) == 0, "RLIMIT_MSGQUEUE: EMFILE");
    }
    ok(in_child(gap_above_a_mapping) == 0, "a stack stops %lu pages above what is mapped", GAP);
    ok(in_child(stack_ends_at_its_limit) == 0, "and at 8 MiB");
    ok(in_child(grows_down) == 0, "MAP_GROWSDOWN grows, and stops in the same way");
    if (geteuid() == 0)
        ok(in_child(grows_to_the_bottom) == 0, "and never to address 0");
    return done();
}
