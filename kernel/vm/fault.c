/*
 * Page faults: classify, obtain, install.
 *
 * The region says what is allowed (invariant 7); the entry and the counts along
 * its path say what has to be done. Retry is a return value.
 */
#include "lib/errno.h"
#include "lib/print.h"
#include "lib/string.h"
#include "vm/commit.h"
#include "vm/count.h"
#include "vm/pgtable.h"
#include "vm/region.h"
#include "vm/table.h"
#include "vm/tlb.h"
#include "vm/vmspace.h"

#define AROUND 16ul /* pages */
#define STACK_GUARD (256 * PAGE_SIZE) /* kept free below a growing stack, as Linux does */

/* What a fault is about, once classified. */
struct fault {
    struct vmspace *vm;
    const struct region *region;
    vaddr_t va; /* of the page */
    enum fault_access access;
    unsigned prot; /* the region's; R is in it where anything is */
    unsigned read_prot; /* what an entry grants that no store made: W only where a store is nobody's business */
    struct pt_path path;
};

/* ---- classify ---- */

/* The program's stack has its place below it from exec on; what else grows may become as large. */
static bool stack_limit_permits(const struct vmspace *vm, const struct region *stack, vaddr_t start)
{
    return stack->flags & VM_STACK ? start >= vm->stack_limit : stack->end - start <= vm->stack_size;
}

/* Grows the stack region so that it covers va. NULL: not allowed, or no memory. */
static const struct region *stack_grow(struct vmspace *vm, const struct region *stack, vaddr_t va)
{
    vaddr_t start = ROUND_DOWN(va, PAGE_SIZE);
    const struct region *below = region_find_before(vm->regions, stack->start);
    struct region_node *grown;

    if (start < vm->mmap_low || !stack_limit_permits(vm, stack, start) || (below && below->end + STACK_GUARD > start))
        return NULL;
    if ((stack->flags & VM_LOCKED) && !vm_lock_permits(vm, stack->start - start))
        return NULL;
    if (vm->mapped_pages + ((stack->start - start) >> PAGE_SHIFT) > vm->as_limit >> PAGE_SHIFT)
        return NULL;
    grown = region_extend_down(vm->regions, stack, start);
    if (!grown)
        return NULL;
    if (!vm_regions_promise(vm, grown)) {
        region_tree_put(grown);
        return NULL;
    }
    vm_regions_publish(vm, grown);
    return region_find(grown, va);
}

const struct region *region_at(struct vmspace *vm, vaddr_t va)
{
    const struct region *r = region_find(vm->regions, va);

    if (!r || r->start <= va)
        return r;
    return r->flags & VM_GROWSDOWN ? stack_grow(vm, r, va) : NULL;
}

static bool region_allows(const struct region *r, enum fault_access access)
{
    unsigned prot = r->flags & VM_PROT_MASK;

    if (access == FAULT_READ)
        return prot != 0; /* W or X without R is granted R: the machines cannot do otherwise */
    return prot & (access == FAULT_WRITE ? PROT_WRITE : PROT_EXEC);
}

/* A store that the region does not permit: to what is private and can at least be read; and nobody has been promised the
 * page, so not where all pages are. */
static bool may_force(const struct region *r)
{
    return (r->flags & VM_PROT_MASK) && !(r->flags & VM_SHARED) && ((r->flags & VM_PROMISED) || commit_mode() == 1);
}

static unsigned access_prot(enum fault_access access)
{
    return access == FAULT_WRITE ? PROT_WRITE : access == FAULT_EXEC ? PROT_EXEC : PROT_READ;
}

/* ---- a page is there ---- */

static enum fault_result present_write(struct fault *f)
{
    struct pt_reserve r;
    bool shared = f->region->flags & VM_SHARED;

    if (pt_reserve(&f->path, !shared && pt_needs_copy(&f->path), 0, &r))
        return FAULT_OOM;
    if (shared)
        pt_grant(f->vm, &f->path, f->prot, &r);
    else
        pt_grant_write(f->vm, &f->path, f->prot, f->region->start, f->region->end, &r);
    pt_reserve_release(&r);
    f->vm->faults.cow++;
    return FAULT_DONE;
}

static enum fault_result present_read(struct fault *f)
{
    struct pt_reserve r;

    if (pte_leaf_prot(f->path.leaf) & access_prot(f->access)) {
        pt_open_read(f->vm, f->va);
        return FAULT_DONE;
    }
    if (pt_reserve(&f->path, false, 0, &r))
        return FAULT_OOM;
    pt_grant(f->vm, &f->path, f->read_prot, &r); /* a region that allows more than it did */
    pt_reserve_release(&r);
    return FAULT_DONE;
}

/* ---- no page is there ---- */

/* Nobody else has the page: one of zeros to write, the common one to read. */
static enum fault_result fill_anonymous(struct fault *f)
{
    bool write = f->access == FAULT_WRITE;
    struct page *page = page_zero;
    struct pt_reserve r;

    if (pt_reserve(&f->path, false, 0, &r))
        return FAULT_OOM;
    if (write)
        page = page_alloc(PAGE_DATA, ALLOC_ZERO);
    else
        page_get(page_zero);
    if (!page) {
        pt_reserve_release(&r);
        return FAULT_OOM;
    }
    pt_fill(f->vm, &f->path, page, write ? f->prot : f->read_prot, &r);
    pt_reserve_release(&r);
    vm_count(write ? VMC_anon_page_fill : VMC_zero_page_map, 1);
    return FAULT_DONE;
}

static enum fault_result object_error(int err)
{
    return err == -ENOMEM && commit_mode() == 1 ? FAULT_OOM : FAULT_BUS; /* strict: nobody was promised files' pages */
}

/* A store to a private mapping of an object: a copy from the start. */
static enum fault_result fill_copy(struct fault *f, struct page *source)
{
    struct pt_reserve r;
    struct page *copy;

    if (pt_reserve(&f->path, true, 0, &r))
        return FAULT_OOM;
    copy = r.data;
    r.data = NULL;
    memcpy(page_data(copy), page_data(source), PAGE_SIZE);
    pt_fill(f->vm, &f->path, copy, f->prot, &r);
    pt_reserve_release(&r);
    vm_count(VMC_cow_page_copy, 1);
    return FAULT_DONE;
}

static enum fault_result fill_shared(struct fault *f, struct page *page, unsigned prot)
{
    struct pt_reserve r;

    if (pt_reserve(&f->path, false, 0, &r))
        return FAULT_OOM;
    page_get(page);
    pt_fill(f->vm, &f->path, page, prot, &r);
    pt_reserve_release(&r);
    vm_count(VMC_file_page_map, 1);
    return FAULT_DONE;
}

/*
 * A program that reads a page of a file soon reads its neighbours: those that are
 * in memory are mapped with it, up to AROUND in all.
 */
static void fill_around(struct fault *f)
{
    const struct region *reg = f->region;
    u64 window = MIN(AROUND * PAGE_SIZE, pt_span(1));
    vaddr_t lo = MAX(ROUND_DOWN(f->va, window), reg->start), hi = MIN(ROUND_DOWN(f->va, window) + window, reg->end);
    struct page *pages[AROUND];
    unsigned n = (unsigned)((hi - lo) >> PAGE_SHIFT);

    object_find_pages(reg->object, (reg->offset + (lo - reg->start)) >> PAGE_SHIFT, n, pages);
    vm_count(VMC_file_page_map, pt_fill_around(f->vm, lo, pages, n, f->read_prot));
}

static enum fault_result fill_object(struct fault *f)
{
    const struct region *reg = f->region;
    u64 index = (reg->offset + (f->va - reg->start)) >> PAGE_SHIFT;
    enum fault_result result;
    struct page *page;
    int err = object_get_page(reg->object, index, &page);

    if (err)
        return object_error(err);
    if (f->access != FAULT_WRITE)
        result = fill_shared(f, page, f->read_prot);
    else if (reg->flags & VM_SHARED)
        result = fill_shared(f, page, f->prot);
    else
        result = fill_copy(f, page);
    page_put(page);
    if (result == FAULT_DONE && f->access != FAULT_WRITE)
        fill_around(f);
    return result;
}

/* ---- the fault ---- */

static enum fault_result install(struct fault *f)
{
    bool empty;

    pt_find(f->vm, f->va, &f->path);
    if (f->path.allows & access_prot(f->access)) {
        tlb_flush_local(f->vm); /* another thread was first, or the CPU remembered an entry that was not valid */
        vm_count(VMC_fault_spurious, 1);
        return FAULT_DONE;
    }
    empty = pte_is_empty(f->path.leaf);
    if (f->path.needed > 1 && (empty || f->access == FAULT_WRITE) && pt_copy_ahead(f->vm, &f->path))
        return FAULT_RETRY;
    if (empty)
        return f->region->object ? fill_object(f) : fill_anonymous(f);
    return f->access == FAULT_WRITE ? present_write(f) : present_read(f);
}

/* forced: a store that the region need not permit, if what is stored to is private. */
static enum fault_result fault_locked(struct vmspace *vm, vaddr_t va, enum fault_access access, bool forced)
{
    enum fault_result result;
    const struct region *region = region_at(vm, va);
    struct fault f = {.vm = vm, .region = region, .va = ROUND_DOWN(va, PAGE_SIZE), .access = access};

    if (!region)
        return FAULT_SEGV_MAPERR;
    if (!region_allows(region, access) && !(forced && may_force(region)))
        return FAULT_SEGV_ACCERR;
    f.prot = (region->flags & VM_PROT_MASK) | PROT_READ | (region->flags & VM_SHARED ? PROT_OBJECT : 0u);
    f.read_prot = (region->flags & VM_SHARED) && !region->tag ? f.prot : f.prot & ~(unsigned)PROT_WRITE;
    vm->faults.minor++;
    result = install(&f);
    if (result == FAULT_DONE && access == FAULT_WRITE && (region->flags & VM_SHARED) && region->tag && vm_tag_ops)
        vm_tag_ops->written(region->tag);
    return result;
}

/* What the kernel stores for somebody else: bytes of one page. */
struct store {
    const void *src;
    size_t n;
};

static enum fault_result handle(struct vmspace *vm, vaddr_t va, enum fault_access access, const struct store *store)
{
    enum fault_result result;

    if (va >= USER_TOP)
        return FAULT_SEGV_MAPERR;
    vm_count(VMC_pgfault, 1);
    vm_count(access == FAULT_WRITE ? VMC_fault_write : access == FAULT_EXEC ? VMC_fault_exec : VMC_fault_read, 1);
    vm_lock(vm);
    result = fault_locked(vm, va, access, store != NULL);
    if (unlikely(store) && result == FAULT_DONE)
        memcpy((char *)page_data(pte_page(pt_lookup(vm, va))) + (va & PAGE_MASK), store->src, store->n);
    if ((access == FAULT_EXEC || store) && result == FAULT_DONE)
        tlb_sync_code(vm); /* what was stored may have been instructions */
    vm_unlock(vm);
    return result;
}

enum fault_result vm_fault(struct vmspace *vm, vaddr_t va, enum fault_access access)
{
    return handle(vm, va, access, NULL);
}

bool vm_store(struct vmspace *vm, vaddr_t va, const void *src, size_t n)
{
    struct store store = {src, n};
    enum fault_result result;

    do
        result = handle(vm, va, FAULT_WRITE, &store);
    while (result == FAULT_RETRY);
    return result == FAULT_DONE;
}
