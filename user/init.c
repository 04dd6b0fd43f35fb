/*
 * Process 1. Runs a shell on the console, or the program that the host command
 * asked for; reaps orphans; turns the machine off.
 *
 * /run/cowslip/cmd: a program and its arguments, each ended by NUL; none: a shell.
 * /run/cowslip/stdio: three letters for descriptors 0 to 2: t the console, p the
 * host's pipe. /run/cowslip/env: NAME=VALUE, each ended by NUL.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char *default_shell[] = {"-sh", NULL};

/* The whole file and a NUL behind it, or NULL. */
static char *slurp(const char *path, size_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t room = 4096, n = 0;
    char *buf = fd >= 0 ? malloc(room) : NULL;
    ssize_t got;

    if (!buf)
        return NULL;
    while ((got = read(fd, buf + n, room - n - 1)) > 0) {
        n += (size_t)got;
        if (n + 1 == room && !(buf = realloc(buf, room *= 2)))
            return NULL;
    }
    close(fd);
    buf[n] = 0;
    *size = n;
    return buf;
}

/* Splits text into its NUL-ended parts. */
static char **split(char *text, size_t size)
{
    size_t count = 0;
    char **parts;

    for (size_t i = 0; i < size; i++)
        count += text[i] == 0;
    parts = calloc(count + 2, sizeof *parts); /* the last one may lack its NUL */
    count = 0;
    for (char *p = text; parts && p < text + size; p += strlen(p) + 1)
        parts[count++] = p;
    return parts;
}

static void set_environment(void)
{
    size_t size;
    char *text = slurp("/run/cowslip/env", &size), **names;

    clearenv();
    setenv("HOME", "/root", 1);
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    setenv("TERM", "linux", 1);
    setenv("USER", "root", 1);
    setenv("SHELL", "/bin/sh", 1);
    names = text ? split(text, size) : NULL;
    for (; names && *names; names++)
        putenv(*names);
}

static void set_hostname(void)
{
    size_t size;
    char *name = slurp("/etc/hostname", &size);

    if (!name)
        return;
    name[strcspn(name, "\n")] = 0;
    if (sethostname(name, strlen(name)))
        perror("init: sethostname");
    free(name);
}

/* ---- the end ---- */

static void leave(int status)
{
    char command[16];

    snprintf(command, sizeof command, "exit=%d", status & 255);
    sync();
    syscall(SYS_reboot, 0xfee1dead, 672274793, 0xa1b2c3d4, command);
    _exit(status);
}

/* BusyBox's poweroff, halt and reboot send these. */
static void on_signal(int signo)
{
    if (signo == SIGTERM)
        reboot(RB_AUTOBOOT);
    leave(0);
}

/* ---- the program ---- */

static void open_as(int fd, char kind)
{
    static const char *const pipes[] = {"/dev/hostin", "/dev/hostout", "/dev/hosterr"};
    int from = kind == 'p' ? open(pipes[fd], fd == 0 ? O_RDONLY : O_WRONLY) : open("/dev/console", O_RDWR);

    if (from < 0 || (from != fd && dup2(from, fd) < 0))
        _exit(125);
    if (from > 2)
        close(from);
}

/* A session of its own; the console is its terminal if it uses it at all. */
static void take_terminal(const char *stdio)
{
    int fd;

    setsid();
    for (int i = 0; i < 3; i++)
        open_as(i, stdio[i]);
    if (strchr(stdio, 't') && (fd = open("/dev/console", O_RDWR | O_CLOEXEC)) >= 0) {
        ioctl(fd, TIOCSCTTY, 0);
        close(fd);
    }
}

static void run(char **argv, const char *stdio)
{
    static const int signals[] = {SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCHLD};
    const char *program = argv == default_shell ? "/bin/sh" : argv[0];

    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        signal(signals[i], SIG_DFL);
    take_terminal(stdio);
    if (chdir("/root") && chdir("/"))
        _exit(125);
    execvp(program, argv);
    fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
}

/* Reaps everybody until the child has ended: its status as a shell would say it. */
static int wait_for(pid_t child)
{
    int status;
    pid_t pid;

    for (;;) {
        pid = wait(&status);
        if (pid == child)
            return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        if (pid < 0 && errno == ECHILD)
            return 70;
    }
}

int main(void)
{
    char *argv_text, *stdio, **argv = default_shell;
    size_t size, stdio_size;
    pid_t child;
    int status;

    signal(SIGUSR1, on_signal);
    signal(SIGUSR2, on_signal);
    signal(SIGTERM, on_signal);
    set_environment();
    set_hostname();
    argv_text = slurp("/run/cowslip/cmd", &size);
    stdio = slurp("/run/cowslip/stdio", &stdio_size);
    if (!stdio || stdio_size < 3)
        stdio = "ttt";
    if (argv_text && size > 0)
        argv = split(argv_text, size);
    syscall(SYS_reboot, 0xfee1dead, 672274793, 0xa1b2c3d4, "ready");
    child = fork();
    if (child == 0)
        run(argv, stdio);
    if (child < 0)
        perror("init: fork");
    status = child < 0 ? 70 : wait_for(child);
    leave(argv == default_shell && stdio[0] == 't' ? 0 : status);
}
