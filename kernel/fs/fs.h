/*
 * The file system's types: vnodes, names, mounts, paths.
 *
 * A vnode is a file of any kind; a dentry is a name in a directory that leads
 * to one. The names of a ramfs are its dentries: they stay until they are
 * removed. A file system that makes names up (procfs) has dentries that live as
 * long as somebody holds them. Each dentry holds its parent and its vnode.
 *
 * Locks: a directory's contents change under its vnode->lock (RANK_VNODE, parent
 * before child; two directories by address); renames of directories under
 * rename_lock; dentry links and reference-to-zero under dentry_lock
 * (RANK_FS_SPIN). File contents: the vm_object's lock, and vnode->lock for
 * writers (appends and size changes are atomic).
 */
#pragma once
#include "fs/uio.h"
#include "lib/errno.h"
#include "lib/list.h"
#include "lib/lock.h"
#include "lib/refcount.h"
#include "lib/types.h"

/* Linux's mode bits. */
#define S_IFMT 0170000u
#define S_IFSOCK 0140000u
#define S_IFLNK 0120000u
#define S_IFREG 0100000u
#define S_IFBLK 0060000u
#define S_IFDIR 0040000u
#define S_IFCHR 0020000u
#define S_IFIFO 0010000u
#define S_ISUID 04000u
#define S_ISGID 02000u
#define S_ISVTX 01000u

#define NAME_MAX 255
#define PATH_MAX 4096
#define SYMLINKS_MAX 40

struct vnode;
struct dentry;
struct file;
struct file_ops;
struct vm_object;

struct vnode_ops {
    /* For file systems that make names up: names that have dentries are found without it. -ENOENT, -ENOMEM. */
    int (*lookup)(struct dentry *parent, const char *name, size_t len, struct dentry **out);
    /* A vnode for a new name in dir, of any kind (S_IFLNK: target is its contents). NULL: the file system is not written
     * to. The names themselves are dentries. */
    int (*create)(struct vnode *dir, u32 mode, u64 rdev, const char *target, struct vnode **out);
    /* Symbolic links: the target into buf, its length. */
    ssize_t (*readlink)(struct vnode *v, char *buf, size_t size);
    /* A link that leads to an object rather than a name (/proc/PID/exe, fd): a dentry with a reference. May be NULL. */
    int (*follow)(struct vnode *v, struct dentry **out);
    int (*truncate)(struct vnode *v, u64 size); /* v->lock held */
    void (*destroy)(struct vnode *v); /* the last reference is gone */
    u64 (*size)(struct vnode *v);     /* NULL: v->size */
};

/* fcntl(2)'s F_SEAL_*. */
enum { SEAL_SEAL = 1, SEAL_SHRINK = 2, SEAL_GROW = 4, SEAL_WRITE = 8, SEAL_FUTURE_WRITE = 16, SEAL_EXEC = 32 };

struct vnode {
    struct refcount refs;
    struct mutex lock;           /* RANK_VNODE */
    const struct vnode_ops *ops;
    const struct file_ops *file_ops; /* what open gives; devices are looked up by rdev */
    struct superblock *sb;
    u64 ino, rdev;
    u32 mode, uid, gid, nlink;
    u64 size;                    /* regular files: object->size is the truth */
    u64 atime_ns, mtime_ns, ctime_ns, btime_ns; /* since 1970 */
    struct vm_object *object;    /* regular files: their contents; mmap uses it */
    void *priv;                  /* the file system's, or the pipe of a FIFO */
    u32 seals;                   /* SEAL_*: what may not be done any more; lock */
    _Atomic s32 writers;         /* open for writing (> 0), or running as a program (< 0): ETXTBSY */
    struct list locks;           /* flock(2), fcntl locks: fs/lock.c */
};

struct dentry {
    struct refcount refs;
    struct dentry *parent;       /* itself at a root; dentry_lock */
    struct list children;        /* the names in a directory, each with a reference of the tree's; dentry_lock */
    struct list sibling_link;
    u64 cookie;                  /* its place in the order of the directory */
    struct list hash_link;       /* (parent, name) -> dentry; dentry_lock */
    u32 hash;
    struct vnode *vnode;         /* NULL: negative, only during create */
    struct mount *mounted;       /* what is mounted here */
    struct mount *mount;         /* of a file system's root: where it is mounted */
    bool removed;                /* no longer in its directory */
    bool made_up;                /* not kept in children */
    u16 name_len;
    char *name;                  /* NUL-ended; dentry_lock: rename replaces it */
};

struct superblock {
    const char *type;            /* "ramfs", "proc", … */
    u64 magic, dev;
    _Atomic u64 next_ino;
    u64 max_bytes;               /* 0: bounded by memory */
    bool fixed;                  /* modes and owners are not changed */
    bool made;                   /* by ramfs_create: goes with its root */
    bool kept;                   /* its root stays when it is unmounted */
    _Atomic u64 bytes, inodes;
    void *priv;
};
struct mount {
    struct list link;
    struct superblock *sb;
    struct dentry *root, *on;    /* `on` NULL: the root of everything */
    char source[32];
    u32 flags;
};

/* ---- vnode.c ---- */
struct vnode *vnode_create(struct superblock *sb, const struct vnode_ops *ops, u32 mode) __must_check;
void vnode_get(struct vnode *v);
void vnode_locks_drop(struct vnode *v); /* lock.c; of one that goes: nobody has it open */
void vnode_put(struct vnode *v);
/* May the running process do what (4 read, 2 write, 1 execute/search)? 0 or -EACCES. Root may, but for execution. */
int vnode_permission(struct vnode *v, unsigned what) __must_check;
u64 vnode_size(struct vnode *v);
void vnode_touch(struct vnode *v, bool access, bool modify, bool change); /* times := now */

/* ---- dentry.c ---- */
void dentry_get(struct dentry *d);
void dentry_put(struct dentry *d);
/* A new name, not yet in its directory. made_up: see above. */
struct dentry *dentry_create(struct dentry *parent, const char *name, size_t len, struct vnode *v) __must_check;
void dentry_init(void);
/* Puts a new dentry into its parent's directory (the tree takes a reference), takes one out (and drops that), moves one.
 * The directories' vnode->lock are held. */
void dentry_link(struct dentry *d);
void dentry_unlink(struct dentry *d);
void dentry_move(struct dentry *d, struct dentry *parent, char *name, size_t len); /* takes over name, a kmem string */
bool dentry_is_below(struct dentry *d, struct dentry *ancestor);
struct dentry *dentry_parent_get(struct dentry *d);
/* For listing: the first name in d whose cookie is above `after`, with a reference; NULL: none. */
struct dentry *dentry_next_child(struct dentry *d, u64 after);
extern struct mutex rename_lock;
/* The absolute path of d as seen from root, into buf, its length without the NUL; " (deleted)" is added when removed;
 * -ENAMETOOLONG, -ENOENT when unreachable from root. */
ssize_t dentry_path(struct dentry *d, struct dentry *root, char *buf, size_t size);

/* ---- path.c: names to dentries ---- */
enum path_flags {
    PATH_FOLLOW = 1,      /* follow a link at the end */
    PATH_DIRECTORY = 4,   /* must be a directory */
    PATH_EMPTY = 8,       /* AT_EMPTY_PATH: "" is dirfd itself */
    PATH_KERNEL = 16,     /* no permission checks: the kernel's own use at boot */
};
#define AT_FDCWD (-100)
/* Copies a path from user space: a kmem string, free with kmem_free; -EFAULT, -ENAMETOOLONG, -ENOMEM. */
int path_from_user(vaddr_t upath, char **out) __must_check;
/* Looks up; *out with a reference. -ENOENT, -ENOTDIR, -EACCES, -ELOOP, -ENAMETOOLONG, -EBADF, -ENOMEM. */
int path_lookup(int dirfd, const char *path, unsigned flags, struct dentry **out) __must_check;
/* All but the last name; PATH_FOLLOW: where a link in the last place leads. -EEXIST: the path is "/" or so. The last name
 * may be "." or "..", which callers refuse. */
struct path_last {
    struct dentry *dir; /* with a reference */
    size_t len;
    bool slash;         /* something like "name/" */
    char name[NAME_MAX + 1];
};
int path_parent(int dirfd, const char *path, unsigned flags, struct path_last *out) __must_check;
/* One name in directory d: *out with a reference, or -ENOENT. Mounts are crossed by path_lookup, not here. */
int dentry_lookup(struct dentry *d, const char *name, size_t len, struct dentry **out) __must_check;

/* ---- namei.c: what changes directories; checks permissions, sticky bits, EXDEV, EBUSY ---- */
/* For open(2): the name is free, the lock of l->dir is held. */
int fs_create_locked(struct path_last *l, u32 mode, u64 rdev, const char *target, struct dentry **out) __must_check;
int fs_mknod(int dirfd, const char *path, u32 mode, u64 rdev);
int fs_mkdir(int dirfd, const char *path, u32 mode);
int fs_symlink(const char *target, int dirfd, const char *path);
int fs_link(int olddir, const char *oldpath, int newdir, const char *newpath, unsigned flags); /* flags: PATH_* for oldpath */
int fs_unlink(int dirfd, const char *path, bool directory);
int fs_rename(int olddir, const char *oldpath, int newdir, const char *newpath, unsigned flags);

/* ---- mount.c ---- */
void fs_init(void);   /* root ramfs, /dev, /proc; devices register before or after */
/* Unpacks newc archives (several in a row, NUL padding between) into the root. A corrupt one: an error line and -EINVAL,
 * with what was good before it kept. */
int initramfs_unpack(const void *data, size_t size);
/* Mounts sb's root at d. */
struct dentry *mount_cross(struct dentry *at); /* the root of what is mounted here, with a reference; NULL: nothing is */
int mount_remove(struct dentry *root); /* the root of a mounted file system: takes over the reference; -EINVAL, -EBUSY */
int mount_add(struct dentry *d, struct dentry *root, struct superblock *sb, const char *source);
void mount_for_each(void (*fn)(const struct mount *m, void *arg), void *arg); /* with mount_lock, which keeps them: for /proc/mounts */
extern struct dentry *root_dentry;

struct superblock *ramfs_create(struct dentry **root);
/* What one of these made: the reference to root that it gave, and the superblock, after which nobody has any of it. */
void superblock_drop(struct superblock *sb, struct dentry *root);
struct superblock *procfs_create(struct dentry **root);
struct superblock *devpts_create(struct dentry **root); /* at boot, once: fs/pty.c */
extern const struct file_ops ramfs_dir_ops;             /* for a directory whose names are its dentries */

/* ---- device numbers: dev_register at boot; /dev nodes are made in a ramfs mounted at /dev ---- */
#define MKDEV(major, minor) ((u64)(major) << 8 | (minor)) /* small numbers only: Linux's st_rdev encoding agrees */
int device_register(const char *name, u64 rdev, u32 mode, const struct file_ops *ops, void *priv);
int device_register_range(u64 rdev, unsigned count, const struct file_ops *ops); /* of characters; nodes: somebody else's */
bool device_find(u32 mode, u64 rdev, const struct file_ops **ops, void **priv);
void devices_sync(void);  /* sync(2): what devices have taken is durable when it returns, as far as they can */
void devices_mount(void); /* /dev exists: makes the nodes, also those of devices to come */
void memdev_init(void);
