/* An alarm every microsecond, faster than anybody can take them: the program goes on in between. */
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>

static volatile sig_atomic_t alarms;

static void on_alarm(int signo)
{
    (void)signo;
    alarms++;
}

static long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int main(void)
{
    struct itimerval fast = {.it_value.tv_usec = 1, .it_interval.tv_usec = 1}, off = {0};
    long start = now_ms(), rounds = 0;

    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &fast, NULL);
    while (now_ms() - start < 300)
        rounds++;
    setitimer(ITIMER_REAL, &off, NULL);
    printf("%s\n", alarms > 20 && rounds > 100 ? "both went on" : "one stood still");
    return 0;
}
