/*
 * Copies between kernel and user memory: the only way there is.
 *
 * They act on the running thread's address space, fault pages in as a user's
 * access would (copy-on-write included) and may sleep: no spin lock held, and
 * not vm->lock. All check that the range lies in user space.
 */
#pragma once
#include "lib/types.h"

int copy_from_user(void *dst, vaddr_t src, size_t n) __must_check; /* 0 or -EFAULT */
int copy_to_user(vaddr_t dst, const void *src, size_t n) __must_check;
int clear_user(vaddr_t dst, size_t n) __must_check;
/* The same, telling how much was copied before a fault: bytes copied. */
size_t copy_from_user_partial(void *dst, vaddr_t src, size_t n) __must_check;
size_t copy_to_user_partial(vaddr_t dst, const void *src, size_t n) __must_check;
/* A string with its NUL into dst of `size` bytes: its length, -EFAULT, or -ENAMETOOLONG. */
ssize_t copy_string_from_user(char *dst, vaddr_t src, size_t size) __must_check;
int cmpxchg_user32(vaddr_t uaddr, u32 expect, u32 new, u32 *old) __must_check; /* 0, -EFAULT, -EINVAL if unaligned */

#define get_user(dst, uaddr) copy_from_user((dst), (uaddr), sizeof *(dst))
#define put_user(uaddr, src) copy_to_user((uaddr), (src), sizeof *(src))
