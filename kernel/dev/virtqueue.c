/* Split virtqueues; see virtqueue.h. */
#include "dev/virtqueue.h"
#include <stdatomic.h>
#include "lib/errno.h"

#define DESCRIPTOR_NEXT 1u
#define DESCRIPTOR_WRITE 2u
#define USED_NO_NOTIFY 1u

void virtq_init(struct virtqueue *q, u16 index, u16 size, void *memory, paddr_t at)
{
    *q = (struct virtqueue){.memory = memory, .at = at, .index = index, .size = size, .free_count = size};
    for (unsigned i = 0; i < size; i++)
        q->next[i] = (u16)(i + 1); /* that of the last one is never followed */
}

int virtq_add(struct virtqueue *q, const struct virtq_buffer *b, unsigned readable, unsigned writable, void *token)
{
    unsigned count = readable + writable;
    u16 head = q->free_head, at = head;
    u32 room = 0;

    if (count == 0 || count > q->free_count)
        return -EBUSY;
    for (unsigned i = 0; i < count; i++) {
        volatile struct virtq_descriptor *d = &q->memory->descriptors[at];

        d->address = b[i].at.pa;
        d->length = b[i].length;
        d->flags = (u16)((i + 1 < count ? DESCRIPTOR_NEXT : 0) | (i >= readable ? DESCRIPTOR_WRITE : 0));
        d->next = i + 1 < count ? q->next[at] : 0;
        room += i >= readable ? b[i].length : 0;
        q->chains[head].last = at;
        at = q->next[at];
    }
    q->free_head = at;
    q->free_count = (u16)(q->free_count - count);
    q->chains[head].token = token;
    q->chains[head].room = room;
    q->chains[head].count = (u16)count;
    q->in_flight++;
    q->memory->available.ring[q->available_index % q->size] = head;
    /* 2.7.13.3.1: what is stored so far, the buffers' contents too, comes before the index that shows it. */
    atomic_thread_fence(memory_order_release);
    q->memory->available.index = ++q->available_index;
    return 0;
}

/*
 * 2.7.13.4.1: the index comes before the flags are looked at. The device turns
 * notices on and then looks at the index once more; one of the two sees the
 * other. The transport orders the notice itself, a store to a register, after
 * all stores to memory.
 */
bool virtq_wants_notice(struct virtqueue *q)
{
    atomic_thread_fence(memory_order_seq_cst);
    return !(q->memory->used.flags & USED_NO_NOTIFY);
}

static void chain_free(struct virtqueue *q, u16 head)
{
    q->chains[head].token = NULL;
    q->next[q->chains[head].last] = q->free_head;
    q->free_head = head;
    q->free_count = (u16)(q->free_count + q->chains[head].count);
    q->in_flight--;
}

int virtq_take(struct virtqueue *q, void **token, u32 *written)
{
    u16 done = (u16)(q->memory->used.index - q->used_seen); /* each is read once: it may change at any time */
    u32 id;

    if (done == 0)
        return 0;
    if (done > q->in_flight)
        return -EIO;
    /* 2.7.14: the entry, and what the device has stored into the buffers, is read after the index that showed it. */
    atomic_thread_fence(memory_order_acquire);
    id = q->memory->used.ring[q->used_seen % q->size].id;
    *written = q->memory->used.ring[q->used_seen % q->size].length;
    if (id >= q->size || !q->chains[id].token || *written > q->chains[id].room)
        return -EIO;
    *token = q->chains[id].token;
    q->used_seen++;
    chain_free(q, (u16)id);
    return 1;
}
