/*
 * Sv39 page-table entries (privileged specification 20211203, section 4.4).
 *
 * Pure functions, also built on the host. User memory has leaves at level 0
 * only; an entry above it is an edge to a table.
 *
 * An edge to a table has no permission bits on this machine (R=W=X=0 is what
 * makes it a pointer), so "nothing may be written through it" can only be said
 * by making it invalid: a *linked* edge has V=0, keeps its page number, and
 * carries PTE_LINK. V=0 leaves all other bits to software.
 *
 * A leaf is written with A set, and with D wherever W is, so the hardware never
 * has anything to write to a table and never traps for A or D.
 */
#pragma once
#include "lib/types.h"

#ifndef PT_BITS /* the host tests have a small geometry, too */
#define PT_BITS 9
#endif
#define PT_LEVELS 3
#define PT_ENTRIES (1 << PT_BITS)
#define USER_TOP (1ul << (PAGE_SHIFT + PT_LEVELS * PT_BITS - 1)) /* first address above user space */
#define USER_ROOT_ENTRIES (PT_ENTRIES / 2)                       /* root entries that belong to the user */

typedef struct {
    u64 bits;
} pte_t;

#define PTE_V (1ul << 0)
#define PTE_R (1ul << 1)
#define PTE_W (1ul << 2)
#define PTE_X (1ul << 3)
#define PTE_U (1ul << 4)
#define PTE_G (1ul << 5)
#define PTE_A (1ul << 6)
#define PTE_D (1ul << 7)
#define PTE_COW (1ul << 8)  /* leaf: sealing took W away. Software bit. */
#define PTE_LINK (1ul << 8) /* table edge, with V=0: sealed. Software bit. */
#define PTE_HELD (1ul << 9) /* leaf, with V=0: keeps its page but grants nothing (PROT_NONE) */
#define PTE_OBJECT (1ul << 9) /* leaf, with V=1: an object's page that is shared, never copied. Software bit. */
#define PTE_PPN_SHIFT 10
#define PTE_PPN_MASK (((1ul << 44) - 1) << PTE_PPN_SHIFT)

enum prot { PROT_NONE = 0, PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4, PROT_OBJECT = 8 /* shared: sealing leaves no COW mark */ };

static inline bool pte_is_empty(pte_t e)
{
    return e.bits == 0;
}

static inline paddr_t pte_paddr(pte_t e)
{
    return (paddr_t){(e.bits & PTE_PPN_MASK) >> PTE_PPN_SHIFT << PAGE_SHIFT};
}

static inline u64 pte_ppn_bits(paddr_t p)
{
    return p.pa >> PAGE_SHIFT << PTE_PPN_SHIFT;
}

/* The number of the frame, times 32 (what a descriptor takes); the walk over a full table counts its instructions. */
static inline u64 pte_frame_32(pte_t e)
{
    return (e.bits & PTE_PPN_MASK) >> (PTE_PPN_SHIFT - 5);
}

/* ---- edges to tables (level > 0) ---- */

/* An edge that the hardware may walk for everything. */
static inline pte_t pte_table(paddr_t table)
{
    return (pte_t){pte_ppn_bits(table) | PTE_V};
}

/* May the hardware walk this edge at all? */
static inline bool pte_table_walkable(pte_t e)
{
    return e.bits & PTE_V;
}

/*
 * The edge with writing through it forbidden. Where the table below is itself
 * sealed, nothing can be written through a walkable edge either.
 */
static inline pte_t pte_table_seal(pte_t e, bool child_sealed)
{
    return child_sealed ? e : (pte_t){(e.bits & PTE_PPN_MASK) | PTE_LINK};
}

/* The sealed edge made walkable for reading; the table below has been sealed first. */
static inline pte_t pte_table_validate(pte_t e)
{
    return (pte_t){(e.bits & PTE_PPN_MASK) | PTE_V};
}

/* Could a store pass this edge, as far as the edge itself says? */
static inline bool pte_table_writable(pte_t e)
{
    return e.bits & PTE_V;
}

/* The edge opened for writing. */
static inline pte_t pte_table_open(pte_t e)
{
    return pte_table_validate(e);
}

/* ---- leaves (level 0) ---- */

static inline pte_t pte_leaf(paddr_t page, unsigned prot)
{
    u64 bits = pte_ppn_bits(page) | PTE_U | PTE_A;

    if (!(prot & ~(unsigned)PROT_OBJECT))
        return (pte_t){pte_ppn_bits(page) | PTE_HELD};
    bits |= PTE_V | PTE_R; /* W without R is reserved (table 4.5); X without R is granted R, as on Linux's default */
    if (prot & PROT_WRITE)
        bits |= PTE_W | PTE_D;
    if (prot & PROT_EXEC)
        bits |= PTE_X;
    if (prot & PROT_OBJECT)
        bits |= PTE_OBJECT;
    return (pte_t){bits};
}

static inline unsigned pte_leaf_prot(pte_t e)
{
    if (!(e.bits & PTE_V))
        return PROT_NONE;
    return (e.bits & PTE_R ? PROT_READ : 0) | (e.bits & PTE_W ? PROT_WRITE : 0) |
           (e.bits & PTE_X ? PROT_EXEC : 0) | (e.bits & PTE_OBJECT ? PROT_OBJECT : 0);
}

static inline bool pte_leaf_writable(pte_t e)
{
    return (e.bits & (PTE_V | PTE_W)) == (PTE_V | PTE_W);
}

/* The leaf without W; one that had W gets the COW mark, unless its page is an object's. (W comes with D, without the mark.) */
static inline pte_t pte_leaf_seal(pte_t e)
{
    if (likely((e.bits & (PTE_V | PTE_W | PTE_OBJECT)) == (PTE_V | PTE_W)))
        return (pte_t){e.bits ^ (PTE_W | PTE_D | PTE_COW)};
    return pte_leaf_writable(e) ? (pte_t){e.bits & ~(PTE_W | PTE_D)} : e;
}

static inline bool pte_leaf_cow(pte_t e)
{
    return (e.bits & (PTE_V | PTE_COW)) == (PTE_V | PTE_COW);
}
