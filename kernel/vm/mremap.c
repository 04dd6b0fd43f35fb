/*
 * mremap(2): shrink, grow in place, move. Locks as in mmap.c.
 */
#include "lib/errno.h"
#include "vm/pgtable.h"
#include "vm/region.h"
#include "vm/vmspace.h"

#define MREMAP_MAYMOVE 1u
#define MREMAP_FIXED 2u
#define MREMAP_DONTUNMAP 4u

struct remap {
    struct vmspace *vm;
    struct region reg; /* the one that covers the old range */
    vaddr_t old, to;
    u64 old_len, new_len;
    bool keep_old; /* the old range stays mapped */
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
    if (!vm_regions_promise(m->vm, next)) {
        region_tree_put(next);
        return -ENOMEM;
    }
    vm_regions_publish(m->vm, next);
    return (s64)m->old;
}

/* What a move takes in all, set aside before it begins. */
struct move_reserve {
    struct pt_reserve target, tail, src, dst;
};

static void move_release(struct move_reserve *r)
{
    pt_reserve_release(&r->target);
    pt_reserve_release(&r->tail);
    pt_reserve_release(&r->src);
    pt_reserve_release(&r->dst);
}

/* [to, to + new_len) is emptied; what is beyond new_len goes; the first `keep` bytes move. */
static int move_reserve(const struct remap *m, u64 keep, struct move_reserve *r)
{
    pt_reserve_init(&r->target);
    pt_reserve_init(&r->tail);
    pt_reserve_init(&r->src);
    pt_reserve_init(&r->dst);
    if (pt_reserve_unmap(m->vm, m->to, m->to + m->new_len, &r->target) ||
        (keep < m->old_len && pt_reserve_unmap(m->vm, m->old + keep, m->old + m->old_len, &r->tail)) ||
        pt_reserve_range(m->vm, m->old, m->old + keep, &r->src) ||
        pt_reserve_fresh(m->to, m->to + keep, &r->dst)) {
        move_release(r);
        return -ENOMEM;
    }
    return 0;
}

/* The regions as they stand after the move. */
static int moved_regions(const struct remap *m, struct region_node **out)
{
    struct region reg = remap_region(m, m->to);
    struct region_node *without, *cleared;
    int err;

    if (m->keep_old)
        without = region_tree_get(m->vm->regions);
    else if (region_remove(m->vm->regions, m->old, m->old + m->old_len, &without))
        return -ENOMEM;
    err = region_remove(without, m->to, m->to + m->new_len, &cleared);
    region_tree_put(without);
    if (err)
        return err;
    err = region_insert(cleared, &reg, out);
    region_tree_put(cleared);
    if (err == 0 && !vm_regions_promise(m->vm, *out)) {
        region_tree_put(*out);
        return -ENOMEM;
    }
    return err;
}

/* Tables and regions to the new place, whatever is there: whole, or (-ENOMEM) not at all. */
static s64 move(const struct remap *m)
{
    u64 keep = MIN(m->old_len, m->new_len);
    struct region_node *next;
    struct move_reserve r;

    if (move_reserve(m, keep, &r))
        return -ENOMEM;
    if (moved_regions(m, &next)) {
        move_release(&r);
        return -ENOMEM;
    }
    pt_unmap(m->vm, m->to, m->to + m->new_len, &r.target);
    if (keep < m->old_len)
        pt_unmap(m->vm, m->old + keep, m->old + m->old_len, &r.tail);
    pt_move(m->vm, m->old, m->to, keep, &r.src, &r.dst);
    vm_regions_publish(m->vm, next);
    move_release(&r);
    return (s64)m->to;
}

static s64 remap_fixed(struct remap *m)
{
    if (m->to % PAGE_SIZE || m->to < m->vm->mmap_low || m->to > USER_TOP - m->new_len)
        return -EINVAL;
    if (m->to < m->old + m->old_len && m->old < m->to + m->new_len)
        return -EINVAL;
    return move(m);
}

static s64 remap_grow(struct remap *m, unsigned flags)
{
    s64 at = grow_in_place(m);

    if (at >= 0 || !(flags & MREMAP_MAYMOVE))
        return at;
    m->to = region_find_gap(m->vm->regions, m->vm->mmap_low, m->vm->mmap_top, m->new_len);
    return m->to ? move(m) : -ENOMEM;
}

/* Where the hint says if that is free; the old place stays mapped, and empty. */
static s64 remap_keeping(struct remap *m, unsigned flags)
{
    if (m->vm->mapped_pages + (m->new_len >> PAGE_SHIFT) > m->vm->as_limit >> PAGE_SHIFT)
        return -ENOMEM;
    m->keep_old = true;
    if (flags & MREMAP_FIXED)
        return remap_fixed(m);
    m->to = region_find_gap(m->vm->regions, m->vm->mmap_low, m->vm->mmap_top, m->new_len);
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
    if ((r->flags & VM_LOCKED) && m->new_len > m->old_len && !vm_lock_permits(m->vm, m->new_len - m->old_len))
        return -EAGAIN;
    if (flags & MREMAP_DONTUNMAP)
        return remap_keeping(m, flags);
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

    if (old % PAGE_SIZE || new_len == 0 || old_len == 0 || (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)))
        return -EINVAL;
    if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) && !(flags & MREMAP_MAYMOVE))
        return -EINVAL;
    if ((flags & MREMAP_DONTUNMAP) && old_len != new_len)
        return -EINVAL;
    if (new_len > USER_TOP || old_len > USER_TOP || old > USER_TOP)
        return new_len > USER_TOP ? -ENOMEM : -EINVAL;
    m.old_len = ROUND_UP(old_len, PAGE_SIZE);
    m.new_len = ROUND_UP(new_len, PAGE_SIZE);
    vm_lock(vm);
    result = remap_locked(&m, flags);
    vm_unlock(vm);
    if (result >= 0 && m.new_len > m.old_len && (m.reg.flags & (VM_LOCKED | VM_LOCKONFAULT)) == VM_LOCKED) {
        int err = vm_populate(vm, (vaddr_t)result + m.old_len, m.new_len - m.old_len, m.reg.flags & VM_WRITE);
        (void)err; /* as far as it goes */
    }
    return result;
}
