/*
 * The end of threads and processes.
 *
 * A thread first leaves the address space, then the list of threads; so when
 * the last one leaves, no CPU runs in the address space any more. A process
 * gives back memory and files before it becomes a zombie.
 */
#include "dev/console.h"
#include "fs/file.h"
#include "fs/tty.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "proc/futex.h"
#include "proc/itimer.h"
#include "vm/kmem.h"
#include "vm/vm.h"

/* ---- giving back ---- */

void process_vfork_release(struct process *p)
{
    p->vfork_done = true;
    waitq_wake_all(&p->vfork_wait);
}

static void release_parts(struct process *p)
{
    struct vmspace *vm;
    struct file_table *files;
    struct fs_context *fs;
    struct file *exe;

    spin_lock(&process_lock);
    vm = p->vm, files = p->files, fs = p->fs, exe = p->exe;
    p->faults_at_exit = vm ? vm->faults.minor : 0;
    p->vm = NULL;
    p->files = NULL;
    p->fs = NULL;
    p->exe = NULL;
    spin_unlock(&process_lock);
    if (vm)
        vmspace_put(vm);
    process_vfork_release(p);
    process_locks_drop(p);
    if (files)
        file_table_put(files);
    if (fs)
        fs_context_put(fs);
    if (exe)
        process_exe_put(exe);
    process_timers_exit(p);
}

/* ---- the family ---- */

static struct process *reaper_of(struct process *p)
{
    for (struct process *q = p->parent; q; q = q->parent)
        if (q->is_subreaper && q->state == PROCESS_ALIVE)
            return q;
    return init_process;
}

/* Children go to the reaper; zombies among them are announced to it. True: one was. */
static bool orphan_children_locked(struct process *p, struct process *reaper)
{
    struct process *c, *next;
    bool zombies = false;

    list_for_each_safe(c, next, &p->children, sibling_link) {
        list_remove(&c->sibling_link);
        list_append(&reaper->children, &c->sibling_link);
        c->parent = reaper;
        c->exit_signal = SIGCHLD; /* whoever takes orphans in does not know of other ways to be told, nor to wait */
        zombies |= c->state == PROCESS_ZOMBIE;
        if (c->pdeath_signal)
            (void)signal_send_process_locked(c, (int)c->pdeath_signal, NULL);
    }
    return zombies;
}

struct stopped_search {
    u32 pgid;
    bool found;
};

static void find_stopped(struct process *p, void *arg)
{
    struct stopped_search *s = arg;

    if (p->pgid == s->pgid && p->stopped)
        s->found = true;
}

/* POSIX: a group that becomes orphaned and has stopped members gets SIGHUP, then SIGCONT. */
static void hang_up_orphans(u32 pgid)
{
    struct stopped_search s = {.pgid = pgid};

    spin_lock(&process_lock);
    if (pgrp_is_orphaned_locked(pgid))
        process_for_each_locked(find_stopped, &s);
    spin_unlock(&process_lock);
    if (s.found) {
        signal_send_pgrp(pgid, SIGHUP, NULL);
        signal_send_pgrp(pgid, SIGCONT, NULL);
    }
}

static void leave_family(struct process *p)
{
    u32 groups[16], count = 0;
    struct process *c, *reaper;
    bool zombies, was_link;

    spin_lock(&process_lock);
    reaper = reaper_of(p);
    was_link = p->parent && p->parent->pgid != p->pgid && p->parent->session == p->session;
    list_for_each(c, &p->children, sibling_link)
        if (c->pgid != p->pgid && count < ARRAY_SIZE(groups))
            groups[count++] = c->pgid;
    zombies = reaper != p && orphan_children_locked(p, reaper);
    process_get(reaper);
    spin_unlock(&process_lock);
    if (zombies) {
        signal_send_process(reaper, SIGCHLD, NULL);
        waitq_wake_all(&reaper->child_wait);
    }
    process_put(reaper);
    while (count > 0)
        hang_up_orphans(groups[--count]);
    if (was_link) /* else the group had no such member, or has another */
        hang_up_orphans(p->pgid);
}

/* ---- the end ---- */

static void child_info(struct process *p, struct siginfo *info)
{
    int status = p->exit_status;

    *info = (struct siginfo){.signo = SIGCHLD, .pid = (s32)p->pid, .uid = p->cred.uid};
    info->code = (status & 0x7f) == 0 ? CLD_EXITED : CLD_KILLED;
    info->status = (status & 0x7f) == 0 ? status >> 8 & 0xff : status & 0x7f;
}

/* Zombie, or gone at once if the parent does not want to know. */
static void become_zombie(struct process *p)
{
    struct process *parent;
    struct siginfo info;
    bool unwanted;

    child_info(p, &info);
    spin_lock(&process_lock);
    parent = p->parent;
    unwanted = !parent || (p->exit_signal == SIGCHLD && signal_ignores_children(parent));
    p->state = PROCESS_ZOMBIE;
    if (unwanted) {
        p->state = PROCESS_REAPED;
        process_remove_locked(p);
    }
    if (parent)
        process_get(parent);
    spin_unlock(&process_lock);
    if (parent) {
        if (p->exit_signal)
            signal_send_process(parent, (int)p->exit_signal, &info);
        waitq_wake_all(&parent->child_wait);
        process_put(parent);
    }
    if (unwanted)
        process_put(p);
}

static void __noreturn init_died(struct process *p)
{
    printk(LOG_EMERG, "init (pid 1) has ended with status %#x: nothing left to run", p->exit_status);
    console_drain();
    arch_poweroff(70);
}

static void last_thread_exits(struct process *p)
{
    if (p == init_process)
        init_died(p);
    p->state = PROCESS_EXITING;
    if (p->session->sid == p->pid)
        tty_hangup_session(p);
    leave_family(p);
    vm_check_debug("before exit"); /* while what the process has done to its tables can still be seen */
    release_parts(p);
    vm_check_debug("exit");
    become_zombie(p);
}

void process_exit_thread(int code)
{
    struct thread *t = current;
    struct process *p = t->process;
    bool last;

    futex_exit(t);
    sched_set_vm(NULL);
    spin_lock(&process_lock);
    spin_lock(&p->siglock);
    if (!p->group_exiting && p->thread_count == 1) {
        p->group_exiting = true;
        p->exit_status = W_EXIT(code);
        p->exit_code = code;
    }
    spin_unlock(&p->siglock);
    process_remove_thread_locked(p, t);
    signal_thread_exit_locked(t);
    last = p->thread_count == 0;
    spin_unlock(&process_lock);
    waitq_wake_all(&p->thread_wait);
    if (last)
        last_thread_exits(p);
    thread_exit();
}

/* siglock held: every other thread looks at its signals, and goes. */
void process_kill_threads_locked(struct process *p)
{
    struct thread *t;

    list_for_each(t, &p->threads, process_link)
        if (t != current) {
            atomic_store(&t->need_signal, true);
            thread_signal_wake(t);
        }
    waitq_wake_all(&p->stop_wait);
}

void process_exit_group(int wait_status, s32 code)
{
    struct process *p = current_process();

    spin_lock(&process_lock);
    spin_lock(&p->siglock);
    if (!p->group_exiting) {
        p->group_exiting = true;
        p->exit_status = wait_status;
        p->exit_code = code;
        process_kill_threads_locked(p);
    }
    spin_unlock(&p->siglock);
    spin_unlock(&process_lock);
    process_exit_thread(0);
}
