/* Moving bytes between files without the program: sendfile, copy_file_range, splice, tee, vmsplice. */
#include "fs/file.h"
#include "fs/uio.h"
#include "proc/process.h"
#include "sys/misc.h"
#include "sys/syscall.h"
#include "vm/kmem.h"
#include "vm/page.h"
#include "vm/uaccess.h"

/* ---- copying between files: through a page, which holds what could not be written ---- */

struct copy {
    struct file *in, *out;
    u64 *in_pos, *out_pos; /* NULL: the file's own position */
};

/* What was read and could not be written is read again. Another thread may have moved the position meanwhile. */
static void unread(struct file *f, u64 n)
{
    mutex_lock(&f->pos_lock);
    f->pos -= MIN(n, f->pos);
    mutex_unlock(&f->pos_lock);
}

static ssize_t copy_some(struct copy *c, void *buf, size_t n)
{
    struct uio u;
    ssize_t got, put;

    uio_init_kernel(&u, buf, n);
    got = c->in_pos ? file_pread(c->in, &u, *c->in_pos) : file_read(c->in, &u);
    if (got <= 0)
        return got;
    uio_init_kernel(&u, buf, (size_t)got);
    put = c->out_pos ? file_pwrite(c->out, &u, *c->out_pos) : file_write(c->out, &u);
    if (put < got && !c->in_pos && !c->in->stream)
        unread(c->in, (u64)(got - MAX(put, 0l)));
    if (put > 0 && c->in_pos)
        *c->in_pos += (u64)put;
    if (put > 0 && c->out_pos)
        *c->out_pos += (u64)put;
    return put;
}

static s64 copy_all(struct copy *c, u64 count)
{
    struct page *p = page_alloc(PAGE_KERNEL, 0);
    u64 done = 0;
    ssize_t n = 0;

    if (!p)
        return -ENOMEM;
    while (done < count && (n = copy_some(c, page_data(p), MIN(count - done, PAGE_SIZE))) > 0) {
        done += (u64)n;
        if (signal_pending() || (c->in->stream && n < (ssize_t)PAGE_SIZE))
            break; /* what a stream has just now: to ask again could wait, or take its end away unseen */
    }
    page_put(p);
    return done ? (s64)done : sys_written(n);
}

static s64 copy_files(int in, vaddr_t in_pos, int out, vaddr_t out_pos, u64 count)
{
    struct copy c = {fd_get(in), fd_get(out), NULL, NULL};
    u64 positions[2] = {0, 0};
    s64 n = c.in && c.out ? 0 : -EBADF;

    if (!n && ((in_pos && get_user(&positions[0], in_pos)) || (out_pos && get_user(&positions[1], out_pos))))
        n = -EFAULT;
    if (!n && ((in_pos && c.in->stream) || (out_pos && c.out->stream)))
        n = -ESPIPE;
    if (!n) {
        c.in_pos = in_pos ? &positions[0] : NULL;
        c.out_pos = out_pos ? &positions[1] : NULL;
        n = copy_all(&c, count);
    }
    if (n > 0 && ((in_pos && put_user(in_pos, &positions[0])) || (out_pos && put_user(out_pos, &positions[1]))))
        n = -EFAULT;
    if (c.in)
        file_put(c.in);
    if (c.out)
        file_put(c.out);
    return n;
}

SYSCALL(sendfile)
{
    return copy_files((int)a[1], a[2], (int)a[0], 0, MIN(a[3], 0x7ffff000ul));
}

SYSCALL(copy_file_range)
{
    return a[5] ? -EINVAL : copy_files((int)a[0], a[1], (int)a[2], a[3], MIN(a[4], 0x7ffff000ul));
}

/* ---- pipes: what is taken from one stays in it until it has been written elsewhere ---- */

#define SPLICE_F_NONBLOCK 2u
#define SPLICE_FLAGS 15u
#define PIECE (16 * PAGE_SIZE)

struct splice {
    struct file *in, *out;
    u64 *in_pos, *out_pos; /* of the side that is no pipe; NULL: its own position */
    char *buf;             /* PIECE bytes */
    u64 len;
    bool wait;
};

/* How much may go into the pipe now: waits for room, if that is allowed. */
static ssize_t room(const struct splice *s)
{
    return MIN(pipe_wait_room(s->out, s->wait && !(s->out->flags & O_NONBLOCK)), (ssize_t)MIN(s->len, PIECE));
}

static ssize_t from_pipe(struct splice *s, size_t max)
{
    ssize_t n = pipe_peek(s->in, s->buf, max, s->wait && !(s->in->flags & O_NONBLOCK)), put;
    struct uio u;

    if (n <= 0)
        return n;
    uio_init_kernel(&u, s->buf, (size_t)n);
    put = s->out_pos ? file_pwrite(s->out, &u, *s->out_pos) : file_write(s->out, &u);
    pipe_consume(s->in, (size_t)MAX(put, 0l));
    if (put > 0 && s->out_pos)
        *s->out_pos += (u64)put;
    return put;
}

static ssize_t into_pipe(struct splice *s, size_t max)
{
    struct uio u;
    ssize_t n, put;

    uio_init_kernel(&u, s->buf, max);
    n = s->in_pos ? file_pread(s->in, &u, *s->in_pos) : file_read(s->in, &u);
    if (n <= 0)
        return n;
    uio_init_kernel(&u, s->buf, (size_t)n);
    put = file_write(s->out, &u);
    if (put < n && !s->in_pos && !s->in->stream)
        unread(s->in, (u64)(n - MAX(put, 0l)));
    if (put > 0 && s->in_pos)
        *s->in_pos += (u64)put;
    return put;
}

static ssize_t splice_once(struct splice *s)
{
    ssize_t max = pipe_is(s->out) ? room(s) : (ssize_t)MIN(s->len, PIECE);

    if (max <= 0)
        return max;
    return pipe_is(s->in) ? from_pipe(s, (size_t)max) : into_pipe(s, (size_t)max);
}

static s64 splice_all(struct splice *s)
{
    u64 done = 0;
    ssize_t n = 0;

    while (s->len > 0 && (n = splice_once(s)) > 0) {
        done += (u64)n;
        s->len -= (u64)n;
        s->wait = false; /* for more: what there is, and no longer */
        if (!pipe_is(s->in) && s->in->stream)
            break;
    }
    return done ? (s64)done : sys_written(n);
}

static s64 splice_files(struct splice *s, vaddr_t in_pos, vaddr_t out_pos)
{
    u64 position = 0;
    s64 n;

    if (!pipe_is(s->in) && !pipe_is(s->out))
        return -EINVAL;
    if ((in_pos && s->in->stream) || (out_pos && s->out->stream))
        return -ESPIPE;
    if (!s->in->readable || !s->out->writable)
        return -EBADF;
    if (pipe_is(s->in) && s->in->vnode == s->out->vnode)
        return -EINVAL;
    if ((in_pos || out_pos) && get_user(&position, in_pos ? in_pos : out_pos))
        return -EFAULT;
    s->in_pos = in_pos ? &position : NULL;
    s->out_pos = out_pos ? &position : NULL;
    s->buf = kmem_alloc(PIECE);
    if (!s->buf)
        return -ENOMEM;
    n = splice_all(s);
    kmem_free(s->buf);
    if (n > 0 && (in_pos || out_pos) && put_user(in_pos ? in_pos : out_pos, &position))
        n = -EFAULT;
    return n;
}

SYSCALL(splice)
{
    struct splice s = {.in = fd_get((int)a[0]), .out = fd_get((int)a[2]), .len = MIN(a[4], 0x7ffff000ul),
                       .wait = !(a[5] & SPLICE_F_NONBLOCK)};
    s64 n = a[5] & ~(u64)SPLICE_FLAGS ? -EINVAL : !s.in || !s.out ? -EBADF : splice_files(&s, a[1], a[3]);

    if (s.in)
        file_put(s.in);
    if (s.out)
        file_put(s.out);
    return n;
}

static s64 tee_pipes(struct splice *s)
{
    ssize_t n;
    struct uio u;

    if (!pipe_is(s->in) || !pipe_is(s->out) || s->in->vnode == s->out->vnode)
        return -EINVAL;
    if (!s->in->readable || !s->out->writable)
        return -EBADF;
    n = room(s);
    if (n <= 0 || s->len == 0)
        return n < 0 ? sys_written(n) : 0;
    s->buf = kmem_alloc(PIECE);
    if (!s->buf)
        return -ENOMEM;
    n = pipe_peek(s->in, s->buf, (size_t)n, s->wait && !(s->in->flags & O_NONBLOCK));
    if (n > 0) {
        pipe_consume(s->in, 0);
        uio_init_kernel(&u, s->buf, (size_t)n);
        n = file_write(s->out, &u);
    }
    kmem_free(s->buf);
    return sys_written(n);
}

SYSCALL(tee)
{
    struct splice s = {.in = fd_get((int)a[0]), .out = fd_get((int)a[1]), .len = MIN(a[2], 0x7ffff000ul),
                       .wait = !(a[3] & SPLICE_F_NONBLOCK)};
    s64 n = a[3] & ~(u64)SPLICE_FLAGS ? -EINVAL : !s.in || !s.out ? -EBADF : tee_pipes(&s);

    if (s.in)
        file_put(s.in);
    if (s.out)
        file_put(s.out);
    return n;
}

/* The program's bytes are copied, as they are now: what it does to its pages afterwards is not seen in the pipe. */
static s64 vmsplice_pipe(struct file *f, const u64 *a)
{
    struct splice s = {.out = f, .len = PIECE, .wait = !(a[3] & SPLICE_F_NONBLOCK)};
    struct iovec_user *vec;
    struct uio u;
    ssize_t n;
    int err;

    if (!pipe_is(f))
        return -EBADF;
    if (f->writable && !s.wait) {
        n = room(&s);
        if (n <= 0)
            return sys_written(n);
    }
    err = uio_init_iovec(&u, a[1], a[2], &vec);
    if (err)
        return err;
    if (f->writable && !s.wait)
        u.left = MIN(u.left, (size_t)room(&s));
    n = f->writable ? file_write(f, &u) : file_read(f, &u);
    kmem_free(vec);
    return f->writable ? sys_written(n) : n;
}

SYSCALL(vmsplice)
{
    struct file *f = fd_get((int)a[0]);
    s64 n = !f ? -EBADF : a[3] & ~(u64)SPLICE_FLAGS ? -EINVAL : vmsplice_pipe(f, a);

    if (f)
        file_put(f);
    return n;
}
