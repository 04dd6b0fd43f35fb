/*
 * Programs that fork from a large parent.
 *
 *   snapshot.fork     a database forks to write its table out: how long it stands still
 *   snapshot.mean     an update of a random record while the child reads the whole table,
 *   snapshot.p999     … the slowest in a thousand,
 *   snapshot.max      … and the slowest, in processor time of the parent alone
 *   snapshot.series.mean, .max   the same along the run, to draw it
 *   forkserver        a fuzzer's fork server: fork, a child that writes 16 pages, exit, wait
 *   testrun           a test runner: a child that reads 256 pages and writes 64
 * the snapshot is of MIB, the others are for parents of 1 MiB, 4, 16, … MIB.
 *
 * snapshot [MIB [UPDATES]]
 */
#include "bench.h"

#define SERIES 50

static volatile char *table;
static long pages;

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

/* The mean and the slowest of each of SERIES stretches of the updates, against the number of the last. */
static void report_series(const long *took, long updates)
{
    for (long i = 0; i < SERIES; i++) {
        long from = updates * i / SERIES, to = updates * (i + 1) / SERIES, sum = 0, most = 0;

        for (long k = from; k < to; k++) {
            sum += took[k];
            most = took[k] > most ? took[k] : most;
        }
        report("snapshot.series.mean", to, sum / (to - from));
        report("snapshot.series.max", to, most);
    }
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
        long page = random_below(pages), start = cpu_time(), t;
        table[page * PAGE + random_below(PAGE)]++;
        t = cpu_time() - start - reading;
        took[i] = t > 0 ? t : 0;
        sum += took[i];
    }
    report_series(took, updates);
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
            sum += table[random_below(pages) * PAGE];
        for (long i = 0; i < w->writes; i++)
            table[random_below(pages) * PAGE] = (char)sum;
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
        repeat("forkserver", mib, one_child, &fuzz);
        repeat("testrun", mib, one_child, &test);
        munmap((void *)table, (size_t)mib << 20);
    }
    table = touched(max);
    pages = max * 256;
    snapshot(max, updates);
    return 0;
}
