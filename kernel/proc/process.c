/*
 * The table of processes and threads: numbers, looking up, references.
 *
 * A number is taken as long as a thread or a process (zombies too) has it.
 * Numbers go up and wrap late, so one is not used again soon. Everything here
 * is under process_lock (RANK_PROC).
 */
#include "proc/process.h"
#include "fs/file.h"
#include "lib/bootargs.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "vm/kmem.h"
#include "vm/vm.h"

#define PID_MAX 4194304u /* as Linux's on 64 bits */
#define BUCKETS 1024

struct spinlock process_lock = SPINLOCK_INIT("processes", RANK_PROC);
struct process *init_process;
static struct list all = LIST_INIT(all); /* by pid, ascending but for the wrap */
static struct list thread_hash[BUCKETS], process_hash[BUCKETS];
static u32 next_tid = 1, process_total, thread_total, process_limit;

void process_init(void)
{
    struct page_stats stats;

    for (unsigned i = 0; i < BUCKETS; i++) {
        list_init(&thread_hash[i]);
        list_init(&process_hash[i]);
    }
    page_stats(&stats);
    process_limit = (u32)bootarg_u64("maxproc", MIN(32768ul, stats.total / 32), 16, 32768);
}

u32 process_count(void)
{
    return process_total;
}

u32 thread_count_all(void)
{
    return thread_total;
}

/* ---- numbers; process_lock held ---- */

static struct process *find_process_locked(u32 pid)
{
    struct process *p;

    list_for_each(p, &process_hash[pid % BUCKETS], hash_link)
        if (p->pid == pid)
            return p;
    return NULL;
}

static struct thread *find_thread_locked(u32 tid)
{
    struct thread *t;

    list_for_each(t, &thread_hash[tid % BUCKETS], hash_link)
        if (t->tid == tid)
            return t;
    return NULL;
}

/* A group or session may outlive the process that it is named after. */
static bool is_group_locked(u32 id)
{
    struct process *p;

    list_for_each(p, &all, all_link)
        if (p->pgid == id || p->session->sid == id)
            return true;
    return false;
}

static u32 number_alloc_locked(void)
{
    static bool wrapped;
    u32 id;

    do {
        id = next_tid++;
        if (next_tid == PID_MAX) {
            next_tid = 300;
            wrapped = true;
        }
    } while (find_thread_locked(id) || find_process_locked(id) || (wrapped && is_group_locked(id)));
    return id;
}

/* RLIMIT_NPROC: may p's real user have another process or thread? User 0 may. Counts only if the limit might be met. */
static bool user_is_full_locked(const struct process *p)
{
    u64 limit = p->rlimit[RLIMIT_NPROC].cur, n = 0;
    const struct process *q;

    if (p->cred.uid == 0 || MAX(process_total, thread_total) < limit)
        return false;
    list_for_each(q, &all, all_link)
        if (q->cred.uid == p->cred.uid)
            n += MAX(q->thread_count, 1u); /* who has ended counts until somebody has waited for it */
    return n >= limit;
}

/* ---- joining and leaving ---- */

int process_add_thread_locked(struct process *p, struct thread *t, bool new_process)
{
    if (process_total + (thread_total > process_total ? thread_total - process_total : 0) >= process_limit ||
        user_is_full_locked(p) || (!new_process && p->group_exiting))
        return -EAGAIN;
    t->tid = number_alloc_locked();
    list_append(&thread_hash[t->tid % BUCKETS], &t->hash_link);
    list_append(&p->threads, &t->process_link);
    p->thread_count++;
    thread_total++;
    if (!new_process) { /* what all others have been told (to stop, to go) before it was one of them */
        spin_lock(&p->siglock);
        signal_recalculate_locked(t);
        spin_unlock(&p->siglock);
    } else {
        p->pid = t->tid;
        p->leader = t;
        list_append(&process_hash[p->pid % BUCKETS], &p->hash_link);
        list_append(&all, &p->all_link);
        process_total++;
    }
    return 0;
}

/* process_lock held. */
void process_remove_thread_locked(struct process *p, struct thread *t)
{
    list_remove(&t->hash_link);
    list_remove(&t->process_link);
    p->thread_count--;
    p->dead_utime_ns += t->utime_ns;
    p->dead_stime_ns += t->stime_ns;
    thread_total--;
    if (p->leader == t)
        p->leader = NULL;
}

/* process_lock held; the table's reference is the caller's now. */
void process_remove_locked(struct process *p)
{
    list_remove(&p->hash_link);
    list_remove(&p->all_link);
    list_remove(&p->sibling_link);
    process_total--;
}

/* exec by a thread that is not the leader: it takes over the process's number. process_lock held; it is the only one. */
void process_take_leader_locked(struct process *p, struct thread *t)
{
    list_remove(&t->hash_link);
    t->tid = p->pid;
    list_append(&thread_hash[t->tid % BUCKETS], &t->hash_link);
    p->leader = t;
}

/* ---- references ---- */

void process_get(struct process *p)
{
    ref_get(&p->refs);
}

void process_put(struct process *p)
{
    if (!ref_put(&p->refs))
        return;
    signal_queue_clear(&p->pending);
    if (p->actions) /* kept until now: a zombie may still be sent signals */
        signal_actions_put(p->actions);
    if (p->session && ref_put(&p->session->refs))
        kmem_free(p->session);
    kmem_free(p->timers);
    kmem_free(p);
}

struct process *process_find(u32 pid)
{
    struct process *p;

    spin_lock(&process_lock);
    p = find_process_locked(pid);
    if (p)
        process_get(p);
    spin_unlock(&process_lock);
    return p;
}

struct thread *thread_find(u32 tid)
{
    struct thread *t;

    spin_lock(&process_lock);
    t = find_thread_locked(tid);
    if (t)
        thread_get(t);
    spin_unlock(&process_lock);
    return t;
}

struct process *process_next(u32 pid)
{
    struct process *p, *best = NULL;

    spin_lock(&process_lock);
    list_for_each(p, &all, all_link)
        if (p->pid >= pid && (!best || p->pid < best->pid))
            best = p;
    if (best)
        process_get(best);
    spin_unlock(&process_lock);
    return best;
}

void process_for_each_locked(void (*fn)(struct process *p, void *arg), void *arg)
{
    struct process *p, *next;

    list_for_each_safe(p, next, &all, all_link)
        fn(p, arg);
}

struct vmspace *process_vm_get(struct process *p)
{
    struct vmspace *vm;

    spin_lock(&process_lock);
    vm = p->vm;
    if (vm)
        vmspace_get(vm);
    spin_unlock(&process_lock);
    return vm;
}

void process_usage(struct process *p, bool children, struct rusage_ns *out)
{
    struct thread *t;

    *out = (struct rusage_ns){0};
    spin_lock(&process_lock);
    if (children) {
        out->utime = p->child_utime_ns;
        out->stime = p->child_stime_ns;
        out->minor = p->child_faults.minor;
    } else {
        out->utime = p->dead_utime_ns;
        out->stime = p->dead_stime_ns;
        list_for_each(t, &p->threads, process_link) {
            out->utime += t->utime_ns;
            out->stime += t->stime_ns;
        }
        out->minor = p->vm ? p->vm->faults.minor : p->faults_at_exit;
    }
    spin_unlock(&process_lock);
}
