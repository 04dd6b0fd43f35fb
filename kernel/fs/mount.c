/* Mounted file systems, and the first ones. Lock: mount_lock (RANK_MOUNT) for the list. */
#include "fs/file.h"
#include "lib/print.h"
#include "lib/string.h"
#include "vm/kmem.h"

static struct list mounts = LIST_INIT(mounts);
static struct spinlock mount_lock = SPINLOCK_INIT("mounts", RANK_MOUNT);

/* The tree's references to root and to where it hangs are the mount's. */
int mount_add(struct dentry *on, struct dentry *root, struct superblock *sb, const char *source)
{
    struct mount *m = kmem_zalloc(sizeof *m);
    bool busy = false;

    if (!m)
        return -ENOMEM;
    m->sb = sb;
    strlcpy(m->source, source, sizeof m->source);
    dentry_get(m->root = root);
    if (on)
        dentry_get(m->on = on);
    spin_lock(&mount_lock);
    if (on && on->mounted) {
        busy = true;
    } else {
        root->mount = m;
        if (on)
            on->mounted = m;
        list_append(&mounts, &m->link);
    }
    spin_unlock(&mount_lock);
    if (!busy)
        return 0;
    dentry_put(root);
    dentry_put(on);
    kmem_free(m);
    return -EBUSY;
}

/* Only what nobody uses: the root of a file system whose names nobody holds, and to which nobody crosses now. */
static int may_unmount_locked(const struct dentry *root)
{
    const struct mount *m = root->mount;

    if (!m || !m->on)
        return -EINVAL;
    return ref_count(&root->refs) > 3 || !list_empty(&root->children) ? -EBUSY : 0; /* maker, mount, caller */
}

struct dentry *mount_cross(struct dentry *at)
{
    struct dentry *root = NULL;

    if (!READ_ONCE(at->mounted))
        return NULL;
    spin_lock(&mount_lock);
    if (at->mounted)
        dentry_get(root = at->mounted->root);
    spin_unlock(&mount_lock);
    return root;
}

void superblock_drop(struct superblock *sb, struct dentry *root)
{
    dentry_put(root);
    if (sb->made)
        kmem_free(sb);
}

int mount_remove(struct dentry *root)
{
    struct superblock *sb = root->vnode->sb;
    struct mount *m;
    int err;

    spin_lock(&mount_lock);
    m = root->mount;
    err = may_unmount_locked(root);
    if (!err) {
        list_remove(&m->link);
        m->on->mounted = NULL;
        root->mount = NULL;
    }
    spin_unlock(&mount_lock);
    if (!err) {
        dentry_put(m->on);
        dentry_put(root);
        kmem_free(m);
    }
    dentry_put(root);
    if (!err && !sb->kept)
        superblock_drop(sb, root);
    return err;
}

void mount_for_each(void (*fn)(const struct mount *m, void *arg), void *arg)
{
    struct mount *m;

    spin_lock(&mount_lock);
    list_for_each(m, &mounts, link)
        fn(m, arg);
    spin_unlock(&mount_lock);
}

/* A file system of this type at a directory of the root. */
static void mount_at(const char *path, struct superblock *(*create)(struct dentry **root), const char *source)
{
    struct dentry *on, *root;
    struct superblock *sb;
    int err = fs_mkdir(AT_FDCWD, path, 0755);

    if (!err || err == -EEXIST)
        err = path_lookup(AT_FDCWD, path, PATH_DIRECTORY | PATH_KERNEL, &on);
    sb = err ? NULL : create(&root);
    if (!sb || mount_add(on, root, sb, source))
        panic("%s cannot be mounted", path);
    dentry_put(on);
}

static void make_links(void)
{
    static const char *const links[][2] = {{"/proc/self/fd", "/dev/fd"},
                                           {"/proc/self/fd/0", "/dev/stdin"},
                                           {"/proc/self/fd/1", "/dev/stdout"},
                                           {"/proc/self/fd/2", "/dev/stderr"}};

    for (unsigned i = 0; i < ARRAY_SIZE(links); i++)
        if (fs_symlink(links[i][0], AT_FDCWD, links[i][1]))
            printk(LOG_WARN, "%s cannot be made", links[i][1]);
    if (fs_mkdir(AT_FDCWD, "/dev/shm", 01777))
        printk(LOG_WARN, "/dev/shm cannot be made");
}

void fs_init(void)
{
    struct superblock *sb;

    dentry_init();
    fs_vm_hooks_init();
    sb = ramfs_create(&root_dentry);
    if (!sb || mount_add(NULL, root_dentry, sb, "rootfs"))
        panic("no memory for the root file system");
    mount_at("/dev", ramfs_create, "devtmpfs");
    mount_at("/proc", procfs_create, "proc");
    mount_at("/dev/pts", devpts_create, "devpts");
    memdev_init();
    devices_mount();
    make_links();
}
