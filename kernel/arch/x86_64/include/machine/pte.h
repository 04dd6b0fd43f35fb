/*
 * x86-64 page-table entries, 4-level paging (Intel SDM volume 3A, section 4.5;
 * AMD64 APM volume 2, section 5.3).
 *
 * Pure functions, also built on the host. User memory has leaves at level 0
 * only; an entry above it is an edge to a table.
 *
 * R/W of an edge holds for all that is below it, so an edge is sealed by taking
 * R/W away: it stays walkable, and no table below has to be touched.
 *
 * A leaf is written with A set, and with D wherever R/W is, so the processor
 * never has anything to write to a leaf. It may set A in an edge; that bit is
 * never looked at, and set from the start.
 */
#pragma once
#include "lib/types.h"

#ifndef PT_BITS /* the host tests have a small geometry, too */
#define PT_BITS 9
#endif
#define PT_LEVELS 4
#define PT_ENTRIES (1 << PT_BITS)
#define USER_TOP (1ul << (PAGE_SHIFT + PT_LEVELS * PT_BITS - 1)) /* first address above user space */
#define USER_ROOT_ENTRIES (PT_ENTRIES / 2)                       /* root entries that belong to the user */

typedef struct {
    u64 bits;
} pte_t;

#define PTE_P (1ul << 0)
#define PTE_RW (1ul << 1)
#define PTE_US (1ul << 2)
#define PTE_A (1ul << 5)
#define PTE_D (1ul << 6)
#define PTE_G (1ul << 8)
#define PTE_COW (1ul << 9)   /* leaf: sealing took R/W away. Ignored by the processor. */
#define PTE_HELD (1ul << 10) /* leaf, with P=0: keeps its page but grants nothing (PROT_NONE) */
#define PTE_OBJECT (1ul << 11) /* leaf: an object's page that is shared, never copied. Ignored by the processor. */
#define PTE_NX (1ul << 63)
#define PTE_ADDR_MASK (((1ul << 40) - 1) << PAGE_SHIFT)

enum prot { PROT_NONE = 0, PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4, PROT_OBJECT = 8 /* shared: sealing leaves no COW mark */ };

static inline bool pte_is_empty(pte_t e)
{
    return e.bits == 0;
}

static inline paddr_t pte_paddr(pte_t e)
{
    return (paddr_t){e.bits & PTE_ADDR_MASK};
}

/* The number of the frame, times 32 (what a descriptor takes); the walk over a full table counts its instructions. */
static inline u64 pte_frame_32(pte_t e)
{
    return (e.bits & PTE_ADDR_MASK) >> (PAGE_SHIFT - 5);
}

/* ---- edges to tables (level > 0) ---- */

/* An edge that the hardware may walk for everything; leaves and NX there say more. */
static inline pte_t pte_table(paddr_t table)
{
    return (pte_t){table.pa | PTE_P | PTE_RW | PTE_US | PTE_A};
}

/* May the hardware walk this edge at all? */
static inline bool pte_table_walkable(pte_t e)
{
    return e.bits & PTE_P;
}

/* The edge with writing through it forbidden, whatever is below. */
static inline pte_t pte_table_seal(pte_t e, bool child_sealed)
{
    (void)child_sealed;
    return (pte_t){e.bits & ~PTE_RW};
}

/* The sealed edge made walkable for reading: here it always is. */
static inline pte_t pte_table_validate(pte_t e)
{
    return e;
}

/* Could a store pass this edge, as far as the edge itself says? */
static inline bool pte_table_writable(pte_t e)
{
    return (e.bits & (PTE_P | PTE_RW)) == (PTE_P | PTE_RW);
}

/* The edge opened for writing. */
static inline pte_t pte_table_open(pte_t e)
{
    return (pte_t){e.bits | PTE_RW};
}

/* ---- leaves (level 0) ---- */

static inline pte_t pte_leaf(paddr_t page, unsigned prot)
{
    u64 bits = page.pa | PTE_P | PTE_US | PTE_A;

    if (!(prot & ~(unsigned)PROT_OBJECT))
        return (pte_t){page.pa | PTE_HELD};
    if (prot & PROT_WRITE)
        bits |= PTE_RW | PTE_D;
    if (!(prot & PROT_EXEC))
        bits |= PTE_NX;
    if (prot & PROT_OBJECT)
        bits |= PTE_OBJECT;
    return (pte_t){bits};
}

static inline unsigned pte_leaf_prot(pte_t e)
{
    if (!(e.bits & PTE_P))
        return PROT_NONE;
    return PROT_READ | (e.bits & PTE_RW ? PROT_WRITE : 0) | (e.bits & PTE_NX ? 0 : PROT_EXEC) |
           (e.bits & PTE_OBJECT ? PROT_OBJECT : 0);
}

static inline bool pte_leaf_writable(pte_t e)
{
    return (e.bits & (PTE_P | PTE_RW)) == (PTE_P | PTE_RW);
}

/* The leaf without W; one that had W gets the COW mark, unless its page is an object's. (W comes with D, without the mark.) */
static inline pte_t pte_leaf_seal(pte_t e)
{
    if (likely((e.bits & (PTE_P | PTE_RW | PTE_OBJECT)) == (PTE_P | PTE_RW)))
        return (pte_t){e.bits ^ (PTE_RW | PTE_D | PTE_COW)};
    return pte_leaf_writable(e) ? (pte_t){e.bits & ~(PTE_RW | PTE_D)} : e;
}

static inline bool pte_leaf_cow(pte_t e)
{
    return (e.bits & (PTE_P | PTE_COW)) == (PTE_P | PTE_COW);
}
