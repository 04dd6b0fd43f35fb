/*
 * Planted failures of allocations, in debug builds of the kernel: /proc/PID/fail-nth
 * says which of a thread's allocations fail, /proc/allocations where all of them
 * are made, how often, and how many were made to fail.
 *
 * Every call of the page allocator and of kmem, other than those that the two make of
 * themselves, is a site: page.h and kmem.h put ALLOC_TRY around it. Nothing in release
 * builds; the host tests fail allocations by a count of their own (page.h).
 *
 * Exempt, and counted as such, is what has no system call or fault that could be told:
 *  - an interrupt, which came to a thread that has nothing to do with it;
 *  - boot, and the kernel's own threads;
 *  - the text of fail-nth itself.
 * What may use the pages kept for munmap (ALLOC_RESERVE) fails only where that is asked for.
 */
#pragma once
#include "lib/types.h"

#if defined(COWSLIP_DEBUG) && !defined(COWSLIP_HOST)
#define ALLOC_SITES
struct alloc_site {
    const char *file, *function, *what;
    u32 line;
    _Atomic u64 calls, exempt, failed;
};

/* A thread's plan: how many allocations from now on the one that fails is, 0 if there is none to come; and: */
#define ALLOC_FAIL_COUNT 0xfffffffful
#define ALLOC_FAIL_ALL (1ul << 32)     /* all that follow it fail, too */
#define ALLOC_FAIL_RESERVE (1ul << 33) /* those that may use the reserve are counted and fail as others do */

/* Whether the running thread's allocation here is to fail. Any context. */
bool alloc_fails(struct alloc_site *site, bool reserve) __must_check;
/* Between the two the running thread's allocations are exempt; they nest. */
void alloc_exempt_begin(void), alloc_exempt_end(void);
void alloc_plan_clear(void); /* the running thread's plan: a program with other rights is not to have it */
void alloc_site_for_each(void (*fn)(const struct alloc_site *site, void *arg), void *arg);

/* reserve must be a constant, or cost nothing to look at twice. */
#define ALLOC_TRY(reserve, name, ...)                                                             \
    ({                                                                                            \
        static struct alloc_site site_ = {__FILE__, __func__, #name, __LINE__, 0, 0, 0};          \
        static struct alloc_site *const place_ __section("alloc_sites") __attribute__((used)) = &site_; \
        alloc_fails(&site_, (reserve)) ? NULL : (name)(__VA_ARGS__);                              \
    })
#else
static inline void alloc_exempt_begin(void)
{
}

static inline void alloc_exempt_end(void)
{
}

static inline void alloc_plan_clear(void)
{
}
#endif
