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

static void show_region_memory(struct text *t, struct vmspace *vm, const struct region *r)
{
    text_add(t, "Size:           %8lu kB\nKernelPageSize: %8lu kB\nMMUPageSize:    %8lu kB\nRss:            %8lu kB\n",
             (r->end - r->start) / 1024, KIB, KIB, vm_resident(vm, r->start, r->end) * KIB);
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

int proc_show_maps(struct text *t, struct process *p)
{
    return show_regions(t, p, false);
}

int proc_show_smaps(struct text *t, struct process *p)
{
    return show_regions(t, p, true);
}
