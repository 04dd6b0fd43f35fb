/*
 * Paths to dentries. A walk holds one reference, to where it stands; symbolic
 * links are followed with a stack of what remains of each path.
 */
#include "fs/file.h"
#include "lib/string.h"
#include "proc/process.h"
#include "vm/kmem.h"
#include "vm/uaccess.h"

struct walk {
    struct dentry *at, *root;
    unsigned flags;
    unsigned links;          /* followed so far */
    char *rest;              /* what of the path is still to be walked */
    char *owned;             /* the memory that rest points into, when a link made it necessary */
};

int path_from_user(vaddr_t upath, char **out)
{
    char *s = kmem_alloc(PATH_MAX);
    ssize_t n;

    *out = NULL;
    if (!s)
        return -ENOMEM;
    n = copy_string_from_user(s, upath, PATH_MAX);
    if (n < 0) {
        kmem_free(s);
        return (int)n;
    }
    *out = s;
    return 0;
}

static void step_to(struct walk *w, struct dentry *d) /* takes over d's reference */
{
    dentry_put(w->at);
    w->at = d;
}

/* Onto what is mounted here. */
static void cross_mounts(struct walk *w)
{
    struct dentry *root;

    while ((root = mount_cross(w->at)))
        step_to(w, root);
}

static bool is_dir(const struct dentry *d)
{
    return (d->vnode->mode & S_IFMT) == S_IFDIR;
}

static bool is_link(const struct dentry *d)
{
    return (d->vnode->mode & S_IFMT) == S_IFLNK;
}

static int may_search(const struct walk *w)
{
    if (!is_dir(w->at))
        return -ENOTDIR;
    return w->flags & PATH_KERNEL ? 0 : vnode_permission(w->at->vnode, 1);
}

/* The link's target takes the place of the link in the path. */
static int splice_target(struct walk *w, struct dentry *link)
{
    char *text = kmem_alloc(PATH_MAX);
    ssize_t n;

    if (!text)
        return -ENOMEM;
    n = link->vnode->ops->readlink(link->vnode, text, PATH_MAX);
    if (n >= 0 && (size_t)n + strlen(w->rest) + 2 > PATH_MAX)
        n = -ENAMETOOLONG;
    if (n == 0)
        n = -ENOENT;
    if (n < 0) {
        kmem_free(text);
        return (int)n;
    }
    text[n] = 0;
    if (*w->rest) {
        text[n] = '/';
        strlcpy(text + n + 1, w->rest, PATH_MAX - (size_t)n - 1);
    }
    kmem_free(w->owned);
    w->owned = w->rest = text;
    return 0;
}

/* link: consumed. */
static int follow(struct walk *w, struct dentry *link)
{
    struct dentry *target;
    int err;

    if (++w->links > SYMLINKS_MAX) {
        dentry_put(link);
        return -ELOOP;
    }
    if (link->vnode->ops->follow) {
        err = link->vnode->ops->follow(link->vnode, &target);
        dentry_put(link);
        if (!err)
            step_to(w, target);
        return err;
    }
    err = splice_target(w, link);
    dentry_put(link);
    if (!err && *w->rest == '/') {
        dentry_get(w->root);
        step_to(w, w->root);
        cross_mounts(w);
    }
    return err;
}

/* Takes the next name off the path; false: there is none. *last: nothing but slashes follows. */
static bool next_name(struct walk *w, const char **name, size_t *len, bool *last, bool *slash)
{
    char *p = w->rest;

    while (*p == '/')
        p++;
    *name = p;
    while (*p && *p != '/')
        p++;
    *len = (size_t)(p - *name);
    *slash = *p == '/';
    while (*p == '/')
        p++;
    w->rest = p;
    *last = !*p;
    return *len > 0;
}

static void up(struct walk *w)
{
    if (w->at != w->root)
        step_to(w, dentry_parent_get(w->at));
}

/* One name: to it, or through it if it is a link that is to be followed. */
static int step(struct walk *w, const char *name, size_t len, bool follow_link)
{
    struct dentry *d;
    int err = may_search(w);

    if (err)
        return err;
    if (len > NAME_MAX)
        return -ENAMETOOLONG;
    if (len == 1 && name[0] == '.')
        return 0;
    if (len == 2 && name[0] == '.' && name[1] == '.') {
        up(w);
        return 0;
    }
    err = dentry_lookup(w->at, name, len, &d);
    if (err)
        return err;
    if (is_link(d) && follow_link)
        return follow(w, d);
    step_to(w, d);
    cross_mounts(w);
    return 0;
}

static int walk_all(struct walk *w)
{
    const char *name;
    size_t len;
    bool last, slash;
    int err;

    while (next_name(w, &name, &len, &last, &slash)) {
        err = step(w, name, len, !last || slash || (w->flags & PATH_FOLLOW));
        if (err)
            return err;
        if (last && slash && !*w->rest && !is_dir(w->at))
            return -ENOTDIR;
    }
    return 0;
}

/* ---- beginnings and ends ---- */

static int start_at(struct walk *w, int dirfd, const char *path)
{
    struct file *f;

    w->root = fs_root_get();
    if (*path == '/' || dirfd == AT_FDCWD) {
        w->at = *path == '/' ? fs_root_get() : fs_cwd_get();
        if (*path == '/')
            cross_mounts(w);
        return 0;
    }
    f = fd_get(dirfd);
    if (!f)
        return -EBADF;
    if (f->dentry)
        dentry_get(w->at = f->dentry);
    file_put(f);
    return w->at ? 0 : -ENOTDIR;
}

static void walk_end(struct walk *w)
{
    if (w->at)
        dentry_put(w->at);
    dentry_put(w->root);
    kmem_free(w->owned);
}

static int walk_begin(struct walk *w, int dirfd, const char *path, unsigned flags)
{
    int err;

    *w = (struct walk){.flags = flags, .rest = (char *)(uintptr_t)path};
    if (!*path && !(flags & PATH_EMPTY))
        return -ENOENT;
    err = start_at(w, dirfd, path);
    if (!err && *path && (w->at->vnode->mode & S_IFMT) != S_IFDIR)
        err = -ENOTDIR;
    if (err)
        walk_end(w);
    return err;
}

int path_lookup(int dirfd, const char *path, unsigned flags, struct dentry **out)
{
    struct walk w;
    int err = walk_begin(&w, dirfd, path, flags);

    if (err)
        return err;
    err = walk_all(&w);
    if (!err && (flags & PATH_DIRECTORY) && !is_dir(w.at))
        err = -ENOTDIR;
    if (!err)
        dentry_get(*out = w.at);
    walk_end(&w);
    return err;
}

/* Walks to the directory of the last name; links in the last place are followed if asked. */
static int walk_parent(struct walk *w, const char **last_name, size_t *last_len, bool *slash)
{
    const char *name;
    size_t len;
    bool last;
    struct dentry *d;
    int err;

    for (;;) {
        if (!next_name(w, &name, &len, &last, slash))
            return -EEXIST; /* nothing but slashes */
        if (last && w->flags & PATH_FOLLOW) { /* O_CREAT through a link that leads nowhere yet */
            err = may_search(w);
            if (!err && dentry_lookup(w->at, name, len, &d) == 0) {
                if (is_link(d)) {
                    err = follow(w, d);
                    if (err || !*w->rest)
                        return err ? err : -EEXIST;
                    continue;
                }
                dentry_put(d);
            }
            if (err)
                return err;
        }
        if (last) {
            *last_name = name;
            *last_len = len;
            err = may_search(w);
            return err ? err : len > NAME_MAX ? -ENAMETOOLONG : 0;
        }
        err = step(w, name, len, true);
        if (err)
            return err;
    }
}

int path_parent(int dirfd, const char *path, unsigned flags, struct path_last *out)
{
    const char *name = "";
    struct walk w;
    int err = walk_begin(&w, dirfd, path, flags);

    if (err)
        return err;
    err = walk_parent(&w, &name, &out->len, &out->slash);
    if (!err) {
        memcpy(out->name, name, out->len);
        out->name[out->len] = 0;
        dentry_get(out->dir = w.at);
    }
    walk_end(&w);
    return err;
}
