/* System calls about processes: clone, exec, exit, wait, numbers, limits, scheduling. */
#include "fs/fs.h"
#include "lib/string.h"
#include "proc/futex.h"
#include "proc/process.h"
#include "proc/remote.h"
#include "proc/wait4.h"
#include "sys/syscall.h"
#include "vm/uaccess.h"
#include "vm/vm.h"
#include <machine/abi.h>

#define CSIGNAL 0xfful

/* ---- birth and death ---- */

SYSCALL(clone)
{
    struct clone_args c = {.flags = a[0] & ~CSIGNAL, .exit_signal = a[0] & CSIGNAL, .stack = a[1], .parent_tid = a[2],
                           .tls = a[CLONE_ARG_TLS], .child_tid = a[CLONE_ARG_CHILD_TID]};

    return process_clone(&c, current->frame);
}

/* struct clone_args of linux/sched.h, as far as it is understood. */
struct clone3_args {
    u64 flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

SYSCALL(clone3)
{
    struct clone3_args u = {0};
    struct clone_args c;

    if (a[1] < 64 || a[1] > PAGE_SIZE)
        return a[1] < 64 ? -EINVAL : -E2BIG;
    if (copy_from_user(&u, a[0], MIN(a[1], sizeof u)))
        return -EFAULT;
    if (u.set_tid_size || u.cgroup || (u.flags & CSIGNAL) || !u.stack != !u.stack_size)
        return -EINVAL;
    c = (struct clone_args){.flags = u.flags, .exit_signal = (u32)u.exit_signal, .parent_tid = u.parent_tid,
                            .child_tid = u.child_tid, .tls = u.tls, .stack = u.stack ? u.stack + u.stack_size : 0};
    return process_clone(&c, current->frame);
}

static s64 exec(int dirfd, const u64 *a, int flags)
{
    char *path;
    s64 err = path_from_user(a[0], &path);

    if (!err)
        err = process_exec(dirfd, path, a[1], a[2], flags, current->frame);
    if (!err)
        tf_leave_syscall(current->frame);
    return err;
}

SYSCALL(execve)
{
    return exec(-100, a, 0);
}

SYSCALL(execveat)
{
    return a[4] & ~0x1100ul ? -EINVAL : exec((int)a[0], a + 1, (int)a[4]);
}

SYSCALL(exit)
{
    process_exit_thread((int)a[0]);
}

SYSCALL(exit_group)
{
    process_exit_group(W_EXIT((int)a[0]), (s32)a[0]);
}

/* ---- waiting ---- */

struct rusage {
    struct timeval utime, stime;
    s64 maxrss, ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock, msgsnd, msgrcv, nsignals, nvcsw, nivcsw;
};

static int put_rusage(vaddr_t to, const struct rusage_ns *r)
{
    struct rusage u = {.utime = {(s64)(r->utime / NS_PER_SEC), (s64)(r->utime % NS_PER_SEC / 1000)},
                       .stime = {(s64)(r->stime / NS_PER_SEC), (s64)(r->stime % NS_PER_SEC / 1000)},
                       .maxrss = (s64)(r->max_rss_pages * (PAGE_SIZE / 1024)),
                       .minflt = (s64)r->minor,
                       .majflt = (s64)r->major};

    return to ? put_user(to, &u) : 0;
}

SYSCALL(wait4)
{
    s32 pid = (s32)a[0];
    int options = (int)a[2], which = pid > 0 ? P_PID : pid == -1 ? P_ALL : P_PGID, status;
    u32 id = pid > 0 ? (u32)pid : pid == 0 ? current_process()->pgid : (u32)-pid;
    struct wait_result r;
    s64 result;

    if (pid == -0x7fffffff - 1)
        return -ESRCH;
    if (options & ~(WNOHANG | WUNTRACED | WCONTINUED | (int)(__WALL | __WCLONE | 0x20000000u)))
        return -EINVAL;
    result = process_wait(which, id, options | WEXITED, &r);
    if (result <= 0)
        return result;
    status = r.status;
    if ((a[1] && put_user(a[1], &status)) || put_rusage(a[3], &r.usage))
        return -EFAULT;
    return result;
}

static void wait_info(const struct wait_result *r, struct siginfo *info)
{
    *info = (struct siginfo){.signo = SIGCHLD, .pid = (s32)r->pid, .uid = r->uid};
    if (r->status == W_CONTINUED) {
        info->code = CLD_CONTINUED;
        info->status = SIGCONT;
    } else if ((r->status & 0xff) == 0x7f) {
        info->code = CLD_STOPPED;
        info->status = r->status >> 8;
    } else {
        info->code = r->status & 0x7f ? CLD_KILLED : CLD_EXITED;
        info->status = r->status & 0x7f ? r->status & 0x7f : r->status >> 8 & 0xff;
    }
}

SYSCALL(waitid)
{
    int options = (int)a[3];
    u32 id = a[0] == P_PGID && a[1] == 0 ? current_process()->pgid : (u32)a[1];
    struct siginfo info = {0};
    struct wait_result r;
    s64 result;

    if (a[0] > P_PGID || !(options & (WEXITED | WUNTRACED | WCONTINUED)))
        return -EINVAL;
    result = process_wait((int)a[0], id, options, &r);
    if (result < 0)
        return result;
    if (result > 0)
        wait_info(&r, &info);
    if ((a[2] && put_user(a[2], &info)) || (result > 0 && put_rusage(a[4], &r.usage)))
        return -EFAULT;
    return 0;
}

/* ---- numbers ---- */

SYSCALL(getpid)
{
    (void)a;
    return current_process()->pid;
}

SYSCALL(gettid)
{
    (void)a;
    return current->tid;
}

SYSCALL(getppid)
{
    s64 pid;

    (void)a;
    spin_lock(&process_lock);
    pid = current_process()->parent ? current_process()->parent->pid : 0;
    spin_unlock(&process_lock);
    return pid;
}

SYSCALL(set_tid_address)
{
    current->clear_child_tid = a[0];
    return current->tid;
}

SYSCALL(setpgid)
{
    return (s32)a[0] < 0 || (s32)a[1] < 0 ? -EINVAL : process_setpgid((u32)a[0], (u32)a[1]);
}

static s64 id_of(u32 pid, bool session)
{
    struct process *p = process_find(pid ? pid : current_process()->pid);
    s64 id;

    if (!p)
        return -ESRCH;
    spin_lock(&process_lock);
    id = session ? p->session->sid : p->pgid;
    spin_unlock(&process_lock);
    process_put(p);
    return id;
}

SYSCALL(getpgid)
{
    return id_of((u32)a[0], false);
}

SYSCALL(getsid)
{
    return id_of((u32)a[0], true);
}

SYSCALL(setsid)
{
    (void)a;
    return process_setsid();
}

/* ---- prctl ---- */

enum {
    PR_SET_PDEATHSIG = 1, PR_GET_PDEATHSIG = 2, PR_GET_DUMPABLE = 3, PR_SET_DUMPABLE = 4, PR_SET_NAME = 15,
    PR_GET_NAME = 16, PR_SET_CHILD_SUBREAPER = 36, PR_GET_CHILD_SUBREAPER = 37, PR_SET_NO_NEW_PRIVS = 38,
    PR_GET_NO_NEW_PRIVS = 39
};

static int put_int(vaddr_t to, int v)
{
    return put_user(to, &v);
}

static s64 set_name(vaddr_t from)
{
    char name[16] = "";
    ssize_t n = copy_string_from_user(name, from, sizeof name - 1);

    if (n == -EFAULT)
        return -EFAULT;
    name[15] = 0;
    memcpy(current->comm, name, sizeof name);
    if (current_process()->leader == current)
        memcpy(current_process()->comm, name, sizeof name);
    return 0;
}

/* Linux's own flavour only, and of its flags all are kept; ADDR_NO_RANDOMIZE is heeded at exec. */
SYSCALL(personality)
{
    struct process *p = current_process();
    u32 old = p->persona;

    if ((u32)a[0] == UINT32_MAX)
        return old;
    if ((a[0] & 0xff) != 0)
        return -EINVAL;
    p->persona = (u32)a[0];
    return old;
}

SYSCALL(prctl)
{
    struct process *p = current_process();

    switch (a[0]) {
    case PR_SET_PDEATHSIG:
        if (a[1] > SIG_COUNT)
            return -EINVAL;
        p->pdeath_signal = (u32)a[1];
        return 0;
    case PR_GET_PDEATHSIG:
        return put_int(a[1], (int)p->pdeath_signal);
    case PR_GET_DUMPABLE:
        return p->dumpable;
    case PR_SET_DUMPABLE:
        if (a[1] > 1)
            return -EINVAL;
        p->dumpable = a[1];
        return 0;
    case PR_SET_NAME:
        return set_name(a[1]);
    case PR_GET_NAME:
        return copy_to_user(a[1], current->comm, sizeof current->comm);
    case PR_SET_CHILD_SUBREAPER:
        p->is_subreaper = a[1];
        return 0;
    case PR_GET_CHILD_SUBREAPER:
        return put_int(a[1], p->is_subreaper);
    case PR_SET_NO_NEW_PRIVS:
        if (a[1] != 1 || a[2] || a[3] || a[4])
            return -EINVAL;
        p->no_new_privs = true;
        return 0;
    case PR_GET_NO_NEW_PRIVS:
        return p->no_new_privs;
    }
    return -EINVAL;
}

/* ---- limits and usage ---- */

/* process_lock: what p has is not given back meanwhile. */
static void set_limit_locked(struct process *p, u32 which, const struct rlimit *new)
{
    p->rlimit[which] = *new;
    if (p->vm && which == RLIMIT_AS)
        p->vm->as_limit = new->cur;
    if (p->vm && which == RLIMIT_DATA)
        p->vm->data_limit = new->cur;
}

/* new, old: may be NULL. */
static int change_limit(struct process *p, u32 which, const struct rlimit *new, struct rlimit *old)
{
    int err = 0;

    if (new && new->cur > new->max)
        return -EINVAL;
    spin_lock(&process_lock);
    if (old)
        *old = p->rlimit[which];
    if (new && new->max > p->rlimit[which].max && !cred_is_root())
        err = -EPERM;
    else if (new)
        set_limit_locked(p, which, new);
    spin_unlock(&process_lock);
    return err;
}

SYSCALL(prlimit64)
{
    struct process *p = process_find(a[0] ? (u32)a[0] : current_process()->pid);
    struct rlimit new, old;
    s64 err = 0;

    if (!p)
        return -ESRCH;
    if (a[1] >= RLIMIT_COUNT)
        err = -EINVAL;
    else if (!cred_may_kill(p, 0))
        err = -EPERM;
    else if (a[2] && get_user(&new, a[2]))
        err = -EFAULT;
    if (!err)
        err = change_limit(p, (u32)a[1], a[2] ? &new : NULL, &old);
    if (!err && a[3])
        err = put_user(a[3], &old);
    process_put(p);
    return err;
}

SYSCALL(getrlimit)
{
    return a[0] >= RLIMIT_COUNT ? -EINVAL : put_user(a[1], &current_process()->rlimit[a[0]]);
}

SYSCALL(setrlimit)
{
    struct rlimit new;

    if (a[0] >= RLIMIT_COUNT)
        return -EINVAL;
    return get_user(&new, a[1]) ? -EFAULT : change_limit(current_process(), (u32)a[0], &new, NULL);
}

SYSCALL(getrusage)
{
    struct rusage_ns r;

    if ((s32)a[0] < -1 || (s32)a[0] > 1)
        return -EINVAL;
    process_usage(current_process(), (s32)a[0] == -1, &r);
    return a[1] ? put_rusage(a[1], &r) : -EFAULT;
}

SYSCALL(times)
{
    struct rusage_ns self, children;
    s64 t[4];

    process_usage(current_process(), false, &self);
    process_usage(current_process(), true, &children);
    t[0] = (s64)(self.utime / 10000000), t[1] = (s64)(self.stime / 10000000);
    t[2] = (s64)(children.utime / 10000000), t[3] = (s64)(children.stime / 10000000);
    if (a[0] && put_user(a[0], &t))
        return -EFAULT;
    return (s64)(arch_time_ns() / 10000000);
}

SYSCALL(getcpu)
{
    u32 cpu = current->cpu, node = 0;

    if ((a[0] && put_user(a[0], &cpu)) || (a[1] && put_user(a[1], &node)))
        return -EFAULT;
    return 0;
}

/* ---- threads ---- */

SYSCALL(futex)
{
    return futex(a[0], (u32)a[1], (u32)a[2], a[3], a[4], (u32)a[5]);
}

SYSCALL(set_robust_list)
{
    if (a[1] != 24)
        return -EINVAL;
    current->robust_list = a[0];
    return 0;
}

SYSCALL(get_robust_list)
{
    struct thread *t = thread_find(a[0] ? (u32)a[0] : current->tid);
    u64 head, size = 24;
    bool may;

    if (!t || !t->process) {
        if (t)
            thread_put(t);
        return -ESRCH;
    }
    head = t->robust_list;
    may = t->process == current_process() || cred_is_root();
    thread_put(t);
    if (!may)
        return -EPERM;
    return put_user(a[1], &head) || put_user(a[2], &size) ? -EFAULT : 0;
}

/* A flush of all CPUs' pipelines, whoever asks. */
SYSCALL(membarrier)
{
    enum { QUERY, GLOBAL = 1, PRIVATE_EXPEDITED = 8, REGISTER_PRIVATE_EXPEDITED = 16 };

    if (a[1])
        return -EINVAL;
    if (a[0] == QUERY)
        return GLOBAL | PRIVATE_EXPEDITED | REGISTER_PRIVATE_EXPEDITED;
    if (a[0] == REGISTER_PRIVATE_EXPEDITED)
        return 0;
    if (a[0] != GLOBAL && a[0] != PRIVATE_EXPEDITED)
        return -EINVAL;
    preempt_disable();
    remote_icache_sync(cpus_online_mask() & ~(1ul << arch_this_cpu()->id));
    preempt_enable();
    return 0;
}
