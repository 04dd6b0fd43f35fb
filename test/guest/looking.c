/* Memory seen through /proc: mem, pagemap, smaps, kpagecount, kpageflags. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tap.h"

static size_t page;

static void bytes(void)
{
    int fd = open("/proc/self/mem", O_RDWR), child;
    char *p = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), buf[16];
    const char *constant = "constant";
    char *shared;

    if (fd < 0) {
        ok(errno == EACCES || errno == ENOENT, "no /proc/self/mem here");
        return;
    }
    strcpy(p + page - 3, "across");
    ok(pread(fd, buf, 7, (off_t)(uintptr_t)(p + page - 3)) == 7 && strcmp(buf, "across") == 0, "read across two pages");
    ok(pwrite(fd, "written", 8, (off_t)(uintptr_t)(p + page - 3)) == 8 && strcmp(p + page - 3, "written") == 0, "written");
    mprotect(p, 2 * page, PROT_READ);
    child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    ok(pwrite(fd, "forced", 7, (off_t)(uintptr_t)p) == 7 && strcmp(p, "forced") == 0, "where the program may only read");
    snprintf(buf, sizeof buf, "%s", constant);
    ok(pwrite(fd, "CONSTANT", 8, (off_t)(uintptr_t)constant) == 8 && strcmp(constant, buf) != 0, "also its own text: %s", constant);
    {
        char path[64], other[8];
        int theirs;

        snprintf(path, sizeof path, "/proc/%d/mem", child);
        theirs = open(path, O_RDONLY);
        ok(theirs >= 0 && pread(theirs, other, 7, (off_t)(uintptr_t)p) == 7 && other[0] == 0, "a child's memory is its own");
        close(theirs);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    munmap(p, 2 * page);
    ok(pread(fd, buf, 1, (off_t)(uintptr_t)p) == -1 && errno == EIO, "nothing is mapped there");
    shared = mmap(NULL, page, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ok(pwrite(fd, "x", 1, (off_t)(uintptr_t)shared) == -1 && errno == EIO && shared[0] == 0, "what others see is not forced");
    p = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pwrite(fd, "x", 1, (off_t)(uintptr_t)p) == 1 || 1) { /* Linux stores; a page that nobody may read stays so in any case */
        int status;

        if (fork() == 0)
            _exit(((volatile char *)p)[0] == 'x');
        wait(&status);
        ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "a page that is closed by mprotect stays closed");
    }
    close(fd);
}

/* A file that was opened is about the program of that time, not about the one that has taken its place. */
static void after_exec(void)
{
    char path[64], buf[8] = "";
    int status, fd, ready[2];
    pid_t child;

    if (pipe2(ready, O_CLOEXEC))
        return;
    child = fork();
    if (child == 0) {
        while (access("/tmp/looking-go", F_OK))
            usleep(1000);
        execl("/bin/sleep", "sleep", "20", NULL);
        _exit(127);
    }
    snprintf(path, sizeof path, "/proc/%d/mem", child);
    fd = open(path, O_RDWR);
    close(ready[1]);
    close(open("/tmp/looking-go", O_CREAT, 0600));
    ok(fd >= 0 && read(ready[0], buf, 1) == 0, "its descriptors are closed: another program runs");
    usleep(100000);
    ok(pread(fd, buf, 4, (off_t)(uintptr_t)path & ~4095l) <= 0, "the memory that was looked at is gone");
    unlink("/tmp/looking-go");
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    close(ready[0]);
    close(fd);
}

static uint64_t word(const char *path, uint64_t i)
{
    int fd = open(path, O_RDONLY);
    uint64_t w = ~0ull;

    if (fd >= 0 && pread(fd, &w, 8, (off_t)(i * 8)) != 8)
        w = ~0ull;
    close(fd);
    return w;
}

static uint64_t frame_of(const void *p)
{
    return word("/proc/self/pagemap", (uintptr_t)p / page) & ((1ull << 55) - 1);
}

static long smaps_kb(const void *p, const char *what)
{
    char line[512];
    unsigned long start, end;
    int inside = 0;
    long kb = -1;
    FILE *f = fopen("/proc/self/smaps", "r");

    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            inside = (uintptr_t)p >= start && (uintptr_t)p < end;
        if (inside && strncmp(line, what, strlen(what)) == 0 && line[strlen(what)] == ':')
            kb = strtol(line + strlen(what) + 1, NULL, 10);
    }
    if (f)
        fclose(f);
    return kb;
}

/* A child that stays until it is killed. */
static pid_t stay(void)
{
    pid_t pid = fork();

    while (pid == 0)
        pause();
    return pid;
}

static void frames(void)
{
    enum { PAGES = 16, CHILDREN = 3 };
    char *p = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pid_t pids[CHILDREN];
    long alone, among;

    madvise(p, PAGES * page, MADV_NOHUGEPAGE);
    memset(p, 1, PAGES * page);
    alone = smaps_kb(p, "Pss");
    ok(alone >= (long)(PAGES * page / 1024) && smaps_kb(p, "Private_Dirty") >= (long)(PAGES * page / 1024), "alone: all is ours (%ld kB)", alone);
    if (frame_of(p) == 0 || word("/proc/kpagecount", frame_of(p)) == ~0ull) {
        printf("ok %d - # SKIP frames are not shown here\n", ++tap_count);
        return;
    }
    ok(word("/proc/kpagecount", frame_of(p)) == 1, "its frame is mapped once");
    ok((word("/proc/kpageflags", frame_of(p)) & (1 << 12 | 1 << 11)) == (1 << 12 | 1 << 11), "is anonymous and mapped");
    for (int i = 0; i < CHILDREN; i++)
        pids[i] = stay();
    ok(word("/proc/kpagecount", frame_of(p)) == 1 + CHILDREN, "after three forks four times");
    among = smaps_kb(p, "Pss");
    ok(among == alone / (1 + CHILDREN) && smaps_kb(p, "Private_Dirty") < (long)(PAGES * page / 1024), "a quarter is ours (%ld kB)", among);
    p[0] = 2;
    ok(word("/proc/kpagecount", frame_of(p)) == 1 && word("/proc/kpagecount", frame_of(p + page)) == 1 + CHILDREN, "a store: one of them is ours");
    for (int i = 0; i < CHILDREN; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    ok(word("/proc/kpagecount", frame_of(p + page)) == 1, "they have gone");
    munmap(p, PAGES * page);
}

static void file_times(void)
{
    char name[] = "/tmp/looking-XXXXXX";
    int fd = mkstemp(name);
    struct stat before, after;
    volatile char *p;

    if (ftruncate(fd, 4096))
        return;
    p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)p[0];
    fstat(fd, &before);
    usleep(50000);
    p[0] = 1;
    msync((void *)p, 4096, MS_SYNC);
    fstat(fd, &after);
    ok(after.st_mtim.tv_sec > before.st_mtim.tv_sec || after.st_mtim.tv_nsec != before.st_mtim.tv_nsec, "a store to a mapping is a change of its file");
    ok(mmap(NULL, (size_t)-4096, PROT_READ, MAP_SHARED, fd, (off_t)-4096) == MAP_FAILED && (errno == EOVERFLOW || errno == ENOMEM), "beyond the largest file");
    unlink(name);
    close(fd);
}

int main(void)
{
    page = (size_t)sysconf(_SC_PAGESIZE);
    alarm(60);
    bytes();
    after_exec();
    frames();
    file_times();
    return done();
}
