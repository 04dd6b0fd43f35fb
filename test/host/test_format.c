/* lib/format.c against the C library's snprintf, at every buffer size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define snprintf k_snprintf
#define vsnprintf k_vsnprintf
#include "lib/format.c"
#undef snprintf
#undef vsnprintf

#pragma GCC diagnostic ignored "-Wformat-truncation"
#pragma GCC diagnostic ignored "-Wformat" /* for flags without effect, which must have none */

/* The same text, the same length, nothing behind the buffer, for all sizes up to what is needed and some more. */
#define SAME(...)                                                      \
    do {                                                               \
        char want[256], got[256];                                      \
        int n = snprintf(NULL, 0, __VA_ARGS__);                        \
        assert_true(n >= 0 && n < 250);                                \
        assert_int_equal(k_snprintf(NULL, 0, __VA_ARGS__), n);         \
        for (size_t size = 1; size <= (size_t)n + 3; size++) {         \
            memset(got, '~', sizeof got);                              \
            snprintf(want, size, __VA_ARGS__);                         \
            assert_int_equal(k_snprintf(got, size, __VA_ARGS__), n);   \
            assert_string_equal(got, want);                            \
            for (size_t at = size; at < sizeof got; at++)              \
                assert_int_equal(got[at], '~');                        \
        }                                                              \
    } while (0)

static void integers(void **state)
{
    static const long values[] = {0, 1, -1, 9, 10, 42, -42, 255, 65536, INT_MAX, INT_MIN, LONG_MAX, LONG_MIN};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
        long v = values[i];

        SAME("%d %i %u %x %X %o", (int)v, (int)v, (unsigned)v, (unsigned)v, (unsigned)v, (unsigned)v);
        SAME("%ld %lu %lx", v, (unsigned long)v, (unsigned long)v);
        SAME("%lld %llu %llx", (long long)v, (unsigned long long)v, (unsigned long long)v);
        SAME("%zu %zx %zd", (size_t)v, (size_t)v, (ssize_t)v);
        SAME("%hd %hu %hhd %hhu", (short)v, (unsigned short)v, (signed char)v, (unsigned char)v);
        SAME("%#x %#lx", (unsigned)v, (unsigned long)v);
        SAME("[%8d] [%-8d] [%08d]", (int)v, (int)v, (int)v);
        SAME("[%+d] [% d] [%+08d] [% 8d]", (int)v, (int)v, (int)v, (int)v);
        SAME("[%20lx] [%-20lx] [%020lx] [%#20lx] [%#020lx]", v, v, v, v, v);
        SAME("[%.5d] [%8.5d] [%-8.5d] [%.0d]", (int)v, (int)v, (int)v, (int)v);
        SAME("[%08.5d] [%-08d] [%+ d] [%+u] [%.0x]", (int)v, (int)v, (int)v, (unsigned)v, (unsigned)v);
        SAME("[%*d] [%-*d] [%.*d] [%*.*d]", 7, (int)v, 7, (int)v, 4, (int)v, 9, 4, (int)v);
        SAME("[%*d] [%.*d]", -7, (int)v, -1, (int)v);
        SAME("[%5lu.%06lu]", (unsigned long)v, (unsigned long)v);
    }
}

static void strings_and_characters(void **state)
{
    const char raw[3] = {'r', 'a', 'w'}; /* no NUL */

    (void)state;
    SAME("%s", "");
    SAME("[%s] [%10s] [%-10s] [%2s]", "hello", "hello", "hello", "hello");
    SAME("[%.3s] [%10.3s] [%-10.3s] [%.0s] [%.9s]", "hello", "hello", "hello", "hello", "hello");
    SAME("[%.*s] [%*s] [%-*s]", 2, "hello", 8, "hello", 8, "hello");
    SAME("[%.*s]", 3, raw);
    SAME("[%c] [%3c] [%-3c] %%", 'x', 'y', 'z');
    SAME("plain");
    SAME("%d%%", 50);
    SAME("%p", (void *)0x80200000);
    SAME("%s %d %s %lx %c", "many", 1, "of", 2ul, '!');
}

static void a_nul_character_counts(void **state)
{
    char buf[8];

    (void)state;
    assert_int_equal(k_snprintf(buf, sizeof buf, "a%cb", 0), 3);
    assert_memory_equal(buf, "a\0b", 4);
}

/* What C leaves undefined does no harm here. */
static void odd_formats_are_shown(void **state)
{
    char buf[32];
    int (*volatile format)(char *, size_t, const char *, ...) = k_snprintf; /* unknown to the compiler's checks */

    (void)state;
    assert_int_equal(format(buf, sizeof buf, "%y"), 2);
    assert_string_equal(buf, "%y");
    assert_int_equal(format(buf, sizeof buf, "end%"), 3);
    assert_string_equal(buf, "end");
    assert_int_equal(format(buf, sizeof buf, "end%-08l"), 3);
    format(buf, sizeof buf, "%s", (char *)NULL);
    assert_string_equal(buf, "(null)");
    format(buf, sizeof buf, "%p", (void *)NULL);
    assert_string_equal(buf, "0x0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),
        cmocka_unit_test(strings_and_characters),
        cmocka_unit_test(a_nul_character_counts),
        cmocka_unit_test(odd_formats_are_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
