/*
 * A terminal: reading, writing, settings. Bytes go between the
 * rings and user memory by way of a buffer, so that nothing that may fault or
 * sleep happens with the terminal's lock held.
 */
#include "fs/tty.h"
#include "dev/console.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "proc/process.h"
#include "vm/kmem.h"
#include "vm/uaccess.h"

#define NS_PER_DECISECOND 100000000ul
#define READ_PIECE 256u
#define WRITE_PIECE 2048u /* written in one piece; its output fits CONSOLE_CHUNK if it is all newlines */
#define SMALL_WRITE 128u

struct tty console_tty;

/* ---- the console as a driver ---- */

static bool line_write(struct tty *t, const void *buf, size_t n)
{
    (void)t;
    return console_try_write(CONSOLE_TTY, buf, n);
}

static bool line_has_room(struct tty *t)
{
    (void)t;
    return console_write_ready();
}

static struct waitq *line_waitq(struct tty *t)
{
    (void)t;
    return console_write_waitq();
}

static int line_wait_sent(struct tty *t)
{
    (void)t;
    return console_wait_sent();
}

static size_t line_pending(struct tty *t)
{
    (void)t;
    return console_pending();
}

static void line_input_taken(struct tty *t)
{
    (void)t;
    console_input_resume();
}

static const struct tty_driver console_driver = {.write = line_write,
                                                 .ready = line_has_room,
                                                 .waitq = line_waitq,
                                                 .wait_sent = line_wait_sent,
                                                 .pending = line_pending,
                                                 .input_taken = line_input_taken};

static void written(struct tty *t)
{
    if (t->driver->written)
        t->driver->written(t);
}

/* ---- input ---- */

/* What is left when one more line's end must still fit. */
size_t tty_input_room(struct tty *t)
{
    u64 used = READ_ONCE(t->head) - READ_ONCE(t->tail);

    return used + 2 < TTY_RING ? TTY_RING - 2 - used : 0;
}

static void send_foreground(struct tty *t, int signo)
{
    u32 group = READ_ONCE(t->foreground);

    if (group)
        signal_send_pgrp(group, signo, NULL);
}

static void carry_out(struct tty *t, const struct tty_effects *e)
{
    for (u64 left = e->signals; left; left &= left - 1)
        send_foreground(t, __builtin_ctzl(left) + 1);
    if (e->readable)
        waitq_wake_all(&t->readable);
    if (e->resumed)
        waitq_wake_all(t->driver->waitq(t));
    written(t); /* there may have been an echo */
}

void tty_input(struct tty *t, const u8 *buf, size_t n)
{
    struct tty_effects e = {0};

    if (n == 0)
        return;
    for (size_t i = 0; i < n; i++) {
        spin_lock(&t->lock); /* anew for each: its echo may be as long as a line */
        line_input(t, buf[i], &e);
        spin_unlock(&t->lock);
    }
    carry_out(t, &e);
}

static void window_set(struct tty *t, const struct winsize *w)
{
    bool changed;

    spin_lock(&t->lock);
    changed = memcmp(&t->window, w, sizeof *w) != 0;
    t->window = *w;
    spin_unlock(&t->lock);
    if (changed)
        send_foreground(t, SIGWINCH);
}

void tty_set_window(struct tty *t, u16 rows, u16 columns)
{
    window_set(t, &(struct winsize){.rows = rows, .columns = columns});
}

/* ---- reading ---- */

static bool ready(struct tty *t, size_t want)
{
    bool yes;

    spin_lock(&t->lock);
    yes = t->hung_up || line_ready(t, want);
    spin_unlock(&t->lock);
    return yes;
}

static size_t count(struct tty *t)
{
    size_t n;

    spin_lock(&t->lock);
    n = line_count(t);
    spin_unlock(&t->lock);
    return n;
}

/* How a read of n bytes behaves. */
struct patience {
    size_t want;   /* returns with so many; 0: with what there is */
    u64 gap_ns;    /* 0: waits for ever; want 0: once; else anew after each byte */
};

static struct patience patience_of(struct tty *t, size_t n)
{
    struct patience p = {1, 0};

    spin_lock(&t->lock);
    if (!line_has(t, ICANON)) {
        p.want = MIN((size_t)t->termios.cc[VMIN], n);
        p.gap_ns = t->termios.cc[VTIME] * NS_PER_DECISECOND;
    }
    spin_unlock(&t->lock);
    return p;
}

static int sleep_for(struct tty *t, size_t want, u64 gap_ns)
{
    u64 deadline = gap_ns ? arch_time_ns() + gap_ns : UINT64_MAX;

    return wait_event(&t->readable, ready(t, want), SLEEP_INTERRUPTIBLE, deadline);
}

/* 0: look now. -EAGAIN: there is nothing, and the caller does not wait. */
static int wait_for_input(struct tty *t, const struct patience *p, bool nonblock)
{
    int err = 0;

    if (ready(t, MAX(p->want, 1ul)) || (p->want == 0 && p->gap_ns == 0))
        return 0;
    if (nonblock)
        return ready(t, 1) ? 0 : -EAGAIN;
    if (p->want == 0) {
        err = sleep_for(t, 1, p->gap_ns);
    } else if (p->gap_ns == 0) {
        err = sleep_for(t, p->want, 0);
    } else {
        err = sleep_for(t, 1, 0); /* the time runs from the first byte */
        while (!err && !ready(t, p->want))
            err = sleep_for(t, count(t) + 1, p->gap_ns);
    }
    return err == -ETIMEDOUT ? 0 : err;
}

/* Takes what there is, no more than a line in canonical mode. *end as line_read. */
static ssize_t take(struct tty *t, struct uio *u, bool *end)
{
    u8 buf[READ_PIECE];
    size_t done = 0, n, moved;

    *end = false;
    while (u->left > 0 && !*end) {
        bool was_empty;

        spin_lock(&t->lock);
        was_empty = t->tail == t->canon;
        n = was_empty ? 0 : line_read(t, buf, MIN(u->left, sizeof buf), end);
        spin_unlock(&t->lock);
        if (was_empty)
            break;
        moved = uio_put(u, buf, n);
        done += moved;
        if (moved < n)
            return done ? (ssize_t)done : -EFAULT;
    }
    return (ssize_t)done;
}

ssize_t tty_read(struct file *f, struct uio *u, u64 *pos)
{
    struct tty *t = f->priv;
    ssize_t n = tty_background_check(t, SIGTTIN);
    bool end = false;

    (void)pos;
    while (n == 0 && u->left > 0 && !end) {
        struct patience p = patience_of(t, u->left);

        n = wait_for_input(t, &p, f->flags & O_NONBLOCK);
        if (n)
            break;
        mutex_lock(&t->read_lock);
        n = take(t, u, &end);
        mutex_unlock(&t->read_lock);
        if (p.want == 0 || t->hung_up)
            break; /* whoever asks for no byte at least may get none; others wait again if another reader was faster */
    }
    t->driver->input_taken(t);
    return n;
}

/* ---- writing ---- */

/* Puts what fits of one piece: the bytes of it that are on their way, 0 if it has to wait. */
static size_t put(struct tty *t, const u8 *in, size_t n, u8 *out, size_t size)
{
    size_t done = 0, made;
    u32 column;

    spin_lock(&t->lock);
    column = t->column;
    if (!t->stopped && !t->hung_up)
        done = line_output(t, in, n, out, size, &made);
    if (done > 0 && !t->driver->write(t, out, made)) {
        t->column = column;
        done = 0;
    }
    spin_unlock(&t->lock);
    written(t);
    return done;
}

static bool may_write(struct tty *t)
{
    return READ_ONCE(t->hung_up) || (!READ_ONCE(t->stopped) && t->driver->ready(t));
}

/* All n bytes, or what stopped it; *done counts. */
static int write_piece(struct tty *t, const u8 *in, size_t n, u8 *out, size_t size, bool nonblock, size_t *done)
{
    int err = 0;

    for (size_t at = 0; at < n && !err;) {
        size_t part = put(t, in + at, n - at, out, size);

        at += part;
        *done += part;
        if (READ_ONCE(t->hung_up))
            err = -EIO;
        else if (part == 0)
            err = nonblock ? -EAGAIN : wait_event(t->driver->waitq(t), may_write(t), SLEEP_INTERRUPTIBLE, UINT64_MAX);
    }
    return err;
}

ssize_t tty_write(struct file *f, struct uio *u, u64 *pos)
{
    struct tty *t = f->priv;
    u8 small[3 * SMALL_WRITE + 8], *big = u->left > SMALL_WRITE ? kmem_alloc(WRITE_PIECE + CONSOLE_CHUNK) : NULL;
    u8 *in = big ? big : small;
    size_t piece = big ? WRITE_PIECE : SMALL_WRITE, size = big ? CONSOLE_CHUNK : 2 * SMALL_WRITE + 8, done = 0;
    int err = t->termios.lflag & TOSTOP ? tty_background_check(t, SIGTTOU) : 0;

    (void)pos;
    while (u->left > 0 && !err && !(done && signal_pending())) {
        size_t n = uio_get(u, in, MIN(u->left, piece));

        err = n ? write_piece(t, in, n, in + piece, size, f->flags & O_NONBLOCK, &done) : -EFAULT;
    }
    kmem_free(big);
    return done ? (ssize_t)done : err;
}

unsigned tty_poll(struct file *f, struct poll_set *ps)
{
    struct tty *t = f->priv;
    struct patience p = patience_of(t, SIZE_MAX);

    poll_set_add(ps, &t->readable);
    poll_set_add(ps, t->driver->waitq(t));
    return (READ_ONCE(t->hung_up) ? POLLHUP : 0) | (ready(t, p.gap_ns ? 1 : MAX(p.want, 1ul)) ? POLLIN | POLLRDNORM : 0) |
           (may_write(t) ? POLLOUT | POLLWRNORM : 0);
}

/* ---- settings ---- */

static int get_termios(struct tty *t, vaddr_t arg)
{
    struct termios termios;

    spin_lock(&t->lock);
    termios = t->termios;
    spin_unlock(&t->lock);
    return put_user(arg, &termios);
}

/* cmd: TCSETS, _W waits for output first, _F drops input, too. */
static int set_termios(struct tty *t, u32 cmd, vaddr_t arg)
{
    struct termios new;
    u32 old;
    int err = tty_background_check(t, SIGTTOU);

    if (!err)
        err = get_user(&new, arg);
    if (!err && cmd != TCSETS)
        err = t->driver->wait_sent(t);
    if (err)
        return err;
    spin_lock(&t->lock);
    old = t->termios.lflag;
    t->termios = new;
    line_mode_changed(t, old);
    if (cmd == TCSETSF)
        line_flush_input(t);
    if (!(new.iflag & IXON))
        t->stopped = false;
    spin_unlock(&t->lock);
    waitq_wake_all(&t->readable); /* what they wait for may be another thing now */
    waitq_wake_all(t->driver->waitq(t));
    t->driver->input_taken(t);
    return 0;
}

static int flow(struct tty *t, u64 what)
{
    enum { OUTPUT_OFF, OUTPUT_ON, INPUT_OFF, INPUT_ON };
    int err = tty_background_check(t, SIGTTOU);
    u8 c;

    if (err || what > INPUT_ON)
        return err ? err : -EINVAL;
    spin_lock(&t->lock);
    c = t->termios.cc[what == INPUT_OFF ? VSTOP : VSTART];
    if (what == OUTPUT_OFF || what == OUTPUT_ON)
        t->stopped = what == OUTPUT_OFF;
    else if (c != 0)
        (void)t->driver->write(t, &c, 1);
    spin_unlock(&t->lock);
    written(t);
    waitq_wake_all(t->driver->waitq(t));
    return 0;
}

/* 0 input, 1 output, 2 both. Output is on its way already and stays. */
static int flush(struct tty *t, u64 what)
{
    int err = tty_background_check(t, SIGTTOU);

    if (err || what > 2)
        return err ? err : -EINVAL;
    if (what != 1) {
        spin_lock(&t->lock);
        line_flush_input(t);
        spin_unlock(&t->lock);
        t->driver->input_taken(t);
    }
    return 0;
}

static int drain(struct tty *t)
{
    int err = tty_background_check(t, SIGTTOU);

    return err ? err : t->driver->wait_sent(t);
}

static int put_u32(vaddr_t arg, u32 v)
{
    return put_user(arg, &v);
}

static int window_to_user(struct tty *t, vaddr_t arg)
{
    struct winsize w;

    spin_lock(&t->lock);
    w = t->window;
    spin_unlock(&t->lock);
    return put_user(arg, &w);
}

static int window_from_user(struct tty *t, vaddr_t arg)
{
    struct winsize w;

    if (get_user(&w, arg))
        return -EFAULT;
    window_set(t, &w);
    return 0;
}

s64 tty_ioctl_settings(struct tty *t, u32 cmd, u64 arg)
{
    switch (cmd) {
    case TCGETS:
        return get_termios(t, arg);
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
        return set_termios(t, cmd, arg);
    case TIOCGWINSZ:
        return window_to_user(t, arg);
    case TIOCSWINSZ:
        return window_from_user(t, arg);
    case TCFLSH:
        return flush(t, arg);
    case TCXONC:
        return flow(t, arg);
    case TCSBRK:
    case TCSBRKP:
        return drain(t); /* there is no break on a line like this */
    case TIOCGETD:
        return put_u32(arg, 0);
    case TIOCEXCL:
    case TIOCNXCL:
        return 0;
    case TIOCSTI:
        return -EIO; /* nobody types for somebody else */
    }
    return -ENOTTY;
}

s64 tty_ioctl(struct file *f, u32 cmd, u64 arg)
{
    struct tty *t = f->priv;
    s64 result;

    if (READ_ONCE(t->hung_up))
        return -EIO;
    switch (cmd) {
    case FIONREAD:
        return put_u32(arg, (u32)count(t));
    case TIOCOUTQ:
        return put_u32(arg, (u32)t->driver->pending(t));
    }
    result = tty_ioctl_settings(t, cmd, arg);
    return result == -ENOTTY ? tty_job_ioctl(t, cmd, arg) : result;
}

/* ---- opening ---- */

static int console_open(struct file *f, void *priv)
{
    (void)priv;
    f->priv = &console_tty;
    f->stream = true;
    tty_open_session(&console_tty, f->flags);
    return 0;
}

static const struct file_ops console_ops = {
    .open = console_open, .read = tty_read, .write = tty_write, .ioctl = tty_ioctl, .poll = tty_poll};

/* /dev/tty: the controlling terminal, whichever that is. */
static int controlling_open(struct file *f, void *priv)
{
    struct tty *t = tty_controlling_get();

    (void)priv;
    if (!t)
        return -ENXIO;
    f->priv = t;
    f->stream = true;
    f->ops = t == &console_tty ? &console_ops : &pty_slave_ops;
    return 0;
}

static const struct file_ops controlling_ops = {.open = controlling_open};

void tty_start(struct tty *t, const struct tty_driver *driver, u64 rdev)
{
    t->driver = driver;
    t->rdev = rdev;
    spin_init(&t->lock, "terminal", RANK_TTY);
    mutex_init(&t->read_lock, "terminal readers", RANK_TTY_READ);
    waitq_init(&t->readable);
    line_init(t);
}

void tty_init(void)
{
    tty_start(&console_tty, &console_driver, MKDEV(5, 1));
    device_register("tty", MKDEV(5, 0), S_IFCHR | 0666, &controlling_ops, NULL);
    device_register("console", MKDEV(5, 1), S_IFCHR | 0600, &console_ops, NULL);
    device_register("ttyS0", MKDEV(4, 64), S_IFCHR | 0600, &console_ops, NULL);
}
