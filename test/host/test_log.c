/*
 * lib/log.c and lib/panic.c: what the ring keeps, what the console is given,
 * and in which order a panic does things. The panic tests come last, as a
 * panic is for ever.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "lib/log.c"
#include "lib/panic.c"

static struct cpu this_cpu;
static struct thread thread = {.tid = 12, .comm = "tester"};
static u64 now;
static unsigned locked, drained, halted;
static char shown[256 * 1024];
static size_t shown_size;
static jmp_buf off;

/* ---- what the rest of the kernel does ---- */

void spin_lock(struct spinlock *l)
{
    assert_int_equal(l->held, 0);
    atomic_store(&l->held, this_cpu.id + 1);
    locked++;
}

void spin_unlock(struct spinlock *l)
{
    assert_int_equal(l->held, this_cpu.id + 1);
    atomic_store(&l->held, 0);
}

bool spin_held(const struct spinlock *l)
{
    return l->held == this_cpu.id + 1;
}

struct cpu *arch_this_cpu(void)
{
    return &this_cpu;
}

struct thread *arch_current(void)
{
    return &thread;
}

bool arch_irq_save(void)
{
    return true;
}

u64 arch_time_ns(void)
{
    return now += 1000;
}

void arch_cpu_idle(void)
{
    longjmp(off, 2);
}

void arch_halt_other_cpus(void)
{
    halted++;
}

void arch_poweroff(unsigned status)
{
    assert_int_equal(status, PANIC_STATUS);
    longjmp(off, 1);
}

u64 bootarg_u64(const char *name, u64 fallback, u64 min, u64 max)
{
    assert_string_equal(name, "loglevel");
    assert_true(min <= fallback && fallback <= max);
    return 5;
}

static void show(const char *s, size_t n)
{
    memcpy(shown + shown_size, s, n);
    shown_size += n;
    shown[shown_size] = 0;
}

void console_panic(void)
{
    log_set_console(show);
    show("[P]", 3);
}

void console_drain(void)
{
    drained++;
}

void arch_print_frame(const struct trapframe *tf)
{
    (void)tf;
    printk(LOG_EMERG, "the registers");
}

void arch_backtrace(const struct trapframe *tf)
{
    (void)tf;
    printk(LOG_EMERG, "the backtrace");
}

/* ---- the log ---- */

static int fresh(void **state)
{
    (void)state;
    ring_end = replayed = 0;
    console = NULL;
    log_set_level(LOG_INFO + 1);
    shown_size = 0;
    shown[0] = 0;
    now = 12345678000;
    return 0;
}

static char text[2 * RING];

static size_t read_all(u64 pos)
{
    size_t n = log_read(&pos, text, sizeof text - 1);

    text[n] = 0;
    assert_int_equal(pos, log_end());
    return n;
}

static void a_line_has_level_time_and_newline(void **state)
{
    (void)state;
    printk(LOG_WARN, "one %d", 1);
    printk(LOG_INFO, "two\n");
    printk(LOG_ERR, "%s", "");
    read_all(0);
    assert_string_equal(text, "<4>[   12.345679] one 1\n<6>[   12.345680] two\n<3>[   12.345681] \n");
}

static void nobody_forges_a_line(void **state)
{
    (void)state;
    printk(LOG_INFO, "name %s", "x\n<0>[    0.000000] KERNEL PANIC\x1b[2J\x10P\ta\x7f\n\n");
    read_all(0);
    assert_string_equal(text, "<6>[   12.345679] name x?<0>[    0.000000] KERNEL PANIC?[2J?P\ta??\n");
}

static void a_long_line_is_cut(void **state)
{
    static char longer[2000];

    (void)state;
    memset(longer, 'x', sizeof longer - 1);
    printk(LOG_INFO, "%s", longer);
    printk(LOG_INFO, "next");
    assert_true(read_all(0) < LINE_MAX + 40);
    assert_non_null(strstr(text, "x\n<6>["));
    assert_int_equal(strchr(text, '\n') - text, LINE_MAX - 1);
}

static void levels_choose_what_the_console_gets(void **state)
{
    (void)state;
    log_init(); /* 5 */
    printk(LOG_INFO, "early info");
    printk(LOG_ERR, "early error");
    assert_int_equal(shown_size, 0);
    log_set_console(show);
    assert_string_equal(shown, "[   12.345680] early error\n");
    log_set_console(show); /* nothing twice */
    printk(LOG_NOTICE, "notice");
    printk(LOG_WARN, "warning");
    assert_string_equal(shown, "[   12.345680] early error\n[   12.345682] warning\n");
    read_all(0);
    assert_non_null(strstr(text, "notice"));
}

static void the_ring_keeps_the_last_lines_whole(void **state)
{
    unsigned first, i = 0;

    (void)state;
    for (; i < 10000; i++)
        printk(LOG_INFO, "line %u", i);
    assert_true(log_start() > 0 && log_end() - log_start() == log_capacity());
    assert_true(read_all(0) <= log_capacity());
    for (const char *p = text; *p; p = strchr(p, '\n') + 1) {
        assert_int_equal(sscanf(p, "<6>[%*d.%*d] line %u\n", &first), 1);
        if (p == text)
            i = first;
        assert_int_equal(first, i++);
    }
    assert_int_equal(i, 10000);
}

static void reading_goes_on_where_it_stopped(void **state)
{
    char part[64];
    u64 pos = 0;
    size_t n;
    unsigned lines = 0;

    (void)state;
    for (unsigned i = 0; i < 20; i++)
        printk(LOG_INFO, "line %u", i);
    while ((n = log_read(&pos, part, sizeof part)) > 0) {
        assert_int_equal(part[0], '<');
        assert_int_equal(part[n - 1], '\n');
        for (size_t i = 0; i < n; i++)
            lines += part[i] == '\n';
    }
    assert_int_equal(lines, 20);
    assert_int_equal(pos, log_end());
    assert_int_equal(log_read(&pos, part, 0), 0);
    printk(LOG_INFO, "more");
    assert_int_equal(log_read(&pos, part, 10), 10); /* cut, and not seen again */
    assert_int_equal(log_read(&pos, part, sizeof part), 0);
}

static void a_position_inside_a_line_is_the_next_one_s(void **state)
{
    (void)state;
    printk(LOG_INFO, "first");
    printk(LOG_INFO, "second");
    read_all(3);
    assert_non_null(strstr(text, "second"));
    assert_null(strstr(text, "first"));
    read_all(log_end() - 1);
    assert_string_equal(text, "");
    read_all(log_end() + 100);
    assert_string_equal(text, "");
}

/* ---- panics ---- */

static void a_panic_tells_all(void **state)
{
    static const char *at;
    static const char *const order[] = {"seen", "[P]", "KERNEL PANIC: broken 7", "CPU 0, thread 12 (tester)",
                                        "the registers", "the backtrace", "kept quiet"};

    (void)state;
    log_set_console(show);
    log_set_level(LOG_WARN);
    printk(LOG_ERR, "seen");
    printk(LOG_INFO, "kept quiet");
    atomic_store(&log_lock.held, 1); /* it happened while a line was printed */
    locked = 0;
    if (setjmp(off) == 0)
        panic_frame((const struct trapframe *)&thread, "broken %d", 7);
    at = shown;
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
        at = strstr(at, order[i]);
        assert_non_null(at);
    }
    assert_null(strstr(strstr(shown, "seen") + 1, "seen"));
    assert_null(strstr(strstr(shown, "the backtrace") + 1, "the backtrace"));
    assert_true(halted == 1 && drained == 1 && locked == 0);
}

static void a_panic_in_a_panic_ends_at_once(void **state)
{
    size_t before = shown_size;
    int how = setjmp(off);

    (void)state;
    if (how == 0)
        panic("again");
    assert_int_equal(how, 1);
    assert_int_equal(shown_size, before);
}

static void another_cpu_waits_in_silence(void **state)
{
    size_t before = shown_size;
    int how;

    (void)state;
    this_cpu.id = 1;
    printk(LOG_EMERG, "not heard");
    how = setjmp(off);
    if (how == 0)
        panic("me too");
    assert_int_equal(how, 2);
    assert_int_equal(shown_size, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_line_has_level_time_and_newline, fresh),
        cmocka_unit_test_setup(nobody_forges_a_line, fresh),
        cmocka_unit_test_setup(a_long_line_is_cut, fresh),
        cmocka_unit_test_setup(levels_choose_what_the_console_gets, fresh),
        cmocka_unit_test_setup(the_ring_keeps_the_last_lines_whole, fresh),
        cmocka_unit_test_setup(reading_goes_on_where_it_stopped, fresh),
        cmocka_unit_test_setup(a_position_inside_a_line_is_the_next_one_s, fresh),
        cmocka_unit_test_setup(a_panic_tells_all, fresh),
        cmocka_unit_test(a_panic_in_a_panic_ends_at_once),
        cmocka_unit_test(another_cpu_waits_in_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
