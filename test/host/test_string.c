/*
 * lib/string.c against the C library's: all alignments, lengths around the
 * unrolled blocks, overlaps, and memory that ends where the next page cannot be
 * touched.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define memset k_memset
#define memcpy k_memcpy
#define memmove k_memmove
#define memcmp k_memcmp
#define memchr k_memchr
#define strlen k_strlen
#define strnlen k_strnlen
#define strcmp k_strcmp
#define strncmp k_strncmp
#define strchr k_strchr
#define strrchr k_strrchr
#define strlcpy k_strlcpy
#include "lib/string.c"
#undef memset
#undef memcpy
#undef memmove
#undef memcmp
#undef memchr
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr
#undef strrchr
#undef strlcpy

#define ROOM 8192
static u8 from[ROOM], to[ROOM], expect[ROOM];
static const size_t lengths[] = {0,  1,  7,  8,  9,   15,  16,  17,  23,  24,  31,
                                 63, 64, 65, 127, 255, 256, 257, 263, 300, 511, 4096};

#define FOR_EACH_LENGTH(n) for (const size_t *n = lengths; n < lengths + ARRAY_SIZE(lengths); n++)

static int sign(int v)
{
    return (v > 0) - (v < 0);
}

static void fill(u8 *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (u8)random();
}

static void copies_what_it_should_and_no_more(void **state)
{
    (void)state;
    fill(from, ROOM);
    for (unsigned d = 0; d < 8; d++)
        for (unsigned s = 0; s < 8; s++)
            FOR_EACH_LENGTH(n) {
                fill(to, ROOM);
                memcpy(expect, to, ROOM);
                memcpy(expect + 16 + d, from + 16 + s, *n);
                assert_ptr_equal(k_memcpy(to + 16 + d, from + 16 + s, *n), to + 16 + d);
                assert_memory_equal(to, expect, ROOM);
            }
}

static void moves_overlapping_memory(void **state)
{
    (void)state;
    for (int distance = -72; distance <= 72; distance++)
        for (unsigned at = 0; at < 8; at++)
            FOR_EACH_LENGTH(n) {
                u8 *d = to + 100 + at, *s = d + distance;

                fill(to, ROOM);
                memcpy(expect, to, ROOM);
                memmove(expect + (d - to), expect + (s - to), *n);
                assert_ptr_equal(k_memmove(d, s, *n), d);
                assert_memory_equal(to, expect, ROOM);
            }
}

static void fills(void **state)
{
    (void)state;
    for (unsigned at = 0; at < 8; at++)
        FOR_EACH_LENGTH(n) {
            fill(to, ROOM);
            memcpy(expect, to, ROOM);
            memset(expect + 16 + at, 0x1a5, *n);
            assert_ptr_equal(k_memset(to + 16 + at, 0x1a5, *n), to + 16 + at);
            assert_memory_equal(to, expect, ROOM);
        }
}

static void compares_bytes_as_unsigned(void **state)
{
    (void)state;
    fill(from, 700);
    for (unsigned a = 0; a < 8; a++)
        for (unsigned b = 0; b < 8; b++)
            for (size_t n = 0; n < 300; n += 1 + n / 9) {
                memcpy(to + b, from + a, n);
                assert_int_equal(k_memcmp(from + a, to + b, n), 0);
                if (n == 0)
                    continue;
                to[b + (size_t)random() % n] ^= 0x80;
                assert_int_equal(sign(k_memcmp(from + a, to + b, n)), sign(memcmp(from + a, to + b, n)));
            }
}

/* Source and destination end at, or begin after, a page that nobody may touch. */
static void touches_nothing_beside(void **state)
{
    u8 *map = mmap(NULL, 5 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    u8 *first = map + PAGE_SIZE, *second = map + 3 * PAGE_SIZE;

    (void)state;
    assert_ptr_not_equal(map, MAP_FAILED);
    for (unsigned i = 0; i < 5; i += 2)
        assert_int_equal(mprotect(map + i * PAGE_SIZE, PAGE_SIZE, PROT_NONE), 0);
    fill(first, PAGE_SIZE);
    for (size_t n = 0; n < 300; n++)
        for (unsigned skew = 0; skew < 9; skew++) {
            u8 *ends[] = {first, first + PAGE_SIZE - n}, *others[] = {second + skew, second + PAGE_SIZE - n - skew};

            for (unsigned i = 0; i < 4; i++) {
                u8 *a = ends[i / 2], *b = others[i % 2];

                k_memcpy(b, a, n);
                assert_int_equal(k_memcmp(a, b, n), 0);
                k_memmove(a, b, n);
                assert_memory_equal(a, b, n);
            }
            k_memset(ends[1], (int)skew, n);
        }
    memset(first, 'x', PAGE_SIZE - 1);
    first[PAGE_SIZE - 1] = 0;
    assert_int_equal(k_strlen((char *)first + 5), PAGE_SIZE - 6);
    assert_int_equal(k_strnlen((char *)first + PAGE_SIZE - 3, 2), 2);
    assert_int_equal(k_strncmp((char *)first + PAGE_SIZE - 3, "xx", 2), 0);
    assert_null(k_memchr(first, 'y', PAGE_SIZE));
    munmap(map, 5 * PAGE_SIZE);
}

static void strings_are_like_c_s(void **state)
{
    static const char *const words[] = {"", "a", "b", "ab", "abc", "abd", "\xff", "a\xff", "abcabc", "ABC"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        const char *a = words[i];

        assert_int_equal(k_strlen(a), strlen(a));
        for (int c = 0; c < 256; c++) {
            assert_ptr_equal(k_strchr(a, c), strchr(a, c));
            assert_ptr_equal(k_strrchr(a, c), strrchr(a, c));
            assert_ptr_equal(k_memchr(a, c, strlen(a)), memchr(a, c, strlen(a)));
        }
        for (unsigned j = 0; j < ARRAY_SIZE(words); j++) {
            assert_int_equal(sign(k_strcmp(a, words[j])), sign(strcmp(a, words[j])));
            for (size_t n = 0; n < 8; n++)
                assert_int_equal(sign(k_strncmp(a, words[j], n)), sign(strncmp(a, words[j], n)));
        }
        for (size_t n = 0; n < 8; n++)
            assert_int_equal(k_strnlen(a, n), strnlen(a, n));
    }
}

static void strlcpy_cuts_and_ends(void **state)
{
    char buf[8];

    (void)state;
    for (size_t size = 0; size <= sizeof buf; size++) {
        memset(buf, 'z', sizeof buf);
        assert_int_equal(k_strlcpy(buf, "hello", size), 5);
        if (size > 0) {
            assert_int_equal(strlen(buf), MIN(size - 1, 5ul));
            assert_memory_equal(buf, "hello", strlen(buf));
        }
        for (size_t i = MIN(size, 6ul); i < sizeof buf; i++)
            assert_int_equal(buf[i], 'z');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_what_it_should_and_no_more),
        cmocka_unit_test(moves_overlapping_memory),
        cmocka_unit_test(fills),
        cmocka_unit_test(compares_bytes_as_unsigned),
        cmocka_unit_test(touches_nothing_beside),
        cmocka_unit_test(strings_are_like_c_s),
        cmocka_unit_test(strlcpy_cuts_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
