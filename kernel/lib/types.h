/*
 * Basic types.
 *
 * paddr_t and pte_t are structures so that a physical address, a virtual
 * address and a page-table entry cannot be mixed by accident. A vaddr_t is a
 * plain number: user addresses are never C pointers in the kernel, so nobody
 * can dereference one without the user-copy layer (vm/uaccess.h).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
#ifndef COWSLIP_HOST
typedef s64 ssize_t;
#else
#include <sys/types.h>
#endif

typedef struct {
    u64 pa;
} paddr_t; /* a physical address, bytes */
typedef u64 vaddr_t; /* a virtual address, bytes; user or kernel */

#define PAGE_SHIFT 12
#define PAGE_SIZE (1ul << PAGE_SHIFT)
#define PAGE_MASK (PAGE_SIZE - 1)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
/* Each operand is evaluated once; the names are unique so that they nest. */
#define UNIQUE_2(name, n) name##n
#define UNIQUE(name, n) UNIQUE_2(name, n)
#define CHOOSE(a, op, b, x, y)  \
    ({                          \
        __typeof__(a) x = (a);  \
        __typeof__(b) y = (b);  \
        x op y ? x : y;         \
    })
#define MIN(a, b) CHOOSE(a, <, b, UNIQUE(_x, __COUNTER__), UNIQUE(_y, __COUNTER__))
#define MAX(a, b) CHOOSE(a, >, b, UNIQUE(_x, __COUNTER__), UNIQUE(_y, __COUNTER__))
#define ROUND_UP(x, to) (((x) + (to) - 1) & ~((__typeof__(x))(to) - 1)) /* `to` a power of two */
#define ROUND_DOWN(x, to) ((x) & ~((__typeof__(x))(to) - 1))

#define __must_check __attribute__((warn_unused_result))
#define __noreturn __attribute__((noreturn))
#define __printf_like(f, a) __attribute__((format(printf, f, a)))
#define __section(s) __attribute__((section(s)))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))
