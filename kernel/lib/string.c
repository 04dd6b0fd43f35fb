/* The part of <string.h> that the kernel uses. Words where alignment allows; a page copy is about 1,100 instructions. */
#include "lib/string.h"

/* Else the compiler would turn the loops below into calls of the functions they are. */
#define NO_IDIOMS __attribute__((optimize("no-tree-loop-distribute-patterns")))

typedef u64 __attribute__((may_alias)) word;

NO_IDIOMS void *memset(void *dst, int c, size_t n)
{
    u8 *d = dst;
    u64 fill = (u8)c * 0x0101010101010101ul;

    for (; n > 0 && (u64)d % 8; n--)
        *d++ = (u8)c;
    for (; n >= 64; n -= 64, d += 64) {
        word *w = (word *)d;
        w[0] = fill, w[1] = fill, w[2] = fill, w[3] = fill;
        w[4] = fill, w[5] = fill, w[6] = fill, w[7] = fill;
    }
    for (; n >= 8; n -= 8, d += 8)
        *(word *)d = fill;
    while (n-- > 0)
        *d++ = (u8)c;
    return dst;
}

NO_IDIOMS void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    u8 *d = dst;
    const u8 *s = src;

    if (((u64)d ^ (u64)s) % 8 == 0) {
        for (; n > 0 && (u64)d % 8; n--)
            *d++ = *s++;
        for (; n >= 64; n -= 64, d += 64, s += 64) {
            word *a = (word *)d;
            const word *b = (const word *)s;
            u64 w0 = b[0], w1 = b[1], w2 = b[2], w3 = b[3], w4 = b[4], w5 = b[5], w6 = b[6], w7 = b[7];
            a[0] = w0, a[1] = w1, a[2] = w2, a[3] = w3, a[4] = w4, a[5] = w5, a[6] = w6, a[7] = w7;
        }
        for (; n >= 8; n -= 8, d += 8, s += 8)
            *(word *)d = *(const word *)s;
    }
    while (n-- > 0)
        *d++ = *s++;
    return dst;
}

NO_IDIOMS void *memmove(void *dst, const void *src, size_t n)
{
    u8 *d = dst;
    const u8 *s = src;

    if (d <= s || d >= s + n) {
        if (d + n <= s || d >= s + n)
            return memcpy(dst, src, n);
        while (n-- > 0)
            *d++ = *s++;
        return dst;
    }
    while (n-- > 0)
        d[n] = s[n];
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const u8 *x = a, *y = b;

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
