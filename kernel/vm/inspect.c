/*
 * Looking at address spaces from outside: for /proc and for tools. Each call
 * takes vm->lock for a moment; what it answers may be old when it returns.
 */
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
    count = pt_count(vm, start, MIN(end, USER_TOP), start > 0 || end < USER_TOP);
    mutex_unlock(&vm->lock);
    return count;
}

struct vm_page_info vm_page_look(struct vmspace *vm, vaddr_t va)
{
    struct vm_page_info info = {0};
    struct pt_path path;

    mutex_lock(&vm->lock);
    pt_find(vm, va, &path);
    if (!pte_is_empty(path.leaf)) {
        struct page *p = pte_page(path.leaf);

        info.present = true;
        info.zero = p == page_zero;
        info.object = p->kind == PAGE_OBJECT;
        info.exclusive = !path.shared && page_refs(p) == 1;
        info.frame = page_paddr(p).pa >> PAGE_SHIFT;
    }
    mutex_unlock(&vm->lock);
    return info;
}

vaddr_t vm_next_page(struct vmspace *vm, vaddr_t va, vaddr_t end)
{
    mutex_lock(&vm->lock);
    while (va < end) {
        struct pt_path path;

        pt_find(vm, va, &path);
        if (!pte_is_empty(path.leaf))
            break;
        va = path.table ? va + PAGE_SIZE : ROUND_DOWN(va, pt_span(1)) + pt_span(1); /* no leaf table: nothing in all its span */
    }
    mutex_unlock(&vm->lock);
    return MIN(va, end);
}

/* Copies within one page; it is faulted in first. False: not readable. */
static bool read_page(struct vmspace *vm, vaddr_t va, void *dst, size_t n)
{
    pte_t leaf;

    if (vm_fault_wholly(vm, va, FAULT_READ) != FAULT_DONE)
        return false;
    vm_lock(vm);
    leaf = pt_lookup(vm, va);
    if (!pte_is_empty(leaf))
        memcpy(dst, (char *)page_data(pte_page(leaf)) + (va & PAGE_MASK), n);
    vm_unlock(vm);
    return !pte_is_empty(leaf);
}

size_t vm_read_remote(struct vmspace *vm, vaddr_t va, void *dst, size_t n)
{
    size_t done = 0;

    while (done < n) {
        size_t part = MIN(n - done, PAGE_SIZE - ((va + done) & PAGE_MASK));

        if (!read_page(vm, va + done, (char *)dst + done, part))
            break;
        done += part;
    }
    return done;
}

size_t vm_write_remote(struct vmspace *vm, vaddr_t va, const void *src, size_t n)
{
    size_t done = 0;

    while (done < n && va + done < USER_TOP) {
        size_t part = MIN(n - done, PAGE_SIZE - ((va + done) & PAGE_MASK));

        if (!vm_store(vm, va + done, (const char *)src + done, part))
            break;
        done += part;
    }
    return done;
}
