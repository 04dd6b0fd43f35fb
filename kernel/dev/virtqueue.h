/*
 * Split virtqueues (Virtual I/O Device specification 1.2, section 2.7; numbers in
 * comments are of its sections). Both machines are little endian, as the rings are.
 *
 * A queue is three tables in one page of memory that the device reads and writes.
 * What the driver has to remember is kept outside of that page: the device may
 * write whatever it likes there. What it says (2.7.8, the used ring) is believed
 * only if it can be true: an id that heads a chain which the device has, no more
 * chains than it has, no more bytes than it was given room for. Addresses are
 * physical.
 *
 * Nothing here locks: a queue belongs to its driver, whose lock is held.
 */
#pragma once
#include "lib/types.h"

#define VIRTQ_SIZE_MAX 64u

struct virtq_descriptor { /* 2.7.5 */
    u64 address;
    u32 length;
    u16 flags, next;
};
struct virtq_available { /* 2.7.6 */
    u16 flags, index, ring[VIRTQ_SIZE_MAX];
};
struct virtq_used { /* 2.7.8 */
    u16 flags, index;
    struct {
        u32 id, length;
    } ring[VIRTQ_SIZE_MAX];
};
/* Of the page; the order and the alignments of 16, 2 and 4 are 2.7's. */
struct virtq_memory {
    struct virtq_descriptor descriptors[VIRTQ_SIZE_MAX];
    struct virtq_available available;
    struct virtq_used used __attribute__((aligned(4)));
};
_Static_assert(sizeof(struct virtq_memory) <= PAGE_SIZE, "one page");

struct virtq_buffer {
    paddr_t at;
    u32 length;
};

struct virtqueue {
    volatile struct virtq_memory *memory;
    paddr_t at;         /* of memory */
    u16 index, size;    /* which of the device's; a power of two */
    u16 free_head, free_count;
    u16 available_index; /* chains ever made available, as the ring counts them */
    u16 used_seen;       /* chains ever taken back */
    u16 in_flight;       /* chains that the device has */
    u16 next[VIRTQ_SIZE_MAX]; /* of each descriptor: the one that follows, in a chain or in the list of free ones */
    struct {
        void *token;    /* the driver's; NULL: no chain that the device has begins here */
        u32 room;       /* bytes that the device may write */
        u16 last, count;
    } chains[VIRTQ_SIZE_MAX]; /* by the first descriptor */
};

/* memory: zeroed, a page, whose address is `at`; size: a power of two up to VIRTQ_SIZE_MAX. */
void virtq_init(struct virtqueue *q, u16 index, u16 size, void *memory, paddr_t at);
/* Makes a chain available: first what the device reads, then what it writes. token: not NULL. 0, or -EBUSY: no room. */
int virtq_add(struct virtqueue *q, const struct virtq_buffer *b, unsigned readable, unsigned writable, void *token) __must_check;
bool virtq_wants_notice(struct virtqueue *q); /* after virtq_add: must the device be told? */
/* One chain that the device is done with: 1, with its token and the bytes that it has written; 0: none; -EIO: what the
 * device says cannot be true, and the queue is not to be used any more. */
int virtq_take(struct virtqueue *q, void **token, u32 *written) __must_check;
