/* lib/bootargs.c: words, quotes, numbers, and what is said about words that are not understood. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define strlcpy test_strlcpy
#include "lib/bootargs.c"

static unsigned warnings;
static char warning[4096]; /* the last one */

void printk(enum log_level level, const char *fmt, ...)
{
    va_list ap;

    assert_int_equal(level, LOG_WARN);
    va_start(ap, fmt);
    vsnprintf(warning, sizeof warning, fmt, ap);
    va_end(ap);
    warnings++;
}

size_t strlcpy(char *dst, const char *src, size_t size)
{
    snprintf(dst, size, "%s", src);
    return strlen(src);
}

static void parse(const char *line)
{
    warnings = 0;
    bootargs_parse(line);
}

static void words_with_and_without_values(void **state)
{
    (void)state;
    parse("  console=framed\tpanic_test   loglevel=\n");
    assert_int_equal(warnings, 0);
    assert_string_equal(bootarg("console"), "framed");
    assert_string_equal(bootarg("panic_test"), "");
    assert_string_equal(bootarg("loglevel"), "");
    assert_null(bootarg("maxproc"));
    parse("");
    assert_null(bootarg("console"));
}

static void the_last_one_counts(void **state)
{
    (void)state;
    parse("console=a console=b");
    assert_string_equal(bootarg("console"), "b");
}

static void quotes_keep_spaces(void **state)
{
    (void)state;
    parse("console=\"a b = c\" \"vm.plant=x y\" loglevel=\"\" maxproc=\"no end");
    assert_int_equal(warnings, 0);
    assert_string_equal(bootarg("console"), "a b = c");
    assert_string_equal(bootarg("vm.plant"), "x y");
    assert_string_equal(bootarg("loglevel"), "");
    assert_string_equal(bootarg("maxproc"), "no end");
}

static void every_name_has_a_description(void **state)
{
    static const char *const names[] = {"console",    "init",       "loglevel", "cowslip.trace", "maxproc",
                                        "norandmaps", "panic_test", "vm.fork",  "vm.overcommit", "vm.plant",
                                        "virtio_mmio.device", "fault_test", "vm.check"};

    (void)state;
    assert_int_equal(ARRAY_SIZE(known), ARRAY_SIZE(names));
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        assert_true(is_known(names[i]) && strlen(known[i].what) > 10);
}

static void an_unknown_word_gives_one_warning(void **state)
{
    (void)state;
    parse("root=/dev/vda console=framed");
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(warning, "'root'"));
    assert_null(bootarg("root"));
    assert_string_equal(bootarg("console"), "framed");
    parse("=x");
    assert_int_equal(warnings, 1);
}

static void a_long_line_is_cut(void **state)
{
    static char line[3 * sizeof text];

    (void)state;
    memset(line, ' ', sizeof line - 1);
    memcpy(line, "maxproc=7", 9);
    memcpy(line + sizeof text - 4, "loglevel=3", 10);
    parse(line);
    assert_int_equal(warnings, 2); /* cut, and "log" is no word that is known */
    assert_string_equal(bootarg("maxproc"), "7");
    assert_null(bootarg("loglevel"));
}

static void too_many_words(void **state)
{
    char line[sizeof text] = "";

    (void)state;
    for (unsigned i = 0; i < WORDS_MAX + 3; i++)
        strcat(line, "maxproc=5 ");
    parse(line);
    assert_int_equal(warnings, 3);
    assert_string_equal(bootarg("maxproc"), "5");
}

static u64 number(const char *value, u64 min, u64 max)
{
    char line[128];

    snprintf(line, sizeof line, "maxproc=%s", value);
    parse(line);
    return bootarg_u64("maxproc", 77, min, max);
}

static void numbers(void **state)
{
    static const struct {
        const char *text;
        u64 value;
    } good[] = {{"0", 0}, {"42", 42}, {"007", 7}, {"4K", 4096}, {"3M", 3ul << 20}, {"2G", 2ul << 30},
                {"18446744073709551615", UINT64_MAX}, {"17179869183G", 17179869183ul << 30}};
    static const char *const bad[] = {"", "K", "x", "-1", "+1", "1k", "1T", "1KK", "0x10", "1.5", "\" 1\"",
                                      "18446744073709551616", "17179869184G", "99999999999999999999999999999"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(number(good[i].text, 0, UINT64_MAX), good[i].value);
        assert_int_equal(warnings, 0);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(number(bad[i], 0, UINT64_MAX), 77);
        assert_int_equal(warnings, 1);
        assert_non_null(strstr(warning, "maxproc"));
    }
}

static void numbers_have_bounds(void **state)
{
    (void)state;
    assert_int_equal(number("16", 16, 32), 16);
    assert_int_equal(number("32", 16, 32), 32);
    assert_int_equal(number("15", 16, 32), 77);
    assert_int_equal(warnings, 1);
    assert_int_equal(number("33", 16, 32), 77);
    parse("");
    assert_int_equal(bootarg_u64("maxproc", 5, 16, 32), 5);
    assert_int_equal(warnings, 0);
}

/* Any bytes: nothing is read or written beside the text (the sanitizer watches), and values end inside it. */
static void noise_does_no_harm(void **state)
{
    static const char alphabet[] = "  \"\"==\tconsole loglevel=K9\x01\xff";
    char line[256];

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        size_t n = (size_t)random() % sizeof line;

        for (size_t i = 0; i < n; i++)
            line[i] = alphabet[(size_t)random() % (sizeof alphabet - 1)];
        line[n ? n - 1 : 0] = 0;
        parse(line);
        for (unsigned i = 0; i < word_count; i++)
            assert_true(words[i].value + strlen(words[i].value) < text + sizeof text);
        bootarg_u64("loglevel", 0, 0, 9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_with_and_without_values),
        cmocka_unit_test(the_last_one_counts),
        cmocka_unit_test(quotes_keep_spaces),
        cmocka_unit_test(every_name_has_a_description),
        cmocka_unit_test(an_unknown_word_gives_one_warning),
        cmocka_unit_test(a_long_line_is_cut),
        cmocka_unit_test(too_many_words),
        cmocka_unit_test(numbers),
        cmocka_unit_test(numbers_have_bounds),
        cmocka_unit_test(noise_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
