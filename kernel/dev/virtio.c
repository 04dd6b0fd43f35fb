/* Virtio devices: their life, independent of where they are; see virtio.h. */
#include "dev/virtio.h"
#include "arch/arch.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "vm/page.h"

enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, FAILED = 128 }; /* 2.1 */
#define RESET_WAIT_NS 1000000000ul
#define GENERATION_TRIES 100u

static const struct {
    u32 type;
    int (*start)(struct virtio_device *d);
} drivers[] = {{VIRTIO_ENTROPY, virtio_rng_start}, {VIRTIO_BLOCK, virtio_blk_start}};

/* 2.4.2: it is over when the status reads 0. */
static int reset(struct virtio_device *d)
{
    u64 end = arch_time_ns() + RESET_WAIT_NS;

    d->transport->set_status(d, 0);
    while (d->transport->status(d) != 0) {
        if (arch_time_ns() >= end)
            return -ETIMEDOUT;
        arch_cpu_relax();
    }
    return 0;
}

static void status_add(struct virtio_device *d, u8 bits)
{
    d->transport->set_status(d, d->transport->status(d) | bits);
}

/* 3.1.1, steps 1 to 3; the driver does the others. */
static int start_with(struct virtio_device *d, int (*start)(struct virtio_device *d))
{
    int err = reset(d);

    if (err)
        return err;
    status_add(d, ACKNOWLEDGE);
    status_add(d, DRIVER);
    err = d->transport->connect(d);
    return err ? err : start(d);
}

/* Memory that a device which fails here has been told of stays its own: it cannot be known what it has understood. */
void virtio_start(struct virtio_device *d)
{
    int err;

    for (unsigned i = 0; i < ARRAY_SIZE(drivers); i++) {
        if (drivers[i].type != d->type)
            continue;
        err = start_with(d, drivers[i].start);
        if (!err)
            return;
        atomic_store(&d->broken, 1);
        d->transport->set_status(d, 0);
        d->transport->set_status(d, FAILED);
        printk(LOG_ERR, "%s: the device of type %u cannot be used: error %d", d->name, d->type, err);
        return;
    }
    printk(LOG_INFO, "%s: no driver for a device of type %u", d->name, d->type);
}

/* 3.1.1, steps 4 to 6. */
int virtio_negotiate(struct virtio_device *d, u64 wanted)
{
    u64 offered = d->transport->features(d, 0) | (u64)d->transport->features(d, 1) << 32;

    if (!(offered & VIRTIO_F_VERSION_1))
        return -ENODEV;
    d->features = offered & (wanted | VIRTIO_F_VERSION_1);
    d->transport->set_features(d, 0, (u32)d->features);
    d->transport->set_features(d, 1, (u32)(d->features >> 32));
    status_add(d, FEATURES_OK);
    return d->transport->status(d) & FEATURES_OK ? 0 : -ENODEV;
}

/* 4.1.3.1, 4.2.2.2: by accesses as wide as the field, of 64 bits by two. 2.5.1: what was read belongs together if the
 * generation is the same before and after. */
int virtio_config(struct virtio_device *d, unsigned offset, unsigned size, u64 *out)
{
    u32 before;

    if (offset > d->config_size || size > d->config_size - offset)
        return -EIO;
    for (unsigned tries = 0; tries < GENERATION_TRIES; tries++) {
        before = d->transport->config_generation(d);
        *out = d->transport->config(d, offset, MIN(size, 4u));
        if (size == 8)
            *out |= (u64)d->transport->config(d, offset + 4, 4) << 32;
        if (d->transport->config_generation(d) == before)
            return 0;
    }
    return -EIO;
}

int virtio_queue(struct virtio_device *d, struct virtqueue *q, u16 index, u16 least)
{
    u16 most = d->transport->queue_size(d, index), size = 1;
    struct page *p;

    while (size * 2 <= MIN((u32)most, VIRTQ_SIZE_MAX))
        size = (u16)(size * 2);
    if (most == 0 || size < least)
        return -ENODEV;
    p = page_alloc(PAGE_KERNEL, ALLOC_ZERO);
    if (!p)
        return -ENOMEM;
    virtq_init(q, index, size, page_data(p), page_paddr(p));
    return d->transport->queue_enable(d, q);
}

void virtio_live(struct virtio_device *d)
{
    atomic_store(&d->live, 1);
    status_add(d, DRIVER_OK);
}

void virtio_kick(struct virtio_device *d, struct virtqueue *q)
{
    if (!virtq_wants_notice(q))
        return;
    arch_io_fence(); /* memory first, then the register: 2.7.13.4.1 */
    d->transport->notify(d, q);
}

bool virtio_interrupt(void *arg)
{
    struct virtio_device *d = arg;

    if (!d->transport->acknowledge(d))
        return false;
    arch_io_fence(); /* the register first, then memory: what is stored from here on interrupts again */
    return atomic_load(&d->live) && !atomic_load(&d->broken) && d->interrupt(d);
}

void virtio_break(struct virtio_device *d, const char *why)
{
    if (atomic_exchange(&d->broken, 1))
        return;
    d->transport->set_status(d, 0); /* 2.4: from here on it is to leave memory alone */
    d->transport->set_status(d, FAILED);
    printk(LOG_ERR, "%s: the device %s; it is not used any more", d->name, why);
}

void virtio_init(void)
{
    virtio_mmio_find();
    virtio_pci_find();
}
