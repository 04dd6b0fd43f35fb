/* Timers of proc/timer.c: what a canceller may count on when it frees the timer. */
#include "kernel_fixture.h"
#include "../../kernel/proc/timer.c"

struct cpu cpus[MAX_CPUS];
static u32 here; /* the CPU that does what is done */
static u64 now_ns;
static unsigned relaxed, expired;
static struct timer *timer;

struct cpu *arch_this_cpu(void)
{
    return &cpus[here];
}

u64 arch_time_ns(void)
{
    return now_ns;
}

void arch_timer_set(u64 deadline_ns)
{
    (void)deadline_ns;
}

void preempt_disable(void)
{
}

void preempt_enable(void)
{
}

/* Who waits for a callback waits here; CPU 0's returns at last. */
void arch_cpu_relax(void)
{
    relaxed++;
    spin_lock(&cpus[0].timer_lock);
    cpus[0].timer_running = NULL;
    spin_unlock(&cpus[0].timer_lock);
}

static void note(struct timer *t)
{
    (void)t;
    expired++;
}

static int start(void **state)
{
    (void)state;
    fixture_start();
    memset(cpus, 0, sizeof cpus);
    for (u32 i = 0; i < MAX_CPUS; i++) {
        cpus[i].id = i;
        spin_init(&cpus[i].timer_lock, "timers", RANK_TIMER);
        list_init(&cpus[i].timers);
    }
    here = 0;
    now_ns = 100;
    relaxed = expired = 0;
    timer = calloc(1, sizeof *timer);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    free(timer);
    return 0;
}

static void test_what_is_cancelled_does_not_fire(void **state)
{
    (void)state;
    timer->fn = note;
    assert_false(timer_cancel(timer)); /* never armed */
    timer_arm(timer, 90);
    assert_true(timer_cancel(timer));
    timers_run(&cpus[0]);
    assert_int_equal(expired, 0);
    timer_arm(timer, 90);
    timers_run(&cpus[0]);
    assert_int_equal(expired, 1);
    assert_false(timer_cancel(timer));
    assert_int_equal(relaxed, 0);
}

/* CPU 0 is in the callback; CPU 1, told of the expiry, wants to be rid of the timer. */
static void cancel_elsewhere(struct timer *t)
{
    here = 1;
    assert_false(timer_cancel(t));
    assert_int_equal(relaxed, 1);
    here = 0;
}

static void test_a_canceller_waits_for_the_callback(void **state)
{
    (void)state;
    timer->fn = cancel_elsewhere;
    timer_arm(timer, 90);
    timers_run(&cpus[0]);
}

/* The same, but CPU 1 has armed it again before, as a read of a timerfd does. */
static void arm_and_cancel_elsewhere(struct timer *t)
{
    here = 1;
    timer_arm(t, 1000);
    assert_true(timer_cancel(t));
    assert_int_equal(relaxed, 1);
    assert_true(list_empty(&cpus[1].timers));
    here = 0;
}

static void test_a_canceller_waits_for_the_callback_of_before(void **state)
{
    (void)state;
    timer->fn = arm_and_cancel_elsewhere;
    timer_arm(timer, 90);
    timers_run(&cpus[0]);
}

/* The callback itself has armed it again, and has not returned. */
static void arm_again(struct timer *t)
{
    timer_arm(t, 1000);
    here = 1;
    assert_true(timer_cancel(t));
    assert_int_equal(relaxed, 1);
    assert_true(list_empty(&cpus[0].timers));
    here = 0;
}

static void test_a_callback_that_arms_again(void **state)
{
    (void)state;
    timer->fn = arm_again;
    timer_arm(timer, 90);
    timers_run(&cpus[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_cancelled_does_not_fire, start, finish),
        cmocka_unit_test_setup_teardown(test_a_canceller_waits_for_the_callback, start, finish),
        cmocka_unit_test_setup_teardown(test_a_canceller_waits_for_the_callback_of_before, start, finish),
        cmocka_unit_test_setup_teardown(test_a_callback_that_arms_again, start, finish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
