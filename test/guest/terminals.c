/* Pseudoterminals: a terminal whose other end is a program. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include "tap.h"

static volatile sig_atomic_t got;

static void note(int signo)
{
    got |= 1 << signo;
}

/* Emulators of other machines' programs do not know all of a terminal's calls. */
static int supported(int result)
{
    return result >= 0 || errno == ENOTTY || errno == ENOSYS;
}

static int reads(int fd, const char *want)
{
    char buf[256] = {0};
    size_t n = 0, len = strlen(want);

    while (n < len) {
        ssize_t part = read(fd, buf + n, len - n);

        if (part <= 0)
            return 0;
        n += (size_t)part;
    }
    return memcmp(buf, want, len) == 0;
}

static int master(char *name, size_t size)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY);

    if (fd >= 0 && (grantpt(fd) || unlockpt(fd) || ptsname_r(fd, name, size)))
        return -1;
    return fd;
}

static void names(void)
{
    char name[64], other[64];
    int m, second, s, locked = 1;
    struct stat st;

    m = posix_openpt(O_RDWR | O_NOCTTY);
    ok(m >= 0 && ptsname_r(m, name, sizeof name) == 0, "a master is opened and its terminal has a name");
    ok(supported(ioctl(m, TIOCGPTLCK, &locked)) && locked, "which is locked");
    ok(open(name, O_RDWR | O_NOCTTY) == -1 && errno == EIO, "and so cannot be opened");
    ok(grantpt(m) == 0 && unlockpt(m) == 0, "granted and unlocked");
    ok(stat(name, &st) == 0 && S_ISCHR(st.st_mode) && major(st.st_rdev) == 136 && st.st_uid == getuid(), "its node");
    s = open(name, O_RDWR | O_NOCTTY);
    ok(s >= 0 && isatty(s) && ttyname_r(s, other, sizeof other) == 0 && strcmp(name, other) == 0, "it is a terminal: %s", name);
    second = master(other, sizeof other);
    ok(second >= 0 && strcmp(name, other) != 0, "another has another name");
    close(second);
    ok(access(other, F_OK) == -1 && errno == ENOENT, "which goes with it");
    close(s);
    s = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY);
    ok(s >= 0 && isatty(s), "the terminal without its name");
    close(s);
    close(m);
}

static void bytes(void)
{
    char name[64], buf[8192];
    int m = master(name, sizeof name), s = open(name, O_RDWR | O_NOCTTY), n = 0;
    struct winsize w = {.ws_row = 33, .ws_col = 99}, seen;
    struct pollfd p[2] = {{.fd = m, .events = POLLIN | POLLOUT}, {.fd = s, .events = POLLIN | POLLOUT}};
    struct termios t;

    ok(write(s, "a\n", 2) == 2 && reads(m, "a\r\n"), "what the terminal shows has its newlines made");
    ok(poll(p, 2, 0) == 2 && p[0].revents == POLLOUT && p[1].revents == POLLOUT, "nothing to read at either end");
    ok(write(m, "typed\n", 6) == 6 && reads(m, "typed\r\n") && reads(s, "typed\n"), "typing is echoed, and a line is read");
    ok(write(m, "wrong\025right\n", 12) == 12 && reads(s, "right\n"), "a line is edited before it is read");
    tcflush(m, TCIOFLUSH);
    while (poll(p, 1, 0) == 1 && (p[0].revents & POLLIN) && read(m, buf, sizeof buf) > 0)
        ;
    ok(write(m, "ab\004", 3) == 3 && reads(s, "ab") && write(m, "\004", 1) == 1 && read(s, buf, 4) == 0, "an end of file");
    ok(tcgetattr(s, &t) == 0 && (t.c_lflag & ICANON), "settings");
    cfmakeraw(&t);
    ok(tcsetattr(m, TCSAFLUSH, &t) == 0 && tcgetattr(s, &t) == 0 && !(t.c_lflag & (ICANON | ECHO)), "set from the other end");
    while (poll(p, 1, 0) == 1 && (p[0].revents & POLLIN) && read(m, buf, sizeof buf) > 0)
        ;
    ok(write(m, "\003x", 2) == 2 && reads(s, "\003x"), "raw");
    ok(ioctl(m, FIONREAD, &n) == 0 && n == 0 && write(s, "12345", 5) == 5 && poll(p, 1, 1000) == 1 && ioctl(m, FIONREAD, &n) == 0 && n == 5,
       "how much there is to read");
    ok(reads(m, "12345"), "and it is");
    ok(ioctl(m, TIOCSWINSZ, &w) == 0 && ioctl(s, TIOCGWINSZ, &seen) == 0 && seen.ws_row == 33 && seen.ws_col == 99, "the window");
    fcntl(s, F_SETFL, O_RDWR | O_NONBLOCK);
    memset(buf, 'x', sizeof buf);
    for (n = 0; n < 1000 && write(s, buf, sizeof buf) > 0; n++)
        ;
    ok(n > 0 && n < 1000 && errno == EAGAIN, "a terminal that nobody reads is full at last");
    close(s);
    p[0].revents = 0;
    ok(poll(p, 1, 0) == 1 && (p[0].revents & (POLLIN | POLLHUP)) == (POLLIN | POLLHUP), "nobody has it open: hung up, with bytes left");
    while (read(m, buf, sizeof buf) > 0)
        ;
    ok(errno == EIO, "after them reads fail");
    s = open(name, O_RDWR | O_NOCTTY);
    ok(write(s, "y", 1) == 1 && reads(m, "y"), "it can be opened again");
    close(m);
    ok(read(s, buf, 1) == 0, "without its master a terminal is at its end");
    ok(write(s, "z", 1) == -1 && errno == EIO, "writing fails");
    ok(tcgetattr(s, &t) == -1 && errno == EIO, "settings, too");
    p[1].revents = 0;
    ok(poll(&p[1], 1, 0) == 1 && (p[1].revents & POLLHUP), "poll says so");
    close(s);
}

/* A descriptor of a terminal that is gone does not lead to the one that has its number now. */
static void of_one_before(void)
{
    char name[64], other[64], path[64];
    int m = master(name, sizeof name), s = open(name, O_RDWR | O_NOCTTY), second, again;

    close(m);
    second = master(other, sizeof other);
    snprintf(path, sizeof path, "/proc/self/fd/%d", s);
    again = open(path, O_RDWR | O_NOCTTY);
    ok(again == -1, "a terminal that is gone cannot be opened again");
    close(s);
    close(second);
}

/* Until a signal has come that is blocked but for here: it cannot come between the look and the sleep. */
static void await(int signo)
{
    sigset_t none;

    sigemptyset(&none);
    while (!(got & 1 << signo))
        sigsuspend(&none);
}

/* In a session of its own: the controlling terminal. Exit status: the number of the first step that failed. */
static int session(const char *name)
{
    char buf[16];
    int s, tty, sid;
    sigset_t awaited;

    sigemptyset(&awaited);
    sigaddset(&awaited, SIGINT);
    sigaddset(&awaited, SIGWINCH);
    sigaddset(&awaited, SIGHUP);
    sigprocmask(SIG_BLOCK, &awaited, NULL);
    signal(SIGINT, note);
    signal(SIGWINCH, note);
    signal(SIGHUP, note);
    if (setsid() < 0)
        return 1;
    s = open(name, O_RDWR);
    if (s < 0 || tcgetpgrp(s) != getpid() || !supported(sid = tcgetsid(s)) || (sid > 0 && sid != getpid()))
        return 2;
    tty = open("/dev/tty", O_RDWR);
    if (tty < 0 || write(tty, "ready", 5) != 5)
        return 3;
    await(SIGINT);
    if (write(s, "int", 3) != 3)
        return 4;
    await(SIGWINCH);
    if (write(s, "win", 3) != 3)
        return 5;
    await(SIGHUP);
    if (read(s, buf, 1) != 0 || open("/dev/tty", O_RDWR) != -1 || errno != ENXIO)
        return 6;
    return 0;
}

static void control(void)
{
    char name[64];
    int m = master(name, sizeof name), status;
    struct winsize w = {.ws_row = 10, .ws_col = 20};
    pid_t pid = fork(), group = 0;

    if (pid == 0) {
        close(m);
        alarm(20);
        _exit(session(name));
    }
    ok(reads(m, "ready"), "a session leader has the terminal that it opens");
    ok(ioctl(m, TIOCGPGRP, &group) == 0 && group == pid, "its group is in the foreground");
    ok(write(m, "\003", 1) == 1 && reads(m, "^Cint"), "^C interrupts it");
    ok(ioctl(m, TIOCSWINSZ, &w) == 0 && reads(m, "win"), "it hears of another size of the window");
    close(m);
    ok(waitpid(pid, &status, 0) == pid && status == 0, "it is hung up when the master goes (%#x)", status);
}

int main(void)
{
    alarm(60);
    names();
    bytes();
    of_one_before();
    control();
    return done();
}
