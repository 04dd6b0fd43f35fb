/* /dev/null, zero, full, random, urandom: the numbers are Linux's (Documentation/admin-guide/devices.txt). */
#include "fs/file.h"
#include "lib/random.h"
#include "proc/process.h"
#include "vm/vm.h"

static ssize_t null_read(struct file *f, struct uio *u, u64 *pos)
{
    (void)f, (void)u, (void)pos;
    return 0;
}

static ssize_t null_write(struct file *f, struct uio *u, u64 *pos)
{
    size_t n = u->left;

    (void)f, (void)pos;
    u->left = 0;
    return (ssize_t)n;
}

static ssize_t zero_read(struct file *f, struct uio *u, u64 *pos)
{
    size_t done = 0, want = u->left;

    (void)f, (void)pos;
    while (u->left > 0 && !signal_fatal_pending()) {
        size_t part = MIN(u->left, 64 * PAGE_SIZE), moved = uio_put_zero(u, part);
        done += moved;
        if (moved < part)
            break;
    }
    return done || !want ? (ssize_t)done : -EFAULT;
}

static ssize_t full_write(struct file *f, struct uio *u, u64 *pos)
{
    (void)f, (void)pos;
    return u->left ? -ENOSPC : 0;
}

static ssize_t random_read(struct file *f, struct uio *u, u64 *pos)
{
    size_t done = 0, want = u->left;
    u8 bytes[256];

    (void)f, (void)pos;
    while (u->left > 0 && !signal_fatal_pending()) {
        size_t part = MIN(u->left, sizeof bytes), moved;
        random_bytes(bytes, part);
        moved = uio_put(u, bytes, part);
        done += moved;
        if (moved < part)
            break;
    }
    return done || !want ? (ssize_t)done : -EFAULT;
}

static ssize_t random_write(struct file *f, struct uio *u, u64 *pos)
{
    size_t done = 0, n;
    u8 bytes[256];

    (void)f, (void)pos;
    while ((n = uio_get(u, bytes, MIN(u->left, sizeof bytes))) > 0) {
        random_seed(bytes, n);
        done += n;
    }
    return (ssize_t)done;
}

static s64 no_seek(struct file *f, s64 offset, int whence)
{
    (void)f, (void)offset, (void)whence;
    return 0;
}

static unsigned always(struct file *f, struct poll_set *ps)
{
    (void)f, (void)ps;
    return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
}

/* Shared mappings of zeros are memory of their own; private ones need no object at all. */
static int zero_mmap(struct file *f, u64 offset, u64 len, bool shared, struct vm_object **object)
{
    (void)f;
    *object = NULL;
    if (shared && !(*object = object_create_anonymous(offset + len)))
        return -ENOMEM;
    return 0;
}

/* No poll: they are always ready, and so not watched, as on Linux. What is mapped is not watched by anybody: its file may go with
 * a lock of a directory or a file held. */
static const struct file_ops null_ops = {.read = null_read, .write = null_write, .seek = no_seek};
static const struct file_ops zero_ops = {
    .read = zero_read, .write = null_write, .seek = no_seek, .mmap = zero_mmap};
static const struct file_ops full_ops = {.read = zero_read, .write = full_write, .seek = no_seek};
static const struct file_ops random_ops = {.read = random_read, .write = random_write, .seek = no_seek, .poll = always};

void memdev_init(void)
{
    device_register("null", MKDEV(1, 3), S_IFCHR | 0666, &null_ops, NULL);
    device_register("zero", MKDEV(1, 5), S_IFCHR | 0666, &zero_ops, NULL);
    device_register("full", MKDEV(1, 7), S_IFCHR | 0666, &full_ops, NULL);
    device_register("random", MKDEV(1, 8), S_IFCHR | 0666, &random_ops, NULL);
    device_register("urandom", MKDEV(1, 9), S_IFCHR | 0666, &random_ops, NULL);
}
