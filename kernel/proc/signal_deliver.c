/*
 * On the way back to user mode: signals take effect here, and only here.
 */
#include "lib/errno.h"
#include "lib/print.h"
#include "proc/process.h"
#include "proc/vdso.h"
#include "vm/uaccess.h"
#include "vm/vm.h"

#define SS_ONSTACK 1u
#define SS_DISABLE 2u
#define STOPS_BY_DEFAULT (SIG_BIT(SIGSTOP) | SIG_BIT(SIGTSTP) | SIG_BIT(SIGTTIN) | SIG_BIT(SIGTTOU))

/* ---- stopping ---- */

/* Sleeps until continued or killed. */
static void stop_here(struct process *p)
{
    int err = wait_event(&p->stop_wait, !p->stopped, SLEEP_KILLABLE, UINT64_MAX);

    (void)err; /* killed: the caller sees it */
}

/* process_lock and siglock held. */
static void stop_locked(struct process *p, int signo)
{
    struct thread *t;

    p->stopped = true;
    p->stop_reported = false;
    p->continued_pending = false;
    p->stop_signal = (u32)signo;
    list_for_each(t, &p->threads, process_link)
        if (t != current) {
            atomic_store(&t->need_signal, true);
            thread_signal_wake(t);
        }
}

static void stop_process(struct process *p, int signo)
{
    bool orphaned = signo != SIGSTOP && pgrp_is_orphaned(p->pgid), stops;

    if (orphaned)
        return; /* POSIX: nobody could continue it */
    spin_lock(&process_lock);
    spin_lock(&p->siglock);
    stops = current->may_stop; /* else it was told to go on since it took the signal */
    if (stops)
        stop_locked(p, signo);
    current->may_stop = false;
    spin_unlock(&p->siglock);
    spin_unlock(&process_lock);
    if (!stops)
        return;
    signal_tell_parent(p, CLD_STOPPED, signo);
    stop_here(p);
}

/* ---- handlers ---- */

/* How an interrupted system call ends when a handler runs: again, or with EINTR. */
static void restart_for_handler(struct trapframe *tf, const struct signal_action *action)
{
    s64 result = (s64)tf_result(tf);

    if (!tf_in_syscall(tf))
        return;
    if (result == -ERESTARTNOINTR || (result == -ERESTARTSYS && (action->flags & SA_RESTART)))
        tf_restart_syscall(tf);
    else if (result == -ERESTARTSYS || result == -ERESTARTNOHAND || result == -ERESTART_RESTARTBLOCK)
        tf_set_result(tf, (u64)-EINTR);
    tf_leave_syscall(tf);
}

static void restart_without_handler(struct trapframe *tf)
{
    s64 result = (s64)tf_result(tf);

    if (!tf_in_syscall(tf))
        return;
    if (result == -ERESTARTSYS || result == -ERESTARTNOINTR || result == -ERESTARTNOHAND)
        tf_restart_syscall(tf);
    else if (result == -ERESTART_RESTARTBLOCK)
        tf_restart_syscall_block(tf);
    tf_leave_syscall(tf);
}

static bool on_altstack(const struct trapframe *tf)
{
    vaddr_t sp = tf_sp(tf);

    return sp > current->altstack.sp && sp - current->altstack.sp <= current->altstack.size;
}

static vaddr_t frame_stack(const struct trapframe *tf, const struct signal_action *action)
{
    if ((action->flags & SA_ONSTACK) && current->altstack.size && !on_altstack(tf))
        return current->altstack.sp + current->altstack.size;
    return tf_sp(tf);
}

static void run_handler(struct trapframe *tf, int signo, const struct siginfo *info, const struct signal_action *action)
{
    struct ksigframe_args a = {
        .signo = signo,
        .info = info,
        .handler = action->handler,
        .sigreturn = signal_restorer(action) ? signal_restorer(action) : SIGRETURN_ADDRESS,
        .flags = action->flags,
        .mask = current->restore_sigmask ? current->saved_sigmask : current->sigmask,
        .sp = frame_stack(tf, action),
    };

    a.altstack.sp = current->altstack.sp;
    a.altstack.size = current->altstack.size;
    a.altstack.flags = current->altstack.size == 0 ? SS_DISABLE : on_altstack(tf) ? SS_ONSTACK : 0;
    restart_for_handler(tf, action);
    current->restore_sigmask = false;
    if (arch_signal_deliver(tf, &a)) {
        if (signal_fatal_pending())
            return; /* no page for the frame: it dies of that */
        if (signo == SIGSEGV)
            process_exit_group(W_SIGNAL(SIGSEGV), 0);
        signal_fault(SIGSEGV, SEGV_MAPERR, a.sp);
        return;
    }
    signal_mask_set(current->sigmask | action->mask | (action->flags & SA_NODEFER ? 0 : SIG_BIT(signo)));
}

/* ---- what is due ---- */

/* True: a handler is about to run. */
static bool act(struct trapframe *tf, struct process *p, int signo, const struct siginfo *info)
{
    struct signal_action action;

    if (signo == SIGKILL)
        process_exit_group(W_SIGNAL(SIGKILL), 0);
    action = signal_action_take(p, signo); /* one look: another thread may change it at any time */
    if (signal_ignored_by(&action, signo))
        return false;
    if (action.handler != SIG_DFL) {
        run_handler(tf, signo, info, &action);
        return true;
    }
    if (p == init_process && signo != SIGSEGV && signo != SIGBUS && signo != SIGILL)
        return false;
    if (STOPS_BY_DEFAULT & SIG_BIT(signo))
        stop_process(p, signo);
    else
        process_exit_group(W_SIGNAL(signo), 0);
    return false;
}

static void heed(struct process *p)
{
    if (p->group_exiting || (p->execing && p->execing != current))
        process_exit_thread(0);
    if (p->stopped)
        stop_here(p);
}

void signal_handle(struct trapframe *tf)
{
    struct process *p = current_process();
    struct siginfo info;
    int signo;

    for (;;) {
        heed(p);
        signo = signal_take(~current->sigmask, false, &info);
        if (signo && act(tf, p, signo, &info))
            return;
        if (!signo && !signal_pending())
            break;
    }
    restart_without_handler(tf);
    if (current->restore_sigmask) {
        current->restore_sigmask = false;
        signal_mask_set(current->saved_sigmask);
    }
}
