/* Vnodes: references, permissions, times. */
#include "fs/fs.h"
#include "proc/process.h"
#include "sys/syscall.h"
#include "vm/kmem.h"
#include "vm/vm.h"

struct vnode *vnode_create(struct superblock *sb, const struct vnode_ops *ops, u32 mode)
{
    struct vnode *v = kmem_zalloc(sizeof *v);

    if (!v)
        return NULL;
    ref_init(&v->refs);
    mutex_init(&v->lock, "vnode", RANK_VNODE);
    list_init(&v->locks);
    v->sb = sb;
    v->ops = ops;
    v->mode = mode;
    v->nlink = (mode & S_IFMT) == S_IFDIR ? 2 : 1;
    v->ino = atomic_fetch_add(&sb->next_ino, 1) + 1;
    v->atime_ns = v->mtime_ns = v->ctime_ns = v->btime_ns = time_realtime_ns();
    atomic_fetch_add(&sb->inodes, 1);
    return v;
}

void vnode_get(struct vnode *v)
{
    ref_get(&v->refs);
}

void vnode_put(struct vnode *v)
{
    if (!ref_put(&v->refs))
        return;
    vnode_locks_drop(v);
    if (v->ops->destroy)
        v->ops->destroy(v);
    if (v->object)
        object_put(v->object);
    atomic_fetch_sub(&v->sb->inodes, 1);
    kmem_free(v);
}

int vnode_permission(struct vnode *v, unsigned what)
{
    u32 bits = v->mode, uid;

    if (!current_process())
        return 0;
    uid = cred_fsuid();
    if (uid == 0)
        return !(what & 1) || (v->mode & S_IFMT) == S_IFDIR || (v->mode & 0111) ? 0 : -EACCES;
    if (uid == v->uid)
        bits >>= 6;
    else if (cred_in_group(v->gid))
        bits >>= 3;
    return (bits & what) == what ? 0 : -EACCES;
}

void vnode_touch(struct vnode *v, bool access, bool modify, bool change)
{
    u64 now = time_realtime_ns();

    if (access)
        v->atime_ns = now;
    if (modify)
        v->mtime_ns = now;
    if (modify || change)
        v->ctime_ns = now;
}

u64 vnode_size(struct vnode *v)
{
    if (v->ops->size)
        return v->ops->size(v);
    return v->object ? v->object->size : v->size;
}
