/* The processes of the storm: how they begin, what they do, how they end. */
#include "soak.h"

/* ---- processes ---- */

int slot_claim(void)
{
    unsigned first = (unsigned)rnd(shared->processes);

    for (unsigned i = 0; i < shared->processes; i++) {
        int free = 0, s = (int)((first + i) % shared->processes);
        if (atomic_compare_exchange_strong(&shared->slots[s], &free, -1))
            return s;
    }
    return -1;
}

/* A child has ended: how it may. */
void ended(pid_t pid, int status)
{
    for (unsigned s = 0; s < SLOTS; s++) {
        int who = pid;
        atomic_compare_exchange_strong(&shared->slots[s], &who, 0);
    }
    for (unsigned i = 0; i < CHILDREN; i++)
        if (children[i] == pid)
            children[i] = 0;
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL && WTERMSIG(status) != SIGUSR1 && !is_pressed())
        wrong("process %d ended by signal %d", pid, WTERMSIG(status));
}

static int reap(int flags)
{
    int status, n = 0;
    pid_t pid;

    while ((pid = waitpid(-1, &status, flags)) > 0 || (pid < 0 && errno == EINTR)) {
        if (pid > 0)
            ended(pid, status), n++;
        if (atomic_load(&shared->stop))
            flags |= WNOHANG; /* the keeper takes the rest in */
    }
    return n;
}

void new_owner(void)
{
    me.owner = atomic_fetch_add(&shared->owners, 1) & 0xfffffful;
    me.sequence = 0;
    me.random = mix(shared->seed * 1000003 + me.owner);
}

static void __attribute__((noreturn)) exec_worker(void)
{
    char d[16], s[16];

    snprintf(d, sizeof d, "%u", depth);
    snprintf(s, sizeof s, "%u", slot);
    count(OP_exec);
    execl("/proc/self/exe", "soak", "worker", d, s, (char *)NULL);
    refused("execve");
    _exit(2);
}

/* In a new process: only the thread that forked is here, and only its part of the area is what the model says. */
static void child_begin(unsigned s)
{
    slot = s;
    atomic_store(&shared->slots[slot], getpid());
    new_owner();
    depth++;
    atomic_store(&threads, 0);
    memset(children, 0, sizeof children);
    memset(shadow, 0, sizeof shadow);
    for (unsigned long p = me.lo; p < me.hi; p++)
        if (model[p].wipe)
            model[p].value = 0;
}

static void __attribute__((noreturn)) child_main(unsigned kind)
{
    switch (kind) {
    case 0:
        exec_worker();
    case 1: /* looks at all */
        for (unsigned long p = me.lo; p < me.hi; p++)
            look(p);
        _exit(0);
    case 2: /* changes all */
        for (unsigned long p = me.lo; p < me.hi && !atomic_load(&shared->stop); p++)
            store(p);
        for (unsigned long p = me.lo; p < me.hi; p++)
            look(p);
        _exit(0);
    default:
        work();
    }
}

static void spawn(void)
{
    unsigned i = (unsigned)rnd(CHILDREN), kind = (unsigned)rnd(6);
    int s = depth < DEPTH_MAX && !atomic_load(&shared->stop) ? slot_claim() : -1;
    pid_t pid;

    if (s < 0)
        return;
    pid = fork();
    if (pid == 0) {
        child_begin((unsigned)s);
        child_main(kind);
    }
    if (pid < 0) {
        refused("fork");
        atomic_store(&shared->slots[s], 0);
        return;
    }
    count(OP_fork);
    int promised = -1; /* it may have ended, and been taken in by another thread */
    atomic_compare_exchange_strong(&shared->slots[s], &promised, pid);
    children[i] = pid;
}

static void vfork_and_exec(void)
{
    pid_t pid = vfork();

    if (pid == 0) {
        execl("/proc/self/exe", "soak", "nothing", (char *)NULL);
        _exit(2);
    }
    count(OP_vfork);
    if (pid < 0)
        refused("vfork");
}

/* Eats memory until little, or nothing, is left; then it goes. */
static void __attribute__((noreturn)) eat(void)
{
    unsigned long leave = rnd(3) ? 6ul << 20 : 0;
    struct sysinfo s;

    while (sysinfo(&s) == 0 && s.freeram * s.mem_unit > leave && !atomic_load(&shared->stop)) {
        unsigned char *a = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (a == MAP_FAILED)
            break;
        for (unsigned i = 0; i < 64; i++)
            a[i * PAGE] = 1;
        atomic_store(&shared->pressure_seen, (unsigned long)now());
    }
    usleep((useconds_t)rnd(200000));
    atomic_store(&shared->pressure_seen, (unsigned long)now() + 1);
    _exit(0);
}

static void hungry(void)
{
    int nobody = 0, own = getpid();
    pid_t pid;

    if (atomic_load(&shared->stop) || !atomic_compare_exchange_strong(&shared->hungry, &nobody, own))
        return;
    pid = fork();
    if (pid == 0) {
        me.random ^= (uint64_t)getpid();
        atomic_store(&shared->hungry, getpid());
        eat();
    }
    if (pid < 0) {
        refused("fork");
        atomic_compare_exchange_strong(&shared->hungry, &own, 0);
        return;
    }
    count(OP_hungry);
    atomic_compare_exchange_strong(&shared->hungry, &own, pid);
}

void signal_somebody(int signo)
{
    int who = rnd(shared->processes) ? atomic_load(&shared->slots[rnd(shared->processes)]) : atomic_load(&shared->hungry);

    if (who <= 0 || getpgid(who) != shared->group)
        return;
    count(signo == SIGKILL ? OP_kill : signo == SIGSTOP ? OP_stop : OP_signal);
    kill(who, signo);
    if (signo == SIGSTOP) {
        usleep((useconds_t)rnd(20000));
        kill(who, SIGCONT);
    }
}

/* ---- what a worker does ---- */

static void step_maps(unsigned long op, unsigned long p, unsigned long n)
{
    if (op < 3)
        map(p, n, 0);
    else if (op < 5)
        map(p, n, 1);
    else if (op < 9)
        protect(p, n, op < 7 ? PROT_READ : op == 7 ? PROT_NONE : PROT_READ | PROT_WRITE);
    else if (op < 11)
        discard(p, n);
    else if (op < 12)
        wipe(p, n);
    else if (op < 14)
        move(p, n);
    else
        scratch();
}

static void step_process(unsigned long op)
{
    if (op < 7)
        spawn();
    else if (op < 9)
        vfork_and_exec();
    else if (op < 12)
        signal_somebody(SIGUSR1);
    else if (op == 12)
        signal_somebody(SIGSTOP);
    else if (op == 13)
        signal_somebody(SIGKILL);
    else if (rnd(30) == 0)
        hungry();
    if (atomic_load(&threads) == 0)
        reap(WNOHANG);
}

static void step(void)
{
    unsigned long op = rnd(100), room = me.hi - me.lo, p = me.lo + rnd(room), n = 1 + rnd(rnd(4) ? 8 : 200);

    if (n > me.hi - p)
        n = me.hi - p;
    if (n > room / 4)
        n = room / 4;
    look(p);
    if (op < 40)
        for (unsigned long k = 0; k < 1 + op % 4; k++)
            store(me.lo + rnd(room));
    else if (op < 50)
        for (unsigned long k = p; k < p + n; k++)
            look(k);
    else if (op < 65)
        step_maps(op - 50, p, n);
    else if (op < 70)
        kernel_store(p);
    else if (op < 74)
        through_pipe(p, me.lo + rnd(room));
    else if (op < 76)
        list_folder(p);
    else if (op < 78)
        denied(p);
    else if (op < 83 && atomic_load(&threads) == 0)
        share();
    else if (op >= 83)
        step_process(op - 83);
    count(OP_look);
}

static void *thread_main(void *arg)
{
    const unsigned long *part = arg;

    new_owner();
    me.lo = part[0], me.hi = part[1];
    for (unsigned long n = 20 + rnd(100); n > 0 && !atomic_load(&shared->stop); n--)
        step();
    if (rnd(20) == 0)
        exec_worker(); /* takes all other threads with it */
    return NULL;
}

/* The area is divided; who forks meanwhile has a child that knows its own part only. */
static void with_threads(void)
{
    unsigned long n = 1 + rnd(3), lo = me.lo, hi = me.hi, size = (hi - lo) / (n + 1), parts[3][2];
    pthread_t t[3];
    unsigned started = 0;

    if (size < 64)
        return;
    atomic_store(&threads, 1);
    for (; started < n; started++) {
        parts[started][0] = lo + (started + 1) * size, parts[started][1] = lo + (started + 2) * size;
        errno = pthread_create(&t[started], NULL, thread_main, parts[started]);
        if (errno) {
            refused("pthread_create");
            break;
        }
        count(OP_thread);
    }
    me.hi = lo + size;
    for (unsigned long k = 20 + rnd(100); k > 0 && !atomic_load(&shared->stop); k--)
        step();
    while (started > 0)
        pthread_join(t[--started], NULL);
    me.hi = hi;
    atomic_store(&threads, 0);
}

static void on_signal(int signo, siginfo_t *info, void *context)
{
    volatile unsigned char room[2048];

    (void)context;
    if (signo == SIGUSR1) {
        for (unsigned i = 0; i < sizeof room; i += 64)
            room[i] = (unsigned char)i; /* fresh pages of the stack below the frame */
        return;
    }
    if (signo == SIGSEGV && me.expects)
        siglongjmp(me.denied, 1);
    if (is_pressed())
        _exit(2);
    wrong("signal %d, code %d, at %p", signo, info->si_code, info->si_addr);
    _exit(1);
}

void worker_begin(void)
{
    struct sigaction a = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};

    for (unsigned i = 0; i < 3; i++)
        sigaction((int[]){SIGUSR1, SIGSEGV, SIGBUS}[i], &a, NULL);
    me.lo = 0, me.hi = shared->pages;
    model = mmap(NULL, shared->pages * sizeof *model, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (model == MAP_FAILED || mmap(AREA, shared->pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
                                    -1, 0) != AREA) {
        refused("the area");
        _exit(2);
    }
    for (unsigned long p = 0; p < shared->pages; p++)
        model[p] = (struct page_state){.file = -1, .prot = PROT_READ | PROT_WRITE};
}

void work(void)
{
    for (unsigned long n = 20 + rnd(200); n > 0 && !atomic_load(&shared->stop); n--) {
        step();
        if (rnd(100) == 0)
            with_threads();
    }
    for (unsigned long p = me.lo; p < me.hi; p++)
        look(p);
    if (rnd(2)) /* else its children become the keeper's */
        reap(0);
    _exit(0);
}
