/*
 * The machine of the proof: a few pages, each an object of its own with a number (its
 * frame), its descriptor, and its entries or its bytes. What kind of page a frame holds
 * shows in the upper bits of its number: what an entry cannot lead to drops out of the
 * formula while it is made.
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
static struct page *page_of_entry(pte_t e);
static bool entry_is_empty(pte_t e);
#define pte_frame_32(e) ((u64)page_of_entry(e))
#define pte_is_empty(e) entry_is_empty(e)

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

/* What a table and an object's page have at the same place is apart here: CBMC would follow neither through a union. */
#include "arch/arch.h"
#include "lib/list.h"
#include "lib/lock.h"
#define union struct
#define _Static_assert(...)
#define page_of page_of_shipped
#define page_paddr page_paddr_shipped
#define page_data page_data_shipped
#include "vm/page.h"
#undef page_of
#undef page_paddr
#undef page_data
#define page_base ((u64)0)
#undef union
#undef _Static_assert

#define CHECK(cond, what) __CPROVER_assert(cond, what)
bool nondet_bool(void);
u8 nondet_u8(void);

void panic(const char *fmt, ...)
{
    CHECK(false, "the kernel panics (ASSERT)");
    __CPROVER_assume(false);
}

/* ---- frames ---- */

#define ROOT(process) (1 + (process))
#define MID(i) (4 + (i))                     /* MID(0): process 0's, if it has one */
#define LEAF(place, i) (8 + 2 * (place) + (i)) /* place: its entry in the tables above; LEAF(place, 0): process 0's */
#define FRESH 16                             /* tables that may be allocated */
#define DATA 24
#define ZERO 27
#define FRESH_DATA 28

#if FRESHES == 0
#define EACH_FRESH(X)
#elif FRESHES == 1
#define EACH_FRESH(X) X(16)
#elif FRESHES == 2
#define EACH_FRESH(X) X(16) X(17)
#elif FRESHES == 3
#define EACH_FRESH(X) X(16) X(17) X(18)
#elif FRESHES == 4
#define EACH_FRESH(X) X(16) X(17) X(18) X(19)
#elif FRESHES == 6
#define EACH_FRESH(X) X(16) X(17) X(18) X(19) X(20) X(21)
#else
#error "another number of fresh tables"
#endif
#define EACH_ROOT(X) X(1) X(2) X(3)
#define EACH_MID(X) X(4) X(5)
#define EACH_LEAF(X) X(8) X(9) X(10) X(11)
#define EACH_DATA(X) X(24) X(25) X(26) X(27) X(28)
#define EACH_NODE_TABLE(X) EACH_MID(X) EACH_LEAF(X) EACH_FRESH(X)
#define EACH_TABLE(X) EACH_ROOT(X) EACH_NODE_TABLE(X)
#define EACH_FRAME(X) EACH_TABLE(X) EACH_DATA(X)

#define X(k) static struct page page_##k;
EACH_FRAME(X)
#undef X
#define X(k) static pte_t entries_##k[PT_ENTRIES];
EACH_TABLE(X)
#undef X
#define X(k) static u8 bytes_##k; /* of a page: two bits */
EACH_DATA(X)
#undef X
struct page *page_zero = &page_27;
_Static_assert(PT_ENTRIES == 2 && PT_LEVELS == 3, "the frames above");

static struct page *page_at(unsigned frame)
{
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

static inline paddr_t page_paddr(const struct page *p)
{
    return (paddr_t){(u64)frame_of(p) << PAGE_SHIFT};
}

static u8 hint;

static inline void *page_data(const struct page *p) /* of tables; memcpy and memset of tree.c do without it */
{
    hint = 0;
#define X(k) p == &page_##k ? entries_##k :
    return EACH_TABLE(X) NULL;
#undef X
}

/* ---- looking at all this by frames' numbers, without the kernel's functions ---- */

static unsigned target(pte_t e)
{
    return (unsigned)(pte_paddr(e).pa >> PAGE_SHIFT) & 31;
}

#define ENTRY(k) f == k ? (i ? entries_##k[1].bits : entries_##k[0].bits) :
static pte_t root_entry(unsigned f)
{
    unsigned i = 0;

    return (pte_t){EACH_ROOT(ENTRY) 0ul};
}

static pte_t mid_entry(unsigned f, unsigned i)
{
    return (pte_t){EACH_MID(ENTRY) EACH_FRESH(ENTRY) 0ul};
}

static pte_t leaf_entry(unsigned f, unsigned i)
{
    return (pte_t){EACH_LEAF(ENTRY) EACH_FRESH(ENTRY) 0ul};
}

#define OF(k, field) f == k ? page_##k.field :
#define X(k) OF(k, refs)
static u32 refs_of(unsigned f)
{
    return EACH_FRAME(X) 0u;
}
#undef X

#define X(k) OF(k, kind)
static u8 kind_of(unsigned f)
{
    return EACH_FRAME(X) (u8)PAGE_FREE;
}
#undef X

#define X(k) OF(k, level)
static u8 level_of(unsigned f)
{
    return EACH_NODE_TABLE(X) (u8)PT_LEVELS;
}
#undef X

#define X(k) OF(k, flags & PAGE_F_SEALED)
static bool sealed_of(unsigned f)
{
    return EACH_NODE_TABLE(X) 0;
}
#undef X

static u8 content_of(unsigned f)
{
#define X(k) f == k ? bytes_##k :
    return EACH_DATA(X) (u8)0;
#undef X
}

static void content_set(unsigned f, u8 value)
{
#define X(k) bytes_##k = f == k ? value : bytes_##k;
    EACH_DATA(X)
#undef X
}

/*
 * ---- hints ----
 *
 * Where an entry leads is often known from the case that is proved, or at least which
 * kind of page it is; told so, CBMC follows it while it makes the formula and leaves out
 * what cannot happen. Each hint is checked where it is used: a wrong one is an error.
 */
enum { IS_MID = 32, IS_LEAF, IS_DATA }; /* what is no frame's number; 0: nothing is known */
enum { PRESENT = 64, EMPTY = 128 };     /* with any of these, if that is known, too */
#define X(k) static u8 known_##k[PT_ENTRIES];
EACH_TABLE(X)
#undef X
static u8 made; /* the table that pte_table has just made an edge to */

static struct page *page_of_entry(pte_t e)
{
    unsigned f = target(e); /* 0: of an empty entry, not used */
    u8 h = hint & 63;

#define X(k) f == k ? &page_##k :
    if (h == IS_MID) {
        CHECK(f == 0 || (f >= MID(0) && f < LEAF(0, 0)) || (f >= FRESH && f < DATA), "a hint is true");
        return EACH_MID(X) EACH_FRESH(X) NULL;
    }
    if (h == IS_LEAF) {
        CHECK(f == 0 || (f >= LEAF(0, 0) && f < DATA), "a hint is true");
        return EACH_LEAF(X) EACH_FRESH(X) NULL;
    }
    if (h == IS_DATA) {
        CHECK(f == 0 || f >= DATA, "a hint is true");
        return EACH_DATA(X) NULL;
    }
#undef X
    if (h == 0)
        return page_at(f);
    CHECK(f == 0 || f == h, "a hint is true");
    return page_at(h);
}

static bool entry_is_empty(pte_t e)
{
    if (hint & (PRESENT | EMPTY))
        CHECK((e.bits == 0) == !!(hint & EMPTY), "a hint is true");
    return hint & EMPTY ? true : hint & PRESENT ? false : e.bits == 0;
}

static inline pte_t edge_made(paddr_t table)
{
    made = (u8)(table.pa >> PAGE_SHIFT);
    return pte_table(table);
}
#define pte_table(pa) edge_made(pa)

static u64 entry_load(const u64 *p)
{
#define X(k) p == &entries_##k[0].bits ? known_##k[0] : p == &entries_##k[1].bits ? known_##k[1] :
    hint = EACH_TABLE(X) (u8)0;
#undef X
    return *p;
}

static u8 known_after(u8 known, u64 e)
{
    return made ? made | PRESENT : known & ~(e == 0 ? PRESENT : EMPTY);
}

static void entry_stored(const u64 *p, u64 e)
{
#define X(k) for (unsigned i = 0; i < PT_ENTRIES; i++) if (p == &entries_##k[i].bits) known_##k[i] = known_after(known_##k[i], e);
    EACH_TABLE(X)
#undef X
    made = 0;
}

/* ---- hooks: each atomic store may be to a table ---- */

static void hardware(void);

static void entry_store(u64 *p, u64 e)
{
    hardware();
    *p = e;
    entry_stored(p, e);
}

#define __atomic_store_n(p, v, o) entry_store(p, v)
#define __atomic_load_n(p, o) entry_load(p)
