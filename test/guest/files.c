/* Files, directories, links, pipes, descriptors. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tap.h"

static char dir[] = "/tmp/files-XXXXXX";

static void regular(void)
{
    char buf[16] = "";
    struct stat s;
    int fd = open("f", O_RDWR | O_CREAT | O_EXCL, 0640);

    ok(fd >= 0 && write(fd, "hello", 5) == 5 && lseek(fd, 0, SEEK_SET) == 0 && read(fd, buf, 16) == 5, "write, seek, read");
    ok(open("f", O_CREAT | O_EXCL | O_RDWR, 0600) == -1 && errno == EEXIST, "O_EXCL");
    ok(lseek(fd, 1 << 20, SEEK_SET) == 1 << 20 && write(fd, "end", 3) == 3 && fstat(fd, &s) == 0 &&
           s.st_size == (1 << 20) + 3 && s.st_blocks < 100,
       "a sparse file");
    ok(pread(fd, buf, 4, 5000) == 4 && memcmp(buf, "\0\0\0\0", 4) == 0, "holes are zero");
    ok(ftruncate(fd, 3) == 0 && pread(fd, buf, 16, 0) == 3 && memcmp(buf, "hel", 3) == 0, "ftruncate");
    ok(ftruncate(fd, 5) == 0 && pread(fd, buf, 16, 0) == 5 && memcmp(buf, "hel\0\0", 5) == 0, "and no old bytes come back");
    close(fd);
    fd = open("f", O_WRONLY | O_APPEND);
    ok(write(fd, "!", 1) == 1 && fstat(fd, &s) == 0 && s.st_size == 6, "O_APPEND");
    ok(write(fd, "x", 0) == 0 && read(fd, buf, 1) == -1 && errno == EBADF, "not open for reading");
    close(fd);
}

/* Two processes lock the same two directories, in either order if the kernel has none. */
static int rename_against_rmdir(void)
{
    int status;
    pid_t child = fork();

    if (child == 0)
        for (int i = 0; i < 1000; i++)
            mkdir("r", 0755), rmdir("r");
    for (int i = 0; child > 0 && i < 1000; i++)
        rename("s", "r/s"), rename("r/s", "s");
    if (child == 0)
        _exit(0);
    return waitpid(child, &status, 0) == child && status == 0 && (rmdir("r") == 0 || errno == ENOENT);
}

static void names(void)
{
    struct stat a, b;
    char target[32] = "";

    ok(mkdir("d", 0755) == 0 && mkdir("d", 0755) == -1 && errno == EEXIST, "mkdir");
    ok(link("f", "d/g") == 0 && stat("f", &a) == 0 && stat("d/g", &b) == 0 && a.st_ino == b.st_ino && b.st_nlink == 2, "link");
    ok(symlink("d/g", "s") == 0 && readlink("s", target, 32) == 3 && stat("s", &b) == 0 && b.st_ino == a.st_ino, "symlink");
    ok(symlink("loop", "loop") == 0 && open("loop", O_RDONLY) == -1 && errno == ELOOP, "a loop");
    ok(rename("d/g", "d/h") == 0 && stat("d/g", &b) == -1 && errno == ENOENT, "rename");
    ok(rename("d", "d/inside") == -1 && errno == EINVAL, "not into itself");
    ok(mkdir("d/e", 0755) == 0 && mkdir("d/e/f", 0755) == 0 && rename("d/e", "d") == -1 && errno == ENOTEMPTY &&
       rename("d/e/f", "d") == -1 && errno == ENOTEMPTY && rename("d/h", "d") == -1 && errno == ENOTEMPTY,
       "nor onto a directory that it is in");
    ok(rename_against_rmdir(), "between a directory and one in it, while that is removed");
    rmdir("d/e/f"), rmdir("d/e");
    ok(rmdir("d") == -1 && errno == ENOTEMPTY, "not empty");
    ok(unlink("d") == -1 && errno == EISDIR, "unlink of a directory");
    ok(unlink("d/h") == 0 && rmdir("d") == 0 && stat("f", &b) == 0 && b.st_nlink == 1, "rmdir");
    ok(open("f/x", O_RDONLY) == -1 && errno == ENOTDIR, "through a file");
    ok(unlink("s") == 0 && unlink("loop") == 0, "unlink");
}

static void listing(void)
{
    int seen = 0, other = 0;
    struct dirent *e;
    char name[16];
    DIR *d;

    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "n%d", i);
        close(open(name, O_CREAT | O_WRONLY, 0600));
    }
    d = opendir(".");
    while (d && (e = readdir(d)))
        *(e->d_name[0] == 'n' ? &seen : &other) += 1;
    closedir(d);
    ok(seen == 200 && other == 3, "200 names and ., .., f");
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "n%d", i);
        unlink(name);
    }
}

static void descriptors(void)
{
    int fd = open("f", O_RDONLY), copy, status;

    ok(fcntl(fd, F_DUPFD, 100) == 100 && close(100) == 0, "F_DUPFD");
    copy = dup(fd);
    ok(lseek(fd, 2, SEEK_SET) == 2 && lseek(copy, 0, SEEK_CUR) == 2, "dup shares the position");
    ok(dup2(fd, 200) == 200 && fcntl(200, F_GETFD) == 0, "dup2");
    if (fork() == 0) {
        close(fd);
        close(copy);
        _exit(fcntl(200, F_GETFD) == 0 && open("f", O_RDONLY) == fd ? 0 : 1);
    }
    wait(&status);
    ok(status == 0 && fcntl(fd, F_GETFD) == 0, "a child closes its own");
    ok(close(fd) == 0 && close(fd) == -1 && errno == EBADF, "close twice");
    close(copy);
    close(200);
}

static void pipes(void)
{
    static char big[100000], name[32];
    struct pollfd p;
    int fd[2], status;
    long sum = 0;
    ssize_t n;

    ok(pipe(fd) == 0, "pipe");
    p = (struct pollfd){.fd = fd[0], .events = POLLIN};
    ok(poll(&p, 1, 10) == 0, "poll times out");
    if (fork() == 0) {
        close(fd[0]);
        _exit(write(fd[1], big, sizeof big) != sizeof big);
    }
    close(fd[1]);
    while ((n = read(fd[0], big, 7777)) > 0)
        sum += n;
    wait(&status);
    ok(n == 0 && sum == (long)sizeof big && status == 0, "100,000 bytes through it, then its end");
    ok(poll(&p, 1, 0) == 1 && (p.revents & POLLHUP), "POLLHUP");
    close(fd[0]);
    ok(pipe(fd) == 0 && write(fd[1], "left", 4) == 4 && close(fd[1]) == 0 && snprintf(name, sizeof name, "/proc/self/fd/%d", fd[0]) > 0 &&
           (fd[1] = open(name, O_RDONLY)) >= 0 && read(fd[1], big, 10) == 4 && read(fd[1], big, 10) == 0,
       "a pipe is opened anew through /proc, also when nobody writes any more");
    close(fd[0]), close(fd[1]);
    signal(SIGPIPE, SIG_IGN);
    ok(pipe(fd) == 0 && close(fd[0]) == 0 && write(fd[1], "x", 1) == -1 && errno == EPIPE, "EPIPE");
    close(fd[1]);
}

static void what_stays(void)
{
    ok(chmod("/proc/self", 0555) == -1 && errno == EPERM && chown("/proc/self", 0, 0) == -1 && errno == EPERM, "what /proc has stays as it is");
    ok(link("/", "/") == -1 && errno == EEXIST, "link: the name is there");
    ok(waitpid(-0x7fffffff - 1, NULL, WNOHANG) == -1 && errno == ESRCH, "waitpid: no such group");
}

static void locks(void)
{
    int fd = open("f", O_RDWR), status;
    struct flock l = {.l_type = F_WRLCK, .l_len = 10};

    ok(fcntl(fd, F_SETLK, &l) == 0, "a range is locked");
    if (fork() == 0) {
        struct flock m = {.l_type = F_WRLCK, .l_start = 5, .l_len = 10};
        int refused = fcntl(fd, F_SETLK, &m) == -1 && (errno == EAGAIN || errno == EACCES);
        m.l_start = 10;
        _exit(refused && fcntl(fd, F_SETLK, &m) == 0 ? 0 : 1);
    }
    wait(&status);
    ok(status == 0, "another process cannot have it, but what lies beside");
    ok(flock(fd, LOCK_EX) == 0 && flock(fd, LOCK_UN) == 0, "flock");
    close(fd);
}

/* ---- locks of who has ended ---- */

static int shared_fd, go[2];
static char sharer_stack[65536] __attribute__((aligned(16)));

static int lock_all(int fd, int cmd)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, cmd, &l);
}

static int closes(void *arg)
{
    (void)arg;
    return close(shared_fd);
}

/* One process locks, another one, with which it shares its descriptors, closes the file. */
static void lock_and_share(const char *name)
{
    int sharer;

    shared_fd = open(name, O_RDWR);
    lock_all(shared_fd, F_SETLK);
    sharer = clone(closes, sharer_stack + sizeof sharer_stack, CLONE_FILES | CLONE_VM | SIGCHLD, NULL);
    _exit(sharer < 0 ? errno != EINVAL : waitpid(sharer, NULL, 0) != sharer); /* the emulator has no such clone */
}

static void *waits(void *arg)
{
    (void)arg;
    lock_all(shared_fd, F_SETLKW);
    return NULL;
}

/* One thread waits for the lock, another one closes the file, then the lock becomes free. */
static void lock_too_late(const char *name)
{
    pthread_t t;

    shared_fd = open(name, O_RDWR);
    pthread_create(&t, NULL, waits, NULL);
    usleep(100000);
    close(shared_fd);
    if (write(go[1], "x", 1) != 1)
        _exit(1);
    pthread_join(t, NULL);
    _exit(0);
}

static void locks_of_who_has_ended(void)
{
    const char *name = "/tmp/ended";
    int fd = open(name, O_RDWR | O_CREAT, 0600), status = -1, holder;
    char c;

    if (fork() == 0)
        lock_and_share(name);
    ok(wait(&status) > 0 && status == 0 && lock_all(fd, F_SETLK) == 0, "a lock ends with its process, whoever has closed the file");
    close(fd);
    if (pipe(go))
        return;
    holder = fork();
    if (holder == 0) {
        fd = open(name, O_RDWR);
        _exit(lock_all(fd, F_SETLK) || read(go[0], &c, 1) != 1);
    }
    usleep(100000);
    if (fork() == 0)
        lock_too_late(name);
    while (wait(NULL) > 0)
        ;
    fd = open(name, O_RDWR);
    ok(fd >= 0 && lock_all(fd, F_SETLK) == 0, "so does one that was had after the file was closed");
    unlink(name);
}

int main(void)
{
    ok(mkdtemp(dir) && chdir(dir) == 0, "a directory");
    regular();
    names();
    listing();
    descriptors();
    pipes();
    locks();
    locks_of_who_has_ended();
    what_stays();
    ok(unlink("f") == 0 && chdir("/") == 0 && rmdir(dir) == 0, "cleaned up");
    return done();
}
