/* stat, statx, getdents: what files are. */
#include "fs/file.h"
#include "lib/string.h"
#include "sys/syscall.h"
#include "vm/kmem.h"
#include "vm/uaccess.h"
#include "vm/vm.h"
#include <machine/abi.h>

#define AT_SYMLINK_NOFOLLOW 0x100u
#define AT_EMPTY_PATH 0x1000u

static struct timespec when(u64 ns)
{
    return (struct timespec){(s64)(ns / NS_PER_SEC), (s64)(ns % NS_PER_SEC)};
}

static u64 blocks(const struct vnode *v)
{
    return v->object ? v->object->pages * (PAGE_SIZE / 512) : 0;
}

static s64 put_stat(struct vnode *v, vaddr_t to)
{
    struct stat_abi s = {.dev = v->sb->dev, .ino = v->ino, .mode = v->mode, .nlink = v->nlink, .uid = v->uid,
                         .gid = v->gid, .rdev = v->rdev, .size = (s64)vnode_size(v), .blksize = PAGE_SIZE,
                         .blocks = (s64)blocks(v), .atime = when(v->atime_ns), .mtime = when(v->mtime_ns),
                         .ctime = when(v->ctime_ns)};

    return put_user(to, &s);
}

/* The vnode that (dirfd, path, flags) mean, with a reference; an empty path with AT_EMPTY_PATH: the descriptor itself. */
static int find(u64 dirfd, vaddr_t upath, u64 flags, struct vnode **out)
{
    struct dentry *d;
    struct file *f;
    char *path = NULL;
    int err = upath || !(flags & AT_EMPTY_PATH) ? path_from_user(upath, &path) : 0;

    if (err)
        return err;
    if ((!path || !*path) && (flags & AT_EMPTY_PATH) && (int)dirfd != AT_FDCWD) {
        kmem_free(path);
        f = fd_get((int)dirfd);
        if (!f)
            return -EBADF;
        vnode_get(*out = f->vnode);
        file_put(f);
        return 0;
    }
    err = path_lookup((int)dirfd, path ? path : "",
                      (flags & AT_SYMLINK_NOFOLLOW ? 0 : PATH_FOLLOW) | (flags & AT_EMPTY_PATH ? PATH_EMPTY : 0), &d);
    kmem_free(path);
    if (err)
        return err;
    vnode_get(*out = d->vnode);
    dentry_put(d);
    return 0;
}

SYSCALL(newfstatat)
{
    struct vnode *v;
    s64 err = find(a[0], a[1], a[3], &v);

    if (err)
        return err;
    err = put_stat(v, a[2]);
    vnode_put(v);
    return err;
}

SYSCALL(fstat)
{
    struct vnode *v;
    s64 err = (int)a[0] < 0 ? -EBADF : find(a[0], 0, AT_EMPTY_PATH, &v);

    if (err)
        return err;
    err = put_stat(v, a[1]);
    vnode_put(v);
    return err;
}

struct statx_time {
    s64 sec;
    u32 nsec, pad;
};
struct statx_abi {
    u32 mask, blksize;
    u64 attributes;
    u32 nlink, uid, gid;
    u16 mode, pad1;
    u64 ino, size, blocks, attributes_mask;
    struct statx_time atime, btime, ctime, mtime;
    u32 rdev_major, rdev_minor, dev_major, dev_minor;
    u64 mnt_id;
    u32 dio_mem_align, dio_offset_align;
    u64 spare[12];
};
_Static_assert(sizeof(struct statx_abi) == 256, "Linux's ABI");
#define STATX_BASIC_AND_BTIME 0xfffu

static struct statx_time when_x(u64 ns)
{
    return (struct statx_time){(s64)(ns / NS_PER_SEC), (u32)(ns % NS_PER_SEC), 0};
}

SYSCALL(statx)
{
    struct statx_abi s = {.mask = STATX_BASIC_AND_BTIME, .blksize = PAGE_SIZE};
    struct vnode *v;
    s64 err = find(a[0], a[1], a[2], &v);

    if (err)
        return err;
    s.nlink = v->nlink, s.uid = v->uid, s.gid = v->gid, s.mode = (u16)v->mode;
    s.ino = v->ino, s.size = vnode_size(v), s.blocks = blocks(v);
    s.atime = when_x(v->atime_ns), s.btime = when_x(v->btime_ns), s.ctime = when_x(v->ctime_ns);
    s.mtime = when_x(v->mtime_ns);
    s.rdev_major = (u32)(v->rdev >> 8), s.rdev_minor = (u32)(v->rdev & 0xff), s.dev_minor = (u32)v->sb->dev;
    vnode_put(v);
    return put_user(a[4], &s);
}

/* ---- directories ---- */

struct dirent_abi {
    u64 ino, next;
    u16 length;
    u8 type;
    char name[];
};
struct list_state {
    char *buf;
    size_t used, size;
};

static int add_entry(void *arg, const char *name, size_t len, u64 ino, unsigned type, u64 next)
{
    struct list_state *s = arg;
    size_t length = ROUND_UP(offsetof(struct dirent_abi, name) + len + 1, 8ul);
    struct dirent_abi *d = (struct dirent_abi *)(s->buf + s->used);

    if (length > s->size - s->used)
        return 1;
    memset(d, 0, length);
    d->ino = ino;
    d->next = next;
    d->length = (u16)length;
    d->type = (u8)type;
    memcpy(d->name, name, len);
    s->used += length;
    return 0;
}

static s64 list_directory(struct file *f, vaddr_t to, u64 size)
{
    struct list_state s = {.size = MIN(size, 32768ul)};
    u64 pos;
    s64 err;

    if (!f->readable || !f->ops->iterate)
        return f->readable ? -ENOTDIR : -EBADF;
    if (f->dentry && f->dentry->removed)
        return -ENOENT;
    s.buf = kmem_alloc(s.size + 1);
    if (!s.buf)
        return -ENOMEM;
    mutex_lock(&f->pos_lock);
    pos = f->pos;
    err = f->ops->iterate(f, &pos, add_entry, &s);
    if (!err && s.used == 0 && pos == f->pos && s.size < offsetof(struct dirent_abi, name) + 8)
        err = -EINVAL;
    if (!err && copy_to_user(to, s.buf, s.used))
        err = -EFAULT;
    if (!err)
        f->pos = pos;
    mutex_unlock(&f->pos_lock);
    kmem_free(s.buf);
    return err ? err : (s64)s.used;
}

SYSCALL(getdents64)
{
    struct file *f = fd_get((int)a[0]);
    s64 n;

    if (!f)
        return -EBADF;
    n = list_directory(f, a[1], (u32)a[2]);
    file_put(f);
    return n;
}
