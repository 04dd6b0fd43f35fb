/*
 * The machine of the proof: a few pages, each an object of its own; two CPUs, each
 * with one translation, one remembered walk and a root register.
 *
 * An invariant that speaks of each translation by itself needs no second one: the
 * one that is modelled is any of those that a CPU may have. It is fetched anew,
 * or kept, whenever the kernel stores to a table (hardware()), and goes only in a
 * flush that covers it.
 *
 * The proof's is only how a frame's number, its descriptor and its bytes are found
 * from each other; page.h and pte.h do that by arithmetic, which codec.c looks at.
 */
#pragma once
#include "lib/types.h"
#include <machine/pte.h>
#ifdef PROOF_LEVELS
#undef PT_LEVELS
#define PT_LEVELS PROOF_LEVELS
#endif

struct page;
static struct page *page_at(unsigned frame);
#define pte_frame_32(e) ((u64)page_at((unsigned)(pte_paddr(e).pa >> PAGE_SHIFT) & 31))

#define page_of page_of_shipped
#define page_paddr page_paddr_shipped
#define page_data page_data_shipped
#include "vm/page.h"
#undef page_of
#undef page_paddr
#undef page_data
#define page_base ((u64)0)

#define lowest_bit lowest_bit_shipped
#include "lib/bits.h"
#undef lowest_bit
static inline unsigned lowest_bit(u64 v) /* of a group bitmap; codec.c proves the shipped one */
{
    for (unsigned i = 0; i < PT_ENTRIES - 1; i++)
        if (v >> i & 1)
            return i;
    return PT_ENTRIES - 1;
}

#define CHECK(cond, what) __CPROVER_assert(cond, what)
bool nondet_bool(void);
u8 nondet_u8(void);
u64 nondet_u64(void);

/* 0 .. n-1; few bits, so that what is computed from it has few */
static inline u8 below(u8 n)
{
    u8 v = nondet_u8() & (n > 8 ? 15 : n > 4 ? 7 : n > 2 ? 3 : 1);

    __CPROVER_assume(v < n);
    return v;
}

void panic(const char *fmt, ...)
{
    CHECK(false, "the kernel panics (ASSERT)");
    __CPROVER_assume(false);
}

/* ---- frames: what each is in the first state ---- */

#define ROOT0 1
#define ROOT1 2
#define MID 3
#define LEAF (MID + MIDS)
#define DATA (LEAF + LEAVES)
#define ZERO (DATA + DATAS)
#define FRESH (ZERO + 1)
#define FRESH_DATA (FRESH + FRESHES)
#define ROOT2 (FRESH_DATA + 1)
#define FRAMES (ROOT2 + 1)

#define FRAMES_12(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#if FRAMES == 13
#define EACH_FRAME(X) FRAMES_12(X) X(12)
#elif FRAMES == 14
#define EACH_FRAME(X) FRAMES_12(X) X(12) X(13)
#elif FRAMES == 15
#define EACH_FRAME(X) FRAMES_12(X) X(12) X(13) X(14)
#elif FRAMES == 16
#define EACH_FRAME(X) FRAMES_12(X) X(12) X(13) X(14) X(15)
#elif FRAMES == 17
#define EACH_FRAME(X) FRAMES_12(X) X(12) X(13) X(14) X(15) X(16)
#elif FRAMES == 18
#define EACH_FRAME(X) FRAMES_12(X) X(12) X(13) X(14) X(15) X(16) X(17)
#else
#error "another number of frames"
#endif
#define X(k) static struct page page_##k;
EACH_FRAME(X)
#undef X
static pte_t entries[FRAMES * PT_ENTRIES]; /* of tables */
static u8 content[FRAMES];                 /* of data pages, in place of their bytes */
struct page *page_zero;

static struct page *page_at(unsigned frame)
{
    CHECK(frame < FRAMES, "an entry points to memory"); /* 0: of an empty entry, not used */
#define X(k) frame == k ? &page_##k :
    return EACH_FRAME(X) NULL;
#undef X
}

static unsigned frame_of(const struct page *p)
{
#define X(k) p == &page_##k ? k :
    return EACH_FRAME(X) 0u;
#undef X
}

static pte_t *entries_of(unsigned frame)
{
    return entries + frame * PT_ENTRIES;
}

static inline paddr_t page_paddr(const struct page *p)
{
    return (paddr_t){(u64)frame_of(p) << PAGE_SHIFT};
}

static inline void *page_data(const struct page *p)
{
    return entries_of(frame_of(p));
}

static unsigned target(pte_t e)
{
    return (unsigned)(pte_paddr(e).pa >> PAGE_SHIFT) & 31;
}

/* The descriptors as they are now, for what is said about them. */
static struct now {
    u8 refs[FRAMES], kind[FRAMES], level[FRAMES], used[FRAMES], groups[FRAMES];
    bool sealed[FRAMES];
} now;

static void now_is(void)
{
#define X(k)                                          \
    now.refs[k] = page_##k.refs & 15;                  \
    now.kind[k] = page_##k.kind;                      \
    now.level[k] = page_##k.level;                    \
    now.used[k] = page_##k.used & 3;                  \
    now.groups[k] = page_##k.groups & 3;              \
    now.sealed[k] = page_##k.flags & PAGE_F_SEALED;
    EACH_FRAME(X)
#undef X
}

/* ---- hooks: each atomic store may be to a table ---- */

static void hardware(void);

/* By comparison, where C would divide an offset: a divider is the most costly thing there is in a formula. */
static unsigned entry_number(const u64 *p)
{
#define X(k) p == &entries[2 * k].bits ? 2 * k : p == &entries[2 * k + 1].bits ? 2 * k + 1 :
    return EACH_FRAME(X) 0u;
#undef X
}
_Static_assert(PT_ENTRIES == 2, "entry_number");

#define __atomic_store_n(p, v, o) (hardware(), (void)(entries[entry_number(p)].bits = (v)))
#define __atomic_load_n(p, o) (entries[entry_number(p)].bits)
