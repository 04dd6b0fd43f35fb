/*
 * Mistakes that other kernels have made, each row of docs/testing.md's table that programs can see: named by its number.
 * What no program sees (a flush, a count, an allocation that fails) is in test/host/test_vm_catalogue.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tap.h"

#define PAGE 4096ul
#define PAGES 600ul /* more than one leaf table */
#define RW (PROT_READ | PROT_WRITE)

static const char constant[] = "read-only data";
static char data[PAGES * PAGE] __attribute__((aligned(4096)));

static char *anonymous(size_t pages, int flags)
{
    return mmap(NULL, pages * PAGE, RW, MAP_ANONYMOUS | flags, -1, 0);
}

static void fill(char value)
{
    for (unsigned long i = 0; i < PAGES; i++)
        data[i * PAGE + i] = value;
}

static int all(char value)
{
    for (unsigned long i = 0; i < PAGES; i++)
        if (data[i * PAGE + i] != value)
            return 0;
    return 1;
}

/* A load that may fault: -1 if it does. For each thread by itself. */
static __thread sigjmp_buf faulted;

static void on_fault(int signo)
{
    siglongjmp(faulted, signo);
}

static int peek(volatile unsigned char *p)
{
    return sigsetjmp(faulted, 1) ? -1 : *p;
}

static void catch_faults(int on)
{
    struct sigaction act = {.sa_handler = on ? on_fault : SIG_DFL};

    sigaction(SIGSEGV, &act, NULL);
    sigaction(SIGBUS, &act, NULL);
}

/* ---- A1: stores of the kernel to a private page that is read-only, against who takes the page away ---- */

#define A1_ROUNDS 5000
static char *readonly;
static atomic_int stop;

static void *takes_away(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop))
        madvise(readonly, PAGE, MADV_DONTNEED);
    return NULL;
}

/* /proc/self/mem of this very program? An emulator's is the emulator's. */
static int own_memory(void)
{
    static const char word[] = "in my own memory";
    int fd = open("/proc/self/mem", O_RDWR);
    char seen[sizeof word];

    if (fd < 0 || pread(fd, seen, sizeof seen, (off_t)(uintptr_t)word) != sizeof seen || memcmp(seen, word, sizeof word)) {
        close(fd);
        return -1;
    }
    return fd;
}

static void a1(void)
{
    int fd = open("/tmp/catalogue", O_RDWR | O_CREAT | O_TRUNC, 0600), mem = own_memory(), zero = open("/dev/zero", O_RDONLY);
    int forced = 0, refused = 0;
    char c = 0, page[PAGE];
    pthread_t t;

    memset(page, 'o', PAGE);
    ok(fd >= 0 && write(fd, page, PAGE) == (ssize_t)PAGE, "A1 a file");
    readonly = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    atomic_store(&stop, 0);
    pthread_create(&t, NULL, takes_away, NULL);
    for (int i = 0; i < A1_ROUNDS; i++) {
        refused += read(zero, readonly, 64) == -1 && errno == EFAULT;
        forced += mem >= 0 && pwrite(mem, "X", 1, (off_t)(uintptr_t)readonly) == 1;
    }
    atomic_store(&stop, 1);
    pthread_join(t, NULL);
    ok(refused == A1_ROUNDS, "A1 read(2) into it is EFAULT, %d of %d times", refused, A1_ROUNDS);
    ok(mem < 0 || forced == A1_ROUNDS, "A1 a debugger's store makes a copy, %d times", forced);
    ok(pread(fd, &c, 1, 0) == 1 && c == 'o', "A1 and the file has its own byte");
    munmap(readonly, PAGE);
    close(mem);
    close(zero);
    close(fd);
    unlink("/tmp/catalogue");
}

/* ---- A3: a page that is on its way through a pipe ---- */

static int pipe_fd[2], go[2];

static ssize_t lend(char *page, int splice)
{
    struct iovec v = {page, PAGE};

    return splice ? vmsplice(pipe_fd[1], &v, 1, 0) : write(pipe_fd[1], page, PAGE);
}

static int arrives_as(char c)
{
    static char got[PAGE];

    if (read(pipe_fd[0], got, PAGE) != (ssize_t)PAGE)
        return 0;
    for (unsigned long i = 0; i < PAGE; i++)
        if (got[i] != c)
            return 0;
    return 1;
}

/* The child lends the page and lets go of it; the parent, alone then, writes. The other way: the child writes. */
static void a3_way(int splice)
{
    char *page = anonymous(1, MAP_PRIVATE), c;
    int status, back[2];
    pid_t pid;

    memset(page, 'o', PAGE);
    if (pipe(pipe_fd) || pipe(go) || pipe(back))
        return;
    pid = fork();
    if (pid == 0) {
        if (lend(page, splice) != (ssize_t)PAGE || munmap(page, PAGE) || write(back[1], "x", 1) != 1 || read(go[0], &c, 1) != 1)
            _exit(2);
        _exit(arrives_as('o') ? 0 : 1);
    }
    if (read(back[0], &c, 1) == 1) {
        memset(page, 'n', PAGE);
        ok(write(go[1], "x", 1) == 1 && waitpid(pid, &status, 0) == pid && status == 0,
           "A3 %s: what the parent writes later is not in the pipe", splice ? "vmsplice" : "write");
    }
    memset(page, 'o', PAGE);
    lend(page, splice);
    pid = fork();
    if (pid == 0) {
        memset(page, 'c', PAGE);
        _exit(page[5] != 'c');
    }
    waitpid(pid, &status, 0);
    ok(status == 0 && arrives_as('o') && page[0] == 'o', "A3 %s: nor what the child writes", splice ? "vmsplice" : "write");
    for (int i = 0; i < 2; i++)
        close(pipe_fd[i]), close(go[i]), close(back[i]);
    munmap(page, PAGE);
}

/* ---- A4: a stack that grows, faults, munmap: all in one address space ---- */

#define HOLE (32ul << 20)
#define DEEP 200ul /* pages; what lies below stays farther away than a stack's gap */
static char *hole, *heap;
static atomic_int wrong, a4_rounds, gate;

static void wait_at_gate(void)
{
    while (!atomic_load(&gate))
        sched_yield();
}

static void *grows(void *arg)
{
    char *top = hole + HOLE - 4 * PAGE;

    wait_at_gate();
    for (long n = 0; n < (long)arg; n++) {
        if (mmap(top, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0) != top)
            atomic_fetch_add(&wrong, 1);
        for (unsigned long i = 1; i < DEEP; i += 7)
            *(long *)(top - i * PAGE) = n + (long)i;
        for (unsigned long i = 1; i < DEEP; i += 7)
            if (*(long *)(top - i * PAGE) != n + (long)i)
                atomic_fetch_add(&wrong, 1);
        munmap(top - DEEP * PAGE, (DEEP + 4) * PAGE);
        atomic_fetch_add(&a4_rounds, 1);
    }
    atomic_store(&stop, 1);
    return NULL;
}

static void *maps_below(void *arg)
{
    char *at = hole + (long)arg * PAGE;

    wait_at_gate();
    for (char n = 1; !atomic_load(&stop); n++) {
        if (mmap(at, 16 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
            atomic_fetch_add(&wrong, 1);
        for (unsigned long i = 0; i < 16; i++)
            if (at[i * PAGE]++ != 0)
                atomic_fetch_add(&wrong, 1);
        munmap(at, 16 * PAGE);
    }
    return NULL;
}

static void *takes_faults(void *arg)
{
    (void)arg;
    for (char n = 1; !atomic_load(&stop); n = (char)(n % 100 + 1)) {
        memset(heap, n, 64 * PAGE);
        madvise(heap, 32 * PAGE, MADV_DONTNEED);
        for (unsigned long i = 0; i < 64; i++)
            if (heap[i * PAGE] != (i < 32 ? 0 : n))
                atomic_fetch_add(&wrong, 1);
    }
    return NULL;
}

static void a4(void)
{
    pthread_t t[4];

    hole = mmap(NULL, HOLE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    heap = anonymous(64, MAP_PRIVATE);
    atomic_store(&stop, 0);
    pthread_create(&t[1], NULL, maps_below, (void *)16);
    pthread_create(&t[2], NULL, maps_below, (void *)64);
    pthread_create(&t[3], NULL, takes_faults, NULL);
    pthread_create(&t[0], NULL, grows, (void *)300);
    munmap(hole + HOLE / 2, HOLE / 2); /* only now: a thread's stack might have gone there */
    atomic_store(&gate, 1);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    ok(atomic_load(&wrong) == 0 && atomic_load(&a4_rounds) == 300,
       "A4 a stack grows and goes %d times beside faults and munmap: %d wrong bytes", atomic_load(&a4_rounds), atomic_load(&wrong));
    munmap(hole, HOLE);
    munmap(heap, 64 * PAGE);
}

/* ---- A5: mremap, and what lies at the old place then ---- */

#define A5_ROUNDS 100
#define KEPT 0x11
#define POISON 0x6b
static unsigned char *here, *there;
static atomic_long looks;

static void *looks_there(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        int c = peek(there + PAGE / 2);
        if (c != -1 && c != KEPT)
            atomic_fetch_add(&wrong, 1);
        atomic_fetch_add(&looks, c != -1);
        if (c == -1)
            sched_yield();
    }
    return NULL;
}

static void a5(void)
{
    pthread_t t[2];
    int lost = 0;

    here = (unsigned char *)anonymous(1, MAP_PRIVATE);
    there = (unsigned char *)anonymous(1, MAP_PRIVATE);
    memset(here, KEPT, PAGE);
    munmap(there, PAGE);
    catch_faults(1);
    atomic_store(&stop, 0);
    atomic_store(&wrong, 0);
    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, looks_there, NULL);
    for (int i = 0; i < A5_ROUNDS; i++) {
        lost += mremap(here, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, there) != there;
        lost += mmap(here, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != (void *)here;
        memset(here, POISON, PAGE);
        if (i % 16 == 0)
            usleep(100);
        lost += mremap(there, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, here) != here || here[PAGE / 2] != KEPT;
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    catch_faults(0);
    ok(lost == 0 && atomic_load(&wrong) == 0 && atomic_load(&looks) > 0,
       "A5 moved %d times there and back, %d lost; seen there %ld times, poison %d times", A5_ROUNDS, lost, atomic_load(&looks), atomic_load(&wrong));
    munmap(here, PAGE);
}

/* ---- A7: who has seen a store goes on seeing it, while fork makes every page shared again ---- */

#define A7_ROUNDS 10000000l /* and so many forks, at least */
#define A7_FORKS 10
static atomic_int a7_forks;
static _Atomic long *word, *announced; /* private, broken at each fork; shared, always the same page */

static void *stores(void *arg)
{
    (void)arg;
    for (long n = 1; !atomic_load(&stop); n++) {
        atomic_store_explicit(word, n, memory_order_release);
        atomic_store_explicit(announced, n, memory_order_release);
    }
    return NULL;
}

static void *compares(void *arg)
{
    long rounds;

    (void)arg;
    for (rounds = 0; rounds < A7_ROUNDS || atomic_load(&a7_forks) < A7_FORKS; rounds++) {
        long said = atomic_load_explicit(announced, memory_order_acquire);
        if (atomic_load_explicit(word, memory_order_acquire) < said)
            atomic_fetch_add(&wrong, 1);
    }
    atomic_store(&stop, 1);
    return (void *)rounds;
}

static void a7(void)
{
    pthread_t t[2];
    void *rounds;

    word = (_Atomic long *)anonymous(1, MAP_PRIVATE);
    announced = (_Atomic long *)anonymous(1, MAP_SHARED);
    atomic_store(&stop, 0);
    atomic_store(&wrong, 0);
    pthread_create(&t[0], NULL, stores, NULL);
    pthread_create(&t[1], NULL, compares, NULL);
    for (atomic_store(&a7_forks, 0); !atomic_load(&stop); atomic_fetch_add(&a7_forks, 1)) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        if (pid < 0 || waitpid(pid, NULL, 0) != pid)
            atomic_fetch_add(&wrong, 1);
    }
    pthread_join(t[0], NULL);
    pthread_join(t[1], &rounds);
    ok(atomic_load(&wrong) == 0 && (long)rounds >= A7_ROUNDS, "A7 three threads, %ld rounds, %ld stores, %d forks: %d old bytes seen",
       (long)rounds, (long)*word, atomic_load(&a7_forks), atomic_load(&wrong));
    munmap((void *)word, PAGE);
    munmap((void *)announced, PAGE);
}

/* ---- A11: more sharers of a page than 16 bits count ---- */

#define SHARERS 3
#define EACH 22000

static int maps_often(int fd)
{
    for (int i = 0; i < EACH; i++) {
        volatile char *p = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED || p[7] != 'm')
            return 1;
    }
    return 0;
}

static void a11(void)
{
    int fd = memfd_create("catalogue", 0), ready[2], quit[2], status, good = 0;
    char *page, c;

    if (fd < 0 || ftruncate(fd, PAGE) || pipe(ready) || pipe(quit))
        return;
    page = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
    page[7] = 'm';
    for (int i = 0; i < SHARERS; i++)
        if (fork() == 0) {
            int bad = maps_often(fd);
            close(quit[1]);
            _exit(write(ready[1], "x", 1) != 1 || read(quit[0], &c, 1) != 0 || bad);
        }
    for (int i = 0; i < SHARERS; i++)
        good += read(ready[0], &c, 1) == 1;
    close(quit[1]); /* all are mapped now: they may go */
    for (int i = 0; i < SHARERS; i++)
        good += wait(&status) > 0 && status == 0;
    ok(good == 2 * SHARERS && page[7] == 'm', "A11 a page that is mapped %d times, and is there afterwards", SHARERS * EACH + 1);
    page[8] = 'n';
    ok(pread(fd, &c, 1, 8) == 1 && c == 'n', "A11 and is still the file's");
    munmap(page, PAGE);
    close(fd), close(ready[0]), close(ready[1]), close(quit[0]);
}

/* ---- B1, B2, B3, B9 ---- */

static int five_deep(void)
{
    static int depth;

    if (++depth == 5) {
        fill('e');
        return all('e') ? 0 : 1;
    }
    if (in_child(five_deep) != 0 || !all('a'))
        return 1;
    fill((char)('a' + depth)); /* after the child's store: its own as well */
    return all((char)('a' + depth)) ? 0 : 1;
}

static int store_text(void)
{
    *(volatile char *)(void *)&five_deep = 1;
    return 0;
}

static int store_constant(void)
{
    *(volatile char *)constant = 1;
    return 0;
}

static int stores_in_grandchild(void)
{
    return in_child(store_text) == 1000 + SIGSEGV && in_child(store_constant) == 1000 + SIGSEGV ? 0 : 1;
}

static int zero_fd;

static int reads_into_all(void)
{
    for (unsigned long i = 0; i < PAGES; i++)
        if (read(zero_fd, data + i * PAGE + i, 1) != 1)
            return 1;
    return all(0) ? 0 : 1;
}

static void b3_parent_reads(void)
{
    char c;
    int status;
    pid_t pid;

    if (pipe(go))
        return;
    pid = fork();
    if (pid == 0)
        _exit(read(go[0], &c, 1) != 1 || !all('a'));
    ok(reads_into_all() == 0 && write(go[1], "x", 1) == 1 && waitpid(pid, &status, 0) == pid && status == 0,
       "B3 what the parent reads is not the child's");
    close(go[0]), close(go[1]);
}

/* Twelve bytes, across two shared pages; the result and every local survive the faults inside the call. */
static int twelve_bytes(void)
{
    volatile long kept[8];
    int p[2];

    for (int i = 0; i < 8; i++)
        kept[i] = i * 0x1111111111l;
    for (unsigned long i = 1; i < 100; i++) {
        char *at = data + i * PAGE - 6;
        if (pipe(p) || write(p[1], "twelve bytes", 12) != 12 || read(p[0], at, 12) != 12 || memcmp(at, "twelve bytes", 12))
            return 1;
        close(p[0]), close(p[1]);
    }
    for (int i = 0; i < 8; i++)
        if (kept[i] != i * 0x1111111111l)
            return 2;
    return 0;
}

/* ---- B5: forks that fail ---- */

#define FAILED 1000

static int refused_forks(void)
{
    struct rlimit none = {0, 0};
    int refused = 0;

    if (setgid(12346) || setuid(12346) || setrlimit(RLIMIT_NPROC, &none))
        return 1;
    for (int i = 0; i < FAILED; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        refused += pid == -1 && errno == EAGAIN;
        data[i % PAGES * PAGE + PAGE - 1] = (char)i;
    }
    return refused == FAILED && all('a') ? 0 : 2;
}

/* ---- B8: addresses ---- */

static void b8(void)
{
    static const unsigned long addresses[] = {
        8, 0x3ffffff000ul, 0x3ffffffff8ul, 0x4000000000ul, 0x4000000008ul, 0x7ffffffff000ul, 0x7ffffffffff8ul,
        0x800000000000ul, 0x7ffffffffffffff8ul, 0x8000000000000000ul, 0xffff800000000000ul, 0xffff888000000000ul,
        0xffffc90000000000ul, 0xffffffc000000000ul, 0xffffffe000000000ul, 0xffffffff80000000ul, 0xffffffff80200000ul,
        0xfffffffffffff000ul, 0xfffffffffffffff8ul};
    int faults = 0, refused = 0, n = sizeof addresses / sizeof *addresses;
    int p[2];

    if (pipe(p))
        return;
    catch_faults(1);
    for (int i = 0; i < n; i++) {
        void *at = (void *)addresses[i];
        faults += peek(at) == -1;
        refused += read(zero_fd, at, 8) == -1 && errno == EFAULT && write(p[1], at, 8) == -1 && errno == EFAULT;
    }
    catch_faults(0);
    ok(faults == n, "B8 loads from %d addresses that are nobody's fault, %d of them", n, faults);
    ok(refused == n, "B8 read(2) and write(2) say EFAULT, %d times", refused);
    ok(munmap((void *)0xfffffffffffff000ul, 2 * PAGE) == -1 && errno == EINVAL, "B8 munmap across the end of all addresses");
    ok(mmap((void *)0xffffffff80000000ul, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED && errno == ENOMEM,
       "B8 nothing is mapped where the kernel is");
    close(p[0]), close(p[1]);
}

int main(void)
{
    zero_fd = open("/dev/zero", O_RDONLY);
    fill('a');
    a1();
    a3_way(0);
    a3_way(1);
    a4();
    a5();
    a7();
    a11();
    ok(in_child(five_deep) == 0 && all('a'), "B1 forks five deep before any write");
    ok(in_child(store_text) == 1000 + SIGSEGV, "B2 text is read-only after fork");
    ok(in_child(store_constant) == 1000 + SIGSEGV, "B2 constants are, too");
    ok(in_child(stores_in_grandchild) == 0, "B2 and in the child's children");
    ok(in_child(reads_into_all) == 0 && all('a'), "B3 read(2) into %lu shared pages is the reader's alone", PAGES);
    b3_parent_reads();
    fill('a');
    if (geteuid() == 0)
        ok(in_child(refused_forks) == 0 && all('a'), "B5 %d forks that fail: EAGAIN, and no byte differs", FAILED);
    else
        ok(1, "B5 # SKIP only root can become somebody who has no process yet");
    b8();
    memset(data, 0, sizeof data);
    ok(in_child(twelve_bytes) == 0, "B9 read(2) of 12 bytes into copy-on-write pages returns 12");
    return done();
}
