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

/* ---- descriptors ---- */

/* The file of descriptor fd, with a reference, or NULL. */
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

bool proc_fd_exists(struct process *p, int fd)
{
    struct file *f = file_of(p, fd);

    if (f)
        file_put(f);
    return f;
}

int proc_fd_follow(struct process *p, int fd, struct dentry **out)
{
    struct file *f = file_of(p, fd);
    int err = f ? 0 : -ENOENT;

    if (f && f->dentry)
        dentry_get(*out = f->dentry);
    else if (f)
        err = anon_name(f) ? -ENXIO : pipe_dentry(f, out);
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
        len = anon_name(f) ? snprintf(buf, n, "%s", anon_name(f)) : snprintf(buf, n, "pipe:[%lu]", f->vnode->ino);
    file_put(f);
    return MIN(len, (ssize_t)n);
}

int proc_fd_show(struct text *t, struct process *p, int fd)
{
    struct file *f = file_of(p, fd);

    if (!f)
        return -ENOENT;
    text_add(t, "pos:\t%lu\nflags:\t0%o\nmnt_id:\t0\nino:\t%lu\n", f->stream ? 0 : READ_ONCE(f->pos), f->flags,
             f->vnode ? f->vnode->ino : 0);
    file_put(f);
    return 0;
}
