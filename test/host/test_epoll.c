/* epoll (fs/epoll.c) and the files it watches (fs/file.c): who goes first. */
#include "kernel_fixture.h"

static void item_goes(void);
#define kmem_free(p) (item_goes(), (kmem_free)(p))
#include "../../kernel/fs/epoll.c"
#include "../../kernel/fs/file.c"
#undef kmem_free

/* ---- the rest of file.c's kernel ---- */

const struct vm_tag_ops *vm_tag_ops;
static unsigned released; /* files that the test has watched */

void dentry_get(struct dentry *d)
{
    (void)d;
}

void dentry_put(struct dentry *d)
{
    (void)d;
}

struct dentry *dentry_create(struct dentry *parent, const char *name, size_t len, struct vnode *v)
{
    (void)parent, (void)name, (void)len, (void)v;
    return NULL;
}

int dentry_lookup(struct dentry *d, const char *name, size_t len, struct dentry **out)
{
    (void)d, (void)name, (void)len, (void)out;
    return -ENOENT;
}

void vnode_get(struct vnode *v)
{
    (void)v;
}

void vnode_put(struct vnode *v)
{
    (void)v;
}

int vnode_permission(struct vnode *v, unsigned what)
{
    (void)v, (void)what;
    return 0;
}

void vnode_touch(struct vnode *v, bool a, bool m, bool c)
{
    (void)v, (void)a, (void)m, (void)c;
}

bool device_find(u32 mode, u64 rdev, const struct file_ops **ops, void **priv)
{
    (void)mode, (void)rdev, (void)ops, (void)priv;
    return false;
}

int pipe_open_fifo(struct file *f)
{
    (void)f;
    return -ENXIO;
}

int path_lookup(int dirfd, const char *path, unsigned flags, struct dentry **out)
{
    (void)dirfd, (void)path, (void)flags, (void)out;
    return -ENOENT;
}

int path_parent(int dirfd, const char *path, unsigned flags, struct path_last *out)
{
    (void)dirfd, (void)path, (void)flags, (void)out;
    return -ENOENT;
}

int fs_create_locked(struct path_last *l, u32 mode, u64 rdev, const char *target, struct dentry **out)
{
    (void)l, (void)mode, (void)rdev, (void)target, (void)out;
    return -ENOENT;
}

struct dentry *mount_cross(struct dentry *d)
{
    (void)d;
    return NULL;
}

void uio_init_kernel(struct uio *u, void *buf, size_t n)
{
    (void)u, (void)buf, (void)n;
}

void file_locks_drop(struct file *f, const void *owner)
{
    (void)f, (void)owner;
}

struct file *anon_create(const char *name, const struct file_ops *ops, u32 flags, void *priv)
{
    struct file *f = file_create(ops, NULL, NULL, flags);

    (void)name;
    if (f)
        f->priv = priv;
    return f;
}

void poll_set_add(struct poll_set *ps, struct waitq *q)
{
    if (ps)
        waiter_add_notify(q, &ps->waiters[ps->count++], ps->notify, ps->owner);
}

void waiter_add_notify(struct waitq *q, struct waiter *w, void (*notify)(struct waiter *w), void *owner)
{
    *w = (struct waiter){.q = q, .notify = notify, .owner = owner};
    list_append(&q->waiters, &w->link);
}

/* ---- a file ---- */

static struct waitq queue_of_file;

static unsigned plain_poll(struct file *f, struct poll_set *ps)
{
    (void)f;
    poll_set_add(ps, &queue_of_file);
    return 0;
}

static void plain_release(struct file *f)
{
    (void)f;
    released++;
}

static const struct file_ops plain_ops = {.poll = plain_poll, .release = plain_release};
static struct file *watched, *ep;

static int start(void **state)
{
    (void)state;
    fixture_start();
    epoll_init();
    waitq_init(&queue_of_file);
    released = allocations = 0;
    watched = file_create(&plain_ops, NULL, NULL, O_RDWR);
    assert_int_equal(epoll_create(0, &ep), 0);
    return 0;
}

static void test_the_file_goes_first(void **state)
{
    (void)state;
    assert_int_equal(epoll_add(ep, watched, 3, 1, 0), 0);
    assert_int_equal(epoll_add(ep, watched, 3, 1, 0), -EEXIST);
    file_put(watched);
    assert_int_equal(released, 1);
    assert_true(list_empty(&queue_of_file.waiters));
    file_put(ep);
    assert_int_equal(allocations, 0);
}

static void test_the_epoll_goes_first(void **state)
{
    (void)state;
    assert_int_equal(epoll_add(ep, watched, 3, 1, 0), 0);
    file_put(ep);
    assert_true(list_empty(&watched->epoll_links));
    file_put(watched);
    assert_int_equal(released, 1);
    assert_int_equal(allocations, 0);
}

static jmp_buf waits;
static bool other_closes;

/* The other CPU drops the last reference while this one takes an item off the file's list: it must wait for epoll_lock, as
 * its list may look empty before this CPU has written to it for the last time. */
static void item_goes(void)
{
    if (!other_closes || !mutex_held(&epoll_lock))
        return;
    other_closes = false;
    instead_of_waiting = &waits;
    if (!setjmp(waits))
        file_put(watched);
    instead_of_waiting = NULL;
    assert_int_equal(released, 0);
}

static void test_both_go_at_once(void **state)
{
    (void)state;
    assert_int_equal(epoll_add(ep, watched, 3, 1, 0), 0);
    other_closes = true;
    file_put(ep);
    assert_false(other_closes);
    ref_init(&watched->refs); /* the other CPU goes on */
    file_put(watched);
    assert_int_equal(released, 1);
    assert_int_equal(allocations, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_the_file_goes_first, start),
        cmocka_unit_test_setup(test_the_epoll_goes_first, start),
        cmocka_unit_test_setup(test_both_go_at_once, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
