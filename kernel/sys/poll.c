/* ppoll, pselect6, epoll. */
#include "fs/anon.h"
#include "fs/poll.h"
#include "lib/string.h"
#include "proc/process.h"
#include "sys/syscall.h"
#include "vm/kmem.h"
#include "vm/uaccess.h"
#include <machine/abi.h>

#define FD_SETSIZE_MAX 65536u

struct pollfd_abi {
    s32 fd;
    s16 events, revents;
};

/* A relative time of the user's (or none) as a deadline; 0 for "do not wait". */
static int deadline_from_user(vaddr_t uts, u64 *deadline)
{
    u64 ns;
    int err;

    *deadline = UINT64_MAX;
    if (!uts)
        return 0;
    err = timespec_from_user(uts, &ns);
    *deadline = ns ? time_deadline(ns) : 0;
    return err;
}

static int mask_from_user(vaddr_t umask, u64 size)
{
    u64 mask;

    if (!umask)
        return 0;
    if (size != 8)
        return -EINVAL;
    if (get_user(&mask, umask))
        return -EFAULT;
    signal_mask_set_temporary(mask);
    return 0;
}

/* The mask that was before comes back now, unless a handler is to run first. */
static s64 poll_done(s64 result)
{
    if (result == -ERESTARTSYS)
        return -ERESTARTNOHAND;
    if (current->restore_sigmask) {
        current->restore_sigmask = false;
        signal_mask_set(current->saved_sigmask);
    }
    return result;
}

static void entries_put(struct poll_entry *e, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (e[i].file)
            file_put(e[i].file);
    kmem_free(e);
}

static void entry_open(struct poll_entry *e, s32 fd, unsigned events)
{
    *e = (struct poll_entry){.file = fd < 0 ? NULL : fd_get(fd), .events = events};
    if (fd >= 0 && !e->file)
        e->revents = POLLNVAL;
}

/* ---- ppoll(fds, n, timeout, sigmask, sigsetsize) ---- */

static s64 ppoll(struct pollfd_abi *fds, unsigned n, u64 deadline)
{
    struct poll_entry *e = kmem_zalloc(n * sizeof *e + 1);
    s64 ready;

    if (!e)
        return -ENOMEM;
    for (unsigned i = 0; i < n; i++)
        entry_open(&e[i], fds[i].fd, (u16)fds[i].events);
    ready = poll_wait(e, n, deadline);
    for (unsigned i = 0; i < n; i++)
        fds[i].revents = (s16)e[i].revents;
    entries_put(e, n);
    return ready;
}

s64 poll_until(const u64 *a, u64 deadline, vaddr_t umask, u64 mask_size)
{
    u64 bytes = a[1] * sizeof(struct pollfd_abi);
    struct pollfd_abi *fds;
    s64 result;

    if (a[1] > current_process()->rlimit[RLIMIT_NOFILE].cur)
        return -EINVAL;
    fds = kmem_alloc(bytes + 1);
    if (!fds)
        return -ENOMEM;
    result = copy_from_user(fds, a[0], bytes) ? -EFAULT : mask_from_user(umask, mask_size);
    if (!result) {
        result = ppoll(fds, (unsigned)a[1], deadline);
        if (result >= 0 && copy_to_user(a[0], fds, bytes))
            result = -EFAULT;
        result = poll_done(result);
    }
    kmem_free(fds);
    return result;
}

SYSCALL(ppoll)
{
    u64 deadline;
    int err = deadline_from_user(a[2], &deadline);

    return err ? err : poll_until(a, deadline, a[3], a[4]);
}

/* ---- pselect6(n, read, write, except, timeout, {sigmask, size}) ---- */

static const unsigned select_events[3] = {POLLIN | POLLRDNORM, POLLOUT | POLLWRNORM, POLLPRI};
static const unsigned select_ready[3] = {POLLIN | POLLRDNORM | POLLHUP | POLLERR, POLLOUT | POLLWRNORM | POLLERR,
                                         POLLPRI};

struct select {
    unsigned n;
    size_t bytes;  /* of one set, in whole words */
    u64 *set[3];   /* what is asked; NULL: nothing */
    u64 *memory;
};

static bool asked(const struct select *s, unsigned which, unsigned fd)
{
    return s->set[which] && (s->set[which][fd / 64] >> fd % 64 & 1);
}

static int select_read(struct select *s, const u64 *a)
{
    s->bytes = (s->n + 63) / 64 * 8;
    s->memory = kmem_zalloc(3 * s->bytes + 8);
    if (!s->memory)
        return -ENOMEM;
    for (unsigned i = 0; i < 3; i++) {
        if (!a[1 + i])
            continue;
        s->set[i] = s->memory + i * s->bytes / 8;
        if (copy_from_user(s->set[i], a[1 + i], s->bytes))
            return -EFAULT;
    }
    return 0;
}

/* One entry for each descriptor that is in a set; *count. */
static struct poll_entry *select_entries(const struct select *s, unsigned *count)
{
    struct poll_entry *e = kmem_zalloc((s->n + 1) * sizeof *e);

    *count = 0;
    for (unsigned fd = 0; e && fd < s->n; fd++) {
        unsigned events = 0;
        for (unsigned i = 0; i < 3; i++)
            events |= asked(s, i, fd) ? select_events[i] : 0;
        if (events)
            entry_open(&e[(*count)++], (s32)fd, events);
    }
    return e;
}

static s64 select_answer(struct select *s, const struct poll_entry *e)
{
    s64 bits = 0;

    for (unsigned fd = 0; fd < s->n; fd++) {
        bool any = false;
        for (unsigned i = 0; i < 3; i++) {
            if (!asked(s, i, fd))
                continue;
            any = true;
            if (e->revents & select_ready[i])
                bits++;
            else
                s->set[i][fd / 64] &= ~(1ul << fd % 64);
        }
        e += any;
    }
    return bits;
}

static s64 select_wait(struct select *s, u64 deadline)
{
    unsigned count;
    struct poll_entry *e = select_entries(s, &count);
    s64 result = 0;

    if (!e)
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++)
        if (e[i].revents == POLLNVAL)
            result = -EBADF;
    if (!result)
        result = poll_wait(e, count, deadline);
    if (result >= 0)
        result = select_answer(s, e);
    entries_put(e, count);
    return result;
}

s64 select_until(const u64 *a, u64 deadline, vaddr_t umask, u64 mask_size)
{
    struct select s = {.n = (unsigned)a[0]};
    s64 result;

    if (a[0] > FD_SETSIZE_MAX)
        return -EINVAL;
    result = select_read(&s, a);
    if (!result)
        result = mask_from_user(umask, mask_size);
    if (!result) {
        result = select_wait(&s, deadline);
        for (unsigned i = 0; i < 3 && result >= 0; i++)
            if (s.set[i] && copy_to_user(a[1 + i], s.set[i], s.bytes))
                result = -EFAULT;
        result = poll_done(result);
    }
    kmem_free(s.memory);
    return result;
}

SYSCALL(pselect6)
{
    u64 deadline, mask[2] = {0, 0};
    int err;

    if (a[5] && get_user(&mask, a[5]))
        return -EFAULT;
    err = deadline_from_user(a[4], &deadline);
    return err ? err : select_until(a, deadline, mask[0], mask[1]);
}

/* ---- epoll ---- */

#define EPOLL_CTL_ADD 1
#define EPOLL_CTL_DEL 2
#define EPOLL_CTL_MOD 3
#define EPOLL_AT_ONCE 128u /* events that one call gives at most */

SYSCALL(epoll_create1)
{
    struct file *f;
    int err = a[0] & ~(u64)O_CLOEXEC ? -EINVAL : epoll_create(0, &f);

    return err ? err : fd_give(f, a[0] & O_CLOEXEC);
}

static s64 control(struct file *ep, struct file *f, const u64 *a)
{
    struct epoll_event_abi e = {0};

    if (!epoll_is(ep) || ep == f)
        return -EINVAL;
    if (a[1] != EPOLL_CTL_DEL && get_user(&e, a[3]))
        return -EFAULT;
    switch (a[1]) {
    case EPOLL_CTL_ADD:
        return epoll_add(ep, f, (int)a[2], e.events, e.data);
    case EPOLL_CTL_DEL:
        return epoll_delete(ep, f, (int)a[2]);
    case EPOLL_CTL_MOD:
        return epoll_modify(ep, f, (int)a[2], e.events, e.data);
    default:
        return -EINVAL;
    }
}

SYSCALL(epoll_ctl)
{
    struct file *ep = fd_get((int)a[0]), *f = fd_get((int)a[2]);
    s64 result = ep && f ? control(ep, f, a) : -EBADF;

    if (ep)
        file_put(ep);
    if (f)
        file_put(f);
    return result;
}

static s64 epoll_wait(const u64 *a, u64 deadline)
{
    unsigned max = (unsigned)MIN(a[2], (u64)EPOLL_AT_ONCE);
    struct epoll_event_abi *events;
    struct file *ep;
    s64 n;

    if ((s32)a[2] <= 0)
        return -EINVAL;
    ep = fd_get((int)a[0]);
    if (!ep)
        return -EBADF;
    events = epoll_is(ep) ? kmem_alloc(max * sizeof *events) : NULL;
    n = events ? mask_from_user(a[4], a[5]) : epoll_is(ep) ? -ENOMEM : -EINVAL;
    if (!n) {
        n = epoll_collect(ep, events, max, deadline);
        if (n > 0 && copy_to_user(a[1], events, (size_t)n * sizeof *events))
            n = -EFAULT;
        n = poll_done(n);
        if (n == -ERESTARTNOHAND)
            n = -EINTR; /* epoll_wait(2): whatever the handler's flags */
    }
    kmem_free(events);
    file_put(ep);
    return n;
}

SYSCALL(epoll_pwait)
{
    s32 ms = (s32)a[3];

    return epoll_wait(a, ms < 0 ? UINT64_MAX : ms == 0 ? 0 : time_deadline((u64)ms * 1000000));
}

SYSCALL(epoll_pwait2)
{
    u64 deadline;
    int err = deadline_from_user(a[3], &deadline);

    return err ? err : epoll_wait(a, deadline);
}
