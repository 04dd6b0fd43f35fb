/*
 * Files in memory: names are dentries, contents are the pages of a vm_object,
 * which mappings share with read and write.
 *
 * A write copies with vnode->lock held but no lock of the object's, as the copy
 * may fault on a mapping of the same file.
 */
#include "fs/file.h"
#include "lib/string.h"
#include "proc/process.h"
#include "vm/kmem.h"
#include "vm/vm.h"

#define RAMFS_MAGIC 0x01021994 /* TMPFS_MAGIC: what programs know */
#define SIZE_MAX_FILE (1ul << 46)

static const struct file_ops file_ops;
static const struct vnode_ops vnode_ops;

/* ---- pages ---- */

/* Files may not take the last of the memory. */
static bool room_for_files(void)
{
    struct page_stats s;

    page_stats(&s);
    return s.free > s.total / 32;
}

/* The page at index, made if it is a hole; with a reference. */
static int page_for_write(struct vm_object *o, u64 index, struct page **out)
{
    int err;

    for (;;) {
        *out = object_find_page(o, index);
        if (*out)
            return 0;
        *out = room_for_files() ? page_alloc(PAGE_OBJECT, ALLOC_ZERO) : NULL;
        if (!*out)
            return -ENOSPC;
        page_get(*out);
        err = object_insert_page(o, index, *out);
        if (!err)
            return 0;
        page_put(*out);
        page_put(*out);
        if (err != -EEXIST)
            return -ENOSPC;
    }
}

/* ---- reading and writing ---- */

static ssize_t ramfs_read(struct file *f, struct uio *u, u64 *pos)
{
    struct vm_object *o = f->vnode->object;
    size_t done = 0;

    while (u->left > 0 && *pos < o->size) {
        size_t offset = *pos & PAGE_MASK, part = MIN(MIN(u->left, PAGE_SIZE - offset), o->size - *pos), moved;
        struct page *p = object_find_page(o, *pos >> PAGE_SHIFT);

        if (p) {
            moved = uio_put(u, (char *)page_data(p) + offset, part);
            page_put(p);
        } else {
            moved = uio_put_zero(u, part);
        }
        *pos += moved;
        done += moved;
        if (moved < part)
            return done ? (ssize_t)done : -EFAULT;
    }
    if (done && !(f->flags & O_NOATIME))
        vnode_touch(f->vnode, true, false, false);
    return (ssize_t)done;
}

/* Copies into one page. Bytes, or an error; what a fault left beyond the end of the file is zeroed again. */
static ssize_t write_page(struct vm_object *o, struct uio *u, u64 pos)
{
    size_t offset = pos & PAGE_MASK, part = MIN(u->left, PAGE_SIZE - offset), moved;
    struct page *p;
    int err = page_for_write(o, pos >> PAGE_SHIFT, &p);
    char *data;

    if (err)
        return err;
    data = (char *)page_data(p) + offset;
    moved = uio_get(u, data, part);
    if (moved < part && pos + part > o->size) {
        u64 keep = MAX(pos + moved, o->size) - pos;
        if (keep < part)
            memset(data + keep, 0, part - keep);
    }
    page_put(p);
    return moved ? (ssize_t)moved : -EFAULT;
}

static void grow_to(struct vm_object *o, u64 size)
{
    mutex_lock(&o->lock);
    o->size = MAX(o->size, size);
    mutex_unlock(&o->lock);
}

static ssize_t write_locked(struct file *f, struct uio *u, u64 *pos)
{
    struct vm_object *o = f->vnode->object;
    size_t done = 0;
    ssize_t n = 0;

    if (f->vnode->seals & (SEAL_WRITE | SEAL_FUTURE_WRITE))
        return -EPERM;
    if (f->flags & O_APPEND)
        *pos = o->size;
    if ((f->vnode->seals & SEAL_GROW) && u->left > 0 && *pos + u->left > o->size) {
        if (*pos >= o->size)
            return -EPERM;
        u->left = o->size - *pos;
    }
    while (u->left > 0) {
        if (*pos >= SIZE_MAX_FILE) {
            n = -EFBIG;
            break;
        }
        n = write_page(o, u, *pos);
        if (n < 0)
            break;
        *pos += (u64)n;
        done += (size_t)n;
        grow_to(o, *pos);
        if (signal_fatal_pending())
            break;
    }
    if (done)
        vnode_touch(f->vnode, false, true, false);
    return done ? (ssize_t)done : n;
}

static ssize_t ramfs_write(struct file *f, struct uio *u, u64 *pos)
{
    ssize_t n;

    mutex_lock(&f->vnode->lock);
    if (current_process() && current_process()->cred.fsuid != 0)
        f->vnode->mode &= ~(S_ISUID | S_ISGID);
    n = write_locked(f, u, pos);
    mutex_unlock(&f->vnode->lock);
    return n;
}

/* The next page that is there (data) or missing, from index on. */
static u64 seek_page(struct vm_object *o, u64 index, u64 end, bool data)
{
    for (; index < end; index++) {
        struct page *p = object_find_page(o, index);
        if (p)
            page_put(p);
        if (!!p == data)
            return index;
    }
    return end;
}

static s64 ramfs_seek(struct file *f, s64 offset, int whence)
{
    struct vm_object *o = f->vnode->object;
    u64 end = (o->size + PAGE_MASK) >> PAGE_SHIFT, found;

    if (whence != 3 && whence != 4)
        return file_seek_plain(f, offset, whence, o->size);
    if (offset < 0 || (u64)offset >= o->size)
        return -ENXIO;
    found = seek_page(o, (u64)offset >> PAGE_SHIFT, end, whence == 3);
    if (found == end)
        return whence == 3 ? -ENXIO : (s64)o->size;
    return (s64)MAX(found << PAGE_SHIFT, (u64)offset);
}

static int ramfs_mmap(struct file *f, u64 offset, u64 len, bool shared, struct vm_object **object)
{
    (void)offset, (void)len, (void)shared;
    if (!(f->flags & O_NOATIME))
        vnode_touch(f->vnode, true, false, false);
    object_get(*object = f->vnode->object);
    return 0;
}

/* ---- seals ---- */

static s64 seals_add(struct file *f, u32 seals)
{
    struct vnode *v = f->vnode;
    s64 err = 0;

    if (!f->writable)
        return -EPERM;
    if (seals & ~(u32)(SEAL_SEAL | SEAL_SHRINK | SEAL_GROW | SEAL_WRITE | SEAL_FUTURE_WRITE | SEAL_EXEC))
        return -EINVAL;
    mutex_lock(&v->lock);
    if ((seals & SEAL_EXEC) && (v->mode & 0111))
        seals |= SEAL_SHRINK | SEAL_GROW | SEAL_WRITE | SEAL_FUTURE_WRITE; /* a program that stays as it is */
    if (v->seals & SEAL_SEAL)
        err = -EPERM;
    else if ((seals & SEAL_WRITE) && vm_object_is_writable(v->object))
        err = -EBUSY; /* somebody could go on writing through a mapping */
    else
        v->seals |= seals;
    mutex_unlock(&v->lock);
    return err;
}

static s64 ramfs_fcntl(struct file *f, u32 cmd, u64 arg)
{
    enum { F_ADD_SEALS = 1033, F_GET_SEALS = 1034 };

    if (cmd == F_GET_SEALS)
        return f->vnode->seals;
    return cmd == F_ADD_SEALS ? seals_add(f, (u32)arg) : -EINVAL;
}

/* ---- vnodes ---- */

static int ramfs_truncate(struct vnode *v, u64 size)
{
    if (size > SIZE_MAX_FILE)
        return -EFBIG;
    if (((v->seals & SEAL_SHRINK) && size < v->object->size) || ((v->seals & SEAL_GROW) && size > v->object->size))
        return -EPERM;
    object_truncate(v->object, size);
    vnode_touch(v, false, true, false);
    return 0;
}

static ssize_t ramfs_readlink(struct vnode *v, char *buf, size_t size)
{
    size_t n = MIN(v->size, size);

    memcpy(buf, v->priv, n);
    return (ssize_t)n;
}

static void ramfs_destroy(struct vnode *v)
{
    if ((v->mode & S_IFMT) == S_IFLNK)
        kmem_free(v->priv);
    if ((v->mode & S_IFMT) == S_IFIFO)
        pipe_drop_fifo(v);
}

static int ramfs_create_vnode(struct superblock *sb, u32 mode, u64 rdev, const char *target, struct vnode **out)
{
    struct vnode *v = vnode_create(sb, &vnode_ops, mode);

    if (!v)
        return -ENOSPC;
    v->rdev = rdev;
    if ((mode & S_IFMT) == S_IFREG) {
        v->object = object_create(NULL, 0, NULL);
        v->file_ops = &file_ops;
        v->seals = SEAL_SEAL; /* only memfd's files may get any */
    } else if ((mode & S_IFMT) == S_IFDIR) {
        v->file_ops = &ramfs_dir_ops;
    } else if ((mode & S_IFMT) == S_IFLNK) {
        v->priv = kmem_strdup(target);
        v->size = strlen(target);
    }
    if (((mode & S_IFMT) == S_IFREG && !v->object) || ((mode & S_IFMT) == S_IFLNK && !v->priv)) {
        vnode_put(v);
        return -ENOSPC;
    }
    *out = v;
    return 0;
}

static int ramfs_create_in(struct vnode *dir, u32 mode, u64 rdev, const char *target, struct vnode **out)
{
    return ramfs_create_vnode(dir->sb, mode, rdev, target, out);
}

/* ---- directories ---- */

static int ramfs_iterate(struct file *f, u64 *pos,
                         int (*emit)(void *arg, const char *name, size_t len, u64 ino, unsigned type, u64 next), void *arg)
{
    struct dentry *d, *parent;
    int stop = 0;

    if (*pos == 0 && !emit(arg, ".", 1, f->vnode->ino, 4, 1))
        *pos = 1;
    if (*pos == 1) {
        parent = dentry_parent_get(f->dentry);
        if (!emit(arg, "..", 2, parent->vnode->ino, 4, 2))
            *pos = 2;
        dentry_put(parent);
    }
    mutex_lock(&f->vnode->lock); /* a rename would free the name */
    while (*pos >= 2 && !stop && (d = dentry_next_child(f->dentry, *pos))) {
        stop = emit(arg, d->name, d->name_len, d->vnode->ino, d->vnode->mode >> 12, d->cookie);
        if (!stop)
            *pos = d->cookie;
        dentry_put(d);
    }
    mutex_unlock(&f->vnode->lock);
    return 0;
}

static s64 ramfs_dir_seek(struct file *f, s64 offset, int whence)
{
    return file_seek_plain(f, offset, whence, 0);
}

static const struct file_ops file_ops = {
    .read = ramfs_read, .write = ramfs_write, .seek = ramfs_seek, .mmap = ramfs_mmap, .fcntl = ramfs_fcntl};
const struct file_ops ramfs_dir_ops = {.iterate = ramfs_iterate, .seek = ramfs_dir_seek};
static const struct vnode_ops vnode_ops = {.create = ramfs_create_in,
                                           .readlink = ramfs_readlink,
                                           .truncate = ramfs_truncate,
                                           .destroy = ramfs_destroy};

struct superblock *ramfs_create(struct dentry **root)
{
    static _Atomic u64 next_dev = 20;
    struct superblock *sb = kmem_zalloc(sizeof *sb);
    struct vnode *v;

    if (!sb)
        return NULL;
    sb->made = true;
    sb->type = "tmpfs";
    sb->magic = RAMFS_MAGIC;
    sb->dev = atomic_fetch_add(&next_dev, 1);
    if (ramfs_create_vnode(sb, S_IFDIR | 0755, 0, NULL, &v)) {
        kmem_free(sb);
        return NULL;
    }
    *root = dentry_create(NULL, "", 0, v);
    vnode_put(v);
    if (!*root) {
        kmem_free(sb);
        return NULL;
    }
    return sb;
}
