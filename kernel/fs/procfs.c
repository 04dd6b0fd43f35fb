/*
 * The file system of /proc: directories of fixed names (struct proc_entry), of
 * processes, and of a process's descriptors. See procfs.h.
 */
#include "fs/procfs.h"
#include "lib/string.h"
#include "vm/kmem.h"
#include "vm/uaccess.h"

#define PROC_MAGIC 0x9fa0
#define FIRST_PID_POSITION 256 /* in a listing: after the fixed names */

enum kind { ROOT, PROCESS, ENTRY, FD_DIR, FD };

/* What a vnode of /proc stands for. */
struct node {
    enum kind kind;
    const struct proc_entry *entry;
    struct process *process; /* with a reference, or NULL */
    int fd;
};

static const struct vnode_ops vnode_ops;
static const struct file_ops dir_ops, text_ops;
static struct superblock *proc_sb;

static struct node *node_of(struct vnode *v)
{
    return v->priv;
}

/* ---- making vnodes ---- */

static u32 mode_of(const struct node *n)
{
    if (n->kind == ENTRY)
        return n->entry->mode;
    return n->kind == FD ? S_IFLNK | 0700 : n->kind == FD_DIR ? S_IFDIR | 0500 : S_IFDIR | 0555;
}

/* Numbers that stay the same from one look to the next. */
static u64 inode_of(const struct node *n)
{
    u64 pid = n->process ? n->process->pid : 0;

    return pid << 20 | (u64)n->kind << 17 | ((n->kind == FD ? (u64)n->fd : (u64)n->entry >> 3) & 0x1ffff);
}

static struct vnode *node_create(const struct node *from)
{
    struct node *n = kmem_alloc(sizeof *n);
    struct vnode *v = n ? vnode_create(proc_sb, &vnode_ops, mode_of(from)) : NULL;

    if (!v) {
        kmem_free(n);
        return NULL;
    }
    *n = *from;
    v->priv = n;
    v->ino = inode_of(from);
    v->file_ops = (v->mode & S_IFMT) == S_IFDIR ? &dir_ops : &text_ops;
    if (n->process) {
        process_get(n->process);
        v->uid = n->process->cred.euid;
        v->gid = n->process->cred.egid;
    }
    return v;
}

static void proc_destroy(struct vnode *v)
{
    struct node *n = node_of(v);

    if (n->process)
        process_put(n->process);
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

static const struct proc_entry *find_entry(const struct proc_entry *e, const char *name, size_t len)
{
    for (; e && e->name; e++)
        if (strlen(e->name) == len && memcmp(e->name, name, len) == 0)
            return e;
    return NULL;
}

static const struct proc_entry *entries_of(const struct node *n)
{
    return n->kind == ROOT ? proc_root_entries : n->kind == PROCESS ? proc_process_entries : n->entry->children;
}

static bool find_fd(struct node *n, const char *name, size_t len, struct node *out)
{
    struct file_table *files;
    struct file *f;
    u32 fd;
    bool found;

    if (!parse_number(name, len, &fd) || !(files = process_files_get(n->process)))
        return false;
    found = file_table_next(files, (int)fd, &f) == (int)fd;
    if (found) {
        file_put(f);
        *out = (struct node){FD, NULL, n->process, (int)fd};
    }
    file_table_put(files);
    return found;
}

/* What the name stands for. *taken: a process that this has a reference to. */
static bool resolve(struct node *n, const char *name, size_t len, struct node *out, struct process **taken)
{
    const struct proc_entry *e;
    u32 pid;

    *taken = NULL;
    if (n->kind == FD_DIR)
        return find_fd(n, name, len, out);
    if (n->kind == ROOT && parse_number(name, len, &pid)) {
        *taken = process_find(pid);
        *out = (struct node){PROCESS, NULL, *taken, 0};
        return *taken;
    }
    if (n->kind == PROCESS && len == 2 && memcmp(name, "fd", 2) == 0) {
        *out = (struct node){FD_DIR, NULL, n->process, 0};
        return true;
    }
    e = find_entry(entries_of(n), name, len);
    *out = (struct node){ENTRY, e, n->process, 0};
    return e;
}

static int proc_lookup(struct dentry *parent, const char *name, size_t len, struct dentry **out)
{
    struct node found;
    struct process *taken;
    struct vnode *v;

    if (!resolve(node_of(parent->vnode), name, len, &found, &taken))
        return -ENOENT;
    v = node_create(&found);
    if (taken)
        process_put(taken);
    if (!v)
        return -ENOMEM;
    *out = dentry_create(parent, name, len, v);
    vnode_put(v);
    return *out ? 0 : -ENOMEM;
}

/* ---- links ---- */

static ssize_t proc_readlink(struct vnode *v, char *buf, size_t size)
{
    struct node *n = node_of(v);

    return n->kind == FD ? proc_fd_link(n->process, n->fd, buf, size) : n->entry->link(n->process, buf, size);
}

static int proc_follow(struct vnode *v, struct dentry **out)
{
    struct node *n = node_of(v);
    char text[64];
    ssize_t len;

    if (n->kind == FD)
        return proc_fd_follow(n->process, n->fd, out);
    if (n->entry->follow)
        return n->entry->follow(n->process, out);
    len = n->entry->link(n->process, text, sizeof text - 1); /* relative to /proc: self */
    if (len < 0)
        return (int)len;
    text[len] = 0;
    return path_lookup(AT_FDCWD, text, PATH_FOLLOW, out);
}

/* ---- directories ---- */

struct listing {
    u64 *pos;
    int (*emit)(void *arg, const char *name, size_t len, u64 ino, unsigned type, u64 next);
    void *arg;
};

/* False: no room for more. */
static bool list_one(struct listing *l, const char *name, u64 ino, unsigned type, u64 next)
{
    if (l->emit(l->arg, name, strlen(name), ino, type, next))
        return false;
    *l->pos = next;
    return true;
}

static bool list_entries(struct listing *l, const struct proc_entry *e, struct process *p, u64 first)
{
    u64 position = first;

    for (; e && e->name; e++, position++) {
        struct node n = {ENTRY, e, p, 0};
        if (position >= *l->pos && !list_one(l, e->name, inode_of(&n), e->mode >> 12, position + 1))
            return false;
    }
    return true;
}

static void list_processes(struct listing *l)
{
    struct process *p;
    bool room = true;

    if (*l->pos < FIRST_PID_POSITION)
        *l->pos = FIRST_PID_POSITION;
    while (room && (p = process_next((u32)(*l->pos - FIRST_PID_POSITION)))) {
        struct node n = {PROCESS, NULL, p, 0};
        char name[16];
        snprintf(name, sizeof name, "%u", p->pid);
        room = list_one(l, name, inode_of(&n), 4, FIRST_PID_POSITION + p->pid + 1);
        process_put(p);
    }
}

static void list_fds(struct listing *l, struct process *p)
{
    struct file_table *files = process_files_get(p);
    struct file *f;
    int fd;
    bool room = true;

    if (!files)
        return;
    while (room && (fd = file_table_next(files, (int)*l->pos - 2, &f)) >= 0) {
        struct node n = {FD, NULL, p, fd};
        char name[16];
        file_put(f);
        snprintf(name, sizeof name, "%d", fd);
        room = list_one(l, name, inode_of(&n), 10, (u64)fd + 3);
    }
    file_table_put(files);
}

static int proc_iterate(struct file *f, u64 *pos,
                        int (*emit)(void *arg, const char *name, size_t len, u64 ino, unsigned type, u64 next), void *arg)
{
    struct node *n = node_of(f->vnode);
    struct listing l = {pos, emit, arg};

    if (*pos == 0 && !list_one(&l, ".", f->vnode->ino, 4, 1))
        return 0;
    if (*pos == 1 && !list_one(&l, "..", 1, 4, 2))
        return 0;
    if (n->kind == FD_DIR) {
        list_fds(&l, n->process);
        return 0;
    }
    if (!list_entries(&l, entries_of(n), n->process, n->kind == PROCESS ? 3 : 2))
        return 0;
    if (n->kind == PROCESS && *pos <= 2)
        list_one(&l, "fd", n->process->pid, 4, 3);
    if (n->kind == ROOT)
        list_processes(&l);
    return 0;
}

static s64 proc_seek(struct file *f, s64 offset, int whence)
{
    return file_seek_plain(f, offset, whence, 0);
}

/* ---- files ---- */

void text_add_bytes(struct text *t, const void *bytes, size_t n)
{
    while (!t->failed && t->len + n + 1 > t->size) {
        size_t bigger = t->size ? t->size * 2 : 1024;
        char *buf = t->buf ? kmem_resize(t->buf, t->len, bigger) : kmem_alloc(bigger);
        if (!buf) {
            t->failed = true;
            return;
        }
        t->buf = buf;
        t->size = bigger;
    }
    if (t->failed)
        return;
    memcpy(t->buf + t->len, bytes, n);
    t->len += n;
}

void text_add(struct text *t, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    text_add_bytes(t, line, MIN((size_t)n, sizeof line - 1));
}

static int make_text(struct file *f)
{
    struct node *n = node_of(f->vnode);
    struct text *t = kmem_zalloc(sizeof *t);
    int err = t ? 0 : -ENOMEM;

    if (!err)
        err = n->entry->show ? n->entry->show(t, n->process) : -EINVAL;
    if (!err && t->failed)
        err = -ENOMEM;
    if (err) {
        kmem_free(t ? t->buf : NULL);
        kmem_free(t);
        return err;
    }
    f->priv = t;
    return 0;
}

static void drop_text(struct file *f)
{
    struct text *t = f->priv;

    if (t) {
        kmem_free(t->buf);
        kmem_free(t);
    }
    f->priv = NULL;
}

/* Made anew when a reader begins again. */
static ssize_t proc_read(struct file *f, struct uio *u, u64 *pos)
{
    struct text *t;
    size_t moved;
    int err;

    if (*pos == 0)
        drop_text(f);
    err = f->priv ? 0 : make_text(f);
    if (err)
        return err;
    t = f->priv;
    if (*pos >= t->len)
        return 0;
    moved = uio_put(u, t->buf + *pos, MIN(u->left, t->len - *pos));
    *pos += moved;
    return moved ? (ssize_t)moved : -EFAULT;
}

static ssize_t proc_write(struct file *f, struct uio *u, u64 *pos)
{
    struct node *n = node_of(f->vnode);
    char text[128];
    size_t len;
    int err;

    (void)pos;
    if (!n->entry->write || u->left >= sizeof text)
        return n->entry->write ? -EINVAL : -EACCES;
    len = uio_get(u, text, u->left);
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
        len--;
    text[len] = 0;
    err = n->entry->write(text);
    return err ? err : (ssize_t)len + 1;
}

static void proc_release(struct file *f)
{
    if (f->vnode && (f->vnode->mode & S_IFMT) == S_IFREG)
        drop_text(f);
}

static int proc_truncate(struct vnode *v, u64 size)
{
    (void)v, (void)size; /* O_TRUNC of a file that is only written to */
    return 0;
}

static const struct file_ops dir_ops = {.iterate = proc_iterate, .seek = proc_seek};
static const struct file_ops text_ops = {
    .read = proc_read, .write = proc_write, .seek = proc_seek, .release = proc_release};
static const struct vnode_ops vnode_ops = {.lookup = proc_lookup,
                                           .readlink = proc_readlink,
                                           .follow = proc_follow,
                                           .truncate = proc_truncate,
                                           .destroy = proc_destroy};

struct superblock *procfs_create(struct dentry **root)
{
    struct node n = {.kind = ROOT};
    struct vnode *v;

    if (!proc_sb)
        proc_sb = kmem_zalloc(sizeof *proc_sb);
    if (!proc_sb)
        return NULL;
    proc_sb->type = "proc";
    proc_sb->magic = PROC_MAGIC;
    proc_sb->dev = 5;
    v = node_create(&n);
    if (!v)
        return NULL;
    v->ino = 1;
    *root = dentry_create(NULL, "", 0, v);
    vnode_put(v);
    return *root ? proc_sb : NULL;
}
