/* splice, tee, vmsplice, sendfile, copy_file_range. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tap.h"

static char data[200000], got[200000];

static int file(const char *text, size_t n)
{
    int fd = memfd_create("file", 0);

    return write(fd, text, n) == (ssize_t)n && lseek(fd, 0, SEEK_SET) == 0 ? fd : -1;
}

static void files_and_pipes(void)
{
    int in = file(data, sizeof data), out = file("", 0), fd[2];
    loff_t at = 1000;
    ssize_t n, sum = 0;

    ok(pipe(fd) == 0 && splice(in, NULL, fd[1], NULL, 100, 0) == 100, "from a file into a pipe");
    ok(lseek(in, 0, SEEK_CUR) == 100 && read(fd[0], got, 200) == 100 && memcmp(got, data, 100) == 0, "its bytes, and the position");
    ok(splice(in, &at, fd[1], NULL, 50, 0) == 50 && at == 1050 && lseek(in, 0, SEEK_CUR) == 100, "from a place in it");
    ok(splice(fd[0], NULL, out, NULL, 1000, 0) == 50 && pread(out, got, 50, 0) == 50 && memcmp(got, data + 1000, 50) == 0,
       "what is in the pipe into a file");
    at = 7;
    ok(write(fd[1], "xyz", 3) == 3 && splice(fd[0], NULL, out, &at, 2, 0) == 2 && at == 9 && pread(out, got, 2, 7) == 2 &&
           memcmp(got, "xy", 2) == 0 && read(fd[0], got, 10) == 1 && got[0] == 'z',
       "some of it to a place");
    ok(splice(fd[0], NULL, out, NULL, 10, SPLICE_F_NONBLOCK) == -1 && errno == EAGAIN, "an empty pipe");
    if (fork() == 0) {
        close(fd[0]);
        lseek(in, 0, SEEK_SET);
        for (sum = 0; sum < (ssize_t)sizeof data && (n = splice(in, NULL, fd[1], NULL, sizeof data, 0)) > 0;)
            sum += n;
        _exit(sum != sizeof data);
    }
    close(fd[1]);
    ftruncate(out, 0);
    lseek(out, 0, SEEK_SET);
    while ((n = splice(fd[0], NULL, out, NULL, 70000, 0)) > 0)
        sum += n;
    ok(n == 0 && sum == sizeof data && pread(out, got, sizeof got, 0) == sizeof got && memcmp(got, data, sizeof got) == 0,
       "all of it through a pipe from another process");
    wait(NULL);
    close(fd[0]);
    close(in);
    close(out);
}

static void what_is_refused(void)
{
    int in = file("hello", 5), fd[2], other[2];
    loff_t at = 0;

    ok(pipe(fd) == 0 && pipe(other) == 0, "two pipes");
    ok(splice(in, NULL, in, NULL, 5, 0) == -1 && errno == EINVAL, "no pipe");
    ok(splice(fd[0], &at, in, NULL, 5, 0) == -1 && errno == ESPIPE, "a pipe has no places");
    ok(splice(in, NULL, fd[0], NULL, 5, 0) == -1 && errno == EBADF && splice(-1, NULL, fd[1], NULL, 5, 0) == -1 && errno == EBADF,
       "the wrong end");
    ok(splice(fd[0], NULL, fd[1], NULL, 5, 0) == -1 && errno == EINVAL, "into itself");
    ok(splice(in, NULL, fd[1], NULL, 5, 64) == -1 && errno == EINVAL, "unknown flags");
    ok(tee(in, fd[1], 5, 0) == -1 && errno == EINVAL, "tee is for pipes");
    close(other[0]);
    signal(SIGPIPE, SIG_IGN);
    ok(splice(in, NULL, other[1], NULL, 5, 0) == -1 && errno == EPIPE, "nobody reads");
    close(other[1]), close(fd[0]), close(fd[1]), close(in);
}

static void pipes_and_memory(void)
{
    int a[2], b[2];
    struct iovec v[2] = {{data, 10}, {data + 500, 20}}, r = {got, 100};
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ok(pipe(a) == 0 && pipe(b) == 0 && write(a[1], "hello", 5) == 5, "pipes");
    ok(tee(a[0], b[1], 100, 0) == 5 && read(b[0], got, 10) == 5 && memcmp(got, "hello", 5) == 0, "tee copies");
    ok(tee(a[0], b[1], 3, 0) == 3 && read(b[0], got, 10) == 3, "as much as is asked");
    ok(read(a[0], got, 10) == 5 && memcmp(got, "hello", 5) == 0, "and takes nothing");
    ok(tee(a[0], b[1], 3, SPLICE_F_NONBLOCK) == -1 && errno == EAGAIN, "there must be something");
    ok(vmsplice(a[1], v, 2, 0) == 30 && read(a[0], got, 100) == 30 && memcmp(got, data, 10) == 0 && memcmp(got + 10, data + 500, 20) == 0,
       "vmsplice writes what two places have");
    ok(write(a[1], "abc", 3) == 3 && splice(a[0], NULL, b[1], NULL, 2, 0) == 2 && read(b[0], got, 10) == 2 && read(a[0], got, 10) == 1,
       "from pipe to pipe");
    ok(write(a[1], "back", 4) == 4 && vmsplice(a[0], &r, 1, 0) == 4 && memcmp(got, "back", 4) == 0, "vmsplice reads, too");
    memset(page, 'x', 4096);
    v[0] = (struct iovec){page, 4096};
    ok(vmsplice(a[1], v, 1, 0) == 4096 && munmap(page, 4096) == 0 && read(a[0], got, 4096) == 4096 && got[4095] == 'x',
       "and what was there stays in the pipe when the page goes");
    v[0] = (struct iovec){data, 1};
    ok(vmsplice(file("x", 1), v, 1, 0) == -1 && errno == EBADF, "no pipe");
    for (int i = 0; i < 16; i++)
        write(a[1], data, 4096);
    v[0] = (struct iovec){data, 4096};
    ok(vmsplice(a[1], v, 1, SPLICE_F_NONBLOCK) == -1 && errno == EAGAIN, "a full one");
}

static void copies(void)
{
    int in = file(data, 10000), out = file("", 0);
    off_t at = 5000;
    loff_t from = 100, to = 20;

    ok(sendfile(out, in, &at, 3000) == 3000 && at == 8000 && pread(out, got, 3000, 0) == 3000 && memcmp(got, data + 5000, 3000) == 0,
       "sendfile");
    ok(copy_file_range(in, &from, out, &to, 40, 0) == 40 && from == 140 && to == 60 && pread(out, got, 40, 20) == 40 &&
           memcmp(got, data + 100, 40) == 0,
       "copy_file_range");
    ok(sendfile(out, in, NULL, 100000) == 10000 && sendfile(out, in, NULL, 100) == 0, "until the end");
    close(in);
    close(out);
}

int main(void)
{
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7 + i / 251);
    files_and_pipes();
    what_is_refused();
    pipes_and_memory();
    copies();
    return done();
}
