/*
 * System calls at random: every number, with arguments that fit it, nearly fit it, or do not; while a second
 * thread changes the memory behind them, or makes calls in the same process. The kernel must go on, give its memory back, and nothing that it had in its own
 * memory may come out: what is freed, and unused stack, holds a marker in debug builds.
 *
 * callfuzz --calls N [--seed S] [--workers W]
 * callfuzz --seed S --episode E [--from STEP] [--to STEP] [--alone] [--log]
 *
 * An episode is a process that makes up to STEPS calls, and ends early if a call ends it. Everything about a step (number,
 * arguments, what is in the buffers) comes from seed, episode and step alone; every BLOCK steps descriptors, memory,
 * signal handlers and folder are made anew. So --episode repeats the calls, from any step; what the calls find also
 * depends on what came before, on the other threads (--alone: there is none) and on other episodes at the same time.
 *
 * What is not left to chance, so that the fuzzer outlives its processes:
 *  - root's calls about other processes (kill, prlimit, sched_set*) name the process itself, its group, or nobody: pid 1
 *    obeys signals by ending the boot, and the fuzzer is a process, too. Others try any number.
 *  - root's reboot has a wrong first word; its umount2 has names of the folder only (else /proc would be gone).
 *  - close_range ends at descriptor 63, as dup's and open's limit does: those above are the fuzzer's.
 *  - terminals that are the host's (/dev/console, /dev/hostout, /dev/ttyS0) and /proc/sys have no name here.
 *  - what ends a process (exit, execve, rt_sigreturn, chroot) or sleeps is called less often.
 *  - what clone and fork make ends at once.
 */
#define _GNU_SOURCE
#pragma GCC optimize("O2")
#include "callfuzz.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STEPS 20480ul
#define BLOCK 1024ul
#define SCAN 64ul         /* steps between looks at the whole arena */
#define PAGE 4096ul
#define ARENA 0x2000000000ul
#define SLOT 0x2000ul     /* bytes of the arena for each argument */
#define BUFFERS (8 * SLOT) /* what can be read and written; behind it: a hole, no access, read-only, then room for maps */
#define NONE (ARENA + BUFFERS + PAGE)
#define READ_ONLY (NONE + PAGE)
#define MAPS (READ_ONLY + PAGE)
#define MAP_PAGES 16ul
#define FILL 0xa5
#define WORKERS_MAX 16
#define RING 64
#define SHOWN 6ul        /* of them, when something is wrong */
#define SEGMENTS 256
#define NUMBERS 512
#define STUCK 3           /* seconds without a step */
#define HANG 60
#define SLACK 4096        /* KiB */
#define LOG_FD 70

/* Seen by keeper and workers. */
static struct shared {
    atomic_ulong leaks, done[NUMBERS], good[NUMBERS], other, segment_count;
    int segments[SEGMENTS]; /* of shmget; the keeper removes them */
    char leak[256];         /* what the first one was */
    struct slot {
        atomic_ulong calls, step;
        uint64_t episode;
        struct record {
            uint64_t step, args[6];
            long number, result;
        } ring[RING];
    } slots[WORKERS_MAX];
} *shared;

static uint64_t seed = 1, episode, step_now, step_end;
static _Thread_local uint64_t state;
static int alone, logging, is_root;
static struct slot *mine;
static char folder[64];
static pid_t own_pid;
static _Thread_local sigjmp_buf out;
static _Thread_local volatile sig_atomic_t guarded;

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

static uint64_t rnd64(void)
{
    return mix(state += 0x9e3779b97f4a7c15ull);
}

static unsigned long rnd(unsigned long n)
{
    return (rnd64() >> 11) % n;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

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

/* ---- arguments ---- */

static uint64_t number(void)
{
    static const uint64_t odd[] = {0, 1, 2, 3, 7, 8, 16, 64, 100, 255, 256, 4095, 4096, 4097, 8192, 65536, 0x7fffffff, 0x80000000,
                                   0xffffffff, 0x100000000ull, INT64_MAX, 1ull << 63, UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 99};

    return rnd(3) ? odd[rnd(sizeof odd / sizeof *odd)] : rnd64() >> rnd(64);
}

/* 0, 1, -1, the tops of both machines' user space and one beside, kernel, not canonical. */
static const uint64_t lattice[] = {
    0, 1, 7, 4095, 4096, 0x8000, 0x3fffffffffull, 0x4000000000ull, 0x4000000001ull, 0x3ffffffff8ull, 0x3ffffff000ull, 0x7fffffffefffull,
    0x7ffffffff000ull, 0x7fffffffffffull, 0x800000000000ull, 0x8000000000000000ull, 0xffff800000000000ull, 0xffffffc000000000ull,
    0xffffffff80000000ull, 0xffffffff80200000ull, UINT64_MAX, UINT64_MAX - 7, UINT64_MAX - 4095};

static uint64_t odd_address(void)
{
    static const char text[] = "read-only data";

    switch (rnd(8)) {
    case 0:
        return NONE + rnd(PAGE);
    case 1:
        return READ_ONLY + rnd(PAGE);
    case 2:
        return ARENA + BUFFERS - rnd(64); /* its end is in the hole */
    case 3:
        return NONE - rnd(64);
    case 4:
        return MAPS + rnd(MAP_PAGES * PAGE);
    case 5:
        return (rnd(2) ? (uint64_t)&odd_address : (uint64_t)text) + rnd(16);
    default:
        return lattice[rnd(sizeof lattice / sizeof *lattice)];
    }
}

/* The place of argument k: sometimes across an edge of two pages, sometimes not aligned. */
static uint64_t place(int k)
{
    uint64_t at = ARENA + (uint64_t)k * SLOT;

    if (rnd(4) == 0)
        at += PAGE - rnd(65);
    return rnd(16) ? at & ~7ull : at + rnd(8);
}

static const char *const names[] = {
    "a", "b", "d", "d/x", "d/y", "d/../a", "link", "loop", "fifo", "", ".", "..", "nowhere/x", "mnt", "mnt/z", "run", "/proc/self/maps",
    "/proc/self/mem", "/proc/self/status", "/proc/self/fd/3", "/proc/self/fd", "/proc/self/task", "/proc/self/environ",
    "/proc/self/cmdline", "/proc/self/auxv", "/proc/self/cwd", "/proc/self/stat", "/proc/meminfo", "/proc/mounts",
    "/proc/stat", "/proc/self/pagemap", "/proc/self/smaps", "/proc/kpageflags", "/dev/null", "/dev/zero", "/dev/full", "/dev/ptmx",
    "/dev/pts", "/dev/pts/0", "/dev/tty", "/dev/urandom", "/proc/1/smaps",
    "/proc/1/stat", "/proc/1/fd", "/proc/1/task/1/status", "/proc/300/maps", "/proc/loadavg", "/proc/vmstat", "/proc/self/fdinfo/11",
    "/proc/self/fdinfo/12", "/proc/self/limits", "/proc/self/comm", "/proc/self/wchan"};
#define OWN_NAMES 16 /* the first are the folder's */

static const char *const types[] = {"tmpfs", "ramfs", "proc", "devpts", "mqueue", "sysfs", "nothing"};

static const int bits[] = {1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800, 0x1000, 0x2000, 0x4000, 0x8000, 0x10000,
                           0x20000, 0x80000, 0x100000, 0x200000, 0x400000, 0x1000000, (int)0x80000000};

static uint64_t some_bits(void)
{
    uint64_t v = 0;

    for (unsigned long n = rnd(4); n > 0; n--)
        v |= (uint64_t)(unsigned)bits[rnd(sizeof bits / sizeof *bits)];
    return v;
}

static uint64_t one_of(const int *list, size_t n)
{
    return rnd(8) ? (uint64_t)list[rnd(n)] : number();
}
#define ONE_OF(...) one_of((const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

static uint64_t process_number(void)
{
    switch (rnd(6)) {
    case 0:
        return 0;
    case 1:
        return (uint64_t)-1;
    case 2:
        return (uint64_t)rnd(200);
    case 3:
        return number();
    default:
        return (uint64_t)own_pid;
    }
}

static void put(uint64_t at, const void *data, size_t n)
{
    memcpy((void *)at, data, n);
}

static uint64_t plausible_word(void)
{
    switch (rnd(6)) {
    case 0:
        return number();
    case 1:
        return ARENA + rnd(BUFFERS / 8) * 8;
    case 2:
        return odd_address();
    case 3:
        return some_bits();
    default:
        return rnd(64);
    }
}

static uint64_t structure(int k)
{
    uint64_t at = place(k), w[16];

    for (unsigned i = 0; i < 16; i++)
        w[i] = plausible_word();
    put(at, w, sizeof w);
    return at;
}

static uint64_t vectors(int k)
{
    uint64_t at = place(k), w[8][2];

    for (unsigned i = 0; i < 8; i++) {
        w[i][0] = rnd(6) ? ARENA + (6 + rnd(2)) * SLOT + rnd(PAGE) : odd_address();
        w[i][1] = rnd(8) ? rnd(600) : number();
    }
    put(at, w, sizeof w);
    return at;
}

/* Seldom longer than a millisecond, seldom not a time. */
static uint64_t times(int k, unsigned n)
{
    uint64_t at = place(k), w[4];

    if (rnd(8) == 0)
        return 0;
    for (unsigned i = 0; i < 4; i++)
        w[i] = rnd(16) == 0 ? number() : i % 2 ? rnd(1000000) : 0;
    put(at, w, n * 8);
    return at;
}

static void on_signal(int signo);

static uint64_t action(int k)
{
    uint64_t at = place(k), w[4] = {rnd(16) == 0 ? rnd(3) : (uint64_t)on_signal, some_bits(), rnd(2) ? 0 : rnd64(), 0};

    put(at, w, sizeof w);
    return at;
}

static uint64_t event(int k)
{
    uint64_t at = place(k), w[8] = {rnd64(), (rnd(8) ? rnd(3) : number()) << 32 | rnd(65), (uint64_t)own_pid};

    put(at, w, sizeof w);
    return at;
}

static uint64_t strings(int k)
{
    uint64_t at = place(k), w[4] = {(uint64_t)names[rnd(12)], rnd(4) ? (uint64_t)names[rnd(12)] : odd_address(), 0, 0};

    put(at, w, sizeof w);
    return at;
}

static uint64_t buffer(int k)
{
    uint64_t at = place(k);

    memset((void *)at, FILL, 512);
    return at;
}

static uint64_t signal_set(int k)
{
    uint64_t at = place(k), set = rnd(3) == 0 ? 0 : rnd64() & rnd64();

    if (rnd(32)) /* a fault while SIGSEGV is blocked is the end */
        set &= ~(1ull << (SIGUSR2 - 1) | 1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1));
    put(at, &set, 8);
    return rnd(8) ? at : 0;
}

static uint64_t queue_attributes(int k)
{
    uint64_t at = place(k), w[8] = {rnd(2) ? O_NONBLOCK : 0, 1 + rnd(12), 1 + rnd(9000)};

    put(at, w, sizeof w);
    return rnd(3) ? at : 0;
}

/* struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls. */
static uint64_t clone_arguments(int k)
{
    static const uint64_t flags[] = {0, 0x4100, 0x4000, 0x100, 0x200, 0x400, 0x200000, 0x1000000, 0x100000};
    uint64_t at = place(k), to = ARENA + 6 * SLOT, w[11] = {flags[rnd(9)], to, to + 8, to + 16, rnd(4) ? SIGCHLD : rnd(66), 0, 0, to};

    if (rnd(4) == 0)
        w[rnd(11)] = plausible_word();
    put(at, w, sizeof w);
    return at;
}

/* struct sched_attr: size and policy, flags, nice and priority, runtime, deadline, period. */
static uint64_t scheduling(int k)
{
    uint64_t at = place(k), w[7] = {48 | rnd(8) << 32, rnd(4) ? 0 : some_bits(), (rnd(2) ? 0 : rnd(100)) << 32 | rnd(20)};

    put(at, w, sizeof w);
    return at;
}

static uint64_t descriptor(void)
{
    return rnd(8) ? rnd(40) : rnd(2) ? rnd(64) : ONE_OF(-1, AT_FDCWD, 63, 64, 1000, 0x7fffffff);
}

static uint64_t polled(int k)
{
    uint64_t at = place(k), w[8];

    for (unsigned i = 0; i < 8; i++)
        w[i] = (uint32_t)descriptor() | (rnd64() & 0x3fff) << 32;
    put(at, w, sizeof w);
    return at;
}

static uint64_t capability_header(int k)
{
    static const uint32_t versions[] = {0x19980330, 0x20071026, 0x20080522};
    uint64_t at = place(k);
    uint32_t w[2] = {rnd(8) ? versions[rnd(3)] : (uint32_t)number(), rnd(2) ? 0 : (uint32_t)process_number()};

    put(at, w, sizeof w);
    return at;
}

static uint64_t ioctl_command(void)
{
    static const int list[] = {TCGETS, TCSETS, TCSETSW, TCSETSF, TIOCGWINSZ, TIOCSWINSZ, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX, FIOASYNC,
                               TIOCSCTTY, TIOCNOTTY, TIOCGPTN, TIOCSPTLCK, TIOCSPGRP, TIOCGPGRP, TIOCGSID, TCSBRK, TCSBRKP, TCXONC,
                               TCFLSH, TIOCSTI, TIOCOUTQ, TIOCGPTPEER, TIOCEXCL, TIOCNXCL, TIOCPKT, TIOCGETD, TCGETA, TIOCMGET};

    return rnd(8) ? (uint64_t)list[rnd(sizeof list / sizeof *list)] : number();
}

static uint64_t size(void)
{
    return rnd(20) == 0 ? number() : rnd(3) == 0 ? (uint64_t)1 << rnd(14) : rnd(600);
}

static uint64_t pages(void)
{
    return MAPS + rnd(MAP_PAGES) * PAGE;
}

/* Argument k of a call, by its letter. */
static uint64_t memory_argument(char kind, int k)
{
    switch (kind) {
    case 'b': case 'l': return buffer(k);
    case 'i': case 'E': case 'u': return structure(k);
    case 'V': return vectors(k);
    case 'T': return times(k, 2);
    case 't': return times(k, 4);
    case 'G': return signal_set(k);
    case 'S': return rnd(4) ? action(k) : 0;
    case 'y': return event(k);
    case 'r': return strings(k);
    case '9': return scheduling(k);
    case '#': return polled(k);
    case 'B': return queue_attributes(k);
    case 'I': return clone_arguments(k);
    case '2': return capability_header(k);
    case 'Y': return (uint64_t)types[rnd(sizeof types / sizeof *types)];
    case '!': return (uint64_t)(rnd(2) ? names[15] : names[rnd(OWN_NAMES)]);
    case '~': return (uint64_t)names[rnd(2) ? 2 : 13];
    case 'P': return (uint64_t)names[rnd(is_root && rnd(2) ? OWN_NAMES : sizeof names / sizeof *names)];
    case 'N': return (uint64_t)names[rnd(5)];
    default: return odd_address();
    }
}

static uint64_t argument(char kind, int k)
{
    if (strchr("biVTtGSyrPNlEuBI2Y!~9#", kind))
        return rnd(10) ? memory_argument(kind, k) : odd_address();
    switch (kind) {
    case 'f': return descriptor();
    case '7': return ONE_OF(24, 24, 24, 32);
    case '6': return rnd(6) ? (const unsigned char[]){5, 22, 28, 31}[rnd(4)] : descriptor();
    case 'Z': return rnd(6) ? 11 : descriptor();
    case 'Q': return rnd(6) ? 23 : descriptor();
    case 'J': return rnd(6) ? 6 + rnd(4) : descriptor();
    case 'D': return rnd(3) ? (uint64_t)AT_FDCWD : descriptor();
    case 's': return size();
    case 'v': return rnd(10) ? rnd(9) : number();
    case '8': return rnd(12) ? 8 : number();
    case 'K': return rnd(10) == 0 ? number() : rnd(16) ? 1 + 13 * rnd(5) % 17 : rnd(66);
    case 'W': return process_number();
    case 'O': return some_bits();
    case 'M': return rnd(8) ? rnd(8) : number();
    case 'F': return (rnd(4) ? MAP_FIXED : 0) | (rnd(3) ? MAP_ANONYMOUS : 0) | (1 + rnd(3)) | (rnd(4) ? 0 : some_bits());
    case 'm': return rnd(8) ? rnd(010000) | (rnd(4) ? 0 : (1 + rnd(15)) << 12) : number();
    case 'R': return rnd(10) ? rnd(16) : number();
    case 'C': return rnd(10) ? rnd(12) : number();
    case 'o': return rnd(4) ? rnd(20000) : number();
    case 'w': return rnd(6) ? rnd(12) : number();
    case 'A': return rnd(8) ? pages() : odd_address();
    case 'L': return rnd(8) ? rnd(MAP_PAGES) * PAGE : rnd(2) ? rnd(3 * PAGE) : number();
    case 'e': return rnd(8) ? 1 + rnd(3) : number();
    case 'c': return ONE_OF(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 16, 36, 37, 38, 1024, 1025, 1026, 1030, 1031, 1032, 1033, 1034, 1035, 1036);
    case 'j': return ioctl_command();
    case 'z': return rnd(2) ? some_bits() : rnd(8);
    case 'U': return ONE_OF(0, 1000, 1001, 65534, -1);
    case 'H': return rnd(8) ? rnd(4) : number();
    case '3': return rnd(3) | (rnd(3) ? O_CREAT : 0) | (rnd(2) ? O_NONBLOCK : 0) | (rnd(8) ? 0 : some_bits());
    case '4': return rnd(4) ? 8192 + rnd(2000) : size();
    case '5': return ONE_OF(64, 80, 88);
    case '1': return ONE_OF(1, 3, 4, 5, 10, 129, 131, 132, 133); /* of futex: those that do not sleep */
    case 'x': return rnd(16) | (rnd(2) ? 128 : 0) | (rnd(4) ? 0 : 256);
    case 'a': return ONE_OF(0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 100);
    case 'p': return rnd(4) ? rnd(72) : ONE_OF(0x53564d41, 0x59616d61);
    case 'g': return rnd(3) ? ONE_OF(17, 0, 0x4100 | 17, 0x50f00, 0x3d0f00, 0x100 | 17, 0x200 | 17, 0x400 | 17) : rnd64() >> 31;
    case 'h': return rnd(4) ? (uint64_t)shared->segments[(shared->segment_count - 1 - rnd(4)) % SEGMENTS] : number();
    case 'k': return 0x1000 + rnd(8);
    case 'q': return ONE_OF(0x1001, 0x1002, 0x1003, 0x1004, 0x1011, 0x1012, 0x2003); /* of arch_prctl */
    case '0': return rnd(20) ? 0 : number();
    default: return rnd(2) ? number() : odd_address();
    }
}

static uint64_t any_argument(int k)
{
    static const char kinds[] = "fbsiPXwXVGTWAo";

    return argument(kinds[rnd(sizeof kinds - 1)], k);
}

/* ---- what is not left to chance ---- */

static uint64_t own_process(uint64_t pid)
{
    return (int)pid == 0 || (int)pid == own_pid || (int)pid == -own_pid ? pid : rnd(2) ? (uint64_t)own_pid : 0x3ffffff;
}

static void restrain(long n, uint64_t *a)
{
    if (n == SYS_rt_sigaction && rnd(16)) /* a handler that is nowhere is set less often */
        a[1] = rnd(2) ? action(1) : 0;
    if (n == SYS_rt_sigaction && (a[0] == SIGSEGV || a[0] == SIGBUS || a[0] == SIGUSR2) && rnd(16))
        a[0] = SIGUSR1;
    if (n == SYS_close_range && (unsigned)a[1] > 63)
        a[1] = 63;
    if (n == SYS_prctl && (int)a[0] == PR_SET_PDEATHSIG)
        a[0] = PR_GET_PDEATHSIG;
    if (!is_root)
        return;
    for (unsigned i = 0; i < sizeof names_process / sizeof *names_process; i++)
        if (names_process[i].number == n)
            a[names_process[i].arg] = own_process(a[names_process[i].arg]);
    if (n == SYS_fcntl && ((int)a[1] == F_SETOWN || (int)a[1] == F_SETOWN_EX))
        a[1] = F_GETOWN;
    if (n == SYS_ioctl && (a[1] == 0x8901 || a[1] == 0x8902)) /* FIOSETOWN, SIOCSPGRP */
        a[1] = FIONREAD;
    if (n == SYS_reboot && (uint32_t)a[0] == 0xfee1dead)
        a[0]++;
    if (n == SYS_umount2)
        a[0] = (uint64_t)names[rnd(2) ? 2 : rnd(2) ? 13 : rnd(9)];
}

static const struct call *call_of(long n)
{
    for (unsigned i = 0; i < CALL_COUNT; i++)
        if (calls[i].number == n)
            return &calls[i];
    return NULL;
}

/* One in three is any number at all, with anything behind it. */
static long choose(uint64_t *a, int *forks)
{
    const struct call *c;
    int typed = rnd(3) > 0;
    long n;

    do {
        c = &calls[rnd(CALL_COUNT)];
        n = c->number;
        if (!typed) {
            n = rnd(20) ? (long)rnd(470) : rnd(2) ? (long)number() : (long)(0x40000000 | rnd(470));
            c = call_of(n);
        }
    } while (c && ((c->how == ENDS && rnd(200)) || (c->how == SLEEPS && rnd(16)) || (c->how == FORKS && rnd(8))));
    for (int k = 0; k < 6; k++)
        a[k] = typed && c->args[k] ? argument(c->args[k], k) : any_argument(k);
    restrain(n, a);
    c = call_of(n & 0x3fffffff);
    *forks = c && c->how == FORKS;
    return n;
}

/* ---- the kernel's own memory, where it was to write something ---- */

/* Page, object and stack (vm/page.c, vm/kmem.c, proc/thread.c), not as they are: reading one's own program finds none. */
static volatile uint32_t markers_inverted[] = {~0x6b6b6b6bu, ~0x5a5a5a5au, ~0xd3d3d3d3u};

static int find_marker(uint64_t from, uint64_t size, long n)
{
    uint32_t m0 = ~markers_inverted[0], m1 = ~markers_inverted[1], m2 = ~markers_inverted[2];
    const uint64_t *w = (const uint64_t *)(from & ~7ull);

    for (uint64_t i = 0; i < size / 8; i++) {
        uint32_t low = (uint32_t)w[i], high = (uint32_t)(w[i] >> 32);
        if (w[i] == 0 || w[i] == FILL * 0x0101010101010101ull)
            continue;
        if (low != m0 && low != m1 && low != m2 && high != m0 && high != m1 && high != m2)
            continue;
        if (atomic_fetch_add(&shared->leaks, 1) == 0)
            snprintf(shared->leak, sizeof shared->leak, "callfuzz: LEAK: %#lx at %#lx, by call %ld%s: seed %lu episode %lu step %lu\n", w[i],
                     (unsigned long)&w[i] - ARENA, mine->ring[step_now % RING].number, n < 0 ? " or one of the 64 before it" : "", seed,
                     episode, step_now);
        return 1;
    }
    return 0;
}

static void look_for_leaks(long n, const uint64_t *a)
{
    for (int k = 0; k < 6; k++)
        if (a[k] >= ARENA && a[k] < ARENA + 6 * SLOT && find_marker(a[k], 512, n))
            _exit(5);
    if (step_now % SCAN == SCAN - 1 && find_marker(ARENA, BUFFERS, -1))
        _exit(5);
}

/* ---- an episode ---- */

static void on_signal(int signo)
{
    if (signo != SIGSEGV && signo != SIGBUS)
        return;
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

static void __attribute__((noreturn)) worker(int keeper_fd)
{
    static const struct rlimit files = {64, 64}, size = {1 << 20, 1 << 20}, as = {128 << 20, 128 << 20}, processes = {64, 64},
                               stack = {256 << 10, 256 << 10}; /* a handler that is gone is called until that is full */
    uint32_t id = 1000 + (uint32_t)(mine - shared->slots);
    int none = open("/dev/null", O_RDWR);

    own_pid = getpid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (setsid() < 0 || dup2(keeper_fd, LOG_FD) < 0)
        _exit(7);
    for (int fd = 0; fd < 3; fd++)
        dup2(none, fd);
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

/* ---- the keeper ---- */

static struct keeper {
    struct child {
        pid_t pid;
        double moved, killed;
        unsigned long step;
    } children[WORKERS_MAX];
    unsigned long episodes, ended, killed, stuck, audits;
    unsigned long stuck_in[NUMBERS], fault_in[NUMBERS], signals[65], statuses[16];
    unsigned workers;
    double slowest; /* seconds from SIGKILL to the end */
    uint64_t next;
} k;

static unsigned long all_calls(void)
{
    unsigned long sum = 0;

    for (unsigned i = 0; i < WORKERS_MAX; i++)
        sum += atomic_load(&shared->slots[i].calls);
    return sum;
}

static unsigned long mem_free(void)
{
    struct sysinfo s;

    return sysinfo(&s) ? 0 : s.freeram * s.mem_unit / 1024;
}

static void audit(void)
{
    int fd = open("/proc/sys/vm/check", O_WRONLY);

    if (fd >= 0 && write(fd, "1", 1) == 1)
        k.audits++;
    if (fd >= 0)
        close(fd);
}

/* The last calls of a process, the newest last. */
static void show_ring(unsigned i)
{
    const struct slot *s = &shared->slots[i];
    unsigned long n = atomic_load(&s->step);

    printf("callfuzz: last calls of seed %lu episode %lu:\n", seed, s->episode);
    for (unsigned long at = n > SHOWN ? n - SHOWN : 0; at < n; at++) {
        const struct record *r = &s->ring[at % RING];
        if (r->step == at)
            printf("  %lu: %ld(%#lx, %#lx, %#lx, %#lx, %#lx, %#lx) = %ld\n", r->step, r->number, r->args[0], r->args[1], r->args[2], r->args[3],
                   r->args[4], r->args[5], r->result);
    }
    fflush(stdout);
}

static void __attribute__((noreturn)) hang(unsigned i)
{
    static char text[65536];
    int n;

    printf("callfuzz: HANG: process %d does not end when it is killed\n", k.children[i].pid);
    for (unsigned w = 0; w < k.workers; w++)
        show_ring(w);
    if (system("for p in /proc/[0-9]*; do echo $(cut -c1-120 $p/stat) $(cat $p/wchan); done"))
        printf("callfuzz: no shell\n");
    n = klogctl(3, text, sizeof text);
    fwrite(text, 1, n > 0 ? (size_t)n : 0, stdout);
    fflush(stdout);
    _exit(3);
}

/* What root may have taken away. */
static void restore_devices(void)
{
    static const struct {
        const char *name;
        unsigned major, minor;
    } devices[] = {{"/dev/null", 1, 3}, {"/dev/zero", 1, 5}, {"/dev/full", 1, 7}, {"/dev/urandom", 1, 9}, {"/dev/ptmx", 5, 2}, {"/dev/tty", 5, 0}};
    static const char *const folders[] = {"/", "/tmp", "/dev", "/dev/pts"}; /* ".." may be one */
    struct stat s;

    for (unsigned i = 0; i < sizeof folders / sizeof *folders; i++)
        if (stat(folders[i], &s) == 0 && ((s.st_mode & 07777) != 01777 || s.st_uid) && (chmod(folders[i], 01777) || chown(folders[i], 0, 0)))
            printf("callfuzz: %s: %s\n", folders[i], strerror(errno));
    for (unsigned i = 0; i < sizeof devices / sizeof *devices; i++)
        if (stat(devices[i].name, &s) || !S_ISCHR(s.st_mode) || (s.st_mode & 0666) != 0666) {
            unlink(devices[i].name);
            mknod(devices[i].name, S_IFCHR | 0666, makedev(devices[i].major, devices[i].minor));
            chmod(devices[i].name, 0666);
        }
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *f)
{
    (void)s, (void)kind;
    remove(path); /* the rest goes on */
    return f->level == 0 && access(path, F_OK) == 0;
}

static void clean_up(uint64_t e)
{
    char path[64], below[80];

    snprintf(path, sizeof path, "/tmp/fuzz.%lx", e);
    for (int i = 0; i < 8 && nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS); i++) /* what is mounted must be empty first */
        for (unsigned n = 0; n < OWN_NAMES; n++) {
            snprintf(below, sizeof below, "%s/%s", path, names[n]);
            umount2(below, 0);
        }
    if (access(path, F_OK) == 0)
        printf("callfuzz: %s stays: %s\n", path, strerror(errno));
}

static void remove_shared(void)
{
    for (unsigned i = 0; i < SEGMENTS; i++)
        shmctl(shared->segments[i], IPC_RMID, NULL);
    for (int key = 0x1000; key < 0x1008; key++)
        shmctl(shmget(key, 0, 0), IPC_RMID, NULL);
    mq_unlink("/fuzz");
    for (unsigned i = 0; i < OWN_NAMES; i++) {
        char path[64];
        syscall(SYS_mq_unlink, names[i]);
        if (strchr(names[i], '/') || names[i][0] == '.' || !names[i][0])
            continue;
        for (unsigned f = 0; f < 4; f++) { /* where ".." may have led */
            snprintf(path, sizeof path, "%s/%s", (const char *[]){"", "/tmp", "/dev", "/dev/pts"}[f], names[i]);
            if (unlink(path))
                rmdir(path);
        }
    }
}

static void start(unsigned i, uint64_t e, int fd)
{
    struct child *c = &k.children[i];

    mine = &shared->slots[i];
    mine->episode = episode = e;
    snprintf(folder, sizeof folder, "/tmp/fuzz.%lx", episode);
    atomic_store(&mine->step, step_now);
    restore_devices();
    c->pid = fork();
    if (c->pid == 0)
        worker(fd);
    c->moved = now(), c->killed = 0, c->step = step_now;
    k.episodes++;
}

static void ended(unsigned i, int status)
{
    struct child *c = &k.children[i];
    long n = shared->slots[i].ring[(atomic_load(&shared->slots[i].step) - 1) % RING].number;

    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV && atomic_load(&shared->slots[i].step) && n >= 0 && n < NUMBERS)
        k.fault_in[n]++;
    if (c->killed && now() - c->killed > k.slowest)
        k.slowest = now() - c->killed;
    kill(-c->pid, SIGKILL); /* what it has left behind */
    if (WIFSIGNALED(status))
        k.killed++, k.signals[WTERMSIG(status)]++;
    else
        k.ended++, k.statuses[WEXITSTATUS(status) & 15]++;
    c->pid = 0;
    clean_up(shared->slots[i].episode);
    remove_shared();
}

/* Who has not moved is asked to go on, and after a while killed. */
static void watch(unsigned i)
{
    struct child *c = &k.children[i];
    unsigned long step = atomic_load(&shared->slots[i].step);
    long n = shared->slots[i].ring[(step - 1) % RING].number;

    if (step != c->step) {
        c->step = step, c->moved = now();
        return;
    }
    if (c->killed) {
        if (now() - c->killed > HANG)
            hang(i);
        return;
    }
    if (now() - c->moved > 0.01) {
        kill(c->pid, SIGCONT);
        kill(c->pid, SIGUSR2);
    }
    if (now() - c->moved > STUCK) {
        k.stuck++;
        if (n >= 0 && n < NUMBERS)
            k.stuck_in[n]++;
        kill(c->pid, SIGKILL);
        c->killed = now();
    }
}

static void reap(void)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (unsigned i = 0; i < k.workers; i++)
            if (k.children[i].pid == pid)
                ended(i, status);
}

static unsigned running(void)
{
    unsigned n = 0;

    reap();
    for (unsigned i = 0; i < k.workers; i++) {
        if (k.children[i].pid > 0)
            watch(i), n++;
    }
    return n;
}

static unsigned reached(const atomic_ulong *what)
{
    unsigned n = 0;

    for (unsigned i = 0; i < NUMBERS; i++)
        n += atomic_load(&what[i]) > 0;
    return n;
}

static void progress(double begin)
{
    static double last;
    static unsigned long calls_then;
    unsigned long n = all_calls();

    if (last && now() - last < 10)
        return;
    printf("callfuzz: %.0f s: %lu calls, %.0f/s; %lu episodes, to %lu; %lu killed, %lu stuck; %u numbers, %u with success; %lu leaks, %lu audits, "
           "MemFree %lu kB\n", now() - begin, n, last ? (double)(n - calls_then) / (now() - last) : 0.0, k.episodes, k.next, k.killed,
           k.stuck, reached(shared->done), reached(shared->good), atomic_load(&shared->leaks), k.audits, mem_free());
    fflush(stdout);
    last = now(), calls_then = n;
    setpriority(PRIO_PROCESS, 0, -10);
}

/* Episodes until there are `want` calls; all have ended at the return. */
static void run(unsigned long want, double begin)
{
    double audited = now();

    while (all_calls() < want && !atomic_load(&shared->leaks)) {
        for (unsigned i = 0; i < k.workers; i++)
            if (k.children[i].pid <= 0)
                start(i, k.next++, 1);
        usleep(4000);
        running();
        progress(begin);
        if (now() - audited > 15)
            audit(), audited = now();
    }
    for (unsigned i = 0; i < k.workers; i++)
        if (k.children[i].pid > 0)
            kill(k.children[i].pid, SIGKILL), k.children[i].killed = now();
    while (running() > 0)
        usleep(4000);
}

static int finish(unsigned long before, double begin)
{
    unsigned long free = 0, calls_made = all_calls();
    unsigned silent = 0;

    audit();
    fputs(shared->leak, stdout);
    printf("callfuzz: ends: by status");
    for (unsigned n = 0; n < 16; n++)
        if (k.statuses[n])
            printf(" %u (%lu)", n, k.statuses[n]);
    printf("; by signal");
    for (unsigned n = 0; n < 65; n++)
        if (k.signals[n])
            printf(" %u (%lu)", n, k.signals[n]);
    printf("\ncallfuzz: SIGSEGV after");
    for (unsigned n = 0; n < NUMBERS; n++)
        if (k.fault_in[n])
            printf(" %u (%lu)", n, k.fault_in[n]);
    printf("\n");
    for (int i = 0; i < 20 && (free = mem_free()) + SLACK < before; i++)
        usleep(200000);
    printf("callfuzz: stuck in:");
    for (unsigned n = 0; n < NUMBERS; n++)
        if (k.stuck_in[n])
            printf(" %u (%lu)", n, k.stuck_in[n]);
    printf("\ncallfuzz: known, and never with success:");
    for (unsigned i = 0; i < CALL_COUNT; i++)
        if (calls[i].how != ENDS && call_of(calls[i].number) == &calls[i] && !atomic_load(&shared->good[calls[i].number]))
            printf(" %d", calls[i].number), silent++;
    printf("%s\ncallfuzz: slowest end after SIGKILL: %.1f s; MemFree was %lu kB and is %lu kB\n", silent ? "" : " none", k.slowest, before, free);
    printf("callfuzz: seed %lu: %lu calls of %u numbers and %lu others, %.0f/s; %u of %zu numbers with success; %lu episodes, %lu killed, %lu stuck; "
           "%lu audits, %lu leaks%s\n", seed, calls_made, reached(shared->done), atomic_load(&shared->other), (double)calls_made / (now() - begin),
           reached(shared->good), (size_t)NUMBERS, k.episodes, k.killed, k.stuck, k.audits, atomic_load(&shared->leaks),
           free + SLACK < before ? ", MEMORY LOST" : "");
    fflush(stdout);
    return atomic_load(&shared->leaks) > 0 || free + SLACK < before;
}

/* One episode again, or a part of it. */
static int repeat(uint64_t e)
{
    k.workers = 1;
    start(0, e, 1);
    while (running() > 0)
        usleep(2000);
    if (!logging)
        show_ring(0);
    fputs(shared->leak, stdout);
    printf("callfuzz: seed %lu episode %lu: %lu calls, %lu leaks\n", seed, e, all_calls(), atomic_load(&shared->leaks));
    return atomic_load(&shared->leaks) > 0;
}

int main(int argc, char **argv)
{
    unsigned long want = 1000000, before, warm;
    double begin = now();
    long which = -1;

    step_end = STEPS;
    k.workers = 8;
    if (argc < 2 || argv[1][0] != '-')
        return 0; /* a call has started this program */
    for (int i = 1; i < argc; i++) {
        uint64_t value = i + 1 < argc ? strtoull(argv[i + 1], NULL, 0) : 0;
        int takes = 1;
        if (strcmp(argv[i], "--calls") == 0)
            want = value;
        else if (strcmp(argv[i], "--seed") == 0)
            seed = value;
        else if (strcmp(argv[i], "--workers") == 0 && value > 0 && value <= WORKERS_MAX)
            k.workers = (unsigned)value;
        else if (strcmp(argv[i], "--episode") == 0)
            which = (long)value;
        else if (strcmp(argv[i], "--from") == 0)
            step_now = value;
        else if (strcmp(argv[i], "--to") == 0)
            step_end = value;
        else if (takes = 0, strcmp(argv[i], "--alone") == 0)
            alone = 1;
        else if (strcmp(argv[i], "--log") == 0)
            logging = 1;
        else
            return fprintf(stderr, "callfuzz: %s: see the head of its source\n", argv[i]), 2;
        i += takes;
    }
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGUSR2, SIG_IGN); /* a new process is not ready for it */
    if (which >= 0)
        return repeat((uint64_t)which);
    warm = want / 20 < 100000 ? want / 20 : 100000;
    run(warm, begin); /* what the kernel keeps for later, it keeps now */
    before = mem_free();
    run(want, begin);
    return finish(before, begin);
}
