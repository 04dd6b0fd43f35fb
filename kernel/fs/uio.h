/*
 * Where bytes of a read or write go: user memory (one range or an iovec) or a
 * kernel buffer. Copies may fault and sleep: no spin lock held.
 */
#pragma once
#include "lib/types.h"

#define IOV_MAX 1024
struct iovec_user {
    u64 base, len;
};
struct uio {
    bool kernel;                   /* base are kernel addresses */
    const struct iovec_user *iov;  /* what is left; the current one is `cur` */
    unsigned iov_left;
    struct iovec_user cur;
    size_t left;                   /* bytes in all */
};
void uio_init_user(struct uio *u, vaddr_t base, size_t len);
void uio_init_kernel(struct uio *u, void *base, size_t len);
/* Reads an iovec array from user space; *vec (kmem) to free after use. -EFAULT, -EINVAL (count, lengths), -ENOMEM. */
int uio_init_iovec(struct uio *u, vaddr_t uvec, u64 count, struct iovec_user **vec) __must_check;
/* Copies up to n bytes out to (in from) where the uio points and advances; bytes copied, less than n only when the uio
 * is full or empty, or a fault came. */
size_t uio_put(struct uio *u, const void *src, size_t n);
size_t uio_get(struct uio *u, void *dst, size_t n);
size_t uio_put_zero(struct uio *u, size_t n);
