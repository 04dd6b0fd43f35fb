/*
 * Pseudoterminals: /dev/ptmx opens a master, /dev/pts/N is the terminal at its
 * other end. What is written to the master is typed at the terminal; what the
 * terminal shows is read from the master.
 *
 * A pty lives as long as one of its files, and as long has its number, which is its
 * place in ptys. When the master is closed its name goes and the terminal is hung up.
 *
 * Locks: ptys_lock (RANK_PTY) for the table and the names; a master's typing (the
 * same rank) keeps its writers apart; the terminal's lock for its shown bytes and
 * for who has it open.
 */
#include "dev/console.h"
#include "fs/tty.h"
#include "lib/print.h"
#include "lib/string.h"
#include "proc/process.h"
#include "vm/kmem.h"
#include "vm/uaccess.h"

#define PTYS_MAX 256u
#define SHOWN 16384u
#define PIECE 256u
#define TTY_GROUP 5u /* Debian's group tty: may write to others' terminals */
#define DEVPTS_MAGIC 0x1cd1
enum { TIOCGPTN = 0x80045430, TIOCSPTLCK = 0x40045431, TIOCGPTLCK = 0x80045439, TIOCGPTPEER = 0x5441, TIOCSIG = 0x40045436 };

struct pty {
    struct tty tty;             /* the slave's */
    struct refcount refs;       /* files */
    struct mutex typing;        /* RANK_PTY */
    unsigned index, slaves;     /* slaves: open files of the terminal; tty.lock */
    bool master, opened;        /* the master is open; the terminal has ever been; tty.lock */
    bool locked;                /* until TIOCSPTLCK */
    struct dentry *name;        /* until the master is closed */
    const struct vnode *node;   /* its vnode, to be compared only */
    u64 shown_head, shown_tail; /* tty.lock */
    u8 shown[SHOWN];
    struct waitq data, room;    /* the master's: something was shown, there is room for what is typed */
    struct waitq shown_room;    /* the terminal's writers */
};

static struct mutex ptys_lock;
static struct pty *ptys[PTYS_MAX]; /* ptys_lock */
static struct superblock devpts = {.type = "devpts", .magic = DEVPTS_MAGIC, .dev = 19, .kept = true};
static struct dentry *devpts_root;
static const struct vnode_ops node_ops = {0};

static struct pty *pty_of(struct tty *t)
{
    return container_of(t, struct pty, tty);
}

static void pty_put(struct pty *p)
{
    if (!ref_put(&p->refs))
        return;
    mutex_lock(&ptys_lock);
    ptys[p->index] = NULL;
    mutex_unlock(&ptys_lock);
    kmem_free(p);
}

/* ---- the terminal's driver ---- */

static size_t shown_room(const struct pty *p)
{
    return SHOWN - (size_t)(READ_ONCE(p->shown_head) - READ_ONCE(p->shown_tail));
}

static bool show(struct tty *t, const void *buf, size_t n)
{
    struct pty *p = pty_of(t);
    size_t at = p->shown_head % SHOWN, part = MIN(n, SHOWN - at);

    if (shown_room(p) < n)
        return false;
    memcpy(p->shown + at, buf, part);
    memcpy(p->shown, (const u8 *)buf + part, n - part);
    p->shown_head += n;
    return true;
}

static void was_shown(struct tty *t)
{
    waitq_wake_all(&pty_of(t)->data);
}

static bool can_show(struct tty *t)
{
    return shown_room(pty_of(t)) >= CONSOLE_CHUNK;
}

static struct waitq *shown_waitq(struct tty *t)
{
    return &pty_of(t)->shown_room;
}

static int all_sent(struct tty *t)
{
    (void)t;
    return 0;
}

static size_t none_pending(struct tty *t)
{
    (void)t;
    return 0;
}

static void typed_was_taken(struct tty *t)
{
    waitq_wake_all(&pty_of(t)->room);
}

static const struct tty_driver pty_driver = {.write = show,
                                             .written = was_shown,
                                             .ready = can_show,
                                             .waitq = shown_waitq,
                                             .wait_sent = all_sent,
                                             .pending = none_pending,
                                             .input_taken = typed_was_taken};

/* ---- the terminal's files ---- */

bool pty_get(struct tty *t)
{
    struct pty *p = pty_of(t);
    bool alive;

    spin_lock(&t->lock);
    alive = p->master;
    if (alive) {
        p->slaves++;
        p->opened = true;
        ref_get(&p->refs);
    }
    spin_unlock(&t->lock);
    return alive;
}

static int slave_open(struct file *f, void *priv)
{
    unsigned index = (unsigned)(f->vnode->rdev - MKDEV(PTY_MAJOR, 0));
    struct pty *p;
    int err = -EIO;

    (void)priv;
    mutex_lock(&ptys_lock);
    p = ptys[index];
    if (p && p->node == f->vnode && !p->locked && pty_get(&p->tty)) /* else a node of one that had this number before */
        err = 0;
    mutex_unlock(&ptys_lock);
    if (err)
        return err;
    f->priv = &p->tty;
    f->stream = true;
    tty_open_session(&p->tty, f->flags);
    return 0;
}

static void slave_release(struct file *f)
{
    struct tty *t = f->priv;

    if (!t)
        return; /* it could not be opened */
    spin_lock(&t->lock);
    pty_of(t)->slaves--;
    spin_unlock(&t->lock);
    waitq_wake_all(&pty_of(t)->data);
    pty_put(pty_of(t));
}

const struct file_ops pty_slave_ops = {.open = slave_open,
                                       .release = slave_release,
                                       .read = tty_read,
                                       .write = tty_write,
                                       .ioctl = tty_ioctl,
                                       .poll = tty_poll};

/* ---- the master's files ---- */

/* Nobody has the terminal open any more. */
static bool is_deserted(const struct pty *p)
{
    return READ_ONCE(p->opened) && READ_ONCE(p->slaves) == 0;
}

static bool has_shown(const struct pty *p)
{
    return shown_room(p) < SHOWN;
}

static size_t take_shown(struct pty *p, u8 *buf, size_t n)
{
    size_t at, part;

    spin_lock(&p->tty.lock);
    at = p->shown_tail % SHOWN;
    n = MIN(n, (size_t)(p->shown_head - p->shown_tail));
    part = MIN(n, SHOWN - at);
    memcpy(buf, p->shown + at, part);
    memcpy(buf + part, p->shown, n - part);
    p->shown_tail += n;
    spin_unlock(&p->tty.lock);
    return n;
}

/* What there is, up to what is wanted. */
static ssize_t put_shown(struct pty *p, struct uio *u)
{
    size_t done = 0, n, moved;
    u8 buf[PIECE];

    while (u->left > 0 && (n = take_shown(p, buf, MIN(u->left, sizeof buf)))) {
        moved = uio_put(u, buf, n);
        done += moved;
        if (moved < n)
            return done ? (ssize_t)done : -EFAULT;
    }
    return (ssize_t)done;
}

static ssize_t master_read(struct file *f, struct uio *u, u64 *pos)
{
    struct pty *p = f->priv;
    ssize_t n = 0;
    int err = 0;

    (void)pos;
    while (u->left > 0 && n == 0 && !err) { /* again if another reader was faster */
        bool deserted = is_deserted(p); /* before: then nothing is shown after what is taken now */

        n = put_shown(p, u);
        if (n == 0 && deserted)
            err = -EIO;
        else if (n == 0)
            err = f->flags & O_NONBLOCK ? -EAGAIN
                  : wait_event(&p->data, has_shown(p) || is_deserted(p), SLEEP_INTERRUPTIBLE, UINT64_MAX);
    }
    waitq_wake_all(&p->shown_room);
    return err ? err : n;
}

/* A piece, as much as there is room for; 0: none. */
static size_t type(struct pty *p, struct uio *u, size_t *moved)
{
    u8 buf[PIECE];
    size_t n;

    mutex_lock(&p->typing);
    n = MIN(MIN(u->left, sizeof buf), tty_input_room(&p->tty));
    *moved = n ? uio_get(u, buf, n) : 0;
    if (*moved)
        tty_input(&p->tty, buf, *moved);
    mutex_unlock(&p->typing);
    return n;
}

static ssize_t master_write(struct file *f, struct uio *u, u64 *pos)
{
    struct pty *p = f->priv;
    size_t done = 0, moved;
    int err = 0;

    (void)pos;
    while (u->left > 0 && !err) {
        size_t n = type(p, u, &moved);

        done += moved;
        if (moved < n)
            err = -EFAULT;
        else if (n == 0)
            err = f->flags & O_NONBLOCK ? -EAGAIN
                  : wait_event(&p->room, tty_input_room(&p->tty) > 0, SLEEP_INTERRUPTIBLE, UINT64_MAX);
    }
    return done ? (ssize_t)done : err;
}

static unsigned master_poll(struct file *f, struct poll_set *ps)
{
    struct pty *p = f->priv;

    poll_set_add(ps, &p->data);
    poll_set_add(ps, &p->room);
    return (has_shown(p) ? POLLIN | POLLRDNORM : 0) | (tty_input_room(&p->tty) ? POLLOUT | POLLWRNORM : 0) |
           (is_deserted(p) ? POLLHUP : 0);
}

static int put_number(vaddr_t arg, u32 v)
{
    return put_user(arg, &v);
}

static int set_locked(struct pty *p, vaddr_t arg)
{
    u32 locked;

    if (get_user(&locked, arg))
        return -EFAULT;
    p->locked = locked;
    return 0;
}

/* The terminal as opened by its name, but locked or not, and wherever its name is mounted. */
static int open_peer(struct pty *p, u32 flags)
{
    struct file *f = file_create(NULL, p->name, p->name->vnode, flags & (O_ACCMODE | O_NONBLOCK | O_NOCTTY));

    if (!f)
        return -ENOMEM;
    if (!pty_get(&p->tty)) {
        file_put(f);
        return -EIO;
    }
    f->ops = &pty_slave_ops;
    f->priv = &p->tty;
    f->stream = true;
    tty_open_session(&p->tty, flags);
    return fd_give(f, flags & O_CLOEXEC);
}

static int signal_group(struct pty *p, u64 signo)
{
    u32 group = tty_foreground(&p->tty);

    if (signo != SIGINT && signo != SIGQUIT && signo != SIGTSTP)
        return -EINVAL; /* what could be typed */
    if (group)
        signal_send_pgrp(group, (int)signo, NULL);
    return 0;
}

static s64 master_ioctl(struct file *f, u32 cmd, u64 arg)
{
    struct pty *p = f->priv;

    switch (cmd) {
    case TIOCGPTN:
        return put_number(arg, p->index);
    case TIOCSPTLCK:
        return set_locked(p, arg);
    case TIOCGPTLCK:
        return put_number(arg, p->locked);
    case TIOCGPTPEER:
        return open_peer(p, (u32)arg);
    case TIOCSIG:
        return signal_group(p, arg);
    case FIONREAD:
        return put_number(arg, (u32)(SHOWN - shown_room(p)));
    case TIOCOUTQ:
        return put_number(arg, 0);
    case TIOCGPGRP:
    case TIOCGSID:
        return tty_job_ioctl_master(&p->tty, cmd, arg);
    }
    return tty_ioctl_settings(&p->tty, cmd, arg);
}

/* ---- coming and going ---- */

/* /dev/pts/N; ptys_lock held. */
static int name_add(struct pty *p)
{
    struct vnode *v = vnode_create(&devpts, &node_ops, S_IFCHR | 0620);
    char name[8];
    int n = snprintf(name, sizeof name, "%u", p->index);

    if (!v)
        return -ENOMEM;
    v->rdev = p->tty.rdev;
    v->uid = current_process()->cred.fsuid;
    v->gid = TTY_GROUP;
    p->name = dentry_create(devpts_root, name, (size_t)n, v);
    p->node = v;
    vnode_put(v);
    if (!p->name)
        return -ENOMEM;
    mutex_lock(&devpts_root->vnode->lock);
    dentry_link(p->name);
    mutex_unlock(&devpts_root->vnode->lock);
    return 0;
}

static void name_remove(struct pty *p)
{
    mutex_lock(&devpts_root->vnode->lock);
    p->name->vnode->nlink = 0;
    dentry_unlink(p->name);
    mutex_unlock(&devpts_root->vnode->lock);
    dentry_put(p->name);
}

static int enter(struct pty *p)
{
    int err = -ENOSPC;

    mutex_lock(&ptys_lock);
    for (p->index = 0; p->index < PTYS_MAX && ptys[p->index];)
        p->index++;
    if (p->index < PTYS_MAX) {
        p->tty.rdev = MKDEV(PTY_MAJOR, p->index);
        err = name_add(p);
    }
    if (!err)
        ptys[p->index] = p;
    mutex_unlock(&ptys_lock);
    return err;
}

static int master_open(struct file *f, void *priv)
{
    struct pty *p = kmem_zalloc(sizeof *p);
    int err;

    (void)priv;
    if (!p)
        return -ENOMEM;
    ref_init(&p->refs);
    mutex_init(&p->typing, "a pseudoterminal's master", RANK_PTY);
    tty_start(&p->tty, &pty_driver, 0);
    p->locked = p->master = true;
    waitq_init(&p->data);
    waitq_init(&p->room);
    waitq_init(&p->shown_room);
    err = enter(p);
    if (err) {
        kmem_free(p);
        return err;
    }
    f->priv = p;
    f->stream = true;
    return 0;
}

static void master_release(struct file *f)
{
    struct pty *p = f->priv;

    if (!p)
        return;
    spin_lock(&p->tty.lock);
    p->master = false; /* nobody opens it any more */
    p->tty.hung_up = true;
    spin_unlock(&p->tty.lock);
    mutex_lock(&ptys_lock);
    name_remove(p);
    mutex_unlock(&ptys_lock);
    waitq_wake_all(&p->tty.readable);
    waitq_wake_all(&p->shown_room);
    tty_hangup(&p->tty);
    pty_put(p);
}

static const struct file_ops master_ops = {.open = master_open,
                                           .release = master_release,
                                           .read = master_read,
                                           .write = master_write,
                                           .ioctl = master_ioctl,
                                           .poll = master_poll};

void pty_init(void)
{
    device_register("ptmx", MKDEV(5, 2), S_IFCHR | 0666, &master_ops, NULL);
    device_register_range(MKDEV(PTY_MAJOR, 0), PTYS_MAX, &pty_slave_ops);
}

/* The only one. */
struct superblock *devpts_create(struct dentry **root)
{
    struct vnode *v;

    devpts.next_ino = 1;
    mutex_init(&ptys_lock, "pseudoterminals", RANK_PTY);
    v = vnode_create(&devpts, &node_ops, S_IFDIR | 0755);
    if (!v)
        return NULL;
    v->file_ops = &ramfs_dir_ops;
    *root = devpts_root = dentry_create(NULL, "", 0, v);
    vnode_put(v);
    return *root ? &devpts : NULL;
}
