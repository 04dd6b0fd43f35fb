/*
 * A storm for hours: processes that fork, exec, vfork, start threads, map, unmap, protect, move,
 * let the kernel store into their pages, signal, kill and starve each other, on pages with tags.
 *
 * Each page of a process's private area carries a value that says who wrote it and when; the process
 * knows what each of its pages must hold, looks before it changes one and at random times. So a store
 * that is lost, shows elsewhere or was another's is seen. In shared pages each process has one word
 * of its own, which says where it belongs.
 *
 * soak SECONDS [SEED [PROCESSES [PAGES]]]
 *
 * The keeper (the first process) starts the storm in rounds, writes a line every ten seconds, has the
 * kernel recount its references (debug builds), and compares MemFree when all have ended. Status 0: nothing
 * was wrong.
 */
#include "soak/soak.h"

static const char *const op_name[] = {
#define X(n) #n,
    OPS(X)
#undef X
};

static unsigned long mem_free(void)
{
    struct sysinfo s;

    return sysinfo(&s) ? 0 : s.freeram * s.mem_unit / 1024;
}

static unsigned long vmstat(const char *name)
{
    static char text[16384]; /* all pages of the keeper are its own while others eat */
    int fd = open("/proc/vmstat", O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    size_t length = strlen(name);

    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    for (char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, name, length) == 0 && line[length] == ' ')
            return strtoul(line + length, NULL, 10);
    return 0;
}

static void audit(void)
{
    int fd = open("/proc/sys/vm/check", O_WRONLY);

    if (fd < 0)
        return;
    if (write(fd, "1", 1) != 1)
        refused("/proc/sys/vm/check"); /* what is wrong ends the kernel */
    close(fd);
}

static unsigned long all_ops(void)
{
    unsigned long sum = 0;

    for (int i = 0; i < OP_COUNT; i++)
        sum += atomic_load(&shared->ops[i]);
    return sum;
}

struct sample {
    double at;
    unsigned long steps, forks, execs, kills, faults, copies, tables, audits;
};

static struct sample sample(void)
{
    return (struct sample){now(),
                           all_ops(),
                           atomic_load(&shared->ops[OP_fork]),
                           atomic_load(&shared->ops[OP_exec]) + atomic_load(&shared->ops[OP_vfork]),
                           atomic_load(&shared->ops[OP_kill]),
                           vmstat("pgfault"),
                           vmstat("cow_page_copy"),
                           vmstat("table_copy"),
                           vmstat("vm_check")};
}

static void show(const struct sample *from, const char *what)
{
    struct sample s = sample();
    double t = s.at - from->at > 0.1 ? s.at - from->at : 0.1;

    printf("soak: %s: %.0f operations/s (%.0f forks, %.0f execs, %.0f kills), %.0f faults/s, %.0f pages and %.0f tables copied/s, "
           "%lu audits, %lu oom kills, %lu wrong, MemFree %lu kB\n", what, (double)(s.steps - from->steps) / t,
           (double)(s.forks - from->forks) / t, (double)(s.execs - from->execs) / t, (double)(s.kills - from->kills) / t,
           (double)(s.faults - from->faults) / t, (double)(s.copies - from->copies) / t, (double)(s.tables - from->tables) / t,
           s.audits, vmstat("oom_kill"), atomic_load(&shared->wrong), mem_free());
    fflush(stdout);
}

static void show_log(void)
{
    static char text[65536];
    int n = klogctl(3, text, sizeof text); /* SYSLOG_ACTION_READ_ALL */

    fwrite(text, 1, n > 0 ? (size_t)n : 0, stdout);
    fflush(stdout);
}

/* Where everybody is, and what the kernel has said. */
static void __attribute__((noreturn)) hang(const char *what)
{
    printf("soak: HANG: %s\n", what);
    fflush(stdout);
    if (system("for p in /proc/[0-9]*; do echo $(cut -c1-120 $p/stat) $(cat $p/wchan); done"))
        printf("soak: no shell\n");
    show_log();
    _exit(3);
}

static int make_files(void)
{
    static uint64_t page[WORDS];
    int fd;

    mkdir("/tmp/soak", 0777);
    mkdir("/tmp/soak/folder", 0777);
    for (int i = 0; i < 30; i++) {
        char name[64];
        snprintf(name, sizeof name, "/tmp/soak/folder/file-%d", i);
        close(open(name, O_CREAT | O_WRONLY, 0666));
    }
    fd = memfd_create("soak", 0);
    if (fd < 0 || dup2(fd, FD_MEMFD) < 0 || ftruncate(FD_MEMFD, (off_t)(MAP_PAGES * PAGE)))
        return -1;
    close(fd);
    fd = open("/tmp/soak/pattern", O_RDWR | O_CREAT | O_TRUNC, 0666);
    for (unsigned long p = 0; p < PATTERN_PAGES; p++) {
        memset(page, 0, PAGE);
        words_set(page, pattern(p));
        if (write(fd, page, PAGE) != (ssize_t)PAGE)
            return -1;
    }
    close(fd);
    fd = open("/tmp/soak/pattern", O_RDONLY);
    if (fd < 0 || dup2(fd, FD_PATTERN) < 0)
        return -1;
    close(fd);
    fd = open("/tmp/soak/file", O_RDWR | O_CREAT | O_TRUNC, 0666);
    if (fd < 0 || dup2(fd, FD_FILE) < 0 || ftruncate(FD_FILE, (off_t)(MAP_PAGES * PAGE)))
        return -1;
    return close(fd);
}

/* The file that all map privately is what it was. */
static void check_pattern(void)
{
    static uint64_t page[WORDS];

    for (unsigned long p = 0; p < PATTERN_PAGES; p++)
        if (pread(FD_PATTERN, page, PAGE, (off_t)(p * PAGE)) != (ssize_t)PAGE || !words_hold(page, pattern(p)))
            wrong("page %lu of a file that is mapped privately only has changed", p);
}

/* One of the storm's first processes, or the one that only keeps the group there is. */
static pid_t start(int holder)
{
    int s = holder ? 0 : slot_claim();
    pid_t pid = s < 0 ? -1 : fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setpgid(0, holder ? 0 : shared->group);
        if (holder)
            for (;;)
                pause();
        signal(SIGUSR1, SIG_DFL);
        slot = (unsigned)s;
        atomic_store(&shared->slots[s], getpid());
        new_owner();
        if (open_maps())
            _exit(2);
        worker_begin();
        work();
    }
    if (pid < 0 && s >= 0 && !holder)
        atomic_store(&shared->slots[s], 0);
    if (pid > 0)
        setpgid(pid, holder ? pid : shared->group);
    return pid;
}

/* All end by themselves, or are killed; who does not end then is a hang. Memory must be back. */
static void quiet(unsigned long *baseline)
{
    double from = now(), killed = 0;
    unsigned long free = 0;

    atomic_store(&shared->stop, 1);
    kill(shared->group, SIGKILL); /* who holds the group */
    for (int status;; usleep(10000)) {
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid < 0 && errno == ECHILD)
            break;
        for (; pid > 0; pid = waitpid(-1, &status, WNOHANG))
            ended(pid, status);
        kill(-shared->group, SIGCONT);
        if (!killed && now() - from > 5)
            killed = now(), kill(-shared->group, SIGKILL);
        if (killed && now() - killed > HANG)
            hang("processes that do not end when they are killed");
    }
    check_pattern();
    if (ftruncate(FD_MEMFD, 0) || ftruncate(FD_MEMFD, (off_t)(MAP_PAGES * PAGE)) || ftruncate(FD_FILE, 0) ||
        ftruncate(FD_FILE, (off_t)(MAP_PAGES * PAGE)))
        refused("ftruncate");
    audit();
    for (int i = 0; i < 20; i++, usleep(200000)) {
        free = mem_free();
        if (*baseline == 0 || free + SLACK >= *baseline)
            break;
    }
    if (*baseline == 0)
        *baseline = free;
    else if (free + SLACK < *baseline)
        wrong("MemFree was %lu kB after the first round and is %lu kB now", *baseline, free);
    printf("soak: quiet: MemFree %lu kB, after the first round %lu kB\n", free, *baseline);
    fflush(stdout);
}

/* The keeper's own pages, which a fork has shared, are made its own again: no store of it finds no memory later. */
static void own_all(void)
{
    extern char __data_start, _end;
    volatile char stack[65536];

    for (volatile char *p = &__data_start; p < &_end; p += PAGE)
        *p = *p;
    for (size_t i = 0; i < sizeof stack; i += PAGE)
        stack[i] = 1;
}

static void round_begin(void)
{
    for (unsigned s = 0; s < SLOTS; s++)
        atomic_store(&shared->slots[s], 0);
    atomic_store(&shared->hungry, 0);
    atomic_store(&shared->stop, 0);
    shared->group = start(1);
    if (shared->group < 0)
        hang("no process can be made though all have ended");
}

/* Who is hungry has gone, or there is nobody: then the keeper is, for as long as it forks. */
static void add_roots(void)
{
    int nobody = 0, who = atomic_load(&shared->hungry), missing = 0;

    for (unsigned i = 0; i < ROOTS; i++)
        missing += children[i] == 0;

    if (who > 0 && kill(who, 0) && errno == ESRCH)
        atomic_compare_exchange_strong(&shared->hungry, &who, 0);
    if (!missing || mem_free() < 16384 || !atomic_compare_exchange_strong(&shared->hungry, &nobody, getpid()))
        return;
    for (unsigned i = 0; i < ROOTS; i++)
        if (children[i] == 0 && (children[i] = start(0)) < 0)
            children[i] = 0;
    own_all();
    atomic_store(&shared->hungry, 0);
}

static void storm(double seconds, double begin, unsigned long *baseline)
{
    static struct sample last;
    static double audited;
    double end = now() + seconds, moved = now();
    unsigned long steps = all_ops();
    char when[32];

    if (last.at == 0)
        last = sample();
    round_begin();
    for (; now() < end && atomic_load(&shared->wrong) == 0; usleep(20000)) {
        for (int status, pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
            ended(pid, status);
        add_roots();
        if (rnd(30) == 0)
            signal_somebody(SIGKILL);
        if (now() - audited > 5)
            audit(), audited = now();
        if (all_ops() != steps)
            steps = all_ops(), moved = now();
        if (now() - moved > HANG)
            hang("nobody has done anything for a minute");
        if (now() - last.at >= 10) {
            snprintf(when, sizeof when, "%.0f s", now() - begin);
            show(&last, when);
            last = sample();
        }
    }
    quiet(baseline);
}

static int report(const struct sample *first)
{
    double t = now() - first->at;

    show(first, "in all");
    for (int i = 0; i < OP_COUNT; i++)
        printf("soak: %-14s %12lu %10.1f/s\n", op_name[i], atomic_load(&shared->ops[i]), (double)atomic_load(&shared->ops[i]) / t);
    printf("soak: seed %lu, %.0f s, %lu operations, %lu wrong\n", shared->seed, t, all_ops(), atomic_load(&shared->wrong));
    if (atomic_load(&shared->wrong))
        show_log();
    return atomic_load(&shared->wrong) > 0;
}

static int share_memory(void)
{
    int fd = memfd_create("soak shared", 0);

    if (fd < 0 || dup2(fd, FD_SHARED) < 0 || ftruncate(FD_SHARED, sizeof *shared))
        return -1;
    return close(fd);
}

static int worker_main(char **argv)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, FD_SHARED, 0);
    if (shared == MAP_FAILED)
        return 2;
    depth = (unsigned)atoi(argv[2]);
    slot = (unsigned)atoi(argv[3]);
    new_owner();
    if (open_maps()) {
        refused("shared maps");
        return 2;
    }
    worker_begin();
    work();
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 20, begin = now(), length;
    unsigned long baseline = 0;
    static char buffer[4096];
    struct sample first;

    if (argc == 4 && strcmp(argv[1], "worker") == 0)
        return worker_main(argv);
    if (argc == 2 && strcmp(argv[1], "nothing") == 0)
        return 0;
    if (share_memory() || (shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, FD_SHARED, 0)) == MAP_FAILED) {
        perror("soak");
        return 2;
    }
    shared->seed = argc > 2 ? strtoul(argv[2], NULL, 0) : (unsigned long)time(NULL);
    shared->processes = argc > 3 ? strtoul(argv[3], NULL, 0) : 40;
    shared->pages = argc > 4 ? strtoul(argv[4], NULL, 0) : 1500;
    if (shared->processes > SLOTS || shared->processes < 8 || shared->pages < 256 || make_files()) {
        fprintf(stderr, "usage: soak SECONDS [SEED [PROCESSES, 8 to %d [PAGES, at least 256]]]\n", SLOTS);
        return 2;
    }
    new_owner();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGUSR1, SIG_IGN);
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    printf("soak: seed %lu, %lu processes of %lu pages, %.0f s\n", shared->seed, shared->processes, shared->pages, seconds);
    fflush(stdout);
    first = sample();
    length = seconds / 4 < 5 ? 5 : seconds / 4 > ROUND_MAX ? ROUND_MAX : seconds / 4;
    while (now() - begin < seconds && atomic_load(&shared->wrong) == 0)
        storm(length, begin, &baseline);
    return report(&first);
}
