/*
 * Who runs a program keeps it from being written: its vnode's count of writers is
 * below zero by as many as run it, and above zero while it is open for writing.
 */
#include "fs/file.h"
#include "lib/errno.h"
#include "proc/process.h"

int process_exe_deny(struct file *f)
{
    s32 n = atomic_load(&f->vnode->writers);

    do {
        if (n > 0)
            return -ETXTBSY;
    } while (!atomic_compare_exchange_weak(&f->vnode->writers, &n, n - 1));
    return 0;
}

struct file *process_exe_get(struct file *f)
{
    atomic_fetch_sub(&f->vnode->writers, 1); /* it is below zero already */
    file_get(f);
    return f;
}

void process_exe_put(struct file *f)
{
    atomic_fetch_add(&f->vnode->writers, 1);
    file_put(f);
}
