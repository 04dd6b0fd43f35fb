/*
 * The checks that any copy-on-write fork has to pass: cow [MIB], of MIB MiB of RAM (128).
 */
#include "xv6.h"

static uint64 ram = 128ul << 20;
static char shared[4 * PAGE] __attribute__((aligned(4096))); /* pages that parent and child have in common */

static void fill(char *at, uint64 size, int value)
{
    for (uint64 i = 0; i < size; i += PAGE)
        *(int *)(at + i) = value;
}

static int holds(const char *at, uint64 size, int value)
{
    for (uint64 i = 0; i < size; i += PAGE)
        if (*(const int *)(at + i) != value)
            return 0;
    return 1;
}

/* Without copy-on-write there is no room for the child. */
static void two_thirds_of_memory(void)
{
    uint64 size = ram / 3 * 2 / PAGE * PAGE;

    for (int round = 0; round < 4; round++) {
        char *p = sbrk((int)size);
        int parent = getpid(), pid;

        CHECK(p != SBRK_ERROR);
        fill(p, size, parent);
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
            exit(!holds(p, size, parent));
        CHECK(status_of_child() == 0);
        CHECK(holds(p, size, parent));
        CHECK(sbrk(-(int)size) != SBRK_ERROR);
    }
}

/* Parent, child and grandchild each write what they share, and see only their own. */
static void three_generations(void)
{
    uint64 size = ram / 4 / PAGE * PAGE;
    char *p = sbrk((int)size);
    int pid;

    CHECK(p != SBRK_ERROR);
    fill(p, size, 1);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            fill(p, size / 5 * 4 / PAGE * PAGE, 3);
            exit(!holds(p, size / 5 * 4 / PAGE * PAGE, 3));
        }
        fill(p, size / 2 / PAGE * PAGE, 2);
        CHECK(status_of_child() == 0);
        exit(!(holds(p, size / 2 / PAGE * PAGE, 2) && *(int *)(p + size - PAGE) == 1));
    }
    fill(p, size, 4);
    CHECK(status_of_child() == 0);
    CHECK(holds(p, size, 4));
}

/* The kernel stores into a shared page for the child; the parent's stays. */
static void kernel_writes_from_a_pipe(void)
{
    int fds[2];

    for (int i = 0; i < 50; i++) {
        int pid, value = i;

        shared[0] = 99;
        CHECK(pipe(fds) == 0);
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            sleep(0);
            CHECK(read(fds[0], shared, sizeof value) == sizeof value);
            exit(*(int *)shared != value);
        }
        CHECK(write(fds[1], &value, sizeof value) == sizeof value);
        CHECK(status_of_child() == 0);
        CHECK(shared[0] == 99);
        close(fds[0]);
        close(fds[1]);
    }
}

static void make_file(const char *name, int pages)
{
    static char page[PAGE];
    int fd = open(name, O_CREATE | O_TRUNC | O_RDWR);

    CHECK(fd >= 0);
    for (int i = 0; i < pages; i++) {
        memset(page, 'a' + i, PAGE);
        CHECK(write(fd, page, PAGE) == (int)PAGE);
    }
    close(fd);
}

/* A buffer that begins and ends within pages, all of them shared. */
static void kernel_writes_across_page_borders(void)
{
    make_file("cow.file", 3);
    memset(shared, 'P', sizeof shared);
    for (int i = 0; i < 20; i++) {
        int pid = fork();

        CHECK(pid >= 0);
        if (pid == 0) {
            int fd = open("cow.file", O_RDONLY);

            CHECK(read(fd, shared + 1000, 2 * PAGE + 500) == 2 * (int)PAGE + 500);
            CHECK(shared[999] == 'P' && shared[1000] == 'a' && shared[1000 + PAGE] == 'b');
            CHECK(shared[1000 + 2 * PAGE + 499] == 'c' && shared[1000 + 2 * PAGE + 500] == 'P');
            exit(0);
        }
        CHECK(status_of_child() == 0);
        for (uint64 k = 0; k < sizeof shared; k += 100)
            CHECK(shared[k] == 'P');
    }
    unlink("cow.file");
}

/* wait, fstat and pipe fill in structures, too. */
static void kernel_fills_structures(void)
{
    struct stat *st = (struct stat *)shared;
    int *numbers = (int *)(shared + PAGE), pid, fd;

    memset(shared, 0x55, sizeof shared);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        fd = open(".", O_RDONLY);
        CHECK(fd >= 0 && fstat(fd, st) == 0 && st->type == T_DIR);
        CHECK(pipe(numbers) == 0 && numbers[0] >= 3);
        pid = fork();
        if (pid == 0)
            exit(7);
        CHECK(wait((int *)(shared + 2 * PAGE)) == pid && *(int *)(shared + 2 * PAGE) == 7);
        exit(0);
    }
    CHECK(status_of_child() == 0);
    for (uint64 i = 0; i < sizeof shared; i++)
        CHECK(shared[i] == 0x55);
}

static void child_then_grandchild(void)
{
    static int value = 1;
    int pid = fork();

    CHECK(pid >= 0);
    if (pid == 0) {
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            CHECK(value == 1);
            value = 3;
            exit(value != 3);
        }
        CHECK(status_of_child() == 0 && value == 1);
        value = 2;
        exit(value != 2);
    }
    CHECK(status_of_child() == 0 && value == 1);
}

/* Two forks a round, and all write at once; on several CPUs they do so in parallel. */
static void hundred_rounds(void)
{
    static volatile int words[16 * PAGE / sizeof(int)];

    for (int round = 0; round < 100; round++) {
        int left = fork(), right = left ? fork() : -1, me = left == 0 ? 1 : right == 0 ? 2 : 3;

        CHECK(left >= 0 && (left == 0 || right >= 0));
        for (uint64 i = 0; i < sizeof words / sizeof words[0]; i += 64)
            words[i] = me * 1000 + round;
        for (uint64 i = 0; i < sizeof words / sizeof words[0]; i += 64)
            CHECK(words[i] == me * 1000 + round);
        if (me < 3)
            exit(0);
        CHECK(status_of_child() == 0 && status_of_child() == 0);
    }
}

/* Children that each write all of a large memory: some find no page and die. Then there is room again. */
static void exhaustion_and_recovery(void)
{
    uint64 size = ram / 4 / PAGE * PAGE;
    char *p = sbrk((int)size);
    int children = 0, ready[2], died = 0, pid;

    CHECK(p != SBRK_ERROR && pipe(ready) == 0);
    fill(p, size, 1);
    for (; children < 8; children++) {
        pid = fork();
        if (pid < 0)
            break;
        if (pid == 0) {
            char c;

            close(ready[1]);
            fill(p, size, 10 + children);
            read(ready[0], &c, 1); /* holds on to it until all have tried */
            exit(!holds(p, size, 10 + children));
        }
    }
    sleep(20);
    close(ready[0]);
    close(ready[1]);
    for (int i = 0; i < children; i++)
        died += status_of_child() != 0;
    CHECK(died > 0 && died < children);
    CHECK(holds(p, size, 1));
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        fill(p, size, 2);
        exit(!holds(p, size, 2));
    }
    CHECK(status_of_child() == 0);
}

static void as_many_processes_as_there_may_be(void)
{
    for (int round = 0; round < 3; round++) {
        int n = 0, fds[2];

        CHECK(pipe(fds) == 0);
        for (; n < 1000; n++) {
            int pid = fork();

            if (pid < 0)
                break;
            if (pid == 0) {
                char c;

                close(fds[1]);
                exit(read(fds[0], &c, 1) != 0);
            }
        }
        CHECK(n > 20 && n < 1000);
        close(fds[1]);
        close(fds[0]);
        while (n-- > 0)
            CHECK(status_of_child() == 0);
        CHECK(wait(0) == -1);
    }
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"fork with two thirds of memory", two_thirds_of_memory},
        {"three generations write", three_generations},
        {"the kernel writes from a pipe", kernel_writes_from_a_pipe},
        {"the kernel writes across page borders", kernel_writes_across_page_borders},
        {"the kernel fills structures", kernel_fills_structures},
        {"child and grandchild", child_then_grandchild},
        {"a hundred rounds of fork-fork-write", hundred_rounds},
        {"exhaustion and recovery", exhaustion_and_recovery},
        {"as many processes as there may be", as_many_processes_as_there_may_be},
    };

    if (argc > 1)
        ram = (uint64)atoi(argv[1]) << 20;
    return run_tests(tests, sizeof tests / sizeof tests[0]);
}
