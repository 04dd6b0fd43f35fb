/* System calls about signals. */
#include "fs/anon.h"
#include "lib/string.h"
#include "proc/process.h"
#include "sys/syscall.h"
#include "vm/uaccess.h"
#include "vm/vm.h"
#include <machine/abi.h>

#define UNBLOCKABLE (SIG_BIT(SIGKILL) | SIG_BIT(SIGSTOP))
#define SS_ONSTACK 1u
#define SS_DISABLE 2u
#define MINSIGSTKSZ 2048ul

static bool valid(u64 signo)
{
    return signo >= 1 && signo <= SIG_COUNT;
}

/* ---- sending ---- */

static struct siginfo user_info(int signo, int code)
{
    return (struct siginfo){.signo = signo, .code = code, .pid = (s32)current_process()->pid,
                            .uid = current_process()->cred.uid};
}

static s64 kill_one(struct process *p, int signo)
{
    struct siginfo info = user_info(signo, SI_USER);

    if (!cred_may_kill(p, signo))
        return -EPERM;
    return signo && p->state == PROCESS_ALIVE ? signal_send_process(p, signo, &info) : 0;
}

struct many {
    u32 group; /* 0: all but init and oneself */
    struct siginfo info;
    s64 result;
};

/* process_lock held. */
static void kill_if_meant(struct process *p, void *arg)
{
    struct many *m = arg;
    s64 one;

    if (m->group ? p->pgid != m->group : p == init_process || p == current_process())
        return;
    if (!cred_may_kill(p, m->info.signo))
        one = -EPERM;
    else
        one = m->info.signo && p->state == PROCESS_ALIVE ? signal_send_member_locked(p, m->info.signo, &m->info) : 0;
    if (one == 0 || m->result == -ESRCH)
        m->result = one;
}

/* All of them at one moment: nobody gets away by being forked meanwhile. */
static s64 kill_many(u32 group, int signo)
{
    struct many m = {group, user_info(signo, SI_USER), -ESRCH};

    spin_lock(&process_lock);
    process_for_each_locked(kill_if_meant, &m);
    spin_unlock(&process_lock);
    return m.result;
}

SYSCALL(kill)
{
    s32 pid = (s32)a[0];
    struct process *p;
    s64 err;

    if (a[1] > SIG_COUNT)
        return -EINVAL;
    if (pid == 0) /* its group, be that init's: group 1, which no negative number means */
        return kill_many(current_process()->pgid, (int)a[1]);
    if (pid < 0)
        return kill_many(pid == -1 ? 0 : -(u32)pid, (int)a[1]);
    p = process_find((u32)pid);
    if (!p)
        return -ESRCH;
    err = kill_one(p, (int)a[1]);
    process_put(p);
    return err;
}

static s64 kill_thread(u32 tgid, u32 tid, u64 signo, const struct siginfo *info)
{
    struct thread *t;
    s64 err = 0;

    if (signo > SIG_COUNT)
        return -EINVAL;
    t = thread_find(tid);
    if (!t || !t->process || (tgid && t->process->pid != tgid))
        err = -ESRCH;
    else if (!cred_may_kill(t->process, (int)signo))
        err = -EPERM;
    else if (signo)
        err = signal_send_thread(t, (int)signo, info);
    if (t)
        thread_put(t);
    return err;
}

SYSCALL(tkill)
{
    struct siginfo info = user_info((int)a[1], SI_TKILL);

    return (s32)a[0] <= 0 ? -EINVAL : kill_thread(0, (u32)a[0], a[1], &info);
}

SYSCALL(tgkill)
{
    struct siginfo info = user_info((int)a[2], SI_TKILL);

    return (s32)a[0] <= 0 || (s32)a[1] <= 0 ? -EINVAL : kill_thread((u32)a[0], (u32)a[1], a[2], &info);
}

/* A signal with what the sender says about it. Nobody pretends to be the kernel, but to itself. */
static int info_from_user(struct siginfo *info, vaddr_t from, u64 signo, u32 tgid)
{
    if (get_user(info, from))
        return -EFAULT;
    if ((info->code >= 0 || info->code == SI_TKILL) && tgid != current_process()->pid)
        return -EPERM;
    info->signo = (s32)signo;
    info->from_timer = 0;
    return 0;
}

SYSCALL(rt_sigqueueinfo)
{
    struct siginfo info;
    struct process *p;
    s64 err = info_from_user(&info, a[2], a[1], (u32)a[0]);

    if (err)
        return err;
    p = process_find((u32)a[0]);
    if (!p)
        return -ESRCH;
    if (a[1] > SIG_COUNT)
        err = -EINVAL;
    else if (!cred_may_kill(p, info.signo))
        err = -EPERM;
    else if (info.signo)
        err = signal_send_process(p, info.signo, &info);
    process_put(p);
    return err;
}

SYSCALL(rt_tgsigqueueinfo)
{
    struct siginfo info;
    s64 err = info_from_user(&info, a[3], a[2], (u32)a[0]);

    if (err)
        return err;
    return (s32)a[0] <= 0 || (s32)a[1] <= 0 ? -EINVAL : kill_thread((u32)a[0], (u32)a[1], a[2], &info);
}

/* ---- actions and masks ---- */

SYSCALL(rt_sigaction)
{
    struct process *p = current_process();
    struct sigaction_abi new, old;
    struct signal_action action;

    if (a[3] != 8 || !valid(a[0]) || (a[1] && (SIG_BIT(a[0]) & UNBLOCKABLE)))
        return -EINVAL;
    if (a[1] && get_user(&new, a[1]))
        return -EFAULT;
    spin_lock(&p->siglock);
    spin_lock(&p->actions->lock);
    action = signal_action_get_locked(p->actions, (int)a[0]);
    old = sigaction_write(&action);
    if (a[1]) {
        action = sigaction_read(&new);
        action.mask &= ~UNBLOCKABLE;
        signal_action_set_locked(p->actions, (int)a[0], action);
    }
    spin_unlock(&p->actions->lock);
    if (a[1] && signal_is_ignored(p, (int)a[0])) { /* POSIX: what is pending is forgotten */
        signal_queue_flush(&p->pending, SIG_BIT(a[0]));
        signal_queue_flush(&current->pending, SIG_BIT(a[0]));
    }
    spin_unlock(&p->siglock);
    return a[2] ? put_user(a[2], &old) : 0;
}

SYSCALL(rt_sigprocmask)
{
    u64 old = current->sigmask, set;

    if (a[3] != 8)
        return -EINVAL;
    if (a[1]) {
        if (get_user(&set, a[1]))
            return -EFAULT;
        if (a[0] > 2)
            return -EINVAL;
        signal_mask_set(a[0] == 0 ? old | set : a[0] == 1 ? old & ~set : set);
    }
    return a[2] ? put_user(a[2], &old) : 0;
}

SYSCALL(rt_sigpending)
{
    u64 pending;

    if (a[1] > 8)
        return -EINVAL;
    pending = signal_pending_of(current->sigmask);
    return copy_to_user(a[0], &pending, a[1]);
}

SYSCALL(sigaltstack)
{
    struct {
        u64 sp;
        u32 flags, pad;
        u64 size;
    } new, old = {.sp = current->altstack.sp, .size = current->altstack.size};
    vaddr_t sp = tf_sp(current->frame);
    bool inside = sp > old.sp && sp - old.sp <= old.size;

    old.flags = old.size == 0 ? SS_DISABLE : inside ? SS_ONSTACK : 0;
    if (a[0]) {
        if (copy_from_user(&new, a[0], sizeof new))
            return -EFAULT;
        if (inside)
            return -EPERM;
        if (new.flags != 0 && new.flags != SS_DISABLE && new.flags != SS_ONSTACK)
            return -EINVAL;
        if (!(new.flags & SS_DISABLE) && new.size < MINSIGSTKSZ)
            return -ENOMEM;
        current->altstack.sp = new.flags & SS_DISABLE ? 0 : new.sp;
        current->altstack.size = new.flags & SS_DISABLE ? 0 : new.size;
    }
    return a[1] ? copy_to_user(a[1], &old, sizeof old) : 0;
}

SYSCALL(rt_sigreturn)
{
    struct ksigframe_args frame;
    u64 mask;

    (void)a;
    if (arch_signal_return(current->frame, &mask, &frame)) {
        signal_fault(SIGSEGV, SEGV_MAPERR, tf_sp(current->frame));
        return 0;
    }
    signal_mask_set(mask);
    tf_leave_syscall(current->frame);
    return 0;
}

/* ---- waiting ---- */

SYSCALL(rt_sigsuspend)
{
    static struct waitq never = WAITQ_INIT(never);
    u64 mask;
    int err;

    if (a[1] != 8)
        return -EINVAL;
    if (get_user(&mask, a[0]))
        return -EFAULT;
    signal_mask_set_temporary(mask);
    err = wait_event(&never, false, SLEEP_INTERRUPTIBLE, UINT64_MAX);
    return err == -ERESTARTSYS ? -ERESTARTNOHAND : err;
}

SYSCALL(rt_sigtimedwait)
{
    static struct waitq never = WAITQ_INIT(never);
    struct siginfo info;
    u64 set, ns, deadline = UINT64_MAX;
    int signo = 0, err;

    if (a[3] != 8)
        return -EINVAL;
    if (get_user(&set, a[0]))
        return -EFAULT;
    if (a[2]) {
        err = timespec_from_user(a[2], &ns);
        if (err)
            return err;
        deadline = time_deadline(ns);
    }
    set &= ~UNBLOCKABLE;
    signo = signal_take(set, true, &info);
    err = signo ? 0 : wait_event(&never, false, SLEEP_INTERRUPTIBLE, deadline);
    if (!signo)
        signo = signal_take(set, false, &info);
    signal_wait_end();
    if (!signo)
        return err == -ETIMEDOUT ? -EAGAIN : -EINTR;
    return a[1] && put_user(a[1], &info) ? -EFAULT : signo;
}

/* signalfd4(fd or -1, mask, its size, flags) */
SYSCALL(signalfd4)
{
    struct file *f;
    bool known;
    u64 mask;
    int err;

    if (a[2] != sizeof mask || (a[3] & ~(u64)(O_CLOEXEC | O_NONBLOCK)))
        return -EINVAL;
    if (get_user(&mask, a[1]))
        return -EFAULT;
    mask &= ~UNBLOCKABLE;
    if ((int)a[0] == -1) {
        err = signalfd_create(mask, (u32)a[3] & O_NONBLOCK, &f);
        return err ? err : fd_give(f, a[3] & O_CLOEXEC);
    }
    f = fd_get((int)a[0]);
    if (!f)
        return -EBADF;
    known = signalfd_set_mask(f, mask);
    file_put(f);
    return known ? (s32)a[0] : -EINVAL;
}
