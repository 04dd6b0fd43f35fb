/* Process groups and sessions. All under process_lock. */
#include "fs/tty.h"
#include "lib/errno.h"
#include "proc/process.h"
#include "vm/kmem.h"

struct group_query {
    u32 pgid;
    struct session *session;
    bool found;
    bool anchored; /* a member's parent is in another group of the same session */
};

static void look(struct process *p, void *arg)
{
    struct group_query *q = arg;

    if (p->pgid != q->pgid || p->state == PROCESS_ZOMBIE)
        return;
    if (q->session && p->session == q->session)
        q->found = true;
    if (p->parent && p->parent->pgid != p->pgid && p->parent->session == p->session)
        q->anchored = true;
}

bool pgrp_in_session(u32 pgid, struct session *s)
{
    struct group_query q = {.pgid = pgid, .session = s};

    spin_lock(&process_lock);
    process_for_each_locked(look, &q);
    spin_unlock(&process_lock);
    return q.found;
}

bool pgrp_is_orphaned_locked(u32 pgid)
{
    struct group_query q = {.pgid = pgid};

    process_for_each_locked(look, &q);
    return !q.anchored;
}

bool pgrp_is_orphaned(u32 pgid)
{
    bool orphaned;

    spin_lock(&process_lock);
    orphaned = pgrp_is_orphaned_locked(pgid);
    spin_unlock(&process_lock);
    return orphaned;
}

static int setpgid_locked(struct process *me, struct process *p, u32 pgid)
{
    struct group_query q = {.pgid = pgid, .session = p->session};

    if (p != me && p->parent != me)
        return -ESRCH;
    if (p->session->sid == p->pid || p->session != me->session)
        return -EPERM;
    if (p != me && p->did_exec)
        return -EACCES;
    if (pgid != p->pid) {
        process_for_each_locked(look, &q);
        if (!q.found)
            return -EPERM;
    }
    p->pgid = pgid;
    return 0;
}

int process_setpgid(u32 pid, u32 pgid)
{
    struct process *me = current_process(), *p;
    int err;

    p = process_find(pid ? pid : me->pid);
    if (!p)
        return -ESRCH;
    spin_lock(&process_lock);
    err = setpgid_locked(me, p, pgid ? pgid : p->pid);
    spin_unlock(&process_lock);
    process_put(p);
    return err;
}

s64 process_setsid(void)
{
    struct process *p = current_process();
    struct session *s = kmem_zalloc(sizeof *s), *old = NULL;
    bool refused;

    if (!s)
        return -ENOMEM;
    ref_init(&s->refs);
    s->sid = p->pid;
    spin_lock(&process_lock);
    refused = p->pgid == p->pid;
    if (!refused) {
        old = p->session;
        p->session = s;
        p->pgid = p->pid;
    }
    spin_unlock(&process_lock);
    if (refused)
        kmem_free(s);
    else if (ref_put(&old->refs))
        kmem_free(old);
    return refused ? -EPERM : (s64)p->pid;
}
