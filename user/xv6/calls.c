/*
 * Each system call as xv6's programs use it. argv[0] is how it was started: it runs itself.
 */
#include "xv6.h"

static const char *self;

static void make(const char *name, const char *text)
{
    int fd = open(name, O_CREATE | O_TRUNC | O_WRONLY);

    CHECK(fd >= 0 && write(fd, text, (int)strlen(text)) == (int)strlen(text));
    close(fd);
}

static void statuses(void)
{
    static const int given[] = {0, 1, 7, 255, 256, 1000, -1, -2, 0x7fffffff};

    CHECK(wait(0) == -1);
    for (uint64 i = 0; i < sizeof given / sizeof given[0]; i++) {
        int pid = fork(), status;

        if (pid == 0)
            exit(given[i]);
        CHECK(wait(&status) == pid && status == given[i]);
    }
    for (int i = 0; i < 20; i++) { /* in any order, each once */
        if (fork() == 0)
            exit(0);
    }
    for (int i = 0; i < 20; i++)
        CHECK(wait(0) > 0);
    CHECK(wait(0) == -1);
}

static void killing(void)
{
    int fds[2], pid, status;
    char c;

    CHECK(pipe(fds) == 0);
    for (int how = 0; how < 3; how++) {
        pid = fork();
        if (pid == 0) {
            while (how == 0)
                ;
            if (how == 1)
                sleep(1000);
            read(fds[0], &c, 1);
            exit(0);
        }
        sleep(1);
        CHECK(kill(pid) == 0 && wait(&status) == pid && status == -1);
    }
    CHECK(kill(pid) == -1 && kill(-1) == -1 && kill(0) == -1 && kill(999999) == -1);
}

static void time(void)
{
    int before = uptime();

    CHECK(sleep(3) == 0);
    CHECK(uptime() >= before + 3 && uptime() < before + 300);
    CHECK(sleep(-5) == 0);
}

static void pipes(void)
{
    static char data[5000], got[5000];
    int fds[2], sum = 0, n, pid;

    for (uint64 i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7);
    CHECK(pipe(fds) == 0 && fds[0] == 3 && fds[1] == 4);
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        for (int i = 0; i < 20; i++)
            CHECK(write(fds[1], data, sizeof data) == sizeof data);
        exit(0);
    }
    close(fds[1]);
    while ((n = read(fds[0], got, sizeof got)) > 0) {
        for (int i = 0; i < n; i++)
            CHECK(got[i] == (char)((uint64)(sum + i) % sizeof data * 7));
        sum += n;
    }
    CHECK(n == 0 && sum == 20 * (int)sizeof data && status_of_child() == 0);
    close(fds[0]);
    CHECK(pipe(fds) == 0);
    close(fds[0]);
    CHECK(write(fds[1], "x", 1) == -1); /* and one lives to tell */
    CHECK(fstat(fds[1], (struct stat *)got) == -1);
}

static void files(void)
{
    char buf[64];
    struct stat st, other;
    int fd, twin;

    make("calls.a", "hello world");
    CHECK(open("calls.none", O_RDONLY) == -1 && open("calls.none/x", O_CREATE) == -1);
    fd = open("calls.a", O_RDWR);
    CHECK(fd == 3);
    CHECK(read(fd, buf, 5) == 5 && buf[4] == 'o');
    twin = dup(fd);
    CHECK(twin == 4 && read(twin, buf, 64) == 6 && read(fd, buf, 64) == 0); /* one position for both */
    CHECK(write(fd, "!", 1) == 1);
    CHECK(fstat(fd, &st) == 0 && st.type == T_FILE && st.nlink == 1 && st.size == 12);
    CHECK(link("calls.a", "calls.b") == 0 && link("calls.a", "calls.b") == -1 && link(".", "calls.c") == -1);
    CHECK(fstat(fd, &other) == 0 && other.nlink == 2 && other.ino == st.ino && other.dev == st.dev);
    CHECK(unlink("calls.a") == 0 && unlink("calls.a") == -1 && open("calls.a", O_RDONLY) == -1);
    CHECK(close(fd) == 0 && close(fd) == -1 && close(twin) == 0 && close(-1) == -1 && close(16) == -1);
    fd = open("calls.b", O_RDONLY);
    CHECK(fd == 3 && write(fd, "x", 1) == -1 && read(fd, buf, 64) == 12);
    CHECK(read(fd, buf, -1) == -1 && read(99, buf, 1) == -1);
    close(fd);
    fd = open("calls.b", O_WRONLY | O_TRUNC);
    CHECK(fd == 3 && read(fd, buf, 1) == -1 && fstat(fd, &st) == 0 && st.size == 0);
    close(fd);
    CHECK(unlink("calls.b") == 0);
}

static void sixteen_files(void)
{
    int fds[2];

    for (int i = 3; i < 16; i++)
        CHECK(open(".", O_RDONLY) == i);
    CHECK(open(".", O_RDONLY) == -1 && dup(0) == -1 && pipe(fds) == -1);
    close(15);
    CHECK(pipe(fds) == -1); /* room for one end only: and that end is free again */
    CHECK(dup(0) == 15);
}

static int listed(const char *folder, const char *name)
{
    struct dirent d;
    int fd = open(folder, O_RDONLY), n, found = 0;
    char text[DIRSIZ + 1] = {0};

    CHECK(fd >= 0);
    while ((n = read(fd, &d, sizeof d)) == sizeof d) {
        CHECK(d.inum != 0);
        memcpy(text, d.name, DIRSIZ);
        found += strcmp(text, name) == 0;
    }
    CHECK(n == 0);
    close(fd);
    return found;
}

static void folders(void)
{
    struct stat st, up;
    int fd;

    CHECK(mkdir("calls.d") == 0 && mkdir("calls.d") == -1);
    CHECK(open("calls.d", O_RDWR) == -1 && open("calls.d", O_WRONLY) == -1);
    CHECK(listed("calls.d", ".") == 1 && listed("calls.d", "..") == 1 && listed(".", "calls.d") == 1);
    fd = open("calls.d", O_RDONLY);
    CHECK(fstat(fd, &st) == 0 && st.type == T_DIR && st.size == 2 * sizeof(struct dirent));
    close(fd);
    make("calls.d/one", "1");
    CHECK(listed("calls.d", "one") == 1 && unlink("calls.d") == -1);
    CHECK(chdir("calls.d") == 0 && open("one", O_RDONLY) == 3 && chdir("one") == -1);
    CHECK(mkdir("deep") == 0 && chdir("deep/../deep/.") == 0);
    fd = open("../one", O_RDONLY);
    CHECK(fd == 4 && fstat(fd, &up) == 0 && up.type == T_FILE);
    CHECK(unlink(".") == -1 && unlink("..") == -1 && unlink("../deep/.") == -1);
    CHECK(chdir("../..") == 0 && unlink("calls.d/deep") == 0 && unlink("calls.d/one") == 0 && unlink("calls.d") == 0);
    CHECK(chdir("calls.d") == -1);
    CHECK(chdir("") == 0);
}

/* Of a name 14 characters count, of a path 128. */
static void long_names(void)
{
    static char path[200];
    int fd;

    make("calls.67890123", "fourteen");
    fd = open("calls.67890123456", O_RDONLY);
    CHECK(fd == 3);
    close(fd);
    CHECK(listed(".", "calls.67890123") == 1);
    CHECK(mkdir("calls.67890123xyz") == -1 && unlink("calls.67890123!") == 0);
    for (int i = 0; i < 190; i += 2)
        memcpy(path + i, "./", 2);
    CHECK(open(path, O_RDONLY) == -1);
    path[126] = 0;
    CHECK(open(path, O_RDONLY) == 3);
}

static int run(char **argv)
{
    int pid = fork();

    if (pid == 0) {
        exec(self, argv);
        exit(77);
    }
    return status_of_child();
}

/* 31 arguments, and all of them in a page. */
static void arguments(void)
{
    static char big[1000], *argv[40];

    memset(big, 'a', sizeof big - 1);
    argv[0] = "calls";
    argv[1] = "count";
    for (int i = 2; i < 31; i++)
        argv[i] = "word";
    CHECK(run(argv) == 31);
    argv[31] = "too many";
    CHECK(run(argv) == 77);
    for (int i = 2; i < 32; i++)
        argv[i] = 0;
    argv[2] = argv[3] = argv[4] = big;
    CHECK(run(argv) == 5);
    argv[5] = big;
    CHECK(run(argv) == 77);
}

static void bad_programs(void)
{
    char *argv[] = {"x", 0};

    CHECK(exec("calls.none", argv) == -1 && exec(".", argv) == -1);
    make("calls.x", "\177ELF and then nothing");
    CHECK(exec("calls.x", argv) == -1);
    unlink("calls.x");
}

/* exec closes nothing, and the break begins anew. */
static void exec_keeps_files(void)
{
    char *argv[] = {"calls", "fd3", 0};
    int fds[2];

    CHECK(sbrk(1 << 20) != SBRK_ERROR && pipe(fds) == 0 && write(fds[1], "kept", 4) == 4);
    CHECK(run(argv) == 4);
}

static void console(void)
{
    struct stat st;
    int fd;

    CHECK(mknod("calls.tty", 1, 0) == 0 && mknod("calls.tty", 1, 0) == -1);
    fd = open("calls.tty", O_RDWR);
    CHECK(fd == 3 && fstat(fd, &st) == 0 && st.type == T_DEVICE);
    CHECK(unlink("calls.tty") == 0);
}

static long call(long number)
{
    register long a7 __asm__("a7") = number;
    register long a0 __asm__("a0") = 0;

    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7) : "memory", "a1", "a2");
    return a0;
}

static void numbers_that_there_are_not(void)
{
    static const long numbers[] = {0, 22, 23, 64, 93, 172, 220, 1 << 20, -1};

    for (uint64 i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        CHECK(call(numbers[i]) == -1);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"exit and wait", statuses},
        {"kill", killing},
        {"sleep and uptime", time},
        {"pipes", pipes},
        {"files", files},
        {"sixteen files", sixteen_files},
        {"folders", folders},
        {"long names", long_names},
        {"arguments", arguments},
        {"bad programs", bad_programs},
        {"exec keeps files", exec_keeps_files},
        {"console", console},
        {"numbers that there are not", numbers_that_there_are_not},
    };
    char buf[8];

    self = argv[0];
    if (argc > 1 && strcmp(argv[1], "count") == 0)
        return argc;
    if (argc > 1 && strcmp(argv[1], "fd3") == 0)
        return read(3, buf, sizeof buf);
    return run_tests(tests, sizeof tests / sizeof tests[0]);
}
