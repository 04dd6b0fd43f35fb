/*
 * One operation over and over, for `cowslip profile` to look at: loop OPERATION [MIB].
 * The process has touched MIB MiB (16); "@ ready" tells that all is warm.
 */
#include "bench.h"
#include <fcntl.h>
#include <spawn.h>

static volatile char *memory;
static long mib = 16;
static char buffer[65536];

static void fork_exit(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
}

static void fork_exec(void)
{
    const char *path = own_path();
    pid_t pid = fork();

    if (pid == 0) {
        execl(path, path, "-", (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

static void vfork_exec(void)
{
    const char *path = own_path();
    pid_t pid = vfork();

    if (pid == 0) {
        execl(path, path, "-", (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

static void spawn_exec(void)
{
    char *argv[] = {(char *)own_path(), "-", NULL};
    pid_t pid;

    if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ))
        give_up("posix_spawn");
    waitpid(pid, NULL, 0);
}

/* A store to each page while a child shares them all. */
static void write_walk(void)
{
    int end;
    pid_t pid = sleeper(&end);

    for (long i = 0; i < mib * 256; i++)
        memory[i * PAGE] = 2;
    close(end);
    waitpid(pid, NULL, 0);
}

/* One store to memory that a child shares. */
static void write_first(void)
{
    int end;
    pid_t pid = sleeper(&end);

    memory[mib * 128 * PAGE] = 2;
    close(end);
    waitpid(pid, NULL, 0);
}

static void protect(void)
{
    static int on;

    on = !on;
    mprotect((void *)(memory + PAGE), PAGE, on ? PROT_READ : PROT_READ | PROT_WRITE);
}

static void map_unmap(void)
{
    volatile char *p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    p[0] = 1;
    munmap((void *)p, 16 * PAGE);
}

static void grow_break(void)
{
    volatile char *p = sbrk(16 * PAGE);

    p[0] = 1;
    sbrk(-16 * PAGE);
}

static void pipe_round_trip(void)
{
    static int to[2], from[2], started;
    char c = 0;

    if (!started++) {
        if (pipe(to) || pipe(from))
            give_up("pipe");
        if (fork() == 0) {
            close(to[1]);
            while (read(to[0], &c, 1) == 1 && write(from[1], &c, 1) == 1)
                ;
            _exit(0);
        }
    }
    if (write(to[1], &c, 1) != 1 || read(from[0], &c, 1) != 1)
        give_up("pipe");
}

static void on_signal(int signo)
{
    (void)signo;
}

static void signal_oneself(void)
{
    signal(SIGUSR1, on_signal);
    kill(getpid(), SIGUSR1);
}

static void read_file(void)
{
    static int fd = -1;

    if (fd < 0)
        fd = open("/bin/busybox", O_RDONLY);
    if (pread(fd, buffer, sizeof buffer, 0) < 0)
        give_up("pread");
}

static void call(void)
{
    syscall(SYS_getppid);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*what)(void);
    } all[] = {{"fork.exit", fork_exit},   {"fork.exec", fork_exec},     {"vfork.exec", vfork_exec}, {"spawn.exec", spawn_exec},
               {"write.walk", write_walk}, {"write.first", write_first}, {"mprotect", protect},      {"mmap.munmap", map_unmap},
               {"brk", grow_break},        {"pipe.roundtrip", pipe_round_trip}, {"signal", signal_oneself},
               {"read.64k", read_file},    {"call.null", call}};

    if (argc > 1 && strcmp(argv[1], "-") == 0)
        return 0;
    if (argc > 2)
        mib = atol(argv[2]);
    memory = touched(mib);
    for (unsigned i = 0; argc > 1 && i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(argv[1], all[i].name))
            continue;
        for (int n = 0; n < 20; n++)
            all[i].what();
        puts("@ ready 0 0 0");
        fflush(stdout);
        for (;;)
            all[i].what();
    }
    return 2;
}
