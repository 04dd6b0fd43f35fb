/* Each call once, whether or not it does what it is asked: for test/boot/programs/failnth.c. */
#include "xv6.h"

static void files(void)
{
    char *again[] = {"each", "again", 0};
    int fds[2], fd = open("file", O_CREATE | O_RDWR);
    struct stat st;

    write(fd, "text", 4);
    fstat(fd, &st);
    dup(fd);
    close(fd);
    link("file", "name");
    unlink("name");
    mkdir("folder");
    chdir("folder");
    mknod("console", 1, 0);
    unlink("console");
    chdir("..");
    unlink("folder");
    if (pipe(fds) == 0 && write(fds[1], "text", 4) == 4)
        read(fds[0], &st, 4);
    exec("/tmp/no-such-program", again);
    exec("/bin/xv6-each", again);
}

int main(int argc, char **argv)
{
    char *more;
    int pid;

    (void)argv;
    if (argc > 1)
        exit(0);
    more = sbrk(3 * PAGE);
    if (more != SBRK_ERROR)
        more[PAGE] = 1;
    sbrk(-(int)PAGE);
    pid = fork();
    if (pid == 0)
        exit(0);
    if (pid > 0)
        wait(0);
    files();
    exit(1);
}
