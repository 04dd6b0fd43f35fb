/*
 * Names. A dentry that is in its directory is in the hash by (parent, name) and
 * in parent->children, and the tree holds a reference to it; made-up ones are
 * in neither. Lock: dentry_lock (RANK_FS_SPIN) for hash, lists, names, parents.
 */
#include "fs/fs.h"
#include "lib/print.h"
#include "lib/string.h"
#include "vm/kmem.h"

#define BUCKETS 2048

static struct list hash[BUCKETS];
static struct spinlock dentry_lock = SPINLOCK_INIT("dentries", RANK_FS_SPIN);
static u64 next_cookie = 3; /* 1 and 2 are . and .. */
struct mutex rename_lock;
struct dentry *root_dentry;

void dentry_init(void)
{
    for (unsigned i = 0; i < BUCKETS; i++)
        list_init(&hash[i]);
    mutex_init(&rename_lock, "rename", RANK_FS_RENAME);
}

/* FNV-1a over the name, mixed with the directory. */
static u32 hash_of(const struct dentry *parent, const char *name, size_t len)
{
    u32 h = 2166136261u ^ (u32)((u64)parent >> 4);

    for (size_t i = 0; i < len; i++)
        h = (h ^ (u8)name[i]) * 16777619u;
    return h;
}

void dentry_get(struct dentry *d)
{
    ref_get(&d->refs);
}

void dentry_put(struct dentry *d)
{
    while (d && ref_put(&d->refs)) {
        struct dentry *parent = d->parent == d ? NULL : d->parent;

        if (d->vnode)
            vnode_put(d->vnode);
        kmem_free(d->name);
        kmem_free(d);
        d = parent; /* which it held; no recursion along a deep path */
    }
}

struct dentry *dentry_create(struct dentry *parent, const char *name, size_t len, struct vnode *v)
{
    struct dentry *d = kmem_zalloc(sizeof *d);

    if (d)
        d->name = kmem_alloc(len + 1);
    if (!d || !d->name) {
        kmem_free(d);
        return NULL;
    }
    memcpy(d->name, name, len);
    d->name[len] = 0;
    d->name_len = (u16)len;
    ref_init(&d->refs);
    list_init(&d->children);
    list_init(&d->sibling_link);
    list_init(&d->hash_link);
    d->parent = parent ? parent : d;
    if (parent)
        dentry_get(parent);
    if (v)
        vnode_get(v);
    d->vnode = v;
    return d;
}

/* ---- in and out of directories ---- */

static void link_locked(struct dentry *d)
{
    d->hash = hash_of(d->parent, d->name, d->name_len);
    d->cookie = next_cookie++;
    list_push(&hash[d->hash % BUCKETS], &d->hash_link);
    list_append(&d->parent->children, &d->sibling_link);
}

void dentry_link(struct dentry *d)
{
    dentry_get(d);
    spin_lock(&dentry_lock);
    link_locked(d);
    spin_unlock(&dentry_lock);
}

void dentry_unlink(struct dentry *d)
{
    spin_lock(&dentry_lock);
    list_remove(&d->hash_link);
    list_remove(&d->sibling_link);
    d->removed = true;
    spin_unlock(&dentry_lock);
    dentry_put(d);
}

void dentry_move(struct dentry *d, struct dentry *parent, char *name, size_t len)
{
    struct dentry *old_parent = d->parent;
    char *old_name = d->name;

    dentry_get(parent);
    spin_lock(&dentry_lock);
    list_remove(&d->hash_link);
    list_remove(&d->sibling_link);
    d->parent = parent;
    d->name = name;
    d->name_len = (u16)len;
    link_locked(d);
    spin_unlock(&dentry_lock);
    kmem_free(old_name);
    dentry_put(old_parent);
}

static struct dentry *find(struct dentry *dir, const char *name, size_t len)
{
    u32 h = hash_of(dir, name, len);
    struct dentry *d;

    spin_lock(&dentry_lock);
    list_for_each(d, &hash[h % BUCKETS], hash_link)
        if (d->hash == h && d->parent == dir && d->name_len == len && memcmp(d->name, name, len) == 0) {
            dentry_get(d);
            spin_unlock(&dentry_lock);
            return d;
        }
    spin_unlock(&dentry_lock);
    return NULL;
}

int dentry_lookup(struct dentry *dir, const char *name, size_t len, struct dentry **out)
{
    *out = find(dir, name, len);
    if (*out)
        return 0;
    return dir->vnode->ops->lookup ? dir->vnode->ops->lookup(dir, name, len, out) : -ENOENT;
}

struct dentry *dentry_next_child(struct dentry *dir, u64 after)
{
    struct dentry *d, *found = NULL;

    spin_lock(&dentry_lock);
    list_for_each(d, &dir->children, sibling_link)
        if (d->cookie > after) {
            dentry_get(found = d);
            break;
        }
    spin_unlock(&dentry_lock);
    return found;
}

/* ---- ancestors ---- */

/* Up one step, out of a mounted file system if need be. dentry_lock held. NULL: at the very top. */
static struct dentry *up_locked(struct dentry *d)
{
    while (d->parent == d) {
        if (!d->mount || !d->mount->on)
            return NULL;
        d = d->mount->on;
    }
    return d->parent;
}

struct dentry *dentry_parent_get(struct dentry *d)
{
    struct dentry *parent;

    spin_lock(&dentry_lock);
    parent = up_locked(d);
    parent = parent ? parent : d;
    dentry_get(parent);
    spin_unlock(&dentry_lock);
    return parent;
}

bool dentry_is_below(struct dentry *d, struct dentry *ancestor)
{
    spin_lock(&dentry_lock);
    while (d && d != ancestor)
        d = up_locked(d);
    spin_unlock(&dentry_lock);
    return d;
}

/* Puts s before what stands at *at. */
static bool prepend(char *buf, size_t *at, const char *s, size_t n)
{
    if (*at < n)
        return false;
    *at -= n;
    memcpy(buf + *at, s, n);
    return true;
}

static ssize_t path_locked(struct dentry *d, struct dentry *root, char *buf, size_t size)
{
    size_t at = size - 1;
    bool fits = true;

    buf[at] = 0;
    if (d->removed)
        fits = prepend(buf, &at, " (deleted)", 10);
    while (d != root && fits) {
        while (d != root && d->parent == d && d->mount && d->mount->on)
            d = d->mount->on;
        if (d == root)
            break;
        if (d->parent == d) { /* the top, and root was not on the way */
            if (root != root_dentry && d == root_dentry)
                return -ENOENT;
            break;
        }
        fits = prepend(buf, &at, d->name, d->name_len) && prepend(buf, &at, "/", 1);
        d = d->parent;
    }
    if (fits && (at == size - 1 || buf[at] == ' '))
        fits = prepend(buf, &at, "/", 1);
    if (!fits)
        return -ENAMETOOLONG;
    memmove(buf, buf + at, size - at);
    return (ssize_t)(size - at - 1);
}

ssize_t dentry_path(struct dentry *d, struct dentry *root, char *buf, size_t size)
{
    ssize_t n;

    if (size < 2)
        return -ENAMETOOLONG;
    spin_lock(&dentry_lock);
    n = path_locked(d, root, buf, size);
    spin_unlock(&dentry_lock);
    return n;
}
