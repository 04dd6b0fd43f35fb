/*
 * An entropy device (specification 1.2, section 5.4): what it gives is mixed into
 * the kernel's random numbers at boot and every minute, and /dev/hwrng reads it. The
 * first one that is found is used.
 *
 * One request is under way at a time; whoever has set `busy` owns the page that the
 * device writes to. rng_lock (RANK_DEV) protects the queue and the fields below it.
 */
#include <stdatomic.h>
#include "dev/virtio.h"
#include "fs/file.h"
#include "lib/print.h"
#include "lib/random.h"
#include "lib/string.h"
#include "vm/page.h"

#define ANSWER_NS (10 * 1000000000ul)
#define MIX_NS (60 * 1000000000ul)
#define MIX_BYTES 64u
#define PIECE 256u

static struct spinlock rng_lock = SPINLOCK_INIT("rng", RANK_DEV);
static struct virtqueue queue GUARDED_BY(rng_lock);
static bool busy GUARDED_BY(rng_lock), answered GUARDED_BY(rng_lock);
static u32 got GUARDED_BY(rng_lock); /* bytes of the answer */
static struct waitq wait = WAITQ_INIT(wait);
static struct virtio_device *device; /* set at boot */
static struct page *page;            /* what the device writes to */

static bool rng_interrupt(struct virtio_device *d)
{
    void *token;
    int result;

    spin_lock(&rng_lock);
    result = virtq_take(&queue, &token, &got);
    answered |= result > 0;
    spin_unlock(&rng_lock);
    if (result < 0)
        virtio_break(d, "says what cannot be true");
    if (result)
        waitq_wake_all(&wait);
    return result != 0;
}

static bool take_turn(void)
{
    bool mine;

    spin_lock(&rng_lock);
    mine = !busy;
    busy = true;
    spin_unlock(&rng_lock);
    return mine;
}

static void end_turn(void)
{
    spin_lock(&rng_lock);
    busy = false;
    spin_unlock(&rng_lock);
    waitq_wake_all(&wait);
}

static int ask(u32 n)
{
    struct virtq_buffer b = {page_paddr(page), n};
    int err;

    spin_lock(&rng_lock);
    answered = false;
    err = virtq_add(&queue, &b, 0, 1, page);
    if (!err)
        virtio_kick(device, &queue);
    spin_unlock(&rng_lock);
    return err;
}

static bool is_answered(u32 *n)
{
    bool yes;

    spin_lock(&rng_lock);
    yes = answered;
    *n = got;
    spin_unlock(&rng_lock);
    return yes || atomic_load(&device->broken);
}

/* Up to n bytes, at most PIECE, into buf: how many, never 0; -EIO, -ERESTARTSYS. */
static ssize_t fetch(void *buf, u32 n)
{
    u32 have = 0;
    int err = wait_event(&wait, take_turn(), SLEEP_INTERRUPTIBLE, UINT64_MAX);

    if (err)
        return err;
    err = atomic_load(&device->broken) ? -EIO : ask(n);
    if (!err && wait_event(&wait, is_answered(&have), SLEEP_FIRMLY, arch_time_ns() + ANSWER_NS))
        virtio_break(device, "does not answer");
    if (!err && (atomic_load(&device->broken) || have == 0))
        err = -EIO;
    if (!err) {
        memcpy(buf, page_data(page), have);
        memset(page_data(page), 0, have); /* nobody else is to have these */
    }
    end_turn();
    return err ? err : (ssize_t)have;
}

static ssize_t hwrng_read(struct file *f, struct uio *u, u64 *pos)
{
    size_t done = 0;
    ssize_t n = 0;
    u8 bytes[PIECE];

    (void)f, (void)pos;
    while (u->left > 0 && !(done && signal_pending())) {
        size_t moved;

        n = fetch(bytes, (u32)MIN(u->left, sizeof bytes));
        if (n < 0)
            break;
        moved = uio_put(u, bytes, (size_t)n);
        done += moved;
        n = moved < (size_t)n ? -EFAULT : 0;
        if (n < 0)
            break;
    }
    return done ? (ssize_t)done : n;
}

static int hwrng_open(struct file *f, void *priv)
{
    (void)priv;
    f->stream = true;
    return 0;
}

/* A thread of the kernel's own: at boot, then every minute, for as long as the device keeps its word. */
static void mix(void *arg)
{
    static struct waitq never = WAITQ_INIT(never);
    u8 bytes[MIX_BYTES];
    ssize_t n;

    (void)arg;
    while ((n = fetch(bytes, sizeof bytes)) > 0) {
        random_seed(bytes, (size_t)n);
        if (wait_event(&never, false, SLEEP_FIRMLY, arch_time_ns() + MIX_NS) != -ETIMEDOUT)
            break;
    }
    thread_exit();
}

static const struct file_ops hwrng_ops = {.open = hwrng_open, .read = hwrng_read};

int virtio_rng_start(struct virtio_device *d)
{
    struct thread *t;
    int err;

    if (device)
        return -EBUSY;
    err = virtio_negotiate(d, 0);
    if (!err)
        err = virtio_queue(d, &queue, 0, 1);
    if (err)
        return err;
    page = page_alloc(PAGE_KERNEL, ALLOC_ZERO);
    t = page ? kthread_create(mix, NULL, "hwrng") : NULL;
    if (!t)
        return -ENOMEM;
    device = d;
    d->interrupt = rng_interrupt;
    virtio_live(d);
    err = device_register("hwrng", MKDEV(10, 183), S_IFCHR | 0600, &hwrng_ops, NULL);
    if (err)
        printk(LOG_WARN, "%s: /dev/hwrng cannot be made: error %d", d->name, err);
    printk(LOG_INFO, "%s: random numbers", d->name);
    thread_start(t);
    return 0;
}
