/*
 * mremap(2): shrink, grow in place, move. Locks as in mmap.c.
 */
#include "lib/errno.h"
#include "vm/pgtable.h"
#include "vm/region.h"
#include "vm/vmspace.h"

#define MREMAP_MAYMOVE 1u
#define MREMAP_FIXED 2u
#define MREMAP_LOW 0x10000ul

struct remap {
    struct vmspace *vm;
    struct region reg; /* the one that covers the old range */
    vaddr_t old, to;
    u64 old_len, new_len;
};

/* The region as it will stand at `at`, new_len long. */
static struct region remap_region(const struct remap *m, vaddr_t at)
{
    struct region reg = m->reg;

    reg.offset += m->old - m->reg.start;
    reg.start = at;
    reg.end = at + m->new_len;
    return reg;
}

static s64 grow_in_place(const struct remap *m)
{
    const struct region *above = region_find(m->vm->regions, m->reg.end);
    struct region reg = remap_region(m, m->old);
    struct region_node *next;

    if (m->old + m->old_len != m->reg.end || m->old + m->new_len > USER_TOP)
        return -ENOMEM;
    if (above && above->start < m->old + m->new_len)
        return -ENOMEM;
    reg.offset += m->old_len;
    reg.start = m->reg.end;
    if (region_insert(m->vm->regions, &reg, &next))
        return -ENOMEM;
    vm_regions_publish(m->vm, next);
    return (s64)m->old;
}

/* Tables and regions to the new place, which is free and no shorter. */
static s64 move(const struct remap *m)
{
    struct region reg = remap_region(m, m->to);
    struct region_node *without, *next;
    struct pt_reserve src, dst;
    int err = -ENOMEM;

    if (pt_reserve_range(m->vm, m->old, m->old + m->old_len, false, &src))
        return -ENOMEM;
    if (pt_reserve_range(m->vm, m->to, m->to + m->old_len, true, &dst))
        goto free_src;
    if (region_remove(m->vm->regions, m->old, m->old + m->old_len, &without))
        goto free_dst;
    err = region_insert(without, &reg, &next);
    region_tree_put(without);
    if (err)
        goto free_dst;
    pt_move(m->vm, m->old, m->to, m->old_len, &src, &dst);
    vm_regions_publish(m->vm, next);
    err = 0;
free_dst:
    pt_reserve_release(&dst);
free_src:
    pt_reserve_release(&src);
    return err ? err : (s64)m->to;
}

static s64 remap_fixed(struct remap *m)
{
    int err;

    if (m->to % PAGE_SIZE || m->to < MREMAP_LOW || m->to > USER_TOP - m->new_len)
        return -EINVAL;
    if (m->to < m->old + m->old_len && m->old < m->to + m->new_len)
        return -EINVAL;
    err = vm_unmap_locked(m->vm, m->to, m->to + m->new_len);
    if (err == 0 && m->old_len > m->new_len) {
        err = vm_unmap_locked(m->vm, m->old + m->new_len, m->old + m->old_len);
        m->old_len = m->new_len;
    }
    return err ? err : move(m);
}

static s64 remap_grow(struct remap *m, unsigned flags)
{
    s64 at = grow_in_place(m);

    if (at >= 0 || !(flags & MREMAP_MAYMOVE))
        return at;
    m->to = region_find_gap(m->vm->regions, MREMAP_LOW, m->vm->mmap_top, m->new_len);
    return m->to ? move(m) : -ENOMEM;
}

static s64 remap_locked(struct remap *m, unsigned flags)
{
    const struct region *r = region_find(m->vm->regions, m->old);

    if (!r || r->start > m->old || r->end - m->old < m->old_len)
        return -EFAULT;
    m->reg = *r;
    if (m->new_len > m->old_len &&
        m->vm->mapped_pages + ((m->new_len - m->old_len) >> PAGE_SHIFT) > m->vm->as_limit >> PAGE_SHIFT)
        return -ENOMEM;
    if (flags & MREMAP_FIXED)
        return remap_fixed(m);
    if (m->new_len > m->old_len)
        return remap_grow(m, flags);
    if (m->new_len < m->old_len && vm_unmap_locked(m->vm, m->old + m->new_len, m->old + m->old_len))
        return -ENOMEM;
    return (s64)m->old;
}

s64 vm_remap(struct vmspace *vm, vaddr_t old, u64 old_len, u64 new_len, unsigned flags, vaddr_t new_addr)
{
    struct remap m = {.vm = vm, .old = old, .to = new_addr};
    s64 result;

    if (old % PAGE_SIZE || new_len == 0 || old_len == 0 || (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED)))
        return -EINVAL;
    if ((flags & MREMAP_FIXED) && !(flags & MREMAP_MAYMOVE))
        return -EINVAL;
    if (new_len > USER_TOP || old_len > USER_TOP || old > USER_TOP)
        return new_len > USER_TOP ? -ENOMEM : -EINVAL;
    m.old_len = ROUND_UP(old_len, PAGE_SIZE);
    m.new_len = ROUND_UP(new_len, PAGE_SIZE);
    vm_lock(vm);
    result = remap_locked(&m, flags);
    vm_unlock(vm);
    return result;
}
