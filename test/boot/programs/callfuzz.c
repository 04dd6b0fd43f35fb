/*
 * System calls at random: every number, with arguments that fit it, nearly fit it, or do not; while a second
 * thread changes the memory behind them, or makes calls in the same process. The kernel must go on, give its memory back, and nothing that it had in its own
 * memory may come out: what is freed, and unused stack, holds a marker in debug builds.
 *
 * callfuzz --calls N [--seed S] [--workers W]
 * callfuzz --seed S --episode E [--from STEP] [--to STEP] [--alone] [--log]
 *
 * An episode is a process that makes up to STEPS calls, and ends early if a call ends it. Everything about a step (number,
 * arguments, what is in the buffers) comes from seed, episode and step alone; every BLOCK steps descriptors, memory,
 * signal handlers and folder are made anew. So --episode repeats the calls, from any step; what the calls find also
 * depends on what came before, on the other threads (--alone: there is none) and on other episodes at the same time.
 *
 * What is not left to chance, so that the fuzzer outlives its processes:
 *  - root's calls about other processes (kill, prlimit, sched_set*) name the process itself, its group, or nobody: pid 1
 *    obeys signals by ending the boot, and the fuzzer is a process, too. Others try any number.
 *  - root's reboot has a wrong first word; its umount2 has names of the folder only (else /proc would be gone).
 *  - close_range ends at descriptor 63, as dup's and open's limit does: those above are the fuzzer's.
 *  - terminals that are the host's (/dev/console, /dev/hostout, /dev/ttyS0) and /proc/sys have no name here.
 *  - what ends a process (exit, execve, rt_sigreturn, chroot) or sleeps is called less often.
 *  - what clone and fork make ends at once.
 *  - root's F_SETOWN and FIOSETOWN become questions (signals to others); PR_SET_PDEATHSIG does, as episodes end with the fuzzer.
 *  - fifteen in sixteen rt_sigaction have a handler that exists, and leave SIGSEGV, SIGBUS and SIGUSR2 (the fuzzer's nudge) alone.
 */
#include "callfuzz/callfuzz.h"
#include "callfuzz/calls.h"

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct keeper {
    struct child {
        pid_t pid;
        double moved, killed;
        unsigned long step;
    } children[WORKERS_MAX];
    unsigned long episodes, ended, killed, stuck, audits;
    unsigned long stuck_in[NUMBERS], fault_in[NUMBERS], signals[65], statuses[16];
    unsigned workers;
    unsigned idle;  /* lines in a row without a call */
    double slowest; /* seconds from SIGKILL to the end */
    uint64_t next;
} k;

static unsigned long all_calls(void)
{
    unsigned long sum = 0;

    for (unsigned i = 0; i < WORKERS_MAX; i++)
        sum += atomic_load(&shared->slots[i].calls);
    return sum;
}

static unsigned long leaked(void)
{
    unsigned long halves = atomic_load(&shared->halves);

    return atomic_load(&shared->leaks) + (halves > 3 + all_calls() / 2000000 ? halves : 0);
}

static unsigned long mem_free(void)
{
    struct sysinfo s;

    return sysinfo(&s) ? 0 : s.freeram * s.mem_unit / 1024;
}

static void audit(void)
{
    int fd = open("/proc/sys/vm/check", O_WRONLY);

    if (fd >= 0 && write(fd, "1", 1) == 1)
        k.audits++;
    if (fd >= 0)
        close(fd);
}

/* The last calls of a process, the newest last. */
static void show_ring(unsigned i)
{
    const struct slot *s = &shared->slots[i];
    unsigned long n = atomic_load(&s->step);

    printf("callfuzz: last calls of seed %lu episode %lu:\n", seed, s->episode);
    for (unsigned long at = n > SHOWN ? n - SHOWN : 0; at < n; at++) {
        const struct record *r = &s->ring[at % RING];
        if (r->step == at)
            printf("  %lu: %ld(%#lx, %#lx, %#lx, %#lx, %#lx, %#lx) = %ld\n", r->step, r->number, r->args[0], r->args[1], r->args[2], r->args[3],
                   r->args[4], r->args[5], r->result);
    }
    fflush(stdout);
}

static void __attribute__((noreturn)) hang(unsigned i)
{
    static char text[65536];
    int n;

    printf("callfuzz: HANG: process %d does not end when it is killed\n", k.children[i].pid);
    for (unsigned w = 0; w < k.workers; w++)
        show_ring(w);
    if (system("for p in /proc/[0-9]*; do echo $(cut -c1-120 $p/stat) $(cat $p/wchan); done"))
        printf("callfuzz: no shell\n");
    n = klogctl(3, text, sizeof text);
    fwrite(text, 1, n > 0 ? (size_t)n : 0, stdout);
    fflush(stdout);
    _exit(3);
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *f)
{
    (void)s, (void)kind;
    remove(path); /* the rest goes on */
    return f->level == 0 && access(path, F_OK) == 0;
}

/* What root may have taken away. */
static void restore_devices(void)
{
    static const struct {
        const char *name;
        unsigned major, minor;
    } devices[] = {{"/dev/null", 1, 3}, {"/dev/zero", 1, 5}, {"/dev/full", 1, 7}, {"/dev/urandom", 1, 9}, {"/dev/ptmx", 5, 2}, {"/dev/tty", 5, 0}};
    static const char *const folders[] = {"/", "/tmp", "/dev", "/dev/pts"}; /* ".." may be one */
    struct stat s;

    for (unsigned i = 0; i < sizeof folders / sizeof *folders; i++)
        if (stat(folders[i], &s) == 0 && ((s.st_mode & 07777) != 01777 || s.st_uid) && (chmod(folders[i], 01777) || chown(folders[i], 0, 0)))
            printf("callfuzz: %s: %s\n", folders[i], strerror(errno));
    for (unsigned i = 0; i < sizeof devices / sizeof *devices; i++)
        if (stat(devices[i].name, &s) || !S_ISCHR(s.st_mode) || s.st_rdev != makedev(devices[i].major, devices[i].minor) ||
            (s.st_mode & 0666) != 0666) {
            if (unlink(devices[i].name)) /* or somebody has made a folder of the name */
                nftw(devices[i].name, remove_one, 8, FTW_DEPTH | FTW_PHYS);
            mknod(devices[i].name, S_IFCHR | 0666, makedev(devices[i].major, devices[i].minor));
            chmod(devices[i].name, 0666);
        }
}

static void clean_up(uint64_t e)
{
    char path[64], below[80];

    snprintf(path, sizeof path, "/tmp/fuzz.%lx", e);
    for (int i = 0; i < 8 && nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS); i++) /* what is mounted must be empty first */
        for (unsigned n = 0; n < OWN_NAMES; n++) {
            snprintf(below, sizeof below, "%s/%s", path, names[n]);
            umount2(below, 0);
        }
    if (access(path, F_OK) == 0)
        printf("callfuzz: %s stays: %s\n", path, strerror(errno));
}

static void remove_shared(void)
{
    for (unsigned i = 0; i < SEGMENTS; i++)
        shmctl(shared->segments[i], IPC_RMID, NULL);
    for (int key = 0x1000; key < 0x1008; key++)
        shmctl(shmget(key, 0, 0), IPC_RMID, NULL);
    mq_unlink("/fuzz");
    for (unsigned i = 0; i < OWN_NAMES; i++) {
        char path[64];
        syscall(SYS_mq_unlink, names[i]);
        if (strchr(names[i], '/') || names[i][0] == '.' || !names[i][0])
            continue;
        for (unsigned f = 0; f < 4; f++) { /* where ".." may have led */
            snprintf(path, sizeof path, "%s/%s", (const char *[]){"", "/tmp", "/dev", "/dev/pts"}[f], names[i]);
            if (unlink(path))
                rmdir(path);
        }
    }
}

static int is_worker(pid_t pid)
{
    for (unsigned i = 0; i < k.workers; i++)
        if (k.children[i].pid == pid)
            return 1;
    return 0;
}

/* What episodes have left behind in groups of their own has become the keeper's (it takes orphans in): ends. */
static void end_strays(void)
{
    DIR *d = opendir("/proc");
    char path[300], text[256];
    struct dirent *e;

    while (d && (e = readdir(d))) {
        int pid = atoi(e->d_name), parent = 0, fd, n;
        const char *rest;
        char state;

        snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
        if (pid <= 1 || (fd = open(path, O_RDONLY)) < 0)
            continue;
        n = (int)read(fd, text, sizeof text - 1);
        close(fd);
        text[n > 0 ? n : 0] = 0;
        rest = strrchr(text, ')'); /* the name may be anything */
        if (rest && sscanf(rest, ") %c %d", &state, &parent) == 2 && state != 'Z' && parent == getpid() && !is_worker(pid))
            kill(pid, SIGKILL);
    }
    if (d)
        closedir(d);
}

static void start(unsigned i, uint64_t e, int fd)
{
    struct child *c = &k.children[i];

    mine = &shared->slots[i];
    mine->episode = episode = e;
    snprintf(folder, sizeof folder, "/tmp/fuzz.%lx", episode);
    atomic_store(&mine->step, step_now);
    restore_devices();
    c->pid = fork();
    if (c->pid == 0)
        worker(fd);
    c->moved = now(), c->killed = 0, c->step = step_now;
    k.episodes++;
}

static void ended(unsigned i, int status)
{
    struct child *c = &k.children[i];
    long n = shared->slots[i].ring[(atomic_load(&shared->slots[i].step) - 1) % RING].number;

    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV && atomic_load(&shared->slots[i].step) && n >= 0 && n < NUMBERS)
        k.fault_in[n]++;
    if (c->killed && now() - c->killed > k.slowest)
        k.slowest = now() - c->killed;
    kill(-c->pid, SIGKILL); /* what it has left behind */
    if (WIFSIGNALED(status))
        k.killed++, k.signals[WTERMSIG(status)]++;
    else
        k.ended++, k.statuses[WEXITSTATUS(status) & 15]++;
    c->pid = 0;
    end_strays();
    clean_up(shared->slots[i].episode);
    remove_shared();
}

/* Who has not moved is asked to go on, and after a while killed. */
static void watch(unsigned i)
{
    struct child *c = &k.children[i];
    unsigned long step = atomic_load(&shared->slots[i].step);
    long n = shared->slots[i].ring[(step - 1) % RING].number;

    if (step != c->step) {
        c->step = step, c->moved = now();
        return;
    }
    if (c->killed) {
        if (now() - c->killed > HANG)
            hang(i);
        return;
    }
    if (now() - c->moved > 0.01) {
        kill(c->pid, SIGCONT);
        kill(c->pid, SIGUSR2);
    }
    if (now() - c->moved > STUCK) {
        k.stuck++;
        if (n >= 0 && n < NUMBERS)
            k.stuck_in[n]++;
        kill(c->pid, SIGKILL);
        c->killed = now();
    }
}

static void reap(void)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (unsigned i = 0; i < k.workers; i++)
            if (k.children[i].pid == pid)
                ended(i, status);
}

static unsigned running(void)
{
    unsigned n = 0;

    reap();
    for (unsigned i = 0; i < k.workers; i++) {
        if (k.children[i].pid > 0)
            watch(i), n++;
    }
    return n;
}

static unsigned reached(const atomic_ulong *what)
{
    unsigned n = 0;

    for (unsigned i = 0; i < NUMBERS; i++)
        n += atomic_load(&what[i]) > 0;
    return n;
}

static void progress(double begin)
{
    static double last;
    static unsigned long calls_then;
    unsigned long n = all_calls();

    if (last && now() - last < 10)
        return;
    printf("callfuzz: %.0f s: %lu calls, %.0f/s; %lu episodes, to %lu; %lu killed, %lu stuck; %u numbers, %u with success; %lu leaks, %lu audits, "
           "MemFree %lu kB\n", now() - begin, n, last ? (double)(n - calls_then) / (now() - last) : 0.0, k.episodes, k.next, k.killed,
           k.stuck, reached(shared->done), reached(shared->good), leaked(), k.audits, mem_free());
    fflush(stdout);
    k.idle = last && n == calls_then ? k.idle + 1 : 0;
    last = now(), calls_then = n;
}

/* Root's processes may be real-time, or make all of root's as nice as can be: the keeper has its turn all the same. */
static void come_first(void)
{
    struct sched_param most = {99};

    if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &most))
        printf("callfuzz: no real-time priority: %s\n", strerror(errno));
}

/* Episodes until there are `want` calls; all have ended at the return. */
static void run(unsigned long want, double begin)
{
    double audited = now();

    while (all_calls() < want && !leaked() && k.idle < 3) {
        for (unsigned i = 0; i < k.workers; i++)
            if (k.children[i].pid <= 0)
                start(i, k.next++, 1);
        usleep(4000);
        running();
        progress(begin);
        if (now() - audited > 15)
            audit(), audited = now();
    }
    for (unsigned i = 0; i < k.workers; i++)
        if (k.children[i].pid > 0)
            kill(k.children[i].pid, SIGKILL), k.children[i].killed = now();
    while (running() > 0)
        usleep(4000);
}

static int finish(unsigned long before, double begin)
{
    unsigned long free = 0, calls_made = all_calls();
    unsigned silent = 0;

    audit();
    if (leaked())
        fputs(shared->leak, stdout);
    printf("callfuzz: ends: by status");
    for (unsigned n = 0; n < 16; n++)
        if (k.statuses[n])
            printf(" %u (%lu)", n, k.statuses[n]);
    printf("; by signal");
    for (unsigned n = 0; n < 65; n++)
        if (k.signals[n])
            printf(" %u (%lu)", n, k.signals[n]);
    printf("\ncallfuzz: SIGSEGV after");
    for (unsigned n = 0; n < NUMBERS; n++)
        if (k.fault_in[n])
            printf(" %u (%lu)", n, k.fault_in[n]);
    printf("\n");
    for (int i = 0; i < 20 && (free = mem_free()) + SLACK < before; i++)
        usleep(200000);
    printf("callfuzz: stuck in:");
    for (unsigned n = 0; n < NUMBERS; n++)
        if (k.stuck_in[n])
            printf(" %u (%lu)", n, k.stuck_in[n]);
    printf("\ncallfuzz: known, and never with success:");
    for (unsigned i = 0; i < CALL_COUNT; i++)
        if (calls[i].how != ENDS && call_of(calls[i].number) == &calls[i] && !atomic_load(&shared->good[calls[i].number]))
            printf(" %d", calls[i].number), silent++;
    printf("%s\ncallfuzz: slowest end after SIGKILL: %.1f s; MemFree was %lu kB and is %lu kB\n", silent ? "" : " none", k.slowest, before, free);
    printf("callfuzz: seed %lu: %lu calls of %u numbers and %lu others, %.0f/s; %u of %zu numbers with success; %lu episodes, %lu killed, %lu stuck; "
           "%lu audits, %lu leaks%s\n", seed, calls_made, reached(shared->done), atomic_load(&shared->other), (double)calls_made / (now() - begin),
           reached(shared->good), (size_t)NUMBERS, k.episodes, k.killed, k.stuck, k.audits, leaked(),
           free + SLACK < before ? ", MEMORY LOST" : "");
    if (k.idle >= 3) {
        printf("callfuzz: STOPPED: processes end before their first call\n");
        fflush(stdout);
        if (system("ls -la / /dev /tmp; cat /proc/mounts"))
            printf("callfuzz: no shell\n");
    }
    fflush(stdout);
    return leaked() > 0 || free + SLACK < before || k.idle >= 3;
}

/* One episode again, or a part of it. */
static int repeat(uint64_t e)
{
    k.workers = 1;
    start(0, e, 1);
    while (running() > 0)
        usleep(2000);
    if (!logging)
        show_ring(0);
    fputs(shared->leak, stdout);
    printf("callfuzz: seed %lu episode %lu: %lu calls, %lu leaks\n", seed, e, all_calls(), leaked());
    return leaked() > 0;
}

int main(int argc, char **argv)
{
    unsigned long want = 1000000, before, warm;
    double begin = now();
    long which = -1;

    step_end = STEPS;
    k.workers = 8;
    if (argc < 2 || argv[1][0] != '-')
        return 0; /* a call has started this program */
    for (int i = 1; i < argc; i++) {
        uint64_t value = i + 1 < argc ? strtoull(argv[i + 1], NULL, 0) : 0;
        int takes = 1;
        if (strcmp(argv[i], "--calls") == 0)
            want = value;
        else if (strcmp(argv[i], "--seed") == 0)
            seed = value;
        else if (strcmp(argv[i], "--workers") == 0 && value > 0 && value <= WORKERS_MAX)
            k.workers = (unsigned)value;
        else if (strcmp(argv[i], "--episode") == 0)
            which = (long)value;
        else if (strcmp(argv[i], "--from") == 0)
            step_now = value;
        else if (strcmp(argv[i], "--to") == 0)
            step_end = value;
        else if (takes = 0, strcmp(argv[i], "--alone") == 0)
            alone = 1;
        else if (strcmp(argv[i], "--log") == 0)
            logging = 1;
        else
            return fprintf(stderr, "callfuzz: %s: see the head of its source\n", argv[i]), 2;
        i += takes;
    }
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared->marked = access("/proc/allocations", F_OK) == 0;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    come_first();
    signal(SIGUSR2, SIG_IGN); /* a new process is not ready for it */
    if (which >= 0)
        return repeat((uint64_t)which);
    warm = want / 20 < 100000 ? want / 20 : 100000;
    run(warm, begin); /* what the kernel keeps for later, it keeps now */
    before = mem_free();
    run(want, begin);
    return finish(before, begin);
}
