/*
 * Processes that fork, write, map, unmap, protect and exec at random, check
 * their own bytes, and are killed at random, for some seconds.
 *
 * storm SECONDS [PROCESSES] [PAGES]
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
static unsigned long pages = 2000, limit = 40;
static struct shared {
    atomic_ulong live, forks, execs, kills, wrong, refused;
    time_t end;
} *shared;
static unsigned char *memory;
static unsigned long *model; /* what each page must hold; private as well */
static unsigned long random_state;

static unsigned long rnd(unsigned long n)
{
    random_state = random_state * 6364136223846793005ul + 1442695040888963407ul;
    return (random_state >> 33) % n;
}

static void check(unsigned long p)
{
    unsigned long *word = (unsigned long *)(memory + p * PAGE);

    if (word[0] != model[p] || word[PAGE / 8 - 1] != model[p]) {
        atomic_fetch_add(&shared->wrong, 1);
        printf("storm: process %d page %lu: %lx and %lx, not %lx\n", getpid(), p, word[0], word[PAGE / 8 - 1], model[p]);
        _exit(1);
    }
}

static void set(unsigned long p, unsigned long value)
{
    unsigned long *word = (unsigned long *)(memory + p * PAGE);

    word[0] = word[PAGE / 8 - 1] = model[p] = value;
}

static void remap(void)
{
    unsigned long p = rnd(pages), n = 1 + rnd(pages - p < 600 ? pages - p : 600);
    void *at = memory + p * PAGE;

    if (rnd(2)) {
        if (mprotect(at, n * PAGE, PROT_READ) || mprotect(at, n * PAGE, PROT_READ | PROT_WRITE))
            atomic_fetch_add(&shared->refused, 1);
        return;
    }
    if (munmap(at, n * PAGE) ||
        mmap(at, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at) {
        printf("storm: mmap over a hole: %s\n", strerror(errno));
        _exit(1);
    }
    memset(model + p, 0, n * sizeof *model);
}

static void work(char *self);

static void spawn(char *self)
{
    pid_t child;

    if (atomic_load(&shared->live) >= limit)
        return;
    atomic_fetch_add(&shared->live, 1);
    child = fork();
    if (child < 0) {
        atomic_fetch_sub(&shared->live, 1);
        atomic_fetch_add(&shared->refused, 1);
    } else if (child == 0) {
        random_state ^= (unsigned long)getpid() << 20;
        if (rnd(4) == 0) {
            atomic_fetch_add(&shared->execs, 1);
            execl(self, self, "-", (char *)NULL);
            _exit(1);
        }
        work(self);
    } else {
        atomic_fetch_add(&shared->forks, 1);
        if (rnd(3) == 0) {
            atomic_fetch_add(&shared->kills, 1);
            kill(child, SIGKILL);
        }
    }
}

static void reap(int flags)
{
    while (waitpid(-1, NULL, flags) > 0)
        atomic_fetch_sub(&shared->live, 1);
}

static void step(char *self)
{
    unsigned long op = rnd(100), p = rnd(pages);

    check(p);
    if (op < 60)
        set(p, rnd(1ul << 30));
    else if (op < 70)
        for (unsigned long k = 0; k < 64; k++)
            check((p + k) % pages);
    else if (op < 76)
        remap();
    else if (op < 84)
        spawn(self);
    reap(WNOHANG);
}

static void work(char *self)
{
    for (unsigned long n = 50 + rnd(400); n > 0 && time(NULL) < shared->end; n--)
        step(self);
    reap(0);
    _exit(0);
}

int main(int argc, char **argv)
{
    if (argc > 1 && argv[1][0] == '-')
        return 0;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared->end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 5);
    limit = argc > 2 ? strtoul(argv[2], NULL, 0) : limit;
    pages = argc > 3 ? strtoul(argv[3], NULL, 0) : pages;
    memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    model = mmap(NULL, pages * sizeof *model, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    random_state = (unsigned long)time(NULL);
    while (time(NULL) < shared->end) {
        spawn(argv[0]);
        step(argv[0]);
    }
    reap(0); /* killed processes' children go to init, which reaps them */
    printf("%lu forks, %lu execs, %lu killed, %lu refused, %lu wrong\n", atomic_load(&shared->forks),
           atomic_load(&shared->execs), atomic_load(&shared->kills), atomic_load(&shared->refused),
           atomic_load(&shared->wrong));
    return shared->wrong > 0;
}
