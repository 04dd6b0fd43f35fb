/* Device numbers to drivers, and the nodes in /dev. Lock: a mutex nobody nests anything but directories in. */
#include "fs/file.h"
#include "lib/print.h"
#include "lib/string.h"

#define DEVICES_MAX 32

static struct device {
    const char *name;
    u64 rdev;
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

    snprintf(path, sizeof path, "/dev/%s", d->name);
    err = fs_mknod(AT_FDCWD, path, d->mode, d->rdev);
    if (err)
        printk(LOG_WARN, "%s cannot be made: error %d", path, err);
}

int device_register(const char *name, u64 rdev, u32 mode, const struct file_ops *ops, void *priv)
{
    struct device *d = &devices[device_count];

    if (device_count == DEVICES_MAX)
        return -ENOSPC;
    *d = (struct device){name, rdev, mode, ops, priv};
    device_count++;
    if (mounted)
        make_node(d);
    return 0;
}

bool device_find(u64 rdev, const struct file_ops **ops, void **priv)
{
    for (unsigned i = 0; i < device_count; i++)
        if (devices[i].rdev == rdev) {
            *ops = devices[i].ops;
            *priv = devices[i].priv;
            return true;
        }
    return false;
}

void devices_mount(void)
{
    mounted = true;
    for (unsigned i = 0; i < device_count; i++)
        make_node(&devices[i]);
}
