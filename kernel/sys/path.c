/* System calls on names. */
#include "fs/file.h"
#include "lib/string.h"
#include "proc/process.h"
#include "sys/syscall.h"
#include "vm/kmem.h"
#include "vm/uaccess.h"
#include "vm/vm.h"

#define AT_SYMLINK_NOFOLLOW 0x100u
#define AT_REMOVEDIR 0x200u
#define AT_SYMLINK_FOLLOW 0x400u
#define AT_EMPTY_PATH 0x1000u

/* ---- looking up what a call names ---- */

static int lookup(int dirfd, vaddr_t upath, unsigned flags, struct dentry **out)
{
    char *path;
    int err = path_from_user(upath, &path);

    if (err)
        return err;
    err = path_lookup(dirfd, path, flags, out);
    kmem_free(path);
    return err;
}

static unsigned follow_flags(u64 at_flags)
{
    return (at_flags & AT_SYMLINK_NOFOLLOW ? 0 : PATH_FOLLOW) | (at_flags & AT_EMPTY_PATH ? PATH_EMPTY : 0);
}

static int dentry_of_fd(u64 fd, struct dentry **out)
{
    struct file *f = fd_get((int)fd);
    int err = 0;

    if (!f)
        return -EBADF;
    if (f->dentry)
        dentry_get(*out = f->dentry);
    else
        err = -EINVAL;
    file_put(f);
    return err;
}

/* ---- making and removing ---- */

SYSCALL(mkdirat)
{
    char *path;
    int err = path_from_user(a[1], &path);

    if (err)
        return err;
    err = fs_mkdir((int)a[0], path, (u32)a[2]);
    kmem_free(path);
    return err;
}

SYSCALL(mknodat)
{
    char *path;
    int err = path_from_user(a[1], &path);

    if (err)
        return err;
    err = fs_mknod((int)a[0], path, (u32)a[2], a[3]);
    kmem_free(path);
    return err;
}

SYSCALL(unlinkat)
{
    char *path;
    int err;

    if (a[2] & ~(u64)AT_REMOVEDIR)
        return -EINVAL;
    err = path_from_user(a[1], &path);
    if (err)
        return err;
    err = fs_unlink((int)a[0], path, a[2] & AT_REMOVEDIR);
    kmem_free(path);
    return err;
}

/* Both strings of a call that names two. */
static int two_paths(vaddr_t first, vaddr_t second, char **a, char **b)
{
    int err = path_from_user(first, a);

    if (err)
        return err;
    err = path_from_user(second, b);
    if (err)
        kmem_free(*a);
    return err;
}

SYSCALL(symlinkat)
{
    char *target, *path;
    int err = two_paths(a[0], a[2], &target, &path);

    if (err)
        return err;
    err = fs_symlink(target, (int)a[1], path);
    kmem_free(target);
    kmem_free(path);
    return err;
}

SYSCALL(linkat)
{
    char *old, *new;
    int err;

    if (a[4] & ~(u64)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    err = two_paths(a[1], a[3], &old, &new);
    if (err)
        return err;
    err = fs_link((int)a[0], old, (int)a[2], new,
                  (a[4] & AT_SYMLINK_FOLLOW ? PATH_FOLLOW : 0) | (a[4] & AT_EMPTY_PATH ? PATH_EMPTY : 0));
    kmem_free(old);
    kmem_free(new);
    return err;
}

SYSCALL(renameat2)
{
    char *old, *new;
    int err = two_paths(a[1], a[3], &old, &new);

    if (err)
        return err;
    err = fs_rename((int)a[0], old, (int)a[2], new, (unsigned)a[4]);
    kmem_free(old);
    kmem_free(new);
    return err;
}

SYSCALL(readlinkat)
{
    char *text;
    struct dentry *d;
    s64 n;
    int err = lookup((int)a[0], a[1], PATH_EMPTY, &d);

    if (err)
        return err;
    text = kmem_alloc(PATH_MAX);
    if (!text)
        n = -ENOMEM;
    else if ((d->vnode->mode & S_IFMT) != S_IFLNK)
        n = -EINVAL;
    else
        n = d->vnode->ops->readlink(d->vnode, text, PATH_MAX);
    dentry_put(d);
    if (n > 0) {
        n = MIN(n, (s64)a[3]);
        n = (s32)a[3] <= 0 ? -EINVAL : copy_to_user(a[2], text, (size_t)n) ? -EFAULT : n;
    }
    kmem_free(text);
    return n;
}

/* ---- where a process stands ---- */

static s64 go_to(struct dentry *d, bool root)
{
    s64 err = 0;

    if ((d->vnode->mode & S_IFMT) != S_IFDIR)
        err = -ENOTDIR;
    if (!err)
        err = vnode_permission(d->vnode, 1);
    if (!err)
        fs_context_set(d, root);
    dentry_put(d);
    return err;
}

SYSCALL(chdir)
{
    struct dentry *d;
    int err = lookup(AT_FDCWD, a[0], PATH_FOLLOW, &d);

    return err ? err : go_to(d, false);
}

SYSCALL(fchdir)
{
    struct dentry *d;
    int err = dentry_of_fd(a[0], &d);

    return err == -EINVAL ? -ENOTDIR : err ? err : go_to(d, false);
}

SYSCALL(chroot)
{
    struct dentry *d;
    int err;

    if (!cred_is_root())
        return -EPERM;
    err = lookup(AT_FDCWD, a[0], PATH_FOLLOW, &d);
    return err ? err : go_to(d, true);
}

SYSCALL(getcwd)
{
    struct dentry *cwd = fs_cwd_get(), *root = fs_root_get();
    char *text = kmem_alloc(PATH_MAX);
    s64 n = text ? dentry_path(cwd, root, text, PATH_MAX) : -ENOMEM;

    if (n >= 0 && cwd->removed)
        n = -ENOENT;
    if (n >= 0)
        n = (u64)n + 1 > a[1] ? -ERANGE : copy_to_user(a[0], text, (size_t)n + 1) ? -EFAULT : n + 1;
    kmem_free(text);
    dentry_put(cwd);
    dentry_put(root);
    return n;
}

SYSCALL(umask)
{
    struct fs_context *c = current_process()->fs;
    u32 old = c->umask;

    c->umask = (u32)a[0] & 0777;
    return old;
}

/* ---- attributes ---- */

/* v->lock, from the check on: a file that goes to another owner meanwhile is not given set-id bits by the old one. */
static s64 change_mode_locked(struct vnode *v, u32 mode)
{
    const struct cred *c = &current_process()->cred;

    if (v->sb->fixed || (c->fsuid != 0 && c->fsuid != v->uid))
        return -EPERM;
    if ((v->seals & SEAL_EXEC) && ((v->mode ^ mode) & 0111))
        return -EPERM;
    if (c->fsuid != 0 && !cred_in_group(v->gid))
        mode &= ~S_ISGID;
    v->mode = (v->mode & S_IFMT) | (mode & 07777);
    vnode_touch(v, false, false, true);
    return 0;
}

static s64 change_mode(struct dentry *d, u32 mode)
{
    s64 err;

    mutex_lock(&d->vnode->lock);
    err = change_mode_locked(d->vnode, mode);
    mutex_unlock(&d->vnode->lock);
    dentry_put(d);
    return err;
}

SYSCALL(fchmod)
{
    struct dentry *d;
    int err = dentry_of_fd(a[0], &d);

    return err ? err : change_mode(d, (u32)a[1]);
}

SYSCALL(fchmodat)
{
    struct dentry *d;
    int err = lookup((int)a[0], a[1], PATH_FOLLOW, &d);

    return err ? err : change_mode(d, (u32)a[2]);
}

static s64 change_owner_locked(struct vnode *v, u32 uid, u32 gid)
{
    const struct cred *c = &current_process()->cred;
    bool mine = c->fsuid == v->uid && (uid == UINT32_MAX || uid == v->uid) && (gid == UINT32_MAX || cred_in_group(gid));

    if (v->sb->fixed || (c->fsuid != 0 && !mine))
        return -EPERM;
    if ((v->mode & S_IFMT) != S_IFDIR)
        v->mode &= ~(S_ISUID | S_ISGID);
    v->uid = uid == UINT32_MAX ? v->uid : uid;
    v->gid = gid == UINT32_MAX ? v->gid : gid;
    vnode_touch(v, false, false, true);
    return 0;
}

static s64 change_owner(struct dentry *d, u32 uid, u32 gid)
{
    s64 err;

    mutex_lock(&d->vnode->lock);
    err = change_owner_locked(d->vnode, uid, gid);
    mutex_unlock(&d->vnode->lock);
    dentry_put(d);
    return err;
}

SYSCALL(fchown)
{
    struct dentry *d;
    int err = dentry_of_fd(a[0], &d);

    return err ? err : change_owner(d, (u32)a[1], (u32)a[2]);
}

SYSCALL(fchownat)
{
    struct dentry *d;
    int err = lookup((int)a[0], a[1], follow_flags(a[4]), &d);

    return err ? err : change_owner(d, (u32)a[2], (u32)a[3]);
}

#define UTIME_OMIT 0x3ffffffe

static int new_time(const struct timespec *t, u64 *ns)
{
    if (t->nsec == UTIME_OMIT)
        return 0;
    if (t->nsec == UTIME_NOW) {
        *ns = time_realtime_ns();
        return 0;
    }
    if (t->nsec < 0 || t->nsec >= (s64)NS_PER_SEC)
        return -EINVAL;
    *ns = t->sec < 0 ? 0 : (u64)t->sec * NS_PER_SEC + (u64)t->nsec;
    return 0;
}

static s64 change_times(struct dentry *d, const struct timespec t[2])
{
    const struct cred *c = &current_process()->cred;
    struct vnode *v = d->vnode;
    bool now = t[0].nsec == UTIME_NOW && t[1].nsec == UTIME_NOW;
    u64 atime = v->atime_ns, mtime = v->mtime_ns;
    s64 err = 0;

    if (c->fsuid != 0 && c->fsuid != v->uid)
        err = now ? vnode_permission(v, 2) : -EPERM;
    if (!err && (new_time(&t[0], &atime) || new_time(&t[1], &mtime)))
        err = -EINVAL;
    if (!err) {
        v->atime_ns = atime;
        v->mtime_ns = mtime;
        vnode_touch(v, false, false, true);
    }
    dentry_put(d);
    return err;
}

s64 utimes_at(int dirfd, vaddr_t path, u64 flags, const struct timespec *t)
{
    struct dentry *d;
    int err = path ? lookup(dirfd, path, follow_flags(flags), &d) : dentry_of_fd((u64)dirfd, &d);

    return err ? err : change_times(d, t);
}

SYSCALL(utimensat)
{
    struct timespec t[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};

    if (a[2] && get_user(&t, a[2]))
        return -EFAULT;
    return utimes_at((int)a[0], a[1], a[3], t);
}

/* The real ids count here, not the effective ones. */
static s64 access(int dirfd, vaddr_t path, u32 mode, u64 flags)
{
    struct dentry *d;
    s64 err;

    if (mode & ~7u)
        return -EINVAL;
    current->by_real_ids = !(flags & 0x200); /* AT_EACCESS. This thread's alone: the others go on with the process's */
    err = lookup(dirfd, path, follow_flags(flags), &d);
    if (!err) {
        err = mode ? vnode_permission(d->vnode, mode) : 0;
        dentry_put(d);
    }
    current->by_real_ids = false;
    return err;
}

SYSCALL(faccessat)
{
    return access((int)a[0], a[1], (u32)a[2], 0);
}

SYSCALL(faccessat2)
{
    return access((int)a[0], a[1], (u32)a[2], a[3]);
}

/* ---- mounts ---- */

static int mount_type(const char *type, struct superblock **sb, struct dentry **root)
{
    if (strcmp(type, "tmpfs") == 0 || strcmp(type, "ramfs") == 0 || strcmp(type, "devtmpfs") == 0)
        *sb = ramfs_create(root);
    else if (strcmp(type, "proc") == 0)
        *sb = procfs_create(root);
    else
        return strcmp(type, "devpts") == 0 ? -EBUSY : -ENODEV; /* there is one, at /dev/pts */
    return *sb ? 0 : -ENOMEM;
}

/* What is mounted on may not be removed meanwhile: nobody could get at it again. */
static int mount_on(struct dentry *on, struct dentry *root, struct superblock *sb, const char *source)
{
    int err;

    mutex_lock(&on->vnode->lock);
    err = on->removed ? -ENOENT : mount_add(on, root, sb, source);
    mutex_unlock(&on->vnode->lock);
    return err;
}

/* mount(source, target, type, flags, data) */
SYSCALL(mount)
{
    char type[32], source[32] = "none";
    struct dentry *on, *root;
    struct superblock *sb;
    ssize_t n;
    int err;

    if (!cred_is_root())
        return -EPERM;
    n = copy_string_from_user(type, a[2], sizeof type);
    if (n < 0)
        return n == -ENAMETOOLONG ? -ENODEV : n;
    if (a[0] && copy_string_from_user(source, a[0], sizeof source) == -EFAULT)
        return -EFAULT;
    source[sizeof source - 1] = 0;
    err = lookup(AT_FDCWD, a[1], PATH_FOLLOW | PATH_DIRECTORY, &on);
    if (err)
        return err;
    err = mount_type(type, &sb, &root);
    if (!err && (err = mount_on(on, root, sb, source)))
        superblock_drop(sb, root);
    dentry_put(on);
    return err;
}

SYSCALL(umount2)
{
    struct dentry *root;
    int err;

    if (!cred_is_root())
        return -EPERM;
    err = lookup(AT_FDCWD, a[0], PATH_FOLLOW, &root);
    return err ? err : mount_remove(root);
}

/* Linux's struct statfs (asm-generic). */
struct statfs_abi {
    s64 type, bsize;
    u64 blocks, bfree, bavail, files, ffree;
    s32 fsid[2];
    s64 namelen, frsize, flags, spare[4];
};

static s64 put_statfs(struct dentry *d, vaddr_t to)
{
    struct superblock *sb = d->vnode->sb;
    struct statfs_abi s = {.type = (s64)sb->magic, .bsize = PAGE_SIZE, .namelen = NAME_MAX, .frsize = PAGE_SIZE};
    struct page_stats pages;

    page_stats(&pages);
    if (d->vnode->ops->create) { /* in memory: what it could take */
        s.blocks = pages.total;
        s.bfree = s.bavail = pages.free;
        s.files = pages.total;
        s.ffree = pages.free;
    }
    s.fsid[0] = (s32)sb->dev;
    dentry_put(d);
    return put_user(to, &s);
}

SYSCALL(statfs)
{
    struct dentry *d;
    int err = lookup(AT_FDCWD, a[0], PATH_FOLLOW, &d);

    return err ? err : put_statfs(d, a[1]);
}

SYSCALL(fstatfs)
{
    struct dentry *d;
    int err = dentry_of_fd(a[0], &d);

    return err ? err : put_statfs(d, a[1]);
}
