/* /proc/PID: what lies in a process's memory, and where. Each line of maps is true when it is made. */
#include "fs/procfs.h"
#include "lib/string.h"
#include "proc/vdso.h"
#include "vm/kmem.h"
#include "vm/vm.h"

#define NAME_COLUMN 73 /* where Linux's maps have the path */
#define KIB (PAGE_SIZE / 1024)

static int copy_range(struct text *t, bool environment)
{
    struct vmspace *vm = t->vm;
    char chunk[256];
    vaddr_t at, end;

    if (!vm)
        return 0;
    at = environment ? vm->env_start : vm->arg_start;
    end = environment ? vm->env_end : vm->arg_end;
    while (at < end && !t->failed && !signal_fatal_pending()) {
        size_t n = vm_read_remote(vm, at, chunk, MIN(end - at, sizeof chunk));
        text_add_bytes(t, chunk, n);
        if (n == 0)
            break;
        at += n;
    }
    return 0;
}

int proc_show_cmdline(struct text *t, struct process *p)
{
    (void)p;
    return copy_range(t, false);
}

int proc_show_environ(struct text *t, struct process *p)
{
    (void)p;
    return copy_range(t, true);
}

/* What the last column says; path: room for PATH_MAX. */
static const char *region_name(struct vmspace *vm, const struct region *r, char *path)
{
    struct file *f = r->tag;

    if (f && f->dentry && dentry_path(f->dentry, root_dentry, path, PATH_MAX) >= 0)
        return path;
    if (r->start == SIGRETURN_ADDRESS)
        return "[vdso]";
    if (r->flags & VM_STACK)
        return "[stack]";
    if ((r->flags & VM_HEAP) || (r->start >= vm->brk_start && r->end <= ROUND_UP(vm->brk, PAGE_SIZE)))
        return "[heap]";
    return "";
}

static void show_region(struct text *t, struct vmspace *vm, const struct region *r, char *path)
{
    struct file *f = r->tag;
    struct vnode *v = f ? f->vnode : NULL;
    u64 dev = v ? v->sb->dev : 0;
    size_t before = t->len;
    const char *name = region_name(vm, r, path);

    text_add(t, "%08lx-%08lx %c%c%c%c %08lx %02lx:%02lx %lu ", r->start, r->end, r->flags & VM_READ ? 'r' : '-',
             r->flags & VM_WRITE ? 'w' : '-', r->flags & VM_EXEC ? 'x' : '-', r->flags & VM_SHARED ? 's' : 'p',
             r->object ? r->offset : 0, dev >> 8, dev & 0xff, v ? v->ino : 0);
    while (*name && t->len - before < NAME_COLUMN && !t->failed)
        text_add_bytes(t, " ", 1);
    text_add_escaped(t, name, "\n");
    text_add_bytes(t, "\n", 1);
}

/* ---- smaps: what of a region is there, in pages ---- */

struct usage {
    u64 size, resident, shared, exclusive, anonymous;
    u64 locked; /* bytes of share that are */
    u64 share;  /* the process's part: each page's size divided by how many map it, in bytes */
};

/* What of the region is there. Without counts (no memory for them) every page counts as the process's own. */
static void add_usage(struct vmspace *vm, const struct region *r, const struct map_counts *counts, struct usage *u)
{
    u64 share = u->share;

    u->size += (r->end - r->start) >> PAGE_SHIFT;
    for (vaddr_t va = vm_next_page(vm, r->start, r->end); va < r->end; va = vm_next_page(vm, va + PAGE_SIZE, r->end)) {
        struct vm_page_info info = vm_page_look(vm, va);
        u32 count = counts ? map_counts_of(counts, info.frame) : 1;

        if (!info.present || info.zero)
            continue;
        u->resident++;
        u->anonymous += !info.object;
        u->exclusive += count <= 1;
        u->shared += count > 1;
        u->share += PAGE_SIZE / MAX(count, 1u);
        if (signal_fatal_pending())
            return;
    }
    if (r->flags & VM_LOCKED)
        u->locked += u->share - share;
}

static void show_usage(struct text *t, const struct usage *u)
{
    text_add(t, "Rss:            %8lu kB\nPss:            %8lu kB\nPss_Dirty:      %8lu kB\n", u->resident * KIB, u->share / 1024,
             u->share / 1024);
    text_add(t, "Shared_Clean:   %8u kB\nShared_Dirty:   %8lu kB\nPrivate_Clean:  %8u kB\nPrivate_Dirty:  %8lu kB\n", 0,
             u->shared * KIB, 0, u->exclusive * KIB); /* nothing is kept anywhere else: all is dirty */
    text_add(t, "Referenced:     %8lu kB\nAnonymous:      %8lu kB\n", u->resident * KIB, u->anonymous * KIB);
    for (const char *const *name = (const char *const[]){"KSM:            ", "LazyFree:       ", "AnonHugePages:  ", "ShmemPmdMapped: ",
                                                         "FilePmdMapped:  ", "Shared_Hugetlb: ", "Private_Hugetlb:", "Swap:           ",
                                                         "SwapPss:        ", NULL};
         *name; name++)
        text_add(t, "%s%8u kB\n", *name, 0);
    text_add(t, "Locked:         %8lu kB\n", u->locked / 1024);
}

static void show_region_memory(struct text *t, struct vmspace *vm, const struct region *r, const struct map_counts *counts)
{
    struct usage u = {0};

    add_usage(vm, r, counts, &u);
    text_add(t, "Size:           %8lu kB\nKernelPageSize: %8lu kB\nMMUPageSize:    %8lu kB\n", (r->end - r->start) / 1024, KIB, KIB);
    show_usage(t, &u);
    text_add(t, "THPeligible:           0\nVmFlags:%s%s%s%s mr%s me ms%s%s%s%s%s\n", r->flags & VM_READ ? " rd" : "",
             r->flags & VM_WRITE ? " wr" : "", r->flags & VM_EXEC ? " ex" : "", r->flags & VM_SHARED ? " sh" : "",
             r->flags & VM_NO_MAYWRITE ? "" : " mw", r->flags & VM_GROWSDOWN ? " gd" : "", r->flags & VM_LOCKED ? " lo" : "", r->flags & VM_DONTFORK ? " dc" : "",
             r->flags & VM_PROMISED ? " ac" : "", r->flags & VM_WIPEONFORK ? " wf" : "");
}

static int show_regions(struct text *t, bool memory)
{
    struct vmspace *vm = t->vm;
    char *path = kmem_alloc(PATH_MAX);
    struct map_counts *counts = memory ? map_counts_take() : NULL;
    bool able = path && (counts || !memory);
    struct region r;

    for (vaddr_t va = 0; vm && able && vm_region_find(vm, va, &r); va = r.end) {
        show_region(t, vm, &r, path);
        if (memory)
            show_region_memory(t, vm, &r, counts);
        vm_region_release(&r);
        if (t->failed || signal_fatal_pending())
            break;
    }
    map_counts_drop(counts);
    kmem_free(path);
    return able ? 0 : -ENOMEM;
}

int proc_show_smaps_rollup(struct text *t, struct process *p)
{
    struct vmspace *vm = t->vm;
    struct map_counts *counts = map_counts_take();
    vaddr_t first = 0, last = 0;
    struct usage u = {0};
    struct region r;

    (void)p;
    if (!counts)
        return -ENOMEM;
    for (vaddr_t va = 0; vm && vm_region_find(vm, va, &r); va = last = r.end) {
        first = first ? first : r.start;
        add_usage(vm, &r, counts, &u);
        vm_region_release(&r);
        if (signal_fatal_pending())
            break;
    }
    text_add(t, "%08lx-%08lx ---p 00000000 00:00 0                          [rollup]\n", first, last);
    show_usage(t, &u);
    map_counts_drop(counts);
    return 0;
}

/* ---- pagemap: eight bytes for each page (Linux, admin-guide/mm/pagemap.rst) ---- */

#define PM_PRESENT (1ul << 63)
#define PM_FILE (1ul << 61)
#define PM_EXCLUSIVE (1ul << 56)
#define PM_SOFT_DIRTY (1ul << 55)
#define PM_FRAME ((1ul << 55) - 1)

/* Where memory lies is for the system's owner alone. */
static u64 pagemap_entry(struct vmspace *vm, vaddr_t va, bool frames)
{
    struct vm_page_info info = vm_page_look(vm, va);

    if (!info.present)
        return PM_SOFT_DIRTY;
    return PM_PRESENT | PM_SOFT_DIRTY | (info.object ? PM_FILE : 0) | (info.exclusive ? PM_EXCLUSIVE : 0) |
           (frames ? info.frame & PM_FRAME : 0);
}

/* Words from *pos on, as many as fit and there are (`end` of them in all), each made by fn(arg, its number). */
static ssize_t put_words(struct uio *u, u64 *pos, u64 end, u64 (*fn)(void *arg, u64 i), void *arg)
{
    ssize_t done = 0;

    if (*pos % 8 || u->left % 8)
        return -EINVAL;
    while (u->left > 0 && *pos / 8 < end && !signal_fatal_pending()) {
        u64 word = fn(arg, *pos / 8);

        if (uio_put(u, &word, sizeof word) != sizeof word)
            return done ? done : -EFAULT;
        *pos += sizeof word;
        done += (ssize_t)sizeof word;
    }
    return done;
}

static u64 pagemap_word(void *vm, u64 i)
{
    return pagemap_entry(vm, i << PAGE_SHIFT, cred_is_root());
}

ssize_t proc_read_pagemap(struct vmspace *vm, struct uio *u, u64 *pos)
{
    return put_words(u, pos, vm ? USER_TOP >> PAGE_SHIFT : 0, pagemap_word, vm);
}

/* ---- kpagecount, kpageflags: eight bytes for each frame (the same document) ---- */

enum {
    KPF_UPTODATE = 3, KPF_DIRTY = 4, KPF_LRU = 5, KPF_SLAB = 7, KPF_BUDDY = 10, KPF_MMAP = 11, KPF_ANON = 12,
    KPF_SWAPBACKED = 14, KPF_NOPAGE = 20, KPF_ZERO_PAGE = 24, KPF_PGTABLE = 26, KPF_RESERVED = 32
};
#define KPF(n) (1ul << KPF_##n)
#define KPF_OF_PROGRAMS (KPF(UPTODATE) | KPF(DIRTY) | KPF(LRU) | KPF(SWAPBACKED))

static u64 count_word(void *counts, u64 frame)
{
    return map_counts_of(counts, frame);
}

static u64 flags_word(void *counts, u64 frame)
{
    paddr_t pa = {frame << PAGE_SHIFT};
    struct page *p;

    if (!page_is_ram(pa))
        return KPF(NOPAGE);
    p = page_of(pa);
    if (p == page_zero)
        return KPF(ZERO_PAGE);
    switch ((enum page_kind)p->kind) {
    case PAGE_FREE:
        return KPF(BUDDY);
    case PAGE_RESERVED:
        return KPF(RESERVED);
    case PAGE_KERNEL:
        return KPF(SLAB);
    case PAGE_TABLE:
    case PAGE_ROOT:
        return KPF(PGTABLE);
    case PAGE_DATA:
        return KPF_OF_PROGRAMS | KPF(ANON) | (map_counts_of(counts, frame) ? KPF(MMAP) : 0);
    case PAGE_OBJECT:
        return KPF_OF_PROGRAMS | (map_counts_of(counts, frame) ? KPF(MMAP) : 0);
    }
    return 0;
}

static ssize_t read_frames(struct uio *u, u64 *pos, u64 (*fn)(void *counts, u64 frame))
{
    struct map_counts *counts;
    ssize_t n;

    if (!cred_is_root())
        return -EPERM;
    if (*pos / 8 >= page_last + 1)
        return 0;
    counts = map_counts_take();
    if (!counts)
        return -ENOMEM;
    n = put_words(u, pos, page_last + 1, fn, counts);
    map_counts_drop(counts);
    return n;
}

ssize_t proc_read_kpagecount(struct vmspace *vm, struct uio *u, u64 *pos)
{
    (void)vm;
    return read_frames(u, pos, count_word);
}

ssize_t proc_read_kpageflags(struct vmspace *vm, struct uio *u, u64 *pos)
{
    (void)vm;
    return read_frames(u, pos, flags_word);
}

/* ---- mem: the bytes themselves ---- */

static ssize_t copy_mem(struct vmspace *vm, struct uio *u, u64 *pos, bool write)
{
    ssize_t done = 0;
    char chunk[512];

    while (vm && u->left > 0 && !signal_fatal_pending()) {
        size_t n = MIN(u->left, sizeof chunk), moved;

        if (write) {
            n = uio_get(u, chunk, n);
            moved = vm_write_remote(vm, *pos, chunk, n);
        } else {
            n = vm_read_remote(vm, *pos, chunk, n);
            moved = uio_put(u, chunk, n);
        }
        *pos += moved;
        done += (ssize_t)moved;
        if (n == 0 || moved < n) {
            done = done ? done : n ? -EIO : write ? -EFAULT : -EIO;
            break;
        }
    }
    return done;
}

ssize_t proc_read_mem(struct vmspace *vm, struct uio *u, u64 *pos)
{
    return copy_mem(vm, u, pos, false);
}

ssize_t proc_write_mem(struct vmspace *vm, struct uio *u, u64 *pos)
{
    return copy_mem(vm, u, pos, true);
}

int proc_show_maps(struct text *t, struct process *p)
{
    (void)p;
    return show_regions(t, false);
}

int proc_show_smaps(struct text *t, struct process *p)
{
    (void)p;
    return show_regions(t, true);
}
