#include "fs/mqueue.h"
#include "lib/string.h"
#include "proc/itimer.h"
#include "vm/kmem.h"
#include "vm/uaccess.h"
#include "vm/vm.h"

#define SI_MESGQ (-3)
#define QUEUES_MAX 256u
#define PRIORITY_MAX 32768u
#define USUAL_MESSAGES 10
#define USUAL_SIZE 8192
#define MESSAGES_MAX 65536 /* root's limits, as Linux's */
#define SIZE_MAX_ROOT 16777216

struct message {
    struct list link;
    u32 priority;
    size_t n;
    u8 text[];
};

struct queue {
    struct refcount refs;    /* files, and the name */
    struct list link;        /* queues; queues_lock */
    bool named;              /* queues_lock */
    u64 bytes;               /* what it may take, of its creator's RLIMIT_MSGQUEUE */
    struct mutex lock;       /* RANK_PIPE: all that follows */
    struct list messages;    /* the highest priority first, then the oldest */
    s64 maxmsg, msgsize, count;
    u32 receivers;           /* that sleep */
    struct waitq data, room;
    struct process *to_tell; /* with a reference: mq_notify */
    u64 to_tell_id;          /* of its memory then: another program of it is not told */
    struct mq_notify notify;
    struct vnode *vnode;     /* owner and mode */
    char name[NAME_MAX + 1];
};

static struct superblock mqueuefs = {.type = "mqueue", .magic = 0x19800202, .dev = 18};
static const struct vnode_ops vnode_ops = {0};
static struct mutex queues_lock;
static struct list queues = LIST_INIT(queues); /* also those that have lost their names */
static unsigned queue_count; /* queues_lock */

void mqueue_init(void)
{
    mutex_init(&queues_lock, "message queues", RANK_MQUEUES);
}

static void tell_nobody(struct queue *q)
{
    if (q->to_tell)
        process_put(q->to_tell);
    q->to_tell = NULL;
}

static void queue_put(struct queue *q)
{
    if (!ref_put(&q->refs))
        return;
    mutex_lock(&queues_lock);
    list_remove(&q->link);
    queue_count--;
    mutex_unlock(&queues_lock);
    while (!list_empty(&q->messages)) {
        struct message *m = list_first(&q->messages, struct message, link);

        list_remove(&m->link);
        kmem_free(m);
    }
    tell_nobody(q);
    vnode_put(q->vnode);
    kmem_free(q);
}

/* ---- files ---- */

static const struct file_ops mqueue_ops;

static unsigned mqueue_poll(struct file *f, struct poll_set *ps)
{
    struct queue *q = f->priv;
    unsigned ready = 0;

    poll_set_add(ps, &q->data);
    poll_set_add(ps, &q->room);
    mutex_lock(&q->lock);
    if (q->count > 0)
        ready |= POLLIN | POLLRDNORM;
    if (q->count < q->maxmsg)
        ready |= POLLOUT | POLLWRNORM;
    mutex_unlock(&q->lock);
    return ready;
}

void mqueue_closed(struct file *f)
{
    struct queue *q = f->priv;

    if (f->ops != &mqueue_ops)
        return;
    mutex_lock(&q->lock);
    if (q->to_tell == current_process())
        tell_nobody(q);
    mutex_unlock(&q->lock);
}

static void mqueue_release(struct file *f)
{
    queue_put(f->priv);
}

static const struct file_ops mqueue_ops = {.poll = mqueue_poll, .release = mqueue_release};

bool mqueue_is(const struct file *f)
{
    return f->ops == &mqueue_ops;
}

/* ---- names; queues_lock held ---- */

static struct queue *find(const char *name)
{
    struct queue *q;

    list_for_each(q, &queues, link)
        if (q->named && strcmp(q->name, name) == 0)
            return q;
    return NULL;
}

/* What all queues of this user may take. */
static u64 bytes_of(u32 uid)
{
    struct queue *q;
    u64 sum = 0;

    list_for_each(q, &queues, link)
        if (q->vnode->uid == uid)
            sum += q->bytes;
    return sum;
}

static int check_size(const struct mq_attr *a)
{
    bool root = cred_is_root();

    if (a->maxmsg <= 0 || a->msgsize <= 0 || a->maxmsg > (root ? MESSAGES_MAX : USUAL_MESSAGES) ||
        a->msgsize > (root ? SIZE_MAX_ROOT : USUAL_SIZE))
        return -EINVAL;
    return 0;
}

static int create(const char *name, u32 mode, const struct mq_attr *attr, struct queue **out)
{
    static const struct mq_attr usual = {.maxmsg = USUAL_MESSAGES, .msgsize = USUAL_SIZE};
    struct process *p = current_process();
    struct queue *q;
    int err = attr ? check_size(attr) : 0;
    u64 bytes;

    if (err)
        return err;
    if (queue_count >= QUEUES_MAX)
        return -ENOSPC;
    attr = attr ? attr : &usual;
    bytes = (u64)attr->maxmsg * ((u64)attr->msgsize + sizeof(struct message));
    if (bytes + bytes_of(p->cred.fsuid) > p->rlimit[RLIMIT_MSGQUEUE].cur)
        return -EMFILE;
    q = kmem_zalloc(sizeof *q);
    if (q)
        q->vnode = vnode_create(&mqueuefs, &vnode_ops, S_IFREG | (mode & 0777));
    if (!q || !q->vnode) {
        kmem_free(q);
        return -ENOMEM;
    }
    q->vnode->uid = p->cred.fsuid;
    q->vnode->gid = p->cred.fsgid;
    q->bytes = bytes;
    q->named = true;
    ref_init(&q->refs);
    mutex_init(&q->lock, "message queue", RANK_PIPE);
    list_init(&q->messages);
    waitq_init(&q->data);
    waitq_init(&q->room);
    q->maxmsg = attr->maxmsg;
    q->msgsize = attr->msgsize;
    strlcpy(q->name, name, sizeof q->name);
    list_append(&queues, &q->link);
    queue_count++;
    *out = q;
    return 0;
}

static int find_or_create(const char *name, u32 flags, u32 mode, const struct mq_attr *attr, struct queue **out)
{
    static const unsigned wants[] = {4, 2, 6};
    struct queue *q = find(name);

    if (!q)
        return flags & O_CREAT ? create(name, mode, attr, out) : -ENOENT;
    if ((flags & O_CREAT) && (flags & O_EXCL))
        return -EEXIST;
    *out = q;
    return vnode_permission(q->vnode, wants[flags & O_ACCMODE]);
}

int mqueue_open(const char *name, u32 flags, u32 mode, const struct mq_attr *attr, struct file **out)
{
    struct queue *q;
    struct file *f;
    int err;

    if ((flags & O_ACCMODE) == 3)
        return -EINVAL;
    f = file_create(NULL, NULL, NULL, flags & (O_ACCMODE | O_NONBLOCK)); /* what may fail comes before a queue is made */
    if (!f)
        return -ENOMEM;
    mutex_lock(&queues_lock);
    err = find_or_create(name, flags, mode, attr, &q);
    if (!err) {
        ref_get(&q->refs);
        vnode_get(f->vnode = q->vnode);
        f->ops = &mqueue_ops;
        f->priv = q;
        f->stream = true;
    }
    mutex_unlock(&queues_lock);
    if (err)
        file_put(f);
    *out = f;
    return err;
}

int mqueue_unlink(const char *name)
{
    u32 me = current_process()->cred.fsuid;
    struct queue *q;
    int err = -ENOENT;

    mutex_lock(&queues_lock);
    q = find(name);
    if (q)
        err = me == 0 || me == q->vnode->uid ? 0 : -EACCES;
    if (!err)
        q->named = false;
    mutex_unlock(&queues_lock);
    if (!err)
        queue_put(q);
    return err;
}

/* ---- messages ---- */

static u64 memory_id(struct process *p)
{
    struct vmspace *vm = process_vm_get(p);
    u64 id = vm ? vm->id : 0;

    if (vm)
        vmspace_put(vm);
    return id;
}

/* The one process that wants to know that the queue is no longer empty, if nobody waits for the message anyway. */
static void notify(struct queue *q)
{
    struct siginfo info = {.signo = q->notify.signo, .code = SI_MESGQ, .pid = (s32)current_process()->pid,
                           .uid = current_process()->cred.uid};

    if (!q->to_tell || q->receivers > 0)
        return;
    info.value = q->notify.value;
    if (q->notify.how == SIGEV_SIGNAL && memory_id(q->to_tell) == q->to_tell_id)
        signal_send_process(q->to_tell, info.signo, &info);
    tell_nobody(q);
}

static bool put(struct queue *q, struct message *m)
{
    struct list *at;
    bool fits;

    mutex_lock(&q->lock);
    fits = q->count < q->maxmsg;
    if (fits) {
        for (at = q->messages.prev; at != &q->messages; at = at->prev)
            if (list_entry(at, struct message, link)->priority >= m->priority)
                break;
        list_insert_between(&m->link, at, at->next);
        if (q->count++ == 0)
            notify(q);
    }
    mutex_unlock(&q->lock);
    return fits;
}

static bool take(struct queue *q, struct message **out)
{
    mutex_lock(&q->lock);
    *out = NULL;
    if (q->count > 0) {
        *out = list_first(&q->messages, struct message, link);
        list_remove(&(*out)->link);
        q->count--;
    }
    mutex_unlock(&q->lock);
    return *out != NULL;
}

s64 mqueue_send(struct file *f, vaddr_t text, size_t n, u32 priority, u64 deadline)
{
    struct queue *q = f->priv;
    struct message *m;
    int err = 0;

    if (!f->writable)
        return -EBADF;
    if (priority >= PRIORITY_MAX)
        return -EINVAL;
    if (n > (u64)q->msgsize)
        return -EMSGSIZE;
    m = kmem_alloc(sizeof *m + n);
    if (!m)
        return -ENOMEM;
    m->n = n;
    m->priority = priority;
    if (copy_from_user(m->text, text, n))
        err = -EFAULT;
    else if (!put(q, m))
        err = f->flags & O_NONBLOCK ? -EAGAIN : wait_event(&q->room, put(q, m), SLEEP_INTERRUPTIBLE, deadline);
    if (err)
        kmem_free(m);
    else
        waitq_wake_all(&q->data);
    return err;
}

static void count_receiver(struct queue *q, int change)
{
    mutex_lock(&q->lock);
    q->receivers += (u32)change;
    mutex_unlock(&q->lock);
}

s64 mqueue_receive(struct file *f, vaddr_t text, size_t n, u32 *priority, u64 deadline)
{
    struct queue *q = f->priv;
    struct message *m;
    s64 result = 0;

    if (!f->readable)
        return -EBADF;
    if (n < (u64)q->msgsize)
        return -EMSGSIZE;
    if (!take(q, &m)) {
        if (f->flags & O_NONBLOCK)
            return -EAGAIN;
        count_receiver(q, 1);
        result = wait_event(&q->data, take(q, &m), SLEEP_INTERRUPTIBLE, deadline);
        count_receiver(q, -1);
        if (result)
            return result;
    }
    waitq_wake_all(&q->room);
    *priority = m->priority;
    result = copy_to_user(text, m->text, m->n) ? -EFAULT : (s64)m->n;
    kmem_free(m);
    return result;
}

int mqueue_set_notify(struct file *f, const struct mq_notify *n)
{
    struct queue *q = f->priv;
    struct process *p = current_process();
    int err = 0;

    mutex_lock(&q->lock);
    if (!n) {
        if (q->to_tell == p)
            tell_nobody(q);
    } else if (q->to_tell && q->to_tell->state == PROCESS_ALIVE) {
        err = -EBUSY;
    } else {
        tell_nobody(q);
        process_get(q->to_tell = p);
        q->to_tell_id = memory_id(p);
        q->notify = *n;
    }
    mutex_unlock(&q->lock);
    return err;
}

void mqueue_get_attr(struct file *f, struct mq_attr *out)
{
    struct queue *q = f->priv;

    mutex_lock(&q->lock);
    *out = (struct mq_attr){f->flags & O_NONBLOCK, q->maxmsg, q->msgsize, q->count, {0}};
    mutex_unlock(&q->lock);
}
