/* What the emulator of the oracle does not know: pagemap and smaps, MADV_POPULATE, MADV_DONTFORK and _WIPEONFORK. TAP. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../../guest/tap.h"

#define PRESENT (1ull << 63)
#define FILE_PAGE (1ull << 61)
#define EXCLUSIVE (1ull << 56)
#define FRAME ((1ull << 55) - 1)

static int fd;

static uint64_t entry(const void *p)
{
    uint64_t e = 0;

    return pread(fd, &e, 8, (off_t)((uintptr_t)p / 4096 * 8)) == 8 ? e : ~0ull;
}

/* A field of the region at p, in kB; -1: it is not there. */
static long smaps(const void *p, const char *field)
{
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[512];
    long value = -1;
    int here = 0;

    while (f && fgets(line, sizeof line, f)) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx", &start, &end) == 2)
            here = start <= (uintptr_t)p && (uintptr_t)p < end;
        else if (here && strncmp(line, field, strlen(field)) == 0)
            value = strtol(line + strlen(field), NULL, 10);
    }
    if (f)
        fclose(f);
    return value;
}

static void populating(void)
{
    char *p = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char core[8];

    ok(madvise(p, 4 * 4096, 23 /* MADV_POPULATE_WRITE */) == 0 && mincore(p, 4 * 4096, core) == 0 && (core[0] & 1) && (core[3] & 1),
       "MADV_POPULATE_WRITE");
    ok(madvise(p, 8 * 4096, 22 /* MADV_POPULATE_READ */) == 0, "MADV_POPULATE_READ");
    mprotect(p, 4096, PROT_READ);
    ok(madvise(p, 4096, 23) == -1 && errno == EINVAL && madvise(p, 4096, 22) == 0, "writing must be permitted");
    mprotect(p, 4096, PROT_NONE);
    ok(madvise(p, 4096, 22) == -1 && errno == EINVAL, "reading, too");
    munmap(p + 4096, 4096);
    ok(madvise(p + 4096, 2 * 4096, 22) == -1 && errno == ENOMEM, "nothing there");
    munmap(p, 8 * 4096);
}

/* What a child is not to have, or to have empty, in the middle of what it shares. */
static void left_out_of_fork(void)
{
    char *p = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char core[4];
    int status;

    for (int i = 0; i < 64; i++)
        p[i * 4096] = (char)(i + 1);
    ok(madvise(p + 8 * 4096, 4 * 4096, MADV_DONTFORK) == 0 && madvise(p + 20 * 4096, 4 * 4096, MADV_WIPEONFORK) == 0, "madvise");
    if (fork() == 0) {
        int bad = mincore(p + 8 * 4096, 4 * 4096, core) != -1 || errno != ENOMEM;
        for (int i = 0; i < 64; i++)
            if (i < 8 || i >= 12)
                bad |= p[i * 4096] != (i >= 20 && i < 24 ? 0 : i + 1);
        p[20 * 4096] = 5;
        if (fork() == 0) /* wiped again, and what is gone stays gone */
            _exit(p[20 * 4096] != 0 || p[0] != 1);
        wait(&status);
        _exit(bad || status);
    }
    wait(&status);
    ok(status == 0, "the child has what it should, and nothing else");
    ok(p[8 * 4096] == 9 && p[20 * 4096] == 21, "the parent has all");
    ok(madvise(p + 8 * 4096, 4 * 4096, MADV_DOFORK) == 0 && madvise(p + 20 * 4096, 4 * 4096, MADV_KEEPONFORK) == 0, "undone");
    if (fork() == 0) {
        int bad = 0;
        for (int i = 0; i < 64; i++)
            bad |= p[i * 4096] != i + 1;
        _exit(bad);
    }
    wait(&status);
    ok(status == 0, "the child has all again");
    munmap(p, 64 * 4096);
    p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ok(madvise(p, 4096, MADV_WIPEONFORK) == -1 && errno == EINVAL, "shared memory is not wiped");
    munmap(p, 4096);
}

int main(void)
{
    char *p = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *file, c;
    int end[2], program = open("/proc/self/exe", O_RDONLY);
    uint64_t before, frames[4];

    fd = open("/proc/self/pagemap", O_RDONLY);
    ok(fd >= 0 && !(entry(p) & PRESENT), "nothing is there at first");
    for (int i = 0; i < 8; i++)
        p[i * 4096] = 1;
    ok((entry(p) & PRESENT) && (entry(p) & EXCLUSIVE) && !(entry(p) & FILE_PAGE) && !(entry(p + 8 * 4096) & PRESENT), "what was written is its own");
    before = entry(p) & FRAME;
    ok(before && before != (entry(p + 4096) & FRAME), "each page has a frame");
    ok(pread(fd, frames, 32, (off_t)((uintptr_t)p / 4096 * 8)) == 32 && (frames[0] & FRAME) == before, "several at once");
    ok(pread(fd, frames, 7, 0) == -1, "whole entries only");
    ok(smaps(p, "Rss:") == 32 && smaps(p, "Private_Dirty:") == 32 && smaps(p, "Shared_Dirty:") == 0 && smaps(p, "Anonymous:") == 32,
       "smaps: its own");
    ok(pipe(end) == 0, "pipe");
    if (fork() == 0)
        _exit(read(end[0], &c, 1) != 1);
    ok((entry(p) & PRESENT) && !(entry(p) & EXCLUSIVE) && (entry(p) & FRAME) == before, "shared with a child, in the same frame");
    ok(smaps(p, "Private_Dirty:") == 0 && smaps(p, "Shared_Dirty:") == 32 && smaps(p, "Pss:") == 16, "smaps: shared by two");
    p[0] = 2;
    ok((entry(p) & EXCLUSIVE) && (entry(p) & FRAME) != before && !(entry(p + 4096) & EXCLUSIVE), "a store makes a copy, of this page alone");
    ok(write(end[1], "x", 1) == 1 && wait(NULL) > 0, "the child is gone");
    ok((entry(p + 4096) & PRESENT) && (entry(p + 4096) & EXCLUSIVE), "and the rest is its own again");
    file = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, program, 0);
    c = *(volatile char *)file;
    ok((entry(file) & PRESENT) && (entry(file) & FILE_PAGE), "a file's page");
    populating();
    left_out_of_fork();
    return done();
}
