/* /proc/PID and /proc/PID/task/TID: figures and names. Of a process that has ended meanwhile: zeros, or no text. */
#include "fs/procfs.h"
#include "fs/tty.h"
#include "lib/string.h"
#include "vm/vm.h"

#define TICK_NS 10000000ul
#define KIB (PAGE_SIZE / 1024)

/* ---- what several files show ---- */

struct figures {
    u64 size_pages, resident_pages, text_pages, data_pages, stack_pages, locked_pages;
};

static void figures_get(struct process *p, struct figures *f)
{
    struct vmspace *vm = process_vm_get(p);
    struct region r;

    *f = (struct figures){0};
    if (!vm)
        return;
    f->size_pages = vm->mapped_pages;
    f->locked_pages = vm_locked_pages(vm);
    f->resident_pages = vm_resident(vm, 0, USER_TOP);
    for (vaddr_t va = 0; !signal_fatal_pending() && vm_region_find(vm, va, &r); va = r.end) {
        u64 pages = (r.end - r.start) >> PAGE_SHIFT;
        vm_region_release(&r);
        if (r.flags & VM_STACK)
            f->stack_pages += pages;
        else if (r.flags & VM_WRITE)
            f->data_pages += pages;
        else if (r.flags & VM_EXEC)
            f->text_pages += pages;
    }
    vmspace_put(vm);
}

static char thread_state(const struct thread *t)
{
    u32 state = atomic_load(&t->state);

    switch (state) {
    case THREAD_NEW:
    case THREAD_RUNNABLE:
    case THREAD_RUNNING:
        return 'R';
    case THREAD_DEAD:
        return 'X';
    case THREAD_SLEEPING:
        return t->interruptible == SLEEP_INTERRUPTIBLE ? 'S' : 'D';
    default:
        return 'S';
    }
}

/* Of a thread, or of a process: as its leader, but running if any thread of it runs. process_lock held. */
static char state_locked(struct process *p, struct thread *only)
{
    char state = 'S';
    struct thread *t;

    if (p->state == PROCESS_ZOMBIE || p->state == PROCESS_REAPED)
        return 'Z';
    if (p->stopped)
        return 'T';
    if (only)
        return thread_state(only);
    if (p->leader)
        state = thread_state(p->leader);
    list_for_each(t, &p->threads, process_link)
        if (thread_state(t) == 'R')
            state = 'R';
    return state;
}

/* All that process_lock protects, at one moment. */
struct snapshot {
    char state, comm[16];
    u32 id, pid, ppid, pgid, sid, tty, foreground, threads, cpu;
    s32 nice;
    u8 rt_priority, policy;
};

static void snapshot_get(struct process *p, struct thread *only, struct snapshot *s)
{
    struct thread *t;

    spin_lock(&process_lock);
    t = only ? only : p->leader;
    *s = (struct snapshot){.state = state_locked(p, only),
                           .id = only ? only->tid : p->pid,
                           .pid = p->pid,
                           .ppid = p->parent ? p->parent->pid : 0,
                           .pgid = p->pgid,
                           .sid = p->session->sid,
                           .tty = tty_number(p->session->tty),
                           .foreground = tty_foreground(p->session->tty),
                           .threads = p->thread_count,
                           .cpu = t ? t->cpu : 0,
                           .nice = t ? t->nice : 0,
                           .rt_priority = t ? t->rt_priority : 0,
                           .policy = t ? t->policy : 0};
    strlcpy(s->comm, only ? only->comm : p->comm, sizeof s->comm);
    spin_unlock(&process_lock);
}

static void usage_get(struct process *p, struct thread *only, struct rusage_ns *u)
{
    process_usage(p, false, u);
    if (only) {
        u->utime = only->utime_ns;
        u->stime = only->stime_ns;
    }
}

struct signals {
    u64 thread, process, blocked, ignored, caught;
};

static void signals_get(struct process *p, struct thread *only, struct signals *s)
{
    *s = (struct signals){0};
    spin_lock(&process_lock); /* the list of threads */
    spin_lock(&p->siglock);
    s->process = p->pending.mask;
    if (!only)
        only = p->leader;
    if (only) {
        s->thread = only->pending.mask;
        s->blocked = only->sigmask;
    }
    spin_unlock(&p->siglock);
    for (int signo = 1; p->actions && signo <= SIG_COUNT; signo++) {
        vaddr_t handler = signal_action_get(p, signo).handler;
        s->ignored |= handler == SIG_IGN ? SIG_BIT(signo) : 0;
        s->caught |= handler > SIG_IGN ? SIG_BIT(signo) : 0;
    }
    spin_unlock(&process_lock);
}

/* ---- stat, statm, status ---- */

static int show_stat(struct text *t, struct process *p, struct thread *only)
{
    struct rusage_ns self, children;
    struct signals signals;
    struct figures m;
    struct snapshot s;

    snapshot_get(p, only, &s);
    signals_get(p, only, &signals);
    figures_get(p, &m);
    usage_get(p, only, &self);
    process_usage(p, true, &children);
    text_add(t, "%u (%s) %c %u %u %u %u %d 0 ", s.id, s.comm, s.state, s.ppid, s.pgid, s.sid, s.tty,
             s.foreground ? (int)s.foreground : -1);
    text_add(t, "%lu %lu 0 0 %lu %lu %lu %lu ", self.minor, children.minor, self.utime / TICK_NS, self.stime / TICK_NS,
             children.utime / TICK_NS, children.stime / TICK_NS);
    text_add(t, "%d %d %u 0 %lu %lu %lu ", s.rt_priority ? -1 - s.rt_priority : 20 + s.nice, s.nice, s.threads, p->start_ns / TICK_NS,
             m.size_pages * PAGE_SIZE, m.resident_pages);
    text_add(t, "18446744073709551615 0 0 0 0 0 %lu %lu %lu %lu 0 0 0 %u %u %d %u 0 0 0 0 0 0 0 0 0 0 %d\n",
             signals.thread & INT32_MAX, signals.blocked & INT32_MAX, signals.ignored & INT32_MAX,
             signals.caught & INT32_MAX, only ? (u32)-1 : p->exit_signal, s.cpu, s.rt_priority, s.policy, p->exit_status);
    return 0;
}

static int show_statm(struct text *t, struct process *p)
{
    struct figures m;

    figures_get(p, &m);
    text_add(t, "%lu %lu 0 %lu 0 %lu 0\n", m.size_pages, m.resident_pages, m.text_pages, m.data_pages + m.stack_pages);
    return 0;
}

static const char *state_name(char state)
{
    switch (state) {
    case 'R':
        return "running";
    case 'D':
        return "disk sleep";
    case 'T':
        return "stopped";
    case 'Z':
        return "zombie";
    case 'X':
        return "dead";
    default:
        return "sleeping";
    }
}

static void show_credentials(struct text *t, struct process *p)
{
    struct cred c = proc_cred(p);

    text_add(t, "Uid:\t%u\t%u\t%u\t%u\n", c.uid, c.euid, c.suid, c.fsuid);
    text_add(t, "Gid:\t%u\t%u\t%u\t%u\nFDSize:\t64\nGroups:\t", c.gid, c.egid, c.sgid, c.fsgid);
    for (u32 i = 0; i < c.group_count; i++)
        text_add(t, "%u ", c.groups[i]);
    text_add(t, "\n");
}

static void show_memory(struct text *t, struct process *p)
{
    struct figures m;

    figures_get(p, &m);
    if (m.size_pages == 0)
        return;
    text_add(t, "VmPeak:\t%8lu kB\nVmSize:\t%8lu kB\nVmLck:\t%8lu kB\n", m.size_pages * KIB, m.size_pages * KIB,
             m.locked_pages * KIB);
    text_add(t, "VmHWM:\t%8lu kB\nVmRSS:\t%8lu kB\n", m.resident_pages * KIB, m.resident_pages * KIB);
    text_add(t, "VmData:\t%8lu kB\nVmStk:\t%8lu kB\nVmExe:\t%8lu kB\n", m.data_pages * KIB, m.stack_pages * KIB,
             m.text_pages * KIB);
    text_add(t, "VmLib:\t%8u kB\nVmSwap:\t%8u kB\n", 0, 0);
}

static void show_signals(struct text *t, struct process *p, struct thread *only)
{
    struct signals s;

    signals_get(p, only, &s);
    text_add(t, "SigQ:\t0/%lu\nSigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\nSigIgn:\t%016lx\nSigCgt:\t%016lx\n",
             p->rlimit[RLIMIT_SIGPENDING].cur, s.thread, s.process, s.blocked, s.ignored, s.caught);
}

static int show_status(struct text *t, struct process *p, struct thread *only)
{
    struct snapshot s;

    snapshot_get(p, only, &s);
    text_add(t, "Name:\t");
    text_add_escaped(t, s.comm, "\n\\");
    text_add(t, "\nUmask:\t%04o\nState:\t%c (%s)\n", proc_umask(p), s.state, state_name(s.state));
    text_add(t, "Tgid:\t%u\nNgid:\t0\nPid:\t%u\nPPid:\t%u\nTracerPid:\t0\n", s.pid, s.id, s.ppid);
    show_credentials(t, p);
    show_memory(t, p);
    text_add(t, "Threads:\t%u\n", s.threads);
    show_signals(t, p, only);
    text_add(t, "NoNewPrivs:\t%d\n", p->no_new_privs);
    return 0;
}

/* ---- single values ---- */

static int show_comm(struct text *t, struct process *p, struct thread *only)
{
    struct snapshot s;

    snapshot_get(p, only, &s);
    text_add(t, "%s\n", s.comm);
    return 0;
}

static int write_comm(struct process *p, const char *value)
{
    if (p != current_process())
        return -EINVAL; /* as Linux: a process names itself */
    spin_lock(&process_lock);
    memset(p->comm, 0, sizeof p->comm);
    strlcpy(p->comm, value, sizeof p->comm);
    if (p->leader)
        memcpy(p->leader->comm, p->comm, sizeof p->comm);
    spin_unlock(&process_lock);
    return 0;
}

static int show_wchan(struct text *t, struct process *p)
{
    (void)p;
    text_add(t, "0"); /* where in the kernel it sleeps is not told */
    return 0;
}

static int show_oom_score_adj(struct text *t, struct process *p)
{
    text_add(t, "%d\n", (int)p->oom_score_adj);
    return 0;
}

static int write_oom_score_adj(struct process *p, const char *value)
{
    bool negative = *value == '-';
    int n = 0;

    value += negative;
    if (!*value)
        return -EINVAL;
    for (; *value; value++) {
        if (*value < '0' || *value > '9' || n > 1000)
            return -EINVAL;
        n = n * 10 + (*value - '0');
    }
    n = negative ? -n : n;
    if (n < -1000 || n > 1000)
        return -EINVAL;
    if (n < (int)p->oom_score_adj && !cred_is_root())
        return -EACCES;
    p->oom_score_adj = (u32)n;
    return 0;
}

static int show_limits(struct text *t, struct process *p)
{
    static const char *const names[RLIMIT_COUNT][2] = {
        {"Max cpu time", "seconds"},        {"Max file size", "bytes"},     {"Max data size", "bytes"},
        {"Max stack size", "bytes"},        {"Max core file size", "bytes"}, {"Max resident set", "bytes"},
        {"Max processes", "processes"},     {"Max open files", "files"},    {"Max locked memory", "bytes"},
        {"Max address space", "bytes"},     {"Max file locks", "locks"},    {"Max pending signals", "signals"},
        {"Max msgqueue size", "bytes"},     {"Max nice priority", ""},      {"Max realtime priority", ""},
        {"Max realtime timeout", "us"}};

    text_add(t, "%-26s%-21s%-21s%-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (unsigned i = 0; i < RLIMIT_COUNT; i++) {
        char soft[24] = "unlimited", hard[24] = "unlimited";
        if (p->rlimit[i].cur != RLIM_INFINITY)
            snprintf(soft, sizeof soft, "%lu", p->rlimit[i].cur);
        if (p->rlimit[i].max != RLIM_INFINITY)
            snprintf(hard, sizeof hard, "%lu", p->rlimit[i].max);
        text_add(t, "%-26s%-21s%-21s%-10s\n", names[i][0], soft, hard, names[i][1]);
    }
    return 0;
}

#define FILE_MODE (S_IFREG | 0444)
#define LINK_MODE (S_IFLNK | 0777)
#define DIR_MODE (S_IFDIR | 0555)
const struct proc_entry proc_process_entries[] = {
    {.name = "task", .mode = DIR_MODE, .kind = PROC_TASK_DIR, .process_only = true},
    {.name = "fd", .mode = DIR_MODE, .kind = PROC_FD_DIR},
    {.name = "fdinfo", .mode = DIR_MODE, .kind = PROC_FDINFO_DIR},
    {.name = "stat", .mode = FILE_MODE, .show_thread = show_stat},
    {.name = "statm", .mode = FILE_MODE, .show = show_statm},
    {.name = "status", .mode = FILE_MODE, .show_thread = show_status},
    {.name = "comm", .mode = S_IFREG | 0644, .show_thread = show_comm, .write = write_comm},
    {.name = "cmdline", .mode = FILE_MODE, .memory = true, .show = proc_show_cmdline},
    {.name = "environ", .mode = S_IFREG | 0400, .guarded = true, .memory = true, .show = proc_show_environ},
    {.name = "maps", .mode = FILE_MODE, .guarded = true, .memory = true, .show = proc_show_maps},
    {.name = "smaps", .mode = FILE_MODE, .guarded = true, .memory = true, .show = proc_show_smaps},
    {.name = "smaps_rollup", .mode = FILE_MODE, .guarded = true, .memory = true, .show = proc_show_smaps_rollup},
    {.name = "mem", .mode = S_IFREG | 0600, .guarded = true, .memory = true, .read = proc_read_mem, .write_bytes = proc_write_mem},
    {.name = "pagemap", .mode = S_IFREG | 0400, .guarded = true, .memory = true, .read = proc_read_pagemap},
    {.name = "mounts", .mode = FILE_MODE, .show = proc_show_mounts},
    {.name = "limits", .mode = FILE_MODE, .show = show_limits},
    {.name = "wchan", .mode = FILE_MODE, .show = show_wchan},
    {.name = "oom_score_adj", .mode = S_IFREG | 0644, .show = show_oom_score_adj, .write = write_oom_score_adj},
#ifdef COWSLIP_DEBUG
    {.name = "fail-nth", .mode = S_IFREG | 0644, .guarded = true, .show_thread = proc_show_fail_nth, .write_thread = proc_write_fail_nth},
#endif
    {.name = "exe", .mode = LINK_MODE, .guarded = true, .link = proc_exe_link, .follow = proc_exe_follow},
    {.name = "cwd", .mode = LINK_MODE, .guarded = true, .link = proc_cwd_link, .follow = proc_cwd_follow},
    {.name = "root", .mode = LINK_MODE, .guarded = true, .link = proc_root_link, .follow = proc_root_follow},
    {.name = NULL}};
