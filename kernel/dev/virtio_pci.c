/*
 * Virtio devices on PCI (specification 1.2, section 4.1): capabilities say where in
 * which base address register its structures are. Interrupts come by message where
 * the machine has them, one for the whole device, else by a pin that may be shared.
 */
#include "arch/arch.h"
#include "dev/pci.h"
#include "dev/virtio.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "vm/kmem.h"

#define VENDOR 0x1af4
#define ID_TRANSITIONAL 0x1000 /* 4.1.2.1: those say in the subsystem's id of what type they are */
#define ID_CURRENT 0x1040
#define ID_END 0x1080
#define SUBSYSTEM_ID 0x2e
#define CAPABILITY_VENDOR 0x09
enum { CAP_LENGTH = 2, CAP_TYPE = 3, CAP_BAR = 4, CAP_OFFSET = 8, CAP_SIZE = 12, CAP_MULTIPLIER = 16 }; /* 4.1.4 */
enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4 };
#define CAP_SIZE_MIN 16u
#define CAPS_MAX 16u
#define CONFIG_MAX 256u
#define NO_VECTOR 0xffff
#define DEVICES_MAX 32u  /* each takes windows of arch_map_device, which has 512 of them */
#define NOTIFY_QUEUES 4u /* queues of a device that drivers here use at most */

struct common { /* 4.1.4.3 */
    u32 device_feature_select, device_feature, driver_feature_select, driver_feature;
    u16 config_vector, queue_count;
    u8 status, generation;
    u16 queue_select, queue_size, queue_vector, queue_enable, queue_notify_offset;
    u32 queue_descriptors[2], queue_driver[2], queue_device[2];
};
_Static_assert(offsetof(struct common, queue_device) == 48, "4.1.4.3");

struct place { /* what a capability says */
    unsigned bar;
    u32 offset, size, multiplier;
};

struct pci_virtio {
    struct virtio_device device;
    struct pci_device pci;
    volatile struct common *common;
    volatile u8 *isr, *config;
    volatile u16 *notify[NOTIFY_QUEUES];
    struct place notify_place;
    bool messages;
};

static unsigned devices_seen;

static struct pci_virtio *pci_of(struct virtio_device *d)
{
    return container_of(d, struct pci_virtio, device);
}

static u8 pci_status(struct virtio_device *d)
{
    return pci_of(d)->common->status;
}

static void pci_set_status(struct virtio_device *d, u8 status)
{
    pci_of(d)->common->status = status;
}

static u32 pci_features(struct virtio_device *d, unsigned word)
{
    pci_of(d)->common->device_feature_select = word;
    return pci_of(d)->common->device_feature;
}

static void pci_set_features(struct virtio_device *d, unsigned word, u32 v)
{
    pci_of(d)->common->driver_feature_select = word;
    pci_of(d)->common->driver_feature = v;
}

static u32 pci_config_generation(struct virtio_device *d)
{
    return pci_of(d)->common->generation;
}

static u32 pci_config(struct virtio_device *d, unsigned offset, unsigned size)
{
    volatile u8 *p = pci_of(d)->config + offset;

    return size == 1 ? *p : size == 2 ? *(volatile u16 *)p : *(volatile u32 *)p;
}

static u16 pci_queue_size(struct virtio_device *d, u16 index)
{
    struct pci_virtio *v = pci_of(d);

    if (index >= v->common->queue_count || index >= NOTIFY_QUEUES)
        return 0;
    v->common->queue_select = index;
    return v->common->queue_size;
}

static void set_address(volatile u32 *reg, u64 address)
{
    reg[0] = (u32)address;
    reg[1] = (u32)(address >> 32);
}

/* 4.1.5.1.3; 4.1.4.4: where the queue's notices go; 4.1.5.1.2: a vector that was not taken reads as NO_VECTOR. */
static int pci_queue_enable(struct virtio_device *d, const struct virtqueue *q)
{
    struct pci_virtio *v = pci_of(d);
    volatile struct common *c = v->common;
    u64 at;

    c->queue_select = q->index;
    c->queue_size = q->size;
    c->queue_vector = v->messages ? 0 : NO_VECTOR;
    if (v->messages && c->queue_vector != 0)
        return -EIO;
    at = (u64)c->queue_notify_offset * v->notify_place.multiplier;
    if (at % 2 || at + 2 > v->notify_place.size)
        return -EIO;
    v->notify[q->index] = pci_map(&v->pci, v->notify_place.bar, v->notify_place.offset + at, 2);
    if (!v->notify[q->index])
        return -EIO;
    set_address(c->queue_descriptors, q->at.pa + offsetof(struct virtq_memory, descriptors));
    set_address(c->queue_driver, q->at.pa + offsetof(struct virtq_memory, available));
    set_address(c->queue_device, q->at.pa + offsetof(struct virtq_memory, used));
    arch_io_fence(); /* the tables are zero before the device looks */
    c->queue_enable = 1;
    return 0;
}

static void pci_notify(struct virtio_device *d, const struct virtqueue *q)
{
    *pci_of(d)->notify[q->index] = q->index;
}

static int pci_connect_device(struct virtio_device *d)
{
    struct pci_virtio *v = pci_of(d);
    int err = pci_connect(&v->pci, virtio_interrupt, d, &v->messages);

    v->common->config_vector = err || !v->messages ? NO_VECTOR : 0;
    return err;
}

/* 4.1.4.5.1: reading the status takes it back. A message is nobody else's. */
static bool pci_acknowledge(struct virtio_device *d)
{
    return pci_of(d)->messages || *pci_of(d)->isr != 0;
}

static const struct virtio_transport pci_transport = {
    .status = pci_status, .set_status = pci_set_status, .features = pci_features, .set_features = pci_set_features,
    .config_generation = pci_config_generation, .config = pci_config, .queue_size = pci_queue_size,
    .queue_enable = pci_queue_enable, .notify = pci_notify, .connect = pci_connect_device, .acknowledge = pci_acknowledge};

/* 4.1.4.1: the first capability of a type that is good enough. A list of more than CAPS_MAX goes in circles. */
static bool find_place(const struct pci_device *d, unsigned type, u32 least, unsigned alignment, struct place *p)
{
    unsigned at = 0, length = type == CAP_NOTIFY ? CAP_MULTIPLIER + 4 : CAP_SIZE_MIN;

    for (unsigned n = 0; n < CAPS_MAX && (at = pci_capability(d, CAPABILITY_VENDOR, at)); n++) {
        if (at + length > PCI_CONFIG_SIZE || pci_read(d, at + CAP_TYPE, 1) != type || pci_read(d, at + CAP_LENGTH, 1) < CAP_SIZE_MIN)
            continue;
        *p = (struct place){pci_read(d, at + CAP_BAR, 1), pci_read(d, at + CAP_OFFSET, 4), pci_read(d, at + CAP_SIZE, 4), 0};
        if (type == CAP_NOTIFY)
            p->multiplier = pci_read(d, at + CAP_MULTIPLIER, 4);
        if (p->bar < 6 && p->offset % alignment == 0 && p->size >= least)
            return true;
    }
    return false;
}

/* All structures that are needed, mapped. The device's own configuration may be missing. */
static bool map_all(struct pci_virtio *v)
{
    struct place p;

    if (!find_place(&v->pci, CAP_COMMON, sizeof(struct common), 4, &p) ||
        !(v->common = pci_map(&v->pci, p.bar, p.offset, sizeof(struct common))))
        return false;
    if (!find_place(&v->pci, CAP_ISR, 1, 1, &p) || !(v->isr = pci_map(&v->pci, p.bar, p.offset, 1)))
        return false;
    if (!find_place(&v->pci, CAP_NOTIFY, 2, 2, &v->notify_place))
        return false;
    if (find_place(&v->pci, CAP_DEVICE, 1, 4, &p)) {
        v->device.config_size = MIN(p.size, CONFIG_MAX);
        v->config = pci_map(&v->pci, p.bar, p.offset, v->device.config_size);
    }
    if (!v->config)
        v->device.config_size = 0;
    return true;
}

static u32 type_of(const struct pci_device *d)
{
    return d->id >= ID_CURRENT ? d->id - ID_CURRENT : pci_read(d, SUBSYSTEM_ID, 2);
}

static void look_at(const struct pci_device *d)
{
    struct pci_virtio *v;
    int err;

    if (d->vendor != VENDOR || d->id < ID_TRANSITIONAL || d->id >= ID_END)
        return;
    if (devices_seen++ == DEVICES_MAX)
        printk(LOG_WARN, "virtio: of the devices on PCI only the first %u are used", DEVICES_MAX);
    v = devices_seen <= DEVICES_MAX ? kmem_zalloc(sizeof *v) : NULL;
    if (!v)
        return;
    v->pci = *d;
    v->device = (struct virtio_device){.transport = &pci_transport, .type = type_of(d)};
    snprintf(v->device.name, sizeof v->device.name, "virtio@%02x:%02x.%u", d->place >> 8, d->place >> 3 & 31, d->place & 7);
    err = pci_enable(d);
    if (!err && map_all(v)) {
        virtio_start(&v->device);
        return;
    }
    printk(LOG_WARN, "%s: not used: %s", v->device.name, err ? "there are no addresses for its registers" : "its interface is not of version 1");
    kmem_free(v);
}

void virtio_pci_find(void)
{
    pci_find(look_at);
}
