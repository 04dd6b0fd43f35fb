/* A thread joins its process (proc/process.c) when all others have just been told something (proc/signal.c). */
#include "kernel_fixture.h"
#define all all_processes
#include "../../kernel/proc/process.c"
#undef all
#include "../../kernel/proc/signal.c"

static struct thread late;

/* ---- the rest of the kernel ---- */

u64 bootarg_u64(const char *name, u64 usual, u64 min, u64 max)
{
    (void)name, (void)min, (void)max;
    return usual;
}

void page_stats(struct page_stats *s)
{
    *s = (struct page_stats){.total = 1 << 20};
}

void vmspace_get(struct vmspace *vm)
{
    (void)vm;
}

void file_table_get(struct file_table *t)
{
    (void)t;
}

void thread_get(struct thread *t)
{
    (void)t;
}

void thread_signal_wake(struct thread *t)
{
    (void)t;
}

void signalfd_wake(void)
{
}

void posix_timer_delivered(struct siginfo *info)
{
    (void)info;
}

/* ---- the test ---- */

static int add(struct process *p, struct thread *t, bool new_process)
{
    int err;

    spin_lock(&process_lock);
    err = process_add_thread_locked(p, t, new_process);
    spin_unlock(&process_lock);
    return err;
}

static int start(void **state)
{
    (void)state;
    fixture_start();
    spin_init(&process_lock, "processes", RANK_PROC);
    spin_init(&my_process.siglock, "signals", RANK_SIGNAL);
    list_init(&all_processes);
    list_init(&my_process.threads);
    signal_queue_init(&my_process.pending);
    next_tid = 1;
    process_total = thread_total = 0;
    process_init();
    signal_queue_init(&first.pending);
    memset(&late, 0, sizeof late);
    late.process = &my_process;
    signal_queue_init(&late.pending);
    assert_int_equal(add(&my_process, &first, true), 0);
    assert_int_equal(my_process.pid, 1);
    return 0;
}

static void test_a_thread_more(void **state)
{
    (void)state;
    assert_int_equal(add(&my_process, &late, false), 0);
    assert_int_equal(late.tid, 2);
    assert_false(late.need_signal);
}

/* exec has told all threads to go, and waits for them: the one that another is just making must go, too. */
static void test_a_thread_more_for_exec(void **state)
{
    (void)state;
    my_process.execing = &first;
    assert_int_equal(add(&my_process, &late, false), 0);
    assert_true(late.need_signal);
}

static void test_a_thread_more_when_stopped(void **state)
{
    (void)state;
    my_process.stopped = true;
    assert_int_equal(add(&my_process, &late, false), 0);
    assert_true(late.need_signal);
}

static void test_no_thread_more_at_the_end(void **state)
{
    (void)state;
    my_process.group_exiting = true;
    assert_int_equal(add(&my_process, &late, false), -EAGAIN);
    assert_null(late.process_link.next); /* in no list */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_thread_more, start),
        cmocka_unit_test_setup(test_a_thread_more_for_exec, start),
        cmocka_unit_test_setup(test_a_thread_more_when_stopped, start),
        cmocka_unit_test_setup(test_no_thread_more_at_the_end, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
