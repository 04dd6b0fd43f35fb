/*
 * Pipes and FIFOs: a ring of pages. Lock: pipe->lock, a mutex (RANK_PIPE), as
 * the copies may fault. Writes of up to PIPE_BUF bytes are not torn.
 */
#include "fs/file.h"
#include "lib/string.h"
#include "proc/process.h"
#include "vm/kmem.h"
#include "vm/page.h"
#include "vm/uaccess.h"

#define PIPE_BUF 4096u
#define PAGES_DEFAULT 16u
#define PAGES_MAX 256u
#define F_SETPIPE_SZ 1031
#define F_GETPIPE_SZ 1032
#define FIONREAD 0x541b

struct pipe {
    struct refcount refs; /* ends, and a FIFO's vnode */
    struct mutex lock;
    struct page **page;   /* made when they are first written */
    u32 pages;
    u64 head, tail;       /* bytes written and read since the beginning */
    u32 readers, writers;
    bool claimed;         /* pipe_peek's caller is about to take what lies first */
    u32 reader_opens, writer_opens; /* how often: who waits for the other end sees a change */
    struct waitq data;    /* readers: there is more to read, or another number of writers */
    struct waitq room;    /* writers: the same for them */
};

static const struct file_ops pipe_ops;

static size_t capacity(const struct pipe *p)
{
    return p->pages * PAGE_SIZE;
}

static size_t used(const struct pipe *p)
{
    return p->head - p->tail;
}

static struct pipe *pipe_new(void)
{
    struct pipe *p = kmem_zalloc(sizeof *p);

    if (p)
        p->page = kmem_zalloc(PAGES_DEFAULT * sizeof p->page[0]);
    if (!p || !p->page) {
        kmem_free(p);
        return NULL;
    }
    ref_init(&p->refs);
    mutex_init(&p->lock, "pipe", RANK_PIPE);
    waitq_init(&p->data);
    waitq_init(&p->room);
    p->pages = PAGES_DEFAULT;
    return p;
}

static void pages_drop(struct pipe *p)
{
    for (u32 i = 0; i < p->pages; i++)
        if (p->page[i]) {
            page_put(p->page[i]);
            p->page[i] = NULL;
        }
}

static void pipe_put(struct pipe *p)
{
    if (!ref_put(&p->refs))
        return;
    pages_drop(p);
    kmem_free(p->page);
    kmem_free(p);
}

/* ---- data; locked ---- */

static char *at(struct pipe *p, u64 position, size_t *room)
{
    struct page **page = &p->page[position / PAGE_SIZE % p->pages];

    if (!*page && !(*page = page_alloc(PAGE_KERNEL, 0)))
        return NULL;
    *room = PAGE_SIZE - position % PAGE_SIZE;
    return (char *)page_data(*page) + position % PAGE_SIZE;
}

/* An idle pipe keeps one page at most. */
static void drop_spare(struct pipe *p)
{
    if (used(p) > 0)
        return;
    p->head = p->tail = 0;
    for (u32 i = 1; i < p->pages; i++)
        if (p->page[i]) {
            page_put(p->page[i]);
            p->page[i] = NULL;
        }
}

static ssize_t take_locked(struct pipe *p, struct uio *u)
{
    size_t done = 0;

    while (u->left > 0 && used(p) > 0) {
        size_t room, part, moved;
        char *src = at(p, p->tail, &room);

        part = MIN(MIN(room, used(p)), u->left);
        moved = uio_put(u, src, part);
        p->tail += moved;
        done += moved;
        if (moved < part)
            return done ? (ssize_t)done : -EFAULT;
    }
    drop_spare(p);
    return (ssize_t)done;
}

static ssize_t add_locked(struct pipe *p, struct uio *u)
{
    size_t done = 0;

    while (u->left > 0 && used(p) < capacity(p)) {
        size_t room, part, moved;
        char *dst = at(p, p->head, &room);

        if (!dst)
            return done ? (ssize_t)done : -ENOMEM;
        part = MIN(MIN(room, capacity(p) - used(p)), u->left);
        moved = uio_get(u, dst, part);
        p->head += moved;
        done += moved;
        if (moved < part)
            return done ? (ssize_t)done : -EFAULT;
    }
    return (ssize_t)done;
}

/* ---- reading and writing ---- */

/* 0: go on; the lock is free while this sleeps. */
static int sleep_until(struct pipe *p, struct waitq *q, bool (*ready)(const struct pipe *p, size_t n), size_t n)
{
    int err;

    mutex_unlock(&p->lock);
    err = wait_event(q, ready(p, n), SLEEP_INTERRUPTIBLE, UINT64_MAX);
    mutex_lock(&p->lock);
    return err;
}

static bool can_read(const struct pipe *p, size_t n)
{
    (void)n;
    return !p->claimed && (used(p) > 0 || p->writers == 0);
}

static bool can_write(const struct pipe *p, size_t n)
{
    return p->readers == 0 || capacity(p) - used(p) >= n;
}

static ssize_t pipe_read(struct file *f, struct uio *u, u64 *pos)
{
    struct pipe *p = f->priv;
    ssize_t n = 0;

    (void)pos;
    if (u->left == 0)
        return 0;
    mutex_lock(&p->lock);
    while (n == 0 && (p->claimed || !(used(p) == 0 && p->writers == 0))) {
        if (!p->claimed && used(p) > 0)
            n = take_locked(p, u);
        else if (f->flags & O_NONBLOCK)
            n = -EAGAIN;
        else
            n = sleep_until(p, &p->data, can_read, 0);
    }
    mutex_unlock(&p->lock);
    if (n > 0)
        waitq_wake_all(&p->room);
    return n;
}

static ssize_t pipe_write(struct file *f, struct uio *u, u64 *pos)
{
    struct pipe *p = f->priv;
    size_t done = 0, whole = u->left <= PIPE_BUF ? u->left : 1;
    ssize_t n = 0;

    (void)pos;
    mutex_lock(&p->lock);
    while (u->left > 0 && n >= 0) {
        if (p->readers == 0)
            n = -EPIPE;
        else if (capacity(p) - used(p) >= whole)
            n = add_locked(p, u);
        else if (f->flags & O_NONBLOCK)
            n = -EAGAIN;
        else {
            n = sleep_until(p, &p->room, can_write, whole);
            continue;
        }
        if (n > 0) {
            done += (size_t)n;
            waitq_wake_all(&p->data);
        }
    }
    mutex_unlock(&p->lock);
    return done ? (ssize_t)done : n;
}

static void wake_both(struct pipe *p)
{
    waitq_wake_all(&p->data);
    waitq_wake_all(&p->room);
}

ssize_t pipe_wait_room(struct file *f, bool wait)
{
    struct pipe *p = f->priv;
    ssize_t n = 0;

    mutex_lock(&p->lock);
    while (n == 0) {
        if (p->readers == 0)
            n = -EPIPE;
        else if (capacity(p) > used(p))
            n = (ssize_t)(capacity(p) - used(p));
        else
            n = wait ? sleep_until(p, &p->room, can_write, 1) : -EAGAIN;
    }
    mutex_unlock(&p->lock);
    return n;
}

/* From the tail on, in one piece of the ring after the other; locked. */
static size_t copy_out(struct pipe *p, char *buf, size_t n)
{
    size_t done = 0;

    n = MIN(n, used(p));
    while (done < n) {
        size_t left, part;
        const char *src = at(p, p->tail + done, &left);

        part = MIN(left, n - done);
        memcpy(buf + done, src, part);
        done += part;
    }
    return done;
}

ssize_t pipe_peek(struct file *f, void *buf, size_t n, bool wait)
{
    struct pipe *p = f->priv;
    ssize_t done = 0;

    mutex_lock(&p->lock);
    while (done == 0 && (p->claimed || !(used(p) == 0 && p->writers == 0))) {
        if (!p->claimed && used(p) > 0)
            done = (ssize_t)copy_out(p, buf, n);
        else
            done = wait ? sleep_until(p, &p->data, can_read, 0) : -EAGAIN;
    }
    p->claimed |= done > 0;
    mutex_unlock(&p->lock);
    return done;
}

void pipe_consume(struct file *f, size_t n)
{
    struct pipe *p = f->priv;

    mutex_lock(&p->lock);
    p->claimed = false;
    p->tail += n;
    drop_spare(p);
    mutex_unlock(&p->lock);
    wake_both(p);
}

bool pipe_is(const struct file *f)
{
    return f->ops == &pipe_ops;
}

static unsigned pipe_poll(struct file *f, struct poll_set *ps)
{
    struct pipe *p = f->priv;
    unsigned ready = 0;

    if (f->readable) {
        poll_set_add(ps, &p->data);
        ready |= used(p) > 0 ? POLLIN | POLLRDNORM : 0;
        ready |= p->writers == 0 && p->writer_opens > 0 ? POLLHUP : 0;
    }
    if (f->writable) {
        poll_set_add(ps, &p->room);
        ready |= capacity(p) - used(p) >= PIPE_BUF ? POLLOUT | POLLWRNORM : 0;
        ready |= p->readers == 0 ? POLLERR : 0;
    }
    return ready;
}

/* ---- other calls ---- */

static s64 pipe_ioctl(struct file *f, u32 cmd, u64 arg)
{
    struct pipe *p = f->priv;
    s32 n = (s32)used(p);

    return cmd == FIONREAD ? put_user(arg, &n) : -ENOTTY;
}

static s64 resize(struct pipe *p, u64 bytes)
{
    u32 pages = (u32)((bytes + PAGE_SIZE - 1) / PAGE_SIZE);
    struct page **bigger;

    if (bytes == 0 || bytes > PAGES_MAX * PAGE_SIZE)
        return bytes == 0 ? -EINVAL : -EPERM;
    if (used(p) > 0)
        return -EBUSY;
    bigger = kmem_zalloc(pages * sizeof *bigger);
    if (!bigger)
        return -ENOMEM;
    pages_drop(p);
    kmem_free(p->page);
    p->page = bigger;
    p->pages = pages;
    p->head = p->tail = 0;
    return (s64)capacity(p);
}

static s64 pipe_fcntl(struct file *f, u32 cmd, u64 arg)
{
    struct pipe *p = f->priv;
    s64 result;

    if (cmd == F_GETPIPE_SZ)
        return (s64)capacity(p);
    if (cmd != F_SETPIPE_SZ)
        return -EINVAL;
    mutex_lock(&p->lock);
    result = resize(p, arg);
    mutex_unlock(&p->lock);
    return result;
}

static void pipe_release(struct file *f)
{
    struct pipe *p = f->priv;

    if (!p)
        return;
    mutex_lock(&p->lock);
    p->readers -= f->readable;
    p->writers -= f->writable;
    if (p->readers + p->writers == 0) {
        pages_drop(p);
        p->head = p->tail = 0;
    }
    mutex_unlock(&p->lock);
    wake_both(p);
    pipe_put(p);
}

static const struct file_ops pipe_ops = {
    .read = pipe_read,
    .write = pipe_write,
    .poll = pipe_poll,
    .ioctl = pipe_ioctl,
    .fcntl = pipe_fcntl,
    .release = pipe_release,
};

/* ---- making them ---- */

static struct superblock pipefs = {.type = "pipefs", .magic = 0x50495045, .dev = 9};
static const struct vnode_ops pipe_vnode_ops = {.destroy = pipe_drop_fifo};

static struct file *end_create(struct pipe *p, struct vnode *v, u32 flags)
{
    struct file *f = file_create(&pipe_ops, NULL, v, flags);

    if (!f)
        return NULL;
    f->stream = true;
    f->priv = p;
    ref_get(&p->refs);
    p->readers += f->readable;
    p->writers += f->writable;
    p->reader_opens += f->readable;
    p->writer_opens += f->writable;
    return f;
}

int pipe_create(struct file **reader, struct file **writer, u32 flags)
{
    struct pipe *p = pipe_new();
    struct vnode *v = p ? vnode_create(&pipefs, &pipe_vnode_ops, S_IFIFO | 0600) : NULL;

    if (v) { /* as a FIFO's: /proc/PID/fd/N opens it again */
        v->priv = p;
        ref_get(&p->refs);
    }
    *reader = v ? end_create(p, v, O_RDONLY | flags) : NULL;
    *writer = *reader ? end_create(p, v, O_WRONLY | flags) : NULL;
    if (*reader && !*writer)
        file_put(*reader);
    if (v)
        vnode_put(v);
    if (p)
        pipe_put(p);
    return *writer ? 0 : -ENOMEM;
}

/* The pipe of a FIFO lives as long as it is open; made by the first. */
static struct pipe *fifo_pipe(struct vnode *v)
{
    struct pipe *p;

    mutex_lock(&v->lock);
    if (!v->priv)
        v->priv = pipe_new();
    p = v->priv;
    if (p)
        ref_get(&p->refs);
    mutex_unlock(&v->lock);
    return p;
}

int pipe_dentry(struct vnode *v, struct dentry **out)
{
    *out = dentry_create(NULL, "pipe", 4, v);
    return *out ? 0 : -ENOMEM;
}

void pipe_drop_fifo(struct vnode *v)
{
    if (v->priv)
        pipe_put(v->priv);
}

/* Each end of a FIFO waits for the other. A pipe that is opened anew through /proc does not; locked. */
static bool lacks_partner(const struct file *f, const struct pipe *p)
{
    if ((f->readable && f->writable) || f->vnode->sb == &pipefs)
        return false;
    return f->readable ? p->writers == 0 : p->readers == 0;
}

/* How often the other end has been opened. */
static u32 partner_opens(const struct file *f, const struct pipe *p)
{
    return f->readable ? READ_ONCE(p->writer_opens) : READ_ONCE(p->reader_opens);
}

/* seen: partner_opens when this end could be seen first. The partner may have come and gone since. */
static int wait_for_partner(struct file *f, struct pipe *p, u32 seen)
{
    return wait_event(f->readable ? &p->data : &p->room, partner_opens(f, p) != seen, SLEEP_INTERRUPTIBLE, UINT64_MAX);
}

int pipe_open_fifo(struct file *f)
{
    struct pipe *p = fifo_pipe(f->vnode);
    bool lacks;
    u32 seen;

    if (!p)
        return -ENOMEM;
    mutex_lock(&p->lock);
    lacks = lacks_partner(f, p);
    seen = partner_opens(f, p);
    if (lacks && f->writable && (f->flags & O_NONBLOCK)) { /* not in: release is not called */
        mutex_unlock(&p->lock);
        pipe_put(p);
        return -ENXIO;
    }
    f->ops = &pipe_ops;
    f->stream = true;
    f->priv = p;
    p->readers += f->readable;
    p->writers += f->writable;
    p->reader_opens += f->readable;
    p->writer_opens += f->writable;
    mutex_unlock(&p->lock);
    wake_both(p);
    return lacks && !(f->flags & O_NONBLOCK) ? wait_for_partner(f, p, seen) : 0;
}
