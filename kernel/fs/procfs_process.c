/* /proc/PID. A process that has ended meanwhile reads as empty or -ESRCH. */
#include "fs/procfs.h"
#include "fs/tty.h"
#include "lib/string.h"
#include "vm/kmem.h"
#include "vm/vm.h"

#define TICK_NS 10000000ul
#define KIB_PER_PAGE (PAGE_SIZE / 1024)

/* ---- what several files show ---- */

struct figures {
    u64 size_pages, resident_pages, text_pages, data_pages, stack_pages;
};

static void figures_get(struct process *p, struct figures *f)
{
    struct vmspace *vm = process_vm_get(p);
    struct region r;

    *f = (struct figures){0};
    if (!vm)
        return;
    f->size_pages = vm->mapped_pages;
    f->resident_pages = vm_resident(vm, 0, USER_TOP);
    for (vaddr_t va = 0; vm_region_find(vm, va, &r); va = r.end) {
        u64 pages = (r.end - r.start) >> PAGE_SHIFT;
        vm_region_release(&r);
        if (r.flags & VM_STACK)
            f->stack_pages += pages;
        else if (r.flags & VM_WRITE)
            f->data_pages += pages;
        else if (r.flags & VM_EXEC)
            f->text_pages += pages;
    }
    vmspace_put(vm);
}

static char state_of(struct process *p)
{
    struct thread *t;
    char state = 'S';

    spin_lock(&process_lock);
    if (p->state == PROCESS_ZOMBIE || p->state == PROCESS_EXITING)
        state = 'Z';
    else if (p->stopped)
        state = 'T';
    else
        list_for_each(t, &p->threads, process_link)
            if (t->state == THREAD_RUNNING || t->state == THREAD_RUNNABLE)
                state = 'R';
    spin_unlock(&process_lock);
    return state;
}

struct family {
    u32 ppid, pgid, sid, tty, foreground, threads;
    s32 nice;
};

static void family_get(struct process *p, struct family *f)
{
    spin_lock(&process_lock);
    *f = (struct family){.ppid = p->parent ? p->parent->pid : 0,
                         .pgid = p->pgid,
                         .sid = p->session->sid,
                         .tty = tty_number(p->session->tty),
                         .foreground = tty_foreground(p->session->tty),
                         .threads = p->thread_count,
                         .nice = p->leader ? p->leader->nice : 0};
    spin_unlock(&process_lock);
}

/* ---- stat, statm, status ---- */

static int show_stat(struct text *t, struct process *p)
{
    struct rusage_ns self, children;
    struct figures m;
    struct family f;

    family_get(p, &f);
    figures_get(p, &m);
    process_usage(p, false, &self);
    process_usage(p, true, &children);
    text_add(t, "%u (%s) %c %u %u %u %u %d 0 %lu %lu 0 0 %lu %lu %lu %lu %d %d %u 0 %lu %lu %lu ", p->pid, p->comm,
             state_of(p), f.ppid, f.pgid, f.sid, f.tty, f.foreground ? (int)f.foreground : -1, self.minor, children.minor,
             self.utime / TICK_NS, self.stime / TICK_NS, children.utime / TICK_NS, children.stime / TICK_NS, 20 + f.nice,
             f.nice, f.threads, p->start_ns / TICK_NS, m.size_pages * PAGE_SIZE, m.resident_pages);
    text_add(t, "18446744073709551615 0 0 0 0 0 %lu 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 %d\n", p->pending.mask,
             p->exit_status);
    return 0;
}

static int show_statm(struct text *t, struct process *p)
{
    struct figures m;

    figures_get(p, &m);
    text_add(t, "%lu %lu 0 %lu 0 %lu 0\n", m.size_pages, m.resident_pages, m.text_pages, m.data_pages + m.stack_pages);
    return 0;
}

static const char *state_name(char state)
{
    return state == 'R' ? "running" : state == 'T' ? "stopped" : state == 'Z' ? "zombie" : "sleeping";
}

static int show_status(struct text *t, struct process *p)
{
    const struct cred *c = &p->cred;
    char state = state_of(p);
    struct figures m;
    struct family f;

    family_get(p, &f);
    figures_get(p, &m);
    text_add(t, "Name:\t%s\nUmask:\t0022\nState:\t%c (%s)\nTgid:\t%u\nNgid:\t0\nPid:\t%u\nPPid:\t%u\nTracerPid:\t0\n",
             p->comm, state, state_name(state), p->pid, p->pid, f.ppid);
    text_add(t, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nFDSize:\t32\nGroups:\t", c->uid, c->euid, c->suid, c->fsuid,
             c->gid, c->egid, c->sgid, c->fsgid);
    for (u32 i = 0; i < c->group_count; i++)
        text_add(t, "%u ", c->groups[i]);
    text_add(t, "\nVmPeak:\t%8lu kB\nVmSize:\t%8lu kB\nVmLck:\t%8u kB\nVmRSS:\t%8lu kB\nVmData:\t%8lu kB\n",
             m.size_pages * KIB_PER_PAGE, m.size_pages * KIB_PER_PAGE, 0, m.resident_pages * KIB_PER_PAGE,
             m.data_pages * KIB_PER_PAGE);
    text_add(t, "VmStk:\t%8lu kB\nVmExe:\t%8lu kB\nVmLib:\t%8u kB\nThreads:\t%u\n", m.stack_pages * KIB_PER_PAGE,
             m.text_pages * KIB_PER_PAGE, 0, f.threads);
    text_add(t, "SigQ:\t0/4096\nShdPnd:\t%016lx\n", p->pending.mask);
    return 0;
}

static int show_comm(struct text *t, struct process *p)
{
    text_add(t, "%s\n", p->comm);
    return 0;
}

/* ---- what lies in the process's memory ---- */

static int copy_range(struct text *t, struct process *p, bool environment)
{
    struct vmspace *vm = process_vm_get(p);
    char chunk[256];
    vaddr_t at, end;

    if (!vm)
        return 0;
    at = environment ? vm->env_start : vm->arg_start;
    end = environment ? vm->env_end : vm->arg_end;
    while (at < end && !t->failed) {
        size_t n = vm_read_remote(vm, at, chunk, MIN(end - at, sizeof chunk));
        text_add_bytes(t, chunk, n);
        if (n == 0)
            break;
        at += n;
    }
    vmspace_put(vm);
    return 0;
}

static int show_cmdline(struct text *t, struct process *p)
{
    return copy_range(t, p, false);
}

static int show_environ(struct text *t, struct process *p)
{
    return copy_range(t, p, true);
}

/* ---- maps ---- */

static void show_region(struct text *t, struct vmspace *vm, const struct region *r, char *path)
{
    struct file *f = r->tag;
    size_t before = t->len;
    const char *name = "";
    u64 inode = 0;

    if (f && f->dentry && dentry_path(f->dentry, root_dentry, path, PATH_MAX) >= 0)
        name = path;
    else if (r->flags & VM_STACK)
        name = "[stack]";
    else if (r->flags & VM_HEAP || (r->start >= vm->brk_start && r->end <= ROUND_UP(vm->brk, PAGE_SIZE)))
        name = "[heap]";
    if (f && f->vnode)
        inode = f->vnode->ino;
    text_add(t, "%08lx-%08lx %c%c%c%c %08lx 00:%02lx %lu ", r->start, r->end, r->flags & VM_READ ? 'r' : '-',
             r->flags & VM_WRITE ? 'w' : '-', r->flags & VM_EXEC ? 'x' : '-', r->flags & VM_SHARED ? 's' : 'p',
             r->object ? r->offset : 0, f && f->vnode ? f->vnode->sb->dev : 0, inode);
    while (*name && t->len - before < 73)
        text_add(t, " ");
    text_add(t, "%s\n", name);
}

static int show_maps(struct text *t, struct process *p)
{
    struct vmspace *vm = process_vm_get(p);
    char *path = kmem_alloc(PATH_MAX);
    struct region r;

    for (vaddr_t va = 0; vm && path && vm_region_find(vm, va, &r); va = r.end) {
        show_region(t, vm, &r, path);
        vm_region_release(&r);
    }
    kmem_free(path);
    if (vm)
        vmspace_put(vm);
    return path ? 0 : -ENOMEM;
}

static int show_limits(struct text *t, struct process *p)
{
    static const char *const names[RLIMIT_COUNT] = {
        "Max cpu time", "Max file size", "Max data size", "Max stack size", "Max core file size", "Max resident set",
        "Max processes", "Max open files", "Max locked memory", "Max address space", "Max file locks",
        "Max pending signals", "Max msgqueue size", "Max nice priority", "Max realtime priority", "Max realtime timeout"};

    text_add(t, "%-26s%-21s%-21s%s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (unsigned i = 0; i < RLIMIT_COUNT; i++) {
        char soft[24] = "unlimited", hard[24] = "unlimited";
        if (p->rlimit[i].cur != RLIM_INFINITY)
            snprintf(soft, sizeof soft, "%lu", p->rlimit[i].cur);
        if (p->rlimit[i].max != RLIM_INFINITY)
            snprintf(hard, sizeof hard, "%lu", p->rlimit[i].max);
        text_add(t, "%-26s%-21s%s\n", names[i], soft, hard);
    }
    return 0;
}

static int show_oom_score_adj(struct text *t, struct process *p)
{
    text_add(t, "%d\n", (int)p->oom_score_adj);
    return 0;
}

/* ---- links ---- */

/* The dentry of exe, cwd or root, with a reference. */
static int place(struct process *p, int which, struct dentry **out)
{
    struct dentry *d = NULL;

    spin_lock(&process_lock);
    if (which == 0 && p->exe)
        d = p->exe->dentry;
    else if (which > 0 && p->fs)
        d = which == 1 ? p->fs->cwd : p->fs->root;
    if (d)
        dentry_get(d);
    spin_unlock(&process_lock);
    *out = d;
    return d ? 0 : -ENOENT;
}

static int follow_exe(struct process *p, struct dentry **out)
{
    return place(p, 0, out);
}

static int follow_cwd(struct process *p, struct dentry **out)
{
    return place(p, 1, out);
}

static int follow_root(struct process *p, struct dentry **out)
{
    return place(p, 2, out);
}

static ssize_t path_text(int err, struct dentry *d, char *buf, size_t n)
{
    ssize_t len;

    if (err)
        return err;
    len = dentry_path(d, root_dentry, buf, n);
    dentry_put(d);
    return len;
}

static ssize_t link_exe(struct process *p, char *buf, size_t n)
{
    struct dentry *d;
    int err = place(p, 0, &d);

    return path_text(err, d, buf, n);
}

static ssize_t link_cwd(struct process *p, char *buf, size_t n)
{
    struct dentry *d;
    int err = place(p, 1, &d);

    return path_text(err, d, buf, n);
}

static ssize_t link_root(struct process *p, char *buf, size_t n)
{
    struct dentry *d;
    int err = place(p, 2, &d);

    return path_text(err, d, buf, n);
}

/* ---- descriptors ---- */

static struct file *file_of(struct process *p, int fd)
{
    struct file_table *files = process_files_get(p);
    struct file *f = NULL;

    if (!files)
        return NULL;
    if (file_table_next(files, fd, &f) != fd && f) {
        file_put(f);
        f = NULL;
    }
    file_table_put(files);
    return f;
}

int proc_fd_follow(struct process *p, int fd, struct dentry **out)
{
    struct file *f = file_of(p, fd);
    int err = f ? 0 : -ENOENT;

    if (f && f->dentry)
        dentry_get(*out = f->dentry);
    else if (f)
        err = f->vnode ? pipe_dentry(f, out) : -ENXIO;
    if (f)
        file_put(f);
    return err;
}

ssize_t proc_fd_link(struct process *p, int fd, char *buf, size_t n)
{
    struct file *f = file_of(p, fd);
    ssize_t len;

    if (!f)
        return -ENOENT;
    if (f->dentry)
        len = dentry_path(f->dentry, root_dentry, buf, n);
    else
        len = snprintf(buf, n, "%s:[%lu]", f->vnode ? "pipe" : "anon_inode", f->vnode ? f->vnode->ino : 0);
    file_put(f);
    return len;
}

#define FILE_MODE (S_IFREG | 0444)
#define LINK_MODE (S_IFLNK | 0777)
const struct proc_entry proc_process_entries[] = {
    {.name = "stat", .mode = FILE_MODE, .show = show_stat},
    {.name = "statm", .mode = FILE_MODE, .show = show_statm},
    {.name = "status", .mode = FILE_MODE, .show = show_status},
    {.name = "cmdline", .mode = FILE_MODE, .show = show_cmdline},
    {.name = "environ", .mode = S_IFREG | 0400, .show = show_environ},
    {.name = "comm", .mode = FILE_MODE, .show = show_comm},
    {.name = "maps", .mode = FILE_MODE, .show = show_maps},
    {.name = "mounts", .mode = FILE_MODE, .show = proc_show_mounts},
    {.name = "limits", .mode = FILE_MODE, .show = show_limits},
    {.name = "oom_score_adj", .mode = FILE_MODE, .show = show_oom_score_adj},
    {.name = "exe", .mode = LINK_MODE, .link = link_exe, .follow = follow_exe},
    {.name = "cwd", .mode = LINK_MODE, .link = link_cwd, .follow = follow_cwd},
    {.name = "root", .mode = LINK_MODE, .link = link_root, .follow = follow_root},
    {.name = NULL}};
