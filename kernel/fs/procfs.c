/*
 * The file system of /proc: directories of fixed names (struct proc_entry), of
 * processes and threads, and of a process's descriptors. See procfs.h.
 */
#include "fs/procfs.h"
#include "lib/string.h"
#include "vm/kmem.h"

#define PROC_MAGIC 0x9fa0
#define FIRST_PID_POSITION 256 /* in a listing: after the fixed names */

static const struct vnode_ops vnode_ops;
static const struct file_ops dir_ops;
static struct superblock *proc_sb;

/* ---- who may look ---- */

struct cred proc_cred(struct process *p)
{
    struct cred c;

    spin_lock(&p->cred_lock);
    c = p->cred;
    spin_unlock(&p->cred_lock);
    return c;
}

/* Root, the process itself, and the same user's others unless it has said that its memory is private. */
bool proc_may_look(struct process *p)
{
    struct process *me = current_process();
    u32 uid = cred_fsuid(), gid = cred_fsgid();
    struct cred c;

    if (p == me || cred_is_root())
        return true;
    c = proc_cred(p);
    return p->dumpable && c.uid == uid && c.euid == uid && c.suid == uid && c.gid == gid && c.egid == gid && c.sgid == gid;
}

/* ---- nodes ---- */

static struct proc_node *node_of(struct vnode *v)
{
    return v->priv;
}

/* A node about the same process and thread as n, with references of its own. */
static struct proc_node node_like(const struct proc_node *n, enum proc_kind kind)
{
    if (n->process)
        process_get(n->process);
    if (n->thread)
        thread_get(n->thread);
    return (struct proc_node){.kind = kind, .process = n->process, .thread = n->thread};
}

static void node_release(const struct proc_node *n)
{
    if (n->thread)
        thread_put(n->thread);
    if (n->process)
        process_put(n->process);
}

static u32 mode_of(const struct proc_node *n)
{
    switch (n->kind) {
    case PROC_ENTRY:
        return n->entry->mode;
    case PROC_FD:
        return S_IFLNK | 0700;
    case PROC_FDINFO:
        return S_IFREG | 0400;
    case PROC_FD_DIR:
    case PROC_FDINFO_DIR:
        return S_IFDIR | 0500;
    default:
        return S_IFDIR | 0555;
    }
}

/* Numbers that stay the same from one look to the next. */
static u64 inode_of(const struct proc_node *n)
{
    u64 id = n->thread ? n->thread->tid : n->process ? n->process->pid : 0;
    u64 low = n->kind == PROC_FD || n->kind == PROC_FDINFO ? (u64)n->fd : (u64)(uintptr_t)n->entry >> 3;

    return id << 20 | (u64)n->kind << 16 | (low & 0xffff);
}

/* Takes over the references of `from`, also if there is no memory. */
static struct vnode *node_create(const struct proc_node *from)
{
    struct proc_node *n = kmem_alloc(sizeof *n);
    struct vnode *v = n ? vnode_create(proc_sb, &vnode_ops, mode_of(from)) : NULL;
    struct cred c;

    if (!v) {
        kmem_free(n);
        node_release(from);
        return NULL;
    }
    *n = *from;
    v->priv = n;
    v->ino = inode_of(from);
    v->file_ops = (v->mode & S_IFMT) == S_IFDIR ? &dir_ops : &proc_text_ops;
    if (n->process && n->process->dumpable) {
        c = proc_cred(n->process);
        v->uid = c.euid;
        v->gid = c.egid;
    }
    return v;
}

static void proc_destroy(struct vnode *v)
{
    struct proc_node *n = node_of(v);

    node_release(n);
    kmem_free(n);
}

/* ---- looking names up ---- */

static bool parse_number(const char *s, size_t len, u32 *out)
{
    u32 v = 0;

    if (len == 0 || len > 9 || (s[0] == '0' && len > 1))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        v = v * 10 + (u32)(s[i] - '0');
    }
    *out = v;
    return true;
}

static const struct proc_entry *entries_of(const struct proc_node *n)
{
    switch (n->kind) {
    case PROC_ROOT:
        return proc_root_entries;
    case PROC_PROCESS:
    case PROC_TASK:
        return proc_process_entries;
    default:
        return n->entry ? n->entry->children : NULL;
    }
}

static bool is_listed(const struct proc_node *n, const struct proc_entry *e)
{
    return !(n->kind == PROC_TASK && e->process_only);
}

static bool find_process(u32 pid, struct proc_node *out)
{
    *out = (struct proc_node){.kind = PROC_PROCESS, .process = process_find(pid)};
    return out->process;
}

static bool find_task(const struct proc_node *n, u32 tid, struct proc_node *out)
{
    struct thread *t = thread_find(tid);

    if (!t)
        return false;
    if (t->process != n->process) {
        thread_put(t);
        return false;
    }
    process_get(n->process);
    *out = (struct proc_node){.kind = PROC_TASK, .process = n->process, .thread = t};
    return true;
}

static bool find_fd(const struct proc_node *n, u32 fd, struct proc_node *out)
{
    if (!proc_fd_exists(n->process, (int)fd))
        return false;
    *out = node_like(n, n->kind == PROC_FD_DIR ? PROC_FD : PROC_FDINFO);
    out->fd = (int)fd;
    return true;
}

static bool find_entry(const struct proc_node *n, const char *name, size_t len, struct proc_node *out)
{
    for (const struct proc_entry *e = entries_of(n); e && e->name; e++)
        if (strlen(e->name) == len && memcmp(e->name, name, len) == 0 && is_listed(n, e)) {
            *out = node_like(n, e->kind);
            out->entry = e;
            return true;
        }
    return false;
}

/* What the name stands for, with references. */
static bool resolve(const struct proc_node *n, const char *name, size_t len, struct proc_node *out)
{
    u32 number;
    bool is_number = parse_number(name, len, &number);

    switch (n->kind) {
    case PROC_FD_DIR:
    case PROC_FDINFO_DIR:
        return is_number && find_fd(n, number, out);
    case PROC_TASK_DIR:
        return is_number && find_task(n, number, out);
    case PROC_ROOT:
        if (is_number)
            return find_process(number, out);
        return find_entry(n, name, len, out);
    default:
        return find_entry(n, name, len, out);
    }
}

static int proc_lookup(struct dentry *parent, const char *name, size_t len, struct dentry **out)
{
    struct proc_node found;
    struct vnode *v;

    if (!resolve(node_of(parent->vnode), name, len, &found))
        return -ENOENT;
    v = node_create(&found);
    if (!v)
        return -ENOMEM;
    *out = dentry_create(parent, name, len, v);
    vnode_put(v);
    return *out ? 0 : -ENOMEM;
}

/* ---- links ---- */

static bool link_allowed(const struct proc_node *n)
{
    return !(n->kind == PROC_FD || n->entry->guarded) || proc_may_look(n->process);
}

static ssize_t proc_readlink(struct vnode *v, char *buf, size_t size)
{
    struct proc_node *n = node_of(v);

    if (!link_allowed(n))
        return -EACCES;
    return n->kind == PROC_FD ? proc_fd_link(n->process, n->fd, buf, size) : n->entry->link(n->process, buf, size);
}

static int proc_follow(struct vnode *v, struct dentry **out)
{
    struct proc_node *n = node_of(v);

    if (!link_allowed(n))
        return -EACCES;
    return n->kind == PROC_FD ? proc_fd_follow(n->process, n->fd, out) : n->entry->follow(n->process, out);
}

/* ---- directories ---- */

typedef int emit_fn(void *arg, const char *name, size_t len, u64 ino, unsigned type, u64 next);
struct listing {
    u64 *pos;
    emit_fn *emit;
    void *arg;
};

/* False: no room for more. */
static bool list_one(struct listing *l, const char *name, const struct proc_node *n, u64 next)
{
    if (l->emit(l->arg, name, strlen(name), inode_of(n), mode_of(n) >> 12, next))
        return false;
    *l->pos = next;
    return true;
}

static bool list_number(struct listing *l, u32 number, const struct proc_node *n, u64 next)
{
    char name[16];

    snprintf(name, sizeof name, "%u", number);
    return list_one(l, name, n, next);
}

static bool list_entries(struct listing *l, const struct proc_node *dir)
{
    u64 position = 2;

    for (const struct proc_entry *e = entries_of(dir); e && e->name; e++, position++) {
        struct proc_node n = {e->kind, e, dir->process, dir->thread, 0};
        if (position >= *l->pos && is_listed(dir, e) && !list_one(l, e->name, &n, position + 1))
            return false;
    }
    return true;
}

static void list_processes(struct listing *l)
{
    struct process *p;
    bool room = true;

    *l->pos = MAX(*l->pos, (u64)FIRST_PID_POSITION);
    while (room && (p = process_next((u32)(*l->pos - FIRST_PID_POSITION)))) {
        struct proc_node n = {.kind = PROC_PROCESS, .process = p};
        room = list_number(l, p->pid, &n, FIRST_PID_POSITION + p->pid + 1ul);
        process_put(p);
    }
}

/* The thread with the smallest number from tid on, with a reference; NULL: none. */
static struct thread *thread_next(struct process *p, u64 tid)
{
    struct thread *t, *best = NULL;

    spin_lock(&process_lock);
    list_for_each(t, &p->threads, process_link)
        if (t->tid >= tid && (!best || t->tid < best->tid))
            best = t;
    if (best)
        thread_get(best);
    spin_unlock(&process_lock);
    return best;
}

static void list_tasks(struct listing *l, struct process *p)
{
    struct thread *t;
    bool room = true;

    while (room && (t = thread_next(p, *l->pos - 2))) {
        struct proc_node n = {.kind = PROC_TASK, .process = p, .thread = t};
        room = list_number(l, t->tid, &n, t->tid + 3ul);
        thread_put(t);
    }
}

static void list_fds(struct listing *l, const struct proc_node *dir)
{
    bool room = true;
    int fd;

    while (room && *l->pos - 2 < INT32_MAX && (fd = proc_fd_next(dir->process, (int)(*l->pos - 2))) >= 0) {
        struct proc_node n = {dir->kind == PROC_FD_DIR ? PROC_FD : PROC_FDINFO, NULL, dir->process, dir->thread, fd};

        room = list_number(l, (u32)fd, &n, (u64)fd + 3);
    }
}

static int proc_iterate(struct file *f, u64 *pos, emit_fn *emit, void *arg)
{
    struct proc_node *n = node_of(f->vnode), root = {.kind = PROC_ROOT};
    struct listing l = {pos, emit, arg};

    if (*pos == 0 && !list_one(&l, ".", n, 1))
        return 0;
    if (*pos == 1 && !list_one(&l, "..", &root, 2))
        return 0;
    if (n->kind == PROC_FD_DIR || n->kind == PROC_FDINFO_DIR)
        list_fds(&l, n);
    else if (n->kind == PROC_TASK_DIR)
        list_tasks(&l, n->process);
    else if (list_entries(&l, n) && n->kind == PROC_ROOT)
        list_processes(&l);
    return 0;
}

static s64 proc_seek(struct file *f, s64 offset, int whence)
{
    return file_seek_plain(f, offset, whence, 0);
}

static int proc_truncate(struct vnode *v, u64 size)
{
    (void)v, (void)size; /* O_TRUNC of a file that is only written to */
    return 0;
}

static const struct file_ops dir_ops = {.iterate = proc_iterate, .seek = proc_seek};
static const struct vnode_ops vnode_ops = {.lookup = proc_lookup,
                                           .readlink = proc_readlink,
                                           .follow = proc_follow,
                                           .truncate = proc_truncate,
                                           .destroy = proc_destroy};

struct superblock *procfs_create(struct dentry **root)
{
    struct proc_node n = {.kind = PROC_ROOT};
    struct vnode *v;

    if (!proc_sb)
        proc_sb = kmem_zalloc(sizeof *proc_sb);
    if (!proc_sb)
        return NULL;
    proc_sb->type = "proc";
    proc_sb->magic = PROC_MAGIC;
    proc_sb->dev = 5;
    proc_sb->fixed = true;
    v = node_create(&n);
    if (!v)
        return NULL;
    *root = dentry_create(NULL, "", 0, v);
    vnode_put(v);
    return *root ? proc_sb : NULL;
}
