/* System calls on open files. */
#include "fs/file.h"
#include "fs/lock.h"
#include "lib/string.h"
#include "proc/process.h"
#include "sys/misc.h"
#include "sys/syscall.h"
#include "vm/kmem.h"
#include "vm/uaccess.h"
#include "vm/vm.h"

#define SETTABLE (O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME)

/* ---- open and close ---- */

static s64 open_path(int dirfd, vaddr_t upath, u32 flags, u32 mode)
{
    struct file *f;
    char *path;
    int fd, err = path_from_user(upath, &path);

    if (err)
        return err;
    err = flags & O_CREAT ? fd_room() : 0; /* before there is a new file */
    if (!err)
        err = file_open(dirfd, path, flags & ~FILE_EXEC, mode, &f);
    kmem_free(path);
    if (err)
        return err;
    fd = fd_alloc(f, 0, flags & O_CLOEXEC);
    if (fd < 0)
        file_put(f);
    return fd;
}

SYSCALL(openat)
{
    return open_path((int)a[0], a[1], (u32)a[2], (u32)a[3]);
}

SYSCALL(openat2)
{
    struct {
        u64 flags, mode, resolve;
    } how;

    if (a[3] < sizeof how)
        return -EINVAL;
    if (copy_from_user(&how, a[2], sizeof how))
        return -EFAULT;
    if (how.resolve || how.flags > UINT32_MAX || (how.mode & ~07777ul))
        return -EINVAL;
    return open_path((int)a[0], a[1], (u32)how.flags, (u32)how.mode);
}

/* As munmap: not for want of memory, before there is none at all. */
static int close_fd(int fd)
{
    int err = fd_close(fd);

    if (err == -ENOMEM)
        oom_kill_current("no memory to close a file");
    return err;
}

SYSCALL(close)
{
    return close_fd((int)a[0]);
}

SYSCALL(close_range)
{
    struct file *f;
    int fd = (int)MIN(a[0], (u64)INT32_MAX);

    if (a[0] > a[1] || (a[2] & ~6ul))
        return -EINVAL;
    while ((fd = file_table_next(current_process()->files, fd, &f)) >= 0 && (u64)fd <= a[1]) {
        int err = a[2] & 4 ? fd_set_cloexec(fd, true) : close_fd(fd);
        file_put(f);
        if (err && err != -EBADF)
            return err;
        fd++;
    }
    if (fd >= 0)
        file_put(f);
    return 0;
}

SYSCALL(dup)
{
    struct file *f = fd_get((int)a[0]);
    int fd;

    if (!f)
        return -EBADF;
    fd = fd_alloc(f, 0, false);
    if (fd < 0)
        file_put(f);
    return fd;
}

SYSCALL(dup3)
{
    struct file *f;
    int fd;

    if (a[2] & ~(u64)O_CLOEXEC || (int)a[0] == (int)a[1])
        return -EINVAL;
    f = fd_get((int)a[0]);
    if (!f)
        return -EBADF;
    fd = fd_install_at((int)a[1], f, a[2] & O_CLOEXEC);
    if (fd < 0)
        file_put(f);
    return fd;
}

SYSCALL(pipe2)
{
    struct file *ends[2];
    s32 fds[2];
    int err;

    if (a[1] & ~(u64)(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
        return -EINVAL;
    err = pipe_create(&ends[0], &ends[1], (u32)a[1] & O_NONBLOCK);
    if (err)
        return err;
    fds[0] = fd_alloc(ends[0], 0, a[1] & O_CLOEXEC);
    fds[1] = fds[0] < 0 ? fds[0] : fd_alloc(ends[1], 0, a[1] & O_CLOEXEC);
    if (fds[0] < 0)
        file_put(ends[0]);
    if (fds[1] < 0)
        file_put(ends[1]);
    err = fds[1] < 0 ? fds[1] : put_user(a[0], &fds);
    if (err && fds[0] >= 0)
        fd_close(fds[0]);
    if (err && fds[1] >= 0)
        fd_close(fds[1]);
    return err;
}

/* ---- reading and writing ---- */

/* Writing into a pipe that nobody reads any more is also a signal. */
ssize_t sys_written(ssize_t n)
{
    if (n == -EPIPE)
        signal_send_thread(current, SIGPIPE, NULL);
    return n;
}

ssize_t sys_limit_write(struct file *f, struct uio *u, u64 pos)
{
    u64 limit = current_process()->rlimit[RLIMIT_FSIZE].cur;

    if (limit == RLIM_INFINITY || !f->vnode || (f->vnode->mode & S_IFMT) != S_IFREG || pos + u->left <= limit)
        return 0;
    if (pos >= limit) {
        signal_send_thread(current, SIGXFSZ, NULL);
        return -EFBIG;
    }
    u->left = limit - pos;
    u->cur.len = MIN(u->cur.len, u->left);
    u->iov_left = u->cur.len == u->left ? 0 : u->iov_left;
    return 0;
}

enum where { HERE, AT };

static ssize_t do_read(int fd, struct uio *u, enum where where, s64 pos)
{
    struct file *f = fd_get(fd);
    ssize_t n;

    if (!f)
        return -EBADF;
    if (where == AT && (f->stream || pos < 0))
        n = f->stream ? -ESPIPE : -EINVAL;
    else
        n = where == AT ? file_pread(f, u, (u64)pos) : file_read(f, u);
    file_put(f);
    return n;
}

static ssize_t do_write(int fd, struct uio *u, enum where where, s64 pos)
{
    struct file *f = fd_get(fd);
    ssize_t n;

    if (!f)
        return -EBADF;
    if (where == AT && (f->stream || pos < 0))
        n = f->stream ? -ESPIPE : -EINVAL;
    else
        n = sys_limit_write(f, u, where == AT ? (u64)pos : f->pos);
    if (!n)
        n = where == AT ? file_pwrite(f, u, (u64)pos) : file_write(f, u);
    file_put(f);
    return sys_written(n);
}

static struct uio plain(const u64 *a)
{
    struct uio u;

    uio_init_user(&u, a[1], MIN(a[2], 0x7ffff000ul)); /* Linux's MAX_RW_COUNT */
    return u;
}

SYSCALL(read)
{
    struct uio u = plain(a);

    return do_read((int)a[0], &u, HERE, 0);
}

SYSCALL(write)
{
    struct uio u = plain(a);

    return do_write((int)a[0], &u, HERE, 0);
}

SYSCALL(pread64)
{
    struct uio u = plain(a);

    return do_read((int)a[0], &u, AT, (s64)a[3]);
}

SYSCALL(pwrite64)
{
    struct uio u = plain(a);

    return do_write((int)a[0], &u, AT, (s64)a[3]);
}

static s64 vector(const u64 *a, bool write, enum where where)
{
    struct iovec_user *vec;
    struct uio u;
    s64 n = uio_init_iovec(&u, a[1], a[2], &vec);

    if (n)
        return n;
    n = write ? do_write((int)a[0], &u, where, (s64)a[3]) : do_read((int)a[0], &u, where, (s64)a[3]);
    kmem_free(vec);
    return n;
}

SYSCALL(readv)
{
    return vector(a, false, HERE);
}

SYSCALL(writev)
{
    return vector(a, true, HERE);
}

SYSCALL(preadv)
{
    return vector(a, false, AT);
}

SYSCALL(pwritev)
{
    return vector(a, true, AT);
}

SYSCALL(lseek)
{
    struct file *f = fd_get((int)a[0]);
    s64 to = -ESPIPE;

    if (!f)
        return -EBADF;
    if (!f->stream) {
        mutex_lock(&f->pos_lock);
        to = f->ops->seek ? f->ops->seek(f, (s64)a[1], (int)a[2]) : -ESPIPE;
        if (to >= 0)
            f->pos = (u64)to;
        mutex_unlock(&f->pos_lock);
    }
    file_put(f);
    return to;
}

/* ---- fcntl ---- */

enum { F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW, F_SETOWN, F_GETOWN,
       F_DUPFD_CLOEXEC = 1030 };
enum { F_RDLCK, F_WRLCK, F_UNLCK };

struct flock_abi {
    s16 type, whence;
    s32 pad;
    s64 start, len;
    s32 pid, pad2;
};

static int range_from_user(struct file *f, const struct flock_abi *l, struct range_lock *r)
{
    s64 base = l->whence == 0 ? 0 : l->whence == 1 ? (s64)f->pos : (s64)vnode_size(f->vnode), start, end;

    if (l->whence < 0 || l->whence > 2 || l->type < F_RDLCK || l->type > F_UNLCK)
        return -EINVAL;
    if (__builtin_add_overflow(base, l->start, &start) || __builtin_add_overflow(start, l->len, &end))
        return -EOVERFLOW;
    if (l->len < 0) {
        s64 swap = start;
        start = end;
        end = swap;
    }
    if (start < 0)
        return -EINVAL;
    *r = (struct range_lock){l->type == F_UNLCK, l->type == F_WRLCK, (u64)start, l->len ? (u64)end : UINT64_MAX, 0};
    return 0;
}

/* Another thread may have closed fd while this one waited: then its locks went, and this one came too late. */
static int unless_closed(int fd, struct file *f)
{
    struct file *now = fd_get(fd);
    bool same = now == f;

    if (now)
        file_put(now);
    if (!same)
        file_locks_drop(f, current_process());
    return same ? 0 : -EBADF;
}

static s64 lock_call(int fd, struct file *f, u32 cmd, vaddr_t arg)
{
    struct flock_abi l;
    struct range_lock r;
    int err;

    if (!f->vnode)
        return -EBADF;
    if (get_user(&l, arg))
        return -EFAULT;
    err = range_from_user(f, &l, &r);
    if (!err && cmd != F_GETLK && !r.unlock && !(r.exclusive ? f->writable : f->readable))
        err = -EBADF;
    if (!err)
        err = file_range_lock(f, &r, cmd == F_GETLK ? RANGE_TEST : cmd == F_SETLKW ? RANGE_WAIT : RANGE_TRY);
    if (!err && cmd != F_GETLK && !r.unlock)
        err = unless_closed(fd, f);
    if (err || cmd != F_GETLK)
        return err;
    l.type = r.unlock ? F_UNLCK : r.exclusive ? F_WRLCK : F_RDLCK;
    if (!r.unlock) {
        l.whence = 0;
        l.start = (s64)r.start;
        l.len = r.end == UINT64_MAX ? 0 : (s64)(r.end - r.start);
        l.pid = (s32)r.pid;
    }
    return put_user(arg, &l);
}

static s64 dup_above(struct file *f, u64 lowest, bool cloexec)
{
    int fd;

    if (lowest > INT32_MAX || lowest >= current_process()->rlimit[RLIMIT_NOFILE].cur)
        return -EINVAL;
    file_get(f);
    fd = fd_alloc(f, (int)lowest, cloexec);
    if (fd < 0)
        file_put(f);
    return fd;
}

static s64 fcntl_file(int fd, struct file *f, u32 cmd, u64 arg)
{
    switch (cmd) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        return dup_above(f, arg, cmd == F_DUPFD_CLOEXEC);
    case F_GETFD:
        return fd_get_cloexec(fd);
    case F_SETFD:
        return fd_set_cloexec(fd, arg & 1);
    case F_GETFL:
        return f->flags;
    case F_SETFL:
        f->flags = (f->flags & ~SETTABLE) | ((u32)arg & SETTABLE);
        return 0;
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
        return lock_call(fd, f, cmd, arg);
    case F_SETOWN:
    case F_GETOWN:
        return 0;
    }
    return f->ops->fcntl ? f->ops->fcntl(f, cmd, arg) : -EINVAL;
}

SYSCALL(fcntl)
{
    struct file *f = fd_get((int)a[0]);
    s64 result;

    if (!f)
        return -EBADF;
    result = fcntl_file((int)a[0], f, (u32)a[1], a[2]);
    file_put(f);
    return result;
}

SYSCALL(flock)
{
    u64 op = a[1] & ~4ul; /* LOCK_NB */
    struct file *f = fd_get((int)a[0]);
    s64 result = -EINVAL;

    if (!f)
        return -EBADF;
    if (op == 1 || op == 2 || op == 8)
        result = file_flock(f, op == 8, op == 2, !(a[1] & 4));
    file_put(f);
    return result;
}

/* ---- ioctl ---- */

enum { FIONBIO = 0x5421, FIONCLEX = 0x5450, FIOCLEX = 0x5451, FIONREAD = 0x541b };

static s64 fionread(struct file *f, vaddr_t arg)
{
    s32 n;

    if (!f->vnode || (f->vnode->mode & S_IFMT) != S_IFREG)
        return -ENOTTY;
    n = (s32)MIN(vnode_size(f->vnode) - MIN(f->pos, vnode_size(f->vnode)), (u64)INT32_MAX);
    return put_user(arg, &n);
}

static s64 ioctl_file(int fd, struct file *f, u32 cmd, u64 arg)
{
    s32 on;

    switch (cmd) {
    case FIOCLEX:
        return fd_set_cloexec(fd, true);
    case FIONCLEX:
        return fd_set_cloexec(fd, false);
    case FIONBIO:
        if (get_user(&on, arg))
            return -EFAULT;
        f->flags = on ? f->flags | O_NONBLOCK : f->flags & ~O_NONBLOCK;
        return 0;
    }
    if (f->ops->ioctl)
        return f->ops->ioctl(f, cmd, arg);
    return cmd == FIONREAD ? fionread(f, arg) : -ENOTTY;
}

SYSCALL(ioctl)
{
    struct file *f = fd_get((int)a[0]);
    s64 result;

    if (!f)
        return -EBADF;
    result = f->flags & O_PATH ? -EBADF : ioctl_file((int)a[0], f, (u32)a[1], a[2]);
    file_put(f);
    return result;
}

/* ---- sizes ---- */

static s64 set_size(struct vnode *v, s64 size)
{
    s64 err;

    if (size < 0)
        return -EINVAL;
    if ((v->mode & S_IFMT) != S_IFREG || !v->ops->truncate)
        return (v->mode & S_IFMT) == S_IFDIR ? -EISDIR : -EINVAL;
    if ((u64)size > current_process()->rlimit[RLIMIT_FSIZE].cur) {
        signal_send_thread(current, SIGXFSZ, NULL);
        return -EFBIG;
    }
    mutex_lock(&v->lock);
    err = v->ops->truncate(v, (u64)size);
    mutex_unlock(&v->lock);
    return err;
}

SYSCALL(ftruncate)
{
    struct file *f = fd_get((int)a[0]);
    s64 err;

    if (!f)
        return -EBADF;
    err = f->writable && f->vnode ? set_size(f->vnode, (s64)a[1]) : -EINVAL;
    file_put(f);
    return err;
}

SYSCALL(truncate)
{
    struct dentry *d;
    char *path;
    s64 err = path_from_user(a[0], &path);

    if (err)
        return err;
    err = path_lookup(AT_FDCWD, path, PATH_FOLLOW, &d);
    kmem_free(path);
    if (err)
        return err;
    err = vnode_permission(d->vnode, 2);
    if (!err)
        err = atomic_load(&d->vnode->writers) < 0 ? -ETXTBSY : set_size(d->vnode, (s64)a[1]);
    dentry_put(d);
    return err;
}

#define FALLOC_KEEP_SIZE 1u
#define FALLOC_PUNCH_HOLE 2u

/* Zeros a range of a file: the pages inside are dropped, the edges are written over. */
static s64 punch(struct file *f, u64 start, u64 end)
{
    struct vm_object *o = f->vnode->object;
    u64 first = ROUND_UP(start, PAGE_SIZE), last = ROUND_DOWN(end, PAGE_SIZE);

    end = MIN(end, o->size);
    for (u64 at = start; at < end;) {
        u64 stop = MIN(end, ROUND_DOWN(at, PAGE_SIZE) + PAGE_SIZE);
        struct page *p = at >= first && stop <= last ? NULL : object_find_page(o, at >> PAGE_SHIFT);
        if (p) {
            memset((char *)page_data(p) + (at & PAGE_MASK), 0, stop - at);
            page_put(p);
        }
        at = stop;
    }
    object_punch(o, start, MAX(end, start));
    vnode_touch(f->vnode, false, true, false);
    return 0;
}

static s64 allocate(struct file *f, u32 mode, s64 offset, s64 len)
{
    s64 end;

    if (!f->writable)
        return -EBADF;
    if (offset < 0 || len <= 0)
        return -EINVAL;
    if (!f->vnode || (f->vnode->mode & S_IFMT) != S_IFREG || !f->vnode->object)
        return f->stream ? -ESPIPE : -ENODEV;
    if (__builtin_add_overflow(offset, len, &end))
        return -EFBIG;
    if (mode & ~(FALLOC_KEEP_SIZE | FALLOC_PUNCH_HOLE))
        return -EOPNOTSUPP;
    if (mode & FALLOC_PUNCH_HOLE) {
        if (!(mode & FALLOC_KEEP_SIZE))
            return -EOPNOTSUPP;
        mutex_lock(&f->vnode->lock);
        end = f->vnode->seals & (SEAL_WRITE | SEAL_FUTURE_WRITE) ? -EPERM : punch(f, (u64)offset, (u64)end);
        mutex_unlock(&f->vnode->lock);
        return end;
    }
    if (!(mode & FALLOC_KEEP_SIZE) && (u64)end > f->vnode->object->size)
        return set_size(f->vnode, end);
    return 0; /* pages come when they are written: memory is not promised */
}

SYSCALL(fallocate)
{
    struct file *f = fd_get((int)a[0]);
    s64 err;

    if (!f)
        return -EBADF;
    err = allocate(f, (u32)a[1], (s64)a[2], (s64)a[3]);
    file_put(f);
    return err;
}

/* ---- only devices have something that lasts ---- */

static s64 check_fd(u64 fd)
{
    struct file *f = fd_get((int)fd);

    if (!f)
        return -EBADF;
    file_put(f);
    return 0;
}

/* What has no contents to keep cannot be asked to. */
static s64 sync_fd(u64 fd)
{
    struct file *f = fd_get((int)fd);
    u32 kind;
    s64 err;

    if (!f)
        return -EBADF;
    kind = f->vnode ? f->vnode->mode & S_IFMT : 0;
    err = kind == S_IFREG || kind == S_IFDIR || kind == S_IFBLK ? 0 : -EINVAL;
    if (f->ops->fsync)
        err = f->ops->fsync(f);
    file_put(f);
    return err;
}

SYSCALL(fsync)
{
    return sync_fd(a[0]);
}

SYSCALL(fdatasync)
{
    return sync_fd(a[0]);
}

SYSCALL(syncfs)
{
    return check_fd(a[0]);
}

SYSCALL(sync)
{
    (void)a;
    devices_sync();
    return 0;
}

SYSCALL(fadvise64)
{
    return a[3] > 5 ? -EINVAL : check_fd(a[0]);
}
