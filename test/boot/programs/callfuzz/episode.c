/* A process that makes calls, its other threads, and what is looked for after each call. */
#include "callfuzz.h"

uint64_t seed = 1, episode, step_now, step_end;
int alone, logging, is_root;
struct shared *shared;
struct slot *mine;
char folder[64];
pid_t own_pid;
static _Thread_local sigjmp_buf out;
static _Thread_local volatile sig_atomic_t guarded;

/* ---- the call itself: no libc, no errno ---- */

#ifdef __riscv
#define CALL "ecall\n"
#define CHILD_ENDS "bnez a0, 1f\n li a7, 93\n ecall\n 1:\n"
static long raw(long n, const uint64_t *a, int forks)
{
    register uint64_t a0 __asm__("a0") = a[0], a1 __asm__("a1") = a[1], a2 __asm__("a2") = a[2], a3 __asm__("a3") = a[3],
                          a4 __asm__("a4") = a[4], a5 __asm__("a5") = a[5], a7 __asm__("a7") = (uint64_t)n;

    if (forks)
        __asm__ volatile(CALL CHILD_ENDS : "+r"(a0), "+r"(a7) : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5) : "memory");
    else
        __asm__ volatile(CALL : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a7) : "memory");
    return (long)a0;
}
#else
#define CALL "syscall\n"
#define CHILD_ENDS "test %%rax, %%rax\n jnz 1f\n mov $60, %%eax\n xor %%edi, %%edi\n syscall\n 1:\n"
static long raw(long n, const uint64_t *a, int forks)
{
    register uint64_t r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
    uint64_t di = a[0];
    long result = n;

    if (forks)
        __asm__ volatile(CALL CHILD_ENDS : "+a"(result), "+D"(di) : "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                         : "rcx", "r11", "memory", "cc");
    else
        __asm__ volatile(CALL : "+a"(result) : "D"(di), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return result;
}
#endif

/* ---- the kernel's own memory, where it was to write something ---- */

/* Page, object and stack (vm/page.c, vm/kmem.c, proc/thread.c), not as they are: reading one's own program finds none. */
static volatile uint32_t markers_inverted[] = {~0x6b6b6b6bu, ~0x5a5a5a5au, ~0xd3d3d3d3u};

/*
 * Half a word may be one by chance: random bytes are read into these buffers, and of 10 million calls about one hits.
 * So these are counted, and taken away; more of them than chance has are a leak (callfuzz.c).
 */
static int find_marker(uint64_t from, uint64_t size, long n)
{
    uint32_t m0 = ~markers_inverted[0], m1 = ~markers_inverted[1], m2 = ~markers_inverted[2];
    uint64_t *w = (uint64_t *)(from & ~7ull);

    for (uint64_t i = 0; i < size / 8; i++) {
        uint32_t low = (uint32_t)w[i], high = (uint32_t)(w[i] >> 32);
        if (w[i] == 0 || w[i] == FILL * 0x0101010101010101ull)
            continue;
        if (low != m0 && low != m1 && low != m2 && high != m0 && high != m1 && high != m2)
            continue;
        if (atomic_fetch_add(low == high ? &shared->leaks : &shared->halves, 1) == 0)
            snprintf(shared->leak, sizeof shared->leak, "callfuzz: LEAK: %#lx at %#lx, by call %ld%s: seed %lu episode %lu step %lu\n", w[i],
                     (unsigned long)&w[i] - ARENA, mine->ring[step_now % RING].number, n < 0 ? " or one of the 64 before it" : "", seed,
                     episode, step_now);
        if (low == high)
            return 1;
        w[i] = 0;
    }
    return 0;
}

static void look_for_leaks(long n, const uint64_t *a)
{
    if (!shared->marked)
        return;
    for (int k = 0; k < 6; k++)
        if (a[k] >= ARENA && a[k] < ARENA + 6 * SLOT && find_marker(a[k], 512, n))
            _exit(5);
    if (step_now % SCAN == SCAN - 1 && find_marker(ARENA, BUFFERS, -1))
        _exit(5);
}

/* ---- an episode ---- */

void on_signal(int signo)
{
    if (signo != SIGSEGV && signo != SIGBUS)
        return;
    if (syscall(SYS_getpid) != own_pid) /* a call's child, before its end: it would go on as its parent does, for ever */
        _exit(0);
    if (guarded)
        siglongjmp(out, 1);
    _exit(4);
}

static void arena_make(void)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

    munmap((void *)ARENA, MAPS + MAP_PAGES * PAGE - ARENA);
    if (mmap((void *)ARENA, BUFFERS, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED ||
        mmap((void *)NONE, PAGE, PROT_NONE, flags, -1, 0) == MAP_FAILED ||
        mmap((void *)READ_ONLY, PAGE, PROT_READ, flags, -1, 0) == MAP_FAILED ||
        mmap((void *)MAPS, MAP_PAGES / 2 * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED)
        _exit(6);
}

/* Changes the memory under the calls, until the process ends. */
static void *meddle(void *arg)
{
    static uint64_t own; /* kept over siglongjmp */
    uint64_t at;

    own = (uint64_t)arg;
    sigsetjmp(out, 0);
    guarded = 1;
    for (;;) {
        own = own * 6364136223846793005ull + 1442695040888963407ull;
        at = ARENA + (own >> 20) % (BUFFERS / PAGE) * PAGE;
        switch (own >> 60) {
        case 0:
            mprotect((void *)at, PAGE, PROT_READ);
            break;
        case 1:
            madvise((void *)at, PAGE, MADV_DONTNEED);
            break;
        case 2:
            mprotect((void *)at, PAGE, PROT_NONE);
            break;
        case 3:
            munmap((void *)at, PAGE);
            break;
        case 4:
        case 5:
        case 6:
            mmap((void *)ARENA, BUFFERS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            break;
        case 7:
            mmap((void *)(MAPS + (own >> 20) % MAP_PAGES * PAGE), PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            break;
        default:
            ((volatile uint64_t *)ARENA)[(own >> 20) % (BUFFERS / 8)] = own >> 50;
        }
        if (own >> 30 & 1)
            usleep(200); /* most of the CPU is for the calls */
    }
    return NULL;
}

static void keep(int fd, int as)
{
    if (fd >= 0 && fd != as) {
        dup2(fd, as);
        close(fd);
    }
}

/* Descriptors 3 to 31: one of each kind. */
static void open_files(void)
{
    static const struct {
        const char *name;
        int flags, fd;
    } files[] = {{"a", O_RDWR | O_CREAT | O_TRUNC, 3}, {"b", O_RDWR | O_CREAT | O_NONBLOCK | O_APPEND, 4}, {"d", O_RDONLY | O_DIRECTORY, 5},
                 {"/proc/self/maps", O_RDONLY, 17}, {"/proc/self/mem", O_RDWR, 18}, {"/dev/zero", O_RDWR, 19}, {"/dev/urandom", O_RDONLY, 20},
                 {"/proc/self/pagemap", O_RDONLY, 21}, {"/proc/self", O_RDONLY | O_DIRECTORY, 22}, {"/dev/null", O_RDWR, 24},
                 {"/proc/meminfo", O_RDONLY, 25}, {"fifo", O_RDWR | O_NONBLOCK, 26}, {"a", O_PATH, 27}, {"/dev/pts", O_RDONLY | O_DIRECTORY, 28},
                 {"/proc/self/status", O_RDONLY, 29}, {"/dev/full", O_RDWR, 30}, {"/proc/self/fd", O_RDONLY | O_DIRECTORY, 31}};
    sigset_t set;
    int p[2];

    mkdir("d", 0777);
    mkdir("mnt", 0777);
    mkdir("d/later", 0777); /* in a list of names with some bytes behind it */
    if (symlink("d/x", "link") == 0 && symlink("loop", "loop"))
        return;
    mkfifo("fifo", 0666);
    keep(open("run", O_RDWR | O_CREAT | O_TRUNC, 0777), 3);
    if (write(3, "#!/bin/true\n", 12) < 0)
        return;
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++)
        keep(open(files[i].name, files[i].flags, 0666), files[i].fd);
    for (int k = 0; k < 2; k++)
        if (pipe2(p, k ? 0 : O_NONBLOCK) == 0)
            keep(p[0], 6 + 2 * k), keep(p[1], 7 + 2 * k);
    keep(eventfd(1, EFD_NONBLOCK), 10);
    keep(epoll_create1(0), 11);
    keep(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), 12);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    keep(signalfd(-1, &set, SFD_NONBLOCK), 13);
    keep(memfd_create("m", MFD_ALLOW_SEALING), 14);
    keep(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK), 15);
    if (unlockpt(15) == 0)
        keep(ioctl(15, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK), 16);
    keep((int)mq_open("/fuzz", O_RDWR | O_CREAT | O_NONBLOCK, 0666, NULL), 23);
    if (write(3, names, sizeof names) < 0 || write(7, names, 64) < 0 || write(9, names, 64) < 0 || ftruncate(14, 3 * PAGE))
        return; /* a limit */
}

static void name_thread(void)
{
    char name[64];

    snprintf(name, sizeof name, "z%lu.%lu", episode, step_now / BLOCK); /* the kernel keeps 15 characters */
    prctl(PR_SET_NAME, name);
}

/* As it was at the first step, as far as that can be. */
static void refresh(void)
{
    struct itimerval none = {{0, 0}, {0, 0}};
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_NODEFER}, ours;
    sigset_t empty;
    int status;

    sigemptyset(&empty);
    sigprocmask(SIG_SETMASK, &empty, NULL);
    sigaction(SIGUSR2, &a, NULL);
    syscall(SYS_rt_sigaction, SIGUSR2, NULL, &ours, 8); /* as the kernel has it: libc refuses its own, 32 and 33 */
    for (int s = 1; s < 65; s++)
        syscall(SYS_rt_sigaction, s, &ours, NULL, 8);
    for (int i = 0; i < 3; i++)
        setitimer(i, &none, NULL);
    for (int i = 0; i < 4; i++)
        syscall(SYS_timer_delete, i);
    while (waitpid(-1, &status, WNOHANG) > 0)
        ;
    munlockall();
    umask(0);
    if (chdir(folder) || syscall(SYS_close_range, 3, 63, 0))
        _exit(8);
    open_files();
    arena_make();
    name_thread();
}

static void after(long n, const uint64_t *a, long result)
{
    if (n == SYS_shmget && result >= 0)
        shared->segments[atomic_fetch_add(&shared->segment_count, 1) % SEGMENTS] = (int)result;
    if (n == SYS_prctl && a[0] == PR_SET_NAME)
        name_thread();
}

static void tell(long n, const uint64_t *a)
{
    dprintf(LOG_FD, "%lu: %ld(%#lx, %#lx, %#lx, %#lx, %#lx, %#lx)", step_now, n, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#ifdef SYS_arch_prctl
static uint64_t thread_pointer(void)
{
    uint64_t p = 0;

    syscall(SYS_arch_prctl, 0x1003 /* ARCH_GET_FS */, &p);
    return p;
}

static void pointer_back(long n, uint64_t p)
{
    if (n == SYS_arch_prctl)
        raw(n, (uint64_t[6]){0x1002 /* ARCH_SET_FS */, p}, 0);
}
#else
static uint64_t thread_pointer(void)
{
    return 0;
}

static void pointer_back(long n, uint64_t p)
{
    (void)n, (void)p;
}
#endif

static void count_call(long n)
{
    atomic_fetch_add_explicit(&mine->calls, 1, memory_order_relaxed);
    if (n >= 0 && n < NUMBERS)
        atomic_fetch_add_explicit(&shared->done[n], 1, memory_order_relaxed);
    else
        atomic_fetch_add_explicit(&shared->other, 1, memory_order_relaxed);
}

static void count_result(long n, long result)
{
    if (n >= 0 && n < NUMBERS && result >= 0)
        atomic_fetch_add_explicit(&shared->good[n], 1, memory_order_relaxed);
}

/* Calls of its own kind and order in the same process, at the same time; until the process ends. */
static void *rival(void *arg)
{
    static uint64_t step; /* kept over siglongjmp */
    uint64_t pointer = thread_pointer(), a[6];
    long n, result;
    int forks;
    char name[64];

    (void)arg;
    sigsetjmp(out, 0);
    for (guarded = 1;; step++) {
        state = mix(seed * 0x9e3779b97f4a7c15ull + mix(episode)) + mix(step + (1ull << 40));
        n = choose(a, &forks);
        count_call(n);
        result = raw(n, a, forks);
        pointer_back(n, pointer);
        count_result(n, result);
        after(n, a, result);
        if (step % BLOCK == 0) {
            snprintf(name, sizeof name, "y%lu.%lu", episode, step / BLOCK);
            prctl(PR_SET_NAME, name);
        }
    }
    return NULL;
}

static void one_step(uint64_t pointer)
{
    struct record *r = &mine->ring[step_now % RING];
    uint64_t a[6];
    int forks;

    state = mix(seed * 0x9e3779b97f4a7c15ull + mix(episode)) + mix(step_now);
    r->number = choose(a, &forks);
    r->step = step_now;
    memcpy(r->args, a, sizeof a);
    r->result = 0x7e57;
    atomic_store_explicit(&mine->step, step_now + 1, memory_order_relaxed);
    count_call(r->number);
    if (logging)
        tell(r->number, a);
    r->result = raw(r->number, a, forks);
    pointer_back(r->number, pointer);
    if (logging)
        dprintf(LOG_FD, " = %ld\n", r->result);
    count_result(r->number, r->result);
    after(r->number, a, r->result);
    look_for_leaks(r->number, a);
}

static void steps(void)
{
    uint64_t pointer = thread_pointer();
    pthread_t t;

    if (step_now % BLOCK)
        refresh();
    if ((episode & 2) && !alone) {
        sigset_t all, old;
        sigfillset(&all); /* they are the first thread's, but for its own faults */
        sigdelset(&all, SIGSEGV);
        sigdelset(&all, SIGBUS);
        sigprocmask(SIG_SETMASK, &all, &old);
        pthread_create(&t, NULL, meddle, (void *)mix(episode));
        sigprocmask(SIG_SETMASK, &old, NULL);
    }
    if ((episode & 12) == 4 && !alone)
        pthread_create(&t, NULL, rival, NULL);
    if (sigsetjmp(out, 0)) { /* the arena was taken from under a preparation or a look */
        guarded = 0;
        munlockall();
        if (mmap((void *)ARENA, BUFFERS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
            _exit(6);
        step_now++;
    }
    for (; step_now < step_end; step_now++) {
        if (step_now % BLOCK == 0)
            refresh();
        guarded = 1;
        one_step(pointer);
        guarded = 0;
    }
    _exit(0);
}

void worker(int log)
{
    static const struct rlimit files = {64, 64}, size = {1 << 20, 1 << 20}, as = {128 << 20, 128 << 20}, processes = {64, 64},
                               stack = {256 << 10, 256 << 10}; /* a handler that is gone is called until that is full */
    uint32_t id = 1000 + (uint32_t)(mine - shared->slots);
    int none = open("/dev/null", O_RDWR); /* unless another process has just taken it away */

    own_pid = getpid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (none < 0 || setsid() < 0 || (logging && dup2(log, LOG_FD) < 0))
        _exit(7);
    for (int fd = 0; fd < 3; fd++)
        dup2(none, fd);
    syscall(SYS_close_range, 3, LOG_FD - 1, 0);
    syscall(SYS_close_range, LOG_FD + 1, ~0u, 0);
    mkdir(folder, 0777);
    chmod(folder, 0777);
    setrlimit(RLIMIT_NOFILE, &files);
    setrlimit(RLIMIT_FSIZE, &size);
    setrlimit(RLIMIT_AS, &as);
    setrlimit(RLIMIT_NPROC, &processes);
    setrlimit(RLIMIT_STACK, &stack);
    is_root = episode & 1;
    if (!is_root && (setresgid(id, id, id) || setresuid(id, id, id)))
        _exit(7);
    steps();
    _exit(0);
}
