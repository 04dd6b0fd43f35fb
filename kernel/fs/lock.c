/*
 * Advisory locks: flock(2), which belong to open files, and fcntl's ranges,
 * which belong to processes. One list for each vnode, under lock_lock; who has to
 * wait sleeps on one queue for all, as conflicts are rare.
 */
#include "fs/lock.h"
#include "lib/errno.h"
#include "proc/process.h"
#include "vm/kmem.h"

struct held_lock {
    struct list link;
    const void *owner; /* a struct file, or a struct process */
    struct process *process; /* of a range: the owner, which has not ended */
    struct list mine;        /* in its list */
    bool exclusive, range;
    u64 start, end;    /* end: first byte behind */
    u32 pid;
};

static struct spinlock lock_lock = SPINLOCK_INIT("file locks", RANK_FS_LOCKS);
static struct waitq released = WAITQ_INIT(released);

static struct held_lock *conflict_locked(struct vnode *v, const struct held_lock *want)
{
    struct held_lock *l;

    list_for_each(l, &v->locks, link)
        if (l->range == want->range && l->owner != want->owner && (l->exclusive || want->exclusive) &&
            l->start < want->end && want->start < l->end)
            return l;
    return NULL;
}

static void add_locked(struct vnode *v, struct held_lock *l)
{
    list_append(&v->locks, &l->link);
    if (l->range)
        list_append(&l->process->range_locks, &l->mine);
}

static void remove_locked(struct held_lock *l)
{
    list_remove(&l->link);
    if (l->range)
        list_remove(&l->mine);
    kmem_free(l);
}

/* Takes [start, end) out of the owner's locks. spare: for the one that is cut in two; true: used. */
static bool cut_locked(struct vnode *v, const struct held_lock *range, struct held_lock *spare)
{
    struct held_lock *l, *next;
    bool used = false;

    list_for_each_safe(l, next, &v->locks, link) {
        if (l->range != range->range || l->owner != range->owner || l->start >= range->end || range->start >= l->end)
            continue;
        if (l->start < range->start && l->end > range->end) {
            *spare = *l;
            spare->start = range->end;
            l->end = range->start;
            add_locked(v, spare);
            used = true;
        } else if (l->start < range->start) {
            l->end = range->start;
        } else if (l->end > range->end) {
            l->start = range->end;
        } else {
            remove_locked(l);
        }
    }
    return used;
}

/* 0, or -EAGAIN. new and spare are used up or left. */
static int try_locked(struct vnode *v, struct held_lock **new, struct held_lock **spare)
{
    if (conflict_locked(v, *new))
        return -EAGAIN;
    if (cut_locked(v, *new, *spare))
        *spare = NULL;
    add_locked(v, *new);
    *new = NULL;
    return 0;
}

static int try(struct vnode *v, struct held_lock **new, struct held_lock **spare)
{
    int err;

    spin_lock(&lock_lock);
    err = try_locked(v, new, spare);
    spin_unlock(&lock_lock);
    if (!err)
        waitq_wake_all(&released); /* an exclusive one may have become a shared one */
    return err;
}

static int take(struct vnode *v, const struct held_lock *want, bool wait)
{
    struct held_lock *new = kmem_zalloc(sizeof *new), *spare = kmem_zalloc(sizeof *spare);
    int err = new && spare ? 0 : -ENOLCK, tried = -EAGAIN;

    if (!err) {
        *new = *want;
        if (wait)
            err = wait_event(&released, (tried = try(v, &new, &spare)) == 0, SLEEP_INTERRUPTIBLE, UINT64_MAX);
        else
            tried = try(v, &new, &spare);
    }
    kmem_free(new);
    kmem_free(spare);
    return err ? err : tried;
}

static int release(struct vnode *v, const struct held_lock *range)
{
    struct held_lock *spare = range->start == 0 && range->end == UINT64_MAX ? NULL : kmem_zalloc(sizeof *spare);
    bool used;

    if (!spare && (range->start != 0 || range->end != UINT64_MAX))
        return -ENOLCK;
    spin_lock(&lock_lock);
    used = cut_locked(v, range, spare);
    spin_unlock(&lock_lock);
    if (!used)
        kmem_free(spare);
    waitq_wake_all(&released);
    return 0;
}

int file_flock(struct file *f, bool unlock, bool exclusive, bool wait)
{
    struct held_lock l = {.owner = f, .exclusive = exclusive, .end = UINT64_MAX};

    if (!f->vnode)
        return -EBADF;
    return unlock ? release(f->vnode, &l) : take(f->vnode, &l, wait);
}

int file_range_lock(struct file *f, struct range_lock *r, enum range_op op)
{
    struct held_lock l = {.owner = current_process(), .process = current_process(), .range = true, .exclusive = r->exclusive, .start = r->start,
                          .end = r->end, .pid = current_process()->pid}, *other;

    if (!f->vnode)
        return -EBADF;
    if (op != RANGE_TEST)
        return r->unlock ? release(f->vnode, &l) : take(f->vnode, &l, op == RANGE_WAIT);
    spin_lock(&lock_lock);
    other = conflict_locked(f->vnode, &l);
    r->unlock = !other;
    if (other)
        *r = (struct range_lock){false, other->exclusive, other->start, other->end, other->pid};
    spin_unlock(&lock_lock);
    return 0;
}

void process_locks_drop(struct process *p)
{
    bool any;

    spin_lock(&lock_lock);
    any = !list_empty(&p->range_locks);
    while (!list_empty(&p->range_locks))
        remove_locked(list_entry(p->range_locks.next, struct held_lock, mine));
    spin_unlock(&lock_lock);
    if (any)
        waitq_wake_all(&released);
}

void vnode_locks_drop(struct vnode *v)
{
    spin_lock(&lock_lock);
    while (!list_empty(&v->locks))
        remove_locked(list_entry(v->locks.next, struct held_lock, link));
    spin_unlock(&lock_lock);
}

void file_locks_drop(struct file *f, const void *owner)
{
    struct held_lock ranges = {.owner = owner, .range = true, .end = UINT64_MAX};
    struct held_lock whole = {.owner = f, .end = UINT64_MAX};

    if (!f->vnode || list_empty(&f->vnode->locks))
        return;
    if (owner)
        (void)release(f->vnode, &ranges);
    if (ref_count(&f->refs) == 0) /* file_put: nobody has it any more */
        (void)release(f->vnode, &whole);
}
