/*
 * The scheduler: a run queue for each CPU, the highest real-time priority first,
 * then round robin. A thread that becomes runnable goes to an idle CPU, else where
 * fewer wait (choose_cpu); an idle CPU takes from others' queues (steal); at the end
 * of a slice a queue that is longer than another by two gives of itself (share).
 *
 * A thread in a queue is RUNNABLE and not on any CPU's stack: schedule() holds
 * its CPU's lock from before it queues the thread until the switch is done
 * (switch_done, run by the next thread), and everybody else takes that lock to
 * look. Which lock that is says the thread's cpu field, which changes only with
 * the lock of the CPU held that it has named: with that lock in hand it stays as
 * it is (lock_cpu_of). On its way to another CPU a thread is RUNNABLE, in no
 * queue, and its cpu field names the CPU that it is about to be queued at.
 * Locks: cpu->lock (RANK_SCHED), one at a time.
 *
 * Real-time threads leave the others a slice after each REALTIME_NS: who has been
 * allowed to be one by mistake can still be stopped.
 */
#include "proc/sched.h"
#include "lib/print.h"
#include "lib/string.h"
#include "vm/vm.h"

#define REALTIME_NS 950000000ul
#define SHORTEST_SLICE_NS 1000000ul
#define RR_SLICE_NS 100000000ul
#define URGENT_TURNS 100u

static struct thread boot_thread = {.comm = "boot", .state = THREAD_RUNNING, .preempt_count = 1};
struct cpu cpus[MAX_CPUS] = {[0] = {.thread = &boot_thread}};
u32 cpu_count;
static _Atomic u64 online_mask, idle_mask;

u64 cpus_online_mask(void)
{
    return atomic_load(&online_mask);
}

/* ---- accounting ---- */

/* For /proc: what the CPUs are at now is added, from outside. */
void sched_sample(void)
{
    for (u32 i = 0; i < MAX_CPUS; i++) {
        struct cpu *c = &cpus[i];
        u64 now = arch_time_ns();

        if (!c->online)
            continue;
        spin_lock(&c->lock);
        if (c->thread == c->idle && now > c->idle->last_ns) {
            c->idle_ns += now - c->idle->last_ns;
            c->idle->last_ns = now;
        }
        spin_unlock(&c->lock);
    }
}

u32 sched_runnable(void)
{
    u32 n = 0;

    for (u32 i = 0; i < MAX_CPUS; i++)
        if (cpus[i].online)
            n += cpus[i].runnable + (cpus[i].thread != cpus[i].idle);
    return n;
}

/* Interrupts off: the time since prev was last looked at is the kernel's (or idle). */
static void account_switch(struct cpu *c, struct thread *prev, struct thread *next)
{
    u64 now = arch_time_ns(), spent = now - prev->last_ns;

    if (prev == c->idle)
        c->idle_ns += spent;
    else {
        prev->stime_ns += spent;
        prev->last_ns = now; /* who looks from outside does not count it twice */
        c->system_ns += spent;
    }
    next->last_ns = now;
    c->context_switches++;
}

/* ---- run queues; c->lock held ---- */

u64 sched_slice_ns(const struct thread *t)
{
    if (t->rt_priority)
        return t->policy == POLICY_RR ? RR_SLICE_NS : 0;
    if (likely(t->nice == 0))
        return SLICE_NS;
    return MAX(SLICE_NS * (u64)(20 - t->nice) / 20, SHORTEST_SLICE_NS);
}

/* For the thread that runs or is about to. A slice ends only where somebody waits for it. */
static void slice_start(struct cpu *c, const struct thread *t)
{
    u64 now, slice = sched_slice_ns(t);

    c->slice_end_ns = 0;
    c->slice_over = false;
    if (c->runnable > 0) {
        now = arch_time_ns();
        c->slice_end_ns = slice ? now + slice : UINT64_MAX;
        if (t->rt_priority && c->realtime_since_ns == 0)
            c->realtime_since_ns = now;
        if (t->rt_priority)
            c->slice_end_ns = MIN(c->slice_end_ns, c->realtime_since_ns + REALTIME_NS);
    }
    timer_program(c);
}

/* Behind its equals, or before them; t->cpu is c already. */
static void queue_locked(struct cpu *c, struct thread *t, bool before)
{
    struct list *at = c->run_queue.prev;

    DEBUG_ASSERT(t->cpu == c->id && list_empty(&t->run_link));
    while (at != &c->run_queue) {
        u8 rank = list_entry(at, struct thread, run_link)->rt_priority;

        if (rank > t->rt_priority || (rank == t->rt_priority && !before))
            break;
        at = at->prev;
    }
    list_insert_between(&t->run_link, at, at->next);
    c->runnable++;
}

/* Real-time threads have had their part and more: the first of the others, if there is one. */
static struct thread *relief_locked(struct cpu *c)
{
    struct thread *t;

    if (c->realtime_since_ns == 0 || arch_time_ns() - c->realtime_since_ns < REALTIME_NS)
        return NULL;
    list_for_each(t, &c->run_queue, run_link)
        if (t->rt_priority == 0)
            return t;
    c->realtime_since_ns = 0; /* nobody was kept waiting: from now on anew */
    return NULL;
}

static struct thread *pick_locked(struct cpu *c)
{
    struct thread *t;

    if (list_empty(&c->run_queue)) {
        c->realtime_since_ns = 0;
        return c->idle;
    }
    t = relief_locked(c);
    if (!t)
        t = list_first(&c->run_queue, struct thread, run_link);
    if (t->rt_priority == 0)
        c->realtime_since_ns = 0;
    list_remove(&t->run_link);
    c->runnable--;
    return t;
}

/* ---- switching ---- */

/* First thing on the new thread's stack: the old one is off this CPU now. Unless it has ended, it may run, end and be
 * freed elsewhere as soon as the lock is dropped. */
static void switch_done(void)
{
    struct cpu *c = arch_this_cpu();
    struct thread *prev = c->switched_from;
    bool ended = prev && atomic_load(&prev->state) == THREAD_DEAD;

    c->switched_from = NULL;
    spin_unlock(&c->lock);
    if (ended)
        thread_put(prev);
}

static void switch_to(struct cpu *c, struct thread *prev, struct thread *next)
{
    account_switch(c, prev, next);
    if (prev->frame)
        arch_fpu_save(&prev->fpu);
    if (c->active_vm != next->vm) {
        vmspace_switch(c->active_vm, next->vm);
        c->active_vm = next->vm;
    }
    c->thread = next;
    c->kernel_sp = next->kstack + KSTACK_SIZE;
    c->switched_from = prev;
    if (next == c->idle)
        atomic_fetch_or(&idle_mask, 1ul << c->id);
    else
        atomic_fetch_and(&idle_mask, ~(1ul << c->id));
    arch_context_switch(&prev->context, &next->context);
    switch_done();
}

void schedule(void)
{
    bool on = arch_irq_save();
    struct cpu *c = arch_this_cpu();
    struct thread *prev = current, *next;

    ASSERT(c->spin_depth == 0);
    spin_lock(&c->lock);
    c->need_resched = false;
    if (prev != c->idle && atomic_load(&prev->state) == THREAD_RUNNING) {
        bool keeps_turn = prev->rt_priority && !prev->yields && !(c->slice_over && prev->policy == POLICY_RR);

        atomic_store(&prev->state, THREAD_RUNNABLE);
        queue_locked(c, prev, keeps_turn);
    }
    prev->yields = false;
    next = pick_locked(c);
    if (next != c->idle)
        atomic_store(&next->state, THREAD_RUNNING);
    c->rank = next->rt_priority;
    slice_start(c, next);
    if (next == prev)
        spin_unlock(&c->lock);
    else
        switch_to(c, prev, next);
    arch_irq_restore(on);
}

/* Where a new thread begins: interrupts off, the run queue's lock held by the switch. */
static void thread_begin(void *arg)
{
    struct thread *t = arg;

    switch_done();
    arch_irq_enable();
    t->start_fn(t->start_arg);
    thread_exit();
}

void thread_prepare(struct thread *t)
{
    arch_context_init(&t->context, t->kstack + KSTACK_SIZE, thread_begin, t);
}

void thread_exit(void)
{
    preempt_disable();
    atomic_store(&current->state, THREAD_DEAD);
    schedule();
    panic("a dead thread ran");
}

void sched_set_vm(struct vmspace *vm)
{
    bool on = arch_irq_save();
    struct cpu *c = arch_this_cpu();

    current->vm = vm;
    if (c->active_vm != vm) {
        vmspace_switch(c->active_vm, vm);
        c->active_vm = vm;
    }
    arch_irq_restore(on);
}

/* Sleeps for a moment: whoever wakes it puts it where it may run. */
static void moved(struct timer *t)
{
    struct thread *thread = container_of(t, struct thread, move_timer);

    thread_wake(thread);
}

void sched_move(void)
{
    bool on = arch_irq_save(); /* the timer must not come before the thread has left the CPU: then it would go on here */

    current->move_timer = (struct timer){.fn = moved};
    atomic_store(&current->state, THREAD_SLEEPING);
    timer_arm(&current->move_timer, arch_time_ns());
    schedule();
    arch_irq_restore(on);
    timer_cancel(&current->move_timer);
}

void sched_yield(void)
{
    current->yields = true;
    schedule();
}

/* ---- waking ---- */

static void kick(struct cpu *c)
{
    if (c == arch_this_cpu())
        return;
    arch_send_ipi(1ul << c->id);
}

static bool allowed(const struct thread *t, u32 cpu)
{
    return !t->cpus_allowed || (t->cpus_allowed >> cpu & 1);
}

/* Where something less urgent runs; NULL: nowhere. */
static struct cpu *least_urgent(const struct thread *t, u64 usable)
{
    struct cpu *best = NULL;

    for (u32 i = 0; i < MAX_CPUS; i++)
        if ((usable >> i & 1) && cpus[i].rank < (best ? best->rank : t->rt_priority))
            best = &cpus[i];
    return best;
}

/* How many have their turn at c before t, by and by: who is more urgent than t has many. */
static u32 wait_at(const struct cpu *c, const struct thread *t)
{
    return __atomic_load_n(&c->runnable, __ATOMIC_RELAXED) + (c->rank > t->rt_priority ? URGENT_TURNS : 0);
}

static struct cpu *shortest_wait(const struct thread *t, u64 usable)
{
    struct cpu *best = &cpus[__builtin_ctzl(usable)];

    for (u64 rest = usable & (usable - 1); rest; rest &= rest - 1) {
        struct cpu *c = &cpus[__builtin_ctzl(rest)];
        if (wait_at(c, t) < wait_at(best, t))
            best = c;
    }
    return best;
}

/* No CPU is idle. A real-time thread goes where it need not wait; else its last one, if it waits there about as long as anywhere. */
static struct cpu *choose_busy_cpu(const struct thread *t, u64 usable)
{
    struct cpu *last = &cpus[t->cpu], *best = t->rt_priority ? least_urgent(t, usable) : NULL;

    if (best)
        return best;
    best = shortest_wait(t, usable ? usable : atomic_load(&online_mask));
    return (usable >> t->cpu & 1) && wait_at(last, t) < wait_at(best, t) + 2 ? last : best;
}

/* Its last CPU if that is idle, else any idle one, else its last if it need not wait there for long. */
static inline struct cpu *choose_cpu(const struct thread *t)
{
    u64 online = atomic_load(&online_mask), usable = t->cpus_allowed ? online & t->cpus_allowed : online;
    u64 idle = atomic_load(&idle_mask) & usable;
    struct cpu *last = &cpus[t->cpu];

    if (idle >> t->cpu & 1)
        return last;
    if (idle)
        return &cpus[__builtin_ctzl(idle)];
    if ((usable >> t->cpu & 1) && (t->rt_priority ? last->rank < t->rt_priority : last->rank == 0 && last->runnable < 2))
        return last;
    return choose_busy_cpu(t, usable);
}

/* t, which is RUNNABLE, in no queue, and of CPU `from`, goes to c; from->lock is held, and dropped. */
static inline void enqueue_at_and_unlock(struct cpu *c, struct cpu *from, struct thread *t)
{
    bool now;

    t->cpu = c->id;
    if (c != from) {
        spin_unlock(&from->lock);
        spin_lock(&c->lock);
    }
    queue_locked(c, t, false);
    now = c->thread == c->idle || t->rt_priority > c->rank;
    if (now)
        c->need_resched = true;
    else if (c->slice_end_ns == 0 && c == arch_this_cpu())
        slice_start(c, c->thread);
    if (now || c->slice_end_ns == 0)
        kick(c); /* it reschedules, or starts its slice */
    spin_unlock(&c->lock);
}

/* Where it is best. */
static void enqueue_and_unlock(struct cpu *from, struct thread *t)
{
    enqueue_at_and_unlock(choose_cpu(t), from, t);
}

/* The CPU that t is on, or was last, or is on its way to: locked. t stays that CPU's until the lock is dropped. */
static struct cpu *lock_cpu_of(struct thread *t)
{
    struct cpu *c;

    for (;;) {
        c = &cpus[__atomic_load_n(&t->cpu, __ATOMIC_RELAXED)];
        spin_lock(&c->lock);
        if (t->cpu == c->id)
            return c;
        spin_unlock(&c->lock); /* it has been moved meanwhile */
    }
}

void thread_wake(struct thread *t)
{
    bool sleeps, here;
    struct cpu *c;

    preempt_disable();
    c = lock_cpu_of(t);
    sleeps = atomic_load(&t->state) == THREAD_SLEEPING;
    here = c->thread == t; /* still on its CPU, about to sleep: it goes on instead */
    if (sleeps)
        atomic_store(&t->state, here ? THREAD_RUNNING : THREAD_RUNNABLE);
    if (sleeps && !here)
        enqueue_and_unlock(c, t);
    else
        spin_unlock(&c->lock);
    preempt_enable();
}

void thread_start(struct thread *t)
{
    struct cpu *c;

    preempt_disable();
    c = lock_cpu_of(t);
    atomic_store(&t->state, THREAD_RUNNABLE);
    enqueue_and_unlock(c, t);
    preempt_enable();
}

void thread_signal_wake(struct thread *t)
{
    bool sleeps = atomic_load(&t->state) == THREAD_SLEEPING && t->interruptible;
    u32 cpu = READ_ONCE(t->cpu); /* after that load, so after need_signal: if it comes to another CPU now, it looks there */

    if (sleeps)
        thread_wake(t);
    else if (READ_ONCE(cpus[cpu].thread) == t && t != current)
        arch_send_ipi(1ul << cpu); /* in user mode: it looks at need_signal on its way out of the interrupt */
}

void sched_policy_set(struct thread *t, enum sched_policy policy, u8 rt_priority)
{
    struct cpu *c;

    preempt_disable();
    c = lock_cpu_of(t);
    t->policy = (u8)policy;
    t->rt_priority = rt_priority;
    if (c->thread == t) {
        c->rank = rt_priority;
        c->need_resched = true; /* somebody else may be more urgent now */
        kick(c);
    }
    if (atomic_load(&t->state) == THREAD_RUNNABLE && !list_empty(&t->run_link)) { /* it may have become more urgent than others */
        list_remove(&t->run_link);
        c->runnable--;
        enqueue_and_unlock(c, t);
    } else {
        spin_unlock(&c->lock);
    }
    preempt_enable();
}

/* ---- preemption ---- */

void preempt_check(void)
{
    bool on = arch_irq_save();
    struct cpu *c = arch_this_cpu();

    if (c->need_resched && c->spin_depth == 0 && current->preempt_count == 0 && current != c->idle)
        schedule();
    arch_irq_restore(on);
}

void sched_ipi(void)
{
    struct cpu *c = arch_this_cpu();

    spin_lock(&c->lock);
    if (c->slice_end_ns == 0 && c->runnable > 0 && c->thread != c->idle)
        slice_start(c, c->thread);
    spin_unlock(&c->lock);
}

/* Who would wait longest goes where it waits less. */
static void share(struct cpu *c)
{
    struct cpu *to = c;
    struct thread *t;

    spin_lock(&c->lock);
    if (c->runnable > 1) {
        t = list_entry(c->run_queue.prev, struct thread, run_link);
        to = choose_cpu(t);
    }
    if (to == c) {
        spin_unlock(&c->lock);
        return;
    }
    list_remove(&t->run_link);
    c->runnable--;
    enqueue_at_and_unlock(to, c, t);
}

void timer_interrupt(void)
{
    struct cpu *c = arch_this_cpu();

    if (c->slice_end_ns && arch_time_ns() >= c->slice_end_ns) {
        c->slice_end_ns = 0;
        c->slice_over = c->need_resched = true;
        share(c);
    }
    timers_run(c);
}

void return_to_user_work(struct trapframe *tf)
{
    if (arch_this_cpu()->need_resched)
        schedule();
    if (atomic_load(&current->need_signal))
        signal_handle(tf);
}

/* ---- idle ---- */

/* A thread that waits on another CPU and may run here: on its way. */
static struct thread *steal(struct cpu *thief)
{
    for (u32 i = 1; i < MAX_CPUS; i++) {
        struct cpu *c = &cpus[(thief->id + i) % MAX_CPUS];
        struct thread *t, *found = NULL;

        if (!c->online || __atomic_load_n(&c->runnable, __ATOMIC_RELAXED) == 0)
            continue;
        spin_lock(&c->lock);
        list_for_each(t, &c->run_queue, run_link)
            if (allowed(t, thief->id)) {
                found = t;
                break;
            }
        if (found) {
            list_remove(&found->run_link);
            c->runnable--;
            found->cpu = thief->id;
        }
        spin_unlock(&c->lock);
        if (found)
            return found;
    }
    return NULL;
}

static void idle_once(struct cpu *c)
{
    struct thread *stolen;

    arch_irq_disable();
    if (c->runnable == 0 && (stolen = steal(c))) {
        spin_lock(&c->lock);
        queue_locked(c, stolen, false);
        spin_unlock(&c->lock);
    }
    if (c->runnable > 0)
        schedule();
    else
        arch_cpu_idle(); /* an interrupt that came since they went off ends it at once */
    arch_irq_enable();
}

static void cpu_online(struct cpu *c)
{
    c->online = true;
    atomic_fetch_or(&idle_mask, 1ul << c->id);
    atomic_fetch_or(&online_mask, 1ul << c->id);
    __atomic_fetch_add(&cpu_count, 1, __ATOMIC_SEQ_CST);
    arch_flush_local_kernel(); /* kernel stacks that came and went before the bit was set: this CPU was not told */
}

void sched_cpu_main(struct cpu *c)
{
    c->thread->last_ns = arch_time_ns();
    if (!c->online)
        cpu_online(c);
    else
        atomic_fetch_or(&idle_mask, 1ul << c->id);
    for (;;)
        idle_once(c);
}

static void cpu_init(struct cpu *c)
{
    spin_init(&c->lock, "run queue", RANK_SCHED);
    spin_init(&c->timer_lock, "timers", RANK_TIMER);
    list_init(&c->run_queue);
    list_init(&c->timers);
    c->timer_set_ns = UINT64_MAX;
}

void sched_init(void)
{
    for (u32 i = 0; i < MAX_CPUS; i++) {
        cpus[i].id = i;
        cpu_init(&cpus[i]);
    }
    boot_thread.kstack = cpus[0].kernel_sp - KSTACK_SIZE;
    cpus[0].idle = &boot_thread; /* kmain ends in sched_cpu_main */
    ref_init(&boot_thread.refs);
    cpu_online(&cpus[0]);
    atomic_store(&idle_mask, 0);
}

bool sched_cpu_prepare(struct cpu *c)
{
    struct thread *t = thread_alloc(NULL, NULL);

    if (!t)
        return false;
    strlcpy(t->comm, "idle", sizeof t->comm);
    t->state = THREAD_RUNNING;
    t->preempt_count = 1;
    t->cpu = c->id;
    c->idle = c->thread = t;
    c->kernel_sp = t->kstack + KSTACK_SIZE;
    return true;
}
