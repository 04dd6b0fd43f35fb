/*
 * Block devices (specification 1.2, section 5.2): /dev/vda, vdb, ... in the order in
 * which they are found. No cache and no file system: each read or write is a
 * request of the device, and has happened when the call returns; fsync makes it
 * durable. Not mapped by mmap.
 *
 * Bounce buffers: the device reads and writes pages of the kernel's only, which
 * belong to a slot. A user's page is never under an I/O, so a fork at that moment
 * shares it like any other, and a copy made after it has nothing to miss.
 *
 * A slot is one request under way: its buffer, and the range of blocks that it is
 * about. Slots that write never overlap, so that a block of which only a part is
 * written can be read, changed and written back. disk->lock (RANK_DEV) protects the
 * queue and who has which slot; what is in a slot belongs to who has it, and while
 * `asked`, to the device. A slot whose request was never answered is not handed out
 * again: the device may yet write to it.
 */
#include <stdatomic.h>
#include "arch/arch.h"
#include "dev/virtio.h"
#include "fs/file.h"
#include "lib/print.h"
#include "proc/process.h"
#include "vm/kmem.h"
#include "vm/page.h"
#include "vm/uaccess.h"

#define F_SIZE_MAX (1ul << 1)
#define F_RO (1ul << 5)
#define F_BLK_SIZE (1ul << 6)
#define F_FLUSH (1ul << 9)
enum { CONFIG_CAPACITY = 0, CONFIG_SIZE_MAX = 8, CONFIG_BLK_SIZE = 20 };
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4 };
#define S_OK 0
#define S_NONE 0xff /* none of the device's */

#define SECTOR 512u
#define BUFFER_ORDER 3u
#define BUFFER (PAGE_SIZE << BUFFER_ORDER)
#define SLOTS 8u
#define CHAIN 3u /* descriptors of a request: header, data, status */
#define DISKS 26u
#define MAJOR_NUMBER 254
#define ANSWER_NS (30 * 1000000000ul)

struct request { /* in memory that the device sees: 5.2.6 */
    u32 type, reserved;
    u64 sector;
    u8 status, pad[15];
};

struct slot {
    bool taken, writes;
    bool asked, answered;  /* disk->lock */
    u32 written;           /* by the device, it says; valid once answered */
    u64 first, count;      /* blocks */
    struct page *buffer;   /* a run of BUFFER bytes */
    volatile struct request *request;
    paddr_t request_at;
};

struct disk {
    struct virtio_device *device;
    struct spinlock lock;
    struct virtqueue queue;
    struct waitq wait;     /* for a slot, or an answer */
    struct slot slots[SLOTS];
    unsigned slot_count;
    u64 size;              /* bytes, whole blocks */
    u32 block, piece;      /* bytes; the most in one request */
    bool read_only, flushes;
    char name[8];
};

static unsigned disk_count;

/* ---- requests ---- */

static bool blk_interrupt(struct virtio_device *d)
{
    struct disk *k = d->driver;
    int result, count = 0;
    void *token;
    u32 written;

    spin_lock(&k->lock);
    while ((result = virtq_take(&k->queue, &token, &written)) > 0) {
        ((struct slot *)token)->written = written;
        ((struct slot *)token)->answered = true;
        count++;
    }
    spin_unlock(&k->lock);
    if (result < 0)
        virtio_break(d, "says what cannot be true");
    if (count || result < 0)
        waitq_wake_all(&k->wait);
    return count || result < 0;
}

static bool is_broken(struct disk *k)
{
    return atomic_load(&k->device->broken);
}

static bool is_answered(struct disk *k, struct slot *s)
{
    bool yes;

    spin_lock(&k->lock);
    yes = s->answered;
    spin_unlock(&k->lock);
    return yes || is_broken(k);
}

static bool overlaps(const struct slot *s, u64 first, u64 count)
{
    return s->taken && s->writes && s->first < first + count && first < s->first + s->count;
}

/* A free slot for these blocks, if no other writes to one of them. */
static struct slot *slot_try(struct disk *k, u64 first, u64 count, bool writes)
{
    struct slot *found = NULL;
    bool clear = true;

    spin_lock(&k->lock);
    for (unsigned i = 0; i < k->slot_count; i++) {
        clear &= !writes || !overlaps(&k->slots[i], first, count);
        if (!k->slots[i].taken)
            found = &k->slots[i];
    }
    if (!clear)
        found = NULL;
    if (found) {
        found->taken = true;
        found->writes = writes;
        found->first = first;
        found->count = count;
    }
    spin_unlock(&k->lock);
    return found;
}

/* Waits for one. -EIO; -ERESTARTSYS: the process is to die. */
static int slot_get(struct disk *k, u64 first, u64 count, bool writes, struct slot **out)
{
    int err;

    *out = NULL;
    err = wait_event(&k->wait, is_broken(k) || (*out = slot_try(k, first, count, writes)), SLEEP_KILLABLE, UINT64_MAX);
    return err ? err : *out ? 0 : -EIO;
}

static void slot_put(struct disk *k, struct slot *s)
{
    spin_lock(&k->lock);
    s->taken = s->asked && !s->answered;
    spin_unlock(&k->lock);
    waitq_wake_all(&k->wait);
}

/* The chain of a request: header, n bytes of the buffer from `at` on, status. */
static int submit(struct disk *k, struct slot *s, u32 type, u32 at, u32 n)
{
    struct virtq_buffer b[CHAIN] = {{s->request_at, offsetof(struct request, status)}};
    unsigned count = 1;
    int err;

    if (n)
        b[count++] = (struct virtq_buffer){{page_paddr(s->buffer).pa + at}, n};
    b[count++] = (struct virtq_buffer){{s->request_at.pa + offsetof(struct request, status)}, 1};
    spin_lock(&k->lock);
    s->answered = false;
    err = type == T_IN ? virtq_add(&k->queue, b, 1, count - 1, s) : virtq_add(&k->queue, b, count - 1, 1, s);
    s->asked = err == 0;
    if (!err)
        virtio_kick(k->device, &k->queue);
    spin_unlock(&k->lock);
    return err;
}

/*
 * One request to its end: blocks from `first` on, into or out of the buffer from
 * `at` on. 0 or -EIO. What lies beyond the bytes that the device says it has
 * written is not to be looked at (2.7.8.2): it may be somebody else's data. The
 * status comes last.
 */
static int transfer(struct disk *k, struct slot *s, u32 type, u64 first, u32 at, u32 n)
{
    s->request->type = type;
    s->request->reserved = 0;
    s->request->sector = first * (k->block / SECTOR);
    s->request->status = S_NONE;
    if (is_broken(k) || submit(k, s, type, at, n))
        return -EIO;
    if (wait_event(&k->wait, is_answered(k, s), SLEEP_FIRMLY, arch_time_ns() + ANSWER_NS))
        virtio_break(k->device, "does not answer");
    if (is_broken(k)) {
        waitq_wake_all(&k->wait);
        return -EIO;
    }
    return s->written == (type == T_IN ? n : 0) + 1 && s->request->status == S_OK ? 0 : -EIO;
}

static int flush(struct disk *k)
{
    struct slot *s;
    int err;

    if (!k->flushes)
        return is_broken(k) ? -EIO : 0;
    err = slot_get(k, 0, 0, false, &s);
    if (err)
        return err;
    err = transfer(k, s, T_FLUSH, 0, 0, 0);
    slot_put(k, s);
    return err;
}

/* ---- reading and writing: pieces of any offset and length, in whole blocks of the device ---- */

struct piece {
    u64 first, count; /* blocks */
    u32 skip, bytes;  /* of those blocks: where it begins, how long it is */
};

static struct piece piece_at(const struct disk *k, u64 pos, size_t want)
{
    u32 skip = (u32)(pos % k->block), bytes = (u32)MIN(MIN((u64)want, (u64)k->piece - skip), k->size - pos);

    return (struct piece){pos / k->block, (skip + bytes + k->block - 1) / k->block, skip, bytes};
}

static u8 *buffer_of(const struct slot *s)
{
    return page_data(s->buffer);
}

/* Bytes, or an error. */
static ssize_t read_piece(struct disk *k, struct uio *u, const struct piece *p)
{
    size_t moved = 0;
    struct slot *s;
    int err = slot_get(k, p->first, p->count, false, &s);

    if (err)
        return err;
    err = transfer(k, s, T_IN, p->first, 0, (u32)p->count * k->block);
    if (!err)
        moved = uio_put(u, buffer_of(s) + p->skip, p->bytes);
    slot_put(k, s);
    return err ? err : moved ? (ssize_t)moved : -EFAULT;
}

/* Of blocks that are not written whole: what is there now, into the buffer. */
static int read_edges(struct disk *k, struct slot *s, const struct piece *p)
{
    u32 end = p->skip + p->bytes, last = (u32)(p->count - 1) * k->block;
    int err = 0;

    if (p->skip)
        err = transfer(k, s, T_IN, p->first, 0, k->block);
    if (!err && end % k->block && !(p->skip && last == 0))
        err = transfer(k, s, T_IN, p->first + p->count - 1, last, k->block);
    return err;
}

/* What the user's memory gives is written; if it ends early, as far as the last whole block. */
static ssize_t write_from(struct disk *k, struct uio *u, struct slot *s, const struct piece *p)
{
    size_t moved = uio_get(u, buffer_of(s) + p->skip, p->bytes);
    u32 n = (u32)p->count * k->block;
    int err;

    if (moved < p->bytes) {
        n = (u32)ROUND_DOWN(p->skip + moved, (size_t)k->block);
        if (n <= p->skip)
            return -EFAULT;
        moved = n - p->skip;
    }
    err = transfer(k, s, T_OUT, p->first, 0, n);
    return err ? err : (ssize_t)moved;
}

static ssize_t write_piece(struct disk *k, struct uio *u, const struct piece *p)
{
    struct slot *s;
    ssize_t n;
    int err = slot_get(k, p->first, p->count, true, &s);

    if (err)
        return err;
    err = read_edges(k, s, p);
    n = err ? err : write_from(k, u, s, p);
    slot_put(k, s);
    return n;
}

static ssize_t blk_transfer(struct file *f, struct uio *u, u64 *pos,
                            ssize_t (*one)(struct disk *k, struct uio *u, const struct piece *p))
{
    struct disk *k = f->priv;
    size_t done = 0;
    ssize_t n = 0;

    while (u->left > 0 && *pos < k->size && !(done && signal_fatal_pending())) {
        struct piece p = piece_at(k, *pos, u->left);

        n = one(k, u, &p);
        if (n < 0)
            break;
        done += (size_t)n;
        *pos += (u64)n;
        if ((u32)n < p.bytes)
            break;
    }
    return done ? (ssize_t)done : n;
}

static ssize_t blk_read(struct file *f, struct uio *u, u64 *pos)
{
    return blk_transfer(f, u, pos, read_piece);
}

static ssize_t blk_write(struct file *f, struct uio *u, u64 *pos)
{
    struct disk *k = f->priv;
    u64 at = f->flags & O_APPEND ? k->size : *pos;
    ssize_t n;
    int err;

    if (k->read_only)
        return -EPERM; /* as Linux; the open is not refused */
    if (u->left > 0 && at >= k->size)
        return -ENOSPC;
    n = blk_transfer(f, u, &at, write_piece);
    err = n > 0 && (f->flags & O_DSYNC) ? flush(k) : 0;
    if (err || n < 0)
        return err ? err : n; /* the position is as it was */
    *pos = at;
    return n;
}

/* ---- the rest of a file ---- */

static int blk_open(struct file *f, void *priv)
{
    f->priv = priv;
    return 0;
}

static s64 blk_seek(struct file *f, s64 offset, int whence)
{
    u64 size = ((struct disk *)f->priv)->size;
    s64 to = file_seek_plain(f, offset, whence, size);

    return to > (s64)size ? -EINVAL : to;
}

static int blk_fsync(struct file *f)
{
    return flush(f->priv);
}

static int blk_sync(void *priv)
{
    return flush(priv);
}

static s64 put_int(vaddr_t to, u32 v)
{
    return put_user(to, &v);
}

/* Linux's numbers (linux/fs.h). */
static s64 blk_ioctl(struct file *f, u32 cmd, u64 arg)
{
    enum { BLKROGET = 0x125e, BLKGETSIZE = 0x1260, BLKFLSBUF = 0x1261, BLKSSZGET = 0x1268, BLKPBSZGET = 0x127b };
    const u32 BLKBSZGET = 0x80081270, BLKGETSIZE64 = 0x80081272;
    struct disk *k = f->priv;
    u64 sectors = k->size / SECTOR;

    switch (cmd) {
    case BLKROGET:
        return put_int(arg, k->read_only);
    case BLKSSZGET:
    case BLKPBSZGET:
        return put_int(arg, k->block);
    case BLKGETSIZE:
        return put_user(arg, &sectors);
    case BLKFLSBUF:
        return flush(k);
    }
    if (cmd == BLKBSZGET)
        return put_int(arg, k->block);
    return cmd == BLKGETSIZE64 ? put_user(arg, &k->size) : -ENOTTY;
}

static const struct file_ops blk_ops = {.open = blk_open, .read = blk_read, .write = blk_write, .seek = blk_seek,
                                        .ioctl = blk_ioctl, .fsync = blk_fsync, .sync = blk_sync};

/* ---- starting ---- */

/* 5.2.4; a device that says nonsense is not used. */
static int read_config(struct disk *k)
{
    struct virtio_device *d = k->device;
    u64 sectors, block = SECTOR, most = BUFFER;
    int err = virtio_config(d, CONFIG_CAPACITY, 8, &sectors);

    if (!err && (d->features & F_BLK_SIZE))
        err = virtio_config(d, CONFIG_BLK_SIZE, 4, &block);
    if (!err && (d->features & F_SIZE_MAX))
        err = virtio_config(d, CONFIG_SIZE_MAX, 4, &most);
    if (err)
        return err;
    if (sectors > INT64_MAX / SECTOR || block < SECTOR || block > PAGE_SIZE || (block & (block - 1)) || most < block)
        return -EINVAL;
    k->block = (u32)block;
    k->piece = (u32)ROUND_DOWN(MIN(most, BUFFER), block);
    k->size = ROUND_DOWN(sectors * SECTOR, block);
    k->read_only = d->features & F_RO;
    k->flushes = d->features & F_FLUSH;
    return 0;
}

/* As many as the queue has room for, so that a slot's request always has. */
static int make_slots(struct disk *k)
{
    struct page *requests = page_alloc(PAGE_KERNEL, ALLOC_ZERO);

    if (!requests)
        return -ENOMEM;
    for (k->slot_count = 0; k->slot_count < MIN(SLOTS, k->queue.size / CHAIN); k->slot_count++) {
        struct slot *s = &k->slots[k->slot_count];
        u64 at = k->slot_count * sizeof *s->request;

        s->buffer = page_alloc_run(BUFFER_ORDER, PAGE_KERNEL, ALLOC_ZERO);
        if (!s->buffer)
            break;
        s->request = (volatile struct request *)((u8 *)page_data(requests) + at);
        s->request_at = (paddr_t){page_paddr(requests).pa + at};
    }
    return k->slot_count ? 0 : -ENOMEM;
}

static int prepare(struct disk *k)
{
    int err = virtio_negotiate(k->device, F_SIZE_MAX | F_RO | F_BLK_SIZE | F_FLUSH);

    if (!err)
        err = read_config(k);
    if (!err)
        err = virtio_queue(k->device, &k->queue, 0, CHAIN + 1);
    return err ? err : make_slots(k);
}

int virtio_blk_start(struct virtio_device *d)
{
    struct disk *k = disk_count < DISKS ? kmem_zalloc(sizeof *k) : NULL;
    int err;

    if (!k)
        return -ENOMEM;
    k->device = d;
    d->driver = k;
    d->interrupt = blk_interrupt;
    spin_init(&k->lock, "disk", RANK_DEV);
    waitq_init(&k->wait);
    err = prepare(k);
    if (err)
        return err;
    snprintf(k->name, sizeof k->name, "vd%c", 'a' + disk_count);
    virtio_live(d);
    err = device_register(k->name, MKDEV(MAJOR_NUMBER, 16 * disk_count), S_IFBLK | 0660, &blk_ops, k);
    disk_count++;
    printk(LOG_INFO, "%s: /dev/%s, %lu bytes in blocks of %u%s", d->name, k->name, k->size, k->block,
           k->read_only ? ", read-only" : "");
    return err;
}
