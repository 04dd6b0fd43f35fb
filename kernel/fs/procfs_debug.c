/* /proc in debug builds: planted failures of allocations (vm/failnth.h). */
#include "fs/procfs.h"
#include "vm/kmem.h"
#include "vm/page.h"

#ifdef ALLOC_SITES
/* ---- /proc/PID/fail-nth: N, and behind it + (all that follow, too) and r (also what may use the reserve) ---- */

/* The thread that is meant, with a reference: the leader, if of none. NULL: it has gone. */
static struct thread *thread_meant(struct process *p, struct thread *only)
{
    struct thread *t;

    spin_lock(&process_lock);
    t = only ? only : p->leader;
    if (t)
        thread_get(t);
    spin_unlock(&process_lock);
    return t;
}

int proc_show_fail_nth(struct text *t, struct process *p, struct thread *only)
{
    struct thread *meant = thread_meant(p, only);

    if (!meant)
        return -ESRCH;
    alloc_exempt_begin();
    text_add(t, "%lu\n", atomic_load(&meant->alloc_plan) & ALLOC_FAIL_COUNT);
    alloc_exempt_end();
    thread_put(meant);
    return 0;
}

int proc_write_fail_nth(struct process *p, struct thread *only, const char *text)
{
    struct thread *meant;
    u64 plan = 0;

    if (*text < '0' || *text > '9')
        return -EINVAL;
    for (; *text >= '0' && *text <= '9'; text++) {
        plan = plan * 10 + (u64)(*text - '0');
        if (plan > ALLOC_FAIL_COUNT)
            return -EINVAL;
    }
    for (; *text == '+' || *text == 'r'; text++)
        plan |= plan == 0 ? 0 : *text == '+' ? ALLOC_FAIL_ALL : ALLOC_FAIL_RESERVE;
    if (*text)
        return -EINVAL;
    meant = thread_meant(p, only);
    if (!meant)
        return -ESRCH;
    atomic_store(&meant->alloc_plan, plan);
    thread_put(meant);
    return 0;
}

/* ---- /proc/allocations ---- */

static void add_site(const struct alloc_site *s, void *t)
{
    text_add(t, "%8lu %8lu %8lu %s:%u %s %s\n", atomic_load(&s->calls), atomic_load(&s->exempt), atomic_load(&s->failed),
             s->file, s->line, s->function, s->what);
}

/* First what is in use, however much waits in caches; then the sites: calls, how many of them exempt, how many failed. */
int proc_show_allocations(struct text *t, struct process *p)
{
    u64 waiting = thread_stacks_waiting() * (KSTACK_SIZE / PAGE_SIZE);
    struct kmem_stats k;
    struct page_stats s;

    (void)p;
    page_stats(&s);
    kmem_stats(&k);
    text_add(t, "pages %lu objects %lu bytes %lu\n", s.total - s.free - k.pages - waiting, k.objects, k.bytes);
    alloc_site_for_each(add_site, t);
    return 0;
}
#endif
