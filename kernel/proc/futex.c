/*
 * Futexes. A waiter queues first and reads the word afterwards: whoever changes
 * the word after that read finds it in the queue, so no wake is lost.
 *
 * Locks: one for each bucket (RANK_FUTEX), two by address. A waiter leaves only
 * after it has held its bucket's lock, so a waker may use it under that lock.
 */
#include "proc/futex.h"
#include "lib/errno.h"
#include "proc/process.h"
#include "sys/syscall.h"
#include "vm/uaccess.h"
#include "vm/vm.h"

enum {
    FUTEX_WAIT = 0,
    FUTEX_WAKE = 1,
    FUTEX_REQUEUE = 3,
    FUTEX_CMP_REQUEUE = 4,
    FUTEX_WAKE_OP = 5,
    FUTEX_WAIT_BITSET = 9,
    FUTEX_WAKE_BITSET = 10,
    FUTEX_PRIVATE = 128,
    FUTEX_CLOCK_REALTIME = 256,
};
#define MATCH_ANY UINT32_MAX
#define OWNER_DIED 0x40000000u
#define WAITERS 0x80000000u
#define TID_MASK 0x3fffffffu
#define ROBUST_MAX 2048
#define BUCKETS 256

/* Numbers, not addresses: what a waiter's object lay in may be another object by the time of a wake. */
struct key {
    u64 base; /* twice the id of the address space; of a shared mapping, that of the object, and one */
    u64 offset;
};

static struct bucket {
    struct spinlock lock;
    struct list waiters;
} buckets[BUCKETS];

struct futex_waiter {
    struct list link;
    struct bucket *bucket;
    struct key key;
    u32 bitset;
    bool woken;
    struct waitq sleep;
};

void futex_init(void)
{
    for (unsigned i = 0; i < BUCKETS; i++) {
        spin_init(&buckets[i].lock, "futex", RANK_FUTEX);
        list_init(&buckets[i].waiters);
    }
}

static struct bucket *bucket_of(struct key k)
{
    return &buckets[(k.base ^ k.offset / 4 ^ k.offset >> 12) % BUCKETS];
}

static int key_of(vaddr_t uaddr, bool private, struct key *k)
{
    struct region r;

    if (uaddr % 4)
        return -EINVAL;
    if (uaddr >= USER_TOP)
        return -EFAULT;
    *k = (struct key){current->vm->id * 2, uaddr};
    if (private || !vm_region_find(current->vm, uaddr, &r))
        return 0;
    if (r.start <= uaddr && r.object && (r.flags & VM_SHARED))
        *k = (struct key){r.object->id * 2 + 1, r.offset + (uaddr - r.start)};
    vm_region_release(&r);
    return 0;
}

/* ---- waking; bucket locked ---- */

static void wake_locked(struct futex_waiter *w)
{
    list_remove(&w->link);
    w->woken = true;
    waitq_wake_all(&w->sleep);
}

static u32 wake_some_locked(struct bucket *b, struct key k, u32 count, u32 bitset)
{
    struct futex_waiter *w, *next;
    u32 woken = 0;

    list_for_each_safe(w, next, &b->waiters, link) {
        if (woken == count)
            break;
        if (w->key.base != k.base || w->key.offset != k.offset || !(w->bitset & bitset))
            continue;
        wake_locked(w);
        woken++;
    }
    return woken;
}

static u32 wake(struct key k, u32 count, u32 bitset)
{
    struct bucket *b = bucket_of(k);
    u32 woken;

    spin_lock(&b->lock);
    woken = wake_some_locked(b, k, count, bitset);
    spin_unlock(&b->lock);
    return woken;
}

/* ---- waiting ---- */

/* Takes w out of whatever bucket it is in now. True: it had been woken. */
static bool leave(struct futex_waiter *w)
{
    for (;;) {
        struct bucket *b = __atomic_load_n(&w->bucket, __ATOMIC_ACQUIRE);

        spin_lock(&b->lock);
        if (w->bucket == b) {
            if (!w->woken)
                list_remove(&w->link);
            spin_unlock(&b->lock);
            return w->woken;
        }
        spin_unlock(&b->lock); /* requeued meanwhile */
    }
}

static s64 futex_wait(vaddr_t uaddr, bool private, u32 val, u64 deadline, u32 bitset)
{
    struct futex_waiter w = {.bitset = bitset};
    int err = key_of(uaddr, private, &w.key);
    u32 now;

    if (err)
        return err;
    if (!bitset)
        return -EINVAL;
    waitq_init(&w.sleep);
    w.bucket = bucket_of(w.key);
    spin_lock(&w.bucket->lock);
    list_append(&w.bucket->waiters, &w.link);
    spin_unlock(&w.bucket->lock);
    err = get_user(&now, uaddr);
    if (!err && now != val)
        err = -EAGAIN;
    if (!err)
        err = wait_event(&w.sleep, __atomic_load_n(&w.woken, __ATOMIC_ACQUIRE), SLEEP_INTERRUPTIBLE, deadline);
    return leave(&w) ? 0 : err;
}

/* ---- requeue ---- */

static void lock_two(struct bucket *a, struct bucket *b)
{
    spin_lock(a < b ? &a->lock : &b->lock);
    if (a != b)
        spin_lock_nested(a < b ? &b->lock : &a->lock);
}

static void unlock_two(struct bucket *a, struct bucket *b)
{
    spin_unlock(&a->lock);
    if (a != b)
        spin_unlock(&b->lock);
}

static u32 requeue_locked(struct bucket *from, struct key k, struct bucket *to, struct key k2, u32 count)
{
    struct futex_waiter *w, *next;
    u32 moved = 0;

    list_for_each_safe(w, next, &from->waiters, link) {
        if (moved == count)
            break;
        if (w->key.base != k.base || w->key.offset != k.offset)
            continue;
        list_remove(&w->link);
        list_append(&to->waiters, &w->link);
        w->key = k2;
        __atomic_store_n(&w->bucket, to, __ATOMIC_RELEASE);
        moved++;
    }
    return moved;
}

static s64 futex_requeue(vaddr_t uaddr, bool private, u32 wakes, u32 moves, vaddr_t uaddr2, const u32 *expect)
{
    struct bucket *a, *b;
    struct key k, k2;
    u32 now, done;
    int err = key_of(uaddr, private, &k);

    if (!err)
        err = key_of(uaddr2, private, &k2);
    if (err)
        return err;
    if (expect && get_user(&now, uaddr))
        return -EFAULT;
    if (expect && now != *expect)
        return -EAGAIN;
    a = bucket_of(k), b = bucket_of(k2);
    lock_two(a, b);
    done = wake_some_locked(a, k, wakes, MATCH_ANY);
    done += requeue_locked(a, k, b, k2, moves);
    unlock_two(a, b);
    return done;
}

/* ---- FUTEX_WAKE_OP: changes a second word and wakes there, too, if its old value fits ---- */

static bool op_apply(u32 encoded, u32 old, u32 *new)
{
    u32 arg = (u32)((s32)(encoded << 8) >> 20);

    if (encoded >> 31)
        arg = 1u << (arg & 31);
    switch (encoded >> 28 & 7) {
    case 0:
        *new = arg;
        return true;
    case 1:
        *new = old + arg;
        return true;
    case 2:
        *new = old | arg;
        return true;
    case 3:
        *new = old & ~arg;
        return true;
    case 4:
        *new = old ^ arg;
        return true;
    }
    return false;
}

static bool op_compare(u32 encoded, s32 old)
{
    s32 arg = (s32)(encoded << 20) >> 20;

    switch (encoded >> 24 & 15) {
    case 0:
        return old == arg;
    case 1:
        return old != arg;
    case 2:
        return old < arg;
    case 3:
        return old <= arg;
    case 4:
        return old > arg;
    case 5:
        return old >= arg;
    }
    return false;
}

static s64 futex_wake_op(vaddr_t uaddr, bool private, u32 count, u32 count2, vaddr_t uaddr2, u32 encoded)
{
    struct key k, k2;
    u32 old, seen, new, woken;
    int err = key_of(uaddr, private, &k);

    if (!err)
        err = key_of(uaddr2, private, &k2);
    if (!err)
        err = get_user(&old, uaddr2);
    for (; !err; old = seen) {
        if (!op_apply(encoded, old, &new))
            return -ENOSYS;
        err = cmpxchg_user32(uaddr2, old, new, &seen);
        if (!err && seen == old)
            break;
    }
    if (err)
        return err;
    woken = wake(k, count, MATCH_ANY);
    if (op_compare(encoded, (s32)old))
        woken += wake(k2, count2, MATCH_ANY);
    return woken;
}

/* ---- the call ---- */

/* FUTEX_WAIT has a relative time, FUTEX_WAIT_BITSET an absolute one. */
static int deadline_of(u32 op, vaddr_t timeout, u64 *deadline)
{
    u64 ns, boot;
    int err;

    *deadline = UINT64_MAX;
    if (!timeout)
        return 0;
    err = timespec_from_user(timeout, &ns);
    if (err)
        return err;
    if ((op & 127) == FUTEX_WAIT) {
        *deadline = time_deadline(ns);
    } else if (op & FUTEX_CLOCK_REALTIME) {
        boot = time_realtime_ns() - arch_time_ns();
        *deadline = ns > boot ? ns - boot : 0;
    } else {
        *deadline = ns;
    }
    return 0;
}

s64 futex(vaddr_t uaddr, u32 op, u32 val, u64 timeout, vaddr_t uaddr2, u32 val3)
{
    bool private = op & FUTEX_PRIVATE;
    struct key k;
    u64 deadline;
    int err;

    switch (op & 127) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
        err = deadline_of(op, timeout, &deadline);
        return err ? err : futex_wait(uaddr, private, val, deadline, (op & 127) == FUTEX_WAIT ? MATCH_ANY : val3);
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET:
        err = key_of(uaddr, private, &k);
        return err ? err : wake(k, val, (op & 127) == FUTEX_WAKE ? MATCH_ANY : val3);
    case FUTEX_REQUEUE:
        return futex_requeue(uaddr, private, val, (u32)timeout, uaddr2, NULL);
    case FUTEX_CMP_REQUEUE:
        return futex_requeue(uaddr, private, val, (u32)timeout, uaddr2, &val3);
    case FUTEX_WAKE_OP:
        return futex_wake_op(uaddr, private, val, (u32)timeout, uaddr2, val3);
    }
    return -ENOSYS;
}

/* ---- the end of a thread ---- */

static void wake_word(vaddr_t uaddr, u32 count)
{
    struct key k;

    if (key_of(uaddr, true, &k) == 0)
        wake(k, count, MATCH_ANY);
    if (key_of(uaddr, false, &k) == 0 && k.base % 2)
        wake(k, count, MATCH_ANY);
}

static void owner_died(vaddr_t word)
{
    u32 old, seen;

    if (get_user(&old, word))
        return;
    while ((old & TID_MASK) == current->tid) {
        if (cmpxchg_user32(word, old, (old & WAITERS) | OWNER_DIED, &seen))
            return;
        if (seen == old) {
            wake_word(word, 1);
            return;
        }
        old = seen;
    }
}

/* struct robust_list_head {next, futex_offset, list_op_pending}; each element's first word is the next one's address. */
static void robust_exit(vaddr_t head)
{
    u64 h[3], next;

    if (copy_from_user(h, head, sizeof h))
        return;
    next = h[0];
    for (unsigned i = 0; i < ROBUST_MAX && (next & ~1ul) != head; i++) {
        vaddr_t entry = next & ~1ul;
        if (get_user(&next, entry))
            break;
        if (entry != (h[2] & ~1ul))
            owner_died(entry + h[1]);
    }
    if (h[2])
        owner_died((h[2] & ~1ul) + h[1]);
}

void futex_exit(struct thread *t)
{
    u32 zero = 0;

    if (!t->vm)
        return;
    if (t->robust_list)
        robust_exit(t->robust_list);
    if (t->clear_child_tid && put_user(t->clear_child_tid, &zero) == 0)
        wake_word(t->clear_child_tid, 1);
    t->robust_list = t->clear_child_tid = 0;
}
