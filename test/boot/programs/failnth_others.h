/* failnth.c: signals, timers, queues, terminals, /proc; faults; what takes no memory. */
#pragma once
#include "failnth_files.h"

/* ---- signals and timers ---- */

static int act_timer_create(void)
{
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    int id;

    return OR_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, &e, &id));
}

static int act_setitimer(void)
{
    struct itimerval v = {.it_value = {.tv_sec = 1000}};

    return OR_ERRNO(setitimer(ITIMER_REAL, &v, NULL));
}

static volatile int handled;

static void handler(int sig)
{
    handled = sig;
}

static void handler_info(int sig, siginfo_t *info, void *context)
{
    (void)context;
    handled = info->si_value.sival_int == 7 ? sig : -1;
}

static void prepare_handler(void)
{
    struct sigaction sa = {.sa_sigaction = handler_info, .sa_flags = SA_SIGINFO};

    sure(sigaction(SIGRTMIN, &sa, NULL));
    signal(SIGUSR1, handler);
}

/* No room to say who sent it: it comes all the same. */
static int act_kill(void)
{
    handled = 0;
    sure(kill(getpid(), SIGUSR1));
    return handled == SIGUSR1 ? 0 : EILSEQ;
}

static int act_tgkill(void)
{
    handled = 0;
    sure(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1));
    return handled == SIGUSR1 ? 0 : EILSEQ;
}

static int act_sigqueue(void)
{
    handled = 0;
    if (sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 7}))
        return errno;
    return handled == SIGRTMIN ? 0 : EILSEQ;
}

/* The frame of a handler goes where no page is. */
static void prepare_handler_stack(void)
{
    struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    stack_t ss = {0};

    area_make_far(64 * 1024, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    ss.ss_sp = area;
    ss.ss_size = area_size;
    sure(sigaltstack(&ss, NULL));
    sure(sigaction(SIGUSR1, &sa, NULL));
}

/* More than a page of them, and each the only one that fails. */
static void prepare_blocked(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sure(sigprocmask(SIG_BLOCK, &set, NULL));
}

static int act_sigqueue_many(void)
{
    for (int i = 0; i < 80; i++)
        if (sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i}))
            return errno;
    return 0;
}

/* ---- message queues, terminals, the log ---- */

static int act_mq_open(void)
{
    struct mq_attr a = {.mq_maxmsg = 4, .mq_msgsize = 100};
    mqd_t q = mq_open("/fn", O_RDWR | O_CREAT | O_EXCL, 0600, &a);

    return q == (mqd_t)-1 ? errno : OR_ERRNO(mq_close(q));
}

static void prepare_mq(void)
{
    struct mq_attr a = {.mq_maxmsg = 4, .mq_msgsize = 100};

    fds[0] = (int)sure(mq_open("/fn", O_RDWR | O_CREAT | O_EXCL, 0600, &a));
}

static int act_mq_send(void)
{
    return OR_ERRNO(mq_send((mqd_t)fds[0], "message", 7, 1));
}

static int act_pty(void)
{
    return close_or_errno(open("/dev/ptmx", O_RDWR | O_NOCTTY));
}

static void prepare_pty(void)
{
    int zero = 0;
    char name[40];
    int n;

    fds[0] = (int)sure(open("/dev/ptmx", O_RDWR | O_NOCTTY));
    sure(ioctl(fds[0], TIOCSPTLCK, &zero));
    sure(ioctl(fds[0], TIOCGPTN, &n));
    snprintf(name, sizeof name, "/dev/pts/%d", n);
    fds[1] = (int)sure(open(name, O_RDWR | O_NOCTTY));
    memset(buffer, 'x', 600);
}

static int act_pty_open_slave(void)
{
    char name[40];
    int n;

    sure(ioctl(fds[0], TIOCGPTN, &n));
    snprintf(name, sizeof name, "/dev/pts/%d", n);
    return close_or_errno(open(name, O_RDWR | O_NOCTTY));
}

static int act_tty_write(void)
{
    return write(fds[1], buffer, 600) == 600 ? 0 : errno;
}

static int act_syslog(void)
{
    return OR_ERRNO(klogctl(3, buffer, sizeof buffer));
}

static void prepare_host_write(void)
{
    memset(buffer, '\n', 2000);
    fds[0] = (int)sure(open("/dev/hosterr", O_WRONLY));
}

static int act_host_write(void)
{
    return write(fds[0], buffer, 2000) == 2000 ? 0 : errno;
}

/* ---- /proc ---- */

static int act_read_file(void)
{
    int fd = open(test->arg, O_RDONLY), err = 0;
    ssize_t n;

    if (fd == -1)
        return errno;
    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        if (strstr(test->arg, "pagemap") || strstr(test->arg, "kpage"))
            break;
    if (n == -1)
        err = errno;
    close(fd);
    return err;
}

static void prepare_proc_fd(void)
{
    sure(pipe(fds));
    if (dup2(fds[0], 50) != 50)
        wrong("dup2: %s", strerror(errno));
}

/* ---- faults ---- */

static int act_load(void)
{
    return *(volatile char *)area == 0 ? 0 : EILSEQ;
}

static int act_store(void)
{
    *(volatile char *)area = 1;
    return 0;
}

/* Untouched memory that has been read: the page of zeros is replaced. */
static void prepare_zero_page(void)
{
    prepare_map();
    if (*(volatile char *)area)
        wrong("it is not zero");
}

static int act_store_far(void)
{
    zones[1][0] = 's';
    return zones[1][0] == 's' ? 0 : EILSEQ;
}

static void prepare_upper_own(void)
{
    zones[0][2 * ZONE_STRIDE] = 's';
}

static void prepare_leaf_own(void)
{
    zones[0][7 * PAGE] = 's';
}

static int act_store_zone(void)
{
    zones[0][3 * PAGE] = 's';
    return zones[0][3 * PAGE] == 's' && zones[0][4 * PAGE] == 'z' ? 0 : EILSEQ;
}

static void map_file(int prot, int flags)
{
    prepare_file();
    area_make_far(8 * PAGE, prot, flags, fds[0]);
}

static void prepare_file_private(void)
{
    map_file(PROT_READ | PROT_WRITE, MAP_PRIVATE);
}

static void prepare_file_shared(void)
{
    map_file(PROT_READ | PROT_WRITE, MAP_SHARED);
}

static void prepare_file_read(void)
{
    prepare_file_private();
    if (*(volatile char *)area)
        wrong("it is not zero");
}

static void prepare_hole(void)
{
    file_make("f", 0);
    sure(ftruncate(fds[0], 8 * PAGE));
    area_make_far(8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0]);
}

static void prepare_shared(void)
{
    area_make_far(8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
}

static void prepare_memfd(void)
{
    int fd = (int)sure(syscall(SYS_memfd_create, "m", 0));

    sure(ftruncate(fd, 8 * PAGE));
    area_make_far(8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
}

static int __attribute__((noinline)) act_stack(void)
{
    volatile char room[512 * 1024];

    room[0] = 1;
    room[PAGE] = 2;
    return room[0] + room[PAGE] == 3 ? 0 : EILSEQ;
}

/* The kernel's own loads and stores. */
static void prepare_copy(void)
{
    prepare_file();
    area_make_far(8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static int act_copy_out(void)
{
    return OR_ERRNO(pread(fds[0], area, 2 * PAGE, 0));
}

static int act_copy_in(void)
{
    return OR_ERRNO(pwrite(fds[0], area, 2 * PAGE, 0));
}

static int act_copy_shared(void)
{
    return OR_ERRNO(pread(fds[0], zones[0] + 4 * PAGE, PAGE, 0));
}

static void prepare_mem(void)
{
    sure(mprotect(zones[0], 4 * PAGE, PROT_READ));
    fds[0] = (int)sure(open("/proc/self/mem", O_RDWR));
}

static int act_mem_write(void)
{
    return OR_ERRNO(pwrite(fds[0], "m", 1, (off_t)(unsigned long)zones[0]));
}

/* ---- what takes no memory, and so does not fail for want of it ---- */

static void prepare_quiet(void)
{
    prepare_map();
    memset(area, 'q', 8 * PAGE);
    prepare_pipes();
    sure(write(fds[3], buffer, PAGE));
    prepare_handler();
}

static int quiet_signals(void)
{
    struct sigaction sa = {.sa_handler = handler};
    sigset_t set, old;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    if (sigaction(SIGUSR2, &sa, NULL) || sigprocmask(SIG_BLOCK, &set, &old) || sigprocmask(SIG_SETMASK, &old, NULL))
        return errno;
    return OR_ERRNO(sigpending(&set));
}

static int quiet_files(void)
{
    struct timespec times[2] = {{1, 0}, {1, 0}};
    struct stat st;

    if (lseek(fds[0], 0, SEEK_SET) || write(fds[0], buffer, PAGE) != (ssize_t)PAGE || pread(fds[0], buffer, PAGE, 0) != (ssize_t)PAGE)
        return errno;
    if (ftruncate(fds[0], PAGE) || syscall(SYS_fstat, fds[0], &st) || futimens(fds[0], times) || fsync(fds[0]) || fchmod(fds[0], 0600))
        return errno;
    if (fallocate(fds[0], 0, 0, 8 * PAGE) || read(fds[2], buffer, PAGE) != (ssize_t)PAGE || write(fds[3], buffer, PAGE) != (ssize_t)PAGE)
        return errno;
    return flock(fds[0], LOCK_UN) ? errno : OR_ERRNO(fcntl(fds[0], F_GETFL));
}

static int quiet_memory(void)
{
    unsigned char there[8];

    if (mincore(area, 8 * PAGE, there) || msync(area, 8 * PAGE, MS_SYNC) || madvise(area, 8 * PAGE, MADV_SEQUENTIAL))
        return errno;
    return area[PAGE] == 'q' ? 0 : EILSEQ;
}

static int quiet_waits(void)
{
    struct timespec a_moment = {0, 1000000};
    int word = 1, status;

    if (nanosleep(&a_moment, NULL) || sched_yield() || syscall(SYS_futex, &word, 1, 1, NULL, NULL, 0))
        return errno;
    if (syscall(SYS_futex, &word, 0, 2, NULL, NULL, 0) != -1 || errno != EAGAIN)
        return EILSEQ;
    return waitpid(-1, &status, WNOHANG) == -1 && errno == ECHILD ? 0 : EILSEQ;
}

static int act_quiet(void)
{
    int err = quiet_signals();

    err = err ? err : quiet_files();
    err = err ? err : quiet_memory();
    return err ? err : quiet_waits();
}

/* What comes in an interrupt is not for the thread that runs then to fail. */
static void prepare_alarm(void)
{
    struct itimerval v = {.it_value = {.tv_usec = 30000}};

    signal(SIGALRM, handler);
    handled = 0;
    sure(setitimer(ITIMER_REAL, &v, NULL));
}

static int act_alarm(void)
{
    while (handled != SIGALRM)
        ;
    return 0;
}
