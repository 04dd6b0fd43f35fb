/*
 * The run queues of proc/sched.c: in which order threads come, and how one gets from a
 * CPU to another. At each spin lock that is taken or given back it is looked at whether
 * the watched thread has changed its CPU, and if so, whether the lock of the one it was
 * last on was held: without that, who has just found out whose lock to take holds the
 * wrong one, and a thread is queued twice and runs on two CPUs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "proc/sched.h"

static void arch_irq_enable(void)
{
}

static void arch_irq_disable(void)
{
}

#include "../../kernel/proc/sched.c"

/* ---- the machine ---- */

static u32 here; /* the CPU that does what is done */
static u64 now_ns;
static u64 kicked; /* CPUs */

struct cpu *arch_this_cpu(void)
{
    return &cpus[here];
}

struct thread *arch_current(void)
{
    return cpus[here].thread;
}

bool arch_irq_save(void)
{
    return true;
}

void arch_irq_restore(bool on)
{
    (void)on;
}

bool arch_irq_enabled(void);
bool arch_irq_enabled(void)
{
    return true;
}

u64 arch_time_ns(void)
{
    return now_ns;
}

void arch_send_ipi(u64 mask)
{
    kicked |= mask;
}

void arch_cpu_idle(void)
{
}

void arch_context_switch(struct context *from, struct context *to)
{
    (void)from, (void)to; /* the test is whoever runs */
}

void arch_context_init(struct context *c, vaddr_t stack_top, void (*fn)(void *), void *arg)
{
    (void)c, (void)stack_top, (void)fn, (void)arg;
}

void arch_fpu_save(struct fpu_state *s)
{
    (void)s;
}

void arch_flush_local_kernel(void)
{
}

void vmspace_switch(struct vmspace *from, struct vmspace *to)
{
    (void)from, (void)to;
}

void timer_program(struct cpu *c)
{
    (void)c;
}

void timers_run(struct cpu *c)
{
    (void)c;
}

void timer_arm(struct timer *t, u64 deadline_ns)
{
    (void)t, (void)deadline_ns;
}

bool timer_cancel(struct timer *t)
{
    (void)t;
    return true;
}

void preempt_disable(void)
{
}

void preempt_enable(void)
{
}

void signal_handle(struct trapframe *tf)
{
    (void)tf;
}

struct thread *thread_alloc(void (*fn)(void *), void *arg)
{
    (void)fn, (void)arg;
    return NULL;
}

static struct thread *put; /* the last that thread_put has seen */

void thread_put(struct thread *t)
{
    put = t;
}

void panic(const char *fmt, ...)
{
    fail_msg("panic: %s", fmt);
    abort();
}

size_t strlcpy(char *dst, const char *src, size_t size)
{
    return (size_t)snprintf(dst, size, "%s", src);
}

/* ---- locks ---- */

#define CPUS 3u
static struct thread idles[CPUS], one, two, three;
static struct thread *watched;
static u32 watched_cpu;
static u64 held;                 /* CPUs whose locks are held */
static void (*between)(void);    /* what another CPU does when no lock is held */
static bool in_between;

static void look(void)
{
    if (!watched || watched->cpu == watched_cpu)
        return;
    if (!(held >> watched_cpu & 1))
        fail_msg("from CPU %u to %u without the lock of the first", watched_cpu, watched->cpu);
    watched_cpu = watched->cpu;
}

static u64 bit_of(const struct spinlock *l)
{
    for (u32 i = 0; i < CPUS; i++)
        if (l == &cpus[i].lock)
            return 1ul << i;
    fail_msg("what lock is that?");
    return 0;
}

void spin_init(struct spinlock *l, const char *name, unsigned rank)
{
    (void)l, (void)name, (void)rank;
}

void spin_lock(struct spinlock *l)
{
    look();
    assert_int_equal(held, 0); /* one at a time */
    held |= bit_of(l);
}

void spin_unlock(struct spinlock *l)
{
    look();
    assert_int_equal(held, bit_of(l));
    held = 0;
    if (between && !in_between) {
        u32 was = here;

        in_between = true;
        here = CPUS - 1;
        between();
        here = was;
        in_between = false;
    }
}

/* ---- tests ---- */

static void new_thread(struct thread *t, u32 cpu, enum thread_state state)
{
    memset(t, 0, sizeof *t);
    list_init(&t->run_link);
    t->cpu = cpu;
    atomic_store(&t->state, state);
}

static void watch(struct thread *t)
{
    watched = t;
    watched_cpu = t->cpu;
}

/* All idle, on CPU 0. */
static int start(void **state)
{
    (void)state;
    memset(cpus, 0, sizeof cpus);
    watched = NULL;
    between = NULL;
    here = 0;
    held = kicked = 0;
    put = NULL;
    atomic_store(&online_mask, 0);
    for (u32 i = 0; i < CPUS; i++) {
        cpus[i].id = i;
        cpu_init(&cpus[i]);
        new_thread(&idles[i], i, THREAD_RUNNING);
        cpus[i].idle = cpus[i].thread = &idles[i];
        cpu_online(&cpus[i]);
    }
    return 0;
}

/* t runs on CPU c now, whatever was there. */
static void runs(struct thread *t, u32 c)
{
    new_thread(t, c, THREAD_RUNNING);
    cpus[c].thread = t;
    atomic_fetch_and(&idle_mask, ~(1ul << c));
}

/* Each queue's count is right, and t is in one queue at most: in which; -1: in none. */
static int queue_of(const struct thread *t)
{
    int where = -1;

    for (u32 i = 0; i < CPUS; i++) {
        struct thread *in;
        u32 n = 0;

        list_for_each(in, &cpus[i].run_queue, run_link) {
            n++;
            if (in != t)
                continue;
            assert_int_equal(where, -1);
            where = (int)i;
        }
        assert_int_equal(n, cpus[i].runnable);
    }
    return where;
}

static void test_a_wake_to_an_idle_cpu(void **state)
{
    (void)state;
    runs(&two, 0);
    new_thread(&one, 0, THREAD_SLEEPING);
    watch(&one);
    thread_wake(&one);
    assert_int_equal(queue_of(&one), 1);
    assert_int_equal(one.cpu, 1);
    assert_int_equal(kicked, 1 << 1);
}

static void test_a_wake_where_it_slept(void **state)
{
    (void)state;
    new_thread(&one, 1, THREAD_SLEEPING);
    watch(&one);
    thread_wake(&one);
    assert_int_equal(queue_of(&one), 1);
    thread_wake(&one); /* once is enough */
    assert_int_equal(queue_of(&one), 1);
}

static void test_a_wake_before_it_has_left_its_cpu(void **state)
{
    (void)state;
    runs(&one, 1);
    atomic_store(&one.state, THREAD_SLEEPING);
    thread_wake(&one);
    assert_int_equal(atomic_load(&one.state), THREAD_RUNNING);
    assert_int_equal(queue_of(&one), -1);
}

static void test_the_start_of_a_thread(void **state)
{
    (void)state;
    here = 1;
    runs(&two, 1);
    new_thread(&one, 2, THREAD_NEW);
    watch(&one);
    thread_start(&one);
    assert_int_equal(queue_of(&one), one.cpu);
}

static void steal_one(void)
{
    idle_once(&cpus[here]);
}

static void test_an_idle_cpu_steals(void **state)
{
    (void)state;
    runs(&two, 0);
    new_thread(&one, 0, THREAD_RUNNABLE);
    queue_locked(&cpus[0], &one, false);
    watch(&one);
    here = 1;
    steal_one();
    assert_ptr_equal(cpus[1].thread, &one);
    assert_int_equal(one.cpu, 1);
    assert_int_equal(queue_of(&one), -1);
}

/* What another CPU may do to a thread that is on its way. */
static void set_its_policy(void)
{
    sched_policy_set(&one, POLICY_FIFO, 7);
}

static void wake_it(void)
{
    thread_wake(&one);
}

static void test_what_is_on_its_way(void **state)
{
    void (*others[])(void) = {set_its_policy, wake_it, steal_one};

    for (unsigned i = 0; i < 3; i++) {
        /* woken, away from where it slept */
        start(state);
        runs(&two, 0);
        new_thread(&one, 0, THREAD_SLEEPING);
        watch(&one);
        between = others[i];
        thread_wake(&one);
        assert_true((queue_of(&one) >= 0) != (cpus[2].thread == &one));

        /* stolen */
        start(state);
        runs(&two, 0);
        new_thread(&one, 0, THREAD_RUNNABLE);
        queue_locked(&cpus[0], &one, false);
        watch(&one);
        here = 1;
        between = others[i];
        steal_one();
        assert_int_equal((queue_of(&one) >= 0) + (cpus[1].thread == &one) + (cpus[2].thread == &one), 1);
    }
}

static void test_the_order_of_a_queue(void **state)
{
    (void)state;
    new_thread(&one, 0, THREAD_RUNNABLE);
    new_thread(&two, 0, THREAD_RUNNABLE);
    new_thread(&three, 0, THREAD_RUNNABLE);
    queue_locked(&cpus[0], &one, false);
    queue_locked(&cpus[0], &two, false);
    queue_locked(&cpus[0], &three, false);
    sched_policy_set(&three, POLICY_FIFO, 5);
    sched_policy_set(&two, POLICY_RR, 5); /* behind its equals */
    assert_ptr_equal(pick_locked(&cpus[0]), &three);
    assert_ptr_equal(pick_locked(&cpus[0]), &two);
    assert_ptr_equal(pick_locked(&cpus[0]), &one);
    assert_ptr_equal(pick_locked(&cpus[0]), &idles[0]);
}

static void test_the_others_get_a_part(void **state)
{
    (void)state;
    now_ns = 5;
    cpus[0].realtime_since_ns = 5;
    new_thread(&one, 0, THREAD_RUNNABLE);
    new_thread(&two, 0, THREAD_RUNNABLE);
    two.rt_priority = 1;
    queue_locked(&cpus[0], &one, false);
    queue_locked(&cpus[0], &two, false);
    assert_ptr_equal(pick_locked(&cpus[0]), &two);
    queue_locked(&cpus[0], &two, false);
    now_ns += REALTIME_NS;
    assert_ptr_equal(pick_locked(&cpus[0]), &one);
}

static void test_a_dead_thread_is_dropped_once(void **state)
{
    (void)state;
    runs(&one, 0);
    atomic_store(&one.state, THREAD_DEAD);
    schedule();
    assert_ptr_equal(put, &one);
    put = NULL;
    schedule();
    assert_null(put);
}

static struct thread busy[CPUS], waiting[6];

/* Every CPU runs something; CPU c has n waiting threads. */
static void load(u32 c, u32 n)
{
    for (u32 i = 0; i < CPUS; i++)
        runs(&busy[i], i);
    for (u32 i = 0; i < n; i++) {
        new_thread(&waiting[i], c, THREAD_RUNNABLE);
        queue_locked(&cpus[c], &waiting[i], false);
    }
}

static void test_a_wake_where_fewer_wait(void **state)
{
    for (u32 n = 0; n < 4; n++) {
        start(state);
        load(1, n);
        new_thread(&one, 1, THREAD_SLEEPING);
        watch(&one);
        thread_wake(&one);
        assert_int_equal(queue_of(&one), n < 2 ? 1 : 0);

        start(state);
        load(1, n);
        new_thread(&one, 1, THREAD_SLEEPING);
        one.cpus_allowed = 1 << 1;
        thread_wake(&one);
        assert_int_equal(queue_of(&one), 1);
    }
}

static void test_a_wake_where_nobody_is_more_urgent(void **state)
{
    (void)state;
    load(0, 0);
    cpus[0].rank = cpus[1].rank = 5;
    new_thread(&one, 0, THREAD_SLEEPING);
    thread_wake(&one);
    assert_int_equal(queue_of(&one), 2);
    new_thread(&two, 1, THREAD_SLEEPING);
    two.rt_priority = 6; /* more urgent itself: it does not wait */
    thread_wake(&two);
    assert_int_equal(queue_of(&two), 1);
    assert_true(cpus[1].need_resched);
}

/* It waits behind somebody more urgent, becomes more urgent than who runs elsewhere, and goes there. */
static void test_a_priority_from_outside(void **state)
{
    (void)state;
    load(0, 1);
    cpus[0].rank = 50;
    cpus[1].rank = 40;
    cpus[2].rank = 1;
    watch(&waiting[0]);
    sched_policy_set(&waiting[0], POLICY_FIFO, 20);
    assert_int_equal(queue_of(&waiting[0]), 2);
    assert_true(cpus[2].need_resched);
    assert_int_equal(kicked, 1 << 2);
}

/* The last of a long queue, at the end of a slice. */
static void test_a_long_queue_is_shared(void **state)
{
    for (u32 n = 1; n < 4; n++) {
        start(state);
        load(0, n);
        watch(&waiting[n - 1]);
        cpus[0].slice_end_ns = now_ns = 50;
        timer_interrupt();
        assert_int_equal(queue_of(&waiting[n - 1]), n < 2 ? 0 : 1);
        assert_int_equal(kicked, n < 2 ? 0 : 1 << 1);
        assert_int_equal(queue_of(&waiting[0]), 0);
        assert_true(cpus[0].need_resched);
    }
    start(state);
    load(0, 3);
    waiting[2].cpus_allowed = 1;
    cpus[0].slice_end_ns = now_ns;
    timer_interrupt();
    assert_int_equal(queue_of(&waiting[2]), 0);
}

/* It slept, is off its CPU, and before that CPU does anything more it is woken elsewhere, ends, and is dropped. */
static void end_elsewhere(void)
{
    atomic_store(&one.state, THREAD_DEAD);
}

static void test_who_has_left_is_somebody_elses(void **state)
{
    (void)state;
    runs(&one, 0);
    atomic_store(&one.state, THREAD_SLEEPING);
    between = end_elsewhere;
    schedule();
    assert_null(put);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_wake_to_an_idle_cpu, start),
        cmocka_unit_test_setup(test_a_wake_where_it_slept, start),
        cmocka_unit_test_setup(test_a_wake_before_it_has_left_its_cpu, start),
        cmocka_unit_test_setup(test_the_start_of_a_thread, start),
        cmocka_unit_test_setup(test_an_idle_cpu_steals, start),
        cmocka_unit_test_setup(test_what_is_on_its_way, start),
        cmocka_unit_test_setup(test_the_order_of_a_queue, start),
        cmocka_unit_test_setup(test_the_others_get_a_part, start),
        cmocka_unit_test_setup(test_a_wake_where_fewer_wait, start),
        cmocka_unit_test_setup(test_a_wake_where_nobody_is_more_urgent, start),
        cmocka_unit_test_setup(test_a_priority_from_outside, start),
        cmocka_unit_test_setup(test_a_long_queue_is_shared, start),
        cmocka_unit_test_setup(test_a_dead_thread_is_dropped_once, start),
        cmocka_unit_test_setup(test_who_has_left_is_somebody_elses, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
