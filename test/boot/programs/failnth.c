/*
 * Every allocation of every call and every kind of fault, made to fail: the k-th,
 * for k = 1, 2, ... until the call needs no more, alone and with all that follow
 * (/proc/self/fail-nth, kernel/vm/failnth.h; debug builds).
 *
 * Each try is a process of its own (the subject), a child of this one, whose memory
 * it shares until it stores. What must be so afterwards:
 *  - the call has failed with an error that its manual page allows, or the subject
 *    died as docs/vm.md says; and the same call, made again, does what it is to do;
 *  - all references are as they are recounted (/proc/sys/vm/check);
 *  - pages and kernel objects in use are as many as before (/proc/allocations);
 *  - this process, a child of it and a file that all have mapped keep every byte.
 * In the end the sites: where the kernel allocates, how often it was asked, exempt, and
 * made to fail. The host compares the rest with its list (test/boot/test_failnth.py).
 *
 * failnth [-v] [-t N] [NAME...]: all, or only the tests with one of these in their name; -v
 * says how each try ended, -t takes each N-th k only, beyond the first few. A test that is
 * not ok ends there, and the next one begins.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
#define PLACE "/tmp/fn" /* the subject's files */
#define FAIL_FD 100     /* fail-nth of the subject; a program that it executes finds it there */
#define K_MAX 500       /* no call allocates more often */
#define STEP_SECONDS 60
#define THIN_FROM 5

/* What a subject says of itself, in memory that it shares with its parent. */
static struct report {
    int planned;        /* something is to fail */
    int result;         /* of the call: 0 or errno */
    int again;          /* of the same call once more, if it failed */
    int used;           /* the failure was planted */
    int ready;          /* a process beside it is */
    char wrong[200];    /* what is not as it must be; empty: nothing */
} *report;

enum how {
    DIES = 1,      /* by SIGKILL: a fault found no page */
    SEGV = 2,      /* by SIGSEGV: a stack could not grow */
    BUS = 4,       /* by SIGBUS */
    DOES = 8,      /* some failures are no errors of the call: it does without */
    RESERVE = 16,  /* also what may use the reserve is made to fail */
    ENDS = 32,     /* the call does not return: the subject's status is that of --target */
    NONE = 128,    /* takes no memory at all */
    EITHER = 256,  /* takes none where fork shares no tables (vm.fork=eager) */
    FOREIGN = 64,  /* arg is a program that knows nothing of this; if it is not there, there is no test */
};

struct test {
    const char *name;
    void (*prepare)(void);
    int (*act)(void);       /* 0 or errno */
    unsigned how;
    int errors[3];          /* besides ENOMEM */
    const char *arg;
    unsigned k_first, k_step; /* from k_first on only each k_step-th; 0: all */
};
static const struct test *test; /* the one that runs */

static unsigned long steps, injected, swallowed, deaths, failures;
static jmp_buf next_test;
static unsigned long failed_before; /* the step */
static unsigned thin = 1;
static int verbose, check_fd = -1, sites_fd = -1;
static char *by_memory, *by_file, *zones[2];
static const char *step_name = "the beginning";

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *fmt, ...)
{
    char why[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    printf("not ok - %s: %s\n", step_name, why);
    if (!test)
        exit(1);
    failures++;
    longjmp(next_test, 1);
}

#define must(what) ({ long r_ = (long)(what); if (r_ == -1) fail("%s: %s (line %d)", #what, strerror(errno), __LINE__); r_; })

/* In the subject: it says so and ends. */
static void __attribute__((format(printf, 1, 2))) wrong(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(report->wrong, sizeof report->wrong, fmt, ap);
    va_end(ap);
    _exit(1);
}

static void plan(const char *text); /* of the subject's next allocations: what is written to fail-nth */
static int plan_used(void);

#include "failnth_tests.h"

/* ---- bystanders: this process, a child of it, a file ---- */

#define BY_PAGES 24ul
static int by_ask, by_answer;

static unsigned char by_byte(unsigned long page, unsigned long at, int who)
{
    return (unsigned char)(page * 7 + at / 64 + (unsigned long)who * 31);
}

static void by_fill(char *memory, int who)
{
    for (unsigned long p = 0; p < BY_PAGES; p++)
        for (unsigned long at = 0; at < PAGE; at += 64)
            memory[p * PAGE + at] = (char)by_byte(p, at, who);
}

static int by_whole(const char *memory, int who)
{
    for (unsigned long p = 0; p < BY_PAGES; p++)
        for (unsigned long at = 0; at < PAGE; at += 64)
            if ((unsigned char)memory[p * PAGE + at] != by_byte(p, at, who))
                return 0;
    return 1;
}

/* One half of it stays as it was shared, the other it has written. */
static void __attribute__((noreturn)) by_main(int ask, int answer)
{
    char *own = (char *)must(mmap(NULL, BY_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    char c;

    by_fill(own, 3);
    for (unsigned long p = 0; p < 8; p++)
        zones[0][p * PAGE] = 'b';
    while (read(ask, &c, 1) == 1) {
        int whole = by_whole(by_memory, 1) && by_whole(by_file, 2) && by_whole(own, 3) && zones[1][0] == 'z';

        for (unsigned long p = 0; p < 8; p++)
            whole = whole && zones[0][p * PAGE] == 'b';
        c = whole ? 'y' : 'n';
        if (write(answer, &c, 1) != 1)
            break;
    }
    _exit(0);
}

static void by_start(void)
{
    int to[2], from[2], fd = (int)must(open("/tmp/fn-bystander", O_RDWR | O_CREAT, 0600));

    must(ftruncate(fd, BY_PAGES * PAGE));
    by_memory = (char *)must(mmap(NULL, BY_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    by_file = (char *)must(mmap(NULL, BY_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    close(fd);
    by_fill(by_memory, 1);
    by_fill(by_file, 2);
    must(pipe(to)), must(pipe(from));
    if (must(fork()) == 0) {
        close(to[1]), close(from[0]);
        by_main(to[0], from[1]);
    }
    close(to[0]), close(from[1]);
    by_ask = to[1], by_answer = from[0];
}

static void by_check(void)
{
    char c = 'c';

    if (write(by_ask, &c, 1) != 1 || read(by_answer, &c, 1) != 1 || c != 'y')
        fail("a bystander lost bytes, or its life");
    if (!by_whole(by_memory, 1) || !by_whole(by_file, 2))
        fail("the parent lost bytes");
    for (int z = 0; z < 2; z++)
        for (unsigned long p = 0; p < ZONE_PAGES; p++)
            if (zones[z][p * ZONE_STRIDE] != 'z')
                fail("the parent's zone %d lost page %lu", z, p);
}

/* ---- what is in use ---- */

struct use {
    unsigned long pages, objects, bytes;
};
static struct use base;

static struct use use_now(void)
{
    char line[128];
    struct use u;
    ssize_t n = must(pread(sites_fd, line, sizeof line - 1, 0));

    line[n] = 0;
    if (sscanf(line, "pages %lu objects %lu bytes %lu", &u.pages, &u.objects, &u.bytes) != 3)
        fail("/proc/allocations says %s", line);
    return u;
}

static int use_same(struct use a, struct use b)
{
    return a.pages == b.pages && a.objects == b.objects && a.bytes == b.bytes;
}

/* What has ended may be on its way out on another CPU for a moment. */
static void use_check(void)
{
    struct use u = use_now(), was;

    for (int tries = 0; !use_same(u, base) && tries < 200; tries++) {
        usleep(tries < 20 ? 500 : 5000);
        u = use_now();
    }
    was = base;
    base = u; /* the next one is not to fail for it */
    if (!use_same(u, was))
        fail("lost: %+ld pages, %+ld objects, %+ld bytes", (long)(u.pages - was.pages), (long)(u.objects - was.objects),
             (long)(u.bytes - was.bytes));
}

/* Under the subject's name: so does the next one find nothing of this one. */
static void tidy(const char *folder)
{
    DIR *d = opendir(folder);
    struct dirent *e;
    char path[512];

    if (!d)
        fail("%s: %s", folder, strerror(errno));
    while ((e = readdir(d))) {
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || unlink(path) == 0)
            continue;
        tidy(path);
        must(rmdir(path));
    }
    closedir(d);
}

/* How many failures have been planted in all. */
static unsigned long failed_now(void)
{
    FILE *sites = fopen("/proc/allocations", "r");
    unsigned long sum = 0, failed;
    char line[300];

    while (sites && fgets(line, sizeof line, sites))
        if (sscanf(line, "%*u %*u %lu", &failed) == 1)
            sum += failed;
    fclose(sites);
    return sum;
}

/* ---- the subject ---- */

static struct range {
    unsigned long start, end;
    int writable;
} ranges[64];
static unsigned range_count;

/* Once, in the parent: what of its memory is not for the tests to fault on. Children have it all present, too. */
static void ranges_find(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[300], prot[8];
    unsigned long start, end;

    while (maps && fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx %7s", &start, &end, prot) != 3 || prot[0] != 'r' || range_count == 64)
            fail("what is this mapping: %s", line);
        if ((char *)start == zones[0] || (char *)start == zones[1] || (char *)start == by_memory || (char *)start == by_file)
            continue;
        ranges[range_count++] = (struct range){start, end, prot[1] == 'w'};
    }
    fclose(maps);
}

static void __attribute__((noinline)) stack_touch(void)
{
    volatile char room[32 * 1024];

    for (unsigned i = 0; i < sizeof room; i += 512)
        room[i] = 1;
}

/* Nothing of the program itself is to fault where failures are planted. */
static void touch_all(void)
{
    for (unsigned i = 0; i < range_count; i++)
        for (volatile char *p = (char *)ranges[i].start; p < (char *)ranges[i].end; p += PAGE) {
            char c = *p;
            if (ranges[i].writable)
                *p = c;
        }
    stack_touch();
}

static void plan(const char *text)
{
    if (pwrite(FAIL_FD, text, strlen(text), 0) != (ssize_t)strlen(text))
        wrong("fail-nth takes no %s: %s", text, strerror(errno));
}

static int plan_used(void)
{
    char text[16] = "";

    if (pread(FAIL_FD, text, sizeof text - 1, 0) < 1)
        wrong("fail-nth cannot be read: %s", strerror(errno));
    return atoi(text) == 0;
}

static void __attribute__((noreturn)) subject(const char *text)
{
    int fd = open("/proc/self/fail-nth", O_RDWR);

    if (fd < 0 || dup2(fd, FAIL_FD) != FAIL_FD || chdir(PLACE))
        wrong("the subject cannot begin: %s", strerror(errno));
    close(fd);
    if (test->prepare)
        test->prepare();
    touch_all();
    plan(text);
    report->result = test->act();
    report->used = report->planned && plan_used();
    plan("0");
    if (report->result)
        report->again = test->act();
    if (test->act == act_mount)
        undo_mount();
    _exit(0);
}

/* ---- one try ---- */

static const char *result_name(int status)
{
    static char text[64];

    if (WIFSIGNALED(status))
        snprintf(text, sizeof text, "killed by signal %d", WTERMSIG(status));
    else if (report->result)
        snprintf(text, sizeof text, "%s", strerrorname_np(report->result));
    else
        snprintf(text, sizeof text, "status %d", WEXITSTATUS(status));
    return text;
}

static int died_well(int status)
{
    int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

    return (sig == SIGKILL && (test->how & DIES)) || (sig == SIGSEGV && (test->how & SEGV)) ||
           (sig == SIGBUS && (test->how & BUS));
}

/* What a program that was executed says: --target, or no memory for its libc to begin (127). */
static int judge_program(int status)
{
    if (test->how & FOREIGN)
        return failed_before != failed_now();
    if (status == 127 && report->planned)
        return 1;
    if (status < 40 || status > 41)
        fail("the program that was executed ended with status %d", status);
    return status - 40;
}

/* Whether the planted failure was used; fails if what came of it is not allowed. */
static int judge(int status)
{
    int used;

    int allowed = report->result == ENOMEM || report->result == 0;

    if (report->wrong[0])
        fail("%s", report->wrong);
    if (WIFSIGNALED(status) && (test->how & FOREIGN) && failed_before == failed_now())
        fail("%s, and no failure was planted", result_name(status));
    if (WIFSIGNALED(status)) {
        if (!died_well(status) || !report->planned)
            fail("%s", result_name(status));
        deaths++;
        return 1;
    }
    if (test->how & ENDS) {
        used = judge_program(WEXITSTATUS(status));
        if (report->result == 0)
            return used;
    }
    if (WEXITSTATUS(status) != 0 && !(test->how & ENDS))
        fail("status %d", WEXITSTATUS(status));
    for (unsigned i = 0; i < 3; i++)
        allowed = allowed || (test->errors[i] && report->result == test->errors[i]);
    if (!allowed)
        fail("the error is %s", result_name(status));
    if (report->result && !report->used)
        fail("%s where no failure was planted", result_name(status));
    if (report->result && report->again)
        fail("%s, and the same call made again: %s", result_name(status), strerrorname_np(report->again));
    if (report->used && !report->result) {
        if (!(test->how & DOES))
            fail("a planted failure was no error");
        swallowed++;
    }
    return report->used;
}

static int step(const char *text)
{
    static char name[100];
    int status = 0, used;
    pid_t pid;

    snprintf(name, sizeof name, "%s, fail-nth %s", test->name, text);
    step_name = name;
    memset(report, 0, sizeof *report);
    report->planned = strcmp(text, "0") != 0;
    alarm(STEP_SECONDS);
    if (test->how & FOREIGN)
        failed_before = failed_now();
    pid = (pid_t)must(fork());
    if (pid == 0)
        subject(text);
    must(waitpid(pid, &status, 0));
    tidy(PLACE);
    ids_drop();
    used = judge(status) && report->planned;
    must(write(check_fd, "1", 1));
    use_check();
    by_check();
    steps++;
    if (verbose)
        printf("%s: %s%s\n", name, result_name(status), used ? "" : ", not used");
    return used;
}

/* k = 1, 2, ... until the call is through without it. */
static unsigned try_all(const char *suffix)
{
    char text[24];
    unsigned k, done = 0;

    for (k = 1; k < K_MAX; k += test->k_step && k >= test->k_first ? test->k_step : k > THIN_FROM ? thin : 1) {
        snprintf(text, sizeof text, "%u%s", k, suffix);
        if (!step(text))
            return done;
        done++;
        injected++;
    }
    fail("no end");
}

static int is_wanted(int argc, char **argv)
{
    if (argc == 0)
        return 1;
    for (int i = 0; i < argc; i++)
        if (strstr(test->name, argv[i]))
            return 1;
    return 0;
}

/* Whether it was there to be run. */
static int run(const struct test *t, int argc, char **argv)
{
    unsigned long deaths_before = deaths, done_without = swallowed;
    unsigned alone, all;

    test = t;
    if (!is_wanted(argc, argv) || ((t->how & FOREIGN) && access(t->arg, X_OK)))
        return 0;
    if (setjmp(next_test))
        return 1;
    if (step("0")) /* and without any: what was in use before comes back */
        fail("a failure that was not planted");
    alone = try_all("");
    all = try_all("+");
    if (t->how & RESERVE) {
        alone += try_all("r");
        all += try_all("+r");
    }
    if ((alone + all == 0) != !!(t->how & NONE) && !(t->how & EITHER))
        fail(t->how & NONE ? "it takes memory" : "nothing was allocated");
    printf("%-28s %4u %4u %4lu %4lu\n", t->name, alone, all, deaths - deaths_before, swallowed - done_without);
    return 1;
}

/* ---- everything ---- */

static void zones_make(void)
{
    for (int z = 0; z < 2; z++) {
        zones[z] = mmap((void *)(z ? ZONE_FAR : 0x1000000000ul), ZONE_PAGES * ZONE_STRIDE,
                        PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        if (zones[z] == MAP_FAILED)
            fail("zone: %s", strerror(errno));
        for (unsigned long p = 0; p < ZONE_PAGES; p++)
            zones[z][p * ZONE_STRIDE] = 'z';
    }
    for (unsigned long p = 1; p < 8; p++)
        zones[0][p * PAGE] = 'z';
}

static void too_long(int sig)
{
    static const char text[] = "failnth: a step takes too long\n";

    (void)sig;
    if (write(1, text, sizeof text - 1) < 0)
        _exit(3);
    _exit(2);
}

static void sites_print(void)
{
    char text[4096];
    ssize_t n;
    off_t at = 0;

    printf("sites: calls, exempt, failed\n");
    fflush(stdout);
    for (; (n = must(pread(sites_fd, text, sizeof text, at))) > 0; at += n)
        fwrite(text, 1, (size_t)n, stdout);
}

static int target(void)
{
    char text[16] = "";

    return pread(FAIL_FD, text, sizeof text - 1, 0) < 1 ? 42 : atoi(text) == 0 ? 41 : 40;
}

int main(int argc, char **argv)
{
    int count = 0;

    if (argc > 1 && strcmp(argv[1], "--target") == 0)
        return target();
    if (argc > 1 && strcmp(argv[1], "-v") == 0)
        verbose = 1, argc--, argv++;
    if (argc > 2 && strcmp(argv[1], "-t") == 0)
        thin = (unsigned)atoi(argv[2]), argc -= 2, argv += 2;
    setvbuf(stdout, NULL, _IOLBF, 4096);
    signal(SIGALRM, too_long);
    signal(SIGPIPE, SIG_IGN);
    zones_make();
    by_start();
    report = (struct report *)must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    must(mkdir(PLACE, 0700));
    check_fd = (int)must(open("/proc/sys/vm/check", O_WRONLY | O_CLOEXEC));
    sites_fd = (int)must(open("/proc/allocations", O_RDONLY | O_CLOEXEC));
    ranges_find();
    touch_all();
    alarm(STEP_SECONDS);
    must(mkdir(PLACE "/a", 0700)), must(mkdir(PLACE "/a/b", 0700));
    tidy(PLACE);
    printf("%-28s %4s %4s %4s %4s\n", "call", "k", "k+", "dead", "does");
    (void)failed_now();
    by_check();
    tidy(PLACE);
    base = use_now();
    for (unsigned i = 0; i < sizeof tests / sizeof tests[0]; i++)
        count += run(&tests[i], argc - 1, argv + 1);
    test = NULL;
    printf("%lu steps, %lu with a planted failure: %lu deaths, %lu no error\n", steps, injected, deaths, swallowed);
    sites_print();
    printf("%lu not ok\n1..%d\n", failures, count);
    return failures > 0;
}
