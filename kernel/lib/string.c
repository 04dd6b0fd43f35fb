/*
 * The part of <string.h> that the kernel uses. Copies go by words: 4 KiB in
 * about 1,100 instructions where source and destination are aligned alike.
 *
 * No access is misaligned, and no word is read that lies wholly outside the
 * source, so nothing here can fault where bytes would not have. Both machines
 * are little-endian, which copy_shifted relies on.
 */
#include "lib/string.h"

/* Else the compiler would turn the loops below into calls of the functions they are. */
#if defined(__clang__)
#define NO_IDIOMS __attribute__((no_builtin))
#else
#define NO_IDIOMS __attribute__((optimize("no-tree-loop-distribute-patterns")))
#endif
#define WORD sizeof(u64)
#define BLOCK (8 * WORD)
#define SHORT (2 * WORD) /* from here on a word at least is left when the destination has been aligned */

typedef u64 __attribute__((may_alias)) word;

static inline bool aligned_alike(const void *a, const void *b)
{
    return ((uintptr_t)a ^ (uintptr_t)b) % WORD == 0;
}

NO_IDIOMS void *memset(void *dst, int c, size_t n)
{
    u8 *d = dst;
    u64 fill = (u8)c * 0x0101010101010101ul;

    for (; n > 0 && (uintptr_t)d % WORD; n--)
        *d++ = (u8)c;
    for (; n >= BLOCK; n -= BLOCK, d += BLOCK) {
        word *w = (word *)d;
        w[0] = fill, w[1] = fill, w[2] = fill, w[3] = fill;
        w[4] = fill, w[5] = fill, w[6] = fill, w[7] = fill;
    }
    for (; n >= WORD; n -= WORD, d += WORD)
        *(word *)d = fill;
    while (n-- > 0)
        *d++ = (u8)c;
    return dst;
}

/*
 * All loads before all stores, which memmove relies on, and before the next
 * block's loads, for which there would not be registers.
 */
static inline __attribute__((always_inline)) void copy_block(u8 *d, const u8 *s)
{
    word *a = (word *)d;
    const word *b = (const word *)s;
    u64 w0 = b[0], w1 = b[1], w2 = b[2], w3 = b[3], w4 = b[4], w5 = b[5], w6 = b[6], w7 = b[7];

    a[0] = w0, a[1] = w1, a[2] = w2, a[3] = w3, a[4] = w4, a[5] = w5, a[6] = w6, a[7] = w7;
    __asm__ volatile("" ::: "memory");
}

/* Whole words from s to d, both aligned; returns the bytes done. */
static inline __attribute__((always_inline)) size_t copy_aligned(u8 *d, const u8 *s, size_t n)
{
    size_t left = n;

    for (; left >= 4 * BLOCK; left -= 4 * BLOCK, d += 4 * BLOCK, s += 4 * BLOCK) {
        copy_block(d, s);
        copy_block(d + BLOCK, s + BLOCK);
        copy_block(d + 2 * BLOCK, s + 2 * BLOCK);
        copy_block(d + 3 * BLOCK, s + 3 * BLOCK);
    }
    for (; left >= WORD; left -= WORD, d += WORD, s += WORD)
        *(word *)d = *(const word *)s;
    return n - left;
}

/*
 * Whole words to an aligned d from an s that is not, n >= WORD: each is put
 * together from two aligned ones, both of which hold bytes that are wanted.
 * (The address sanitizer would object to the bytes beside them.)
 */
__attribute__((noinline, no_sanitize("address"))) static size_t copy_shifted(u8 *d, const u8 *s, size_t n)
{
    unsigned shift = (uintptr_t)s % WORD * 8;
    const word *w = (const word *)(s - (uintptr_t)s % WORD);
    size_t left = n;
    u64 low;

    for (low = *w++; left >= WORD; left -= WORD, d += WORD) {
        u64 high = *w++;
        *(word *)d = low >> shift | high << (64 - shift);
        low = high;
    }
    return n - left;
}

/* Both copies upwards are right also if the regions overlap and d lies below s: nothing is read that was written. */
NO_IDIOMS static inline __attribute__((always_inline)) void copy_short(u8 *d, const u8 *s, size_t n)
{
    if (((uintptr_t)d | (uintptr_t)s) % WORD == 0)
        for (; n >= WORD; n -= WORD, d += WORD, s += WORD)
            *(word *)d = *(const word *)s;
    while (n-- > 0)
        *d++ = *s++;
}

/* n >= SHORT. Apart, so that short copies save no registers. */
NO_IDIOMS __attribute__((noinline)) static void *copy_long(void *dst, const void *src, size_t n)
{
    u8 *d = dst;
    const u8 *s = src;
    size_t done;

    for (; (uintptr_t)d % WORD; n--)
        *d++ = *s++;
    done = aligned_alike(d, s) ? copy_aligned(d, s, n) : copy_shifted(d, s, n);
    for (; done < n; done++)
        d[done] = s[done];
    return dst;
}

NO_IDIOMS static void copy_backward(u8 *d, const u8 *s, size_t n)
{
    if (aligned_alike(d, s)) {
        for (; n > 0 && (uintptr_t)(d + n) % WORD; n--)
            d[n - 1] = s[n - 1];
        for (; n >= WORD; n -= WORD)
            *(word *)(d + n - WORD) = *(const word *)(s + n - WORD);
    }
    for (; n > 0; n--)
        d[n - 1] = s[n - 1];
}

NO_IDIOMS void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    if (n >= SHORT)
        return copy_long(dst, src, n);
    copy_short(dst, src, n);
    return dst;
}

NO_IDIOMS void *memmove(void *dst, const void *src, size_t n)
{
    if ((uintptr_t)dst - (uintptr_t)src < n) /* it begins inside the source */
        copy_backward(dst, src, n);
    else if (n >= SHORT)
        copy_long(dst, src, n);
    else
        copy_short(dst, src, n);
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const u8 *x = a, *y = b;

    if (aligned_alike(a, b)) {
        for (; n > 0 && (uintptr_t)x % WORD && *x == *y; n--)
            x++, y++;
        while (n >= WORD && (uintptr_t)x % WORD == 0 && *(const word *)x == *(const word *)y)
            x += WORD, y += WORD, n -= WORD;
    }
    for (; n > 0; n--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

void *memchr(const void *s, int c, size_t n)
{
    for (const u8 *p = s; n > 0; n--, p++)
        if (*p == (u8)c)
            return (void *)(uintptr_t)p;
    return NULL;
}

NO_IDIOMS size_t strlen(const char *s)
{
    size_t n = 0;

    while (s[n])
        n++;
    return n;
}

size_t strnlen(const char *s, size_t max)
{
    size_t n = 0;

    while (n < max && s[n])
        n++;
    return n;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return (u8)*a - (u8)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n > 0; n--, a++, b++) {
        if (*a != *b)
            return (u8)*a - (u8)*b;
        if (!*a)
            return 0;
    }
    return 0;
}

char *strchr(const char *s, int c)
{
    for (;; s++) {
        if (*s == (char)c)
            return (char *)(uintptr_t)s;
        if (!*s)
            return NULL;
    }
}

char *strrchr(const char *s, int c)
{
    const char *found = NULL;

    for (;; s++) {
        if (*s == (char)c)
            found = s;
        if (!*s)
            return (char *)(uintptr_t)found;
    }
}

size_t strlcpy(char *dst, const char *src, size_t size)
{
    size_t n = strlen(src);

    if (size > 0) {
        size_t part = n < size - 1 ? n : size - 1;
        memcpy(dst, src, part);
        dst[part] = 0;
    }
    return n;
}
