/*
 * Forks, one after another, that succeed or fail, and what they cost: MemFree before and after, to the page (B5, B7).
 *
 * manyforks FORKS            each child stores to a page and exits
 * manyforks FORKS fail       the memory is promised to somebody else: each fork is ENOMEM (vm.overcommit=2)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WARM 1000
#define ROUNDS 3 /* another process may touch a page of its own meanwhile: what forks lose they lose in each round */
#define PAGE 4096ul
#define PAGES 64

static char page[PAGES * PAGE], output[4096];

static long free_kib(void)
{
    static char text[2000]; /* nothing is allocated for this */
    int fd = open("/proc/meminfo", O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);
    char *at = n > 0 ? strstr(text, "MemFree:") : NULL;

    close(fd);
    return at ? strtol(at + strlen("MemFree:"), NULL, 10) : -1;
}

static int one(long i)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        page[i % PAGES * PAGE] = 1;
        _exit(7);
    }
    page[(i + 5) % PAGES * PAGE] = (char)i;
    if (pid < 0)
        return errno;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7 ? 0 : -1;
}

/* All that is promised but for 1 MiB, so that a second process like this one is out of the question. */
static void promise_the_rest(void)
{
    for (unsigned long size = 1ul << 40; size >= 1ul << 20; size /= 2)
        while (mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
            ;
}

int main(int argc, char **argv)
{
    long forks = argc > 1 ? atol(argv[1]) : 1000, before = 0, after = -1, wrong = 0;
    int want = argc > 2 ? ENOMEM : 0;

    setvbuf(stdout, output, _IOLBF, sizeof output);
    printf("%d forks first\n", WARM);
    if (want)
        promise_the_rest();
    for (long i = 0; i < WARM; i++)
        wrong += one(i) != want;
    for (int round = 0; round < ROUNDS && !wrong && before != after; round++) {
        before = free_kib();
        for (long i = 0; i < forks; i++) {
            wrong += one(i) != want;
            if (i % 10000 == 9999)
                printf("%ld forks\n", i + 1), fflush(stdout);
        }
        after = free_kib();
        printf("%ld forks, %ld not as they should be, MemFree %ld kB before, %ld kB after\n", forks, wrong, before, after);
    }
    return wrong || before != after || before < 0;
}
