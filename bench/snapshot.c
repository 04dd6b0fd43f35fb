/*
 * Programs that fork from a large parent.
 *
 *   snapshot.fork     a database forks to write its table out: how long it stands still
 *   snapshot.mean     an update of a random record while the child reads the whole table,
 *   snapshot.p999     … the slowest in a thousand,
 *   snapshot.max      … and the slowest, in processor time of the parent alone
 *   forkserver        a fuzzer's fork server: fork, a child that writes 16 pages, exit, wait
 *   testrun           a test runner: a child that reads 256 pages and writes 64
 * the first four for MIB, the others for parents of 1 MiB, 4, 16, … MIB.
 *
 * snapshot [MIB [UPDATES]]
 */
#include "bench.h"

static volatile char *table;
static long pages;
static unsigned long random_state = 1;

static unsigned long rnd(unsigned long n)
{
    random_state = random_state * 6364136223846793005ul + 1442695040888963407ul;
    return (random_state >> 33) % n;
}

/* This thread's processor time: what the child takes of the one CPU is not the parent's latency. */
static long cpu_time(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000l + t.tv_nsec;
}

static long cpu_overhead(void)
{
    long start = cpu_time();

    for (int i = 0; i < 1000; i++)
        cpu_time();
    return (cpu_time() - start) / 1000;
}

static void dump_and_exit(void)
{
    long sum = 0;

    for (int again = 0; again < 4; again++)
        for (long i = 0; i < pages * PAGE; i += 64)
            sum += table[i];
    _exit(sum == 42);
}

static void snapshot(long mib, long updates)
{
    long *took = malloc((size_t)updates * sizeof *took), reading = cpu_overhead(), sum = 0, before = now();
    pid_t pid = fork();

    if (!took)
        give_up("malloc");
    if (pid == 0)
        dump_and_exit();
    report("snapshot.fork", mib, since(before));
    for (long i = 0; i < updates; i++) {
        long page = (long)rnd((unsigned long)pages), start = cpu_time(), t;
        table[page * PAGE + (long)rnd(PAGE)]++;
        t = cpu_time() - start - reading;
        took[i] = t > 0 ? t : 0;
        sum += took[i];
    }
    qsort(took, (size_t)updates, sizeof *took, bench_less);
    report("snapshot.mean", mib, sum / updates);
    report("snapshot.p999", mib, took[updates * 999 / 1000]);
    report("snapshot.max", mib, took[updates - 1]);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    free(took);
}

struct work {
    long reads, writes;
};

static long one_child(void *arg)
{
    const struct work *w = arg;
    long start = now(), sum = 0;
    pid_t pid = fork();

    if (pid == 0) {
        for (long i = 0; i < w->reads; i++)
            sum += table[(long)rnd((unsigned long)pages) * PAGE];
        for (long i = 0; i < w->writes; i++)
            table[(long)rnd((unsigned long)pages) * PAGE] = (char)sum;
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    return since(start);
}

int main(int argc, char **argv)
{
    long max = argc > 1 ? atol(argv[1]) : 256, updates = argc > 2 ? atol(argv[2]) : 20000;
    struct work fuzz = {0, 16}, test = {256, 64};

    calibrate();
    for (long mib = 1; mib <= max; mib *= 4) {
        table = touched(mib);
        pages = mib * 256;
        report("forkserver", mib, repeat(one_child, &fuzz));
        report("testrun", mib, repeat(one_child, &test));
        munmap((void *)table, (size_t)mib << 20);
    }
    table = touched(max);
    pages = max * 256;
    snapshot(max, updates);
    return 0;
}
