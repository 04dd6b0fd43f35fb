/*
 * dev/virtqueue.c, virtio.c and the two drivers against a device that is made here:
 * an honest one, whose disk is compared with a model, and ones that lie in every
 * way that a ring allows. Whatever a device does, each call ends, and nothing is
 * touched that is not the queue's or a slot's (the sanitizers look).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "dev/virtio.c"
#include "dev/virtqueue.c"
#include "dev/virtio_blk.c"
#undef ANSWER_NS
#define is_answered rng_is_answered
#include "dev/virtio_rng.c"

/* ---- the kernel around them ---- */

#define RAM_PAGES 128
static struct page descriptors[RAM_PAGES];
static u8 *ram;
static unsigned ram_used;
struct page *page_base = descriptors;
static u64 now;
static unsigned held;
static struct thread *started;

void *arch_phys_to_virt(paddr_t pa)
{
    assert_true(pa.pa < RAM_PAGES * PAGE_SIZE);
    return ram + pa.pa;
}

struct page *page_alloc_run(unsigned order, enum page_kind kind, enum alloc_flags flags)
{
    struct page *p = &descriptors[ROUND_UP(ram_used, 1u << order)];

    (void)kind;
    ram_used = (unsigned)(p - descriptors) + (1u << order);
    assert_true(ram_used <= RAM_PAGES);
    memset(page_data(p), flags & ALLOC_ZERO ? 0 : 0xdd, PAGE_SIZE << order);
    return p;
}

struct page *page_alloc(enum page_kind kind, enum alloc_flags flags)
{
    return page_alloc_run(0, kind, flags);
}

void *kmem_zalloc(size_t size)
{
    return calloc(1, size);
}

u64 arch_time_ns(void)
{
    return now += 1000;
}

void arch_cpu_relax(void)
{
    now += 1000000;
}

void arch_io_fence(void)
{
}

void spin_init(struct spinlock *l, const char *name, enum lock_rank rank)
{
    *l = (struct spinlock){.name = name, .rank = (u16)rank};
}

void spin_lock(struct spinlock *l)
{
    assert_int_equal(l->held, 0);
    l->held = 1;
    held++;
}

void spin_unlock(struct spinlock *l)
{
    assert_int_equal(l->held, 1);
    l->held = 0;
    held--;
}

void waitq_init(struct waitq *q)
{
    (void)q;
}

void waiter_add(struct waitq *q, struct waiter *w, unsigned kind)
{
    *w = (struct waiter){.q = q, .kind = kind};
}

void waiter_remove(struct waiter *w)
{
    w->q = NULL;
}

void waitq_wake_all(struct waitq *q)
{
    (void)q;
    assert_int_equal(held, 0);
}

void printk(enum log_level level, const char *fmt, ...)
{
    (void)level, (void)fmt;
}

bool signal_pending(void)
{
    return false;
}

bool signal_fatal_pending(void)
{
    return false;
}

int copy_to_user(vaddr_t dst, const void *src, size_t n)
{
    memcpy((void *)dst, src, n);
    return 0;
}

static size_t gives; /* bytes that the user's memory still has, or takes */

size_t uio_put(struct uio *u, const void *src, size_t n)
{
    n = MIN(n, gives);
    memcpy((void *)u->cur.base, src, n);
    u->cur.base += n, u->left -= n, gives -= n;
    return n;
}

size_t uio_get(struct uio *u, void *dst, size_t n)
{
    n = MIN(n, gives);
    memcpy(dst, (void *)u->cur.base, n);
    u->cur.base += n, u->left -= n, gives -= n;
    return n;
}

s64 file_seek_plain(struct file *f, s64 offset, int whence, u64 size)
{
    (void)f, (void)whence;
    return (s64)size + offset;
}

static void *device_priv;

int device_register(const char *name, u64 rdev, u32 mode, const struct file_ops *ops, void *priv)
{
    (void)name, (void)rdev, (void)mode, (void)ops;
    device_priv = priv;
    return 0;
}

void random_seed(const void *seed, size_t n)
{
    assert_true(seed && n > 0 && n <= MIX_BYTES);
}

struct thread *kthread_create(void (*fn)(void *), void *arg, const char *name)
{
    static struct thread t;

    (void)fn, (void)arg, (void)name;
    return &t;
}

void thread_start(struct thread *t)
{
    started = t;
}

void thread_exit(void)
{
    abort();
}

void virtio_mmio_find(void)
{
}

void virtio_pci_find(void)
{
}

/* ---- the device ---- */

enum lie {
    HONEST, BAD_ID, FREE_ID, TOO_LONG, TOO_MANY, BACKWARDS, TWICE, SILENT, SCRIBBLES, BAD_STATUS, NO_STATUS, SHORT, CHATTERS, LIES
};

static struct {
    struct virtio_device d;
    u64 offers, accepted;
    u8 status;
    bool never_resets, refuses_features, never_rests;
    u32 generation;
    u8 config[64];
    u16 queue_most;
    volatile struct virtq_memory *ring;
    u16 size, seen, used;
    unsigned notices, resets;
    enum lie lie;
    unsigned lies_after; /* requests that are served first */
    u8 *disk;
    u64 disk_size;
    u32 requests, flushes;
} dev;

static u64 chance(u64 below)
{
    static u64 state = 88172645463325252ul;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static u8 dev_status(struct virtio_device *d)
{
    (void)d;
    return dev.never_resets ? 1 : dev.status;
}

static void dev_set_status(struct virtio_device *d, u8 status)
{
    (void)d;
    if (status == 0) {
        dev.resets++;
        dev.ring = NULL;
    }
    dev.status = dev.refuses_features ? status & (u8)~FEATURES_OK : status;
}

static u32 dev_features(struct virtio_device *d, unsigned word)
{
    (void)d;
    return (u32)(dev.offers >> 32 * word);
}

static void dev_set_features(struct virtio_device *d, unsigned word, u32 v)
{
    (void)d;
    dev.accepted |= (u64)v << 32 * word;
}

static u32 dev_generation(struct virtio_device *d)
{
    (void)d;
    return dev.never_rests ? dev.generation++ : dev.generation;
}

static u32 dev_config(struct virtio_device *d, unsigned offset, unsigned size)
{
    u32 v = 0;

    assert_true(offset % size == 0 && offset + size <= d->config_size);
    memcpy(&v, dev.config + offset, size);
    return v;
}

static u16 dev_queue_size(struct virtio_device *d, u16 index)
{
    (void)d;
    return index == 0 ? dev.queue_most : 0;
}

static int dev_queue_enable(struct virtio_device *d, const struct virtqueue *q)
{
    (void)d;
    assert_true(q->size && !(q->size & (q->size - 1)) && q->size <= dev.queue_most);
    dev.ring = q->memory;
    dev.size = q->size;
    dev.seen = dev.used = 0;
    return 0;
}

static void dev_notify(struct virtio_device *d, const struct virtqueue *q)
{
    (void)d, (void)q;
    assert_false(d->broken);
    dev.notices++;
}

static int dev_connect(struct virtio_device *d)
{
    (void)d;
    return 0;
}

static bool dev_acknowledge(struct virtio_device *d)
{
    (void)d;
    return true;
}

static const struct virtio_transport dev_transport = {
    .status = dev_status, .set_status = dev_set_status, .features = dev_features, .set_features = dev_set_features,
    .config_generation = dev_generation, .config = dev_config, .queue_size = dev_queue_size,
    .queue_enable = dev_queue_enable, .notify = dev_notify, .connect = dev_connect, .acknowledge = dev_acknowledge};

static void push_used(u32 id, u32 length)
{
    dev.ring->used.ring[dev.used % dev.size].id = id;
    dev.ring->used.ring[dev.used % dev.size].length = length;
    dev.ring->used.index = ++dev.used;
}

/* The data of a request between the second and the last descriptor; bytes that went into the driver's memory. */
static u32 serve_data(const struct request *r, u16 at)
{
    const volatile struct virtq_descriptor *d = &dev.ring->descriptors[at];
    u8 *memory = arch_phys_to_virt((paddr_t){d->address});

    assert_int_equal(r->reserved, 0);
    assert_true(r->sector * SECTOR + d->length <= dev.disk_size && d->length % SECTOR == 0);
    if (r->type == T_IN) {
        assert_int_equal(d->flags, DESCRIPTOR_NEXT | DESCRIPTOR_WRITE);
        memcpy(memory, dev.disk + r->sector * SECTOR, d->length);
        return d->length;
    }
    assert_int_equal(r->type, T_OUT);
    assert_int_equal(d->flags, DESCRIPTOR_NEXT);
    memcpy(dev.disk + r->sector * SECTOR, memory, d->length);
    return 0;
}

static void serve_block(u16 head, enum lie lie)
{
    const volatile struct virtq_descriptor *d = &dev.ring->descriptors[head];
    const struct request *r = arch_phys_to_virt((paddr_t){d->address});
    u32 written = 0;
    u16 at = d->next;

    assert_int_equal(d->length, 16);
    assert_int_equal(d->flags, DESCRIPTOR_NEXT);
    if (r->type == T_FLUSH) {
        dev.flushes++;
    } else {
        written = serve_data(r, at);
        at = dev.ring->descriptors[at].next;
    }
    assert_int_equal(dev.ring->descriptors[at].flags, DESCRIPTOR_WRITE);
    assert_int_equal(dev.ring->descriptors[at].length, 1);
    if (lie != NO_STATUS)
        *(u8 *)arch_phys_to_virt((paddr_t){dev.ring->descriptors[at].address}) = lie == BAD_STATUS ? 1 : 0;
    push_used(head, lie == SHORT ? written : written + 1);
}

static void serve_entropy(u16 head)
{
    const volatile struct virtq_descriptor *d = &dev.ring->descriptors[head];
    u32 n = 1 + (u32)chance(d->length);

    assert_int_equal(d->flags, DESCRIPTOR_WRITE);
    memset(arch_phys_to_virt((paddr_t){d->address}), 0x42, n);
    push_used(head, n);
}

static void tell_lie(u16 head, enum lie lie)
{
    switch (lie) {
    case BAD_ID:
        push_used((u32)(dev.size + chance(UINT32_MAX - dev.size)), 1);
        break;
    case FREE_ID: /* of a descriptor that is none's, or not the first of a chain */
        push_used((head + 1u + (u32)chance(dev.size - 1)) % dev.size, 1);
        break;
    case TOO_LONG:
        push_used(head, BUFFER + 2 + (u32)chance(UINT32_MAX - BUFFER - 2));
        break;
    case TOO_MANY:
        push_used(head, 1);
        dev.ring->used.index = dev.used = (u16)(dev.used + 1 + chance(40000));
        break;
    case BACKWARDS:
        dev.ring->used.index = dev.used = (u16)(dev.used - 1 - chance(100));
        break;
    case TWICE:
        push_used(head, 1);
        push_used(head, 1);
        break;
    default:
        break;
    }
}

static void scribble(void)
{
    volatile u8 *p = (volatile u8 *)dev.ring->descriptors;

    for (unsigned i = 0; i < offsetof(struct virtq_memory, used); i++)
        p[i] = (u8)chance(256);
}

/* What has been made available is served, or not; then an interrupt. */
static void dev_run(void)
{
    while (dev.ring && dev.seen != dev.ring->available.index) {
        u16 head = dev.ring->available.ring[dev.seen++ % dev.size];
        enum lie lie = dev.lies_after == 0 ? dev.lie : HONEST;

        dev.lies_after -= dev.lies_after > 0;
        dev.requests++;
        if (lie == SILENT)
            return;
        if (lie != HONEST && lie < SILENT)
            tell_lie(head, lie);
        else if (dev.d.type == VIRTIO_BLOCK)
            serve_block(head, lie);
        else
            serve_entropy(head);
        if (lie == SCRIBBLES) {
            scribble();
            dev.seen = dev.ring->available.index = dev.d.driver ? ((struct disk *)dev.d.driver)->queue.available_index : 0;
        }
    }
    virtio_interrupt(&dev.d);
    if (dev.lie == CHATTERS)
        for (unsigned i = 0; i < 5; i++)
            assert_false(virtio_interrupt(&dev.d));
}

/* Sleeping is the device's turn; if that brings nothing, time goes by. */
int wait_block(struct waiter *w, u64 deadline)
{
    u32 before = dev.requests;

    (void)w;
    assert_int_equal(held, 0);
    dev_run();
    if (dev.requests != before && dev.lie != SILENT)
        return 0;
    assert_true(deadline != UINT64_MAX);
    now = deadline + 1;
    return -ETIMEDOUT;
}

/* ---- setting up ---- */

#define DISK_BYTES (300 * 512ul)

static void start_device(u32 type)
{
    device = NULL;
    disk_count = 0;
    ram_used = 0;
    started = NULL;
    busy = false;
    dev.d = (struct virtio_device){.transport = &dev_transport, .type = type, .config_size = sizeof dev.config};
    virtio_start(&dev.d);
}

static void new_device(void)
{
    u8 *disk = dev.disk;

    memset(&dev, 0, sizeof dev);
    dev.disk = disk ? disk : malloc(DISK_BYTES);
    dev.disk_size = DISK_BYTES;
    for (unsigned i = 0; i < DISK_BYTES; i++)
        dev.disk[i] = (u8)chance(256);
    dev.offers = VIRTIO_F_VERSION_1 | F_FLUSH | 1ul << 28 | 1ul << 29 | 1ul << 34 | 1ul << 33;
    dev.queue_most = 128;
    *(u64 *)dev.config = DISK_BYTES / SECTOR;
    gives = SIZE_MAX;
}

static struct disk *new_disk(void)
{
    start_device(VIRTIO_BLOCK);
    assert_false(dev.d.broken);
    return device_priv;
}

static void drop_disk(void)
{
    free(dev.d.driver);
    dev.d.driver = NULL;
}

static int set_up(void **state)
{
    (void)state;
    ram = ram ? ram : aligned_alloc(PAGE_SIZE, RAM_PAGES * PAGE_SIZE);
    new_device();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    drop_disk();
    return 0;
}

/* ---- the queue alone ---- */

static struct virtqueue vq;
static struct virtq_memory vq_memory;

static void queue_make(u16 size)
{
    memset(&vq_memory, 0, sizeof vq_memory);
    virtq_init(&vq, 0, size, &vq_memory, (paddr_t){0});
}

/* Descriptors are free or in one chain that the device has. */
static void queue_check(const struct virtqueue *q)
{
    unsigned seen[VIRTQ_SIZE_MAX] = {0}, chains = 0, at;

    at = q->free_head;
    for (unsigned i = 0; i < q->free_count; i++, at = q->next[at])
        seen[at]++;
    for (unsigned h = 0; h < q->size; h++) {
        if (!q->chains[h].token)
            continue;
        chains++;
        at = h;
        for (unsigned i = 0; i < q->chains[h].count; i++, at = q->next[at])
            seen[at]++;
    }
    for (unsigned i = 0; i < q->size; i++)
        assert_int_equal(seen[i], 1);
    assert_int_equal(chains, q->in_flight);
}

static void use(u32 id, u32 length)
{
    vq_memory.used.ring[vq_memory.used.index % vq.size].id = id;
    vq_memory.used.ring[vq_memory.used.index % vq.size].length = length;
    vq_memory.used.index++;
}

static void a_full_queue_says_so(void **state)
{
    struct virtq_buffer b[3] = {{{0x1000}, 10}, {{0x2000}, 20}, {{0x3000}, 30}};
    int tokens[8];
    void *token;
    u32 n;

    (void)state;
    for (u16 size = 4; size <= VIRTQ_SIZE_MAX; size = (u16)(size * 2)) {
        queue_make(size);
        for (unsigned i = 0; i < size / 3; i++)
            assert_int_equal(virtq_add(&vq, b, 1, 2, &tokens[i % 8]), 0);
        assert_int_equal(virtq_add(&vq, b, 1, 2, &tokens[0]), -EBUSY);
        queue_check(&vq);
        use(0, 50);
        assert_int_equal(virtq_take(&vq, &token, &n), 1);
        assert_ptr_equal(token, &tokens[0]);
        assert_int_equal(n, 50);
        assert_int_equal(virtq_add(&vq, b, 1, 2, &tokens[0]), 0);
        queue_check(&vq);
    }
    assert_int_equal(virtq_add(&vq, b, 0, 0, &tokens[0]), -EBUSY);
}

/* For hundreds of thousands of chains of all lengths, given back in any order: indices wrap several times. */
static void any_order(void **state)
{
    struct virtq_buffer b[5] = {{{0x1000}, 1}, {{0x2000}, 2}, {{0x3000}, 3}, {{0x4000}, 4}, {{0x5000}, 5}};
    u16 heads[VIRTQ_SIZE_MAX];
    unsigned count = 0;
    void *token;
    u32 n;

    (void)state;
    queue_make(16);
    for (unsigned step = 0; step < 400000; step++) {
        unsigned readable = (unsigned)chance(4), writable = (unsigned)chance(3);
        u16 head = vq.free_head;

        if (chance(2) && readable + writable > 0 && virtq_add(&vq, b, readable, writable, &heads[head]) == 0) {
            assert_int_equal(vq_memory.available.ring[(u16)(vq_memory.available.index - 1) % 16], head);
            heads[count++] = head;
        } else if (count > 0) {
            unsigned i = (unsigned)chance(count);
            use(heads[i], 0);
            assert_int_equal(virtq_take(&vq, &token, &n), 1);
            assert_ptr_equal(token, &heads[heads[i]]);
            heads[i] = heads[--count];
        }
        assert_int_equal(virtq_take(&vq, &token, &n), 0);
    }
    queue_check(&vq);
}

static void lies_in_the_ring(void **state)
{
    struct virtq_buffer b[2] = {{{0x1000}, 10}, {{0x2000}, 20}};
    const struct {
        u32 id, length;
        int add;
    } lies[] = {{64, 0, 0}, {UINT32_MAX, 0, 0}, {1, 0, 0}, {2, 0, 0}, {0, 21, 0}, {0, UINT32_MAX, 0}, {0, 0, 1}, {0, 0, 0x7fff},
                {0, 0, -2}};
    int mine;
    void *token;
    u32 n;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
        queue_make(64);
        assert_int_equal(virtq_add(&vq, b, 1, 1, &mine), 0);
        use(lies[i].id, lies[i].length);
        vq_memory.used.index = (u16)(vq_memory.used.index + lies[i].add);
        assert_int_equal(virtq_take(&vq, &token, &n), -EIO);
        queue_check(&vq);
    }
}

static void notices(void **state)
{
    (void)state;
    queue_make(4);
    assert_true(virtq_wants_notice(&vq));
    vq_memory.used.flags = USED_NO_NOTIFY;
    assert_false(virtq_wants_notice(&vq));
}

/* ---- starting ---- */

static void features_are_chosen(void **state)
{
    struct disk *k;

    (void)state;
    k = new_disk();
    assert_int_equal(dev.accepted, VIRTIO_F_VERSION_1 | F_FLUSH);
    assert_int_equal(dev.status, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    assert_true(k->flushes && !k->read_only && k->size == DISK_BYTES && k->slot_count == SLOTS && k->queue.size == 64);
}

static void never_resets(void) { dev.never_resets = true; }
static void refuses_features(void) { dev.refuses_features = true; }
static void is_legacy(void) { dev.offers &= ~VIRTIO_F_VERSION_1; }
static void never_rests(void) { dev.never_rests = true; }
static void no_queue(void) { dev.queue_most = 0; }
static void short_queue(void) { dev.queue_most = 3; }
static void too_large(void) { *(u64 *)dev.config = INT64_MAX / 512 + 1ul; }
static void block_of_none(void) { dev.offers |= F_BLK_SIZE; }
static void block_of_1000(void) { dev.offers |= F_BLK_SIZE, *(u32 *)(dev.config + 20) = 1000; }
static void block_of_8192(void) { dev.offers |= F_BLK_SIZE, *(u32 *)(dev.config + 20) = 8192; }
static void pieces_of_100(void) { dev.offers |= F_SIZE_MAX, *(u32 *)(dev.config + 8) = 100; }

static void nonsense_is_refused(void **state)
{
    static void (*const spoil[])(void) = {never_resets, refuses_features, is_legacy, never_rests, no_queue, short_queue,
                                          too_large, block_of_none, block_of_1000, block_of_8192, pieces_of_100};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(spoil); i++) {
        new_device();
        spoil[i]();
        start_device(VIRTIO_BLOCK);
        assert_true(dev.d.broken);
        assert_true(dev.status & FAILED);
        assert_null(dev.ring);
        drop_disk();
    }
}

static void a_configuration_that_is_too_short(void **state)
{
    u64 v;

    (void)state;
    dev.d = (struct virtio_device){.transport = &dev_transport, .config_size = 7};
    assert_int_equal(virtio_config(&dev.d, 0, 8, &v), -EIO);
    assert_int_equal(virtio_config(&dev.d, 8, 4, &v), -EIO);
    assert_int_equal(virtio_config(&dev.d, 4, 4, &v), -EIO);
    assert_int_equal(virtio_config(&dev.d, 4, 2, &v), 0);
}

/* ---- the disk ---- */

static struct vnode disk_vnode;
static struct file disk_file = {.vnode = &disk_vnode};

static ssize_t disk_io(struct disk *k, bool write, u8 *buf, size_t n, u64 pos)
{
    struct uio u = {.kernel = true, .cur = {(u64)buf, n}, .left = n};
    ssize_t done;

    disk_file.priv = k;
    done = write ? blk_write(&disk_file, &u, &pos) : blk_read(&disk_file, &u, &pos);
    assert_int_equal(held, 0);
    for (unsigned i = 0; i < k->slot_count; i++)
        assert_true(!k->slots[i].taken || dev.d.broken);
    return done;
}

static void disk_against_a_model(u32 block, u32 most)
{
    u8 *model = malloc(DISK_BYTES), *buf = malloc(DISK_BYTES);
    struct disk *k;
    u64 size;

    new_device();
    dev.offers |= F_BLK_SIZE | (most ? F_SIZE_MAX : 0);
    *(u32 *)(dev.config + CONFIG_BLK_SIZE) = block;
    *(u32 *)(dev.config + CONFIG_SIZE_MAX) = most;
    k = new_disk();
    size = k->size;
    assert_true(size == DISK_BYTES / block * block);
    memcpy(model, dev.disk, DISK_BYTES);
    for (unsigned i = 0; i < 3000; i++) {
        u64 pos = chance(size + 100), n = chance(chance(2) ? 3000 : 100000), fits = pos >= size ? 0 : MIN(n, size - pos);
        bool writes = chance(2);

        for (unsigned b = 0; b < n; b++)
            buf[b] = (u8)(b * 13 + i);
        if (writes) {
            assert_int_equal(disk_io(k, true, buf, n, pos), n > 0 && pos >= size ? -ENOSPC : (ssize_t)fits);
            if (fits)
                memcpy(model + pos, buf, fits);
        } else {
            assert_int_equal(disk_io(k, false, buf, n, pos), fits);
            assert_memory_equal(buf, model + MIN(pos, size), fits);
        }
        queue_check(&k->queue);
    }
    assert_memory_equal(model, dev.disk, DISK_BYTES);
    assert_int_equal(blk_fsync(&disk_file), 0);
    assert_int_equal(blk_sync(k), 0);
    assert_int_equal(dev.flushes, 2);
    free(model);
    free(buf);
    drop_disk();
}

static void any_offset_any_length(void **state)
{
    (void)state;
    disk_against_a_model(512, 0);
    disk_against_a_model(4096, 0);
    disk_against_a_model(1024, 5000);
    disk_against_a_model(512, 512);
}

/* The user's memory ends early: what is said to be written is, and the rest is as it was. */
static void short_memory(void **state)
{
    struct disk *k = new_disk();
    u8 *buf = malloc(20000), *before = malloc(DISK_BYTES);
    ssize_t n;

    (void)state;
    memset(buf, 0x5a, 20000);
    for (unsigned i = 0; i < 3000; i++) {
        u64 pos = chance(DISK_BYTES - 20000), want = 1 + chance(20000);

        memcpy(before, dev.disk, DISK_BYTES);
        gives = chance(want + 1);
        n = disk_io(k, true, buf, want, pos);
        assert_true(n == -EFAULT || (n > 0 && (u64)n <= want));
        n = MAX(n, 0);
        assert_memory_equal(dev.disk, before, pos);
        assert_memory_equal(dev.disk + pos, buf, n);
        assert_memory_equal(dev.disk + pos + n, before + pos + n, DISK_BYTES - pos - (u64)n);
        gives = chance(want + 1);
        n = disk_io(k, false, buf, want, pos);
        assert_true(n == -EFAULT || (n > 0 && (u64)n <= want));
        memset(buf, 0x5a, 20000);
    }
    free(buf);
    free(before);
}

/* A write that fails leaves the file's position, also behind the end, and if only the flush fails. */
static void positions(void **state)
{
    struct disk *k = new_disk();
    u8 byte = 1;
    u64 pos = 5;
    struct uio u = {.kernel = true, .cur = {(u64)&byte, 1}, .left = 1};

    (void)state;
    disk_file.priv = k;
    assert_int_equal(blk_seek(&disk_file, 0, 2), k->size);
    assert_int_equal(blk_seek(&disk_file, -5, 2), k->size - 5);
    assert_int_equal(blk_seek(&disk_file, 1, 2), -EINVAL);
    disk_file.flags = O_APPEND;
    assert_int_equal(blk_write(&disk_file, &u, &pos), -ENOSPC);
    assert_int_equal(pos, 5);
    disk_file.flags = O_DSYNC;
    gives = 1;
    assert_int_equal(blk_write(&disk_file, &u, &pos), 1);
    assert_int_equal(pos, 6);
    u = (struct uio){.kernel = true, .cur = {(u64)&byte, 1}, .left = 1};
    gives = 1;
    dev.lie = BAD_STATUS;
    dev.lies_after = 2; /* the block's old bytes, the new ones, and then the flush */
    assert_int_equal(blk_write(&disk_file, &u, &pos), -EIO);
    assert_int_equal(pos, 6);
    disk_file.flags = 0;
}

static void a_read_only_disk(void **state)
{
    struct disk *k;
    u8 byte = 1;

    (void)state;
    dev.offers |= F_RO;
    k = new_disk();
    assert_int_equal(disk_io(k, true, &byte, 1, 0), -EPERM);
    assert_int_equal(dev.requests, 0);
    assert_int_equal(disk_io(k, false, &byte, 1, 0), 1);
}

/* Each lie, after some honest requests: every call ends; once the device is found out, it is left alone. */
static void lies_of_a_disk(void **state)
{
    u8 *buf = malloc(100000);
    unsigned found_out[LIES] = {0};

    (void)state;
    for (unsigned round = 0; round < LIES * 200; round++) {
        struct disk *k;
        bool was_broken = false, all_lies = false;
        unsigned notices_then = 0;

        new_device();
        dev.queue_most = (u16)(4 + chance(100));
        k = new_disk();
        dev.lie = round % LIES;
        dev.lies_after = (unsigned)chance(10);
        for (unsigned i = 0; i < 30; i++) {
            u64 pos = chance(DISK_BYTES), n = 1 + chance(5000);
            ssize_t done = disk_io(k, chance(2), buf, n, pos);

            assert_true(done == -EIO || (done > 0 && (u64)done <= n));
            assert_true(!was_broken || done == -EIO);
            assert_true(dev.lies_after || dev.lie < BAD_STATUS || dev.lie > SHORT || done == -EIO || !all_lies);
            all_lies = dev.lies_after == 0;
            if (was_broken)
                assert_int_equal(dev.notices, notices_then);
            was_broken = dev.d.broken;
            notices_then = dev.notices;
            queue_check(&k->queue);
        }
        assert_int_equal(blk_fsync(&disk_file), was_broken || (dev.lie >= BAD_STATUS && dev.lie <= SHORT) ? -EIO : 0);
        if (was_broken)
            assert_true(dev.status & FAILED);
        found_out[dev.lie] += was_broken;
        drop_disk();
    }
    for (enum lie lie = 0; lie < LIES; lie++)
        assert_int_equal(found_out[lie], lie >= BAD_ID && lie <= SILENT ? 200 : 0);
    free(buf);
}

/* ---- random numbers ---- */

static void random_numbers(void **state)
{
    u8 bytes[PIECE];
    ssize_t n;

    (void)state;
    start_device(VIRTIO_ENTROPY);
    assert_false(dev.d.broken);
    assert_non_null(started);
    for (unsigned i = 0; i < 1000; i++) {
        n = fetch(bytes, 1 + (u32)chance(PIECE));
        assert_true(n > 0);
        for (ssize_t b = 0; b < n; b++)
            assert_int_equal(bytes[b], 0x42);
        queue_check(&queue);
    }
}

static void lies_about_random_numbers(void **state)
{
    u8 bytes[PIECE];

    (void)state;
    for (enum lie lie = BAD_ID; lie <= SILENT; lie++) {
        new_device();
        start_device(VIRTIO_ENTROPY);
        dev.lie = lie;
        if (lie == TWICE) { /* the first of the two is what was asked for; the second one is found with the next */
            assert_int_equal(fetch(bytes, 10), -EIO);
            continue;
        }
        assert_int_equal(fetch(bytes, sizeof bytes), -EIO);
        assert_true(dev.d.broken && (dev.status & FAILED));
        assert_int_equal(fetch(bytes, sizeof bytes), -EIO);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_queue_says_so), cmocka_unit_test(any_order), cmocka_unit_test(lies_in_the_ring),
        cmocka_unit_test(notices),
        cmocka_unit_test_setup_teardown(features_are_chosen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nonsense_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_configuration_that_is_too_short, set_up, tear_down),
        cmocka_unit_test_setup_teardown(any_offset_any_length, set_up, tear_down),
        cmocka_unit_test_setup_teardown(short_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(positions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_read_only_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lies_of_a_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lies_about_random_numbers, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
