/*
 * /dev/hostin, /dev/hostout, /dev/hosterr: the streams of the program that the
 * host command runs. Without framing, input is at its end and output goes to the
 * terminal's line.
 *
 * The interrupt adds at in_head, readers take at in_tail under in_lock: neither
 * waits for the other. The host is told of each CREDIT bytes taken, and never
 * sends more than half a ring beyond that.
 */
#include "dev/console.h"
#include "fs/file.h"
#include "lib/string.h"
#include "proc/process.h"
#include "vm/kmem.h"
#include "vm/uaccess.h"

#define RING 65536u
#define CREDIT 4096u
#define PIECE 4096u       /* written in one piece, as to a pipe */
#define SMALL_PIECE 256u
#define FIONREAD 0x541b

static u8 in_ring[RING];
static u64 in_head, in_tail, in_credit;
static bool in_end;
static struct waitq in_wait = WAITQ_INIT(in_wait);
static struct mutex in_lock;

void hostin_add(u8 c)
{
    u64 at = in_head;

    if (at - __atomic_load_n(&in_tail, __ATOMIC_ACQUIRE) >= RING)
        return; /* a host that keeps its word does not come here */
    in_ring[at % RING] = c;
    __atomic_store_n(&in_head, at + 1, __ATOMIC_RELEASE);
}

void hostin_end(void)
{
    __atomic_store_n(&in_end, true, __ATOMIC_RELEASE);
}

void hostin_wake(void)
{
    waitq_wake_all(&in_wait);
}

static u64 in_available(void)
{
    return __atomic_load_n(&in_head, __ATOMIC_ACQUIRE) - READ_ONCE(in_tail);
}

/* The end is looked at first: what came before it has been seen then. */
static bool in_ready(void)
{
    bool end = __atomic_load_n(&in_end, __ATOMIC_ACQUIRE);

    return in_available() > 0 || end || !console_is_framed();
}

/* in_lock held. The bytes given to u; they count as taken even if the host has not been told yet. */
static size_t in_take(struct uio *u)
{
    size_t done = 0, n, moved;

    while (u->left > 0 && (n = in_available()) > 0) {
        n = MIN(MIN(u->left, n), RING - in_tail % RING);
        moved = uio_put(u, in_ring + in_tail % RING, n);
        __atomic_store_n(&in_tail, in_tail + moved, __ATOMIC_RELEASE); /* they have been read: they may be written over */
        done += moved;
        for (; in_tail - in_credit >= CREDIT; in_credit += CREDIT)
            console_event('R');
        if (moved < n)
            break;
    }
    return done;
}

static ssize_t hostin_read(struct file *f, struct uio *u, u64 *pos)
{
    size_t done = 0;
    bool more;
    int err = 0;

    (void)pos;
    while (u->left > 0 && done == 0 && !err) {
        if ((f->flags & O_NONBLOCK) && !in_ready())
            return -EAGAIN;
        err = wait_event(&in_wait, in_ready(), SLEEP_INTERRUPTIBLE, UINT64_MAX);
        if (err)
            break;
        mutex_lock(&in_lock);
        done = in_take(u);
        more = in_available() > 0;
        mutex_unlock(&in_lock);
        if (done == 0 && more)
            err = -EFAULT;
        else if (done == 0 && (READ_ONCE(in_end) || !console_is_framed()) && in_available() == 0)
            break; /* the end; else another reader was faster */
    }
    return done ? (ssize_t)done : err;
}

static unsigned hostin_poll(struct file *f, struct poll_set *ps)
{
    (void)f;
    poll_set_add(ps, &in_wait);
    return in_ready() ? POLLIN | POLLRDNORM : 0;
}

static int host_open(struct file *f, void *priv)
{
    f->priv = priv;
    f->stream = true;
    return 0;
}

/* Sleeps until the piece is in the line's ring. */
static int write_piece(struct file *f, const u8 *buf, size_t n)
{
    enum console_channel ch = (enum console_channel)(uintptr_t)f->priv;
    int err = 0;

    while (!console_try_write(ch, buf, n) && !err)
        err = f->flags & O_NONBLOCK ? -EAGAIN
                                    : wait_event(console_write_waitq(), console_write_ready(), SLEEP_INTERRUPTIBLE,
                                                 UINT64_MAX);
    return err;
}

static ssize_t hostout_write(struct file *f, struct uio *u, u64 *pos)
{
    u8 small[SMALL_PIECE], *big = u->left > SMALL_PIECE ? kmem_alloc(PIECE) : NULL;
    size_t done = 0;
    int err = 0;

    (void)pos;
    while (u->left > 0 && !err && !(done && signal_pending())) {
        u8 *buf = big ? big : small;
        size_t n = uio_get(u, buf, MIN(u->left, big ? PIECE : SMALL_PIECE));

        err = n ? write_piece(f, buf, n) : -EFAULT;
        if (!err)
            done += n;
    }
    kmem_free(big);
    return done ? (ssize_t)done : err;
}

static unsigned hostout_poll(struct file *f, struct poll_set *ps)
{
    (void)f;
    poll_set_add(ps, console_write_waitq());
    return console_write_ready() ? POLLOUT | POLLWRNORM : 0;
}

static s64 hostin_ioctl(struct file *f, u32 cmd, u64 arg)
{
    s32 n = (s32)in_available();

    (void)f;
    return cmd == FIONREAD ? put_user(arg, &n) : -ENOTTY;
}

static const struct file_ops hostin_ops = {.ioctl = hostin_ioctl, .open = host_open, .read = hostin_read, .poll = hostin_poll};
static const struct file_ops hostout_ops = {.open = host_open, .write = hostout_write, .poll = hostout_poll};

void hostdev_init(void)
{
    mutex_init(&in_lock, "hostin readers", RANK_TTY_READ);
    device_register("hostin", MKDEV(240, 0), S_IFCHR | 0666, &hostin_ops, NULL);
    device_register("hostout", MKDEV(240, 1), S_IFCHR | 0666, &hostout_ops, (void *)CONSOLE_OUT);
    device_register("hosterr", MKDEV(240, 2), S_IFCHR | 0666, &hostout_ops, (void *)CONSOLE_ERR);
}
