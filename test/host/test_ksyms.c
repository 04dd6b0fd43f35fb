/* lib/ksyms.c on a table made here; tools/ksyms.py on what nm says of a kernel, broken lines included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/ksyms.c"

#define BASE 0xffffffff80200000ul

/* Weak too, as they have been declared so; the compiler may not look into them. */
const u64 ksyms_base = BASE;
const u32 ksyms_count = 4;
const u32 ksyms_offset[] = {0, 0x10, 0x40, 0x100};
const u32 ksyms_name_at[] = {0, 7, 12, 19};
const char ksyms_names[] = "_start\0main\0finish\0";

static void finds(u64 at, const char *want, u64 want_offset)
{
    const char *name = NULL;
    u64 offset = 0;

    assert_true(ksyms_lookup(BASE + at, &name, &offset));
    assert_string_equal(name, want);
    assert_int_equal(offset, want_offset);
}

static void finds_the_function_around_an_address(void **state)
{
    (void)state;
    finds(0, "_start", 0);
    finds(0xf, "_start", 0xf);
    finds(0x10, "main", 0);
    finds(0x3f, "main", 0x2f);
    finds(0x40, "finish", 0);
    finds(0xff, "finish", 0xbf);
}

static void nothing_outside_the_code(void **state)
{
    static const u64 outside[] = {0, 1, BASE - 1, BASE + 0x100, BASE + 0x101, BASE + (1ul << 31), UINT64_MAX};
    const char *name;
    u64 offset;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(outside); i++)
        assert_false(ksyms_lookup(outside[i], &name, &offset));
}

/* `make` runs the tests in the top directory. */
static void the_tool_writes_that_table(void **state)
{
    static const char *const lines[] = {
        "ksyms_base: .quad 0xffffffff80200000\nksyms_count: .long 4\n",
        "ksyms_offset:\n.long 0\n.long 16\n.long 64\n.long 256\nksyms_name_at:\n.long 0\n.long 7\n.long 12\n.long 19\n",
        "ksyms_names:\n.asciz \"_start\"\n.asciz \"main\"\n.asciz \"finish\"\n.asciz \"\"\n"};
    char text[4096];
    size_t n;
    FILE *f;

    (void)state;
    if (access("tools/ksyms.py", R_OK) != 0 || system("python3 -c '' 2>/dev/null") != 0)
        skip();
    f = popen("printf '%s\\n' '                 w ksyms_count' '                 U missing' "
              "'ffffffff80200000 T _start' "
              "'ffffffff80200000 t $x' 'ffffffff80200010 t local' 'ffffffff80200010 T main' 'ffffffff80200010 W weak' "
              "'ffffffff80200040 t finish' 'ffffffff80200048 t .L1' 'ffffffff80200100 R _text_end' "
              "'ffffffff80200180 t after' 'ffffffff80201000 D data' '' | python3 tools/ksyms.py", "r");
    assert_non_null(f);
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = 0;
    assert_int_equal(pclose(f), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(lines); i++)
        assert_non_null(strstr(text, lines[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_function_around_an_address),
        cmocka_unit_test(nothing_outside_the_code),
        cmocka_unit_test(the_tool_writes_that_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
