/* Who may do what to whom, as Linux without capabilities decides it: user 0 may. */
#include "lib/errno.h"
#include "proc/process.h"

u32 cred_fsuid(void)
{
    const struct cred *c = &current_process()->cred;

    return current->by_real_ids ? c->uid : c->fsuid;
}

u32 cred_fsgid(void)
{
    const struct cred *c = &current_process()->cred;

    return current->by_real_ids ? c->gid : c->fsgid;
}

bool cred_in_group(u32 gid)
{
    const struct cred *c = &current_process()->cred;

    if (cred_fsgid() == gid)
        return true;
    for (u32 i = 0; i < c->group_count; i++)
        if (c->groups[i] == gid)
            return true;
    return false;
}

bool cred_may_kill(struct process *p, int sig)
{
    const struct cred *me = &current_process()->cred;

    if (p == current_process() || me->euid == 0)
        return true;
    if (sig == SIGCONT && p->session == current_process()->session)
        return true;
    return me->uid == p->cred.uid || me->uid == p->cred.suid || me->euid == p->cred.uid || me->euid == p->cred.suid;
}
