/* /proc/PID: where a process stands and which files it has open. */
#include "fs/anon.h"
#include "fs/procfs.h"
#include "lib/string.h"

/* ---- exe, cwd, root ---- */

enum place { EXE, CWD, ROOT };

/* With a reference; process_lock keeps p->fs and p->exe, the context's own lock what is in it. */
static int place_get(struct process *p, enum place which, struct dentry **out)
{
    struct dentry *d = NULL;

    spin_lock(&process_lock);
    if (which == EXE && p->exe && p->exe->dentry) {
        dentry_get(d = p->exe->dentry);
    } else if (which != EXE && p->fs) {
        spin_lock(&p->fs->lock);
        dentry_get(d = which == CWD ? p->fs->cwd : p->fs->root);
        spin_unlock(&p->fs->lock);
    }
    spin_unlock(&process_lock);
    *out = d;
    return d ? 0 : -ENOENT;
}

static ssize_t place_link(struct process *p, enum place which, char *buf, size_t n)
{
    struct dentry *d;
    ssize_t len = place_get(p, which, &d);

    if (len)
        return len;
    len = dentry_path(d, root_dentry, buf, n);
    dentry_put(d);
    return len;
}

int proc_exe_follow(struct process *p, struct dentry **out)
{
    return place_get(p, EXE, out);
}

int proc_cwd_follow(struct process *p, struct dentry **out)
{
    return place_get(p, CWD, out);
}

int proc_root_follow(struct process *p, struct dentry **out)
{
    return place_get(p, ROOT, out);
}

ssize_t proc_exe_link(struct process *p, char *buf, size_t n)
{
    return place_link(p, EXE, buf, n);
}

ssize_t proc_cwd_link(struct process *p, char *buf, size_t n)
{
    return place_link(p, CWD, buf, n);
}

ssize_t proc_root_link(struct process *p, char *buf, size_t n)
{
    return place_link(p, ROOT, buf, n);
}

u32 proc_umask(struct process *p)
{
    u32 umask = 0;

    spin_lock(&process_lock);
    if (p->fs)
        umask = p->fs->umask;
    spin_unlock(&process_lock);
    return umask;
}

/* ---- descriptors ----
 *
 * The process may close a file, or end, at any time: no reference to the file or the
 * table is taken, as the last one would close what is another's, with the locks of a read of /proc.
 */

/* What there is to know of an open file; references to the dentry and the vnode, each may be NULL. */
struct fd_look {
    struct dentry *dentry;
    struct vnode *vnode;
    const char *anon;
    u64 pos;
    u32 flags;
};

static void look(struct file *f, void *out)
{
    struct fd_look *l = out;

    *l = (struct fd_look){f->dentry, f->vnode, anon_name(f), f->stream ? 0 : READ_ONCE(f->pos), f->flags};
    if (l->dentry)
        dentry_get(l->dentry);
    if (l->vnode)
        vnode_get(l->vnode);
}

static void look_end(const struct fd_look *l)
{
    if (l->dentry)
        dentry_put(l->dentry);
    if (l->vnode)
        vnode_put(l->vnode);
}

static void nothing(struct file *f, void *arg)
{
    (void)f, (void)arg;
}

static int next_fd(struct process *p, int from, void (*fn)(struct file *f, void *arg), void *arg)
{
    int fd = -1;

    spin_lock(&process_lock); /* keeps the table */
    if (p->files)
        fd = file_table_look(p->files, from, fn, arg);
    spin_unlock(&process_lock);
    return fd;
}

int proc_fd_next(struct process *p, int from)
{
    return next_fd(p, from, nothing, NULL);
}

bool proc_fd_exists(struct process *p, int fd)
{
    return proc_fd_next(p, fd) == fd;
}

/* False: there is no such descriptor. True: look_end follows. */
static bool look_at(struct process *p, int fd, struct fd_look *l)
{
    int found = next_fd(p, fd, look, l);

    if (found >= 0 && found != fd)
        look_end(l);
    return found == fd;
}

int proc_fd_follow(struct process *p, int fd, struct dentry **out)
{
    struct fd_look l;
    int err = 0;

    if (!look_at(p, fd, &l))
        return -ENOENT;
    if (l.dentry)
        dentry_get(*out = l.dentry);
    else
        err = l.anon ? -ENXIO : pipe_dentry(l.vnode, out);
    look_end(&l);
    return err;
}

ssize_t proc_fd_link(struct process *p, int fd, char *buf, size_t n)
{
    struct fd_look l;
    ssize_t len;

    if (!look_at(p, fd, &l))
        return -ENOENT;
    if (l.dentry)
        len = dentry_path(l.dentry, root_dentry, buf, n);
    else
        len = l.anon ? snprintf(buf, n, "%s", l.anon) : snprintf(buf, n, "pipe:[%lu]", l.vnode->ino);
    look_end(&l);
    return MIN(len, (ssize_t)n);
}

int proc_fd_show(struct text *t, struct process *p, int fd)
{
    struct fd_look l;

    if (!look_at(p, fd, &l))
        return -ENOENT;
    text_add(t, "pos:\t%lu\nflags:\t0%o\nmnt_id:\t0\nino:\t%lu\n", l.pos, l.flags, l.vnode ? l.vnode->ino : 0);
    look_end(&l);
    return 0;
}
