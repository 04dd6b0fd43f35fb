/*
 * What memory costs after a fork, against the size of what was touched before.
 *
 *   read.first        the first load from a page in the parent, the child alive
 *   read.walk         a load from each page in turn, for each page; read.walk.child: in the child
 *   write.first       the first store to one page, the child alive
 *   write.walk        a store to each page in turn, for each page; write.walk.child: in the child
 *   write.random      the same in random order; write.random.child: in the child
 *   write.p999        the longest of the walk's stores but one in a thousand,
 *   write.worst       and the longest of all; an interrupt in it is counted, too
 *   write.again       the parent's walk when the child has gone, and what was shared is its own again
 *
 * Walks are of the first GiB at most: both copies must fit in RAM. The one who does not
 * walk sleeps, so its work is not in the figures; the order of random walks is made before.
 *
 * cow MAX_MIB
 */
#include "bench.h"

#define GIB_PAGES 262144l

static volatile char *memory;
static long pages, walked; /* all, and those of walks */
static unsigned *order;    /* of a random walk */
static volatile long *told; /* by a child: shared */

static void shuffle(void)
{
    for (long i = 0; i < walked; i++)
        order[i] = (unsigned)i;
    for (long i = walked - 1; i > 0; i--) {
        long k = random_below(i + 1);
        unsigned u = order[i];

        order[i] = order[k];
        order[k] = u;
    }
}

static long read_walk(void)
{
    long start = now();

    for (long i = 0; i < walked; i++)
        load(memory + i * PAGE);
    return since(start) / walked;
}

static long write_walk(void)
{
    long start = now();

    for (long i = 0; i < walked; i++)
        memory[i * PAGE] = 3;
    return since(start) / walked;
}

static long write_random(void)
{
    long start = now();

    for (long i = 0; i < walked; i++)
        memory[order[i] * PAGE] = 4;
    return since(start) / walked;
}

static long first(int write)
{
    int end;
    pid_t pid = sleeper(&end);
    long took = now();

    if (write)
        memory[pages / 2 * PAGE] = 2;
    else
        load(memory + pages / 2 * PAGE);
    took = since(took);
    close(end);
    waitpid(pid, NULL, 0);
    return took;
}

static long first_read(void *arg)
{
    (void)arg;
    return first(0);
}

static long first_write(void *arg)
{
    (void)arg;
    return first(1);
}

/* A walk of the parent while a child lives. */
static void report_parent(const char *name, long mib, long (*walk)(void))
{
    int end;
    pid_t pid = sleeper(&end);

    report(name, mib, walk());
    close(end);
    waitpid(pid, NULL, 0);
}

/* All is shared with a child, which goes before the walk. */
static void report_again(long mib)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    report("write.again", mib, write_walk());
}

/* A walk of a child; the parent waits. */
static void report_child(const char *name, long mib, long (*walk)(void))
{
    pid_t pid = fork();

    if (pid == 0) {
        *told = walk();
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    report(name, mib, *told);
}

/* Each store of a walk by itself. */
static void report_slowest(long mib)
{
    long *took = malloc((size_t)walked * sizeof *took);
    int end;
    pid_t pid;

    if (!took)
        give_up("malloc");
    memset(took, 0, (size_t)walked * sizeof *took);
    pid = sleeper(&end);
    for (long i = 0; i < walked; i++) {
        long before = now();

        memory[i * PAGE] = 5;
        took[i] = since(before);
    }
    close(end);
    waitpid(pid, NULL, 0);
    qsort(took, (size_t)walked, sizeof *took, bench_less);
    report("write.p999", mib, took[walked * 999 / 1000]);
    report("write.worst", mib, took[walked - 1]);
    free(took);
}

static void measure(long mib)
{
    repeat("read.first", mib, first_read, NULL);
    report_parent("read.walk", mib, read_walk);
    report_child("read.walk.child", mib, read_walk);
    repeat("write.first", mib, first_write, NULL);
    report_parent("write.walk", mib, write_walk);
    report_again(mib);
    report_parent("write.random", mib, write_random);
    report_child("write.walk.child", mib, write_walk);
    report_child("write.random.child", mib, write_random);
    report_slowest(mib);
}

int main(int argc, char **argv)
{
    long max = argc > 1 ? atol(argv[1]) : 256;

    calibrate();
    told = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (told == MAP_FAILED)
        give_up("mmap");
    for (long mib = 1; mib <= max; mib *= mib < 256 ? 4 : 2) {
        memory = touched(mib);
        pages = mib * 256;
        walked = pages < GIB_PAGES ? pages : GIB_PAGES;
        order = malloc((size_t)walked * sizeof *order);
        if (!order)
            give_up("malloc");
        shuffle();
        measure(mib);
        free(order);
        munmap((void *)memory, (size_t)mib << 20);
    }
    return 0;
}
