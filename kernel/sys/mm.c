/* System calls about memory: decoding of what vm/mmap.c does. */
#include "fs/file.h"
#include "proc/process.h"
#include "sys/syscall.h"
#include "vm/kmem.h"
#include "vm/uaccess.h"
#include "vm/vm.h"

#define MAP_SHARED 1u
#define MAP_PRIVATE 2u
#define MAP_SHARED_VALIDATE 3u
#define MAP_TYPE 15u
#define MAP_FIXED 0x10u
#define MAP_ANONYMOUS 0x20u
#define MAP_GROWSDOWN 0x100u
#define MAP_LOCKED 0x2000u
#define MAP_POPULATE 0x8000u
#define MAP_STACK 0x20000u
#define MAP_FIXED_NOREPLACE 0x100000u

static unsigned translate(u32 flags)
{
    return ((flags & MAP_TYPE) != MAP_PRIVATE ? MAP_SHARED_ : 0) |
           (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) ? MAP_FIXED_ : 0) |
           (flags & MAP_FIXED_NOREPLACE ? MAP_NOREPLACE_ : 0) | (flags & MAP_GROWSDOWN ? MAP_GROWSDOWN_ : 0) |
           (flags & MAP_POPULATE ? MAP_POPULATE_ : 0) | (flags & MAP_LOCKED ? MAP_LOCKED_ : 0);
}

/* Before what may lock more memory: says how much of it there may be. False: the caller may not lock at all. */
static bool lock_limit_set(void)
{
    u64 limit = cred_is_root() ? UINT64_MAX : current_process()->rlimit[RLIMIT_MEMLOCK].cur;

    current->vm->lock_limit = limit;
    return limit > 0;
}

/* The mapping itself. A file's seals do not change between the test and the mapping that it permits: v->lock. */
static s64 map_object(struct map_request *q, struct file *f)
{
    bool shared = q->flags & MAP_SHARED_, sealed = f->vnode && (f->vnode->seals & (SEAL_WRITE | SEAL_FUTURE_WRITE));
    s64 at;

    if (sealed && shared && (q->prot & PROT_WRITE))
        return -EPERM;
    at = f->ops->mmap(f, q->offset, ROUND_UP(q->len, PAGE_SIZE), shared, &q->object);
    if (at)
        return at;
    if (shared && (!f->writable || sealed))
        q->flags |= MAP_NO_MAYWRITE_;
    q->tag = q->object ? f : NULL;
    at = vm_map_only(current->vm, q);
    if (q->object)
        object_put(q->object);
    return at;
}

static s64 map_file(struct map_request *q, struct file *f)
{
    bool shared = q->flags & MAP_SHARED_;
    s64 at;

    if (!f->readable)
        return -EACCES;
    if (shared && (q->prot & PROT_WRITE) && !f->writable)
        return -EACCES;
    if (!f->ops->mmap)
        return -ENODEV;
    if (shared && f->vnode)
        mutex_lock(&f->vnode->lock);
    at = map_object(q, f);
    if (shared && f->vnode)
        mutex_unlock(&f->vnode->lock);
    if (at >= 0)
        vm_map_populate(current->vm, q, (vaddr_t)at);
    return at;
}

/* mmap(addr, len, prot, flags, fd, offset) */
SYSCALL(mmap)
{
    struct map_request q = {.addr = a[0], .len = a[1], .prot = (unsigned)a[2], .flags = translate((u32)a[3]),
                            .offset = a[5]};
    u32 type = (u32)a[3] & MAP_TYPE;
    struct file *f;
    s64 at;

    if (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE)
        return -EINVAL;
    if (a[2] & ~7ul)
        return -EINVAL;
    if (((a[3] & MAP_LOCKED) || current->vm->lock_future) && !lock_limit_set() && (a[3] & MAP_LOCKED))
        return -EPERM;
    if (a[3] & MAP_ANONYMOUS) {
        q.offset = 0;
        return a[5] % PAGE_SIZE ? -EINVAL : vm_map(current->vm, &q);
    }
    f = fd_get((int)a[4]);
    if (!f)
        return -EBADF;
    at = q.len == 0 || q.offset % PAGE_SIZE ? -EINVAL : map_file(&q, f);
    file_put(f);
    return at;
}

/* Giving memory back does not fail: where even the pages kept for it are gone, the caller is out of memory for good. */
static s64 gave_back(int err)
{
    if (err == -ENOMEM)
        oom_kill_current("no page to unmap a part of a shared table");
    return err;
}

SYSCALL(munmap)
{
    return gave_back(vm_unmap(current->vm, a[0], a[1]));
}

SYSCALL(mprotect)
{
    return a[2] & ~7ul ? -EINVAL : vm_protect(current->vm, a[0], a[1], (unsigned)a[2]);
}

SYSCALL(mremap)
{
    (void)lock_limit_set();
    return vm_remap(current->vm, a[0], a[1], a[2], (unsigned)a[3], a[4]);
}

SYSCALL(brk)
{
    if (current->vm->lock_future)
        (void)lock_limit_set();
    return (s64)vm_brk(current->vm, a[0]);
}

/* Is all of the range mapped? Most hints ask only that. */
static s64 check_mapped(vaddr_t start, u64 len)
{
    vaddr_t end = start + ROUND_UP(len, PAGE_SIZE);
    struct region r;

    if (start % PAGE_SIZE || end < start || end > USER_TOP)
        return -EINVAL;
    for (vaddr_t va = start; va < end; va = r.end) {
        if (!vm_region_find(current->vm, va, &r))
            return -ENOMEM;
        vm_region_release(&r);
        if (r.start > va)
            return -ENOMEM;
    }
    return 0;
}

enum { MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED, MADV_FREE = 8, MADV_DONTFORK = 10,
       MADV_DOFORK = 11, MADV_WIPEONFORK = 18, MADV_KEEPONFORK = 19, MADV_MERGEABLE = 12, MADV_UNMERGEABLE = 13, MADV_HUGEPAGE = 14, MADV_NOHUGEPAGE = 15,
       MADV_DONTDUMP = 16, MADV_DODUMP = 17, MADV_COLD = 20, MADV_PAGEOUT = 21, MADV_POPULATE_READ = 22,
       MADV_POPULATE_WRITE = 23 };

/* MADV_POPULATE_READ, _WRITE: every region must permit that by name. */
static s64 populate(vaddr_t start, u64 len, bool write)
{
    vaddr_t end = start + ROUND_UP(len, PAGE_SIZE);
    struct region r;

    for (vaddr_t va = start; va < end; va = r.end) {
        if (!vm_region_find(current->vm, va, &r))
            return -ENOMEM;
        vm_region_release(&r);
        if (!(r.flags & (write ? VM_WRITE : VM_READ)))
            return -EINVAL;
    }
    return vm_populate(current->vm, start, end - start, write);
}

SYSCALL(madvise)
{
    s64 err = check_mapped(a[0], a[1]);

    switch ((int)a[2]) {
    case MADV_DONTNEED:
    case MADV_FREE:
        return err ? err : gave_back(vm_discard(current->vm, a[0], a[1]));
    case MADV_DONTFORK:
        return err ? err : vm_advise_fork(current->vm, a[0], a[1], VM_DONTFORK, 0);
    case MADV_DOFORK:
        return err ? err : vm_advise_fork(current->vm, a[0], a[1], 0, VM_DONTFORK);
    case MADV_WIPEONFORK:
        return err ? err : vm_advise_fork(current->vm, a[0], a[1], VM_WIPEONFORK, 0);
    case MADV_KEEPONFORK:
        return err ? err : vm_advise_fork(current->vm, a[0], a[1], 0, VM_WIPEONFORK);
    case MADV_POPULATE_READ:
    case MADV_POPULATE_WRITE:
        return err ? err : populate(a[0], a[1], (int)a[2] == MADV_POPULATE_WRITE);
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_MERGEABLE:
    case MADV_UNMERGEABLE:
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
    case MADV_DONTDUMP:
    case MADV_DODUMP:
    case MADV_COLD:
    case MADV_PAGEOUT:
        return err;
    }
    return -EINVAL;
}

SYSCALL(msync)
{
    enum { MS_ASYNC = 1, MS_INVALIDATE = 2, MS_SYNC = 4 };
    s64 err;

    if ((a[2] & ~7ul) || (a[2] & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC))
        return -EINVAL;
    err = check_mapped(a[0], a[1]);
    return !err && (a[2] & MS_INVALIDATE) && vm_is_locked(current->vm, a[0], a[1]) ? -EBUSY : err;
}

SYSCALL(mlock)
{
    return lock_limit_set() ? vm_mlock(current->vm, a[0], a[1], false) : -EPERM;
}

SYSCALL(mlock2)
{
    enum { MLOCK_ONFAULT = 1 };

    if (a[2] & ~(u64)MLOCK_ONFAULT)
        return -EINVAL;
    return lock_limit_set() ? vm_mlock(current->vm, a[0], a[1], a[2]) : -EPERM;
}

SYSCALL(munlock)
{
    return vm_munlock(current->vm, a[0], a[1]);
}

SYSCALL(mlockall)
{
    enum { MCL_CURRENT = 1, MCL_FUTURE = 2, MCL_ONFAULT = 4 };

    if (a[0] == 0 || a[0] == MCL_ONFAULT || (a[0] & ~7ul))
        return -EINVAL;
    return lock_limit_set() ? vm_mlock_all(current->vm, a[0] & MCL_CURRENT, a[0] & MCL_FUTURE, a[0] & MCL_ONFAULT) : -EPERM;
}

SYSCALL(munlockall)
{
    (void)a;
    return vm_munlock_all(current->vm);
}

SYSCALL(mincore)
{
    s64 err = check_mapped(a[0], a[1]);
    u64 count = ROUND_UP(a[1], PAGE_SIZE) >> PAGE_SHIFT;

    for (u64 i = 0; i < count && !err; i++) {
        u8 resident = vm_resident(current->vm, a[0] + i * PAGE_SIZE, a[0] + (i + 1) * PAGE_SIZE) > 0;
        err = put_user(a[2] + i, &resident);
    }
    return err;
}
