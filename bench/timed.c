/*
 * timed NAME COMMAND [ARG...]: what a command costs from its start until it has ended,
 * fork and wait with it. Its output goes to /dev/null.
 */
#include "bench.h"
#include <fcntl.h>

int main(int argc, char **argv)
{
    char name[64];
    long start;
    int status;
    pid_t pid;

    if (argc < 3)
        return 2;
    calibrate();
    snprintf(name, sizeof name, "program.%s", argv[1]);
    start = now();
    pid = fork();
    if (pid == 0) {
        dup2(open("/dev/null", O_WRONLY), 1);
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    waitpid(pid, &status, 0);
    start = since(start);
    if (status)
        return 1;
    report(name, 0, start);
    return 0;
}
