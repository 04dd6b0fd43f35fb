/*
 * Runs tests one after another, or some at a time, each with a time limit:
 *
 *     runner SECONDS JOBS [BYTES] < LIST
 *
 * A line of the list is a name, a command and its arguments, with spaces between; what
 * has a '!' before its name runs alone, and the clock is set right after it. Of each is printed
 * "@@ NAME exit N", "@@ NAME signal N" or "@@ NAME timeout 0" and the seconds it took,
 * and below it the last 3000 BYTES of what the test said, each line behind a tab. Its input is empty, and its folder is its own.
 *
 * Each test has a keeper, a child of the runner. The keeper takes in orphans, so that
 * whatever the test has started is found and killed with it, whichever group or
 * session that has moved to. The test is the leader of a session of its own.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORDS_MAX 16

/* One place for a test. What the keeper has found out is in memory that both share. */
static struct job {
    char line[1024], *words[WORDS_MAX + 1];
    pid_t keeper;
    double began;
    int status;
    bool done, late;
} *jobs;

static int limit, job_count, places;
static long tail = 3000; /* bytes of a test's output that are shown */

static void die(const char *why)
{
    perror(why);
    exit(111);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void place(const struct job *j, char *folder, char *output)
{
    sprintf(folder, "/tmp/suite.%d", (int)(j - jobs));
    sprintf(output, "/tmp/suite.%d.out", (int)(j - jobs));
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *at)
{
    (void)s, (void)type, (void)at;
    return remove(path) && 0; /* what cannot be removed stays */
}

/* ---- the test ---- */

static void become_test(const struct job *j, const char *folder, const char *output)
{
    sigset_t none;
    int in = open("/dev/null", O_RDONLY), out = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0666);
    struct rlimit core = {0, 0};

    setsid();
    if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 || chdir(folder))
        _exit(112);
    if (in > 2)
        close(in);
    if (out > 2)
        close(out);
    setrlimit(RLIMIT_CORE, &core);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(j->words[1], j->words + 1);
    perror(j->words[1]);
    _exit(113);
}

/* ---- its keeper ---- */

/* Kills the processes whose parent is this one, directly or not: a child is an orphan as soon as its parent is dead. */
static void kill_children(void)
{
    DIR *d = opendir("/proc");
    struct dirent *e;

    while (d && (e = readdir(d))) {
        char name[300], text[512], *p;
        int fd, parent;
        ssize_t n;

        if (!isdigit((unsigned char)e->d_name[0]))
            continue;
        snprintf(name, sizeof name, "/proc/%s/stat", e->d_name);
        fd = open(name, O_RDONLY);
        n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
        if (fd >= 0)
            close(fd);
        if (n <= 0)
            continue;
        text[n] = 0;
        p = strrchr(text, ')');
        if (p && sscanf(p + 1, " %*c %d", &parent) == 1 && parent == getpid())
            kill(atoi(e->d_name), SIGKILL);
    }
    if (d)
        closedir(d);
}

/* Returns when nothing of the test is left. */
static void clean_up(pid_t test)
{
    kill(-test, SIGKILL);
    for (int i = 0; i < 2000; i++) {
        pid_t pid;

        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
            ;
        if (pid < 0)
            return;
        kill_children();
        usleep(1000);
    }
}

static void keep(struct job *j)
{
    char folder[64], output[64];
    double end = now() + limit;
    sigset_t child;
    pid_t test, pid;

    place(j, folder, output);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    mkdir(folder, 0777);
    chmod(folder, 0777);
    test = fork();
    if (test < 0)
        _exit(114);
    if (test == 0)
        become_test(j, folder, output);
    do {
        double left = end - now();
        struct timespec t = {left > 0 ? (time_t)left : 0, left > 0 ? (long)((left - (double)(time_t)left) * 1e9) : 0};

        while ((pid = waitpid(-1, &j->status, WNOHANG)) > 0 && pid != test)
            ;
        if (pid != test && left > 0)
            sigtimedwait(&child, NULL, &t);
        j->late = pid != test && left <= 0;
    } while (pid != test && !j->late);
    clean_up(test);
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    j->done = true;
    _exit(0);
}

/* ---- the runner ---- */

static void show_output(const char *output)
{
    char *text = malloc((size_t)tail + 1);
    FILE *f = fopen(output, "r");
    struct stat s;
    size_t n;

    if (!f || !text)
        return;
    if (!fstat(fileno(f), &s) && s.st_size > tail)
        fseek(f, -tail, SEEK_END);
    n = fread(text, 1, (size_t)tail, f);
    text[n] = 0;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' && text[i] != '\n' && text[i] != '\t')
            text[i] = '?';
    for (char *p = strtok(text, "\n"); p; p = strtok(NULL, "\n"))
        printf("\t%s\n", p);
    fclose(f);
    free(text);
    unlink(output);
}

static void report(struct job *j)
{
    char folder[64], output[64];
    const char *how = "exit";
    int number = WEXITSTATUS(j->status);

    place(j, folder, output);
    if (!j->done || j->late) {
        how = j->done ? "timeout" : "lost"; /* lost: its keeper was killed */
        number = 0;
    } else if (WIFSIGNALED(j->status)) {
        how = "signal";
        number = WTERMSIG(j->status);
    }
    printf("@@ %s %s %d %.1f\n", j->words[0], how, number, now() - j->began);
    show_output(output);
    fflush(stdout);
    j->keeper = 0;
}

/* Waits until at most `most` tests run. */
static void wait_until(int most)
{
    while (job_count > most) {
        pid_t pid = wait(NULL);

        if (pid < 0)
            die("wait");
        for (int i = 0; i < places; i++)
            if (jobs[i].keeper == pid) {
                report(&jobs[i]);
                job_count--;
            }
    }
}

static bool split(struct job *j, const char *line)
{
    int n = 0;

    snprintf(j->line, sizeof j->line, "%s", line);
    for (char *p = strtok(j->line, " \n"); p && n < WORDS_MAX; p = strtok(NULL, " \n"))
        j->words[n++] = p;
    j->words[n] = NULL;
    return n >= 2;
}

/* What the date is ahead of the time since the boot. */
static double date_offset(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec - now();
}

static void set_date(double offset)
{
    struct timespec t = {(time_t)(now() + offset), 0};

    if (date_offset() < offset - 2 || date_offset() > offset + 2)
        clock_settime(CLOCK_REALTIME, &t);
}

static void start(const char *line)
{
    double date = date_offset();
    bool alone = line[0] == '!';
    struct job *j;
    pid_t pid;

    if (alone)
        wait_until(0);

    for (j = jobs; j->keeper; j++)
        ;
    *j = (struct job){0};
    if (!split(j, line + alone))
        return;
    j->began = now();
    pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0)
        keep(j);
    j->keeper = pid; /* the memory is the keeper's, too */
    job_count++;
    if (alone) {
        wait_until(0);
        set_date(date);
    }
}

int main(int argc, char **argv)
{
    char line[1024];
    sigset_t all;

    if (argc < 3 || argc > 4 || (limit = atoi(argv[1])) < 1 || (places = atoi(argv[2])) < 1 ||
        (argc == 4 && (tail = atol(argv[3])) < 1)) {
        fprintf(stderr, "usage: runner SECONDS JOBS [BYTES] < LIST\n");
        return 2;
    }
    jobs = mmap(NULL, (size_t)places * sizeof *jobs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (jobs == MAP_FAILED)
        die("mmap");
    for (int i = 1; i < 32; i++)
        signal(i, SIG_DFL); /* what is ignored would be so in all tests, too */
    sigfillset(&all); /* a test that signals everybody does not end this one, but by SIGKILL */
    sigprocmask(SIG_SETMASK, &all, NULL);
    while (fgets(line, sizeof line, stdin)) {
        wait_until(places - 1);
        start(line);
    }
    wait_until(0);
    printf("@@ all done 0 %.1f\n", now());
    return 0;
}
