/*
 * Virtio devices behind registers in memory (specification 1.2, section 4.2). Where
 * they may be is part of the platform; most places are empty.
 */
#include "arch/arch.h"
#include "dev/irq.h"
#include "dev/registers.h"
#include "dev/virtio.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "vm/kmem.h"

enum { /* 4.2.2 */
    MAGIC = 0x00, VERSION = 0x04, DEVICE_ID = 0x08, DEVICE_FEATURES = 0x10, DEVICE_FEATURES_SEL = 0x14,
    DRIVER_FEATURES = 0x20, DRIVER_FEATURES_SEL = 0x24, QUEUE_SEL = 0x30, QUEUE_NUM_MAX = 0x34, QUEUE_NUM = 0x38,
    QUEUE_READY = 0x44, QUEUE_NOTIFY = 0x50, INTERRUPT_STATUS = 0x60, INTERRUPT_ACK = 0x64, STATUS = 0x70,
    QUEUE_DESC = 0x80, QUEUE_DRIVER = 0x90, QUEUE_DEVICE = 0xa0, CONFIG_GENERATION = 0xfc, CONFIG = 0x100
};
#define MAGIC_VALUE 0x74726976u /* "virt" */
#define VERSION_LEGACY 1u
#define VERSION_CURRENT 2u

struct mmio_device {
    struct virtio_device device;
    volatile u8 *regs;
    unsigned line;
};

static struct mmio_device *mmio_of(struct virtio_device *d)
{
    return container_of(d, struct mmio_device, device);
}

static u32 get(struct virtio_device *d, unsigned reg)
{
    return *(volatile u32 *)(mmio_of(d)->regs + reg);
}

static void set(struct virtio_device *d, unsigned reg, u32 v)
{
    *(volatile u32 *)(mmio_of(d)->regs + reg) = v;
}

static u8 mmio_status(struct virtio_device *d)
{
    return (u8)get(d, STATUS);
}

static void mmio_set_status(struct virtio_device *d, u8 status)
{
    set(d, STATUS, status);
}

static u32 mmio_features(struct virtio_device *d, unsigned word)
{
    set(d, DEVICE_FEATURES_SEL, word);
    return get(d, DEVICE_FEATURES);
}

static void mmio_set_features(struct virtio_device *d, unsigned word, u32 v)
{
    set(d, DRIVER_FEATURES_SEL, word);
    set(d, DRIVER_FEATURES, v);
}

static u32 mmio_config_generation(struct virtio_device *d)
{
    return get(d, CONFIG_GENERATION);
}

static u32 mmio_config(struct virtio_device *d, unsigned offset, unsigned size)
{
    volatile u8 *p = mmio_of(d)->regs + CONFIG + offset;

    return size == 1 ? *p : size == 2 ? *(volatile u16 *)p : *(volatile u32 *)p;
}

static u16 mmio_queue_size(struct virtio_device *d, u16 index)
{
    set(d, QUEUE_SEL, index);
    return (u16)MIN(get(d, QUEUE_NUM_MAX), (u32)UINT16_MAX);
}

static void set_address(struct virtio_device *d, unsigned reg, u64 address)
{
    set(d, reg, (u32)address);
    set(d, reg + 4, (u32)(address >> 32));
}

/* 4.2.3.2 */
static int mmio_queue_enable(struct virtio_device *d, const struct virtqueue *q)
{
    set(d, QUEUE_SEL, q->index);
    if (get(d, QUEUE_READY) != 0)
        return -EIO;
    set(d, QUEUE_NUM, q->size);
    set_address(d, QUEUE_DESC, q->at.pa + offsetof(struct virtq_memory, descriptors));
    set_address(d, QUEUE_DRIVER, q->at.pa + offsetof(struct virtq_memory, available));
    set_address(d, QUEUE_DEVICE, q->at.pa + offsetof(struct virtq_memory, used));
    arch_io_fence(); /* the tables are zero before the device looks */
    set(d, QUEUE_READY, 1);
    return get(d, QUEUE_READY) == 1 ? 0 : -EIO;
}

static void mmio_notify(struct virtio_device *d, const struct virtqueue *q)
{
    set(d, QUEUE_NOTIFY, q->index);
}

static int mmio_connect(struct virtio_device *d)
{
    return irq_register(mmio_of(d)->line, virtio_interrupt, d) ? 0 : -ENODEV;
}

static bool mmio_acknowledge(struct virtio_device *d)
{
    u32 status = get(d, INTERRUPT_STATUS);

    if (status)
        set(d, INTERRUPT_ACK, status);
    return status != 0;
}

static const struct virtio_transport mmio_transport = {
    .status = mmio_status, .set_status = mmio_set_status, .features = mmio_features, .set_features = mmio_set_features,
    .config_generation = mmio_config_generation, .config = mmio_config, .queue_size = mmio_queue_size,
    .queue_enable = mmio_queue_enable, .notify = mmio_notify, .connect = mmio_connect, .acknowledge = mmio_acknowledge};

/* 4.2.3.1.1: what is in a place, if anything. */
static void look_at(const struct virtio_place *place)
{
    u64 size = MIN(place->size, PAGE_SIZE);
    volatile u8 *regs;
    u32 version, type;
    struct mmio_device *m;

    if (size <= CONFIG || place->base.pa % 4 || !registers_may_be(place->base.pa, size)) {
        printk(LOG_WARN, "virtio: there can be no device in %lu bytes at %#lx", place->size, place->base.pa);
        return;
    }
    regs = arch_map_device(place->base, size);
    if (*(volatile u32 *)(regs + MAGIC) != MAGIC_VALUE)
        return;
    version = *(volatile u32 *)(regs + VERSION);
    type = *(volatile u32 *)(regs + DEVICE_ID);
    if (type == 0)
        return;
    if (version != VERSION_CURRENT) {
        printk(LOG_WARN, "the virtio device at %#lx is not used: its interface is of version %u%s", place->base.pa, version,
               version == VERSION_LEGACY ? " (QEMU: -global virtio-mmio.force-legacy=false)" : "");
        return;
    }
    m = kmem_zalloc(sizeof *m);
    if (!m)
        return;
    *m = (struct mmio_device){.device = {.transport = &mmio_transport, .type = type,
                                         .config_size = (unsigned)(size - CONFIG)},
                              .regs = regs, .line = place->line};
    snprintf(m->device.name, sizeof m->device.name, "virtio@%lx", place->base.pa);
    virtio_start(&m->device);
}

/* The place with the lowest address that is above `after`; NULL: none. So a machine's slots are looked at in their order. */
static const struct virtio_place *next_place(u64 after)
{
    const struct virtio_place *next = NULL;

    for (unsigned i = 0; i < platform.virtio_count; i++) {
        const struct virtio_place *p = &platform.virtio[i];
        if (p->base.pa > after && (!next || p->base.pa < next->base.pa))
            next = p;
    }
    return next;
}

void virtio_mmio_find(void)
{
    for (const struct virtio_place *p = next_place(0); p; p = next_place(p->base.pa))
        look_at(p);
}
