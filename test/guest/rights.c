/*
 * Whose rights a program begins with: set-id bits, and what the auxiliary vector says of
 * them (getauxval(3)). An emulator of programs does not honour these bits.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tap.h"

#define USER 12345
#define GROUP 12346
#define NOBODY 12348
#define PLAIN "/tmp/rights.plain"
#define SET_ID "/tmp/rights.set-id"

/* Real, effective, real and effective group, secure: as five decimal numbers. The number of the first that is not so; 0. */
static int check(char **want)
{
    const unsigned long told[] = {getauxval(AT_UID), getauxval(AT_EUID), getauxval(AT_GID), getauxval(AT_EGID), getauxval(AT_SECURE)};
    const unsigned long true_ids[] = {getuid(), geteuid(), getgid(), getegid()};

    for (int i = 0; i < 5; i++)
        if (!want[i] || strtoul(want[i], NULL, 10) != told[i])
            return i + 1;
    for (int i = 0; i < 4; i++)
        if (true_ids[i] != told[i])
            return 10 + i;
    return 0;
}

/* The program, as nobody, by way of `first` if it is given: what check says. */
static int began(const char *program, const char *first, const char *want, int no_new_rights)
{
    char numbers[100], *words[9] = {"rights", "check"}, *p = numbers;
    pid_t pid = fork();
    int status, n = 2;

    if (pid == 0) {
        if (setgid(NOBODY) || setuid(NOBODY) || (no_new_rights && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)))
            _exit(100);
        if (first)
            words[1] = (char *)first;
        strcpy(numbers, want);
        while (n < 8 && (words[n] = strsep(&p, " ")))
            n++;
        execv(program, words);
        _exit(101);
    }
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

/* This program again under another name. */
static int copied(const char *to, mode_t mode)
{
    char buf[4096];
    ssize_t n;
    int in = open("/proc/self/exe", O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600), good = in >= 0 && out >= 0;

    while (good && (n = read(in, buf, sizeof buf)) > 0)
        good = write(out, buf, (size_t)n) == n;
    good = good && fchown(out, USER, GROUP) == 0 && fchmod(out, mode) == 0;
    close(in);
    close(out);
    return good;
}

static int again(char **words, int drop)
{
    if (drop && (setresgid(getegid(), getegid(), getegid()) || setresuid(geteuid(), geteuid(), geteuid())))
        return 102;
    words[1] = "check";
    execv(PLAIN, words);
    return 103;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "check") == 0)
        return check(argv + 2);
    if (argc > 1 && (strcmp(argv[1], "then") == 0 || strcmp(argv[1], "drop") == 0))
        return again(argv, strcmp(argv[1], "drop") == 0);
    if (geteuid() != 0) {
        ok(1, "nothing: only root can make such files");
        return done();
    }
    ok(copied(PLAIN, 0755) && copied(SET_ID, 06755), "two copies, one with set-id bits");
    ok(began(PLAIN, NULL, "12348 12348 12348 12348 0", 0) == 0, "a program has its starter's rights");
    ok(began(SET_ID, NULL, "12348 12345 12348 12346 1", 0) == 0, "with set-id bits its owner's, and is told so");
    ok(began(SET_ID, "then", "12348 12345 12348 12346 1", 0) == 0, "what it starts has them, too, and is told so");
    ok(began(SET_ID, "drop", "12345 12345 12346 12346 0", 0) == 0, "unless they are its real ones by then");
    ok(began(SET_ID, NULL, "12348 12348 12348 12348 0", 1) == 0, "none are given to who has given them up");
    unlink(PLAIN);
    unlink(SET_ID);
    return done();
}
