/*
 * When memory is short: nothing is lost, and nobody else notices.
 */
#include "xv6.h"

#define SHARED 400
static char shared[SHARED * PAGE] __attribute__((aligned(4096)));

/* Takes what sbrk gives; how many pages it was. */
static int take(void)
{
    int pages = 0;

    for (int step = 256; step > 0; step /= 4)
        while (sbrk(step * (int)PAGE) != SBRK_ERROR)
            pages += step;
    return pages;
}

/* And the rest, which the kernel keeps for itself: it stores there for us until it finds no page. */
static int take_all(void)
{
    int fd = open("short.zero", O_RDONLY), pages = take();
    char *p = sys_sbrk(64 << 20, SBRK_LAZY);

    CHECK(fd >= 0 && p != SBRK_ERROR);
    for (int i = 0; i < (64 << 20) / (int)PAGE && read(fd, p + (uint64)i * PAGE, 1) == 1; i++)
        pages++;
    return pages;
}

static int in_child(int (*what)(void), int *answer)
{
    int fds[2], pid;

    CHECK(pipe(fds) == 0);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        int result = what();

        sbrk(-(80 << 20)); /* to say so takes memory, too */
        exit(write(fds[1], &result, sizeof result) != sizeof result);
    }
    close(fds[1]);
    *answer = -1;
    read(fds[0], answer, sizeof *answer);
    close(fds[0]);
    return status_of_child();
}

/* The child's copies find no page: read says so, and the parent's bytes stay as they were. */
static int read_into_all(void)
{
    int fd = open("short.file", O_RDONLY), failed = 0;

    if (fd < 0)
        return -1;
    take_all();
    for (int i = 0; i < SHARED; i++) {
        int n = read(fd, shared + i * PAGE, 1);

        if (n != 1 && n != -1)
            return -2;
        if (shared[i * PAGE] != (n == 1 ? 'x' : 'p')) /* what was not read into is still the parent's */
            return -3;
        failed += n == -1;
    }
    return failed;
}

static void read_without_memory(void)
{
    int fd = open("short.file", O_CREATE | O_WRONLY), failed;

    memset(shared, 'x', SHARED);
    CHECK(fd >= 0 && write(fd, shared, SHARED) == SHARED);
    memset(shared, 'p', sizeof shared);
    CHECK(in_child(read_into_all, &failed) == 0);
    printf("# %d of %d reads failed\n", failed, SHARED);
    CHECK(failed > 0);
    for (uint64 i = 0; i < sizeof shared; i += 64)
        CHECK(shared[i] == 'p');
    unlink("short.file");
}

static void failed_forks_leak_nothing(void)
{
    int before, after, failed = 0;
    char *top = sbrk(0);

    before = take_all();
    for (int i = 0; i < 1000; i++) {
        int pid = fork();

        if (pid == 0)
            exit(0);
        if (pid > 0)
            wait(0);
        else
            failed++;
    }
    CHECK(failed > 0);
    printf("# %d of 1000 forks failed with %d pages taken\n", failed, before);
    CHECK(sbrk((int)(top - sbrk(0))) != SBRK_ERROR && sbrk(0) == top);
    after = take_all();
    CHECK(after >= before - 16);
}

/* Stores without end into memory that it was given on trust. */
static void eat(void)
{
    char *p = sys_sbrk(1 << 30, SBRK_LAZY);

    for (uint64 i = 0; i < 1ul << 30; i += PAGE)
        p[i] = 1;
}

static void a_hungry_child_dies_alone(void)
{
    memset(shared, 'q', sizeof shared);
    for (int i = 0; i < 5; i++) {
        int pid = fork();

        CHECK(pid >= 0);
        if (pid == 0) {
            eat();
            exit(0);
        }
        CHECK(status_of_child() == -1);
        for (uint64 k = 0; k < sizeof shared; k += PAGE)
            CHECK(shared[k] == 'q');
        memset(shared, 'q', sizeof shared);
    }
}

static void sbrk_says_no_and_memory_comes_back(void)
{
    int first, second;

    CHECK(in_child(take, &first) == 0);
    CHECK(in_child(take, &second) == 0);
    CHECK(first > 1000 && second == first);
}

int main(void)
{
    int fd = open("short.zero", O_CREATE | O_WRONLY), failed;

    static const struct test tests[] = {
        {"read without memory leaves the parent's page", read_without_memory},
        {"a thousand failed forks leak nothing", failed_forks_leak_nothing},
        {"a hungry child dies alone", a_hungry_child_dies_alone},
        {"sbrk says no, and memory comes back", sbrk_says_no_and_memory_comes_back},
    };

    for (int i = 0; i < 40; i++) /* 40,000 bytes to read */
        write(fd, shared, 1000);
    close(fd);
    failed = run_tests(tests, sizeof tests / sizeof tests[0]);
    unlink("short.zero");
    return failed;
}
