/*
 * Open files, file tables, and the context that paths start from.
 */
#pragma once
#include "fs/fs.h"
#include "proc/sched.h"

#define O_RDONLY 0u
#define O_WRONLY 1u
#define O_RDWR 2u
#define O_ACCMODE 3u
#define O_CREAT 0100u
#define O_EXCL 0200u
#define O_NOCTTY 0400u
#define O_TRUNC 01000u
#define O_APPEND 02000u
#define O_NONBLOCK 04000u
#define O_DSYNC 010000u
#define O_ASYNC 020000u
#define O_DIRECT 040000u
#define O_LARGEFILE 0100000u
#define O_DIRECTORY 0200000u
#define O_NOFOLLOW 0400000u
#define O_NOATIME 01000000u
#define O_CLOEXEC 02000000u
#define O_SYNC 04010000u
#define O_PATH 010000000u
#define O_TMPFILE (020000000u | O_DIRECTORY)

#define POLLIN 1u
#define POLLPRI 2u
#define POLLOUT 4u
#define POLLERR 8u
#define POLLHUP 16u
#define POLLNVAL 32u
#define POLLRDNORM 64u
#define POLLWRNORM 256u
#define POLLRDHUP 0x2000u

struct file_table;

/* What a poll call waits on; fs/poll.c. poll handlers add each wait queue that will be woken when their answer changes. */
struct poll_set;
void poll_set_add(struct poll_set *ps, struct waitq *q); /* ps NULL: does nothing */

struct file_ops {
    /* Each may be NULL (then -EINVAL, or what is usual). pos: where to read; advanced by what was transferred. */
    int (*open)(struct file *f, void *priv); /* after the file is made; priv: device's */
    void (*release)(struct file *f);         /* the last reference is gone */
    ssize_t (*read)(struct file *f, struct uio *u, u64 *pos);
    ssize_t (*write)(struct file *f, struct uio *u, u64 *pos);
    s64 (*seek)(struct file *f, s64 offset, int whence);
    s64 (*ioctl)(struct file *f, u32 cmd, u64 arg);
    unsigned (*poll)(struct file *f, struct poll_set *ps); /* what is ready now */
    /* Directories: calls emit(arg, name, len, ino, type, next_pos) from *pos on until it says stop (non-zero). */
    int (*iterate)(struct file *f, u64 *pos,
                   int (*emit)(void *arg, const char *name, size_t len, u64 ino, unsigned dtype, u64 next), void *arg);
    int (*fsync)(struct file *f);
    int (*sync)(void *priv); /* a device: the same, without an open file */
    /* What mmap maps: *object with a reference. NULL: -ENODEV. */
    int (*mmap)(struct file *f, u64 offset, u64 len, bool shared, struct vm_object **object);
    s64 (*fcntl)(struct file *f, u32 cmd, u64 arg); /* pipe sizes, seals; -EINVAL when unknown */
};

struct file {
    struct refcount refs;
    const struct file_ops *ops;
    struct dentry *dentry;   /* NULL: pipes, sockets, … */
    struct vnode *vnode;
    _Atomic u32 flags;       /* O_* without creation flags */
    bool readable, writable;
    bool counts_writer;      /* it is one of vnode->writers */
    bool stream;             /* no position: pipes, terminals */
    bool watched;            /* it has ever had epoll_links; set with a reference held, and stays */
    struct mutex pos_lock;   /* RANK_FILE */
    u64 pos;
    void *priv;
    struct list epoll_links; /* who watches it: epoll.c */
};

/* A file without a name (pipe, eventfd, …), or for dentry d (a reference is taken). */
struct file *file_create(const struct file_ops *ops, struct dentry *d, struct vnode *v, u32 flags) __must_check;
void file_get(struct file *f);
void file_put(struct file *f); /* the last one releases; may sleep */
/* open(2) by a kernel string. */
int file_open(int dirfd, const char *path, u32 flags, u32 mode, struct file **out) __must_check;
#define FILE_EXEC 040000000u /* an open flag of the kernel's own: a regular file that may be executed */
int file_open_exec(int dirfd, const char *path, int at_flags, struct file **out) __must_check; /* execveat's */
bool file_table_shared(struct file_table *t); /* with another process */
/* A file in dir's file system that has no name there (`name` is for /proc); flags: O_RDWR and such. */
int file_create_unnamed(struct dentry *dir, const char *name, u32 flags, u32 mode, struct file **out) __must_check;
int file_open_dentry(struct dentry *d, u32 flags, struct file **out) __must_check;
/* With the file's position, or at a given one. Bytes or an error. SIGPIPE is the caller's business in sys/. */
ssize_t file_read(struct file *f, struct uio *u);
ssize_t file_write(struct file *f, struct uio *u);
ssize_t file_pread(struct file *f, struct uio *u, u64 pos);
ssize_t file_pwrite(struct file *f, struct uio *u, u64 pos);
/* lseek for SEEK_SET, _CUR, _END, against f->pos and this size; does not set the position. */
s64 file_seek_plain(struct file *f, s64 offset, int whence, u64 size);
/* The kernel's own reading (exec): all n bytes at pos or fewer at the end of file. */
ssize_t file_read_kernel(struct file *f, void *buf, size_t n, u64 pos);

/* ---- file tables: table.c ---- */
struct file_table; /* refcounted; shared by CLONE_FILES */
struct file_table *file_table_create(void) __must_check;
struct file_table *file_table_copy(struct file_table *t) __must_check; /* fork */
/* The same in two steps, of which the second cannot fail. */
struct file_table *file_table_create_blank(void) __must_check;
void file_table_fill(struct file_table *blank, struct file_table *from);
void file_table_get(struct file_table *t);
void file_table_put(struct file_table *t); /* the last one closes all */
void file_table_close_on_exec(struct file_table *t);
/* Of the running process. */
struct file *fd_get(int fd);                             /* with a reference, or NULL (-EBADF) */
int fd_alloc(struct file *f, int lowest, bool cloexec);  /* installs (takes over the reference): the number, -EMFILE, -ENOMEM */
/* Whether there is a number for one more file: 0, -EMFILE, -ENOMEM. For what could not be undone if fd_give failed, as it then
 * does only if another thread was faster. */
int fd_room(void);
int fd_give(struct file *f, bool cloexec);               /* the same, from 0 on; the file is dropped if there is no room */
int fd_install_at(int fd, struct file *f, bool cloexec); /* dup3's: closes what was there; takes over on success */
int fd_close(int fd);
int fd_get_cloexec(int fd);
int fd_set_cloexec(int fd, bool on);
/* The first open number >= from, with a reference to its file; -1 at the end. Of the running process: who drops the last
 * reference to another's file closes it, with whatever locks he holds. */
int file_table_next(struct file_table *t, int from, struct file **out);
/* The same for /proc, without a reference: fn is called with the table's lock, which keeps the file. */
int file_table_look(struct file_table *t, int from, void (*fn)(struct file *f, void *arg), void *arg);

/* ---- where paths start ---- */
struct fs_context {
    struct refcount refs;
    struct spinlock lock; /* RANK_FS_SPIN */
    struct dentry *root, *cwd;
    u32 umask;
};
struct fs_context *fs_context_create(void) __must_check; /* at the root */
struct fs_context *fs_context_copy(struct fs_context *c) __must_check;
void fs_context_get(struct fs_context *c);
void fs_context_put(struct fs_context *c);
void fs_context_set(struct dentry *d, bool root); /* of the running process: its root or working directory */
/* fs/lock.c: closing a descriptor gives up the process's ranges (owner), the last close of a file its flock. */
void file_locks_drop(struct file *f, const void *owner);
void process_locks_drop(struct process *p); /* fcntl's, of a process that ends */
struct dentry *fs_root_get(void), *fs_cwd_get(void); /* the running process's, with references */

/* ---- pipes, memory files ---- */
int pipe_create(struct file **reader, struct file **writer, u32 flags) __must_check;
bool pipe_is(const struct file *f);
/* Bytes that fit now: waits until some do, or does not (-EAGAIN); -EPIPE, -ERESTARTSYS. */
ssize_t pipe_wait_room(struct file *f, bool wait) __must_check;
/* Copies up to n bytes without taking them out; 0: the end; -EAGAIN, -ERESTARTSYS. After a result above 0 nobody else reads
 * until pipe_consume has said how many of them are taken. */
ssize_t pipe_peek(struct file *f, void *buf, size_t n, bool wait) __must_check;
void pipe_consume(struct file *f, size_t n);
/* A dentry for a pipe's vnode, which has none, for /proc/PID/fd: opening it opens the pipe. */
int pipe_dentry(struct vnode *v, struct dentry **out) __must_check;
void pipe_drop_fifo(struct vnode *v); /* the FIFO itself goes */
int pipe_open_fifo(struct file *f); /* from file_open of an S_IFIFO vnode */
void fs_vm_hooks_init(void); /* vm_tag_ops: a mapping's tag is its struct file */
