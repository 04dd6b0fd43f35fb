/*
 * Sending and queueing signals. What is pending and who sleeps is under
 * process->siglock; actions have a lock of their own, taken inside it, because
 * CLONE_SIGHAND shares them between processes.
 */
#include "proc/signal.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "lib/string.h"
#include "proc/itimer.h"
#include "vm/kmem.h"

#define STOP_SIGNALS (SIG_BIT(SIGSTOP) | SIG_BIT(SIGTSTP) | SIG_BIT(SIGTTIN) | SIG_BIT(SIGTTOU))
#define IGNORED_BY_DEFAULT (SIG_BIT(SIGCHLD) | SIG_BIT(SIGURG) | SIG_BIT(SIGWINCH) | SIG_BIT(SIGCONT))
#define FIRST_REALTIME 32
#define QUEUED_MAX 4096ul /* real-time signals that may wait for one process, or one thread, whatever RLIMIT_SIGPENDING */

struct queued_signal {
    struct list link;
    struct siginfo info;
};

/* ---- actions ---- */

struct signal_actions *signal_actions_create(void)
{
    struct signal_actions *a = kmem_alloc(sizeof *a);

    if (a) {
        ref_init(&a->refs);
        spin_init(&a->lock, "signal actions", RANK_ACTIONS);
        a->set = 0;
    }
    return a;
}

static inline void fill(struct signal_actions *copy, struct signal_actions *a)
{
    spin_lock(&a->lock);
    copy->set = a->set;
    for (u64 set = a->set; set; set &= set - 1)
        copy->action[lowest_bit(set)] = a->action[lowest_bit(set)];
    spin_unlock(&a->lock);
}

struct signal_actions *signal_actions_copy(struct signal_actions *a)
{
    struct signal_actions *copy = signal_actions_create();

    if (copy)
        fill(copy, a);
    return copy;
}

void signal_actions_fill(struct signal_actions *fresh, struct signal_actions *from)
{
    fill(fresh, from);
}

struct signal_action signal_action_get_locked(const struct signal_actions *a, int signo)
{
    return a->set & SIG_BIT(signo) ? a->action[signo - 1] : (struct signal_action){.handler = SIG_DFL};
}

void signal_action_set_locked(struct signal_actions *a, int signo, struct signal_action action)
{
    a->set |= SIG_BIT(signo);
    a->action[signo - 1] = action;
}

void signal_actions_put(struct signal_actions *a)
{
    if (ref_put(&a->refs))
        kmem_free(a);
}

void signal_actions_reset(struct signal_actions *a, u64 defaults)
{
    spin_lock(&a->lock); /* who sends a signal looks at them */
    for (u64 set = a->set; set; set &= set - 1) {
        int signo = (int)lowest_bit(set) + 1;
        if (a->action[signo - 1].handler == SIG_IGN && !(defaults & SIG_BIT(signo)))
            a->action[signo - 1] = (struct signal_action){.handler = SIG_IGN};
        else
            a->set &= ~SIG_BIT(signo);
    }
    spin_unlock(&a->lock);
}

struct signal_action signal_action_get(struct process *p, int signo)
{
    struct signal_action action;

    spin_lock(&p->actions->lock);
    action = signal_action_get_locked(p->actions, signo);
    spin_unlock(&p->actions->lock);
    return action;
}

bool signal_ignored_by(const struct signal_action *a, int signo)
{
    return a->handler == SIG_IGN || (a->handler == SIG_DFL && (IGNORED_BY_DEFAULT & SIG_BIT(signo)));
}

bool signal_is_ignored(struct process *p, int signo)
{
    struct signal_action a = signal_action_get(p, signo);

    return signal_ignored_by(&a, signo);
}

struct signal_action signal_action_take(struct process *p, int signo)
{
    struct signal_actions *all = p->actions;
    struct signal_action a;

    spin_lock(&all->lock);
    a = signal_action_get_locked(all, signo);
    if ((a.flags & SA_RESETHAND) && a.handler != SIG_IGN && a.handler != SIG_DFL)
        signal_action_set_locked(all, signo, (struct signal_action){.handler = SIG_DFL});
    spin_unlock(&all->lock);
    return a;
}

bool signal_ignores_children(struct process *p)
{
    struct signal_action a = signal_action_get(p, SIGCHLD);

    return a.handler == SIG_IGN || (a.flags & SA_NOCLDWAIT);
}

/* ---- queues; siglock held ---- */

void signal_queue_init(struct signal_queue *q)
{
    q->mask = 0;
    list_init(&q->queued);
}

void signal_queue_flush(struct signal_queue *q, u64 which)
{
    struct queued_signal *s, *next;

    q->mask &= ~which;
    list_for_each_safe(s, next, &q->queued, link)
        if ((which & SIG_BIT(s->info.signo)) && s->info.from_timer) {
            q->mask |= SIG_BIT(s->info.signo); /* it is ignored when it is delivered, so that its timer goes on */
        } else if (which & SIG_BIT(s->info.signo)) {
            list_remove(&s->link);
            kmem_free(s);
        }
}

void signal_queue_clear(struct signal_queue *q)
{
    struct queued_signal *s, *next;

    q->mask = 0;
    list_for_each_safe(s, next, &q->queued, link) {
        list_remove(&s->link);
        kmem_free(s);
    }
}

static unsigned queue_length(const struct signal_queue *q)
{
    const struct queued_signal *s;
    unsigned n = 0;

    list_for_each(s, &q->queued, link)
        n++;
    return n;
}

/* p: whose queue it is, or one of whose threads. */
static int queue_add(struct process *p, struct signal_queue *q, int signo, const struct siginfo *info)
{
    u64 most = info && info->from_timer ? QUEUED_MAX : MIN(QUEUED_MAX, p->rlimit[RLIMIT_SIGPENDING].cur);
    struct queued_signal *s;

    if (signo < FIRST_REALTIME && (q->mask & SIG_BIT(signo)) && !(info && info->from_timer))
        return 0;
    s = signo < FIRST_REALTIME || queue_length(q) < most ? kmem_zalloc(sizeof *s) : NULL;
    if (!s && (signo >= FIRST_REALTIME || (info && info->from_timer)))
        return -EAGAIN;
    if (s) { /* else only the fact is known */
        if (info)
            s->info = *info;
        else
            s->info.code = SI_KERNEL;
        s->info.signo = signo;
        list_append(&q->queued, &s->link);
    }
    q->mask |= SIG_BIT(signo);
    return 0;
}

/* Takes the lowest of `which` that is pending out of the queue: its number, or 0. */
int signal_queue_take(struct signal_queue *q, u64 which, struct siginfo *info)
{
    struct queued_signal *s, *found = NULL;
    u64 ready = q->mask & which;
    bool more = false;
    int signo;

    if (!ready)
        return 0;
    signo = ready & SIG_BIT(SIGKILL) ? SIGKILL : __builtin_ctzl(ready) + 1;
    *info = (struct siginfo){.signo = signo};
    list_for_each(s, &q->queued, link) {
        if (s->info.signo != signo)
            continue;
        if (found) {
            more = true;
            break;
        }
        found = s;
    }
    if (found) {
        *info = found->info;
        list_remove(&found->link);
        kmem_free(found);
    }
    if (!more)
        q->mask &= ~SIG_BIT(signo);
    return signo;
}

int signal_take(u64 which, bool wait, struct siginfo *info)
{
    struct process *p = current_process();
    int signo;

    spin_lock(&p->siglock);
    signo = signal_queue_take(&current->pending, which, info);
    if (!signo)
        signo = signal_queue_take(&p->pending, which, info);
    if (wait)
        current->sigwaiting = signo ? 0 : which;
    current->may_stop |= signo && (STOP_SIGNALS & SIG_BIT(signo));
    signal_recalculate_locked(current);
    spin_unlock(&p->siglock);
    if (signo && info->from_timer)
        posix_timer_delivered(info);
    return signo;
}

/* ---- who has to look; siglock held ---- */

void signal_recalculate_locked(struct thread *t)
{
    struct process *p = t->process;
    u64 pending = (t->pending.mask | p->pending.mask) & ~t->sigmask;

    atomic_store(&t->need_signal, pending || p->group_exiting || p->stopped || (p->execing && p->execing != t));
}

static void prod_locked(struct thread *t)
{
    atomic_store(&t->need_signal, true);
    thread_signal_wake(t);
}

/* One thread that does not block the signal; all of them for what concerns all. */
static void prod_process_locked(struct process *p, int signo)
{
    struct thread *t;

    list_for_each(t, &p->threads, process_link) {
        if (signo != SIGKILL && (t->sigmask & SIG_BIT(signo)) && !(t->sigwaiting & SIG_BIT(signo)))
            continue;
        prod_locked(t);
        if (signo != SIGKILL && signo != SIGCONT)
            return;
    }
}

/* process_lock and siglock held. Some thread was told of these, and will not take them now: another is. */
static void pass_on_locked(struct process *p, u64 which)
{
    for (u64 left = p->pending.mask & which; left; left &= left - 1)
        prod_process_locked(p, (int)lowest_bit(left) + 1);
}

/* The same, without a lock; 0: there is nothing to do. */
static void pass_on(struct process *p, u64 which)
{
    if (!which)
        return;
    spin_lock(&process_lock);
    spin_lock(&p->siglock);
    pass_on_locked(p, which);
    spin_unlock(&p->siglock);
    spin_unlock(&process_lock);
}

void signal_wait_end(void)
{
    struct process *p = current_process();
    u64 others;

    spin_lock(&p->siglock);
    others = p->pending.mask & current->sigwaiting;
    current->sigwaiting = 0;
    spin_unlock(&p->siglock);
    pass_on(p, others);
}

/* ---- sending ---- */

/* Stop and continue undo each other, blocked or not. True: the process was stopped and goes on. */
static bool job_control_locked(struct process *p, int signo)
{
    struct thread *t;
    u64 cancel = signo == SIGCONT ? STOP_SIGNALS : STOP_SIGNALS & SIG_BIT(signo) ? SIG_BIT(SIGCONT) : 0;
    bool resumes = (signo == SIGCONT || signo == SIGKILL) && p->stopped;

    if (cancel) {
        signal_queue_flush(&p->pending, cancel);
        list_for_each(t, &p->threads, process_link)
            signal_queue_flush(&t->pending, cancel);
    }
    if (signo == SIGCONT || signo == SIGKILL)
        list_for_each(t, &p->threads, process_link)
            t->may_stop = false; /* also one that has taken its signal to stop, and is on its way */
    if (resumes) {
        p->stopped = false;
        p->continued_pending = signo == SIGCONT;
        waitq_wake_all(&p->stop_wait);
    }
    return resumes && signo == SIGCONT;
}

static bool unwanted_locked(struct process *p, struct thread *t, int signo)
{
    u64 blocked = t ? t->sigmask | t->sigwaiting : 0;
    struct thread *each;

    if (p == init_process && signal_action_get(p, signo).handler == SIG_DFL)
        return true; /* nobody kills init by accident */
    if (!t)
        list_for_each(each, &p->threads, process_link)
            blocked |= each->sigmask | each->sigwaiting;
    return !(blocked & SIG_BIT(signo)) && signal_is_ignored(p, signo);
}

struct sent {
    bool resumed; /* the process was stopped, and goes on */
    bool first;   /* none of this number was pending */
};

/* process_lock held: the list of threads stays. t NULL: to the process. */
static int send_locked(struct process *p, struct thread *t, int signo, const struct siginfo *info, struct sent *sent)
{
    struct signal_queue *q = t ? &t->pending : &p->pending;
    int err = -ESRCH; /* nobody is to hear of it */

    *sent = (struct sent){0};
    spin_lock(&p->siglock);
    if (p->state == PROCESS_ALIVE && !p->group_exiting && !(t && list_empty(&t->process_link))) { /* t has ended */
        sent->resumed = job_control_locked(p, signo);
        if (!unwanted_locked(p, t, signo)) {
            sent->first = !(q->mask & SIG_BIT(signo));
            err = queue_add(p, q, signo, info);
            if (t)
                prod_locked(t);
            else
                prod_process_locked(p, signo);
        }
    }
    spin_unlock(&p->siglock);
    if (!err)
        signalfd_wake();
    return err;
}

/* process_lock held. */
static void tell_parent_locked(struct process *p, int code, int status)
{
    struct siginfo info = {.signo = SIGCHLD, .code = code, .pid = (s32)p->pid, .uid = p->cred.uid, .status = status};
    struct sent sent; /* nobody is resumed by SIGCHLD */

    if (!p->parent)
        return;
    if (!(signal_action_get(p->parent, SIGCHLD).flags & SA_NOCLDSTOP))
        (void)send_locked(p->parent, NULL, SIGCHLD, &info, &sent);
    waitq_wake_all(&p->parent->child_wait);
}

void signal_tell_parent(struct process *p, int code, int status)
{
    spin_lock(&process_lock);
    tell_parent_locked(p, code, status);
    spin_unlock(&process_lock);
}

/* -ESRCH: ignored, or nobody is there; -EAGAIN: no room. */
static int send_and_tell_locked(struct process *p, struct thread *t, int signo, const struct siginfo *info, struct sent *sent)
{
    int err = send_locked(p, t, signo, info, sent);

    if (sent->resumed)
        tell_parent_locked(p, CLD_CONTINUED, SIGCONT);
    return err;
}

static int send(struct process *p, struct thread *t, int signo, const struct siginfo *info)
{
    struct sent sent;
    int err;

    if (!p)
        return -ESRCH; /* a thread of the kernel's own */
    spin_lock(&process_lock);
    err = send_and_tell_locked(p, t, signo, info, &sent);
    spin_unlock(&process_lock);
    return err;
}

int signal_send_process(struct process *p, int signo, const struct siginfo *info)
{
    int err = send(p, NULL, signo, info);

    return err == -ESRCH ? 0 : err;
}

int signal_send_thread(struct thread *t, int signo, const struct siginfo *info)
{
    int err = send(t->process, t, signo, info);

    return err == -ESRCH ? 0 : err;
}

void signal_recall_timer(struct process *p, struct thread *t, int signo, s32 timer_id)
{
    struct signal_queue *q = t ? &t->pending : &p->pending;
    struct queued_signal *s, *mine = NULL;
    bool others = false;

    spin_lock(&p->siglock);
    list_for_each(s, &q->queued, link) {
        if (s->info.signo != signo)
            continue;
        if (s->info.from_timer && s->info.timer_id == timer_id)
            mine = s;
        else
            others = true;
    }
    if (mine) {
        list_remove(&mine->link);
        kmem_free(mine);
        if (!others)
            q->mask &= ~SIG_BIT(signo);
    }
    spin_unlock(&p->siglock);
}

bool signal_send_timer(struct process *p, struct thread *t, const struct siginfo *info)
{
    return send(p, t, info->signo, info) == 0;
}

struct pgrp_send {
    u32 pgid;
    int signo;
    const struct siginfo *info;
};

int signal_send_process_locked(struct process *p, int signo, const struct siginfo *info)
{
    struct sent sent;
    int err = send_and_tell_locked(p, NULL, signo, info, &sent);

    return err == -ESRCH ? 0 : err;
}

int signal_send_member_locked(struct process *p, int signo, const struct siginfo *info)
{
    struct sent sent;
    int err = send_and_tell_locked(p, NULL, signo, info, &sent);

    if (!err && sent.first) /* else a fork that began anew would find nothing to heed first */
        atomic_fetch_add(&p->signals_to_many, 1); /* who sees that sees it pending, too */
    return err == -ESRCH ? 0 : err;
}

static void send_member(struct process *p, void *arg)
{
    struct pgrp_send *s = arg;

    if (p->pgid == s->pgid)
        (void)signal_send_member_locked(p, s->signo, s->info); /* no room: it has one of them */
}

void signal_send_pgrp(u32 pgid, int signo, const struct siginfo *info)
{
    struct pgrp_send s = {pgid, signo, info};

    spin_lock(&process_lock);
    process_for_each_locked(send_member, &s);
    spin_unlock(&process_lock);
}

void signal_fault(int signo, int code, vaddr_t addr)
{
    struct process *p = current_process();
    struct siginfo info = {.signo = signo, .code = code, .addr = addr};

    spin_lock(&p->siglock);
    spin_lock(&p->actions->lock);
    if ((current->sigmask & SIG_BIT(signo)) || signal_action_get_locked(p->actions, signo).handler == SIG_IGN) {
        signal_action_set_locked(p->actions, signo, (struct signal_action){.handler = SIG_DFL});
        current->sigmask &= ~SIG_BIT(signo);
    }
    spin_unlock(&p->actions->lock);
    (void)queue_add(p, &current->pending, signo, &info);
    atomic_store(&current->need_signal, true);
    spin_unlock(&p->siglock);
}

/* ---- threads ---- */

bool signal_pending(void)
{
    return atomic_load(&current->need_signal);
}

bool signal_fatal_pending(void)
{
    struct process *p = current->process;

    return p && (p->group_exiting || ((current->pending.mask | p->pending.mask) & SIG_BIT(SIGKILL)) ||
                 (p->execing && p->execing != current));
}

u64 signal_pending_of(u64 which)
{
    struct process *p = current_process();
    u64 pending;

    spin_lock(&p->siglock);
    pending = (p->pending.mask | current->pending.mask) & which;
    spin_unlock(&p->siglock);
    return pending;
}

void signal_mask_set(u64 mask)
{
    struct process *p = current_process();
    u64 others;

    mask &= ~(SIG_BIT(SIGKILL) | SIG_BIT(SIGSTOP));
    spin_lock(&p->siglock);
    others = p->pending.mask & mask & ~current->sigmask;
    current->sigmask = mask;
    signal_recalculate_locked(current);
    spin_unlock(&p->siglock);
    pass_on(p, others);
}

void signal_mask_set_temporary(u64 mask)
{
    current->saved_sigmask = current->sigmask;
    current->restore_sigmask = true;
    signal_mask_set(mask);
}

void signal_thread_init(struct thread *t, const struct thread *from, bool keep_altstack)
{
    signal_queue_init(&t->pending);
    if (!from)
        return;
    t->sigmask = from->sigmask;
    if (keep_altstack)
        t->altstack = from->altstack;
}

void signal_thread_exit_locked(struct thread *t)
{
    struct process *p = t->process;

    spin_lock(&p->siglock);
    signal_queue_clear(&t->pending);
    pass_on_locked(p, ~0ul);
    spin_unlock(&p->siglock);
}
