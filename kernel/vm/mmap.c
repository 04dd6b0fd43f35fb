/*
 * mmap, munmap, mprotect, brk, and what else changes regions.
 *
 * The new version of the region tree is made first; only when nothing can fail
 * any more are the tables changed and the new version published. vm->lock is
 * taken here.
 */
#include "lib/errno.h"
#include "lib/print.h"
#include "proc/sched.h"
#include "vm/check.h"
#include "vm/commit.h"
#include "vm/pgtable.h"
#include "vm/region.h"
#include "vm/table.h"
#include "vm/vmspace.h"

#define REGIONS_MAX 65530u  /* as Linux's default vm.max_map_count; what is there may only be cut by munmap beyond it */
/*
 * Mappings from this size on do not go where the stack and the small ones are
 * (the topmost GiB): so the tables that every process changes after a fork, for
 * its stack and its libraries' data, stay small however much it has mapped.
 */
#define LARGE (32ul << 20)

static u64 pages(u64 bytes)
{
    return bytes >> PAGE_SHIFT;
}

/* Rounds a user's range out to pages. False: empty, beyond user space, or wrapped. */
static bool range_round(vaddr_t start, u64 len, vaddr_t *end)
{
    if (start % PAGE_SIZE || len == 0 || len > USER_TOP || start > USER_TOP - ROUND_UP(len, PAGE_SIZE))
        return false;
    *end = start + ROUND_UP(len, PAGE_SIZE);
    return true;
}

void vm_regions_publish(struct vmspace *vm, struct region_node *next)
{
    struct region_node *old = vm->regions;

    vm->regions = next;
    vm->mapped_pages = region_tree_pages(next);
    ASSERT(region_tree_promised(next) <= vm->promised);
    commit_give(vm->promised - region_tree_promised(next));
    vm->promised = region_tree_promised(next);
    vm->region_count = region_tree_count(next);
    ASSERT(vm->stale_count < ARRAY_SIZE(vm->stale));
    vm->stale[vm->stale_count++] = old;
}

bool vm_regions_promise(struct vmspace *vm, struct region_node *next)
{
    u64 more = region_tree_promised(next);

    if (region_tree_count(next) > MAX(REGIONS_MAX, vm->region_count))
        return false;
    if (more <= vm->promised)
        return true;
    if (!commit_take(more - vm->promised))
        return false;
    vm->promised = more;
    return true;
}

/* next, or if it cannot be promised NULL: then it is dropped. */
static struct region_node *promised(struct vmspace *vm, struct region_node *next)
{
    if (vm_regions_promise(vm, next))
        return next;
    region_tree_put(next);
    return NULL;
}

/* ---- munmap ---- */

int vm_unmap_locked(struct vmspace *vm, vaddr_t start, vaddr_t end)
{
    struct region_node *next;
    struct pt_reserve r;

    if (pt_reserve_unmap(vm, start, end, &r))
        return -ENOMEM;
    if (region_remove(vm->regions, start, end, &next)) {
        pt_reserve_release(&r);
        return -ENOMEM;
    }
    pt_unmap(vm, start, end, &r);
    pt_reserve_release(&r);
    vm_regions_publish(vm, next);
    return 0;
}

int vm_unmap(struct vmspace *vm, vaddr_t start, u64 len)
{
    vaddr_t end;
    int err;

    if (!range_round(start, len, &end))
        return -EINVAL;
    vm_lock(vm);
    err = vm_unmap_locked(vm, start, end);
    vm_unlock(vm);
    return err;
}

/* ---- mmap ---- */

static bool is_free(struct vmspace *vm, vaddr_t start, vaddr_t end)
{
    const struct region *r = region_find(vm->regions, start);

    return !r || r->start >= end;
}

/* Where to map len bytes: the hint if it is free, else the highest gap. 0: nowhere. */
static vaddr_t find_place(struct vmspace *vm, vaddr_t hint, u64 len)
{
    vaddr_t at, large_top = ROUND_DOWN(vm->mmap_top, pt_span(2));

    hint = ROUND_DOWN(hint, PAGE_SIZE);
    if (hint >= vm->mmap_low && hint <= USER_TOP - len && is_free(vm, hint, hint + len))
        return hint;
    at = region_find_gap(vm->regions, vm->mmap_low, len >= LARGE ? MIN(vm->mmap_top, large_top) : vm->mmap_top, len);
    return at ? at : region_find_gap(vm->regions, vm->mmap_low, USER_TOP, len);
}

static s64 place(struct vmspace *vm, const struct map_request *q, u64 len)
{
    vaddr_t end;

    if (q->flags & MAP_FIXED_) {
        if (!range_round(q->addr, len, &end))
            return q->addr % PAGE_SIZE ? -EINVAL : -ENOMEM;
        if (q->addr < vm->mmap_low)
            return -EPERM;
        return (q->flags & MAP_NOREPLACE_) && !is_free(vm, q->addr, end) ? -EEXIST : (s64)q->addr;
    }
    end = find_place(vm, q->addr, len);
    return end ? (s64)end : -ENOMEM;
}

static unsigned request_flags(const struct map_request *q)
{
    unsigned flags = q->prot & VM_PROT_MASK;

    if (q->flags & MAP_SHARED_)
        flags |= VM_SHARED;
    else if (q->prot & PROT_WRITE)
        flags |= VM_PROMISED;
    if (q->flags & MAP_GROWSDOWN_)
        flags |= VM_GROWSDOWN;
    if (q->flags & MAP_STACK_)
        flags |= VM_STACK;
    if (q->flags & MAP_NO_MAYWRITE_)
        flags |= VM_NO_MAYWRITE;
    if (q->flags & MAP_LOCKED_)
        flags |= VM_LOCKED;
    if (q->flags & MAP_SEGMENT_)
        flags |= VM_SEGMENT;
    return flags;
}

/* Puts a region in the place of all that is there: whole, or (-ENOMEM) not at all. */
static int replace(struct vmspace *vm, const struct region *reg)
{
    struct region_node *without = NULL, *next;
    struct pt_reserve r;

    if (pt_reserve_unmap(vm, reg->start, reg->end, &r))
        return -ENOMEM;
    if (region_remove(vm->regions, reg->start, reg->end, &without) || region_insert(without, reg, &next) ||
        !promised(vm, next)) {
        region_tree_put(without);
        pt_reserve_release(&r);
        return -ENOMEM;
    }
    region_tree_put(without);
    pt_unmap(vm, reg->start, reg->end, &r);
    pt_reserve_release(&r);
    vm_regions_publish(vm, next);
    return 0;
}

static s64 map_locked(struct vmspace *vm, const struct map_request *q, struct vm_object *object, u64 len)
{
    struct region reg = {.flags = request_flags(q), .object = object, .offset = q->offset, .tag = q->tag};
    struct region_node *next;
    s64 at;

    if (object && (q->flags & MAP_GROWSDOWN_))
        return -EINVAL; /* what lies below the object's beginning? */
    if (vm->mapped_pages + pages(len) > pages(vm->as_limit) || vm->region_count >= REGIONS_MAX)
        return -ENOMEM;
    reg.flags |= vm->lock_future;
    if ((reg.flags & VM_LOCKED) && !vm_lock_permits(vm, len))
        return -EAGAIN;
    at = place(vm, q, len);
    if (at < 0)
        return at;
    reg.start = (vaddr_t)at;
    reg.end = reg.start + len;
    if (!is_free(vm, reg.start, reg.end))
        return replace(vm, &reg) ? -ENOMEM : at;
    if (region_insert(vm->regions, &reg, &next) || !promised(vm, next))
        return -ENOMEM;
    vm_regions_publish(vm, next);
    return at;
}

/* Faults the pages in; errors are nobody's business (mmap(2): MAP_POPULATE may fall short). */
static void populate(struct vmspace *vm, vaddr_t start, u64 len, bool write)
{
    enum fault_access access = write ? FAULT_WRITE : FAULT_READ;

    for (vaddr_t va = start; va < start + len; va += PAGE_SIZE)
        if (vm_fault_wholly(vm, va, access) != FAULT_DONE || signal_fatal_pending())
            return;
}

int vm_populate(struct vmspace *vm, vaddr_t start, u64 len, bool write)
{
    for (vaddr_t va = start; va < start + len; va += PAGE_SIZE) {
        switch (vm_fault_wholly(vm, va, write ? FAULT_WRITE : FAULT_READ)) {
        case FAULT_SEGV_MAPERR:
            return -ENOMEM;
        case FAULT_OOM:
            return -ENOMEM;
        case FAULT_SEGV_ACCERR:
        case FAULT_BUS:
            return -EFAULT;
        default:
            break;
        }
        if (signal_fatal_pending())
            return -EINTR;
    }
    return 0;
}

s64 vm_map_only(struct vmspace *vm, const struct map_request *q)
{
    u64 len = ROUND_UP(q->len, PAGE_SIZE);
    struct vm_object *object = q->object, *made = NULL;
    s64 at;

    if (q->len == 0 || q->offset % PAGE_SIZE)
        return -EINVAL;
    if (len < q->len)
        return -ENOMEM;
    if ((s64)q->offset < 0 || q->offset + len < len)
        return -EOVERFLOW;
    if (len > USER_TOP)
        return -ENOMEM;
    if (!object && (q->flags & MAP_SHARED_)) {
        object = made = object_create_anonymous(len);
        if (!made)
            return -ENOMEM;
    }
    vm_lock(vm);
    at = map_locked(vm, q, object, len);
    vm_unlock(vm);
    if (made)
        object_put(made);
    return at;
}

void vm_map_populate(struct vmspace *vm, const struct map_request *q, vaddr_t at)
{
    bool future = (READ_ONCE(vm->lock_future) & (VM_LOCKED | VM_LOCKONFAULT)) == VM_LOCKED;

    if (q->prot && (future || (q->flags & (MAP_POPULATE_ | MAP_LOCKED_))))
        populate(vm, at, ROUND_UP(q->len, PAGE_SIZE), (q->prot & PROT_WRITE) && !(q->flags & MAP_SHARED_));
}

s64 vm_map(struct vmspace *vm, const struct map_request *q)
{
    s64 at = vm_map_only(vm, q);

    if (at >= 0)
        vm_map_populate(vm, q, (vaddr_t)at);
    return at;
}

/* ---- mprotect ---- */

/* Whatever may be used at all may be read: the machines cannot do otherwise. */
static unsigned granted(unsigned prot)
{
    return prot ? prot | PROT_READ : 0;
}

/* Checks that the range is mapped without holes and may have these permissions; gathers what some region loses. */
static int protect_check(struct vmspace *vm, vaddr_t start, vaddr_t end, unsigned prot, unsigned *take)
{
    const struct region *r;

    *take = 0;
    for (vaddr_t va = start; va < end; va = r->end) {
        r = region_find(vm->regions, va);
        if (!r || r->start > va)
            return -ENOMEM;
        if ((prot & PROT_WRITE) && (r->flags & VM_SHARED) && (r->flags & VM_NO_MAYWRITE))
            return -EACCES;
        *take |= granted(r->flags & VM_PROT_MASK) & ~granted(prot);
    }
    return 0;
}

static void set_prot(struct region *r, void *prot)
{
    r->flags = (r->flags & ~(unsigned)VM_PROT_MASK) | *(unsigned *)prot;
    if ((r->flags & (VM_WRITE | VM_SHARED)) == VM_WRITE)
        r->flags |= VM_PROMISED; /* and stays so: the pages that are written stay when W goes */
}

static int protect_locked(struct vmspace *vm, vaddr_t start, vaddr_t end, unsigned prot)
{
    struct region_node *next;
    struct pt_reserve r;
    unsigned take;
    int err = protect_check(vm, start, end, prot, &take);

    if (err)
        return err;
    pt_reserve_init(&r);
    if ((take & ~(unsigned)PROT_WRITE) && pt_reserve_range(vm, start, end, &r))
        return -ENOMEM;
    if (region_update(vm->regions, start, end, set_prot, &prot, &next) || !promised(vm, next)) {
        pt_reserve_release(&r);
        return -ENOMEM;
    }
    if (take)
        pt_restrict(vm, start, end, take, &r);
    pt_reserve_release(&r);
    vm_regions_publish(vm, next);
    return 0;
}

int vm_protect(struct vmspace *vm, vaddr_t start, u64 len, unsigned prot)
{
    vaddr_t end;
    int err;

    if (start % PAGE_SIZE)
        return -EINVAL;
    if (len == 0)
        return 0;
    if (!range_round(start, len, &end))
        return -ENOMEM;
    vm_lock(vm);
    err = protect_locked(vm, start, end, prot);
    vm_unlock(vm);
    return err;
}

/* ---- brk ---- */

/* New memory between the old end and the new, or none. */
static bool brk_grow(struct vmspace *vm, vaddr_t from, vaddr_t to)
{
    struct region reg = {.start = from, .end = to, .flags = VM_READ | VM_WRITE | VM_HEAP | VM_PROMISED | vm->lock_future};
    const struct region *above = region_find(vm->regions, from);
    struct region_node *next;

    if (above && above->start < to)
        return false;
    if (vm->mapped_pages + pages(to - from) > pages(vm->as_limit) || to - vm->brk_start > vm->data_limit)
        return false;
    if ((reg.flags & VM_LOCKED) && !vm_lock_permits(vm, to - from))
        return false;
    if (region_insert(vm->regions, &reg, &next) || !promised(vm, next))
        return false;
    vm_regions_publish(vm, next);
    return true;
}

vaddr_t vm_brk(struct vmspace *vm, vaddr_t new_brk)
{
    vaddr_t from, to, result;
    bool present;

    vm_lock(vm);
    from = ROUND_UP(vm->brk, PAGE_SIZE);
    to = ROUND_UP(new_brk, PAGE_SIZE);
    if (new_brk >= vm->brk_start && new_brk < USER_TOP) {
        if (to > from ? brk_grow(vm, from, to) : to == from || vm_unmap_locked(vm, to, from) == 0)
            vm->brk = new_brk;
    }
    result = vm->brk;
    present = vm->lock_future == VM_LOCKED && to > from && result == new_brk;
    vm_unlock(vm);
    if (present)
        populate(vm, from, to - from, true);
    return result;
}

/* ---- dropping contents ---- */

int vm_discard_locked(struct vmspace *vm, vaddr_t start, vaddr_t end)
{
    struct pt_reserve r;

    if (pt_reserve_unmap(vm, start, end, &r))
        return -ENOMEM;
    pt_unmap(vm, start, end, &r);
    pt_reserve_release(&r);
    return 0;
}

int vm_discard(struct vmspace *vm, vaddr_t start, u64 len)
{
    vaddr_t end;
    int err;

    if (len == 0)
        return 0;
    if (!range_round(start, len, &end))
        return -EINVAL;
    vm_lock(vm);
    err = vm_has_locked(vm, start, end) ? -EINVAL : vm_discard_locked(vm, start, end);
    vm_unlock(vm);
    return err;
}

/* ---- what fork is to do with a range ---- */

static int advise_locked(struct vmspace *vm, vaddr_t start, vaddr_t end, unsigned set, unsigned clear)
{
    const struct region *r;

    for (vaddr_t va = start; (set & VM_WIPEONFORK) && (r = region_find(vm->regions, va)) && r->start < end; va = r->end)
        if (r->object || (r->flags & VM_SHARED))
            return -EINVAL;
    return vm_change_flags_locked(vm, start, end, set, clear);
}

int vm_advise_fork(struct vmspace *vm, vaddr_t start, u64 len, unsigned set, unsigned clear)
{
    vaddr_t end;
    int err;

    if (len == 0)
        return 0;
    if (!range_round(start, len, &end))
        return -EINVAL;
    vm_lock(vm);
    err = advise_locked(vm, start, end, set, clear);
    vm_unlock(vm);
    return err;
}

/* Unmaps a part of a region. At most the tables of two paths, from the pages kept for this: if even those are gone, the
 * pages stay mapped, and belong to nobody but who maps them. */
static void unmap_part(struct vmspace *vm, vaddr_t start, vaddr_t end)
{
    struct pt_reserve r;

    if (pt_reserve_unmap(vm, start, end, &r))
        return;
    pt_unmap(vm, start, end, &r);
    pt_reserve_release(&r);
}

/* The object's own pages in the range, one by one; private copies stay. */
static void unmap_pages_of(struct vmspace *vm, const struct vm_object *o, vaddr_t start, vaddr_t end)
{
    for (vaddr_t va = start; va < end; va += PAGE_SIZE) {
        pte_t e = pt_lookup(vm, va);
        if (!pte_is_empty(e) && pte_page(e)->kind == PAGE_OBJECT && pte_page(e)->object == o)
            unmap_part(vm, va, va + PAGE_SIZE);
    }
}

/* Regions of one address space that map [first, last) of an object. */
static void unmap_object_in(struct vmspace *vm, struct vm_object *o, u64 first, u64 last, bool copies)
{
    u64 from = first << PAGE_SHIFT, to = last > UINT64_MAX >> PAGE_SHIFT ? UINT64_MAX : last << PAGE_SHIFT;
    const struct region *r;

    for (vaddr_t va = 0; (r = region_find(vm->regions, va)); va = r->end) {
        u64 lo = MAX(from, r->offset), hi = MIN(to, r->offset + (r->end - r->start));

        if (r->object != o || lo >= hi)
            continue;
        lo += r->start - r->offset;
        hi += r->start - r->offset;
        if (copies || (r->flags & VM_SHARED))
            unmap_part(vm, lo, hi);
        else
            unmap_pages_of(vm, o, lo, hi);
    }
}

void vm_unmap_object_range(struct vm_object *o, u64 first, u64 last, bool copies)
{
    struct vmspace *vm;

    vm_enter();
    mutex_lock(&vmspaces_lock);
    list_for_each(vm, &vmspaces, link) {
        mutex_lock(&vm->lock);
        unmap_object_in(vm, o, first, last, copies);
        mutex_unlock(&vm->lock);
    }
    mutex_unlock(&vmspaces_lock);
    vm_leave();
}

static u64 count_mappings(struct vmspace *vm, const struct vm_object *o, bool writable)
{
    const struct region *r;
    u64 n = 0;

    for (vaddr_t va = 0; (r = region_find(vm->regions, va)); va = r->end)
        if (r->object == o && (writable ? (r->flags & VM_SHARED) && !(r->flags & VM_NO_MAYWRITE) : r->offset == 0))
            n++;
    return n;
}

static u64 count_all_mappings(struct vm_object *o, bool writable)
{
    struct vmspace *vm;
    u64 n = 0;

    vm_enter();
    mutex_lock(&vmspaces_lock);
    list_for_each(vm, &vmspaces, link) {
        mutex_lock(&vm->lock);
        n += count_mappings(vm, o, writable);
        mutex_unlock(&vm->lock);
    }
    mutex_unlock(&vmspaces_lock);
    vm_leave();
    return n;
}

bool vm_object_is_writable(struct vm_object *o)
{
    return count_all_mappings(o, true) > 0;
}

u64 vm_object_mappings(struct vm_object *o)
{
    return count_all_mappings(o, false);
}
