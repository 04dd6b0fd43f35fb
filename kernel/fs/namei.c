/*
 * What changes directories. A directory's names change under its vnode->lock;
 * renames take rename_lock first and then both directories, by address.
 */
#include "fs/file.h"
#include "lib/string.h"
#include "proc/process.h"
#include "vm/kmem.h"

#define RENAME_NOREPLACE 1u
#define RENAME_EXCHANGE 2u

static bool is_dir(const struct vnode *v)
{
    return (v->mode & S_IFMT) == S_IFDIR;
}

static bool is_dots(const struct path_last *l)
{
    return l->name[0] == '.' && (l->len == 1 || (l->len == 2 && l->name[1] == '.'));
}

static int may_change(struct dentry *dir)
{
    if (!is_dir(dir->vnode))
        return -ENOTDIR;
    if (!dir->vnode->ops->create)
        return -EPERM;
    if (dir->removed)
        return -ENOENT;
    return vnode_permission(dir->vnode, 3);
}

/* In a sticky directory only the owner of it or of the file takes names away. */
static int may_remove(struct dentry *dir, struct dentry *victim)
{
    u32 me = current_process() ? current_process()->cred.fsuid : 0; /* none: unpacking at boot */
    int err = may_change(dir);

    if (err)
        return err;
    if (victim->mounted)
        return -EBUSY;
    if ((dir->vnode->mode & S_ISVTX) && me != 0 && me != dir->vnode->uid && me != victim->vnode->uid)
        return -EPERM;
    return 0;
}

/* ---- new names ---- */

static void own(struct vnode *dir, struct vnode *v)
{
    const struct cred *c = &current_process()->cred;

    v->uid = c->fsuid;
    v->gid = c->fsgid;
    if (dir->mode & S_ISGID) {
        v->gid = dir->gid;
        if (is_dir(v))
            v->mode |= S_ISGID;
    }
}

static void add_name(struct dentry *dir, struct dentry *d)
{
    dentry_link(d);
    if (is_dir(d->vnode))
        dir->vnode->nlink++;
    vnode_touch(dir->vnode, false, true, false);
}

/* dir's lock held; the name is free. *out with a reference. */
int fs_create_locked(struct path_last *l, u32 mode, u64 rdev, const char *target, struct dentry **out)
{
    struct vnode *v, *dir = l->dir->vnode;
    int err = may_change(l->dir);

    if (!err)
        err = dir->ops->create(dir, mode, rdev, target, &v);
    if (err)
        return err;
    if (current_process())
        own(dir, v);
    *out = dentry_create(l->dir, l->name, l->len, v);
    vnode_put(v);
    if (!*out)
        return -ENOMEM;
    add_name(l->dir, *out);
    return 0;
}

static int create(int dirfd, const char *path, u32 mode, u64 rdev, const char *target)
{
    struct path_last l;
    struct dentry *d;
    int err = path_parent(dirfd, path, 0, &l);

    if (err)
        return err;
    mutex_lock(&l.dir->vnode->lock);
    if (is_dots(&l) || dentry_lookup(l.dir, l.name, l.len, &d) == 0) {
        if (!is_dots(&l))
            dentry_put(d);
        err = -EEXIST;
    } else if (l.slash && (mode & S_IFMT) != S_IFDIR) {
        err = -ENOENT;
    } else {
        err = fs_create_locked(&l, mode, rdev, target, &d);
        if (!err)
            dentry_put(d);
    }
    mutex_unlock(&l.dir->vnode->lock);
    dentry_put(l.dir);
    return err;
}

static u32 without_umask(u32 mode)
{
    return current_process() ? mode & ~current_process()->fs->umask : mode;
}

int fs_mknod(int dirfd, const char *path, u32 mode, u64 rdev)
{
    u32 kind = mode & S_IFMT;

    if (kind == 0)
        mode |= kind = S_IFREG;
    if (kind != S_IFREG && kind != S_IFIFO && kind != S_IFSOCK && kind != S_IFCHR && kind != S_IFBLK)
        return kind == S_IFDIR ? -EPERM : -EINVAL;
    if ((kind == S_IFCHR || kind == S_IFBLK) && current_process() && !cred_is_root())
        return -EPERM;
    return create(dirfd, path, kind | (without_umask(mode) & 07777), rdev, NULL);
}

int fs_mkdir(int dirfd, const char *path, u32 mode)
{
    return create(dirfd, path, S_IFDIR | (without_umask(mode) & 01777), 0, NULL);
}

int fs_symlink(const char *target, int dirfd, const char *path)
{
    if (!*target)
        return -ENOENT;
    return create(dirfd, path, S_IFLNK | 0777, 0, target);
}

/* A file's names are in several directories, each with a lock of its own. False: it has lost the last. */
static bool name_count_raise(struct vnode *v)
{
    u32 n = __atomic_load_n(&v->nlink, __ATOMIC_RELAXED);

    while (n > 0)
        if (__atomic_compare_exchange_n(&v->nlink, &n, n + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return true;
    return false;
}

static int link_locked(struct path_last *l, struct vnode *v)
{
    struct dentry *d;
    int err = may_change(l->dir);

    if (err)
        return err;
    if (dentry_lookup(l->dir, l->name, l->len, &d) == 0) {
        dentry_put(d);
        return -EEXIST;
    }
    d = dentry_create(l->dir, l->name, l->len, v);
    if (!d)
        return -ENOMEM;
    if (name_count_raise(v)) {
        vnode_touch(v, false, false, true);
        add_name(l->dir, d);
    } else {
        err = -ENOENT;
    }
    dentry_put(d);
    return err;
}

int fs_link(int olddir, const char *oldpath, int newdir, const char *newpath, unsigned flags)
{
    struct path_last l;
    struct dentry *old;
    int err = path_lookup(olddir, oldpath, flags, &old);

    if (err)
        return err;
    err = path_parent(newdir, newpath, 0, &l);
    if (!err && is_dir(old->vnode)) {
        dentry_put(l.dir);
        err = -EPERM;
    }
    if (!err) {
        mutex_lock(&l.dir->vnode->lock);
        if (l.dir->vnode->sb != old->vnode->sb)
            err = -EXDEV;
        else if (is_dots(&l))
            err = -EEXIST;
        else if (old->vnode->nlink == 0)
            err = -ENOENT;
        else
            err = link_locked(&l, old->vnode);
        mutex_unlock(&l.dir->vnode->lock);
        dentry_put(l.dir);
    }
    dentry_put(old);
    return err;
}

/* ---- names that go ---- */

static void drop_name(struct dentry *dir, struct dentry *d)
{
    struct vnode *v = d->vnode;

    if (is_dir(v)) {
        dir->vnode->nlink--;
        v->nlink = 0;
    } else {
        __atomic_fetch_sub(&v->nlink, 1, __ATOMIC_RELAXED);
    }
    vnode_touch(v, false, false, true);
    vnode_touch(dir->vnode, false, true, false);
    dentry_unlink(d);
}

/* A directory must be empty, and stays so: its own lock is held while it goes. */
static int remove_locked(struct dentry *dir, struct dentry *d)
{
    int err = may_remove(dir, d);

    if (err)
        return err;
    if (!is_dir(d->vnode)) {
        drop_name(dir, d);
        return 0;
    }
    mutex_lock_nested(&d->vnode->lock);
    if (d->mounted) /* since may_remove: mount(2) holds this lock, too */
        err = -EBUSY;
    else if (list_empty(&d->children))
        drop_name(dir, d);
    else
        err = -ENOTEMPTY;
    mutex_unlock(&d->vnode->lock);
    return err;
}

int fs_unlink(int dirfd, const char *path, bool directory)
{
    struct path_last l;
    struct dentry *d;
    int err = path_parent(dirfd, path, 0, &l);

    if (err)
        return err == -EEXIST ? (directory ? -EBUSY : -EISDIR) : err;
    mutex_lock(&l.dir->vnode->lock);
    if (is_dots(&l))
        err = !directory ? -EISDIR : l.len == 1 ? -EINVAL : -ENOTEMPTY;
    else
        err = dentry_lookup(l.dir, l.name, l.len, &d);
    if (!err) {
        if (directory && !is_dir(d->vnode))
            err = -ENOTDIR;
        else if (!directory && is_dir(d->vnode))
            err = -EISDIR;
        else if (l.slash && !is_dir(d->vnode))
            err = -ENOTDIR;
        else
            err = remove_locked(l.dir, d);
        dentry_put(d);
    }
    mutex_unlock(&l.dir->vnode->lock);
    dentry_put(l.dir);
    return err;
}

/* ---- rename ---- */

/* One that is above the other comes first, as for who removes a directory; else by address. rename_lock: none moves. */
static void lock_pair(struct dentry *a, struct dentry *b)
{
    bool a_first = dentry_is_below(b, a) || (!dentry_is_below(a, b) && a->vnode < b->vnode);

    mutex_lock(a_first ? &a->vnode->lock : &b->vnode->lock);
    if (a->vnode != b->vnode)
        mutex_lock_nested(a_first ? &b->vnode->lock : &a->vnode->lock);
}

static void unlock_pair(struct dentry *a, struct dentry *b)
{
    mutex_unlock(&a->vnode->lock);
    if (a->vnode != b->vnode)
        mutex_unlock(&b->vnode->lock);
}

static void move_to(struct dentry *d, struct dentry *from, struct dentry *to, char *name, size_t len)
{
    if (is_dir(d->vnode) && from != to) {
        from->vnode->nlink--;
        to->vnode->nlink++;
    }
    dentry_move(d, to, name, len);
    vnode_touch(from->vnode, false, true, false);
    vnode_touch(to->vnode, false, true, false);
    vnode_touch(d->vnode, false, false, true);
}

static int replace_check(struct dentry *d, struct dentry *target)
{
    if (is_dir(d->vnode) && !is_dir(target->vnode))
        return -ENOTDIR;
    if (!is_dir(d->vnode) && is_dir(target->vnode))
        return -EISDIR;
    return 0;
}

static int exchange(struct path_last *a, struct dentry *da, struct path_last *b, struct dentry *db)
{
    char *name_a = kmem_strdup(a->name), *name_b = kmem_strdup(b->name);
    int err = may_remove(a->dir, da);

    if (!err)
        err = may_remove(b->dir, db);
    if (!err && (dentry_is_below(a->dir, db) || dentry_is_below(b->dir, da)))
        err = -EINVAL;
    if (!err && (!name_a || !name_b))
        err = -ENOMEM;
    if (err) {
        kmem_free(name_a);
        kmem_free(name_b);
        return err;
    }
    move_to(da, a->dir, b->dir, name_b, b->len);
    move_to(db, b->dir, a->dir, name_a, a->len);
    return 0;
}

/* target: what is there already, or NULL. */
static int rename_onto(struct path_last *from, struct dentry *d, struct path_last *to, struct dentry *target)
{
    char *name;
    int err = may_remove(from->dir, d);

    if (!err)
        err = may_change(to->dir);
    if (!err && dentry_is_below(to->dir, d))
        err = -EINVAL; /* into itself */
    if (!err && target && dentry_is_below(from->dir, target))
        err = -ENOTEMPTY; /* onto a directory that it is in, whose lock may be held */
    if (!err && target)
        err = replace_check(d, target);
    if (err)
        return err;
    if (target && target->vnode == d->vnode)
        return 0; /* two names of one file: POSIX says nothing happens */
    name = kmem_strdup(to->name);
    if (!name)
        return -ENOMEM;
    err = target ? remove_locked(to->dir, target) : 0;
    if (err) {
        kmem_free(name);
        return err;
    }
    move_to(d, from->dir, to->dir, name, to->len);
    return 0;
}

static int rename_locked(struct path_last *from, struct path_last *to, unsigned flags)
{
    struct dentry *d, *target = NULL;
    int err = dentry_lookup(from->dir, from->name, from->len, &d);

    if (err)
        return err;
    if (dentry_lookup(to->dir, to->name, to->len, &target))
        target = NULL;
    if (from->dir->vnode->sb != to->dir->vnode->sb)
        err = -EXDEV;
    else if ((from->slash || to->slash) && !is_dir(d->vnode))
        err = -ENOTDIR;
    else if (target && (flags & RENAME_NOREPLACE))
        err = -EEXIST;
    else if (flags & RENAME_EXCHANGE)
        err = target ? exchange(from, d, to, target) : -ENOENT;
    else
        err = rename_onto(from, d, to, target);
    if (target)
        dentry_put(target);
    dentry_put(d);
    return err;
}

int fs_rename(int olddir, const char *oldpath, int newdir, const char *newpath, unsigned flags)
{
    struct path_last from, to;
    int err;

    if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) || flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    err = path_parent(olddir, oldpath, 0, &from);
    if (err)
        return err == -EEXIST ? -EBUSY : err;
    err = path_parent(newdir, newpath, 0, &to);
    if (!err) {
        mutex_lock(&rename_lock);
        lock_pair(from.dir, to.dir);
        err = is_dots(&from) || is_dots(&to) ? -EBUSY : rename_locked(&from, &to, flags);
        unlock_pair(from.dir, to.dir);
        mutex_unlock(&rename_lock);
        dentry_put(to.dir);
    }
    dentry_put(from.dir);
    return err == -EEXIST && !(flags & RENAME_NOREPLACE) ? -EBUSY : err;
}
