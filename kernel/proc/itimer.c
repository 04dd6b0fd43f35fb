/* ITIMER_REAL: SIGALRM after a time, and again at intervals. The timer is the process's, under its siglock. */
#include "proc/process.h"

#define SHORTEST_NS 100000ul /* between two interrupts of one timer: so that there is time for anything else */

/* Interrupt context. */
void itimer_fired(struct timer *t)
{
    struct process *p = container_of(t, struct process, alarm);
    u64 interval = __atomic_load_n(&p->alarm_interval_ns, __ATOMIC_RELAXED), next;

    signal_send_process(p, SIGALRM, NULL);
    if (interval && p->state == PROCESS_ALIVE && !__builtin_add_overflow(t->deadline_ns, interval, &next))
        timer_arm(t, MAX(next, arch_time_ns() + SHORTEST_NS));
}

void itimer_get(struct process *p, u64 *left_ns, u64 *interval_ns)
{
    u64 now = arch_time_ns();

    *interval_ns = p->alarm_interval_ns;
    *left_ns = !p->alarm.armed ? 0 : p->alarm.deadline_ns > now ? p->alarm.deadline_ns - now : 1;
}

void itimer_set(struct process *p, u64 after_ns, u64 interval_ns)
{
    p->alarm_interval_ns = 0; /* so that a callback in flight does not arm it again */
    timer_cancel(&p->alarm);
    p->alarm_interval_ns = interval_ns;
    if (after_ns)
        timer_arm(&p->alarm, arch_time_ns() + after_ns);
}
