/* Waiting for children: zombies, and those that stopped or went on. */
#include "lib/errno.h"
#include "proc/process.h"
#include "proc/wait4.h"

struct search {
    int which;
    u32 id;
    int options;
    bool any; /* there are children that fit */
};

static bool fits(const struct process *c, const struct search *s)
{
    if (s->which == P_PID && c->pid != s->id)
        return false;
    if (s->which == P_PGID && c->pgid != s->id)
        return false;
    if (s->options & (int)__WALL)
        return true;
    return (c->exit_signal != SIGCHLD) == !!(s->options & (int)__WCLONE);
}

static void fill(struct wait_result *out, struct process *c, int status)
{
    *out = (struct wait_result){.pid = c->pid, .uid = c->cred.uid, .status = status, .exit_code = c->exit_code};
    out->usage.utime = c->dead_utime_ns + c->child_utime_ns;
    out->usage.stime = c->dead_stime_ns + c->child_stime_ns;
    out->usage.minor = c->faults_at_exit + c->child_faults.minor;
}

/* The parent gets what the child used. */
static void reap_locked(struct process *me, struct process *c, const struct wait_result *r)
{
    me->child_utime_ns += r->usage.utime;
    me->child_stime_ns += r->usage.stime;
    me->child_faults.minor += r->usage.minor;
    c->state = PROCESS_REAPED;
    process_remove_locked(c);
}

/* process_lock held. Has this child something to tell? *reaped: it was a zombie and is the caller's to put. */
static bool report_locked(struct process *me, struct process *c, const struct search *s, struct wait_result *out,
                          struct process **reaped)
{
    if (c->state == PROCESS_ZOMBIE && (s->options & WEXITED)) {
        fill(out, c, c->exit_status);
        if (!(s->options & (int)WNOWAIT)) {
            reap_locked(me, c, out);
            *reaped = c;
        }
        return true;
    }
    if (c->state == PROCESS_ALIVE && c->stopped && !c->stop_reported && (s->options & WUNTRACED)) {
        fill(out, c, W_STOPPED((int)c->stop_signal));
        c->stop_reported = !(s->options & (int)WNOWAIT);
        return true;
    }
    if (c->state == PROCESS_ALIVE && c->continued_pending && (s->options & WCONTINUED)) {
        fill(out, c, W_CONTINUED);
        c->continued_pending = !!(s->options & (int)WNOWAIT);
        return true;
    }
    return false;
}

/* 1: found, 0: nothing yet, -ECHILD. */
static int scan(struct search *s, struct wait_result *out)
{
    struct process *me = current_process(), *c, *reaped = NULL;
    int result = -ECHILD;

    spin_lock(&process_lock);
    list_for_each(c, &me->children, sibling_link) {
        if (!fits(c, s))
            continue;
        result = 0;
        if (report_locked(me, c, s, out, &reaped)) {
            result = 1;
            break;
        }
    }
    spin_unlock(&process_lock);
    if (reaped)
        process_put(reaped);
    return result;
}

s64 process_wait(int which, u32 id, int options, struct wait_result *out)
{
    struct search s = {.which = which, .id = id, .options = options};
    int found = 0, err;

    if (options & WNOHANG) {
        found = scan(&s, out);
    } else {
        err = wait_event(&current_process()->child_wait, (found = scan(&s, out)) != 0, SLEEP_INTERRUPTIBLE, UINT64_MAX);
        if (err)
            return err;
    }
    return found <= 0 ? found : (s64)out->pid;
}
