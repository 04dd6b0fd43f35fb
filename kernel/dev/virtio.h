/*
 * Virtio devices (Virtual I/O Device specification 1.2; numbers in comments are of
 * its sections), whatever they are behind: virtio_mmio.c and virtio_pci.c find
 * them and know their registers, drivers know what they are for.
 *
 * Devices are found at boot, by one thread, before there are other CPUs, and stay
 * for ever. A device is not trusted: what it says is checked, every wait for it
 * ends, and one that breaks its word is `broken`: it has been reset, its driver
 * answers -EIO from then on, and memory that it was told of is never used for
 * anything else. Only VIRTIO_F_VERSION_1 devices are used (2.2.3 calls the others
 * legacy), with split queues; no VIRTIO_F_ACCESS_PLATFORM: it sees physical
 * addresses, and its accesses to memory are coherent.
 */
#pragma once
#include "dev/virtqueue.h"
#include "lib/lock.h"

enum virtio_type { VIRTIO_BLOCK = 2, VIRTIO_ENTROPY = 4 };
#define VIRTIO_F_VERSION_1 (1ul << 32)

struct virtio_device;

/* What a transport can do: section 4.1 (PCI), 4.2 (memory). Registers only: no state, no checks. */
struct virtio_transport {
    u8 (*status)(struct virtio_device *d);
    void (*set_status)(struct virtio_device *d, u8 status);
    u32 (*features)(struct virtio_device *d, unsigned word);
    void (*set_features)(struct virtio_device *d, unsigned word, u32 v);
    u32 (*config_generation)(struct virtio_device *d);
    u32 (*config)(struct virtio_device *d, unsigned offset, unsigned size); /* size: 1, 2, 4; aligned, below config_size */
    u16 (*queue_size)(struct virtio_device *d, u16 index);       /* the largest; 0: there is no such queue */
    int (*queue_enable)(struct virtio_device *d, const struct virtqueue *q) __must_check;
    void (*notify)(struct virtio_device *d, const struct virtqueue *q); /* after an arch_io_fence */
    int (*connect)(struct virtio_device *d) __must_check; /* from here on virtio_interrupt may come */
    bool (*acknowledge)(struct virtio_device *d); /* was the interrupt this device's? */
};

struct virtio_device {
    const struct virtio_transport *transport;
    char name[24];
    u32 type;
    unsigned config_size;
    u64 features;                /* negotiated */
    _Atomic u32 live, broken;    /* live: DRIVER_OK has been said */
    bool (*interrupt)(struct virtio_device *d); /* the driver's, with interrupts off: true if it had been waited for */
    void *driver;                /* the driver's */
};

/* For the transports: starts a device with the driver for its type, if there is one. d: for ever. */
void virtio_start(struct virtio_device *d);
bool virtio_interrupt(void *d); /* for irq_register */

/* For drivers, in this order; each: 0 or what is to be returned from the driver's start. */
int virtio_negotiate(struct virtio_device *d, u64 wanted) __must_check; /* d->features; also those not wanted are left out */
/* A field of 1, 2, 4 or 8 bytes of the device's configuration. -EIO: it ends before, or never rests. */
int virtio_config(struct virtio_device *d, unsigned offset, unsigned size, u64 *out) __must_check;
/* A queue of `least` descriptors or more. */
int virtio_queue(struct virtio_device *d, struct virtqueue *q, u16 index, u16 least) __must_check;
void virtio_live(struct virtio_device *d);
/* And then: tells it of chains that have been added. */
void virtio_kick(struct virtio_device *d, struct virtqueue *q);
void virtio_break(struct virtio_device *d, const char *why); /* once; any context */

void virtio_init(void); /* finds all and starts them */
void virtio_mmio_find(void), virtio_pci_find(void);
int virtio_rng_start(struct virtio_device *d), virtio_blk_start(struct virtio_device *d);
