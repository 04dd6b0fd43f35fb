/*
 * mlock(2): which memory is to be resident, and how much of it there may be.
 *
 * All memory is resident here once it is there. So a locked region is one whose
 * pages are brought in at once (unless VM_LOCKONFAULT), that counts against
 * lock_limit, and whose contents madvise does not drop. A forked child has none.
 * Locked regions are rare: their sum is counted anew when it is wanted.
 */
#include "lib/errno.h"
#include "vm/region.h"
#include "vm/vmspace.h"

/* Locked pages in [start, end). */
static u64 locked_in(const struct vmspace *vm, vaddr_t start, vaddr_t end)
{
    const struct region *r;
    u64 n = 0;

    for (vaddr_t va = start; (r = region_find_special(vm->regions, va)) && r->start < end; va = r->end)
        if (r->flags & VM_LOCKED)
            n += (MIN(r->end, end) - MAX(r->start, start)) >> PAGE_SHIFT;
    return n;
}

bool vm_lock_permits(const struct vmspace *vm, u64 more)
{
    return vm->lock_limit == UINT64_MAX || locked_in(vm, 0, USER_TOP) + (more >> PAGE_SHIFT) <= vm->lock_limit >> PAGE_SHIFT;
}

bool vm_has_locked(const struct vmspace *vm, vaddr_t start, vaddr_t end)
{
    const struct region *r;

    for (vaddr_t va = start; (r = region_find_special(vm->regions, va)) && r->start < end; va = r->end)
        if (r->flags & VM_LOCKED)
            return true;
    return false;
}

u64 vm_locked_pages(struct vmspace *vm)
{
    u64 n;

    vm_lock(vm);
    n = locked_in(vm, 0, USER_TOP);
    vm_unlock(vm);
    return n;
}

bool vm_is_locked(struct vmspace *vm, vaddr_t start, u64 len)
{
    bool any;

    vm_lock(vm);
    any = vm_has_locked(vm, start, start + len);
    vm_unlock(vm);
    return any;
}

struct flag_change {
    unsigned set, clear;
};

static void change_flags(struct region *r, void *change)
{
    const struct flag_change *c = change;

    r->flags = (r->flags & ~c->clear) | c->set;
}

int vm_change_flags_locked(struct vmspace *vm, vaddr_t start, vaddr_t end, unsigned set, unsigned clear)
{
    struct flag_change change = {set, clear};
    struct region_node *next;

    if (region_update(vm->regions, start, end, change_flags, &change, &next))
        return -ENOMEM;
    if (!vm_regions_promise(vm, next)) {
        region_tree_put(next);
        return -ENOMEM;
    }
    vm_regions_publish(vm, next);
    return 0;
}

static bool is_mapped(const struct vmspace *vm, vaddr_t start, vaddr_t end)
{
    const struct region *r;

    for (vaddr_t va = start; va < end; va = r->end) {
        r = region_find(vm->regions, va);
        if (!r || r->start > va)
            return false;
    }
    return true;
}

/* Brings in what may be used at all; pages of its own for what may be written. */
static int bring_in(struct vmspace *vm, vaddr_t start, vaddr_t end)
{
    struct region r;
    int err = 0;

    for (vaddr_t va = start; va < end && !err && vm_region_find(vm, va, &r) && r.start < end; va = r.end) {
        bool write = (r.flags & (VM_WRITE | VM_SHARED)) == VM_WRITE;

        vm_region_release(&r);
        if (!(r.flags & VM_LOCKED) || (r.flags & VM_LOCKONFAULT))
            continue;
        err = r.flags & VM_PROT_MASK ? vm_populate(vm, MAX(r.start, start), MIN(r.end, end) - MAX(r.start, start), write) : -ENOMEM;
    }
    return err == -EFAULT ? -ENOMEM : err;
}

int vm_mlock(struct vmspace *vm, vaddr_t start, u64 len, bool on_fault)
{
    vaddr_t end = ROUND_UP(start + len, PAGE_SIZE);
    int err = 0;

    if (start + len < start || end < start)
        return -EINVAL;
    start = ROUND_DOWN(start, PAGE_SIZE);
    if (start == end)
        return 0;
    if (end > USER_TOP)
        return -ENOMEM;
    vm_lock(vm);
    if (!vm_lock_permits(vm, end - start - (locked_in(vm, start, end) << PAGE_SHIFT)) || !is_mapped(vm, start, end))
        err = -ENOMEM;
    else
        err = vm_change_flags_locked(vm, start, end, VM_LOCKED | (on_fault ? VM_LOCKONFAULT : 0), on_fault ? 0 : VM_LOCKONFAULT);
    vm_unlock(vm);
    return err ? err : bring_in(vm, start, end);
}

int vm_munlock(struct vmspace *vm, vaddr_t start, u64 len)
{
    vaddr_t end = ROUND_UP(start + len, PAGE_SIZE);
    int err = -ENOMEM;

    if (start + len < start || end < start)
        return -EINVAL;
    start = ROUND_DOWN(start, PAGE_SIZE);
    vm_lock(vm);
    if (end <= USER_TOP && is_mapped(vm, start, end))
        err = start == end ? 0 : vm_change_flags_locked(vm, start, end, 0, VM_LOCKED | VM_LOCKONFAULT);
    vm_unlock(vm);
    return err;
}

int vm_mlock_all(struct vmspace *vm, bool present, bool future, bool on_fault)
{
    unsigned flags = VM_LOCKED | (on_fault ? VM_LOCKONFAULT : 0);
    int err = 0;

    vm_lock(vm);
    if (present && vm->mapped_pages > vm->lock_limit >> PAGE_SHIFT)
        err = -ENOMEM;
    else if (present)
        err = vm_change_flags_locked(vm, 0, USER_TOP, flags, on_fault ? 0 : VM_LOCKONFAULT);
    if (!err)
        vm->lock_future = future ? flags : 0;
    vm_unlock(vm);
    for (vaddr_t va = 0; !err && present;) {
        struct region r;

        if (!vm_region_find(vm, va, &r))
            break;
        vm_region_release(&r);
        va = r.end;
        if (bring_in(vm, r.start, r.end) == -EINTR)
            err = -EINTR; /* other errors: what cannot be used need not be there (mlockall(2)) */
    }
    return err;
}

int vm_munlock_all(struct vmspace *vm)
{
    int err = 0;

    vm_lock(vm);
    vm->lock_future = 0;
    if (vm_has_locked(vm, 0, USER_TOP))
        err = vm_change_flags_locked(vm, 0, USER_TOP, 0, VM_LOCKED | VM_LOCKONFAULT);
    vm_unlock(vm);
    return err;
}
