/*
 * System calls at random: any number, any arguments, from threads that change the
 * memory behind them meanwhile. The kernel must go on, and what it writes must not
 * be what it had in its own memory (freed memory is poisoned in debug builds).
 *
 * callfuzz CALLS [SEED [PROCESS]]
 *
 * Each process makes CALLS_EACH calls from a seed of its own and is then replaced:
 * "callfuzz CALLS SEED PROCESS" plays one of them again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CALLS_EACH 2000ul
#define SECONDS_EACH 3
#define AREA (64 * 4096ul)
#define POISON_PAGE 0x6b6b6b6b6b6b6b6bull
#define POISON_KMEM 0x5a5a5a5a5a5a5a5aull
#define FILL 0xa5

static struct shared {
    unsigned long calls, done[512], leaks;
} *shared;
static unsigned char *area; /* half mapped, half not; buffers lie in it */
static uint64_t state;

static uint64_t rnd64(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static unsigned long rnd(unsigned long n)
{
    return (rnd64() >> 11) % n;
}

/* Calls that end the test rather than the kernel: they act on the whole system, or only wait for their end. */
static int is_left_out(long n)
{
    static const long out[] = {SYS_exit, SYS_exit_group, SYS_reboot, SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigqueueinfo,
                               SYS_rt_tgsigqueueinfo, SYS_settimeofday, SYS_clock_settime, SYS_mount, SYS_umount2, SYS_chroot,
                               SYS_sethostname, SYS_setdomainname, SYS_rt_sigreturn, SYS_sched_setattr, SYS_sched_setscheduler,
                               SYS_sched_setparam, SYS_vhangup, SYS_rt_sigsuspend, SYS_setsid, SYS_syslog};

    for (unsigned i = 0; i < sizeof out / sizeof *out; i++)
        if (out[i] == n)
            return 1;
    return 0;
}

static uint64_t address(void)
{
    static const uint64_t odd[] = {0, 1, 4095, 4096, 0x10000, 0x3fffffffffull, 0x4000000000ull, 0x3ffffffff8ull, 0x7fffffffffffull,
                                   0x800000000000ull, 0xffffffc000000000ull, 0xffffffff80000000ull, 0xffffffff80200000ull,
                                   UINT64_MAX, UINT64_MAX - 7, UINT64_MAX - 4095};

    switch (rnd(8)) {
    case 0:
        return odd[rnd(sizeof odd / sizeof *odd)];
    case 1:
        return (uint64_t)area + AREA / 2 - rnd(64); /* across the end of what is mapped */
    case 2:
        return (uint64_t)area + AREA / 2 + rnd(AREA / 2);
    case 3:
        return (uint64_t)&address; /* text */
    default:
        return (uint64_t)area + rnd(AREA / 2 / 8) * 8;
    }
}

static uint64_t number(void)
{
    static const uint64_t odd[] = {0, 1, 2, 3, 7, 8, 16, 64, 100, 255, 256, 4095, 4096, 4097, 8192, 65536, 0x7fffffff, 0x80000000,
                                   0xffffffff, 0x100000000ull, INT64_MAX, 1ull << 63, UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 99};

    return rnd(3) ? odd[rnd(sizeof odd / sizeof *odd)] : rnd64() >> rnd(64);
}

static const char *const names[] = {"a", "b", "d", "d/x", "d/../a", "link", "/proc/self/maps", "/proc/self/mem", "/proc/self/status",
                                    "/proc/self/fd/3", "/proc/meminfo", "/dev/null", "/dev/zero", "/dev/ptmx", "/dev/tty", "", ".", "..",
                                    "/proc/self/pagemap", "/proc/kpageflags", "/proc/self/smaps", "nowhere/x", "fifo"};

static uint64_t argument(void)
{
    switch (rnd(8)) {
    case 0:
    case 1:
        return rnd(24); /* a file */
    case 2:
    case 3:
        return number();
    case 4:
        return (uint64_t)names[rnd(sizeof names / sizeof *names)];
    default:
        return address();
    }
}

static void fill(void)
{
    uint64_t *w = (uint64_t *)area;

    for (unsigned long i = 0; i < 256; i++) {
        unsigned long at = rnd(AREA / 16);

        w[at] = rnd(2) ? argument() : 0;
    }
}

/* The kernel's own memory, where it was to write something. */
static void look_for_leaks(long call)
{
    uint64_t *w = (uint64_t *)area;

    for (unsigned long i = 0; i < AREA / 16; i++)
        if (w[i] == POISON_PAGE || w[i] == POISON_KMEM) {
            shared->leaks++;
            printf("callfuzz: poison %#llx at %#lx after call %ld\n", (unsigned long long)w[i], i * 8, call);
            w[i] = 0;
        }
}

static void *meddle(void *arg)
{
    uint64_t own = (uint64_t)arg;

    for (;;) {
        own = own * 6364136223846793005ull + 1442695040888963407ull;
        switch (own >> 60) {
        case 0:
            mprotect(area + (own >> 20) % 16 * 4096, 4096, PROT_READ);
            break;
        case 1:
            madvise(area + (own >> 20) % 32 * 4096, 4096, MADV_DONTNEED);
            break;
        case 2:
        case 3:
            mprotect(area, AREA / 2, PROT_READ | PROT_WRITE);
            break;
        default:
            ((volatile uint64_t *)area)[(own >> 20) % (AREA / 16)] = own;
        }
        sched_yield();
    }
    return NULL;
}

static void open_files(void)
{
    int p[2], none = open("/dev/null", O_RDWR);

    for (int fd = 0; fd < 3; fd++)
        dup2(none, fd);
    close(none);
    mkdir("d", 0777);
    symlink("d/x", "link");
    mkfifo("fifo", 0666);
    open("a", O_RDWR | O_CREAT, 0666);
    open("b", O_RDWR | O_CREAT | O_NONBLOCK, 0666);
    open("d", O_RDONLY | O_DIRECTORY);
    if (pipe2(p, O_NONBLOCK) || pipe2(p, 0))
        return;
    eventfd(1, EFD_NONBLOCK);
    epoll_create1(0);
    timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    memfd_create("m", MFD_ALLOW_SEALING);
    posix_openpt(O_RDWR | O_NOCTTY);
    open("/proc/self/maps", O_RDONLY);
    open("/proc/self/mem", O_RDWR);
    open("/dev/zero", O_RDWR);
    open("/dev/urandom", O_RDONLY);
    open("/proc/self/pagemap", O_RDONLY);
    open("/proc/self", O_RDONLY | O_DIRECTORY);
}

static void calls(uint64_t seed)
{
    long n;

    state = seed;
    for (unsigned long i = 0; i < CALLS_EACH; i++) {
        uint64_t a[6];

        do
            n = rnd(20) ? (long)rnd(470) : (long)number();
        while (is_left_out(n));
        for (int k = 0; k < 6; k++)
            a[k] = argument();
        if (i % 16 == 0) {
            mmap(area, AREA / 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            fill();
        }
        if (n == SYS_clone || n == SYS_clone3 || n == SYS_munmap || n == SYS_mprotect || n == SYS_mremap || n == SYS_mmap) {
            if (n == SYS_clone && fork() == 0)
                _exit(0);
            a[0] = (uint64_t)area + rnd(AREA / 4096) * 4096; /* the program itself is to go on */
            a[1] = n == SYS_mmap || n == SYS_munmap || n == SYS_mprotect ? rnd(16) * 4096 : a[1];
            if (n == SYS_clone || n == SYS_clone3 || n == SYS_mremap)
                continue;
            if (n == SYS_mmap)
                a[3] |= MAP_FIXED, a[1] = a[1] < AREA ? a[1] : 4096;
        }
        syscall(n, a[0], a[1], a[2], a[3], a[4], a[5]);
        __atomic_fetch_add(&shared->calls, 1, __ATOMIC_RELAXED);
        if (n >= 0 && n < 512)
            __atomic_fetch_add(&shared->done[n], 1, __ATOMIC_RELAXED);
        if (i % 16 == 15)
            look_for_leaks(n);
    }
    look_for_leaks(n);
}

static void process(uint64_t seed)
{
    struct rlimit files = {64, 64}, size = {1 << 20, 1 << 20}, as = {512 << 20, 512 << 20}, processes = {64, 64};
    pthread_t t;

    setrlimit(RLIMIT_NOFILE, &files);
    setrlimit(RLIMIT_FSIZE, &size);
    setrlimit(RLIMIT_AS, &as);
    setrlimit(RLIMIT_NPROC, &processes);
    area = mmap((void *)0x2000000000, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(area + AREA / 2, AREA / 2);
    open_files();
    if (seed & 1 && (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000)))
        _exit(1);
    if (seed & 2)
        pthread_create(&t, NULL, meddle, (void *)seed);
    calls(seed * 0x9e3779b97f4a7c15ull | 1);
    _exit(0);
}

/* One process in a session and a folder of its own; ended after a while, however it stands. */
static void run(uint64_t seed)
{
    time_t end = time(NULL) + SECONDS_EACH;
    char folder[64];
    pid_t pid;

    snprintf(folder, sizeof folder, "/tmp/fuzz.%llx", (unsigned long long)seed);
    mkdir(folder, 0777);
    pid = fork();
    if (pid == 0) {
        if (setsid() < 0 || chdir(folder))
            _exit(1);
        chmod(".", 0777);
        process(seed);
    }
    while (waitpid(pid, NULL, WNOHANG) == 0) {
        if (time(NULL) > end)
            kill(pid, SIGKILL);
        usleep(2000);
    }
    kill(-pid, SIGKILL); /* what it has left behind */
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    if (chdir("/tmp") == 0) {
        char command[192];

        snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -rf %s", folder, folder);
        if (system(command))
            printf("callfuzz: %s stays\n", folder);
    }
}

int main(int argc, char **argv)
{
    unsigned long want = argc > 1 ? strtoul(argv[1], NULL, 0) : 20000, reached = 0;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;

    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (argc > 3) {
        run(seed + strtoull(argv[3], NULL, 0));
        return shared->leaks > 0;
    }
    for (uint64_t i = 0; shared->calls < want; i++) {
        printf("callfuzz: seed %llu process %llu, %lu calls\n", (unsigned long long)seed, (unsigned long long)i, shared->calls);
        fflush(stdout);
        run(seed + i);
    }
    for (int n = 0; n < 512; n++)
        reached += shared->done[n] > 0;
    printf("callfuzz: %lu calls of %lu numbers, %lu leaks\n", shared->calls, reached, shared->leaks);
    return shared->leaks > 0;
}
