/*
 * A storm for hours: processes that fork, exec, vfork, start threads, map, unmap, protect, move,
 * let the kernel store into their pages, signal, kill and starve each other, on pages with tags.
 *
 * Each page of a process's private area carries a value that says who wrote it and when; the process
 * knows what each of its pages must hold, looks before it changes one and at random times. So a store
 * that is lost, shows elsewhere or was another's is seen. In shared pages each process has one word
 * of its own, which says where it belongs.
 *
 * soak SECONDS [SEED [PROCESSES [PAGES]]]
 *
 * The keeper (the first process) starts the storm in rounds, writes a line every ten seconds, has the
 * kernel recount its references (debug builds), and compares MemFree when all have ended. Status 0: nothing
 * was wrong.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
#define WORDS (PAGE / 8)
#define AREA ((unsigned char *)(0x1040000000ul - 0x300000)) /* across a root entry's edge (GiB) */
#define SLOTS 200
#define MAPS 3          /* shared maps: anonymous, memfd, file */
#define MAP_PAGES 64ul
#define PATTERN_PAGES 256ul
#define DEPTH_MAX 8
#define CHILDREN 8
#define ROOTS 4         /* first processes of the storm, the keeper's own children */
#define SLACK 2048      /* KiB that caches of the kernel may keep, as in the stress suite */
#define ROUND_MAX 60
#define HANG 60         /* seconds without any step */

enum { FD_SHARED = 100, FD_MEMFD, FD_PATTERN, FD_FILE };

#define OPS(X)                                                                                                      \
    X(store) X(look) X(map) X(map_file) X(protect) X(discard) X(wipe) X(move) X(scratch) X(kernel_store) X(pipe)    \
    X(getdents) X(denied) X(shared) X(fork) X(exec) X(vfork) X(thread) X(signal) X(stop) X(kill) X(hungry) X(refused)
enum {
#define X(n) OP_##n,
    OPS(X)
#undef X
    OP_COUNT
};
static const char *const op_name[] = {
#define X(n) #n,
    OPS(X)
#undef X
};

/* Seen by all, through FD_SHARED; kept over exec. */
static struct shared {
    atomic_ulong ops[OP_COUNT], wrong, owners, pressure_seen;
    atomic_int stop, hungry; /* the process that eats memory, or 0 */
    atomic_int slots[SLOTS]; /* who is alive: 0 free, -1 promised */
    unsigned long seed, pages, processes;
    int group;
} *shared;

struct page_state {
    uint64_t value; /* what its words hold; 0: all zero */
    int32_t file;   /* its page of the pattern file, if nothing was stored; -1: zeros */
    uint8_t prot, wipe;
};
static struct page_state *model; /* private, so shared by forks as the area is */
static unsigned char *maps[MAPS];
static uint64_t shadow[MAPS][MAP_PAGES]; /* what this process's word must hold; 0: not known */
static unsigned depth, slot;
static pid_t children[CHILDREN];
static atomic_int threads;

/* A thread's part of the area is its own: nobody else looks at it or changes it. */
static _Thread_local struct worker {
    unsigned long lo, hi;
    uint64_t random, owner, sequence;
    sigjmp_buf denied;
    volatile sig_atomic_t expects;
} me;

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

static unsigned long rnd(unsigned long n)
{
    return (mix(me.random += 0x9e3779b97f4a7c15ull) >> 11) % n;
}

static void count(int op)
{
    atomic_fetch_add_explicit(&shared->ops[op], 1, memory_order_relaxed);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void __attribute__((format(printf, 1, 2))) wrong(const char *fmt, ...)
{
    char line[400];
    va_list ap;
    int n = snprintf(line, sizeof line, "soak: WRONG: process %d owner %lu: ", getpid(), (unsigned long)me.owner);

    atomic_fetch_add(&shared->wrong, 1);
    va_start(ap, fmt);
    n += vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);
    va_end(ap);
    line[n++] = '\n';
    if (write(1, line, (size_t)n) < 0)
        _exit(3);
}

/* Memory has run out lately: what failed may have failed for that. */
static int is_pressed(void)
{
    struct sysinfo s;

    return atomic_load(&shared->hungry) || now() - (double)atomic_load(&shared->pressure_seen) < 5 ||
           sysinfo(&s) || s.freeram * s.mem_unit < 16ul << 20;
}

/* An operation that may fail for want of memory, and for nothing else. */
static void refused(const char *what)
{
    count(OP_refused);
    if (errno != ENOMEM && errno != EAGAIN && !is_pressed()) {
        wrong("%s: %s", what, strerror(errno));
        _exit(1);
    }
}

/* ---- pages ---- */

static uint64_t *page_words(unsigned long p)
{
    return (uint64_t *)(AREA + p * PAGE);
}

static uint64_t new_value(void)
{
    return me.owner << 32 | ++me.sequence;
}

static uint64_t pattern(unsigned long p)
{
    return 0xffffffull << 32 | (p + 1);
}

/* Four words of a page hold its value: both ends and two in between that depend on it. */
static void words_set(uint64_t *w, uint64_t value)
{
    uint64_t h = mix(value);

    w[0] = w[WORDS - 1] = w[h % WORDS] = w[(h >> 20) % WORDS] = value;
}

static int words_hold(const uint64_t *w, uint64_t value)
{
    uint64_t h = mix(value), any = 0;

    if (w[0] != value || w[WORDS - 1] != value || w[h % WORDS] != value || w[(h >> 20) % WORDS] != value)
        return 0;
    for (unsigned i = 0; value == 0 && i < WORDS; i++)
        any |= w[i];
    return any == 0;
}

static void look(unsigned long p)
{
    const uint64_t *w = page_words(p);
    uint64_t value = model[p].value, h = mix(value);

    if (model[p].prot == PROT_NONE || words_hold(w, value))
        return;
    wrong("page %lu holds %lx %lx %lx %lx, not %lx (owner and sequence)", p, w[0], w[h % WORDS], w[(h >> 20) % WORDS], w[WORDS - 1],
          value);
    _exit(1);
}

static uint64_t backing(unsigned long p)
{
    return model[p].file < 0 ? 0 : pattern((unsigned long)model[p].file);
}

static int protect(unsigned long p, unsigned long n, int prot)
{
    count(OP_protect);
    if (mprotect(page_words(p), n * PAGE, prot)) {
        refused("mprotect");
        return -1;
    }
    for (unsigned long i = p; i < p + n; i++)
        model[i].prot = (uint8_t)prot;
    return 0;
}

static int make_writable(unsigned long p)
{
    return model[p].prot == (PROT_READ | PROT_WRITE) ? 0 : protect(p, 1, PROT_READ | PROT_WRITE);
}

static void store(unsigned long p)
{
    look(p);
    if (make_writable(p))
        return;
    look(p);
    model[p].value = new_value();
    words_set(page_words(p), model[p].value);
    count(OP_store);
}

/* What must be denied is: a store by the program, and one by the kernel. */
static void denied(unsigned long p)
{
    count(OP_denied);
    if (model[p].prot & PROT_WRITE)
        return;
    if (sigsetjmp(me.denied, 1) == 0) {
        me.expects = 1;
        *(volatile uint64_t *)page_words(p) = 1;
        me.expects = 0;
        wrong("a store to page %lu, protection %u, went through", p, model[p].prot);
        _exit(1);
    }
    me.expects = 0;
    if (syscall(SYS_gettimeofday, page_words(p), NULL) == 0 || errno != EFAULT)
        wrong("gettimeofday into page %lu, protection %u: %s", p, model[p].prot, strerror(errno)), _exit(1);
    if (model[p].prot == PROT_NONE && (pwrite(FD_MEMFD, page_words(p), 1, 0) == 1 || errno != EFAULT))
        wrong("write from page %lu without access: %s", p, strerror(errno)), _exit(1);
    look(p);
}

/* ---- maps ---- */

static void map(unsigned long p, unsigned long n, int from_file)
{
    unsigned long f = from_file ? rnd(PATTERN_PAGES - n) : 0;
    int flags = MAP_PRIVATE | MAP_FIXED | (from_file ? 0 : MAP_ANONYMOUS);

    count(from_file ? OP_map_file : OP_map);
    if (atomic_load(&threads) == 0 && rnd(2) && munmap(page_words(p), n * PAGE)) {
        refused("munmap");
        return;
    }
    while (mmap(page_words(p), n * PAGE, PROT_READ | PROT_WRITE, flags, from_file ? FD_PATTERN : -1, (off_t)(f * PAGE)) == MAP_FAILED) {
        refused("mmap");
        usleep(20000); /* there may be a hole now: it is filled before anything else */
    }
    for (unsigned long i = 0; i < n; i++) {
        model[p + i] = (struct page_state){.file = from_file ? (int32_t)(f + i) : -1, .prot = PROT_READ | PROT_WRITE};
        model[p + i].value = backing(p + i);
    }
}

static void discard(unsigned long p, unsigned long n)
{
    count(OP_discard);
    if (madvise(page_words(p), n * PAGE, MADV_DONTNEED)) {
        refused("MADV_DONTNEED");
        return;
    }
    for (unsigned long i = p; i < p + n; i++)
        model[i].value = backing(i);
}

static void wipe(unsigned long p, unsigned long n)
{
    int on = (int)rnd(2);

    count(OP_wipe);
    for (unsigned long i = p; i < p + n; i++)
        if (model[i].file >= 0)
            return; /* anonymous memory only */
    if (madvise(page_words(p), n * PAGE, on ? MADV_WIPEONFORK : MADV_KEEPONFORK)) {
        refused("MADV_WIPEONFORK");
        return;
    }
    for (unsigned long i = p; i < p + n; i++)
        model[i].wipe = (uint8_t)on;
}

/* Only alone: another thread's map might come into the hole. */
static void move(unsigned long p, unsigned long n)
{
    unsigned long q = me.lo + rnd(me.hi - me.lo - n);
    void *at;

    if (atomic_load(&threads) || (q < p + n && p < q + n))
        return;
    count(OP_move);
    for (unsigned long i = p; i < p + n; i++)
        look(i);
    at = mremap(page_words(p), n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, page_words(q));
    if (at == MAP_FAILED) { /* the range has several regions, or there is no memory; the target may be empty */
        if (errno != EFAULT && errno != EINVAL)
            refused("mremap");
        map(q, n, 0);
        return;
    }
    memcpy(model + q, model + p, n * sizeof *model);
    map(p, n, (int)rnd(2));
    for (unsigned long i = q; i < q + n; i++)
        look(i);
}

/* A mapping that grows, shrinks and goes. */
static void scratch(void)
{
    unsigned long n = 1 + rnd(8), more = n + rnd(64);
    uint64_t value = new_value();
    unsigned char *a = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *b;

    count(OP_scratch);
    if (a == MAP_FAILED) {
        refused("mmap");
        return;
    }
    for (unsigned long i = 0; i < n; i++)
        words_set((uint64_t *)(a + i * PAGE), value + i);
    b = mremap(a, n * PAGE, more * PAGE, MREMAP_MAYMOVE);
    if (b == MAP_FAILED) {
        refused("mremap");
        b = a, more = n;
    }
    for (unsigned long i = 0; i < more; i++)
        if (!words_hold((uint64_t *)(b + i * PAGE), i < n ? value + i : 0))
            wrong("page %lu of %lu that mremap moved and extended from %lu", i, more, n), _exit(1);
    if (munmap(b, more * PAGE))
        refused("munmap");
    me.sequence += n;
}

/* ---- the kernel's stores ---- */

static void whole(ssize_t got, unsigned long p)
{
    if (got == (ssize_t)PAGE) {
        look(p);
        return;
    }
    if (got < 0 && errno == EINTR)
        got = 0;
    else if (got < 0)
        refused("a store by the kernel");
    else if (!is_pressed())
        wrong("the kernel stored %zd bytes into page %lu", got, p);
    model[p].value = new_value();
    words_set(page_words(p), model[p].value);
}

static void kernel_store(unsigned long p)
{
    unsigned long f = rnd(PATTERN_PAGES), cut = rnd(PAGE);
    struct iovec parts[2] = {{page_words(p), cut}, {(char *)page_words(p) + cut, PAGE - cut}};
    int fd;

    look(p);
    if (make_writable(p))
        return;
    count(OP_kernel_store);
    if (rnd(3)) {
        model[p].value = pattern(f);
        whole(preadv(FD_PATTERN, parts, 2, (off_t)(f * PAGE)), p);
        return;
    }
    fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        refused("/dev/zero");
        return;
    }
    model[p].value = 0;
    whole(readv(fd, parts, 2), p);
    close(fd);
}

/* What is in a pipe stays as it was written. */
static void through_pipe(unsigned long from, unsigned long to)
{
    uint64_t value = model[from].value;
    int fd[2];

    if (model[from].prot == PROT_NONE || make_writable(to))
        return;
    look(from);
    look(to);
    count(OP_pipe);
    if (pipe2(fd, O_CLOEXEC)) {
        refused("pipe");
        return;
    }
    if (write(fd[1], page_words(from), PAGE) == (ssize_t)PAGE) {
        if (rnd(2))
            store(from);
        model[to].value = value;
        whole(read(fd[0], page_words(to), PAGE), to);
    } else if (errno != EINTR) {
        refused("write to a pipe");
    }
    close(fd[0]);
    close(fd[1]);
}

static void list_folder(unsigned long p)
{
    char again[PAGE] = {0};
    int fd = open("/tmp/soak/folder", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long n, m;

    if (fd < 0 || make_writable(p)) {
        if (fd >= 0)
            close(fd);
        return;
    }
    count(OP_getdents);
    look(p);
    n = syscall(SYS_getdents64, fd, page_words(p), PAGE);
    lseek(fd, 0, SEEK_SET);
    m = syscall(SYS_getdents64, fd, again, sizeof again);
    if (n > 0 && m > 0 && (n != m || memcmp(again, page_words(p), (size_t)n))) {
        wrong("getdents into page %lu: %ld bytes, then %ld others", p, n, m);
        _exit(1);
    }
    if (n <= 0 || m <= 0)
        refused("getdents");
    close(fd);
    model[p].value = new_value();
    words_set(page_words(p), model[p].value);
}

/* ---- shared pages: a word for each slot, which says where it belongs ---- */

static uint64_t place(unsigned m, unsigned long p, unsigned s)
{
    return (uint64_t)(s + 1) << 56 | (uint64_t)(m + 1) << 52 | (uint64_t)p << 44;
}

static void share(void)
{
    static const int fds[MAPS] = {-1, FD_MEMFD, FD_FILE};
    unsigned m = (unsigned)rnd(MAPS), other = (unsigned)rnd(SLOTS);
    unsigned long p = rnd(MAP_PAGES);
    _Atomic uint64_t *w = (_Atomic uint64_t *)(maps[m] + p * PAGE);
    uint64_t have = atomic_load(&w[slot]), there = atomic_load(&w[other]), read_back = 0;

    count(OP_shared);
    if (shadow[m][p] ? have != shadow[m][p] : have && have >> 44 != place(m, p, slot) >> 44)
        wrong("shared map %u page %lu slot %u: %lx, not %lx", m, p, slot, have, shadow[m][p]), _exit(1);
    if (there && there >> 44 != place(m, p, other) >> 44)
        wrong("shared map %u page %lu slot %u of another: %lx", m, p, other, there), _exit(1);
    read_back = place(m, p, slot) | (++me.sequence & ((1ull << 44) - 1));
    if (shadow[m][p] && fds[m] >= 0 && rnd(2)) {
        if (pwrite(fds[m], &read_back, 8, (off_t)(p * PAGE + slot * 8)) != 8) {
            refused("pwrite");
            return;
        }
    } else {
        atomic_store(&w[slot], read_back);
    }
    shadow[m][p] = read_back;
    if (fds[m] >= 0 && rnd(2) && (pread(fds[m], &read_back, 8, (off_t)(p * PAGE + slot * 8)) != 8 || read_back != shadow[m][p]))
        wrong("shared map %u page %lu slot %u: read %lx, not %lx", m, p, slot, read_back, shadow[m][p]), _exit(1);
    if (atomic_load(&w[slot]) != shadow[m][p])
        wrong("shared map %u page %lu slot %u: just stored %lx is not there", m, p, slot, shadow[m][p]), _exit(1);
}

static int open_maps(void)
{
    maps[0] = mmap(NULL, MAP_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    maps[1] = mmap(NULL, MAP_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, FD_MEMFD, 0);
    maps[2] = mmap(NULL, MAP_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, FD_FILE, 0);
    return maps[0] == MAP_FAILED || maps[1] == MAP_FAILED || maps[2] == MAP_FAILED;
}

/* ---- processes ---- */

static int slot_claim(void)
{
    unsigned first = (unsigned)rnd(shared->processes);

    for (unsigned i = 0; i < shared->processes; i++) {
        int free = 0, s = (int)((first + i) % shared->processes);
        if (atomic_compare_exchange_strong(&shared->slots[s], &free, -1))
            return s;
    }
    return -1;
}

/* A child has ended: how it may. */
static void ended(pid_t pid, int status)
{
    for (unsigned s = 0; s < SLOTS; s++) {
        int who = pid;
        atomic_compare_exchange_strong(&shared->slots[s], &who, 0);
    }
    for (unsigned i = 0; i < CHILDREN; i++)
        if (children[i] == pid)
            children[i] = 0;
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL && WTERMSIG(status) != SIGUSR1 && !is_pressed())
        wrong("process %d ended by signal %d", pid, WTERMSIG(status));
}

static int reap(int flags)
{
    int status, n = 0;
    pid_t pid;

    while ((pid = waitpid(-1, &status, flags)) > 0 || (pid < 0 && errno == EINTR)) {
        if (pid > 0)
            ended(pid, status), n++;
        if (atomic_load(&shared->stop))
            flags |= WNOHANG; /* the keeper takes the rest in */
    }
    return n;
}

static void new_owner(void)
{
    me.owner = atomic_fetch_add(&shared->owners, 1) & 0xfffffful;
    me.sequence = 0;
    me.random = mix(shared->seed * 1000003 + me.owner);
}

static void __attribute__((noreturn)) work(void);

static void __attribute__((noreturn)) exec_worker(void)
{
    char d[16], s[16];

    snprintf(d, sizeof d, "%u", depth);
    snprintf(s, sizeof s, "%u", slot);
    count(OP_exec);
    execl("/proc/self/exe", "soak", "worker", d, s, (char *)NULL);
    refused("execve");
    _exit(2);
}

/* In a new process: only the thread that forked is here, and only its part of the area is what the model says. */
static void child_begin(unsigned s)
{
    slot = s;
    atomic_store(&shared->slots[slot], getpid());
    new_owner();
    depth++;
    atomic_store(&threads, 0);
    memset(children, 0, sizeof children);
    memset(shadow, 0, sizeof shadow);
    for (unsigned long p = me.lo; p < me.hi; p++)
        if (model[p].wipe)
            model[p].value = 0;
}

static void __attribute__((noreturn)) child_main(unsigned kind)
{
    switch (kind) {
    case 0:
        exec_worker();
    case 1: /* looks at all */
        for (unsigned long p = me.lo; p < me.hi; p++)
            look(p);
        _exit(0);
    case 2: /* changes all */
        for (unsigned long p = me.lo; p < me.hi && !atomic_load(&shared->stop); p++)
            store(p);
        for (unsigned long p = me.lo; p < me.hi; p++)
            look(p);
        _exit(0);
    default:
        work();
    }
}

static void spawn(void)
{
    unsigned i = (unsigned)rnd(CHILDREN), kind = (unsigned)rnd(6);
    int s = depth < DEPTH_MAX && !atomic_load(&shared->stop) ? slot_claim() : -1;
    pid_t pid;

    if (s < 0)
        return;
    pid = fork();
    if (pid == 0) {
        child_begin((unsigned)s);
        child_main(kind);
    }
    if (pid < 0) {
        refused("fork");
        atomic_store(&shared->slots[s], 0);
        return;
    }
    count(OP_fork);
    int promised = -1; /* it may have ended, and been taken in by another thread */
    atomic_compare_exchange_strong(&shared->slots[s], &promised, pid);
    children[i] = pid;
}

static void vfork_and_exec(void)
{
    pid_t pid = vfork();

    if (pid == 0) {
        execl("/proc/self/exe", "soak", "nothing", (char *)NULL);
        _exit(2);
    }
    count(OP_vfork);
    if (pid < 0)
        refused("vfork");
}

/* Eats memory until little, or nothing, is left; then it goes. */
static void __attribute__((noreturn)) eat(void)
{
    unsigned long leave = rnd(3) ? 6ul << 20 : 0;
    struct sysinfo s;

    while (sysinfo(&s) == 0 && s.freeram * s.mem_unit > leave && !atomic_load(&shared->stop)) {
        unsigned char *a = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (a == MAP_FAILED)
            break;
        for (unsigned i = 0; i < 64; i++)
            a[i * PAGE] = 1;
        atomic_store(&shared->pressure_seen, (unsigned long)now());
    }
    usleep((useconds_t)rnd(200000));
    atomic_store(&shared->pressure_seen, (unsigned long)now() + 1);
    _exit(0);
}

static void hungry(void)
{
    int nobody = 0, own = getpid();
    pid_t pid;

    if (atomic_load(&shared->stop) || !atomic_compare_exchange_strong(&shared->hungry, &nobody, own))
        return;
    pid = fork();
    if (pid == 0) {
        me.random ^= (uint64_t)getpid();
        atomic_store(&shared->hungry, getpid());
        eat();
    }
    if (pid < 0) {
        refused("fork");
        atomic_compare_exchange_strong(&shared->hungry, &own, 0);
        return;
    }
    count(OP_hungry);
    atomic_compare_exchange_strong(&shared->hungry, &own, pid);
}

static void signal_somebody(int signo)
{
    int who = rnd(shared->processes) ? atomic_load(&shared->slots[rnd(shared->processes)]) : atomic_load(&shared->hungry);

    if (who <= 0 || getpgid(who) != shared->group)
        return;
    count(signo == SIGKILL ? OP_kill : signo == SIGSTOP ? OP_stop : OP_signal);
    kill(who, signo);
    if (signo == SIGSTOP) {
        usleep((useconds_t)rnd(20000));
        kill(who, SIGCONT);
    }
}

/* ---- what a worker does ---- */

static void step_maps(unsigned long op, unsigned long p, unsigned long n)
{
    if (op < 3)
        map(p, n, 0);
    else if (op < 5)
        map(p, n, 1);
    else if (op < 9)
        protect(p, n, op < 7 ? PROT_READ : op == 7 ? PROT_NONE : PROT_READ | PROT_WRITE);
    else if (op < 11)
        discard(p, n);
    else if (op < 12)
        wipe(p, n);
    else if (op < 14)
        move(p, n);
    else
        scratch();
}

static void step_process(unsigned long op)
{
    if (op < 7)
        spawn();
    else if (op < 9)
        vfork_and_exec();
    else if (op < 12)
        signal_somebody(SIGUSR1);
    else if (op == 12)
        signal_somebody(SIGSTOP);
    else if (op == 13)
        signal_somebody(SIGKILL);
    else if (rnd(30) == 0)
        hungry();
    if (atomic_load(&threads) == 0)
        reap(WNOHANG);
}

static void step(void)
{
    unsigned long op = rnd(100), room = me.hi - me.lo, p = me.lo + rnd(room), n = 1 + rnd(rnd(4) ? 8 : 200);

    if (n > me.hi - p)
        n = me.hi - p;
    if (n > room / 4)
        n = room / 4;
    look(p);
    if (op < 40)
        for (unsigned long k = 0; k < 1 + op % 4; k++)
            store(me.lo + rnd(room));
    else if (op < 50)
        for (unsigned long k = p; k < p + n; k++)
            look(k);
    else if (op < 65)
        step_maps(op - 50, p, n);
    else if (op < 70)
        kernel_store(p);
    else if (op < 74)
        through_pipe(p, me.lo + rnd(room));
    else if (op < 76)
        list_folder(p);
    else if (op < 78)
        denied(p);
    else if (op < 83 && atomic_load(&threads) == 0)
        share();
    else if (op >= 83)
        step_process(op - 83);
    count(OP_look);
}

static void *thread_main(void *arg)
{
    const unsigned long *part = arg;

    new_owner();
    me.lo = part[0], me.hi = part[1];
    for (unsigned long n = 20 + rnd(100); n > 0 && !atomic_load(&shared->stop); n--)
        step();
    if (rnd(20) == 0)
        exec_worker(); /* takes all other threads with it */
    return NULL;
}

/* The area is divided; who forks meanwhile has a child that knows its own part only. */
static void with_threads(void)
{
    unsigned long n = 1 + rnd(3), lo = me.lo, hi = me.hi, size = (hi - lo) / (n + 1), parts[3][2];
    pthread_t t[3];
    unsigned started = 0;

    if (size < 64)
        return;
    atomic_store(&threads, 1);
    for (; started < n; started++) {
        parts[started][0] = lo + (started + 1) * size, parts[started][1] = lo + (started + 2) * size;
        errno = pthread_create(&t[started], NULL, thread_main, parts[started]);
        if (errno) {
            refused("pthread_create");
            break;
        }
        count(OP_thread);
    }
    me.hi = lo + size;
    for (unsigned long k = 20 + rnd(100); k > 0 && !atomic_load(&shared->stop); k--)
        step();
    while (started > 0)
        pthread_join(t[--started], NULL);
    me.hi = hi;
    atomic_store(&threads, 0);
}

static void on_signal(int signo, siginfo_t *info, void *context)
{
    volatile unsigned char room[2048];

    (void)context;
    if (signo == SIGUSR1) {
        for (unsigned i = 0; i < sizeof room; i += 64)
            room[i] = (unsigned char)i; /* fresh pages of the stack below the frame */
        return;
    }
    if (signo == SIGSEGV && me.expects)
        siglongjmp(me.denied, 1);
    if (is_pressed())
        _exit(2);
    wrong("signal %d, code %d, at %p", signo, info->si_code, info->si_addr);
    _exit(1);
}

static void worker_begin(void)
{
    struct sigaction a = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};

    for (unsigned i = 0; i < 3; i++)
        sigaction((int[]){SIGUSR1, SIGSEGV, SIGBUS}[i], &a, NULL);
    me.lo = 0, me.hi = shared->pages;
    model = mmap(NULL, shared->pages * sizeof *model, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (model == MAP_FAILED || mmap(AREA, shared->pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
                                    -1, 0) != AREA) {
        refused("the area");
        _exit(2);
    }
    for (unsigned long p = 0; p < shared->pages; p++)
        model[p] = (struct page_state){.file = -1, .prot = PROT_READ | PROT_WRITE};
}

static void work(void)
{
    for (unsigned long n = 20 + rnd(200); n > 0 && !atomic_load(&shared->stop); n--) {
        step();
        if (rnd(100) == 0)
            with_threads();
    }
    for (unsigned long p = me.lo; p < me.hi; p++)
        look(p);
    if (rnd(2)) /* else its children become the keeper's */
        reap(0);
    _exit(0);
}

/* ---- the keeper ---- */

static unsigned long mem_free(void)
{
    struct sysinfo s;

    return sysinfo(&s) ? 0 : s.freeram * s.mem_unit / 1024;
}

static unsigned long vmstat(const char *name)
{
    static char text[16384]; /* all pages of the keeper are its own while others eat */
    int fd = open("/proc/vmstat", O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    size_t length = strlen(name);

    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    for (char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, name, length) == 0 && line[length] == ' ')
            return strtoul(line + length, NULL, 10);
    return 0;
}

static void audit(void)
{
    int fd = open("/proc/sys/vm/check", O_WRONLY);

    if (fd < 0)
        return;
    if (write(fd, "1", 1) != 1)
        refused("/proc/sys/vm/check"); /* what is wrong ends the kernel */
    close(fd);
}

static unsigned long all_ops(void)
{
    unsigned long sum = 0;

    for (int i = 0; i < OP_COUNT; i++)
        sum += atomic_load(&shared->ops[i]);
    return sum;
}

struct sample {
    double at;
    unsigned long steps, forks, execs, kills, faults, copies, tables, audits;
};

static struct sample sample(void)
{
    return (struct sample){now(),
                           all_ops(),
                           atomic_load(&shared->ops[OP_fork]),
                           atomic_load(&shared->ops[OP_exec]) + atomic_load(&shared->ops[OP_vfork]),
                           atomic_load(&shared->ops[OP_kill]),
                           vmstat("pgfault"),
                           vmstat("cow_page_copy"),
                           vmstat("table_copy"),
                           vmstat("vm_check")};
}

static void show(const struct sample *from, const char *what)
{
    struct sample s = sample();
    double t = s.at - from->at > 0.1 ? s.at - from->at : 0.1;

    printf("soak: %s: %.0f operations/s (%.0f forks, %.0f execs, %.0f kills), %.0f faults/s, %.0f pages and %.0f tables copied/s, "
           "%lu audits, %lu oom kills, %lu wrong, MemFree %lu kB\n", what, (double)(s.steps - from->steps) / t,
           (double)(s.forks - from->forks) / t, (double)(s.execs - from->execs) / t, (double)(s.kills - from->kills) / t,
           (double)(s.faults - from->faults) / t, (double)(s.copies - from->copies) / t, (double)(s.tables - from->tables) / t,
           s.audits, vmstat("oom_kill"), atomic_load(&shared->wrong), mem_free());
    fflush(stdout);
}

static void show_log(void)
{
    static char text[65536];
    int n = klogctl(3, text, sizeof text); /* SYSLOG_ACTION_READ_ALL */

    fwrite(text, 1, n > 0 ? (size_t)n : 0, stdout);
    fflush(stdout);
}

/* Where everybody is, and what the kernel has said. */
static void __attribute__((noreturn)) hang(const char *what)
{
    printf("soak: HANG: %s\n", what);
    fflush(stdout);
    if (system("for p in /proc/[0-9]*; do echo $(cut -c1-120 $p/stat) $(cat $p/wchan); done"))
        printf("soak: no shell\n");
    show_log();
    _exit(3);
}

static int make_files(void)
{
    static uint64_t page[WORDS];
    int fd;

    mkdir("/tmp/soak", 0777);
    mkdir("/tmp/soak/folder", 0777);
    for (int i = 0; i < 30; i++) {
        char name[64];
        snprintf(name, sizeof name, "/tmp/soak/folder/file-%d", i);
        close(open(name, O_CREAT | O_WRONLY, 0666));
    }
    fd = memfd_create("soak", 0);
    if (fd < 0 || dup2(fd, FD_MEMFD) < 0 || ftruncate(FD_MEMFD, (off_t)(MAP_PAGES * PAGE)))
        return -1;
    close(fd);
    fd = open("/tmp/soak/pattern", O_RDWR | O_CREAT | O_TRUNC, 0666);
    for (unsigned long p = 0; p < PATTERN_PAGES; p++) {
        memset(page, 0, PAGE);
        words_set(page, pattern(p));
        if (write(fd, page, PAGE) != (ssize_t)PAGE)
            return -1;
    }
    close(fd);
    fd = open("/tmp/soak/pattern", O_RDONLY);
    if (fd < 0 || dup2(fd, FD_PATTERN) < 0)
        return -1;
    close(fd);
    fd = open("/tmp/soak/file", O_RDWR | O_CREAT | O_TRUNC, 0666);
    if (fd < 0 || dup2(fd, FD_FILE) < 0 || ftruncate(FD_FILE, (off_t)(MAP_PAGES * PAGE)))
        return -1;
    return close(fd);
}

/* The file that all map privately is what it was. */
static void check_pattern(void)
{
    static uint64_t page[WORDS];

    for (unsigned long p = 0; p < PATTERN_PAGES; p++)
        if (pread(FD_PATTERN, page, PAGE, (off_t)(p * PAGE)) != (ssize_t)PAGE || !words_hold(page, pattern(p)))
            wrong("page %lu of a file that is mapped privately only has changed", p);
}

/* One of the storm's first processes, or the one that only keeps the group there is. */
static pid_t start(int holder)
{
    int s = holder ? 0 : slot_claim();
    pid_t pid = s < 0 ? -1 : fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setpgid(0, holder ? 0 : shared->group);
        if (holder)
            for (;;)
                pause();
        signal(SIGUSR1, SIG_DFL);
        slot = (unsigned)s;
        atomic_store(&shared->slots[s], getpid());
        new_owner();
        if (open_maps())
            _exit(2);
        worker_begin();
        work();
    }
    if (pid < 0 && s >= 0 && !holder)
        atomic_store(&shared->slots[s], 0);
    if (pid > 0)
        setpgid(pid, holder ? pid : shared->group);
    return pid;
}

/* All end by themselves, or are killed; who does not end then is a hang. Memory must be back. */
static void quiet(unsigned long *baseline)
{
    double from = now(), killed = 0;
    unsigned long free = 0;

    atomic_store(&shared->stop, 1);
    kill(shared->group, SIGKILL); /* who holds the group */
    for (int status;; usleep(10000)) {
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid < 0 && errno == ECHILD)
            break;
        for (; pid > 0; pid = waitpid(-1, &status, WNOHANG))
            ended(pid, status);
        kill(-shared->group, SIGCONT);
        if (!killed && now() - from > 5)
            killed = now(), kill(-shared->group, SIGKILL);
        if (killed && now() - killed > HANG)
            hang("processes that do not end when they are killed");
    }
    check_pattern();
    if (ftruncate(FD_MEMFD, 0) || ftruncate(FD_MEMFD, (off_t)(MAP_PAGES * PAGE)) || ftruncate(FD_FILE, 0) ||
        ftruncate(FD_FILE, (off_t)(MAP_PAGES * PAGE)))
        refused("ftruncate");
    audit();
    for (int i = 0; i < 20; i++, usleep(200000)) {
        free = mem_free();
        if (*baseline == 0 || free + SLACK >= *baseline)
            break;
    }
    if (*baseline == 0)
        *baseline = free;
    else if (free + SLACK < *baseline)
        wrong("MemFree was %lu kB after the first round and is %lu kB now", *baseline, free);
    printf("soak: quiet: MemFree %lu kB, after the first round %lu kB\n", free, *baseline);
    fflush(stdout);
}

/* The keeper's own pages, which a fork has shared, are made its own again: no store of it finds no memory later. */
static void own_all(void)
{
    extern char __data_start, _end;
    volatile char stack[65536];

    for (volatile char *p = &__data_start; p < &_end; p += PAGE)
        *p = *p;
    for (size_t i = 0; i < sizeof stack; i += PAGE)
        stack[i] = 1;
}

static void round_begin(void)
{
    for (unsigned s = 0; s < SLOTS; s++)
        atomic_store(&shared->slots[s], 0);
    atomic_store(&shared->hungry, 0);
    atomic_store(&shared->stop, 0);
    shared->group = start(1);
    if (shared->group < 0)
        hang("no process can be made though all have ended");
}

/* Who is hungry has gone, or there is nobody: then the keeper is, for as long as it forks. */
static void add_roots(void)
{
    int nobody = 0, who = atomic_load(&shared->hungry), missing = 0;

    for (unsigned i = 0; i < ROOTS; i++)
        missing += children[i] == 0;

    if (who > 0 && kill(who, 0) && errno == ESRCH)
        atomic_compare_exchange_strong(&shared->hungry, &who, 0);
    if (!missing || mem_free() < 16384 || !atomic_compare_exchange_strong(&shared->hungry, &nobody, getpid()))
        return;
    for (unsigned i = 0; i < ROOTS; i++)
        if (children[i] == 0 && (children[i] = start(0)) < 0)
            children[i] = 0;
    own_all();
    atomic_store(&shared->hungry, 0);
}

static void storm(double seconds, double begin, unsigned long *baseline)
{
    static struct sample last;
    static double audited;
    double end = now() + seconds, moved = now();
    unsigned long steps = all_ops();
    char when[32];

    if (last.at == 0)
        last = sample();
    round_begin();
    for (; now() < end && atomic_load(&shared->wrong) == 0; usleep(20000)) {
        for (int status, pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
            ended(pid, status);
        add_roots();
        if (rnd(30) == 0)
            signal_somebody(SIGKILL);
        if (now() - audited > 5)
            audit(), audited = now();
        if (all_ops() != steps)
            steps = all_ops(), moved = now();
        if (now() - moved > HANG)
            hang("nobody has done anything for a minute");
        if (now() - last.at >= 10) {
            snprintf(when, sizeof when, "%.0f s", now() - begin);
            show(&last, when);
            last = sample();
        }
    }
    quiet(baseline);
}

static int report(const struct sample *first)
{
    double t = now() - first->at;

    show(first, "in all");
    for (int i = 0; i < OP_COUNT; i++)
        printf("soak: %-14s %12lu %10.1f/s\n", op_name[i], atomic_load(&shared->ops[i]), (double)atomic_load(&shared->ops[i]) / t);
    printf("soak: seed %lu, %.0f s, %lu operations, %lu wrong\n", shared->seed, t, all_ops(), atomic_load(&shared->wrong));
    if (atomic_load(&shared->wrong))
        show_log();
    return atomic_load(&shared->wrong) > 0;
}

static int share_memory(void)
{
    int fd = memfd_create("soak shared", 0);

    if (fd < 0 || dup2(fd, FD_SHARED) < 0 || ftruncate(FD_SHARED, sizeof *shared))
        return -1;
    return close(fd);
}

static int worker_main(char **argv)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, FD_SHARED, 0);
    if (shared == MAP_FAILED)
        return 2;
    depth = (unsigned)atoi(argv[2]);
    slot = (unsigned)atoi(argv[3]);
    new_owner();
    if (open_maps()) {
        refused("shared maps");
        return 2;
    }
    worker_begin();
    work();
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 20, begin = now(), length;
    unsigned long baseline = 0;
    static char buffer[4096];
    struct sample first;

    if (argc == 4 && strcmp(argv[1], "worker") == 0)
        return worker_main(argv);
    if (argc == 2 && strcmp(argv[1], "nothing") == 0)
        return 0;
    if (share_memory() || (shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, FD_SHARED, 0)) == MAP_FAILED) {
        perror("soak");
        return 2;
    }
    shared->seed = argc > 2 ? strtoul(argv[2], NULL, 0) : (unsigned long)time(NULL);
    shared->processes = argc > 3 ? strtoul(argv[3], NULL, 0) : 40;
    shared->pages = argc > 4 ? strtoul(argv[4], NULL, 0) : 1500;
    if (shared->processes > SLOTS || shared->processes < 8 || shared->pages < 256 || make_files()) {
        fprintf(stderr, "usage: soak SECONDS [SEED [PROCESSES, 8 to %d [PAGES, at least 256]]]\n", SLOTS);
        return 2;
    }
    new_owner();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGUSR1, SIG_IGN);
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    printf("soak: seed %lu, %lu processes of %lu pages, %.0f s\n", shared->seed, shared->processes, shared->pages, seconds);
    fflush(stdout);
    first = sample();
    length = seconds / 4 < 5 ? 5 : seconds / 4 > ROUND_MAX ? ROUND_MAX : seconds / 4;
    while (now() - begin < seconds && atomic_load(&shared->wrong) == 0)
        storm(length, begin, &baseline);
    return report(&first);
}
