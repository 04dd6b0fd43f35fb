/* Threads: futexes, fork from several, stores during fork, exec from a thread that is not the first. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tap.h"

#define THREADS 4
#define ROUNDS 20000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long counter;
static __thread int local;

static void *count(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
    }
    local = (int)(long)arg;
    return (void *)(long)local;
}

static void counting(void)
{
    pthread_t t[THREADS];
    long sum = 0;
    void *r;

    for (long i = 0; i < THREADS; i++)
        pthread_create(&t[i], NULL, count, (void *)i);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(t[i], &r);
        sum += (long)r;
    }
    ok(counter == (long)THREADS * ROUNDS && sum == 6, "a counter under a mutex");
}

static int turn;

static void *ping(void *arg)
{
    int me = (int)(long)arg;

    for (int i = 0; i < 500; i++) {
        pthread_mutex_lock(&mutex);
        while (turn != me)
            pthread_cond_wait(&cond, &mutex);
        turn = !me;
        pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void taking_turns(void)
{
    pthread_t a, b;

    pthread_create(&a, NULL, ping, (void *)0);
    pthread_create(&b, NULL, ping, (void *)1);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    ok(turn == 0, "condition variables");
}

/* One thread stores all the time while another forks: no store may be lost, none seen by a child later. */
static _Atomic long *cells;
static atomic_int stop;
#define CELLS (64 * 512)

static void *storing(void *arg)
{
    long n = 0;

    (void)arg;
    while (!atomic_load(&stop)) {
        for (int i = 0; i < CELLS; i += 512)
            atomic_store(&cells[i], n);
        for (int i = 0; i < CELLS; i += 512)
            if (atomic_load(&cells[i]) != n)
                return (void *)1;
        n++;
    }
    return NULL;
}

static int child_sees_stillness(void)
{
    long before[CELLS / 512];

    for (int i = 0; i < CELLS; i += 512)
        before[i / 512] = cells[i];
    usleep(1000);
    for (int i = 0; i < CELLS; i += 512)
        if (cells[i] != before[i / 512])
            return 1;
    return 0;
}

static void storing_during_fork(void)
{
    pthread_t t;
    int bad = 0, status;
    void *lost;

    cells = mmap(NULL, CELLS * sizeof *cells, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_create(&t, NULL, storing, NULL);
    for (int i = 0; i < 50; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(child_sees_stillness());
        waitpid(pid, &status, 0);
        bad += status != 0;
    }
    atomic_store(&stop, 1);
    pthread_join(t, &lost);
    ok(bad == 0, "children see memory stand still");
    ok(lost == NULL, "no store of the parent's is lost");
}

static void *execs(void *arg)
{
    char *const argv[] = {"false", NULL};

    (void)arg;
    execv("/bin/false", argv);
    _exit(9);
}

static void exec_from_a_thread(void)
{
    pid_t pid = fork();
    pthread_t t;
    int status;

    if (pid == 0) {
        pthread_create(&t, NULL, execs, NULL);
        for (;;)
            pause();
    }
    ok(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 1, "exec from a second thread");
}

static void *forever(void *arg)
{
    while (!arg)
        __asm__ volatile("" ::: "memory");
    return arg;
}

static void exit_with_threads(void)
{
    pid_t pid = fork();
    pthread_t t;
    int status;

    if (pid == 0) {
        pthread_create(&t, NULL, forever, NULL);
        pthread_create(&t, NULL, forever, NULL);
        usleep(10000);
        exit(5);
    }
    ok(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 5, "exit takes busy threads along");
}

int main(void)
{
    counting();
    taking_turns();
    storing_during_fork();
    exec_from_a_thread();
    exit_with_threads();
    return done();
}
