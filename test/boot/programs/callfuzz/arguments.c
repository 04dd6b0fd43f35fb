/* Which call is made, and with what: from seed, episode and step alone. */
#include "callfuzz.h"
#include "calls.h"

_Thread_local uint64_t state;

uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

uint64_t rnd64(void)
{
    return mix(state += 0x9e3779b97f4a7c15ull);
}

unsigned long rnd(unsigned long n)
{
    return (rnd64() >> 11) % n;
}

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

const char *const names[NAMES] = {
    "a", "b", "d", "d/x", "d/y", "d/../a", "link", "loop", "fifo", "", ".", "..", "nowhere/x", "mnt", "mnt/z", "run", "/proc/self/maps",
    "/proc/self/mem", "/proc/self/status", "/proc/self/fd/3", "/proc/self/fd", "/proc/self/task", "/proc/self/environ",
    "/proc/self/cmdline", "/proc/self/auxv", "/proc/self/cwd", "/proc/self/stat", "/proc/meminfo", "/proc/mounts",
    "/proc/stat", "/proc/self/pagemap", "/proc/self/smaps", "/proc/kpageflags", "/dev/null", "/dev/zero", "/dev/full", "/dev/ptmx",
    "/dev/pts", "/dev/pts/0", "/dev/tty", "/dev/urandom", "/proc/1/smaps",
    "/proc/1/stat", "/proc/1/fd", "/proc/1/task/1/status", "/proc/300/maps", "/proc/loadavg", "/proc/vmstat", "/proc/self/fdinfo/11",
    "/proc/self/fdinfo/12", "/proc/self/limits", "/proc/self/comm", "/proc/self/wchan"};

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
    case 'P': return (uint64_t)names[rnd(is_root && rnd(2) ? OWN_NAMES : NAMES)];
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

const struct call *call_of(long n)
{
    for (unsigned i = 0; i < CALL_COUNT; i++)
        if (calls[i].number == n)
            return &calls[i];
    return NULL;
}

/* One in three is any number at all, with anything behind it. */
long choose(uint64_t *a, int *forks)
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
