/*
 * Address spaces: create, fork, switch, destroy.
 *
 * All address spaces are in one list, under vmspaces_lock; one that is being
 * destroyed stays in it until it is taken out under the lock, so whoever holds
 * the lock may look at each of them.
 */
#include "arch/arch.h"
#include "lib/bootargs.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "lib/string.h"
#include "proc/sched.h"
#include "vm/check.h"
#include "vm/commit.h"
#include "vm/count.h"
#include "vm/kmem.h"
#include "vm/pgtable.h"
#include "vm/region.h"
#include "vm/tlb.h"
#include "vm/vmspace.h"

struct mutex vmspaces_lock;
struct list vmspaces = LIST_INIT(vmspaces);
const struct vm_tag_ops *vm_tag_ops;
static bool fork_eager; /* vm.fork=eager */

void vm_init(void)
{
    const char *how = bootarg("vm.fork");

    mutex_init(&vmspaces_lock, "vmspaces", RANK_VMSPACES);
    fork_eager = how && strcmp(how, "eager") == 0;
    if (how && !fork_eager && strcmp(how, "share") != 0)
        printk(LOG_WARN, "vm.fork=%s is not known: share or eager", how);
}

void vm_lock(struct vmspace *vm)
{
    vm_enter();
    mutex_lock(&vm->lock);
}

void vm_unlock(struct vmspace *vm)
{
    struct region_node *stale[ARRAY_SIZE(vm->stale)];
    u32 count = vm->stale_count;

    for (u32 i = 0; i < count; i++)
        stale[i] = vm->stale[i];
    vm->stale_count = 0;
    mutex_unlock(&vm->lock);
    vm_leave();
    while (count > 0)
        region_tree_put(stale[--count]);
}

static u64 last_id; /* vmspaces_lock */

static struct vmspace *create(void)
{
    struct vmspace *vm = kmem_zalloc(sizeof *vm);

    if (!vm)
        return NULL;
    vm->root = page_alloc_table(PAGE_ROOT, 0);
    if (!vm->root) {
        kmem_free(vm);
        return NULL;
    }
    vm->root->level = PT_LEVELS - 1;
    vm->root->used = 0;
    vm->mmap_low = VM_LOW;
    ref_init(&vm->refs);
    mutex_init(&vm->lock, "vmspace", RANK_VMSPACE);
    mutex_lock(&vmspaces_lock);
    vm->id = ++last_id;
    list_append(&vmspaces, &vm->link);
    mutex_unlock(&vmspaces_lock);
    return vm;
}

struct vmspace *vmspace_create(void)
{
    struct vmspace *vm;

    vm_enter(); /* from the root's allocation to its place in the list */
    vm = create();
    vm_leave();
    return vm;
}

/* What a child takes over from its parent as it is. */
static void copy_layout(struct vmspace *to, const struct vmspace *from)
{
    to->region_count = from->region_count;
    to->mapped_pages = from->mapped_pages;
    to->brk_start = from->brk_start;
    to->brk = from->brk;
    to->mmap_low = from->mmap_low;
    to->mmap_top = from->mmap_top;
    to->stack_limit = from->stack_limit;
    to->stack_size = from->stack_size;
    to->arg_start = from->arg_start;
    to->arg_end = from->arg_end;
    to->env_start = from->env_start;
    to->env_end = from->env_end;
    to->data_limit = from->data_limit;
    to->as_limit = from->as_limit;
}

/* Both locked. */
static int share(struct vmspace *parent, struct vmspace *child)
{
    if (!commit_take(parent->promised))
        return -ENOMEM;
    child->promised = parent->promised;
    if (!fork_eager)
        pt_share(parent, child);
    else if (pt_share_eager(parent, child))
        return -ENOMEM; /* vmspace_put gives back what was promised */
    child->regions = region_tree_get(parent->regions);
    copy_layout(child, parent);
    return 0;
}

/* Takes out of the child what it is not to have. Nobody runs in it yet. 0 or -ENOMEM. */
static int leave_out(struct vmspace *child)
{
    const struct region *r;
    bool locked = false;
    int err = 0;

    for (vaddr_t va = 0; !err;) {
        vm_lock(child);
        r = region_find_special(child->regions, va);
        if (r) {
            va = r->end;
            locked |= r->flags & VM_LOCKED;
            if (r->flags & VM_DONTFORK)
                err = vm_unmap_locked(child, r->start, r->end);
            else if (r->flags & VM_WIPEONFORK)
                err = vm_discard_locked(child, r->start, r->end);
        }
        vm_unlock(child);
        if (!r)
            break;
    }
    return err || !locked ? err : vm_munlock_all(child);
}

struct vmspace *vmspace_fork(struct vmspace *parent)
{
    struct vmspace *child;
    int err = -ENOMEM;

    vm_enter();
    child = create();
    if (child) {
        mutex_lock(&parent->lock);
        mutex_lock_nested(&child->lock); /* it is in the list already */
        err = share(parent, child);
        mutex_unlock(&child->lock);
        mutex_unlock(&parent->lock);
    }
    vm_leave();
    if (child && !err && region_find_special(child->regions, 0))
        err = leave_out(child);
    vm_count(err ? VMC_fork_fail : VMC_fork, 1);
    if (child && err) {
        vmspace_put(child);
        return NULL;
    }
    return child;
}

void vmspace_get(struct vmspace *vm)
{
    ref_get(&vm->refs);
}

void vmspace_put(struct vmspace *vm)
{
    if (!ref_put(&vm->refs))
        return;
    ASSERT(atomic_load(&vm->cpus) == 0);
    vm_enter();
    mutex_lock(&vmspaces_lock);
    list_remove(&vm->link);
    mutex_unlock(&vmspaces_lock);
    pt_drop_all(vm);
    ASSERT(vm->root->used == 0);
    if (page_put_last(vm->root))
        page_free_table(vm->root);
    vm_leave();
    commit_give(vm->promised);
    region_tree_put(vm->regions); /* may close files */
    kmem_free(vm);
}

void vmspace_switch(struct vmspace *prev, struct vmspace *next)
{
    u64 bit = 1ul << arch_this_cpu()->id;

    if (next)
        atomic_fetch_or(&next->cpus, bit);
    atomic_thread_fence(memory_order_seq_cst); /* before the first walk through next's tables: see tlb.c */
    if (next)
        tlb_load(next);
    else
        arch_activate_kernel();
    if (prev && prev != next)
        atomic_fetch_and(&prev->cpus, ~bit); /* what is remembered of prev is not used before it is loaded again */
}
