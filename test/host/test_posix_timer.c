/* proc/posix_timer.c: another thread guesses the number of a timer before timer_create has returned it. */
#include "kernel_fixture.h"
#include "../../kernel/proc/posix_timer.c"

static struct process_timers timers;

struct process_timers *process_timers(void)
{
    return &timers;
}

void itimer_init(struct itimer *t, struct process *p, enum itimer_clock clock, void (*when)(struct itimer *t))
{
    *t = (struct itimer){.process = p, .clock = clock, .expired = when};
}

void itimer_start(struct itimer *t, u64 soonest_ns)
{
    (void)t, (void)soonest_ns;
}

u64 itimer_now(const struct itimer *t)
{
    (void)t;
    return 0;
}

bool timer_cancel(struct timer *t)
{
    (void)t;
    return false;
}

bool signal_send_timer(struct process *p, struct thread *t, const struct siginfo *info)
{
    (void)p, (void)t, (void)info;
    return true;
}

void signal_recall_timer(struct process *p, struct thread *t, int signo, s32 timer_id)
{
    (void)p, (void)t, (void)signo, (void)timer_id;
}

struct thread *thread_find(u32 tid)
{
    (void)tid;
    return NULL;
}

void thread_get(struct thread *t)
{
    (void)t;
}

void thread_put(struct thread *t)
{
    (void)t;
}

struct process *process_next(u32 pid)
{
    (void)pid;
    return NULL;
}

void process_put(struct process *p)
{
    (void)p;
}

u64 arch_time_ns(void)
{
    return 0;
}

u64 time_realtime_ns(void)
{
    return 0;
}

static int start(void **state)
{
    (void)state;
    fixture_start();
    memset(&timers, 0, sizeof timers);
    mutex_init(&timers.lock, "timers", RANK_PROC_MUTEX);
    list_init(&timers.posix);
    my_process.timers = &timers;
    allocations = 0;
    return 0;
}

static s64 create(void)
{
    static const struct posix_timer_event none = {.notify = SIGEV_NONE};

    return posix_timer_create(ITIMER_BY_WALL, NULL, false, &none, false);
}

static void test_numbers(void **state)
{
    (void)state;
    assert_int_equal(create(), 0);
    assert_int_equal(create(), 1);
    assert_int_equal(posix_timer_delete(1), 0);
    assert_int_equal(posix_timer_delete(1), -EINVAL);
    assert_int_equal(posix_timer_delete(0), 0);
    assert_int_equal(allocations, 0);
}

static void delete_it(void)
{
    assert_int_equal(posix_timer_delete(0), 0);
}

static void test_deleted_before_it_is_known(void **state)
{
    (void)state;
    between = delete_it;
    assert_int_equal(create(), 0);
    assert_int_equal(allocations, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_numbers, start),
        cmocka_unit_test_setup(test_deleted_before_it_is_known, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
