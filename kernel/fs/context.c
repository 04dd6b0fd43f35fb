/* Where paths start: the root, the working directory, the umask. */
#include "fs/file.h"
#include "proc/process.h"
#include "vm/kmem.h"

struct fs_context *fs_context_create(void)
{
    struct fs_context *c = kmem_zalloc(sizeof *c);

    if (!c)
        return NULL;
    ref_init(&c->refs);
    spin_init(&c->lock, "fs context", RANK_FS_SPIN);
    dentry_get(c->root = root_dentry);
    dentry_get(c->cwd = root_dentry);
    c->umask = 022;
    return c;
}

struct fs_context *fs_context_copy(struct fs_context *from)
{
    struct fs_context *c = kmem_zalloc(sizeof *c);

    if (!c)
        return NULL;
    ref_init(&c->refs);
    spin_init(&c->lock, "fs context", RANK_FS_SPIN);
    spin_lock(&from->lock);
    dentry_get(c->root = from->root);
    dentry_get(c->cwd = from->cwd);
    c->umask = from->umask;
    spin_unlock(&from->lock);
    return c;
}

void fs_context_get(struct fs_context *c)
{
    ref_get(&c->refs);
}

void fs_context_put(struct fs_context *c)
{
    if (!ref_put(&c->refs))
        return;
    dentry_put(c->root);
    dentry_put(c->cwd);
    kmem_free(c);
}

static struct dentry *get(bool root)
{
    struct fs_context *c = current_process() ? current_process()->fs : NULL;
    struct dentry *d;

    if (!c) {
        dentry_get(root_dentry);
        return root_dentry;
    }
    spin_lock(&c->lock);
    d = root ? c->root : c->cwd;
    dentry_get(d);
    spin_unlock(&c->lock);
    return d;
}

struct dentry *fs_root_get(void)
{
    return get(true);
}

struct dentry *fs_cwd_get(void)
{
    return get(false);
}

void fs_context_set(struct dentry *d, bool root)
{
    struct fs_context *c = current_process()->fs;
    struct dentry **slot = root ? &c->root : &c->cwd, *old;

    dentry_get(d);
    spin_lock(&c->lock);
    old = *slot;
    *slot = d;
    spin_unlock(&c->lock);
    dentry_put(old);
}
