/* /proc/PID: what lies in a process's memory, and where. Each line of maps is true when it is made. */
#include "fs/procfs.h"
#include "lib/string.h"
#include "vm/kmem.h"
#include "vm/vm.h"

#define NAME_COLUMN 73 /* where Linux's maps have the path */
#define KIB (PAGE_SIZE / 1024)

static int copy_range(struct text *t, struct process *p, bool environment)
{
    struct vmspace *vm = process_vm_get(p);
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
    vmspace_put(vm);
    return 0;
}

int proc_show_cmdline(struct text *t, struct process *p)
{
    return copy_range(t, p, false);
}

int proc_show_environ(struct text *t, struct process *p)
{
    return copy_range(t, p, true);
}

/* What the last column says; path: room for PATH_MAX. */
static const char *region_name(struct vmspace *vm, const struct region *r, char *path)
{
    struct file *f = r->tag;

    if (f && f->dentry && dentry_path(f->dentry, root_dentry, path, PATH_MAX) >= 0)
        return path;
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

/*
 * Pages below a shared table are as shared as the table: who maps a page cannot be
 * told from its own count alone. A page that is not exclusive counts as shared by
 * two, which is exact for a fork and its child.
 */
static void add_usage(struct vmspace *vm, const struct region *r, struct usage *u)
{
    u64 share = u->share;

    u->size += (r->end - r->start) >> PAGE_SHIFT;
    for (vaddr_t va = vm_next_page(vm, r->start, r->end); va < r->end; va = vm_next_page(vm, va + PAGE_SIZE, r->end)) {
        struct vm_page_info info = vm_page_look(vm, va);
        bool alone = info.exclusive || (info.object && !(r->flags & VM_SHARED));

        if (!info.present || info.zero)
            continue;
        u->resident++;
        u->anonymous += !info.object;
        u->exclusive += alone && !info.object;
        u->shared += !alone || info.object;
        u->share += alone && !info.object ? PAGE_SIZE : PAGE_SIZE / 2;
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
    text_add(t, "Shared_Clean:   %8lu kB\nShared_Dirty:   %8lu kB\nPrivate_Clean:  %8u kB\nPrivate_Dirty:  %8lu kB\n",
             (u->resident - u->anonymous) * KIB, (u->shared - (u->resident - u->anonymous)) * KIB, 0, u->exclusive * KIB);
    text_add(t, "Referenced:     %8lu kB\nAnonymous:      %8lu kB\n", u->resident * KIB, u->anonymous * KIB);
    for (const char *const *name = (const char *const[]){"KSM:            ", "LazyFree:       ", "AnonHugePages:  ", "ShmemPmdMapped: ",
                                                         "FilePmdMapped:  ", "Shared_Hugetlb: ", "Private_Hugetlb:", "Swap:           ",
                                                         "SwapPss:        ", NULL};
         *name; name++)
        text_add(t, "%s%8u kB\n", *name, 0);
    text_add(t, "Locked:         %8lu kB\n", u->locked / 1024);
}

static void show_region_memory(struct text *t, struct vmspace *vm, const struct region *r)
{
    struct usage u = {0};

    add_usage(vm, r, &u);
    text_add(t, "Size:           %8lu kB\nKernelPageSize: %8lu kB\nMMUPageSize:    %8lu kB\n", (r->end - r->start) / 1024, KIB, KIB);
    show_usage(t, &u);
    text_add(t, "THPeligible:           0\nVmFlags:%s%s%s%s mr%s me ms%s%s%s%s%s\n", r->flags & VM_READ ? " rd" : "",
             r->flags & VM_WRITE ? " wr" : "", r->flags & VM_EXEC ? " ex" : "", r->flags & VM_SHARED ? " sh" : "",
             r->flags & VM_NO_MAYWRITE ? "" : " mw", r->flags & VM_GROWSDOWN ? " gd" : "", r->flags & VM_LOCKED ? " lo" : "", r->flags & VM_DONTFORK ? " dc" : "",
             r->flags & VM_PROMISED ? " ac" : "", r->flags & VM_WIPEONFORK ? " wf" : "");
}

static int show_regions(struct text *t, struct process *p, bool memory)
{
    struct vmspace *vm = process_vm_get(p);
    char *path = kmem_alloc(PATH_MAX);
    struct region r;

    for (vaddr_t va = 0; vm && path && vm_region_find(vm, va, &r); va = r.end) {
        show_region(t, vm, &r, path);
        if (memory)
            show_region_memory(t, vm, &r);
        vm_region_release(&r);
        if (t->failed || signal_fatal_pending())
            break;
    }
    if (vm)
        vmspace_put(vm);
    kmem_free(path);
    return path ? 0 : -ENOMEM;
}

int proc_show_smaps_rollup(struct text *t, struct process *p)
{
    struct vmspace *vm = process_vm_get(p);
    vaddr_t first = 0, last = 0;
    struct usage u = {0};
    struct region r;

    for (vaddr_t va = 0; vm && vm_region_find(vm, va, &r); va = last = r.end) {
        first = first ? first : r.start;
        add_usage(vm, &r, &u);
        vm_region_release(&r);
        if (signal_fatal_pending())
            break;
    }
    text_add(t, "%08lx-%08lx ---p 00000000 00:00 0                          [rollup]\n", first, last);
    show_usage(t, &u);
    if (vm)
        vmspace_put(vm);
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

ssize_t proc_read_pagemap(struct process *p, struct uio *u, u64 *pos)
{
    struct vmspace *vm;
    ssize_t done = 0;

    if (*pos % 8 || u->left % 8)
        return -EINVAL;
    vm = process_vm_get(p);
    while (vm && u->left > 0 && *pos / 8 < USER_TOP >> PAGE_SHIFT && !signal_fatal_pending()) {
        u64 e = pagemap_entry(vm, *pos / 8 << PAGE_SHIFT, cred_is_root());

        if (uio_put(u, &e, sizeof e) != sizeof e) {
            done = done ? done : -EFAULT;
            break;
        }
        *pos += sizeof e;
        done += (ssize_t)sizeof e;
    }
    if (vm)
        vmspace_put(vm);
    return done;
}

int proc_show_maps(struct text *t, struct process *p)
{
    return show_regions(t, p, false);
}

int proc_show_smaps(struct text *t, struct process *p)
{
    return show_regions(t, p, true);
}
