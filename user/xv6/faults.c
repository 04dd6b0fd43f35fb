/*
 * Memory that is not a program's to use, and memory that it has not used yet.
 */
#include "xv6.h"

static volatile char sink;

/* Is a child that does this killed? */
static int dies(void (*what)(volatile char *at), volatile char *at)
{
    int pid = fork();

    if (pid == 0) {
        what(at);
        exit(0);
    }
    return pid > 0 && status_of_child() == -1;
}

static void store(volatile char *at)
{
    *at = 1;
}

static void load(volatile char *at)
{
    sink = *at;
}

static void text_is_read_only(void)
{
    volatile char *text = (volatile char *)(uint64)store;
    int fds[2];

    load((volatile char *)0); /* the program begins there */
    load(text);
    CHECK(dies(store, (volatile char *)0));
    CHECK(dies(store, text));
    CHECK(pipe(fds) == 0 && write(fds[1], "xyz", 3) == 3);
    CHECK(read(fds[0], (void *)(uint64)text, 3) == -1); /* nor by the kernel's hand */
}

static void guard_below_the_stack(void)
{
    char here;
    volatile char *stack = (volatile char *)((uint64)&here & ~(PAGE - 1));

    CHECK(!dies(store, stack));
    CHECK(dies(store, stack - 1));
    CHECK(dies(load, stack - PAGE));
}

static void nothing_above_the_break(void)
{
    volatile char *top = sbrk(0);
    static const uint64 high[] = {1ul << 30, 0x3fffffe000ul, 0x3ffffff000ul, 0x4000000000ul, 0x80000000ul, 0x80200000ul,
                                  0xffffffff80200000ul, 0xffffffc000000000ul, ~0ul};

    CHECK((uint64)top % PAGE == 0);
    CHECK(!dies(load, top - 1));
    CHECK(dies(load, top));
    CHECK(dies(store, top));
    for (uint64 i = 0; i < sizeof high / sizeof high[0]; i++) {
        CHECK(dies(load, (volatile char *)high[i]));
        CHECK(dies(store, (volatile char *)high[i]));
    }
}

static void bad_addresses_in_calls(void)
{
    static const uint64 bad[] = {0x80000000ul, 0x3fffffe000ul, 0x3ffffff000ul, 0x4000000000ul, 0xffffffff80200000ul, ~0ul};
    int fd = open("faults.file", O_CREATE | O_RDWR);

    CHECK(fd >= 0 && write(fd, "hello", 5) == 5);
    close(fd);
    for (uint64 i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        void *at = (void *)bad[i];
        int in = open("faults.file", O_RDWR);

        CHECK(in >= 0);
        CHECK(write(in, at, 100) == -1);
        CHECK(read(in, at, 3) == -1);
        CHECK(open(at, O_RDONLY) == -1 && unlink(at) == -1 && link(at, at) == -1 && mkdir(at) == -1);
        CHECK(exec(at, at) == -1 && exec("faults.file", at) == -1);
        CHECK(pipe(at) == -1);
        CHECK(fstat(in, at) == -1);
        close(in);
    }
    unlink("faults.file");
}

static void break_goes_up_and_down(void)
{
    char *a = sbrk(0), *b = sbrk(1), *c;

    CHECK(b == a && sbrk(0) == a + 1);
    *b = 1;
    CHECK(sbrk(-1) == a + 1 && sbrk(0) == a);
    CHECK(dies(store, a));
    c = sbrk(100 * PAGE);
    CHECK(c == a);
    for (uint64 i = 0; i < 100 * PAGE; i += PAGE) {
        CHECK(c[i] == 0);
        c[i] = 1;
    }
    CHECK(sbrk(-50 * (int)PAGE) == a + 100 * PAGE);
    CHECK(dies(load, a + 50 * PAGE));
    CHECK(sbrk(50 * PAGE) == a + 50 * PAGE);
    for (uint64 i = 0; i < 50 * PAGE; i += PAGE)
        CHECK(c[i] == 1 && c[50 * PAGE + i] == 0);
    CHECK(sbrk(0x7fffffff) == SBRK_ERROR && sbrk(0) == a + 100 * PAGE);
    CHECK(sbrk(-0x7fffffff - 1) == a + 100 * PAGE); /* less than nothing: nothing happens */
    CHECK(sbrk(0) == a + 100 * PAGE);
}

/* All of a program's memory can be given back; it is the program's problem. */
static void give_back(volatile char *unused)
{
    (void)unused;
    sbrk(-(int)(uint64)sbrk(0));
}

static void giving_back_everything_is_the_end(void)
{
    CHECK(dies(give_back, 0));
}

static void lazy_memory(void)
{
    char *p = sys_sbrk(512 << 20, SBRK_LAZY), *end = p + (512ul << 20);
    int fds[2], pid;

    CHECK(p != SBRK_ERROR && sbrk(0) == end);
    for (char *at = p; at < end; at += 1 << 20)
        CHECK(*at == 0);
    for (char *at = p + 8; at < end; at += 4 << 20)
        *at = 7;
    CHECK(pipe(fds) == 0);
    CHECK(write(fds[1], p + (300ul << 20), 4) == 4); /* untouched: zeros */
    p[1] = 'x';
    CHECK(read(fds[0], end - 8, 4) == 4 && *(int *)(end - 8) == 0);
    CHECK(write(fds[1], "data", 4) == 4 && read(fds[0], p + (400ul << 20) - 2, 4) == 4); /* into two pages at once */
    CHECK(p[(400ul << 20) - 2] == 'd' && p[(400ul << 20) + 1] == 'a');
    pid = fork();
    if (pid == 0) {
        CHECK(p[8] == 7 && p[1 << 20] == 0);
        p[1 << 20] = 9;
        exit(0);
    }
    CHECK(pid > 0 && status_of_child() == 0 && p[1 << 20] == 0);
    CHECK(sbrk(-(512 << 20)) == end);
    CHECK(dies(load, p));
}

int main(void)
{
    static const struct test tests[] = {
        {"text is read only", text_is_read_only},
        {"a guard page below the stack", guard_below_the_stack},
        {"nothing above the break", nothing_above_the_break},
        {"bad addresses in system calls", bad_addresses_in_calls},
        {"the break goes up and down", break_goes_up_and_down},
        {"giving back everything is the end", giving_back_everything_is_the_end},
        {"lazy memory", lazy_memory},
    };

    return run_tests(tests, sizeof tests / sizeof tests[0]);
}
