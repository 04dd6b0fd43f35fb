/* System calls about who a process is. */
#include "proc/process.h"
#include "sys/syscall.h"
#include "vm/uaccess.h"

#define KEEP UINT32_MAX

static struct cred *cred(void)
{
    return &current_process()->cred;
}

SYSCALL(getuid)
{
    (void)a;
    return cred()->uid;
}

SYSCALL(geteuid)
{
    (void)a;
    return cred()->euid;
}

SYSCALL(getgid)
{
    (void)a;
    return cred()->gid;
}

SYSCALL(getegid)
{
    (void)a;
    return cred()->egid;
}

/* Real, effective and saved id of one kind. */
struct ids {
    u32 *real, *effective, *saved, *fs;
};

static struct ids ids_of(bool group)
{
    struct cred *c = cred();

    if (group)
        return (struct ids){&c->gid, &c->egid, &c->sgid, &c->fsgid};
    return (struct ids){&c->uid, &c->euid, &c->suid, &c->fsuid};
}

static bool is_mine(struct ids i, u32 id)
{
    return id == KEEP || id == *i.real || id == *i.effective || id == *i.saved;
}

static s64 set_ids(bool group, u32 real, u32 effective, u32 saved)
{
    struct process *p = current_process();
    struct ids i = ids_of(group);
    bool may;

    spin_lock(&p->cred_lock); /* for the check, too: another thread may just give up what it rests on */
    may = cred_is_root() || (is_mine(i, real) && is_mine(i, effective) && is_mine(i, saved));
    if (may) {
        if ((effective != KEEP && effective != *i.effective) || *i.fs != *i.effective)
            p->dumpable = false; /* it knows what others of its new user are not to see: prctl(2) */
        *i.real = real == KEEP ? *i.real : real;
        *i.effective = effective == KEEP ? *i.effective : effective;
        *i.saved = saved == KEEP ? *i.saved : saved;
        *i.fs = *i.effective;
    }
    spin_unlock(&p->cred_lock);
    return may ? 0 : -EPERM;
}

static s64 set_one(bool group, u32 id)
{
    if (id == KEEP)
        return -EINVAL;
    return cred_is_root() ? set_ids(group, id, id, id) : set_ids(group, KEEP, id, KEEP);
}

static s64 set_two(bool group, u32 real, u32 effective)
{
    struct ids i = ids_of(group);
    bool new_saved = real != KEEP || (effective != KEEP && effective != *i.real);
    u32 saved = new_saved ? (effective != KEEP ? effective : *i.effective) : KEEP;

    return set_ids(group, real, effective, saved);
}

SYSCALL(setuid)
{
    return set_one(false, (u32)a[0]);
}

SYSCALL(setgid)
{
    return set_one(true, (u32)a[0]);
}

SYSCALL(setreuid)
{
    return set_two(false, (u32)a[0], (u32)a[1]);
}

SYSCALL(setregid)
{
    return set_two(true, (u32)a[0], (u32)a[1]);
}

SYSCALL(setresuid)
{
    return set_ids(false, (u32)a[0], (u32)a[1], (u32)a[2]);
}

SYSCALL(setresgid)
{
    return set_ids(true, (u32)a[0], (u32)a[1], (u32)a[2]);
}

static s64 put_ids(bool group, const u64 *a)
{
    struct ids i = ids_of(group);

    return put_user(a[0], i.real) || put_user(a[1], i.effective) || put_user(a[2], i.saved) ? -EFAULT : 0;
}

SYSCALL(getresuid)
{
    return put_ids(false, a);
}

SYSCALL(getresgid)
{
    return put_ids(true, a);
}

static s64 set_fs(bool group, u32 id)
{
    struct process *p = current_process();
    struct ids i = ids_of(group);
    u32 old;

    spin_lock(&p->cred_lock);
    old = *i.fs;
    if (id != KEEP && (cred_is_root() || id == old || is_mine(i, id)))
        *i.fs = id;
    if (*i.fs != old)
        p->dumpable = false;
    spin_unlock(&p->cred_lock);
    return old;
}

SYSCALL(setfsuid)
{
    return set_fs(false, (u32)a[0]);
}

SYSCALL(setfsgid)
{
    return set_fs(true, (u32)a[0]);
}

SYSCALL(getgroups)
{
    struct cred *c = cred();

    if ((s32)a[0] < 0 || (a[0] && a[0] < c->group_count))
        return -EINVAL;
    if (a[0] && copy_to_user(a[1], c->groups, c->group_count * sizeof c->groups[0]))
        return -EFAULT;
    return c->group_count;
}

SYSCALL(setgroups)
{
    u32 groups[NGROUPS];
    bool may;

    if (!cred_is_root())
        return -EPERM;
    if (a[0] > NGROUPS)
        return -EINVAL;
    if (copy_from_user(groups, a[1], a[0] * sizeof groups[0]))
        return -EFAULT;
    spin_lock(&current_process()->cred_lock);
    may = cred_is_root(); /* it may have given that up meanwhile */
    for (u32 i = 0; may && i < a[0]; i++)
        cred()->groups[i] = groups[i];
    if (may)
        cred()->group_count = (u32)a[0];
    spin_unlock(&current_process()->cred_lock);
    return may ? 0 : -EPERM;
}

/* Capabilities: user 0 has all, others none, and that cannot be changed. */
#define CAPABILITY_VERSION_3 0x20080522u

static int cap_header(vaddr_t to)
{
    u32 header[2], version = CAPABILITY_VERSION_3;

    if (get_user(&header, to))
        return -EFAULT;
    if (header[0] == CAPABILITY_VERSION_3)
        return 0;
    return put_user(to, &version) ? -EFAULT : -EINVAL;
}

SYSCALL(capget)
{
    u32 all = cred_is_root() ? UINT32_MAX : 0, data[6] = {all, all, 0, all & 0x1ff, all & 0x1ff, 0};
    int err = cap_header(a[0]);

    return err ? err : a[1] ? put_user(a[1], &data) : 0;
}

SYSCALL(capset)
{
    int err = cap_header(a[0]);

    return err ? err : cred_is_root() ? 0 : -EPERM;
}
