/* Device numbers to drivers, and the nodes in /dev. Lock: a mutex nobody nests anything but directories in. */
#include "fs/file.h"
#include "lib/print.h"
#include "lib/string.h"

#define DEVICES_MAX 64

static struct device {
    const char *name; /* NULL: it has no node of its own here */
    u64 rdev;
    unsigned count;   /* of numbers, from rdev on */
    u32 mode;
    const struct file_ops *ops;
    void *priv;
} devices[DEVICES_MAX];
static unsigned device_count;
static bool mounted;

static void make_node(const struct device *d)
{
    char path[64];
    int err;

    if (!d->name)
        return;
    snprintf(path, sizeof path, "/dev/%s", d->name);
    err = fs_mknod(AT_FDCWD, path, d->mode, d->rdev);
    if (err)
        printk(LOG_WARN, "%s cannot be made: error %d", path, err);
}

static int add(struct device device)
{
    struct device *d = &devices[device_count];

    if (device_count == DEVICES_MAX)
        return -ENOSPC;
    *d = device;
    device_count++;
    if (mounted)
        make_node(d);
    return 0;
}

int device_register(const char *name, u64 rdev, u32 mode, const struct file_ops *ops, void *priv)
{
    return add((struct device){name, rdev, 1, mode, ops, priv});
}

int device_register_range(u64 rdev, unsigned count, const struct file_ops *ops)
{
    return add((struct device){.rdev = rdev, .count = count, .mode = S_IFCHR, .ops = ops});
}

bool device_find(u32 mode, u64 rdev, const struct file_ops **ops, void **priv)
{
    for (unsigned i = 0; i < device_count; i++)
        if (((devices[i].mode ^ mode) & S_IFMT) == 0 && rdev - devices[i].rdev < devices[i].count) {
            *ops = devices[i].ops;
            *priv = devices[i].priv;
            return true;
        }
    return false;
}

void devices_sync(void)
{
    for (unsigned i = 0; i < device_count; i++)
        if (devices[i].ops->sync)
            (void)devices[i].ops->sync(devices[i].priv); /* sync(2) has no way to say so */
}

void devices_mount(void)
{
    mounted = true;
    for (unsigned i = 0; i < device_count; i++)
        make_node(&devices[i]);
}
