/*
 * Who maps what: how many times each frame of memory can be reached from the
 * roots. A page's own count says how many entries point to it; below tables that
 * several address spaces share, an entry is several mappings.
 */
#include "proc/signal.h"
#include "vm/kmem.h"
#include "vm/table.h"
#include "vm/vmspace.h"

#define PER_CHUNK (PAGE_SIZE / sizeof(u32))

/* Chunks are made where something is mapped. */
struct map_counts {
    u64 chunks;
    bool failed;
    u32 *chunk[];
};

static void add(struct map_counts *m, u64 frame)
{
    u64 i = frame - page_first;
    u32 **chunk = &m->chunk[i / PER_CHUNK];

    if (!*chunk)
        *chunk = kmem_zalloc(PAGE_SIZE);
    if (*chunk)
        (*chunk)[i % PER_CHUNK]++;
    else
        m->failed = true;
}

/* Below a table of this level. Nobody changes what vm's lock is held for; what others share does not change at all. */
static void add_below(struct map_counts *m, struct page *table, unsigned level)
{
    const pte_t *slots = page_data(table);
    unsigned user = level == PT_LEVELS - 1 ? pt_index(USER_TOP - 1, level) + 1 : PT_ENTRIES;

    m->failed |= signal_fatal_pending();
    for (unsigned i = 0; i < user && !m->failed; i++) {
        pte_t e = pte_load(&slots[i]);

        if (pte_is_empty(e))
            continue;
        if (level == 0 && pte_page(e) != page_zero)
            add(m, page_paddr(pte_page(e)).pa >> PAGE_SHIFT);
        else if (level > 0)
            add_below(m, pte_page(e), level - 1);
    }
}

/* The next address space of the list, with a reference; vm's is dropped. NULL: the end. The list is free in between, as
 * fork and exit need it. */
static struct vmspace *next_space(struct vmspace *vm)
{
    struct vmspace *next = NULL;
    struct list *at;

    mutex_lock(&vmspaces_lock);
    for (at = vm ? vm->link.next : vmspaces.next; at != &vmspaces && !next; at = at->next)
        if (ref_get_unless_zero(&list_entry(at, struct vmspace, link)->refs)) /* else it is being taken down */
            next = list_entry(at, struct vmspace, link);
    mutex_unlock(&vmspaces_lock);
    if (vm)
        vmspace_put(vm);
    return next;
}

struct map_counts *map_counts_take(void)
{
    u64 chunks = (page_last - page_first) / PER_CHUNK + 1;
    struct map_counts *m = kmem_zalloc(sizeof *m + chunks * sizeof m->chunk[0]);

    if (!m)
        return NULL;
    m->chunks = chunks;
    for (struct vmspace *vm = next_space(NULL); vm; vm = next_space(vm)) {
        vm_lock(vm);
        if (!m->failed)
            add_below(m, vm->root, PT_LEVELS - 1);
        vm_unlock(vm);
    }
    if (!m->failed)
        return m;
    map_counts_drop(m);
    return NULL;
}

u32 map_counts_of(const struct map_counts *m, u64 frame)
{
    u64 i = frame - page_first;

    if (frame < page_first || i / PER_CHUNK >= m->chunks || !m->chunk[i / PER_CHUNK])
        return 0;
    return m->chunk[i / PER_CHUNK][i % PER_CHUNK];
}

void map_counts_drop(struct map_counts *m)
{
    if (!m)
        return;
    for (u64 i = 0; i < m->chunks; i++)
        kmem_free(m->chunk[i]);
    kmem_free(m);
}
