/*
 * Page descriptors, reference counts and the allocator.
 *
 * One struct page for each frame of RAM. Everything that is counted is a page:
 * page tables, data pages, pages of the page cache.
 *
 * What stays true:
 *  - refs == 0 exactly for free pages and for pages inside the kernel image or
 *    in reserved memory (kind PAGE_RESERVED).
 *  - A count cannot overflow: a reference is a table entry, of which there are
 *    512 to a frame, or a holder that is not an entry and owns more memory than
 *    that; page_init takes no more RAM than fits 32 bits so (32 GiB).
 *  - Freed pages are poisoned in debug builds and checked when allocated.
 *
 * Locks: the zones' spin lock (RANK_PAGE); per-CPU caches with interrupts off.
 */
#pragma once
#include "arch/arch.h"
#include "lib/list.h"
#include "lib/lock.h"
#include "lib/print.h"
#include "lib/types.h"
#include "vm/failnth.h"

enum page_kind {
    PAGE_FREE,
    PAGE_RESERVED, /* firmware, kernel image, descriptors: never allocated, never counted */
    PAGE_KERNEL,   /* kernel data: stacks, kmem, runs */
    PAGE_TABLE,    /* a page table below a root */
    PAGE_ROOT,     /* a root table; owned by one vmspace */
    PAGE_DATA,     /* private user data */
    PAGE_OBJECT,   /* belongs to a vm_object, which holds one reference */
};

#define PAGE_F_SEALED 1u /* table: no edge of it can be written through (see pgtable.h) */
#define PAGE_F_HEAD 2u   /* first page of a run of 2^order pages */
#define PAGE_F_PROMISED 4u /* allocated with ALLOC_PROMISED */

struct page {
    _Atomic u32 refs;
    u8 kind; /* enum page_kind */
    u8 order; /* of the run it heads */
    _Atomic u8 flags; /* PAGE_F_* */
    u8 level; /* table: its level; 0 holds leaves */
    _Atomic u32 lock; /* table: bit lock, RANK_PTABLE; kmem: object size */
    u32 used; /* table: entries that are not empty. kmem: objects in use */
    union {
        struct list link; /* free list, kmem's list, or the holder's own use */
        struct {
            struct vm_object *object; /* PAGE_OBJECT */
            u64 index;                /* page number in it */
        };
        struct {
            struct page *next; /* a chain of tables in nobody's tree */
            u64 groups;        /* table: which groups of entries may have one that is not empty (table.h) */
        };
    };
};
_Static_assert(sizeof(struct page) == 32, "16 GiB of RAM costs 128 MiB of descriptors; keep it small");

enum alloc_flags {
    ALLOC_ZERO = 1,    /* zeroed */
    ALLOC_RESERVE = 2, /* may use the pages kept for exit and munmap */
    ALLOC_PROMISED = 8, /* an object's page that somebody was promised (commit.h); data pages and tables always are */
    ALLOC_RETRIED = 4, /* page.c's own: asked for a second time */
};

/* Takes over all RAM that `platform` reports less what is reserved. Once, at boot, on one CPU. */
void page_init(void);

/* One page with refs == 1, or NULL. Never sleeps; any context. */
struct page *page_alloc(enum page_kind kind, enum alloc_flags flags) __must_check;
/* 2^order contiguous pages, aligned to their size; refs of the first is 1. */
struct page *page_alloc_run(unsigned order, enum page_kind kind, enum alloc_flags flags) __must_check;
/* Frees a page or run whose count has reached zero. */
void page_free(struct page *p);
/*
 * Page tables, whose entries are all empty, and are so again when they are
 * freed: a few wait for each CPU, so that nobody has to clear them. PAGE_ROOT
 * comes with the kernel's part, which stays in it; its user part is empty.
 */
struct page *page_alloc_table(enum page_kind kind, enum alloc_flags flags) __must_check;
void page_free_table(struct page *p);

static inline void page_get(struct page *p)
{
    DEBUG_ASSERT(atomic_load_explicit(&p->refs, memory_order_relaxed) < UINT32_MAX);
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
}
/* Drops a reference; true if it was the last (the caller frees, after the flush). */
static inline bool __must_check page_put_last(struct page *p)
{
    return atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1;
}
/* Drops a reference to a data page and frees it if it was the last. */
void page_put(struct page *p);

static inline u32 page_refs(const struct page *p)
{
    return atomic_load_explicit(&((struct page *)(uintptr_t)p)->refs, memory_order_acquire);
}

/* All cost a few instructions. The frame must be RAM. */
extern struct page *page_array; /* the descriptor of frame page_first, and so on to page_last */
extern struct page *page_base;  /* where that of frame 0 would be */
extern u64 page_first, page_last;
static inline struct page *page_of(paddr_t pa)
{
    return page_base + (pa.pa >> PAGE_SHIFT);
}
static inline paddr_t page_paddr(const struct page *p)
{
    return (paddr_t){((u64)p - (u64)page_base) / sizeof *p << PAGE_SHIFT};
}
static inline void *page_data(const struct page *p) /* its bytes, through the direct map */
{
    return arch_phys_to_virt(page_paddr(p));
}
bool page_is_ram(paddr_t pa); /* has a descriptor */
/* Gives memory that was reserved at boot (the initrd) to the allocator; whole pages inside only. */
void page_free_range(paddr_t start, u64 size);

/* The page of zeros that untouched private memory reads from. Counted like any other; never freed. */
extern struct page *page_zero;

struct page_stats {
    u64 total, free, reserve; /* pages; free includes the per-CPU caches and the reserve */
};
void page_stats(struct page_stats *out);
/* Pages that programs may still get, if a sixteenth of memory is the kernel's, whether or not it has taken it; what its
 * caches hold makes no difference. */
u64 page_room(void);

#ifdef COWSLIP_HOST
extern _Atomic s64 alloc_fail_countdown; /* the host tests: the allocation that takes it to 0 fails; negative: off */
bool alloc_should_fail(void); /* kmem.c asks too */
#else
static inline bool alloc_should_fail(void)
{
    return false; /* the sites ask: failnth.h */
}
#endif
#ifdef ALLOC_SITES
#define page_alloc(kind, flags) ALLOC_TRY((flags) & ALLOC_RESERVE, page_alloc, kind, flags)
#define page_alloc_run(order, kind, flags) ALLOC_TRY((flags) & ALLOC_RESERVE, page_alloc_run, order, kind, flags)
#define page_alloc_table(kind, flags) ALLOC_TRY((flags) & ALLOC_RESERVE, page_alloc_table, kind, flags)
#endif

/* For the checker (vm/check.c): calls fn for each descriptor. */
void page_for_each(void (*fn)(struct page *p, void *arg), void *arg);
