/* lib/random.c: RFC 8439's test vector, and what the generator promises around it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "lib/random.c"

struct platform platform;
static u64 now;
static unsigned held;

void spin_lock(struct spinlock *l)
{
    (void)l;
    assert_int_equal(held++, 0);
}

void spin_unlock(struct spinlock *l)
{
    (void)l;
    assert_int_equal(--held, 0);
}

u64 arch_time_ns(void)
{
    return now += 100;
}

u64 arch_wallclock_ns(void)
{
    return 0;
}

/* RFC 8439, section 2.3.2. */
static void block_function(void **state)
{
    static const u32 nonce[3] = {0x09000000, 0x4a000000, 0};
    static const u32 want[16] = {0xe4e7f110, 0x15593bd1, 0x1fdd0f50, 0xc47120a3, 0xc7f4d1c7, 0x0368c033,
                                 0x9aaa2204, 0x4e6cd4c3, 0x466482d2, 0x09aa9f07, 0x05d7c214, 0xa2028bd9,
                                 0xd19c12b5, 0xb94e16de, 0xe883d0cb, 0x4e3c50a2};
    u32 k[8], out[16];

    (void)state;
    for (unsigned i = 0; i < sizeof k; i++)
        ((u8 *)k)[i] = (u8)i;
    chacha_block(k, 1, nonce, out);
    assert_memory_equal(out, want, sizeof want);
}

static void start(const char *seed)
{
    memset(key, 0, sizeof key);
    random_seed(seed, strlen(seed));
}

static void the_seed_decides(void **state)
{
    u64 a, b;

    (void)state;
    start("one");
    a = random_u64();
    start("one");
    assert_int_equal(random_u64(), a);
    start("two");
    assert_int_not_equal(random_u64(), a);
    start("one");
    random_seed("more", 4);
    b = random_u64();
    assert_int_not_equal(a, b);
    start("a seed that is longer than the key of thirty-two bytes, so that it wraps");
    a = random_u64();
    start("a seed that is longer than the key of thirty-two bytes, so that it wrapt");
    assert_int_not_equal(random_u64(), a);
    random_seed(NULL, 0);
}

static void every_request_replaces_the_key(void **state)
{
    u32 before[8], block[16], first[16];
    u8 out[256];

    (void)state;
    start("erasure");
    memcpy(before, key, sizeof key);
    chacha_block(before, 0, no_nonce, block);
    chacha_block(block + 8, 1, no_nonce, first);
    random_bytes(out, sizeof out);
    assert_memory_equal(key, block, sizeof key);      /* the generator goes on with one half, */
    assert_memory_equal(out, first, sizeof first);    /* the request is served with the other */
    assert_memory_not_equal(before, key, sizeof key);
    for (size_t i = 0; i + sizeof key <= sizeof out; i++) { /* what is given out is neither key */
        assert_memory_not_equal(out + i, key, sizeof key);
        assert_memory_not_equal(out + i, before, sizeof key);
    }
}

static void fills_exactly_and_without_repeating(void **state)
{
    (void)state;
    start("length");
    for (size_t n = 0; n < 200; n++) {
        u8 *p = malloc(n + 1);

        p[n] = 0x5a;
        random_bytes(p, n);
        assert_int_equal(p[n], 0x5a);
        if (n >= 128)
            assert_memory_not_equal(p, p + 64, 64);
        free(p);
    }
}

/* Crude, but it would see a generator that is stuck, or a bit that never changes. */
static void bits_are_balanced(void **state)
{
    unsigned ones[64] = {0};

    (void)state;
    start("balance");
    for (unsigned i = 0; i < 4096; i++) {
        u64 v = random_u64();

        for (unsigned b = 0; b < 64; b++)
            ones[b] += v >> b & 1;
    }
    for (unsigned b = 0; b < 64; b++)
        assert_in_range(ones[b], 2048 - 256, 2048 + 256); /* eight standard deviations */
}

static void boot_takes_the_firmwares_seed_and_wipes_it(void **state)
{
    static const u8 zeros[sizeof platform.rng_seed];
    u64 a, b;

    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        memset(key, 0, sizeof key);
        now = 0;
        memset(platform.rng_seed, 1 + (int)round, sizeof platform.rng_seed);
        platform.rng_seed_len = sizeof platform.rng_seed;
        random_init();
        *(round ? &b : &a) = random_u64();
        assert_memory_equal(platform.rng_seed, zeros, sizeof zeros);
        assert_int_equal(platform.rng_seed_len, 0);
    }
    assert_int_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(block_function),
        cmocka_unit_test(the_seed_decides),
        cmocka_unit_test(every_request_replaces_the_key),
        cmocka_unit_test(fills_exactly_and_without_repeating),
        cmocka_unit_test(bits_are_balanced),
        cmocka_unit_test(boot_takes_the_firmwares_seed_and_wipes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
