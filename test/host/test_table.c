/* File tables (fs/table.c): what a number is while another thread opens and closes. */
#include "kernel_fixture.h"
#include "../../kernel/fs/table.c"

static struct file files[8];

void file_get(struct file *f)
{
    ref_get(&f->refs);
}

void file_put(struct file *f)
{
    assert_false(ref_put(&f->refs)); /* the test has one of each */
}

void file_locks_drop(struct file *f, const void *owner)
{
    (void)f, (void)owner;
}

void mqueue_closed(struct file *f)
{
    (void)f;
}

void oom_kill_current(const char *what)
{
    fail_msg("%s", what);
}

void *(kmem_alloc_reserve)(size_t size)
{
    return kmem_alloc(size);
}

static int start(void **state)
{
    (void)state;
    fixture_start();
    for (unsigned i = 0; i < ARRAY_SIZE(files); i++)
        ref_init(&files[i].refs);
    my_process.rlimit[RLIMIT_NOFILE].cur = 64;
    my_process.files = file_table_create();
    assert_non_null(my_process.files);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    file_table_put(my_process.files);
    for (unsigned i = 0; i < ARRAY_SIZE(files); i++)
        assert_int_equal(ref_count(&files[i].refs), 1);
    return 0;
}

static int open_one(unsigned i)
{
    file_get(&files[i]);
    return fd_alloc(&files[i], 0, false);
}

static void test_the_lowest_number(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(open_one((unsigned)i), i);
    assert_int_equal(fd_close(1), 0);
    assert_int_equal(open_one(4), 1);
    assert_int_equal(open_one(5), 4);
    assert_int_equal(fd_close(17), -EBADF);
}

static void close_the_first(void)
{
    assert_int_equal(fd_close(0), 0);
}

/* A lower number than the one that has been found becomes free at that moment: it must not be lost. */
static void test_a_number_becomes_free_meanwhile(void **state)
{
    int fd;

    (void)state;
    assert_int_equal(open_one(0), 0);
    assert_int_equal(open_one(1), 1);
    between = close_the_first;
    fd = open_one(2);
    assert_true(fd == 0 || fd == 2);
    assert_int_equal(open_one(3), fd == 0 ? 2 : 0);
}

static void open_another(void)
{
    assert_int_equal(open_one(6), 0);
}

static void test_a_number_is_taken_meanwhile(void **state)
{
    (void)state;
    between = open_another;
    assert_int_equal(open_one(1), 1);
    assert_int_equal(open_one(2), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_lowest_number, start, finish),
        cmocka_unit_test_setup_teardown(test_a_number_becomes_free_meanwhile, start, finish),
        cmocka_unit_test_setup_teardown(test_a_number_is_taken_meanwhile, start, finish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
