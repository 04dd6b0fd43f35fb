/*
 * /proc. Its names are made up when they are looked up. A file's text is made
 * whole when it is first read, and served from there.
 */
#pragma once
#include "fs/file.h"
#include "proc/process.h"

/* Text that grows. Once memory has run out it stays as it is and failed is set. */
struct text {
    char *buf;
    size_t len, size;
    bool failed;
};
void text_add(struct text *t, const char *fmt, ...) __printf_like(2, 3);
void text_add_bytes(struct text *t, const void *bytes, size_t n);

/* What a name in /proc or /proc/PID is. */
struct proc_entry {
    const char *name;
    u32 mode;
    int (*show)(struct text *t, struct process *p);           /* a file; p: of /proc/PID */
    ssize_t (*link)(struct process *p, char *buf, size_t n);  /* a symbolic link: its text */
    int (*follow)(struct process *p, struct dentry **out);    /* … and where it leads */
    int (*write)(const char *text);                           /* a file that is written: its new value; 0 or an error */
    const struct proc_entry *children;                        /* a directory: ends with a NULL name */
};
extern const struct proc_entry proc_root_entries[];    /* procfs_system.c */
extern const struct proc_entry proc_process_entries[]; /* procfs_process.c */

int proc_show_mounts(struct text *t, struct process *p);

/* /proc/PID/fd/N */
int proc_fd_follow(struct process *p, int fd, struct dentry **out);
ssize_t proc_fd_link(struct process *p, int fd, char *buf, size_t n);
