/*
 * Forks 10,000 times without waiting: a limit must say EAGAIN, and nothing may be
 * lost by it. Then everything is killed and reaped.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 10000

int main(void)
{
    static pid_t child[MANY];
    int n = 0, reaped = 0, why = 0;

    while (n < MANY) {
        child[n] = fork();
        if (child[n] == 0)
            for (;;)
                pause();
        if (child[n] < 0) {
            why = errno;
            break;
        }
        n++;
    }
    printf("%d children, then: %s\n", n, why ? strerror(why) : "no limit");
    for (int i = 0; i < n; i++)
        kill(child[i], SIGKILL);
    while (wait(NULL) > 0)
        reaped++;
    printf("%d reaped\n", reaped);
    return why != EAGAIN || reaped != n;
}
