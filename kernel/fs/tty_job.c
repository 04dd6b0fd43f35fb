/*
 * Job control: which session a terminal belongs to, which group of it is in the
 * foreground, and what the others may not do; POSIX chapter 11.1.
 *
 * A terminal's session is not counted: it gives the terminal up when its leader
 * ends (tty_hangup_session), and a leader cannot leave its session otherwise.
 */
#include "fs/tty.h"
#include "lib/errno.h"
#include "proc/process.h"
#include "vm/uaccess.h"

static bool is_mine_locked(const struct tty *t, const struct process *p)
{
    return t->session && t->session == p->session;
}

static bool is_mine(struct tty *t)
{
    bool mine;

    spin_lock(&process_lock);
    mine = is_mine_locked(t, current_process());
    spin_unlock(&process_lock);
    return mine;
}

static bool in_background(struct tty *t, u32 *pgid)
{
    struct process *p = current_process();
    bool background;

    spin_lock(&process_lock);
    *pgid = p->pgid;
    background = is_mine_locked(t, p) && t->foreground != p->pgid;
    spin_unlock(&process_lock);
    return background;
}

static bool blocks_or_ignores(int signo)
{
    return (current->sigmask & SIG_BIT(signo)) || signal_action_get(current_process(), signo).handler == SIG_IGN;
}

/* A background process that reads, changes settings or (if forbidden) writes is stopped. 0: it may go on. */
int tty_background_check(struct tty *t, int signo)
{
    u32 pgid;

    if (!current_process() || !in_background(t, &pgid))
        return 0;
    if (blocks_or_ignores(signo))
        return signo == SIGTTIN ? -EIO : 0;
    if (pgrp_is_orphaned(pgid))
        return -EIO;
    signal_send_pgrp(pgid, signo, NULL);
    return -ERESTARTSYS;
}

static void tell_group(u32 group)
{
    if (group) {
        signal_send_pgrp(group, SIGHUP, NULL);
        signal_send_pgrp(group, SIGCONT, NULL);
    }
}

void tty_hangup_session(struct process *leader)
{
    struct tty *t;
    u32 group = 0;

    spin_lock(&process_lock);
    t = leader->session->tty;
    if (t && t->session == leader->session) {
        group = t->foreground;
        t->session = NULL;
        t->foreground = 0;
    }
    leader->session->tty = NULL;
    spin_unlock(&process_lock);
    tell_group(group);
}

void tty_hangup(struct tty *t)
{
    struct process *leader = NULL;
    u32 group, sid = 0;
    bool apart;

    spin_lock(&process_lock);
    group = t->foreground;
    t->foreground = 0;
    if (t->session) {
        sid = t->session->sid;
        t->session->tty = NULL;
        t->session = NULL;
    }
    spin_unlock(&process_lock);
    if (sid)
        leader = process_find(sid);
    apart = leader && leader->pgid != group;
    if (apart) {
        signal_send_process(leader, SIGHUP, NULL);
        signal_send_process(leader, SIGCONT, NULL);
    }
    if (leader)
        process_put(leader);
    tell_group(group);
}

/* A session leader without a terminal gets this one, if it is free (or root insists). */
static int take(struct tty *t, bool force)
{
    struct process *p = current_process();
    int err = 0;

    spin_lock(&process_lock);
    if (is_mine_locked(t, p) && p->session->sid == p->pid) {
        spin_unlock(&process_lock);
        return 0;
    }
    if (READ_ONCE(t->hung_up)) /* set before the session is taken away: it does not come back */
        err = -EIO;
    else if (p->session->sid != p->pid || p->session->tty)
        err = -EPERM;
    else if (t->session && !(force && p->cred.euid == 0))
        err = -EPERM;
    if (!err) {
        if (t->session)
            t->session->tty = NULL;
        t->session = p->session;
        p->session->tty = t;
        t->foreground = p->pgid;
    }
    spin_unlock(&process_lock);
    return err;
}

void tty_open_session(struct tty *t, u32 flags)
{
    struct process *p = current_process();
    bool wants;

    if (!p || (flags & O_NOCTTY))
        return;
    spin_lock(&process_lock);
    wants = !p->session->tty && !t->session && p->session->sid == p->pid;
    spin_unlock(&process_lock);
    if (wants)
        (void)take(t, false); /* somebody else may have been faster: the open is good all the same */
}

struct tty *tty_controlling_get(void)
{
    struct process *p = current_process();
    struct tty *t;

    if (!p)
        return NULL;
    spin_lock(&process_lock);
    t = p->session->tty;
    if (t && t != &console_tty && !pty_get(t))
        t = NULL;
    spin_unlock(&process_lock);
    return t;
}

static int give_up(struct tty *t)
{
    struct process *p = current_process();
    bool leader;

    if (!is_mine(t))
        return -ENOTTY;
    leader = p->session->sid == p->pid;
    if (leader)
        tty_hangup_session(p);
    return leader ? 0 : -EPERM; /* only a whole session can be without */
}

static int set_foreground(struct tty *t, vaddr_t arg)
{
    struct process *p = current_process();
    s32 pgid;
    int err = tty_background_check(t, SIGTTOU);

    if (err)
        return err;
    if (!is_mine(t))
        return -ENOTTY;
    if (get_user(&pgid, arg))
        return -EFAULT;
    if (pgid <= 0)
        return -EINVAL;
    if (!pgrp_in_session((u32)pgid, p->session))
        return -EPERM;
    spin_lock(&process_lock);
    if (is_mine_locked(t, p))
        t->foreground = (u32)pgid;
    spin_unlock(&process_lock);
    return 0;
}

static int put_identity(struct tty *t, vaddr_t arg, bool of_session)
{
    struct process *p = current_process();
    bool mine;
    u32 id;

    spin_lock(&process_lock);
    mine = is_mine_locked(t, p);
    id = of_session ? p->session->sid : t->foreground;
    spin_unlock(&process_lock);
    return mine ? put_user(arg, &id) : -ENOTTY;
}

s64 tty_job_ioctl(struct tty *t, u32 cmd, u64 arg)
{
    switch (cmd) {
    case TIOCSCTTY:
        return take(t, arg == 1);
    case TIOCNOTTY:
        return give_up(t);
    case TIOCGPGRP:
        return put_identity(t, arg, false);
    case TIOCSPGRP:
        return set_foreground(t, arg);
    case TIOCGSID:
        return put_identity(t, arg, true);
    }
    return -ENOTTY;
}

s64 tty_job_ioctl_master(struct tty *t, u32 cmd, u64 arg)
{
    u32 group, sid;

    spin_lock(&process_lock);
    group = t->foreground;
    sid = t->session ? t->session->sid : 0;
    spin_unlock(&process_lock);
    if (cmd == TIOCGPGRP)
        return put_user(arg, &group);
    if (cmd == TIOCGSID && sid)
        return put_user(arg, &sid);
    return -ENOTTY;
}

/* process_lock held. */
u32 tty_number(struct tty *t)
{
    return t ? (u32)t->rdev : 0;
}

u32 tty_foreground(struct tty *t)
{
    return t ? t->foreground : 0;
}
