/*
 * Copies between kernel and user memory: range checks around the machine's
 * routines, which open the user window and come back short on a fault that
 * vm_fault could not mend.
 */
#include "vm/uaccess.h"
#include "arch/arch.h"
#include "lib/errno.h"
#include "proc/sched.h"

static bool range_ok(vaddr_t va, size_t n)
{
    return va <= USER_TOP && n <= USER_TOP - va && current->vm;
}

size_t copy_from_user_partial(void *dst, vaddr_t src, size_t n)
{
    return range_ok(src, n) ? n - arch_copy_from_user(dst, src, n) : 0;
}

size_t copy_to_user_partial(vaddr_t dst, const void *src, size_t n)
{
    return range_ok(dst, n) ? n - arch_copy_to_user(dst, src, n) : 0;
}

int copy_from_user(void *dst, vaddr_t src, size_t n)
{
    return range_ok(src, n) && arch_copy_from_user(dst, src, n) == 0 ? 0 : -EFAULT;
}

int copy_to_user(vaddr_t dst, const void *src, size_t n)
{
    return range_ok(dst, n) && arch_copy_to_user(dst, src, n) == 0 ? 0 : -EFAULT;
}

int clear_user(vaddr_t dst, size_t n)
{
    return range_ok(dst, n) && arch_clear_user(dst, n) == 0 ? 0 : -EFAULT;
}

ssize_t copy_string_from_user(char *dst, vaddr_t src, size_t size)
{
    ssize_t len;

    if (src >= USER_TOP || !current->vm || size == 0)
        return -EFAULT;
    len = arch_strncpy_from_user(dst, src, MIN(size, USER_TOP - src));
    if (len < 0)
        return -EFAULT;
    if ((size_t)len < MIN(size, USER_TOP - src))
        return len;
    return (size_t)len == size ? -ENAMETOOLONG : -EFAULT; /* no NUL in the buffer's size; or up to the very top */
}

int cmpxchg_user32(vaddr_t uaddr, u32 expect, u32 new, u32 *old)
{
    if (uaddr % 4)
        return -EINVAL;
    if (!range_ok(uaddr, 4))
        return -EFAULT;
    return arch_cmpxchg_user32(uaddr, expect, new, old) ? -EFAULT : 0;
}
