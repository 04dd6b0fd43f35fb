/*
 * Looking at address spaces from outside: for /proc and for tools. Each call
 * takes vm->lock for a moment; what it answers may be old when it returns.
 */
#include "lib/errno.h"
#include "lib/string.h"
#include "vm/pgtable.h"
#include "vm/region.h"
#include "vm/table.h"
#include "vm/vmspace.h"

bool vm_region_find(struct vmspace *vm, vaddr_t va, struct region *out)
{
    const struct region *r;

    mutex_lock(&vm->lock);
    r = region_find(vm->regions, va);
    if (r) {
        *out = *r;
        region_refs_get(out);
    }
    mutex_unlock(&vm->lock);
    return r;
}

void vm_region_release(struct region *r)
{
    region_refs_put(r);
}

u64 vm_resident(struct vmspace *vm, vaddr_t start, vaddr_t end)
{
    u64 count;

    mutex_lock(&vm->lock);
    count = pt_count(vm, start, MIN(end, USER_TOP));
    mutex_unlock(&vm->lock);
    return count;
}

/* The page of va for reading, with a reference; faults it in. NULL: not readable. */
static struct page *remote_page(struct vmspace *vm, vaddr_t va)
{
    struct page *page = NULL;
    pte_t leaf;

    if (vm_fault(vm, va, FAULT_READ) > FAULT_RETRY)
        return NULL;
    vm_lock(vm);
    leaf = pt_lookup(vm, va);
    if (!pte_is_empty(leaf)) {
        page = pte_page(leaf);
        page_get(page);
    }
    vm_unlock(vm);
    return page;
}

size_t vm_read_remote(struct vmspace *vm, vaddr_t va, void *dst, size_t n)
{
    size_t done = 0;

    while (done < n) {
        size_t offset = (va + done) & PAGE_MASK, part = MIN(n - done, PAGE_SIZE - offset);
        struct page *page = remote_page(vm, va + done);

        if (!page)
            break;
        memcpy((char *)dst + done, (char *)page_data(page) + offset, part);
        page_put(page);
        done += part;
    }
    return done;
}
