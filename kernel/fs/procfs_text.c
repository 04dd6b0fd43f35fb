/*
 * The files of /proc: text that is made when it is read from its beginning, and
 * values that are written. The text belongs to the open file; vnode->lock keeps
 * two readers of it apart.
 */
#include "fs/procfs.h"
#include "lib/string.h"
#include "vm/kmem.h"
#include "vm/vm.h"

#define WRITE_MAX 128

void text_add_bytes(struct text *t, const void *bytes, size_t n)
{
    while (!t->failed && t->len + n + 1 > t->size) {
        size_t bigger = t->size ? t->size * 2 : 1024;
        char *buf = t->buf ? kmem_resize(t->buf, t->len, bigger) : kmem_alloc(bigger);

        if (!buf) {
            t->failed = true;
            return;
        }
        t->buf = buf;
        t->size = bigger;
    }
    if (t->failed)
        return;
    memcpy(t->buf + t->len, bytes, n);
    t->len += n;
}

void text_add(struct text *t, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    text_add_bytes(t, line, MIN((size_t)n, sizeof line - 1));
}

void text_add_escaped(struct text *t, const char *s, const char *special)
{
    size_t plain = 0;

    for (;; s += plain + 1, plain = 0) {
        while (s[plain] && !strchr(special, s[plain]))
            plain++;
        text_add_bytes(t, s, plain);
        if (!s[plain])
            return;
        text_add(t, "\\%03o", (unsigned)(u8)s[plain]);
    }
}

static int show(struct text *t, const struct proc_node *n)
{
    if (n->kind == PROC_FDINFO)
        return proc_fd_show(t, n->process, n->fd);
    if (n->entry->show_thread)
        return n->entry->show_thread(t, n->process, n->thread);
    return n->entry->show ? n->entry->show(t, n->process) : -EINVAL;
}

static void text_drop(struct text *t)
{
    kmem_free(t->buf);
    t->buf = NULL;
    t->len = t->size = 0;
    t->failed = false;
}

/* What the open file is about, with a reference; NULL: it has gone, or this is no file about memory. */
static struct vmspace *memory_of(struct file *f)
{
    const struct proc_node *n = f->vnode->priv;
    const struct text *t = f->priv;
    struct vmspace *vm = t->vm_id ? process_vm_get(n->process) : NULL;

    if (vm && vm->id != t->vm_id) {
        vmspace_put(vm);
        vm = NULL;
    }
    return vm;
}

static void memory_put(struct vmspace *vm)
{
    if (vm)
        vmspace_put(vm);
}

static int text_make(struct file *f)
{
    struct text *t = f->priv;
    int err;

    t->vm = memory_of(f);
    err = show(t, f->vnode->priv);
    memory_put(t->vm);
    t->vm = NULL;
    if (!err && t->failed)
        err = -ENOMEM;
    if (err)
        text_drop(t);
    return err;
}

static ssize_t read_locked(struct file *f, struct uio *u, u64 *pos)
{
    struct text *t = f->priv;
    size_t moved;
    int err = 0;

    if (*pos == 0)
        text_drop(t); /* made anew when a reader begins again */
    if (!t->buf)
        err = text_make(f);
    if (err)
        return err;
    if (*pos >= t->len || u->left == 0)
        return 0;
    moved = uio_put(u, t->buf + *pos, MIN(u->left, t->len - *pos));
    *pos += moved;
    return moved ? (ssize_t)moved : -EFAULT;
}

static ssize_t proc_read(struct file *f, struct uio *u, u64 *pos)
{
    const struct proc_node *node = f->vnode->priv;
    ssize_t n;

    if (node->kind == PROC_ENTRY && node->entry->read) {
        struct vmspace *vm = memory_of(f);

        n = node->entry->read(vm, u, pos);
        memory_put(vm);
        return n;
    }
    mutex_lock(&f->vnode->lock);
    n = read_locked(f, u, pos);
    mutex_unlock(&f->vnode->lock);
    return n;
}

/* A value is written at once. */
static ssize_t proc_write(struct file *f, struct uio *u, u64 *pos)
{
    struct proc_node *n = f->vnode->priv;
    char text[WRITE_MAX];
    size_t len, taken;
    int err;

    if (n->kind == PROC_ENTRY && n->entry->write_bytes) {
        struct vmspace *vm = memory_of(f);
        ssize_t done = n->entry->write_bytes(vm, u, pos);

        memory_put(vm);
        return done;
    }
    if (n->kind != PROC_ENTRY || !(n->entry->write || n->entry->write_thread))
        return -EACCES;
    if (n->entry->guarded && !proc_may_look(n->process)) /* it may have got other rights since */
        return -EACCES;
    if (u->left >= sizeof text)
        return -EINVAL;
    len = u->left;
    taken = uio_get(u, text, len);
    if (taken < len)
        return -EFAULT;
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
        len--;
    text[len] = 0;
    err = n->entry->write ? n->entry->write(n->process, text) : n->entry->write_thread(n->process, n->thread, text);
    return err ? err : (ssize_t)taken;
}

/* Who may look is asked when the address space is at hand: exec takes on the rights of a program first, then its memory. */
static int open_checked(struct file *f, struct text *t)
{
    struct proc_node *n = f->vnode->priv;
    struct vmspace *vm;

    if (n->kind == PROC_FDINFO)
        return proc_may_look(n->process) ? 0 : -EACCES;
    if (n->entry->memory && (vm = process_vm_get(n->process))) {
        t->vm_id = vm->id;
        vmspace_put(vm);
    }
    if (n->entry->guarded && !proc_may_look(n->process))
        return -EACCES;
    if (n->entry->write_unlocked && f->readable && f->writable)
        return -EINVAL;
    f->stream = !f->readable && !n->entry->write_bytes; /* a value that is written has no position */
    return 0;
}

static void text_free(struct text *t)
{
    text_drop(t);
    kmem_free(t);
}

static int proc_open(struct file *f, void *priv)
{
    struct text *t = kmem_zalloc(sizeof *t);
    int err;

    (void)priv;
    if (!t)
        return -ENOMEM;
    err = open_checked(f, t);
    if (err)
        text_free(t);
    else
        f->priv = t;
    return err;
}

static void proc_release(struct file *f)
{
    if (f->priv)
        text_free(f->priv);
}

static s64 proc_seek(struct file *f, s64 offset, int whence)
{
    return file_seek_plain(f, offset, whence, 0);
}

const struct file_ops proc_text_ops = {
    .open = proc_open, .read = proc_read, .write = proc_write, .seek = proc_seek, .release = proc_release};
