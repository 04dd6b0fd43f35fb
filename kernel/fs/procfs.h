/*
 * /proc. Its names are made up when they are looked up. A file's text is made
 * whole when it is read from its beginning, and served from there.
 *
 * What is shown of a process may be old when it is read, but never of another
 * process: a node holds a reference to the process (and the thread) it is about.
 */
#pragma once
#include "fs/file.h"
#include "proc/process.h"

/* Text that grows. Once memory has run out it stays as it is and failed is set. A file about memory is about that which the
 * process had when it was opened (vm_id), as what it has by the time of the reading may be another program's; while it is
 * made vm is that, with a reference, or NULL if it has gone. */
struct text {
    u64 vm_id;
    struct vmspace *vm;
    char *buf;
    size_t len, size;
    bool failed;
};
void text_add(struct text *t, const char *fmt, ...) __printf_like(2, 3);
void text_add_bytes(struct text *t, const void *bytes, size_t n);
/* A string in which the bytes of `special` are written as a backslash and three octal digits. */
void text_add_escaped(struct text *t, const char *s, const char *special);

enum proc_kind { PROC_ENTRY, PROC_ROOT, PROC_PROCESS, PROC_TASK_DIR, PROC_TASK, PROC_FD_DIR, PROC_FD, PROC_FDINFO_DIR,
                 PROC_FDINFO };

/* What a name in /proc or /proc/PID is. Where there is no process, p is NULL. */
struct proc_entry {
    const char *name;
    u32 mode;
    enum proc_kind kind;  /* PROC_ENTRY: one of the following; else a directory of its own kind */
    bool guarded;         /* only for who may look into the process */
    bool write_unlocked;  /* written without the file's position lock: not opened for reading at the same time */
    bool memory;          /* about an address space: text->vm, or the vm given */
    bool process_only;    /* not in /proc/PID/task/TID */
    int (*show)(struct text *t, struct process *p);                             /* a file */
    int (*show_thread)(struct text *t, struct process *p, struct thread *only); /* NULL: of the whole process */
    int (*write)(struct process *p, const char *text);                          /* its new value; 0 or an error */
    int (*write_thread)(struct process *p, struct thread *only, const char *text); /* instead; of the leader, if of none */
    ssize_t (*read)(struct vmspace *vm, struct uio *u, u64 *pos);               /* a file that is no text; instead of show */
    ssize_t (*write_bytes)(struct vmspace *vm, struct uio *u, u64 *pos);         /* … and is written like this */
    ssize_t (*link)(struct process *p, char *buf, size_t n);                    /* a symbolic link: its text */
    int (*follow)(struct process *p, struct dentry **out);                      /* … and where it leads */
    const struct proc_entry *children;                                          /* a directory: ends with a NULL name */
};
extern const struct proc_entry proc_root_entries[];    /* procfs_system.c */
extern const struct proc_entry proc_process_entries[]; /* procfs_process.c */

/* What a vnode of /proc stands for (vnode->priv). */
struct proc_node {
    enum proc_kind kind;
    const struct proc_entry *entry;
    struct process *process; /* with a reference, or NULL */
    struct thread *thread;   /* with a reference, or NULL */
    int fd;
};

extern const struct file_ops proc_text_ops; /* procfs_text.c */
bool proc_may_look(struct process *p);      /* may the running process look into p? */
struct cred proc_cred(struct process *p);   /* as it is now */

int proc_show_mounts(struct text *t, struct process *p);

/* ---- procfs_memory.c ---- */
int proc_show_cmdline(struct text *t, struct process *p), proc_show_environ(struct text *t, struct process *p);
int proc_show_maps(struct text *t, struct process *p), proc_show_smaps(struct text *t, struct process *p);
int proc_show_smaps_rollup(struct text *t, struct process *p);
ssize_t proc_read_pagemap(struct vmspace *vm, struct uio *u, u64 *pos);
ssize_t proc_read_mem(struct vmspace *vm, struct uio *u, u64 *pos), proc_write_mem(struct vmspace *vm, struct uio *u, u64 *pos);
ssize_t proc_read_kpagecount(struct vmspace *vm, struct uio *u, u64 *pos);
ssize_t proc_read_kpageflags(struct vmspace *vm, struct uio *u, u64 *pos);

/* ---- procfs_files.c: exe, cwd, root, descriptors ---- */
ssize_t proc_exe_link(struct process *p, char *buf, size_t n), proc_cwd_link(struct process *p, char *buf, size_t n);
ssize_t proc_root_link(struct process *p, char *buf, size_t n);
int proc_exe_follow(struct process *p, struct dentry **out), proc_cwd_follow(struct process *p, struct dentry **out);
int proc_root_follow(struct process *p, struct dentry **out);
bool proc_fd_exists(struct process *p, int fd);
int proc_fd_next(struct process *p, int from); /* the first open number >= from; -1: none */
int proc_fd_follow(struct process *p, int fd, struct dentry **out);
ssize_t proc_fd_link(struct process *p, int fd, char *buf, size_t n);
int proc_fd_show(struct text *t, struct process *p, int fd); /* fdinfo */
u32 proc_umask(struct process *p);

#ifdef COWSLIP_DEBUG /* procfs_debug.c */
int proc_show_fail_nth(struct text *t, struct process *p, struct thread *only);
int proc_write_fail_nth(struct process *p, struct thread *only, const char *text);
int proc_show_allocations(struct text *t, struct process *p);
#endif
