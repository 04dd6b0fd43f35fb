/* Open files: open, read, write, seek, release. */
#include "fs/anon.h"
#include "lib/string.h"
#include "proc/process.h"
#include "vm/kmem.h"
#include "vm/vm.h"

static void attach(struct file *f, struct dentry *d, struct vnode *v)
{
    if (d)
        dentry_get(f->dentry = d);
    if (v)
        vnode_get(f->vnode = v);
}

struct file *file_create(const struct file_ops *ops, struct dentry *d, struct vnode *v, u32 flags)
{
    struct file *f = kmem_zalloc(sizeof *f);

    if (!f)
        return NULL;
    ref_init(&f->refs);
    mutex_init(&f->pos_lock, "file position", RANK_FILE);
    list_init(&f->epoll_links);
    f->ops = ops;
    f->flags = flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC | FILE_EXEC);
    f->readable = (flags & O_ACCMODE) != O_WRONLY && !(flags & O_PATH);
    f->writable = (flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH);
    attach(f, d, v);
    return f;
}

void file_get(struct file *f)
{
    ref_get(&f->refs);
}

void file_put(struct file *f)
{
    if (!ref_put(&f->refs))
        return;
    if (f->watched) /* also if the list is empty: another CPU may be taking the last link off it */
        epoll_file_gone(f);
    file_locks_drop(f, NULL);
    if (f->ops && f->ops->release)
        f->ops->release(f);
    if (f->counts_writer)
        atomic_fetch_sub(&f->vnode->writers, 1);
    if (f->vnode)
        vnode_put(f->vnode);
    if (f->dentry)
        dentry_put(f->dentry);
    kmem_free(f);
}

/* ---- open ---- */

static const struct file_ops path_ops; /* O_PATH: a place, nothing to read */

/* A program that runs is not opened for writing. */
static int count_writer(struct file *f)
{
    s32 n = atomic_load(&f->vnode->writers);

    if (!f->writable || (f->vnode->mode & S_IFMT) != S_IFREG)
        return 0;
    do {
        if (n < 0)
            return -ETXTBSY;
    } while (!atomic_compare_exchange_weak(&f->vnode->writers, &n, n + 1));
    f->counts_writer = true;
    return 0;
}

static int open_by_kind(struct file *f)
{
    void *priv = NULL;

    switch (f->vnode->mode & S_IFMT) {
    case S_IFCHR:
    case S_IFBLK:
        if (!device_find(f->vnode->mode, f->vnode->rdev, &f->ops, &priv))
            return -ENXIO;
        break;
    case S_IFIFO:
        return pipe_open_fifo(f);
    case S_IFSOCK:
        return -ENXIO;
    case S_IFLNK:
        return -ELOOP;
    default:
        f->ops = f->vnode->file_ops;
    }
    if (f->ops && f->ops->open)
        return f->ops->open(f, priv);
    return f->ops ? 0 : -ENXIO;
}

static int check_open(struct vnode *v, u32 flags)
{
    u32 mode = flags & O_ACCMODE;
    unsigned what = (mode != O_WRONLY ? 4 : 0) | (mode != O_RDONLY || (flags & O_TRUNC) ? 2 : 0);
    bool is_dir = (v->mode & S_IFMT) == S_IFDIR;

    if (is_dir && (flags & FILE_EXEC))
        return -EACCES;
    if (is_dir && ((what & 2) || (flags & O_CREAT)))
        return -EISDIR;
    if (!is_dir && (flags & O_DIRECTORY))
        return -ENOTDIR;
    if ((v->mode & S_IFMT) == S_IFLNK)
        return -ELOOP;
    if (flags & FILE_EXEC)
        return (v->mode & S_IFMT) == S_IFREG && v->object ? vnode_permission(v, 1) : -EACCES;
    return vnode_permission(v, what);
}

int file_open_dentry(struct dentry *d, u32 flags, struct file **out)
{
    struct file *f;
    int err = 0;

    if (!(flags & O_PATH))
        err = check_open(d->vnode, flags);
    if (err)
        return err;
    f = file_create(flags & O_PATH ? &path_ops : NULL, d, d->vnode, flags);
    if (!f)
        return -ENOMEM;
    if (!(flags & O_PATH)) {
        err = count_writer(f);
        if (!err)
            err = open_by_kind(f);
        if (!err && (flags & O_TRUNC) && d->vnode->ops->truncate && (d->vnode->mode & S_IFMT) == S_IFREG) {
            mutex_lock(&d->vnode->lock);
            err = d->vnode->ops->truncate(d->vnode, 0);
            mutex_unlock(&d->vnode->lock);
        }
    }
    if (err) {
        f->ops = err == -ENXIO ? NULL : f->ops;
        file_put(f);
        return err;
    }
    f->flags &= ~O_NOCTTY; /* it was for the device's open */
    *out = f;
    return 0;
}

/* O_CREAT: finds the name or makes it, under its directory's lock. *made: without more permission checks. */
static int open_create(int dirfd, const char *path, u32 flags, u32 mode, struct dentry **out, bool *made)
{
    struct path_last l;
    int err = path_parent(dirfd, path, flags & (O_EXCL | O_NOFOLLOW) ? 0 : PATH_FOLLOW, &l);

    *made = false;
    if (err)
        return err == -EEXIST ? -EISDIR : err;
    if (l.slash || (l.name[0] == '.' && (l.len == 1 || (l.len == 2 && l.name[1] == '.')))) {
        dentry_put(l.dir);
        return -EISDIR;
    }
    mutex_lock(&l.dir->vnode->lock);
    err = dentry_lookup(l.dir, l.name, l.len, out);
    if (err == -ENOENT) {
        u32 umask = current_process() ? current_process()->fs->umask : 0;
        err = fs_create_locked(&l, S_IFREG | (mode & 07777 & ~umask), 0, NULL, out);
        *made = err == 0;
    } else if (!err && (flags & O_EXCL)) {
        dentry_put(*out);
        err = -EEXIST;
    }
    mutex_unlock(&l.dir->vnode->lock);
    dentry_put(l.dir);
    return err;
}

/* Onto what is mounted over a name that open_create found. */
static struct dentry *over(struct dentry *d)
{
    struct dentry *root;

    while ((root = mount_cross(d))) {
        dentry_put(d);
        d = root;
    }
    return d;
}

int file_create_unnamed(struct dentry *dir, const char *name, u32 flags, u32 mode, struct file **out)
{
    struct dentry *d;
    struct vnode *v;
    int err = dir->vnode->ops->create(dir->vnode, S_IFREG | (mode & 07777), 0, NULL, &v);

    if (err)
        return err;
    v->uid = current_process()->cred.fsuid;
    v->gid = current_process()->cred.fsgid;
    v->nlink = 0;
    d = dentry_create(dir, name, strlen(name), v);
    vnode_put(v);
    if (!d)
        return -ENOMEM;
    d->removed = true;
    *out = file_create(v->file_ops, d, v, flags);
    dentry_put(d);
    return *out ? 0 : -ENOMEM;
}

static int open_tmpfile(struct dentry *dir, u32 flags, u32 mode, struct file **out)
{
    int err;

    if (!(flags & O_ACCMODE))
        return -EINVAL;
    if (!dir->vnode->ops->create)
        return -EOPNOTSUPP;
    err = vnode_permission(dir->vnode, 3);
    return err ? err : file_create_unnamed(dir, "#tmpfile", flags & ~(O_TMPFILE & ~O_DIRECTORY),
                                           mode & ~current_process()->fs->umask, out);
}

/* Of a name that was made just now: whoever makes a file may use it as asked, whatever its mode. */
static int open_made(struct file *f, struct dentry *d)
{
    f->ops = d->vnode->file_ops;
    attach(f, d, d->vnode);
    return count_writer(f);
}

/* O_CREAT. What may fail comes before the name is made: a name that nobody could open would stay. */
static int open_or_create(int dirfd, const char *path, u32 flags, u32 mode, struct file **out)
{
    struct file *fresh = file_create(NULL, NULL, NULL, flags);
    struct dentry *d;
    bool made;
    int err = fresh ? open_create(dirfd, path, flags, mode, &d, &made) : -ENOMEM;

    if (!err) {
        d = over(d);
        err = made ? open_made(*out = fresh, d) : file_open_dentry(d, flags, out);
        dentry_put(d);
        if (!err && made)
            return 0;
    }
    if (fresh)
        file_put(fresh);
    return err;
}

int file_open(int dirfd, const char *path, u32 flags, u32 mode, struct file **out)
{
    unsigned lookup = (flags & O_NOFOLLOW ? 0 : PATH_FOLLOW) | (flags & O_DIRECTORY ? PATH_DIRECTORY : 0);
    bool unnamed = (flags & O_TMPFILE) == O_TMPFILE;
    struct dentry *d;
    int err;

    if (!unnamed && (flags & O_CREAT) && !(flags & O_PATH))
        return open_or_create(dirfd, path, flags, mode, out);
    if (unnamed)
        flags &= ~O_CREAT;
    err = path_lookup(dirfd, path, lookup, &d);
    if (err)
        return err;
    d = over(d);
    err = unnamed ? open_tmpfile(d, flags, mode, out) : file_open_dentry(d, flags, out);
    dentry_put(d);
    return err;
}

int file_open_exec(int dirfd, const char *path, int at_flags, struct file **out)
{
    bool empty = !*path && (at_flags & 0x1000);
    struct dentry *d;
    int err = path_lookup(dirfd, path, (at_flags & 0x100 ? 0 : PATH_FOLLOW) | (empty ? PATH_EMPTY : 0), &d);

    if (err)
        return err;
    err = file_open_dentry(d, O_RDONLY | FILE_EXEC, out);
    dentry_put(d);
    return err;
}

/* ---- reading and writing ---- */

ssize_t file_pread(struct file *f, struct uio *u, u64 pos)
{
    if (!f->readable)
        return -EBADF;
    if (!f->ops->read)
        return f->ops->iterate ? -EISDIR : -EINVAL;
    return f->ops->read(f, u, &pos);
}

ssize_t file_pwrite(struct file *f, struct uio *u, u64 pos)
{
    if (!f->writable)
        return -EBADF;
    if (!f->ops->write)
        return -EINVAL;
    return f->ops->write(f, u, &pos);
}

ssize_t file_read(struct file *f, struct uio *u)
{
    ssize_t n;

    if (f->stream)
        return file_pread(f, u, 0);
    if (!f->readable || !f->ops->read)
        return file_pread(f, u, 0);
    mutex_lock(&f->pos_lock);
    n = f->ops->read(f, u, &f->pos);
    mutex_unlock(&f->pos_lock);
    return n;
}

ssize_t file_write(struct file *f, struct uio *u)
{
    ssize_t n;

    if (f->stream || !f->writable || !f->ops->write)
        return file_pwrite(f, u, 0);
    mutex_lock(&f->pos_lock);
    n = f->ops->write(f, u, &f->pos);
    mutex_unlock(&f->pos_lock);
    return n;
}

ssize_t file_read_kernel(struct file *f, void *buf, size_t n, u64 pos)
{
    struct uio u;

    if (!f->ops->read)
        return -EINVAL;
    uio_init_kernel(&u, buf, n);
    return f->ops->read(f, &u, &pos);
}

s64 file_seek_plain(struct file *f, s64 offset, int whence, u64 size)
{
    s64 base = whence == 0 ? 0 : whence == 1 ? (s64)f->pos : whence == 2 ? (s64)size : -1, to;

    if (base < 0)
        return -EINVAL;
    if (__builtin_add_overflow(base, offset, &to))
        return -EOVERFLOW;
    return to < 0 ? -EINVAL : to;
}

/* ---- mappings hold the file they are of ---- */

static void tag_get(void *tag)
{
    file_get(tag);
}

static void tag_put(void *tag)
{
    file_put(tag);
}

static void tag_written(void *tag)
{
    struct file *f = tag;

    if (f->vnode)
        vnode_touch(f->vnode, false, true, true);
}

void fs_vm_hooks_init(void)
{
    static const struct vm_tag_ops ops = {tag_get, tag_put, tag_written};

    vm_tag_ops = &ops;
}
