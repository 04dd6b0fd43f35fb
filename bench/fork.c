/*
 * What fork costs, against the memory that a process has touched, the regions it
 * has, and the files it has open.
 *
 *   fork.call       the system call alone, parent's side, without the C library
 *   fork.libc       fork() as a program calls it, with what the parent faults on first
 *   fork.exit       fork, exit of the child, wait
 *   fork.exec       fork, exec of this small static program, wait
 *   vfork.exec      the same with vfork
 *   spawn.exec      the same with posix_spawn
 * and each with .regions and .files behind the name; munmap.regions: munmap of them all.
 *
 * fork [MAX_MIB [REGIONS [FILES]]], each 0 for nothing of the kind
 */
#include "bench.h"
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>

static long time_call(void *arg)
{
    long before = now(), pid = bare_fork(), took = since(before);

    (void)arg;
    if (pid == 0)
        _exit(0);
    waitpid((pid_t)pid, NULL, 0);
    return took;
}

static long time_libc(void *arg)
{
    long before = now(), took;
    pid_t pid = fork();

    (void)arg;
    if (pid == 0)
        _exit(0);
    took = since(before);
    waitpid(pid, NULL, 0);
    return took;
}

static long time_exit(void *arg)
{
    long before = now();
    pid_t pid = fork();

    (void)arg;
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    return since(before);
}

static long time_exec(void *path)
{
    long before = now();
    pid_t pid = fork();

    if (pid == 0) {
        execl(path, path, "-", (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
    return since(before);
}

static long time_vfork_exec(void *path)
{
    long before = now();
    pid_t pid = vfork();

    if (pid == 0) {
        execl(path, path, "-", (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
    return since(before);
}

static long time_spawn(void *path)
{
    char *argv[] = {path, "-", NULL};
    long before = now();
    pid_t pid;

    if (posix_spawn(&pid, path, NULL, NULL, argv, environ))
        give_up("posix_spawn");
    waitpid(pid, NULL, 0);
    return since(before);
}

static void report_calls(const char *against, long x)
{
    static const struct {
        const char *name;
        long (*what)(void *);
    } calls[] = {{"fork.call", time_call}, {"fork.libc", time_libc},        {"fork.exit", time_exit},
                 {"fork.exec", time_exec}, {"vfork.exec", time_vfork_exec}, {"spawn.exec", time_spawn}};
    int times = against[0] || x < 1024 ? REPEATS : 3; /* where one call may take a second */
    char name[40];

    for (unsigned i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        snprintf(name, sizeof name, "%s%s", calls[i].name, against);
        repeat_times(name, x, calls[i].what, (void *)own_path(), times);
    }
}

static void against_memory(long max)
{
    report_calls("", 0);
    for (long mib = 1; mib <= max; mib *= mib < 256 ? 4 : 2) {
        volatile char *memory = touched(mib);

        report_calls("", mib);
        munmap((void *)memory, (size_t)mib << 20);
    }
}

/* 20, 200, … and max itself. */
static long next_count(long n, long max)
{
    return n * 10 <= max || n == max ? n * 10 : max;
}

/* munmap of it all while a child has it, too: what the call itself costs, and not the end of each region. */
static long unmap_shared(char *at, size_t size)
{
    int end;
    pid_t pid = sleeper(&end);
    long took = now();

    munmap(at, size);
    took = since(took);
    close(end);
    waitpid(pid, NULL, 0);
    return took;
}

/* Every other page of a mapping has other permissions, so that each is a region. */
static void against_regions(long max)
{
    for (long n = 20; n <= max; n = next_count(n, max)) {
        size_t size = (size_t)(n + 1) * PAGE;
        char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (at == MAP_FAILED)
            give_up("mmap");
        for (long i = 1; i < n; i += 2)
            if (mprotect(at + i * PAGE, PAGE, PROT_READ))
                give_up("mprotect");
        report_calls(".regions", n);
        report("munmap.regions", n, unmap_shared(at, size));
    }
}

static void against_files(long max)
{
    struct rlimit limit = {(rlim_t)max + 100, (rlim_t)max + 100};

    setrlimit(RLIMIT_NOFILE, &limit);
    for (long have = 3, n = 3; n <= max; n = next_count(n, max)) {
        for (; have < n; have++)
            if (open("/dev/null", O_RDONLY) < 0)
                give_up("open");
        report_calls(".files", n);
    }
}

int main(int argc, char **argv)
{
    long max[3] = {256, 2000, 1000};

    if (argc > 1 && strcmp(argv[1], "-") == 0)
        return 0;
    for (int i = 1; i < argc && i < 4; i++)
        max[i - 1] = atol(argv[i]);
    calibrate();
    if (max[0])
        against_memory(max[0]);
    if (max[1])
        against_regions(max[1]);
    if (max[2])
        against_files(max[2]);
    return 0;
}
