/*
 * clone(2): new processes and threads. Everything that can fail comes before
 * the child can be seen; what was taken is given back in the opposite order.
 */
#include "fs/file.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "lib/string.h"
#include "proc/clone.h"
#include "proc/process.h"
#include "vm/kmem.h"
#include "vm/uaccess.h"
#include "vm/vm.h"

#define CLONE_SUPPORTED                                                                                      \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_VFORK | CLONE_PARENT | CLONE_THREAD |          \
     CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_DETACHED | CLONE_IO |  \
     CLONE_CHILD_SETTID | CLONE_CLEAR_SIGHAND)

static int check_flags(const struct clone_args *a)
{
    if (a->flags & ~(u64)CLONE_SUPPORTED)
        return -EINVAL;
    if ((a->flags & CLONE_SIGHAND) && !(a->flags & CLONE_VM))
        return -EINVAL;
    if ((a->flags & CLONE_SIGHAND) && (a->flags & CLONE_CLEAR_SIGHAND))
        return -EINVAL;
    if ((a->flags & CLONE_THREAD) && !(a->flags & CLONE_SIGHAND))
        return -EINVAL;
    if (a->exit_signal > SIG_COUNT)
        return -EINVAL;
    return 0;
}

/* ---- the parts of a process ---- */

static void parts_put(struct process *p)
{
    if (p->vm)
        vmspace_put(p->vm);
    if (p->files)
        file_table_put(p->files);
    if (p->fs)
        fs_context_put(p->fs);
    if (p->actions)
        signal_actions_put(p->actions);
    if (p->exe)
        process_exe_put(p->exe);
    p->vm = NULL;
    p->files = NULL;
    p->fs = NULL;
    p->actions = NULL;
    p->exe = NULL;
}

/* Shares or copies each part as the flags say. False: no memory; parts_put gives back what there is. */
static bool parts_copy(struct process *p, struct process *from, u64 flags)
{
    if (flags & CLONE_FILES)
        file_table_get(from->files);
    if (flags & CLONE_FS)
        fs_context_get(from->fs);
    if (flags & CLONE_SIGHAND)
        ref_get(&from->actions->refs);
    p->files = flags & CLONE_FILES ? from->files : file_table_copy(from->files);
    p->fs = flags & CLONE_FS ? from->fs : fs_context_copy(from->fs);
    p->actions = flags & CLONE_SIGHAND ? from->actions : signal_actions_copy(from->actions);
    if (p->actions && (flags & CLONE_CLEAR_SIGHAND))
        signal_actions_reset(p->actions, 0);
    if (from->exe)
        p->exe = process_exe_get(from->exe);
    if (!p->files || !p->fs || !p->actions)
        return false;
    if (flags & CLONE_VM)
        vmspace_get(from->vm);
    p->vm = flags & CLONE_VM ? from->vm : vmspace_fork(from->vm);
    return p->vm;
}

void process_init_fields(struct process *p)
{
    ref_init(&p->refs);
    list_init(&p->children);
    list_init(&p->sibling_link);
    list_init(&p->all_link);
    list_init(&p->hash_link);
    list_init(&p->threads);
    list_init(&p->range_locks);
    spin_init(&p->cred_lock, "credentials", RANK_SIGNAL);
    spin_init(&p->siglock, "signals", RANK_SIGNAL);
    signal_queue_init(&p->pending);
    waitq_init(&p->child_wait);
    waitq_init(&p->stop_wait);
    waitq_init(&p->vfork_wait);
    waitq_init(&p->thread_wait);
    p->start_ns = arch_time_ns();
}

static void cred_copy(struct process *p, struct process *from)
{
    if (from->thread_count == 1) {
        p->cred = from->cred;
        return;
    }
    spin_lock(&from->cred_lock); /* another thread may just be changing them */
    p->cred = from->cred;
    spin_unlock(&from->cred_lock);
}

static struct process *process_copy(struct process *from, const struct clone_args *a)
{
    struct process *p = kmem_zalloc(sizeof *p);

    if (!p)
        return NULL;
    process_init_fields(p);
    cred_copy(p, from);
    memcpy(p->rlimit, from->rlimit, sizeof p->rlimit);
    memcpy(p->comm, from->comm, sizeof p->comm);
    p->exit_signal = a->flags & CLONE_PARENT ? from->exit_signal : a->exit_signal; /* the parent is not the caller's to signal */
    p->dumpable = from->dumpable;
    p->personality = from->personality;
    p->persona = from->persona;
    p->oom_score_adj = from->oom_score_adj;
    if (parts_copy(p, from, a->flags))
        return p;
    parts_put(p);
    kmem_free(p);
    return NULL;
}

/* ---- the thread ---- */

/* In the child, before it sees user mode. */
static void child_begin(void *arg)
{
    struct thread *t = arg;
    u32 tid = t->tid;

    if (t->set_child_tid && put_user(t->set_child_tid, &tid))
        t->set_child_tid = 0; /* Linux ignores a bad address here, too */
    arch_return_to_user(t->frame);
}

static struct thread *thread_copy(const struct clone_args *a, const struct trapframe *frame)
{
    struct thread *t = thread_alloc(child_begin, NULL);

    if (!t)
        return NULL;
    t->start_arg = t;
    arch_fpu_save(&current->fpu);
    arch_fpu_copy(&t->fpu, &current->fpu);
    t->frame = arch_user_frame(t->kstack + KSTACK_SIZE);
    *t->frame = *frame;
    tf_set_result(t->frame, 0);
    if (a->stack)
        tf_set_sp(t->frame, a->stack);
    if (a->flags & CLONE_SETTLS)
        tf_set_tls(t->frame, a->tls);
    t->cpus_allowed = current->cpus_allowed;
    t->nice = current->nice;
    if (current->reset_on_fork) {
        t->nice = MAX(t->nice, 0);
    } else {
        t->policy = current->policy;
        t->rt_priority = current->rt_priority;
    }
    memcpy(t->comm, current->comm, sizeof t->comm);
    t->set_child_tid = a->flags & CLONE_CHILD_SETTID ? a->child_tid : 0;
    t->clear_child_tid = a->flags & CLONE_CHILD_CLEARTID ? a->child_tid : 0;
    t->last_ns = arch_time_ns();
    signal_thread_init(t, current, !(a->flags & CLONE_VM) || (a->flags & CLONE_VFORK));
    return t;
}

/* Into the tree, beside or below the running process. */
static void adopt_locked(struct process *p, const struct clone_args *a)
{
    struct process *me = current_process();

    p->pgid = me->pgid;
    p->session = me->session;
    ref_get(&p->session->refs);
    p->parent = a->flags & CLONE_PARENT && me->parent ? me->parent : me;
    list_append(&p->parent->children, &p->sibling_link);
}

/*
 * From now on others see it. A signal for several processes (a group) is also for whom one of them is making. So a fork
 * begins when all that has come is heeded, and if another has come meanwhile (signals_before: how many there were), it
 * begins anew; as it does if the process is to end, which hears of no more signals.
 */
static int join(struct process *p, struct thread *t, const struct clone_args *a, u32 signals_before)
{
    bool new_process = p != current_process();
    int err;

    spin_lock(&process_lock);
    if (new_process && (signal_fatal_pending() || atomic_load(&current_process()->signals_to_many) != signals_before))
        err = -ERESTARTNOINTR;
    else
        err = process_add_thread_locked(p, t, new_process);
    if (!err && new_process)
        adopt_locked(p, a);
    spin_unlock(&process_lock);
    return err;
}

/* Sleeps until the child has its own memory, or is gone, or this process is killed. */
static void vfork_wait(struct process *child)
{
    int err = wait_event(&child->vfork_wait, child->vfork_done, SLEEP_KILLABLE, UINT64_MAX);

    (void)err; /* killed: the way out deals with it */
}

/* Also of what another thread has been told, and has not taken. */
static bool has_to_heed(const struct process *p)
{
    return signal_pending() || (READ_ONCE(p->pending.mask) & ~current->sigmask);
}

s64 process_clone(const struct clone_args *a, const struct trapframe *frame)
{
    bool new_process = !(a->flags & CLONE_THREAD);
    struct process *p = current_process();
    u32 tid, signals_before = atomic_load(&p->signals_to_many); /* before it is looked for what is pending */
    struct thread *t;
    int err = check_flags(a);

    if (!err && new_process && has_to_heed(p))
        err = -ERESTARTNOINTR;
    if (err)
        return err;
    t = thread_copy(a, frame);
    if (!t)
        return -EAGAIN;
    if (new_process) {
        p = process_copy(p, a);
        if (!p) {
            thread_put(t);
            return -ENOMEM;
        }
        process_get(p); /* ours, for vfork_wait */
    }
    t->process = p;
    process_get(p); /* the thread's */
    t->vm = p->vm;
    err = join(p, t, a, signals_before);
    if (err) {
        if (new_process) {
            parts_put(p);
            process_put(p);
            process_put(p);
        }
        thread_put(t);
        return err;
    }
    tid = t->tid;
    if ((a->flags & CLONE_PARENT_SETTID) && put_user(a->parent_tid, &tid))
        printk(LOG_DEBUG, "clone: %s: bad address for the parent's copy of the tid", current->comm);
    if (!(a->flags & CLONE_VFORK))
        p->vfork_done = p->vfork_done || new_process;
    thread_start(t);
    if (new_process) {
        vm_check_debug("fork");
        if (a->flags & CLONE_VFORK)
            vfork_wait(p);
        process_put(p);
    }
    return tid;
}
