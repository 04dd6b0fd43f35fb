/* wait_event of proc/sched.h: what it answers when a signal and what is waited for come at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "lib/errno.h"
#include "proc/sched.h"

static int blocks, block_result;
static bool happened, happens_in_block;

void waiter_add(struct waitq *q, struct waiter *w, unsigned kind)
{
    (void)q, (void)w, (void)kind;
}

void waiter_remove(struct waiter *w)
{
    (void)w;
}

int wait_block(struct waiter *w, u64 deadline_ns)
{
    (void)w, (void)deadline_ns;
    blocks++;
    happened = happened || happens_in_block;
    return block_result;
}

/* As scan in wait4.c: it says yes once. */
static bool take(void)
{
    bool was = happened;

    happened = false;
    return was;
}

static int wait_for_it(bool now, bool in_block, int result)
{
    blocks = 0;
    happened = now;
    happens_in_block = in_block;
    block_result = result;
    return wait_event((struct waitq *)NULL, take(), SLEEP_INTERRUPTIBLE, UINT64_MAX);
}

static void test_already_true(void **state)
{
    (void)state;
    assert_int_equal(wait_for_it(true, false, -ERESTARTSYS), 0);
    assert_int_equal(blocks, 0);
}

static void test_woken(void **state)
{
    (void)state;
    assert_int_equal(wait_for_it(false, true, 0), 0);
    assert_int_equal(blocks, 1);
}

/* A child ends: its SIGCHLD ends the sleep, and the look after it reaps the child. That must not be an error. */
static void test_signal_and_event_at_once(void **state)
{
    (void)state;
    assert_int_equal(wait_for_it(false, true, -ERESTARTSYS), 0);
    assert_int_equal(wait_for_it(false, true, -ETIMEDOUT), 0);
}

static void test_signal_alone(void **state)
{
    (void)state;
    assert_int_equal(wait_for_it(false, false, -ERESTARTSYS), -ERESTARTSYS);
    assert_int_equal(wait_for_it(false, false, -ETIMEDOUT), -ETIMEDOUT);
    assert_int_equal(blocks, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_already_true), cmocka_unit_test(test_woken),
                                       cmocka_unit_test(test_signal_and_event_at_once),
                                       cmocka_unit_test(test_signal_alone)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
