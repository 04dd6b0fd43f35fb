/* For tests of what is opened without a file system: the functions of it that are linked and do nothing. Included once by each. */
#pragma once
#include "fs/file.h"
#include "fs/fs.h"

void poll_set_add(struct poll_set *ps, struct waitq *q)
{
    (void)ps, (void)q;
}

struct vnode *vnode_create(struct superblock *sb, const struct vnode_ops *ops, u32 mode)
{
    (void)sb, (void)ops, (void)mode;
    return NULL;
}

void vnode_put(struct vnode *v)
{
    (void)v;
}

struct dentry *dentry_create(struct dentry *parent, const char *name, size_t len, struct vnode *v)
{
    (void)parent, (void)name, (void)len, (void)v;
    return NULL;
}
