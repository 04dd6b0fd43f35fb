/*
 * failnth.c: what the tests make ready, and what they do. Each has all it needs in the
 * subject's folder. Here: what all use; processes, threads, mappings, shared memory.
 */
#pragma once
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <pty.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

#define MiB (1ul << 20)
#define ZONE_PAGES 3ul        /* that have something, each in a leaf table of its own */
#define ZONE_STRIDE (2 * MiB)
#if defined(__x86_64__)
#define ZONE_FAR 0x20000000000ul /* another entry of the root table */
#else
#define ZONE_FAR 0x1080000000ul
#endif
#define BIG (64 * 1024)

#define OR_ERRNO(call) ((call) == -1 ? errno : 0)
#define sure(what) ({ long r_ = (long)(what); if (r_ == -1) wrong("%s: %s", #what, strerror(errno)); r_; })

/* What prepare leaves for act; written before, so that it is the subject's own. */
static int fds[64];
static char *area, buffer[BIG];
static unsigned long area_size;
static char child_stack[64 * 1024] __attribute__((aligned(16)));
static int shared_id = -1;

static void file_make(const char *name, size_t size)
{
    int fd = (int)sure(open(name, O_RDWR | O_CREAT, 0644));

    for (size_t at = 0; at < size; at += PAGE)
        sure(pwrite(fd, buffer, PAGE, (off_t)at));
    fds[0] = fd;
}

static void area_make(unsigned long size, int prot, int flags, int fd)
{
    area_size = size;
    area = mmap(NULL, size, prot, flags, fd, 0);
    if (area == MAP_FAILED)
        wrong("mmap: %s", strerror(errno));
}

/* In a place of its own: the tables above are to be made, too. */
static void area_make_far(unsigned long size, int prot, int flags, int fd)
{
    area_size = size;
    area = mmap((void *)(ZONE_FAR + 0x200000000ul), size, prot, flags | MAP_FIXED_NOREPLACE, fd, 0);
    if (area == MAP_FAILED)
        wrong("mmap: %s", strerror(errno));
}

/* ---- processes and threads ---- */

static int wait_child(long pid)
{
    int status;

    if (pid == -1)
        return errno;
    if (waitpid((pid_t)pid, &status, __WALL) != pid || status != 0)
        wrong("the child ended with %#x", status);
    return 0;
}

static int act_fork(void)
{
    long pid = fork();

    if (pid == 0)
        _exit(zones[0][0] == 'z' ? 0 : 1);
    return wait_child(pid);
}

static int act_vfork(void)
{
    volatile long pid = vfork();

    if (pid == 0)
        _exit(0);
    return wait_child(pid);
}

static int child_body(void *arg)
{
    (void)arg;
    return 0;
}

static int act_clone(void)
{
    return wait_child(clone(child_body, child_stack + sizeof child_stack, (int)strtol(test->arg, NULL, 0) | SIGCHLD, NULL));
}

static volatile int threads_wait, thread_done;

static int thread_body(void *arg)
{
    (void)arg;
    while (threads_wait)
        syscall(SYS_sched_yield);
    thread_done++;
    return 0;
}

static int thread_start(char *stack_top)
{
    int tid = clone(thread_body, stack_top,
                    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, NULL);

    return tid == -1 ? errno : 0;
}

static int act_thread(void)
{
    int err;

    thread_done = 0;
    err = thread_start(child_stack + sizeof child_stack);
    while (!err && !thread_done)
        sched_yield();
    return err;
}

/* More than kernel stacks wait for the next thread. The threads end one after the other, as they share a count. */
static int act_many_threads(void)
{
    int err = 0, n = 0;

    threads_wait = 1;
    thread_done = 0;
    while (n < 30 && !(err = thread_start(child_stack + sizeof child_stack - (size_t)n * 2048)))
        n++;
    threads_wait = 0;
    while (thread_done < n)
        sched_yield();
    return err;
}

static void prepare_left_out(void)
{
    area_make_far(8 * MiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    memset(area, 'a', 3 * PAGE);
    area[4 * MiB] = 'b';
    sure(madvise(area + PAGE, PAGE, MADV_DONTFORK));
    sure(madvise(area + 4 * MiB, PAGE, MADV_WIPEONFORK));
    sure(mlock(area, PAGE));
}

static int act_fork_left_out(void)
{
    long pid = fork();

    if (pid == 0)
        _exit(area[0] == 'a' && area[2 * PAGE] == 'a' && area[4 * MiB] == 0 ? 0 : 1);
    return wait_child(pid);
}

/* A process with much memory of all kinds goes, while nothing can be had. */
static void prepare_exit(void)
{
    area_make_far(16 * MiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    for (unsigned long at = 0; at < area_size; at += MiB)
        area[at] = 1;
    file_make("f", BIG);
    area_make(BIG, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0]);
    memset(area, 1, BIG);
    for (unsigned long z = 0; z < ZONE_PAGES; z++)
        zones[0][z * ZONE_STRIDE] = 'e';
    sure(pipe(fds));
    sure(write(fds[1], buffer, BIG / 2));
}

/* Something that is to fail, and from then on everything, or only the next. */
static int act_exit(void)
{
    (void)eventfd(0, 0);
    _exit(40 + plan_used());
}

static char *exec_args[] = {"/bin/failnth", "--target", "an argument", NULL}, *exec_env[] = {"A=1", "B=2", NULL};

static int act_exec(void)
{
    return OR_ERRNO(execve("/bin/failnth", exec_args, exec_env));
}

/* With an interpreter, that of programs that are linked dynamically. */
static int act_exec_dynamic(void)
{
    static char *args[] = {"bash", "-c", ":", NULL};

    return OR_ERRNO(execve("/bin/bash", args, exec_env));
}

static int act_exec_xv6(void)
{
    static char *args[] = {"each", NULL};

    return OR_ERRNO(execve("/bin/xv6-each", args, exec_env));
}

static void prepare_script(void)
{
    static const char text[] = "#!/bin/failnth --target\n";
    int fd = (int)sure(open("script", O_WRONLY | O_CREAT, 0755));

    sure(write(fd, text, sizeof text - 1));
    close(fd);
}

static int act_exec_script(void)
{
    return OR_ERRNO(execve("script", exec_args, exec_env));
}

static void prepare_exec_threads(void)
{
    threads_wait = 1;
    if (thread_start(child_stack + sizeof child_stack))
        wrong("no thread");
}

/* Another process beside this one, as long as it lives. With CLONE_FILES: exec makes descriptors of its own; without: who
 * first changes what a fork has shared does. */
static int beside_body(void *arg)
{
    (void)arg;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    report->ready = 1;
    pause();
    return 0;
}

static void prepare_beside(void)
{
    sure(clone(beside_body, child_stack + sizeof child_stack, (int)strtol(test->arg, NULL, 0) | SIGCHLD, NULL));
    while (!*(volatile int *)&report->ready)
        sched_yield();
}

static int act_setsid(void)
{
    return OR_ERRNO(setsid());
}

/* ---- mappings ---- */

static int map_result(void *at, unsigned long size)
{
    if (at == MAP_FAILED)
        return errno;
    return OR_ERRNO(munmap(at, size));
}

static int act_mmap(void)
{
    return map_result(mmap(NULL, MiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), MiB);
}

static int act_mmap_shared(void)
{
    return map_result(mmap(NULL, MiB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), MiB);
}

static void prepare_file(void)
{
    file_make("f", 8 * PAGE);
}

static int act_mmap_file(void)
{
    return map_result(mmap(NULL, 8 * PAGE, PROT_READ, MAP_PRIVATE, fds[0], 0), 8 * PAGE);
}

static int act_mmap_populate(void)
{
    return map_result(mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0), 8 * PAGE);
}

/* Over a part of what the parent has, too: tables are copied. */
static int act_mmap_fixed(void)
{
    char *at = mmap(zones[0] + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

    return at == MAP_FAILED ? errno : 0;
}

static void look_at_zone(int cut)
{
    for (unsigned long p = 0; p < 8; p++)
        if ((int)p != cut && zones[0][p * PAGE] != 'z')
            wrong("page %lu beside what was changed has %d", p, zones[0][p * PAGE]);
}

static int act_munmap_middle(void)
{
    int err = OR_ERRNO(munmap(zones[0] + 3 * PAGE, PAGE));

    if (err)
        look_at_zone(-1);
    return err;
}

/* Both ends in tables that are shared. */
static int act_munmap_wide(void)
{
    return OR_ERRNO(munmap(zones[0] + PAGE, 2 * ZONE_STRIDE));
}

static int act_mprotect_split(void)
{
    if (report->result) /* it has failed once, and changed nothing: else SIGSEGV */
        zones[0][3 * PAGE] = 'z';
    return OR_ERRNO(mprotect(zones[0] + 3 * PAGE, PAGE, PROT_READ));
}

static int act_mprotect_none(void)
{
    return OR_ERRNO(mprotect(zones[0], 2 * ZONE_STRIDE, PROT_NONE));
}

static int act_mremap_move(void)
{
    char *at = mremap(zones[0], 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)(ZONE_FAR + 0x300000000ul));

    if (at == MAP_FAILED) {
        int err = errno;

        look_at_zone(-1);
        return err;
    }
    for (unsigned long p = 0; p < 8; p++)
        if (at[p * PAGE] != 'z')
            wrong("page %lu was not moved", p);
    return 0;
}

static int act_mremap_grow(void)
{
    char *at = mremap(zones[0] + 2 * PAGE, PAGE, 4 * MiB, MREMAP_MAYMOVE);

    return at == MAP_FAILED ? errno : at[0] == 'z' ? 0 : EILSEQ;
}

static int act_mremap_shrink(void)
{
    char *at = mremap(zones[0], ZONE_PAGES * ZONE_STRIDE, ZONE_STRIDE + PAGE, 0);
    int err = at == MAP_FAILED ? errno : 0;

    if (err && zones[0][2 * ZONE_STRIDE] != 'z')
        wrong("mremap failed, and what it was to unmap has %d", zones[0][2 * ZONE_STRIDE]);
    return err;
}

static int act_madvise(void)
{
    return OR_ERRNO(madvise(zones[0] + PAGE, ZONE_STRIDE, (int)strtol(test->arg, NULL, 0)));
}

/* Populates what the parent has, and what nobody has. */
static int act_madvise_populate(void)
{
    return OR_ERRNO(madvise(zones[0] + 4 * PAGE, 8 * PAGE, 23));
}

static unsigned long break_now;

static void prepare_break(void)
{
    break_now = (unsigned long)sbrk(0);
}

/* Linux's brk says where the end is now. */
static int brk_to(unsigned long to)
{
    return (unsigned long)syscall(SYS_brk, to) == to ? 0 : ENOMEM;
}

static int act_brk(void)
{
    return brk_to(break_now + MiB);
}

static void prepare_brk(void)
{
    sure((long)sbrk(8 * MiB));
    prepare_break();
    memset((char *)break_now - 8 * MiB, 1, 4 * PAGE);
}

static int act_brk_back(void)
{
    return brk_to(break_now - 4 * MiB);
}

static void prepare_map(void)
{
    area_make_far(8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static int act_mlock(void)
{
    return OR_ERRNO(mlock(area + PAGE, 4 * PAGE));
}

static int act_mlock2(void)
{
    return OR_ERRNO(syscall(SYS_mlock2, area + PAGE, 4 * PAGE, 1));
}

static void prepare_mlockall(void)
{
    prepare_map();
    for (int z = 0; z < 2; z++)
        sure(munmap(zones[z], ZONE_PAGES * ZONE_STRIDE));
}

static int act_mlockall(void)
{
    return OR_ERRNO(mlockall(MCL_CURRENT | MCL_FUTURE));
}

static void prepare_locked(void)
{
    prepare_map();
    sure(mlock(area, 8 * PAGE));
}

static int act_munlock(void)
{
    return OR_ERRNO(munlock(area + PAGE, 4 * PAGE));
}

/* ---- System V shared memory: segments go with their last mapping ---- */

static int act_shmget(void)
{
    int id = shmget(IPC_PRIVATE, 4 * PAGE, IPC_CREAT | 0600);

    return id == -1 ? errno : OR_ERRNO(shmctl(id, IPC_RMID, NULL));
}

/* Anybody's that is left: a subject that was killed. */
static void ids_drop(void)
{
    struct shmid_ds ds;

    (void)ds;
    for (int key = 1; key <= 1; key++) {
        int id = shmget(0x7e57, 1, 0);
        if (id >= 0)
            shmctl(id, IPC_RMID, NULL);
    }
    mq_unlink("/fn");
}

static void prepare_shm(void)
{
    shared_id = (int)sure(shmget(0x7e57, 4 * PAGE, IPC_CREAT | IPC_EXCL | 0600));
}

static int act_shmat(void)
{
    void *at = shmat(shared_id, NULL, 0);

    return at == (void *)-1 ? errno : OR_ERRNO(shmdt(at));
}

static void prepare_shmat(void)
{
    prepare_shm();
    area = shmat(shared_id, NULL, 0);
    if (area == (char *)-1)
        wrong("shmat: %s", strerror(errno));
}
