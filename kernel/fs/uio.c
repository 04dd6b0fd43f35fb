/* Where the bytes of a read or write go; see uio.h. */
#include "fs/uio.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "vm/kmem.h"
#include "vm/uaccess.h"

void uio_init_user(struct uio *u, vaddr_t base, size_t len)
{
    *u = (struct uio){.cur = {base, len}, .left = len};
}

void uio_init_kernel(struct uio *u, void *base, size_t len)
{
    *u = (struct uio){.kernel = true, .cur = {(u64)base, len}, .left = len};
}

int uio_init_iovec(struct uio *u, vaddr_t uvec, u64 count, struct iovec_user **vec)
{
    struct iovec_user *v;
    u64 sum = 0;

    *vec = NULL;
    *u = (struct uio){0};
    if (count > IOV_MAX)
        return -EINVAL;
    if (count == 0)
        return 0;
    v = kmem_alloc(count * sizeof *v);
    if (!v)
        return -ENOMEM;
    if (copy_from_user(v, uvec, count * sizeof *v)) {
        kmem_free(v);
        return -EFAULT;
    }
    for (u64 i = 0; i < count; i++) {
        if (v[i].len > INT64_MAX - sum) {
            kmem_free(v);
            return -EINVAL;
        }
        sum += v[i].len;
    }
    *vec = v;
    *u = (struct uio){.iov = v + 1, .iov_left = (unsigned)count - 1, .cur = v[0], .left = sum};
    return 0;
}

/* The next range that is not empty. */
static bool advance(struct uio *u)
{
    while (u->cur.len == 0 && u->iov_left > 0) {
        u->cur = *u->iov++;
        u->iov_left--;
    }
    return u->cur.len > 0;
}

enum direction { PUT, GET, ZERO };

static size_t move(struct uio *u, void *buf, size_t n, enum direction way)
{
    if (u->kernel && way == GET)
        memcpy(buf, (void *)u->cur.base, n);
    else if (u->kernel)
        way == PUT ? memcpy((void *)u->cur.base, buf, n) : memset((void *)u->cur.base, 0, n);
    else if (way == GET)
        return copy_from_user_partial(buf, u->cur.base, n);
    else if (way == PUT)
        return copy_to_user_partial(u->cur.base, buf, n);
    else
        return clear_user(u->cur.base, n) ? 0 : n;
    return n;
}

static size_t transfer(struct uio *u, void *buf, size_t n, enum direction way)
{
    size_t done = 0;

    while (done < n && advance(u)) {
        size_t part = MIN(n - done, u->cur.len);
        size_t moved = move(u, (char *)buf + done, part, way);

        u->cur.base += moved;
        u->cur.len -= moved;
        u->left -= moved;
        done += moved;
        if (moved < part)
            break;
    }
    return done;
}

size_t uio_put(struct uio *u, const void *src, size_t n)
{
    return transfer(u, (void *)(uintptr_t)src, n, PUT);
}

size_t uio_get(struct uio *u, void *dst, size_t n)
{
    return transfer(u, dst, n, GET);
}

size_t uio_put_zero(struct uio *u, size_t n)
{
    return transfer(u, NULL, n, ZERO);
}
