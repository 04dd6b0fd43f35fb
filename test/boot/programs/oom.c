/*
 * A parent that holds a third of RAM, and 24 children of it, which rewrite it
 * all, one after the other, until memory is gone. Who finds no page dies, alone:
 * the others and the parent keep every byte. Or, in strict mode: who was forked
 * can write all that it has, and fork says ENOMEM before that is not so.
 *
 * oom ROUNDS [strict]
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN 24
#define PAGE 4096ul

static unsigned char *memory;
static unsigned long size;
static struct child {
    pid_t pid;
    int ask, answer;
} children[CHILDREN];

static void __attribute__((noreturn)) fail(const char *what)
{
    printf("oom: %s: %s\n", what, strerror(errno));
    exit(1);
}

static unsigned long word(unsigned long page, unsigned long who)
{
    return (page * 2654435761ul) ^ (who << 40);
}

static void fill(unsigned long who)
{
    for (unsigned long p = 0; p < size / PAGE; p++)
        for (unsigned long at = 0; at < PAGE; at += 512)
            *(unsigned long *)(memory + p * PAGE + at) = word(p, who) + at;
}

static int is_whole(unsigned long who)
{
    for (unsigned long p = 0; p < size / PAGE; p++)
        for (unsigned long at = 0; at < PAGE; at += 512)
            if (*(unsigned long *)(memory + p * PAGE + at) != word(p, who) + at)
                return 0;
    return 1;
}

/* Asked 'w' it rewrites all, asked 'c' it looks at what it has; it answers 'y' or 'n'. */
static void __attribute__((noreturn)) child_main(int ask, int answer, unsigned long who)
{
    unsigned long mine = 0;
    char c;

    while (read(ask, &c, 1) == 1) {
        if (c == 'w')
            fill(mine = who);
        c = is_whole(mine) ? 'y' : 'n';
        if (write(answer, &c, 1) != 1)
            break;
    }
    _exit(0);
}

static int child_start(struct child *c, unsigned long who)
{
    int to[2], from[2];

    if (pipe(to) || pipe(from))
        fail("pipe");
    c->pid = fork();
    if (c->pid == 0) {
        close(to[1]), close(from[0]);
        for (struct child *other = children; other < c; other++) /* else they would not see the parent close them */
            close(other->ask), close(other->answer);
        child_main(to[0], from[1], who);
    }
    close(to[0]), close(from[1]);
    c->ask = to[1], c->answer = from[0];
    if (c->pid < 0)
        close(c->ask), close(c->answer);
    return c->pid > 0;
}

/* 'y', 'n', or 0: it has died. */
static char child_ask(struct child *c, char question)
{
    char answer;

    if (write(c->ask, &question, 1) != 1)
        return 0;
    return read(c->answer, &answer, 1) == 1 ? answer : 0;
}

static int child_end(struct child *c)
{
    int status;

    close(c->ask), close(c->answer);
    if (waitpid(c->pid, &status, 0) != c->pid)
        fail("waitpid");
    return status;
}

static void expect_whole(int count, int dead)
{
    for (int k = 0; k < count; k++)
        if (k != dead && child_ask(&children[k], 'c') != 'y')
            errno = 0, fail("a child that had nothing to do with it lost bytes, or its life");
    if (!is_whole(0))
        errno = 0, fail("the parent lost bytes");
}

static int one_round(int strict)
{
    int count = 0, dead = -1, written = 0, status;

    while (count < CHILDREN && child_start(&children[count], (unsigned long)count + 1))
        count++;
    if (!strict && count < CHILDREN)
        fail("fork");
    if (strict && (count == CHILDREN || errno != ENOMEM))
        fail("strict mode lets anybody fork");
    for (; written < count && dead < 0; written++)
        if (child_ask(&children[written], 'w') != 'y')
            dead = written;
    expect_whole(count, dead);
    for (int k = 0; k < count; k++) {
        status = child_end(&children[k]);
        if (k == dead ? !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL : status != 0)
            errno = 0, fail("a child did not end as it should");
    }
    if (strict ? dead >= 0 : dead < 0)
        errno = 0, fail(strict ? "somebody was killed" : "nobody was killed");
    return strict ? count : dead;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 1, strict = argc > 2;
    struct sysinfo info;

    signal(SIGPIPE, SIG_IGN);
    sysinfo(&info);
    size = info.totalram * info.mem_unit / (strict ? 6 : 3) / PAGE * PAGE;
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        fail("mmap");
    fill(0);
    for (int r = 0; r < rounds; r++) {
        int n = one_round(strict);
        if (r == 0)
            printf(strict ? "%lu MiB: %d children could be forked, and write\n" : "%lu MiB: child %d found no page\n",
                   size >> 20, n);
    }
    printf("%d rounds, all bytes whole\n", rounds);
    return 0;
}
