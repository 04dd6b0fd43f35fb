/*
 * A generator that forgets: every request runs ChaCha20 on the key, replaces
 * the key by the first half of the first block, and gives out what follows, so
 * that earlier output cannot be found from the present state.
 *
 * Lock: random_lock (RANK_RANDOM) protects the key.
 */
#include "lib/random.h"
#include "arch/arch.h"
#include "lib/lock.h"
#include "lib/string.h"

#define JITTER_ROUNDS 64

static struct spinlock random_lock = SPINLOCK_INIT("random", RANK_RANDOM);
static u32 key[8] GUARDED_BY(random_lock);

static u32 rotate(u32 v, unsigned n)
{
    return v << n | v >> (32 - n);
}

static inline __attribute__((always_inline)) void quarter(u32 *x, unsigned a, unsigned b, unsigned c, unsigned d)
{
    x[a] += x[b], x[d] = rotate(x[d] ^ x[a], 16);
    x[c] += x[d], x[b] = rotate(x[b] ^ x[c], 12);
    x[a] += x[b], x[d] = rotate(x[d] ^ x[a], 8);
    x[c] += x[d], x[b] = rotate(x[b] ^ x[c], 7);
}

/* RFC 8439, 2.3: a block of 64 bytes. */
static void chacha_block(const u32 k[8], u32 counter, const u32 nonce[3], u32 out[16])
{
    u32 in[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, k[0], k[1], k[2],     k[3],
                  k[4],       k[5],       k[6],       k[7],       counter, nonce[0], nonce[1], nonce[2]};
    u32 x[16]; /* in registers: no index that varies is left */

#pragma GCC unroll 16
    for (unsigned i = 0; i < 16; i++)
        x[i] = in[i];
    for (unsigned i = 0; i < 10; i++) {
        quarter(x, 0, 4, 8, 12);
        quarter(x, 1, 5, 9, 13);
        quarter(x, 2, 6, 10, 14);
        quarter(x, 3, 7, 11, 15);
        quarter(x, 0, 5, 10, 15);
        quarter(x, 1, 6, 11, 12);
        quarter(x, 2, 7, 8, 13);
        quarter(x, 3, 4, 9, 14);
    }
#pragma GCC unroll 16
    for (unsigned i = 0; i < 16; i++)
        out[i] = x[i] + in[i];
}

static const u32 no_nonce[3];

/* The memory is written even if nobody reads it any more. */
static void wipe(void *p, size_t n)
{
    memset(p, 0, n);
    __asm__ volatile("" ::"r"(p) : "memory");
}

void random_seed(const void *seed, size_t n)
{
    const u8 *s = seed;
    u32 block[16];

    spin_lock(&random_lock);
    for (size_t i = 0; i < n; i++) {
        ((u8 *)key)[i % sizeof key] ^= s[i];
        if (i % sizeof key == sizeof key - 1 || i + 1 == n) {
            chacha_block(key, 0, no_nonce, block);
            memcpy(key, block, sizeof key);
        }
    }
    spin_unlock(&random_lock);
    wipe(block, sizeof block);
}

void random_init(void)
{
    u64 times[JITTER_ROUNDS + 1];

    random_seed(platform.rng_seed, MIN((size_t)platform.rng_seed_len, sizeof platform.rng_seed));
    wipe(platform.rng_seed, sizeof platform.rng_seed);
    platform.rng_seed_len = 0;
    times[JITTER_ROUNDS] = arch_wallclock_ns();
    for (unsigned i = 0; i < JITTER_ROUNDS; i++) {
        times[i] = arch_time_ns();
        random_u64(); /* work whose duration varies */
    }
    random_seed(times, sizeof times);
    wipe(times, sizeof times);
}

void random_bytes(void *buf, size_t n)
{
    u32 mine[8], block[16];
    u8 *out = buf;

    spin_lock(&random_lock);
    chacha_block(key, 0, no_nonce, block);
    memcpy(key, block, sizeof key);
    memcpy(mine, block + 8, sizeof mine); /* this request's: its bytes, or the key to more */
    spin_unlock(&random_lock);
    if (n <= sizeof mine) {
        memcpy(out, mine, n);
        n = 0;
    }
    for (u32 counter = 1; n > 0; counter++) {
        size_t part = MIN(n, sizeof block);

        chacha_block(mine, counter, no_nonce, block);
        memcpy(out, block, part);
        out += part;
        n -= part;
    }
    wipe(block, sizeof block);
    wipe(mine, sizeof mine);
}

u64 random_u64(void)
{
    u64 v;

    random_bytes(&v, sizeof v);
    return v;
}
