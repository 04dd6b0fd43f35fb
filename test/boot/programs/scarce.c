/*
 * read(2) while memory runs out (B4): a parent fills more than half of RAM, and children that share it let the kernel
 * store into all of it. Each is killed, or told EFAULT; the parent's bytes, and those of a brother, stay as they were.
 *
 * scarce ROUNDS
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul

static unsigned char *memory;
static unsigned long size;

static int is_whole(void)
{
    for (unsigned long at = 0; at < size; at += 256)
        if (memory[at] != (unsigned char)(at / PAGE * 7 + 1))
            return 0;
    return 1;
}

/* A brother that looks at the end; what is written to `go` starts it. */
static pid_t brother(int go)
{
    pid_t pid = fork();
    char c;

    if (pid == 0)
        _exit(read(go, &c, 1) != 1 || !is_whole());
    return pid;
}

static const char *one_round(int zero)
{
    int go[2], status;
    pid_t watcher, eater;

    if (pipe(go))
        return "pipe";
    watcher = brother(go[0]);
    eater = fork();
    if (eater == 0) {
        ssize_t n = read(zero, memory, size);
        _exit(n == (ssize_t)size ? 9 : n == -1 && errno == EFAULT ? 3 : 4); /* in part: 4 */
    }
    if (watcher < 0 || eater < 0 || waitpid(eater, &status, 0) != eater)
        return "fork";
    if (!(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) && !(WIFEXITED(status) && (WEXITSTATUS(status) == 3 || WEXITSTATUS(status) == 4)))
        return "who read into all of it found memory for it";
    if (!is_whole())
        return "the parent lost bytes";
    if (write(go[1], "x", 1) != 1 || waitpid(watcher, &status, 0) != watcher || status)
        return "the brother lost bytes, or its life";
    close(go[0]), close(go[1]);
    return NULL;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 1, zero = open("/dev/zero", O_RDONLY);
    struct sysinfo info;

    sysinfo(&info);
    size = info.totalram * info.mem_unit / 10 * 6 / PAGE * PAGE;
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 1;
    for (unsigned long at = 0; at < size; at += PAGE)
        memset(memory + at, (int)(at / PAGE * 7 + 1), PAGE);
    for (int r = 0; r < rounds; r++) {
        const char *wrong = one_round(zero);
        if (wrong) {
            printf("scarce: round %d: %s\n", r, wrong);
            return 1;
        }
    }
    printf("%d rounds, all bytes whole\n", rounds);
    return 0;
}
