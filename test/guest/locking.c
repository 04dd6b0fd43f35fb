/* mlock and its kin: what is resident, what it counts, what is refused. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tap.h"

#define MIB (1ul << 20)
static size_t page;

static long locked_kb(void)
{
    char line[256];
    long kb = -1;
    FILE *f = fopen("/proc/self/status", "r");

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmLck: %ld kB", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb;
}

static unsigned resident(char *p, size_t pages)
{
    unsigned char there[64];
    unsigned n = 0;

    if (mincore(p, pages * page, there))
        return 9999;
    for (size_t i = 0; i < pages; i++)
        n += there[i] & 1;
    return n;
}

static char *map(size_t len, int flags)
{
    return mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static void ranges(void)
{
    char *p = map(16 * page, 0);

    ok(resident(p, 16) == 0 && mlock(p + 1, 4 * page) == 0 && resident(p, 16) == 5, "mlock brings whole pages in");
    ok(locked_kb() == (long)(5 * page / 1024), "they are counted");
    ok(mlock(p, 4 * page) == 0 && locked_kb() == (long)(5 * page / 1024), "once");
    ok(madvise(p, page, MADV_DONTNEED) == -1 && errno == EINVAL, "their contents are not dropped");
    ok(msync(p, page, MS_INVALIDATE) == -1 && errno == EBUSY, "nor invalidated");
    ok(munlock(p, 2 * page) == 0 && locked_kb() == (long)(3 * page / 1024), "munlock of a part");
    ok(madvise(p, page, MADV_DONTNEED) == 0, "which may go");
    munmap(p + 8 * page, page);
    ok(mlock(p + 6 * page, 4 * page) == -1 && errno == ENOMEM, "a hole");
    ok(mlock((void *)(UINTPTR_MAX - 8191), 2 * 8192) == -1 && errno == EINVAL, "beyond the end of addresses");
    munmap(p, 16 * page);
    ok(locked_kb() == 0, "munmap unlocks");
    p = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ok(mlock(p, page) == -1 && errno == ENOMEM, "nothing can be brought in where nothing is permitted");
    munmap(p, page);
    p = map(8 * page, MAP_LOCKED);
    ok(p != MAP_FAILED && resident(p, 8) == 8 && locked_kb() == (long)(8 * page / 1024), "MAP_LOCKED");
    p = mremap(p, 8 * page, 12 * page, MREMAP_MAYMOVE);
    ok(p != MAP_FAILED && resident(p, 12) == 12 && locked_kb() == (long)(12 * page / 1024), "grown");
    munmap(p, 12 * page);
}

static void on_first_use(void)
{
    char *p = map(8 * page, 0);

    p[0] = 1;
    ok(syscall(SYS_mlock2, p, 8 * page, 1) == 0 && resident(p, 8) == 1, "mlock2: on the first use");
    p[5 * page] = 1;
    ok(resident(p, 8) == 2 && locked_kb() == (long)(8 * page / 1024), "then");
    ok(syscall(SYS_mlock2, p, page, 4) == -1 && errno == EINVAL, "unknown flags");
    munmap(p, 8 * page);
}

static void everything(void)
{
    char *p = map(8 * page, 0), *later;

    ok(mlockall(0) == -1 && errno == EINVAL && mlockall(64) == -1 && errno == EINVAL && mlockall(4) == -1 && errno == EINVAL,
       "mlockall of nothing");
    ok(mlockall(MCL_CURRENT | MCL_FUTURE) == 0 && resident(p, 8) == 8 && locked_kb() > 0, "all there is");
    later = map(8 * page, 0);
    ok(resident(later, 8) == 8, "and all to come");
    if (fork() == 0) {
        char *mine = map(8 * page, 0);

        _exit(locked_kb() != 0 || resident(mine, 8) != 0);
    }
    int status;
    wait(&status);
    ok(status == 0, "a child has nothing locked");
    ok(munlockall() == 0 && locked_kb() == 0, "munlockall");
    munmap(later, 8 * page);
    munmap(p, 8 * page);
}

/* As somebody who may lock 64 KiB. */
static int limited(void)
{
    struct rlimit l = {65536, 65536}, none = {0, 0};
    char *p;

    if (setrlimit(RLIMIT_MEMLOCK, &l) || setresuid(1000, 1000, 1000))
        return 1;
    p = map(MIB, 0);
    if (mlock(p, 65536) || mlock(p, 32768) || mlock(p + 65536, page) != -1 || errno != ENOMEM)
        return 2;
    if (map(page, MAP_LOCKED) != MAP_FAILED || errno != EAGAIN)
        return 3;
    if (mlockall(MCL_CURRENT) != -1 || errno != ENOMEM)
        return 4;
    if (munlock(p, 65536) || mlockall(MCL_FUTURE) || map(MIB, 0) != MAP_FAILED || errno != EAGAIN)
        return 5;
    if (sbrk(MIB) != (void *)-1)
        return 6;
    munlockall();
    if (setrlimit(RLIMIT_MEMLOCK, &none) || mlock(p, page) != -1 || errno != EPERM || mlockall(MCL_CURRENT) != -1 || errno != EPERM)
        return 7;
    return 0;
}

int main(void)
{
    int status;

    page = (size_t)sysconf(_SC_PAGESIZE);
    if (locked_kb() < 0) {
        printf("1..0 # SKIP no /proc/self/status that says what is locked\n");
        return 0;
    }
    ranges();
    everything();
    if (syscall(SYS_mlock2, NULL, 0, 0) == -1 && errno == ENOSYS)
        return done(); /* an emulator of another machine's programs: that has no limits either */
    on_first_use();
    if (geteuid() == 0) {
        if (fork() == 0)
            _exit(limited());
        wait(&status);
        ok(status == 0, "limits (%#x)", status);
    }
    return done();
}
