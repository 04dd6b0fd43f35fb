/*
 * Unpacks newc cpio archives, one after another, into the root (the format is
 * described in Linux's Documentation/driver-api/early-userspace/buffer-format.rst).
 * Every number is checked against what is left of the archive.
 */
#include "fs/file.h"
#include "lib/print.h"
#include "lib/string.h"
#include "vm/kmem.h"

#define HEADER 110
#define LINKS_MAX 256

struct entry {
    u32 ino, mode, uid, gid, nlink, mtime, size, devmajor, devminor, rdevmajor, rdevminor, name_size;
    const char *name;
    const u8 *data;
};

struct cursor {
    const u8 *start, *at, *end;
};

/* Names that a file with several links has had so far: the first one carries the data, or the last. */
static struct hard_link {
    u32 ino, devmajor, devminor;
    const char *name;
} *links;
static unsigned link_count;

static bool hex_field(const u8 *p, u32 *out)
{
    u32 v = 0;

    for (unsigned i = 0; i < 8; i++) {
        u8 c = p[i];
        u32 digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
        if (digit > 15)
            return false;
        v = v << 4 | digit;
    }
    *out = v;
    return true;
}

static bool read_fields(const u8 *p, struct entry *e)
{
    u32 *const fields[] = {&e->ino,  &e->mode,     &e->uid,      &e->gid,       &e->nlink,     &e->mtime,
                           &e->size, &e->devmajor, &e->devminor, &e->rdevmajor, &e->rdevminor, &e->name_size};

    if (memcmp(p, "070701", 6) != 0 && memcmp(p, "070702", 6) != 0)
        return false;
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
        if (!hex_field(p + 6 + i * 8, fields[i]))
            return false;
    return true;
}

/* The next entry; NULL: why it is not one. */
static const char *read_entry(struct cursor *c, struct entry *e)
{
    size_t left = (size_t)(c->end - c->at), name_end, data_end;

    if (left < HEADER)
        return "the archive ends in the middle of a header";
    if (!read_fields(c->at, e))
        return "not a newc header";
    name_end = ROUND_UP(HEADER + (size_t)e->name_size, 4ul);
    if (e->name_size == 0 || e->name_size > PATH_MAX || name_end > left || c->at[HEADER + e->name_size - 1])
        return "a bad name";
    data_end = name_end + ROUND_UP((size_t)e->size, 4ul);
    if (name_end + e->size > left)
        return "a file is longer than the archive";
    e->name = (const char *)c->at + HEADER;
    e->data = c->at + name_end;
    c->at += MIN(data_end, left);
    return NULL;
}

/* Names are relative to the root, and stay below it. */
static bool name_ok(const char *name)
{
    for (const char *p = name; *p;) {
        const char *end = strchr(p, '/');
        size_t n = end ? (size_t)(end - p) : strlen(p);
        if (n == 2 && p[0] == '.' && p[1] == '.')
            return false;
        p += n + (end != NULL);
    }
    return true;
}

static int write_file(const char *name, const struct entry *e)
{
    const u32 flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW;
    struct file *f;
    struct uio u;
    ssize_t n = 0;
    int err = file_open(AT_FDCWD, name, flags, e->mode & 07777, &f);

    if (err == -ELOOP) { /* a link of an archive before: the file takes its place */
        err = fs_unlink(AT_FDCWD, name, false);
        if (!err)
            err = file_open(AT_FDCWD, name, flags, e->mode & 07777, &f);
    }
    if (err)
        return err;
    uio_init_kernel(&u, (void *)(uintptr_t)e->data, e->size);
    if (e->size > 0)
        n = file_write(f, &u);
    file_put(f);
    return n < 0 ? (int)n : (u32)n < e->size ? -ENOSPC : 0;
}

static const char *link_target(const struct entry *e)
{
    for (unsigned i = 0; i < link_count; i++)
        if (links[i].ino == e->ino && links[i].devmajor == e->devmajor && links[i].devminor == e->devminor)
            return links[i].name;
    if (link_count < LINKS_MAX && links)
        links[link_count++] = (struct hard_link){e->ino, e->devmajor, e->devminor, e->name};
    return NULL;
}

static int make_regular(const struct entry *e)
{
    const char *first = e->nlink > 1 ? link_target(e) : NULL;
    int err;

    if (!first)
        return write_file(e->name, e);
    err = fs_link(AT_FDCWD, first, AT_FDCWD, e->name, 0);
    return err || e->size == 0 ? err : write_file(e->name, e);
}

static int make_symlink(const struct entry *e)
{
    char *target = kmem_alloc(e->size + 1ul);
    int err;

    if (!target)
        return -ENOMEM;
    memcpy(target, e->data, e->size);
    target[e->size] = 0;
    fs_unlink(AT_FDCWD, e->name, false);
    err = e->size < PATH_MAX ? fs_symlink(target, AT_FDCWD, e->name) : -ENAMETOOLONG;
    kmem_free(target);
    return err;
}

static int make(const struct entry *e)
{
    int err;

    switch (e->mode & S_IFMT) {
    case S_IFREG:
        return make_regular(e);
    case S_IFLNK:
        return make_symlink(e);
    case S_IFDIR:
        err = fs_mkdir(AT_FDCWD, e->name, e->mode & 07777);
        return err == -EEXIST || err == -EISDIR ? 0 : err;
    default:
        err = fs_mknod(AT_FDCWD, e->name, e->mode, MKDEV(e->rdevmajor, e->rdevminor));
        return err == -EEXIST ? 0 : err;
    }
}

/* Owner, mode and time, which creating does not give exactly. */
static void set_attributes(const struct entry *e)
{
    struct dentry *d;

    if (path_lookup(AT_FDCWD, e->name, PATH_KERNEL, &d))
        return;
    d->vnode->uid = e->uid;
    d->vnode->gid = e->gid;
    d->vnode->mode = (d->vnode->mode & S_IFMT) | (e->mode & 07777);
    d->vnode->mtime_ns = e->mtime * 1000000000ul;
    dentry_put(d);
}

/* The directories that a name lies in: an appended archive need not list them. */
static void make_parents(const char *name)
{
    char path[PATH_MAX];
    size_t n = strlcpy(path, name, sizeof path);

    for (size_t i = 1; i < n && i < sizeof path; i++)
        if (path[i] == '/') {
            path[i] = 0;
            if (fs_mkdir(AT_FDCWD, path, 0755) == 0)
                printk(LOG_DEBUG, "initramfs: made %s", path);
            path[i] = '/';
        }
}

static int unpack_entry(const struct entry *e)
{
    int err;

    if (!name_ok(e->name)) {
        printk(LOG_ERR, "initramfs: '%s' leads out of the root: left out", e->name);
        return 0;
    }
    err = make(e);
    if (err == -ENOENT) {
        make_parents(e->name);
        err = make(e);
    }
    if (err == -ENOSPC || err == -ENOMEM) {
        printk(LOG_ERR, "initramfs: no memory for '%s'", e->name);
        return err;
    }
    if (err)
        printk(LOG_ERR, "initramfs: '%s' cannot be made: error %d", e->name, err);
    else
        set_attributes(e);
    return 0;
}

int initramfs_unpack(const void *data, size_t size)
{
    struct cursor c = {data, data, (const u8 *)data + size};
    int err = 0;

    links = kmem_alloc(LINKS_MAX * sizeof *links);
    link_count = 0;
    while (c.at < c.end && !err) {
        const u8 *here = c.at;
        struct entry e;
        const char *why;

        if (*c.at == 0) { /* padding between archives */
            c.at++;
            continue;
        }
        why = read_entry(&c, &e);
        if (why) {
            printk(LOG_ERR, "initramfs: at byte %zu: %s; what came before is kept", (size_t)(here - c.start), why);
            err = -EINVAL;
        } else if (strcmp(e.name, "TRAILER!!!") == 0) {
            link_count = 0;
        } else if (strcmp(e.name, ".") != 0) {
            err = unpack_entry(&e);
        }
    }
    kmem_free(links);
    links = NULL;
    return err;
}
