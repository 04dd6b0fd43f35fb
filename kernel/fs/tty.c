/*
 * The console's terminal: reading, writing, settings, job control.
 *
 * Signals are sent with no lock of the terminal held, as they take process_lock.
 */
#include "fs/tty.h"
#include "dev/console.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "proc/process.h"
#include "sys/syscall.h"
#include "vm/uaccess.h"

enum {
    TCGETS = 0x5401, TCSETS, TCSETSW, TCSETSF, TCSBRK = 0x5409, TCXONC, TCFLSH, TIOCEXCL, TIOCNXCL, TIOCSCTTY,
    TIOCGPGRP, TIOCSPGRP, TIOCOUTQ, TIOCGWINSZ = 0x5413, TIOCSWINSZ, FIONREAD = 0x541b, TIOCNOTTY = 0x5422,
    TCSBRKP = 0x5425, TIOCGSID = 0x5429
};
#define NS_PER_DECISECOND 100000000ul

static struct tty console; /* the only one so far */

/* ---- input ---- */

/* What is left when one more line and its end must still fit. */
size_t tty_input_room(void)
{
    u64 used = console.head - console.tail;

    return used + 2 < TTY_RING ? TTY_RING - 2 - used : 0;
}

static void carry_out(struct tty *t, const struct tty_effects *e)
{
    for (u64 left = e->signals; left; left &= left - 1)
        if (t->foreground)
            signal_send_pgrp(t->foreground, __builtin_ctzl(left) + 1, NULL);
    if (e->readable)
        waitq_wake_all(&t->readable);
    if (e->resumed)
        waitq_wake_all(&t->writable);
}

void tty_input(const u8 *buf, size_t n)
{
    struct tty_effects e = {0};

    spin_lock(&console.lock);
    for (size_t i = 0; i < n; i++)
        line_input(&console, buf[i], &e);
    spin_unlock(&console.lock);
    carry_out(&console, &e);
}

void tty_set_window(u16 rows, u16 columns)
{
    bool changed;

    spin_lock(&console.lock);
    changed = console.window.rows != rows || console.window.columns != columns;
    console.window.rows = rows;
    console.window.columns = columns;
    spin_unlock(&console.lock);
    if (changed && console.foreground)
        signal_send_pgrp(console.foreground, SIGWINCH, NULL);
}

/* ---- job control ---- */

static bool in_background(struct tty *t)
{
    struct process *p = current_process();

    return t->session && t->session == p->session && t->foreground != p->pgid;
}

static bool blocks_or_ignores(int signo)
{
    return (current->sigmask & SIG_BIT(signo)) || signal_action_get(current_process(), signo).handler == SIG_IGN;
}

/* A background process that reads or (if forbidden) writes is stopped. 0: it may. */
static int background_check(struct tty *t, int signo)
{
    struct process *p = current_process();

    if (!in_background(t))
        return 0;
    if (blocks_or_ignores(signo))
        return signo == SIGTTIN ? -EIO : 0;
    if (pgrp_is_orphaned(p->pgid))
        return -EIO;
    signal_send_pgrp(p->pgid, signo, NULL);
    return -ERESTARTSYS;
}

void tty_hangup_session(struct process *leader)
{
    struct tty *t = &console;
    u32 group = 0;

    spin_lock(&process_lock);
    if (t->session && t->session == leader->session) {
        group = t->foreground;
        t->session = NULL;
        t->foreground = 0;
        leader->session->tty = NULL;
    }
    spin_unlock(&process_lock);
    if (group) {
        signal_send_pgrp(group, SIGHUP, NULL);
        signal_send_pgrp(group, SIGCONT, NULL);
    }
}

/* A session leader without a terminal gets this one, if it is free (or root insists). */
static int take_controlling(struct tty *t, bool force)
{
    struct process *p = current_process();
    int err = 0;

    spin_lock(&process_lock);
    if (p->session->sid != p->pid || (p->session->tty && p->session->tty != t))
        err = -EPERM;
    else if (t->session && t->session != p->session && !(force && p->cred.euid == 0))
        err = -EPERM;
    else if (t->session != p->session) {
        if (t->session)
            t->session->tty = NULL;
        t->session = p->session;
        p->session->tty = t;
        t->foreground = p->pgid;
    }
    spin_unlock(&process_lock);
    return err;
}

static int set_foreground(struct tty *t, vaddr_t arg)
{
    struct process *p = current_process();
    s32 pgid;
    int err = get_user(&pgid, arg);

    if (err)
        return err;
    if (!t->session || t->session != p->session)
        return -ENOTTY;
    err = background_check(t, SIGTTOU);
    if (err)
        return err;
    if (pgid <= 0)
        return -EINVAL;
    if (!pgrp_in_session((u32)pgid, p->session))
        return -EPERM;
    t->foreground = (u32)pgid;
    return 0;
}

u32 tty_number(struct tty *t)
{
    return t ? (u32)MKDEV(5, 1) : 0;
}

u32 tty_foreground(struct tty *t)
{
    return t ? t->foreground : 0;
}

/* ---- reading ---- */

/* Is there something to return for these settings? */
static bool readable_now(struct tty *t, size_t want)
{
    bool eof, ready;
    size_t n;

    spin_lock(&t->lock);
    n = line_available(t, &eof);
    ready = n > 0 || eof;
    if (!(t->termios.lflag & ICANON))
        ready = n >= want;
    spin_unlock(&t->lock);
    return ready;
}

static size_t bytes_ready(struct tty *t)
{
    bool eof;
    size_t n;

    spin_lock(&t->lock);
    n = line_available(t, &eof);
    spin_unlock(&t->lock);
    return n;
}

/* Sleeps as VMIN and VTIME ask. 0: look now. */
static int wait_for_input(struct tty *t, size_t n)
{
    u8 min = t->termios.cc[VMIN], time = t->termios.cc[VTIME];
    size_t want, had;
    int err;

    if (t->termios.lflag & ICANON)
        return wait_event(&t->readable, readable_now(t, 1), SLEEP_INTERRUPTIBLE, UINT64_MAX);
    want = MIN((size_t)min, n);
    if (min == 0) {
        if (time == 0)
            return 0;
        err = wait_event(&t->readable, readable_now(t, 1), SLEEP_INTERRUPTIBLE,
                         arch_time_ns() + time * NS_PER_DECISECOND);
        return err == -ETIMEDOUT ? 0 : err;
    }
    if (time == 0)
        return wait_event(&t->readable, readable_now(t, want), SLEEP_INTERRUPTIBLE, UINT64_MAX);
    err = wait_event(&t->readable, readable_now(t, 1), SLEEP_INTERRUPTIBLE, UINT64_MAX);
    do { /* the timer starts anew with each byte */
        had = bytes_ready(t);
        if (!err && had < want)
            err = wait_event(&t->readable, readable_now(t, had + 1), SLEEP_INTERRUPTIBLE,
                             arch_time_ns() + time * NS_PER_DECISECOND);
    } while (!err && had < want);
    return err == -ETIMEDOUT ? 0 : err;
}

/* Copies out what is there, no more than a line in canonical mode. Only this reader moves tail. */
static ssize_t take(struct tty *t, struct uio *u)
{
    size_t done = 0, n;
    bool eof;

    spin_lock(&t->lock);
    n = line_available(t, &eof);
    spin_unlock(&t->lock);
    n = MIN(n, u->left);
    while (done < n) {
        size_t start = (t->tail + done) % TTY_RING, part = MIN(n - done, TTY_RING - start);
        size_t moved = uio_put(u, t->ring + start, part);
        done += moved;
        if (moved < part)
            break;
    }
    if (n > 0 && done == 0)
        return -EFAULT;
    spin_lock(&t->lock);
    line_take(t, done, eof && u->left > 0);
    spin_unlock(&t->lock);
    console_input_resume();
    return (ssize_t)done;
}

static ssize_t tty_read(struct file *f, struct uio *u, u64 *pos)
{
    struct tty *t = f->priv;
    ssize_t n = background_check(t, SIGTTIN);

    (void)pos;
    if (n || u->left == 0)
        return n;
    if ((f->flags & O_NONBLOCK) && !readable_now(t, 1))
        return -EAGAIN;
    mutex_lock(&t->read_lock);
    n = wait_for_input(t, u->left);
    if (n == 0)
        n = take(t, u);
    mutex_unlock(&t->read_lock);
    return n;
}

/* ---- writing ---- */

static ssize_t write_chunk(struct tty *t, struct file *f, struct uio *u)
{
    u8 in[128], out[2 * sizeof in + 8];
    size_t n = uio_get(u, in, MIN(u->left, sizeof in)), made;
    ssize_t sent;

    if (n == 0)
        return -EFAULT;
    spin_lock(&t->lock);
    made = line_output(t, in, n, out);
    spin_unlock(&t->lock);
    (void)f;
    sent = console_write(CONSOLE_TTY, out, made, false);
    return sent < 0 ? sent : (ssize_t)n;
}

static bool may_write(struct tty *t)
{
    return !t->stopped && console_write_ready();
}

static ssize_t tty_write(struct file *f, struct uio *u, u64 *pos)
{
    struct tty *t = f->priv;
    size_t done = 0;
    ssize_t n = t->termios.lflag & TOSTOP ? background_check(t, SIGTTOU) : 0;

    (void)pos;
    while (n >= 0 && u->left > 0) {
        if (!may_write(t) && (f->flags & O_NONBLOCK))
            n = -EAGAIN;
        else if (t->stopped)
            n = wait_event(&t->writable, !t->stopped, SLEEP_INTERRUPTIBLE, UINT64_MAX);
        else {
            n = write_chunk(t, f, u);
            done += n > 0 ? (size_t)n : 0;
            if (done && signal_pending())
                break;
        }
    }
    return done ? (ssize_t)done : n;
}

static unsigned tty_poll(struct file *f, struct poll_set *ps)
{
    struct tty *t = f->priv;

    poll_set_add(ps, &t->readable);
    poll_set_add(ps, console_write_waitq());
    return (readable_now(t, 1) ? POLLIN | POLLRDNORM : 0) | (may_write(t) ? POLLOUT | POLLWRNORM : 0);
}

/* ---- settings ---- */

static int set_termios(struct tty *t, vaddr_t arg, bool flush)
{
    struct termios new;
    u32 old;
    int err = background_check(t, SIGTTOU);

    if (!err)
        err = copy_from_user(&new, arg, sizeof new);
    if (err)
        return err;
    spin_lock(&t->lock);
    old = t->termios.lflag;
    t->termios = new;
    line_mode_changed(t, old);
    if (flush)
        line_flush_input(t);
    if (!(new.iflag & IXON))
        t->stopped = false;
    spin_unlock(&t->lock);
    waitq_wake_all(&t->readable);
    waitq_wake_all(&t->writable);
    console_input_resume();
    return 0;
}

static int flow(struct tty *t, u64 what)
{
    if (what > 1)
        return what > 3 ? -EINVAL : 0;
    t->stopped = what == 0;
    waitq_wake_all(&t->writable);
    return 0;
}

static int flush(struct tty *t, u64 what)
{
    if (what > 2)
        return -EINVAL;
    if (what != 1) {
        spin_lock(&t->lock);
        line_flush_input(t);
        spin_unlock(&t->lock);
        console_input_resume();
    }
    return 0;
}

static int give_up(struct tty *t)
{
    struct process *p = current_process();

    if (p->session->tty != t)
        return -ENOTTY;
    if (p->session->sid == p->pid)
        tty_hangup_session(p);
    return 0;
}

static int put_u32(vaddr_t arg, u32 v)
{
    return put_user(arg, &v);
}

static s64 set_window(vaddr_t arg)
{
    struct winsize w;

    if (copy_from_user(&w, arg, sizeof w))
        return -EFAULT;
    tty_set_window(w.rows, w.columns);
    return 0;
}

static s64 job_ioctl(struct tty *t, u32 cmd, u64 arg)
{
    bool mine = t->session && t->session == current_process()->session;

    switch (cmd) {
    case TIOCSCTTY:
        return take_controlling(t, arg == 1);
    case TIOCNOTTY:
        return give_up(t);
    case TIOCGPGRP:
        return mine ? put_u32(arg, t->foreground) : -ENOTTY;
    case TIOCSPGRP:
        return set_foreground(t, arg);
    case TIOCGSID:
        return mine ? put_u32(arg, t->session->sid) : -ENOTTY;
    }
    return -ENOTTY;
}

static s64 tty_ioctl(struct file *f, u32 cmd, u64 arg)
{
    struct tty *t = f->priv;
    struct termios termios;

    switch (cmd) {
    case TCGETS:
        spin_lock(&t->lock);
        termios = t->termios;
        spin_unlock(&t->lock);
        return copy_to_user(arg, &termios, sizeof termios);
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
        return set_termios(t, arg, cmd == TCSETSF);
    case TIOCGWINSZ:
        return copy_to_user(arg, &t->window, sizeof t->window);
    case TIOCSWINSZ:
        return set_window(arg);
    case FIONREAD:
        return put_u32(arg, (u32)bytes_ready(t));
    case TIOCOUTQ:
        return put_u32(arg, 0);
    case TCFLSH:
        return flush(t, arg);
    case TCXONC:
        return flow(t, arg);
    case TCSBRK:
    case TCSBRKP:
    case TIOCEXCL:
    case TIOCNXCL:
        return 0;
    }
    return job_ioctl(t, cmd, arg);
}

/* ---- opening ---- */

static int tty_open(struct file *f, void *priv)
{
    struct process *p = current_process();

    f->priv = &console;
    f->stream = true;
    if (!p)
        return 0;
    if (priv) /* /dev/tty: the controlling terminal, whichever it is */
        return p->session->tty ? 0 : -ENXIO;
    if (!(f->flags & O_NOCTTY) && p->session->sid == p->pid && !p->session->tty && !console.session)
        return take_controlling(&console, false);
    return 0;
}

static const struct file_ops tty_ops = {
    .open = tty_open, .read = tty_read, .write = tty_write, .ioctl = tty_ioctl, .poll = tty_poll};

void tty_init(void)
{
    spin_init(&console.lock, "terminal", RANK_TTY);
    mutex_init(&console.read_lock, "terminal readers", RANK_TTY_READ);
    waitq_init(&console.readable);
    waitq_init(&console.writable);
    line_init(&console);
    device_register("tty", MKDEV(5, 0), S_IFCHR | 0666, &tty_ops, &console);
    device_register("console", MKDEV(5, 1), S_IFCHR | 0600, &tty_ops, NULL);
    device_register("ttyS0", MKDEV(4, 64), S_IFCHR | 0600, &tty_ops, NULL);
}
