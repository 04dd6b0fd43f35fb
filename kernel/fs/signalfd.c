/*
 * signalfd: a read takes a signal that is pending for whoever reads.
 *
 * All of them share one wait queue, as the process that sends a signal does not
 * know who looks at which file: a poll looks again at what is pending for itself.
 */
#include "fs/anon.h"
#include "lib/errno.h"
#include "proc/process.h"
#include "vm/kmem.h"

struct signalfd {
    _Atomic u64 mask;
};

/* Linux's struct signalfd_siginfo. */
struct signalfd_info {
    u32 signo;
    s32 error, code;
    u32 pid, uid;
    s32 fd;
    u32 tid, band, overrun, trapno;
    s32 status, value;
    u64 pointer, utime, stime, addr;
    u16 addr_lsb, pad2;
    s32 syscall;
    u64 call_addr;
    u32 arch;
    u8 pad[28];
};
_Static_assert(sizeof(struct signalfd_info) == 128, "Linux's ABI");

static struct waitq watchers = WAITQ_INIT(watchers);
static _Atomic unsigned count;

void signalfd_wake(void)
{
    if (atomic_load_explicit(&count, memory_order_relaxed))
        waitq_wake_all(&watchers);
}

static struct signalfd_info translate(const struct siginfo *i)
{
    struct signalfd_info out = {.signo = (u32)i->signo, .error = i->error, .code = i->code};

    if (i->code == SI_TIMER) {
        out.tid = (u32)i->timer_id;
        out.overrun = (u32)i->overrun;
    } else if (i->code > 0 && i->code != SI_KERNEL && SIG_BIT(i->signo) & (SIG_BIT(SIGSEGV) | SIG_BIT(SIGBUS) | SIG_BIT(SIGILL))) {
        out.addr = i->addr;
    } else {
        out.pid = (u32)i->pid;
        out.uid = i->uid;
    }
    if (i->signo == SIGCHLD) {
        out.status = i->status;
        out.utime = (u64)i->utime;
        out.stime = (u64)i->stime;
    } else if (i->code < 0) {
        out.value = (s32)i->value;
        out.pointer = i->value;
    }
    return out;
}

static ssize_t signalfd_read(struct file *f, struct uio *u, u64 *pos)
{
    struct signalfd *s = f->priv;
    struct siginfo info;
    ssize_t done = 0;
    int signo, err;

    (void)pos;
    if (u->left < sizeof(struct signalfd_info))
        return -EINVAL;
    while (u->left >= sizeof(struct signalfd_info)) {
        struct signalfd_info out;

        signo = signal_take(s->mask, false, &info);
        if (!signo && done)
            break;
        if (!signo && (f->flags & O_NONBLOCK))
            return -EAGAIN;
        if (!signo) {
            err = wait_event(&watchers, (signo = signal_take(s->mask, false, &info)) != 0, SLEEP_INTERRUPTIBLE, UINT64_MAX);
            if (err)
                return err;
        }
        out = translate(&info);
        if (uio_put(u, &out, sizeof out) != sizeof out)
            return done ? done : -EFAULT;
        done += (ssize_t)sizeof out;
    }
    return done;
}

static unsigned signalfd_poll(struct file *f, struct poll_set *ps)
{
    struct signalfd *s = f->priv;

    poll_set_add(ps, &watchers);
    return signal_pending_of(s->mask) ? POLLIN : 0;
}

static void signalfd_release(struct file *f)
{
    atomic_fetch_sub(&count, 1);
    kmem_free(f->priv);
}

static const struct file_ops signalfd_ops = {.read = signalfd_read, .poll = signalfd_poll, .release = signalfd_release};

int signalfd_create(u64 mask, u32 flags, struct file **out)
{
    struct signalfd *s = kmem_zalloc(sizeof *s);

    if (!s)
        return -ENOMEM;
    s->mask = mask;
    *out = anon_create("anon_inode:[signalfd]", &signalfd_ops, O_RDWR | flags, s);
    if (!*out) {
        kmem_free(s);
        return -ENOMEM;
    }
    atomic_fetch_add(&count, 1);
    return 0;
}

bool signalfd_set_mask(struct file *f, u64 mask)
{
    if (f->ops != &signalfd_ops)
        return false;
    atomic_store(&((struct signalfd *)f->priv)->mask, mask);
    waitq_wake_all(&watchers);
    return true;
}
