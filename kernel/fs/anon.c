/* Files without a place, and the simplest of them: the counter of eventfd(2). */
#include "fs/anon.h"
#include "lib/errno.h"
#include "vm/kmem.h"

static struct superblock anonfs = {.type = "anon_inodefs", .magic = 0x09041934, .dev = 10};
static const struct vnode_ops anon_vnode_ops = {0};

struct file *anon_create(const char *name, const struct file_ops *ops, u32 flags, void *priv)
{
    struct vnode *v = vnode_create(&anonfs, &anon_vnode_ops, 0600);
    struct file *f = v ? file_create(ops, NULL, v, flags) : NULL;

    if (v) {
        v->priv = (void *)(uintptr_t)name;
        vnode_put(v);
    }
    if (f) {
        f->stream = true;
        f->priv = priv;
    }
    return f;
}

const char *anon_name(const struct file *f)
{
    return f->vnode && f->vnode->sb == &anonfs ? f->vnode->priv : NULL;
}

/* ---- eventfd ---- */

struct eventfd {
    struct mutex lock; /* RANK_PIPE */
    u64 count;
    bool semaphore;
    struct waitq data, room; /* readers, writers */
};

static bool take(struct eventfd *e, u64 *value)
{
    mutex_lock(&e->lock);
    *value = e->semaphore ? MIN(e->count, 1ul) : e->count;
    e->count -= *value;
    mutex_unlock(&e->lock);
    return *value > 0;
}

static bool give(struct eventfd *e, u64 value)
{
    bool fits;

    mutex_lock(&e->lock);
    fits = value < UINT64_MAX - e->count; /* the highest count is UINT64_MAX - 1 */
    e->count += fits ? value : 0;
    mutex_unlock(&e->lock);
    return fits;
}

static ssize_t eventfd_read(struct file *f, struct uio *u, u64 *pos)
{
    struct eventfd *e = f->priv;
    u64 value;
    int err;

    (void)pos;
    if (u->left < sizeof value)
        return -EINVAL;
    if (!take(e, &value)) {
        if (f->flags & O_NONBLOCK)
            return -EAGAIN;
        err = wait_event(&e->data, take(e, &value), SLEEP_INTERRUPTIBLE, UINT64_MAX);
        if (err)
            return err;
    }
    waitq_wake_all(&e->room);
    return uio_put(u, &value, sizeof value) == sizeof value ? (ssize_t)sizeof value : -EFAULT;
}

static ssize_t eventfd_write(struct file *f, struct uio *u, u64 *pos)
{
    struct eventfd *e = f->priv;
    u64 value;
    int err;

    (void)pos;
    if (u->left < sizeof value)
        return -EINVAL;
    if (uio_get(u, &value, sizeof value) != sizeof value)
        return -EFAULT;
    if (value == UINT64_MAX)
        return -EINVAL;
    if (!give(e, value)) {
        if (f->flags & O_NONBLOCK)
            return -EAGAIN;
        err = wait_event(&e->room, give(e, value), SLEEP_INTERRUPTIBLE, UINT64_MAX);
        if (err)
            return err;
    }
    waitq_wake_all(&e->data);
    return sizeof value;
}

static unsigned eventfd_poll(struct file *f, struct poll_set *ps)
{
    struct eventfd *e = f->priv;
    unsigned ready = 0;

    poll_set_add(ps, &e->data);
    poll_set_add(ps, &e->room);
    mutex_lock(&e->lock);
    if (e->count > 0)
        ready |= POLLIN;
    if (e->count < UINT64_MAX - 1)
        ready |= POLLOUT;
    mutex_unlock(&e->lock);
    return ready;
}

static void eventfd_release(struct file *f)
{
    kmem_free(f->priv);
}

static const struct file_ops eventfd_ops = {
    .read = eventfd_read, .write = eventfd_write, .poll = eventfd_poll, .release = eventfd_release};

int eventfd_create(u64 count, bool semaphore, u32 flags, struct file **out)
{
    struct eventfd *e = kmem_zalloc(sizeof *e);

    if (!e)
        return -ENOMEM;
    mutex_init(&e->lock, "eventfd", RANK_PIPE);
    waitq_init(&e->data);
    waitq_init(&e->room);
    e->count = count;
    e->semaphore = semaphore;
    *out = anon_create("anon_inode:[eventfd]", &eventfd_ops, O_RDWR | flags, e);
    if (!*out)
        kmem_free(e);
    return *out ? 0 : -ENOMEM;
}
