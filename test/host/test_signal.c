/*
 * Signals of a process with two threads (proc/signal.c, signal_deliver.c): none is lost with the
 * thread that was told of it, and what another CPU does between two looks is seen.
 */
#include "kernel_fixture.h"
#include "../../kernel/proc/signal.c"
#include "../../kernel/proc/signal_deliver.c"

static struct thread two; /* the other thread of the process */
static u64 woken;         /* threads that thread_signal_wake has seen: 1 first, 2 two */
static vaddr_t handled;   /* the handler that was to run */
static unsigned stops;    /* times that the process came to sleep as stopped */
struct spinlock process_lock;
struct process *init_process;

/* ---- the rest of the kernel ---- */

void thread_signal_wake(struct thread *t)
{
    woken |= t == &two ? 2 : 1;
}

void signalfd_wake(void)
{
}

void posix_timer_delivered(struct siginfo *info)
{
    (void)info;
}

void process_get(struct process *p)
{
    (void)p;
}

void process_put(struct process *p)
{
    (void)p;
}

void process_for_each_locked(void (*fn)(struct process *p, void *arg), void *arg)
{
    fn(&my_process, arg);
}

bool pgrp_is_orphaned(u32 pgid)
{
    (void)pgid;
    return false;
}

void process_exit_group(int wait_status, s32 code)
{
    fail_msg("it ends: %#x %d", wait_status, code);
    abort();
}

void process_exit_thread(int code)
{
    fail_msg("the thread ends: %d", code);
    abort();
}

int arch_signal_deliver(struct trapframe *tf, const struct ksigframe_args *a)
{
    (void)tf;
    handled = a->handler;
    return 0;
}

/* ---- the test ---- */

static void join(struct thread *t)
{
    memset(t, 0, sizeof *t);
    t->process = &my_process;
    signal_queue_init(&t->pending);
    list_append(&my_process.threads, &t->process_link);
}

static int start(void **state)
{
    (void)state;
    fixture_start();
    spin_init(&process_lock, "processes", RANK_PROC);
    spin_init(&my_process.siglock, "signals", RANK_SIGNAL);
    list_init(&my_process.threads);
    signal_queue_init(&my_process.pending);
    waitq_init(&my_process.stop_wait);
    allocations = 0;
    my_process.actions = signal_actions_create();
    my_process.rlimit[RLIMIT_SIGPENDING].cur = 100;
    join(&first);
    join(&two);
    woken = handled = stops = 0;
    return 0;
}

static int finish(void **state)
{
    (void)state;
    signal_queue_clear(&my_process.pending);
    signal_queue_clear(&first.pending);
    signal_queue_clear(&two.pending);
    signal_actions_put(my_process.actions);
    assert_int_equal(allocations, 0);
    return 0;
}

static void handle_with(int signo, vaddr_t handler, u64 flags)
{
    struct signal_actions *a = my_process.actions;

    spin_lock(&a->lock);
    signal_action_set_locked(a, signo, (struct signal_action){.handler = handler, .flags = flags});
    spin_unlock(&a->lock);
}

static void send_it(int signo)
{
    assert_int_equal(signal_send_process(&my_process, signo, NULL), 0);
}

static void test_one_is_told(void **state)
{
    (void)state;
    handle_with(SIGUSR1, 0x1000, 0);
    send_it(SIGUSR1);
    assert_int_equal(woken, 1);
    assert_true(first.need_signal);
    assert_false(two.need_signal);
}

/* The one that was told blocks the signal before it takes it. */
static void test_who_was_told_blocks_it(void **state)
{
    (void)state;
    handle_with(SIGUSR1, 0x1000, 0);
    send_it(SIGUSR1);
    signal_mask_set(SIG_BIT(SIGUSR1));
    assert_false(first.need_signal);
    assert_true(two.need_signal);
    assert_int_equal(woken, 3);
}

/* … or ends. */
static void test_who_was_told_ends(void **state)
{
    (void)state;
    handle_with(SIGUSR1, 0x1000, 0);
    send_it(SIGUSR1);
    spin_lock(&process_lock);
    list_remove(&first.process_link);
    signal_thread_exit_locked(&first);
    spin_unlock(&process_lock);
    assert_true(two.need_signal);
    assert_int_equal(woken, 3);
}

/* Who holds a reference to a thread that has ended sends it a signal: nobody would ever free it. */
static void test_a_thread_that_has_ended(void **state)
{
    (void)state;
    handle_with(SIGUSR1, 0x1000, 0);
    spin_lock(&process_lock);
    list_remove(&two.process_link);
    spin_unlock(&process_lock);
    assert_int_equal(signal_send_thread(&two, SIGUSR1, NULL), 0);
    assert_true(list_empty(&two.pending.queued));
}

/* Two threads wait for two signals; both signals find the first one waiting, and it takes but one of them. */
static void test_two_that_wait(void **state)
{
    u64 both = SIG_BIT(SIGUSR1) | SIG_BIT(SIGUSR2);
    struct siginfo info;

    (void)state;
    first.sigmask = two.sigmask = both;
    assert_int_equal(signal_take(both, true, &info), 0);
    on_cpu = &two;
    assert_int_equal(signal_take(both, true, &info), 0);
    send_it(SIGUSR1);
    send_it(SIGUSR2);
    assert_int_equal(woken, 1);
    on_cpu = &first;
    assert_int_equal(signal_take(both, false, &info), SIGUSR1);
    signal_wait_end();
    assert_int_equal(woken, 3);
    on_cpu = &two;
    assert_int_equal(signal_take(both, false, &info), SIGUSR2);
    signal_wait_end();
}

/* ---- stopping ---- */

static void continue_it(void)
{
    send_it(SIGCONT);
}

static void slept(void)
{
    stops++;
    continue_it();
}

static void stop_and(void (*meanwhile)(void))
{
    struct siginfo info;

    send_it(SIGSTOP);
    assert_int_equal(signal_take(~0ul, false, &info), SIGSTOP);
    meanwhile();
    between = slept;
    between_at = &between; /* no lock: when it sleeps */
    stop_process(&my_process, SIGSTOP);
}

static void nothing(void)
{
}

static void test_stop_and_continue(void **state)
{
    (void)state;
    stop_and(nothing);
    assert_int_equal(stops, 1);
    assert_true(two.need_signal);
    assert_false(my_process.stopped);
}

/* SIGCONT comes when the signal to stop has been taken, and the process is not stopped yet. */
static void test_continued_before_it_has_stopped(void **state)
{
    (void)state;
    stop_and(continue_it);
    assert_int_equal(stops, 0);
    assert_false(my_process.stopped);
}

/* ---- actions ---- */

static void install(void)
{
    handle_with(SIGUSR1, 0x2000, 0);
}

/* Another thread changes the action after the first look at it. */
static void deliver(void)
{
    static struct trapframe tf;

    between = install;
    between_at = &my_process.actions->lock;
    signal_handle(&tf);
}

/* Ignored at one look and handled at the next: it is not run at the address 1. */
static void test_an_action_that_changes(void **state)
{
    (void)state;
    handle_with(SIGUSR1, SIG_IGN, 0);
    two.sigmask = SIG_BIT(SIGUSR1); /* so that it is queued at all */
    send_it(SIGUSR1);
    deliver();
    assert_true(handled == 0 || handled == 0x2000);
}

/* With SA_RESETHAND the handler is gone with the look that finds it; what another thread then sets stays. */
static void test_a_handler_for_once(void **state)
{
    (void)state;
    handle_with(SIGUSR1, 0x1000, SA_RESETHAND);
    send_it(SIGUSR1);
    deliver();
    assert_int_equal(handled, 0x1000);
    assert_int_equal(signal_action_get(&my_process, SIGUSR1).handler, 0x2000);
}

static u32 told_as_member(int signo)
{
    u32 before = atomic_load(&my_process.signals_to_many);

    spin_lock(&process_lock);
    assert_int_equal(signal_send_member_locked(&my_process, signo, NULL), 0);
    spin_unlock(&process_lock);
    return atomic_load(&my_process.signals_to_many) - before;
}

/* A fork begins anew for what is to be heeded first, not for what is ignored, nor for ever while a blocked one is sent again. */
static void test_what_a_fork_heeds(void **state)
{
    (void)state;
    assert_int_equal(told_as_member(SIGCHLD), 0);
    handle_with(SIGUSR1, 0x1000, 0);
    assert_int_equal(told_as_member(SIGUSR1), 1);
    deliver(); /* its handler blocks it */
    two.sigmask = SIG_BIT(SIGUSR1);
    assert_int_equal(told_as_member(SIGUSR1), 1);
    assert_int_equal(told_as_member(SIGUSR1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_is_told, start, finish),
        cmocka_unit_test_setup_teardown(test_who_was_told_blocks_it, start, finish),
        cmocka_unit_test_setup_teardown(test_who_was_told_ends, start, finish),
        cmocka_unit_test_setup_teardown(test_a_thread_that_has_ended, start, finish),
        cmocka_unit_test_setup_teardown(test_two_that_wait, start, finish),
        cmocka_unit_test_setup_teardown(test_stop_and_continue, start, finish),
        cmocka_unit_test_setup_teardown(test_continued_before_it_has_stopped, start, finish),
        cmocka_unit_test_setup_teardown(test_an_action_that_changes, start, finish),
        cmocka_unit_test_setup_teardown(test_a_handler_for_once, start, finish),
        cmocka_unit_test_setup_teardown(test_what_a_fork_heeds, start, finish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
