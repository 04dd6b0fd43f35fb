/*
 * The tree of tables, proved: from any state of a few tables and pages that
 * satisfies the invariants, an operation leads to one that does, whatever
 * allocations fail and whatever two CPUs fetch and store meanwhile.
 *
 * kernel/vm's own sources are compiled here. docs/proof.md says what is proved,
 * and within which bounds; tools/cowslip/proof.py runs it, a case of an operation
 * at a time (-DOPERATION=op_write -DPAGE=1 -DTHERE=3 -DSHARED=2 ...).
 */
#include "machine.h"
#include <stdarg.h>
#include "arch/arch.h"
#include "proc/remote.h"
#define _Static_assert(...) /* the size of struct page: see machine.h */
#include "vm/table.h"
#undef _Static_assert

/* The same groups in the same order, but each at a place that is known beforehand (codec.c proves it of the shipped one). */
#undef for_each_group
#define for_each_group(g, bits) for (unsigned g = 0; g < GROUPS; g++) if ((bits) >> g & 1)

#include "../../kernel/vm/table.c"
#include "../../kernel/vm/tlb.c"
#include "lib/string.h"
/* They are given page_data(p), of which the page is what matters. */
#define PAGE_page_data(p) p
#define memcpy(to, from, n) content_set(frame_of(PAGE_##to), content_of(frame_of(PAGE_##from)))
#define memset(to, c, n) content_set(frame_of(PAGE_##to), c)
#include "../../kernel/vm/pgtable.c"
#include "../../kernel/vm/pgrange.c"
#include "../../kernel/vm/vmspace.c"

#define PAGES_VA (USER_TOP >> PAGE_SHIFT)
_Static_assert(PAGES_VA == 4, "two bits");

#include "cpus.h"

static struct vmspace spaces[PROCESSES];

#include "holds.h"

/* ---- the kernel around kernel/vm: locks, memory ---- */

void page_lock(struct page *p)
{
    CHECK(p->lock == 0, "no lock is taken twice");
    p->lock = 1;
}

void page_unlock(struct page *p)
{
    p->lock = 0;
}

static u8 fresh_tables;
static bool fresh_data;

/* Of the allocations of an operation the one with this number fails; a case for each, and one in which none does. */
#ifndef FAILS
#define FAILS 255
#endif
static bool fails(void)
{
    static u8 asked;

    return asked++ == FAILS;
}

struct page *page_alloc_table(enum page_kind kind, enum alloc_flags flags)
{
    struct page *p;

    if (fails())
        return NULL;
    CHECK(fresh_tables < FRESHES, "no more tables are asked for than the proof has");
    p = page_at(FRESH + fresh_tables++);
    p->refs = 1;
    p->kind = (u8)kind;
    return p;
}

struct page *page_alloc(enum page_kind kind, enum alloc_flags flags)
{
    struct page *p = page_at(FRESH_DATA);

    if (fails())
        return NULL;
    CHECK(!fresh_data, "no more pages are asked for than the proof has");
    fresh_data = true;
    p->refs = 1;
    p->kind = (u8)kind;
    content_set(FRESH_DATA, flags & ALLOC_ZERO ? 0 : nondet_u8() & 3);
    return p;
}

static void freed(struct page *p)
{
    struct cpu_state k = kept_state();
    unsigned f = frame_of(p);

    CHECK(p->refs == 0, "what is freed has no references");
    for (unsigned c = 0; c < CPUS; c++)
        CHECK(!cpu_knows(&cpu_states[c], f), "no CPU knows what is freed");
    CHECK(!cpu_knows(&k, f), "nothing that is kept under an identifier and may be used is freed");
    p->kind = PAGE_FREE;
    content_set(f, nondet_u8() & 3);
}

void page_free(struct page *p)
{
    CHECK(p->kind == PAGE_DATA || p->kind == PAGE_OBJECT, "a page of data is freed as one");
    freed(p);
}

void page_free_table(struct page *p)
{
    const pte_t *slots = page_data(p);

    CHECK(p->kind == PAGE_TABLE && p->used == 0, "a table is freed empty");
    for (unsigned i = 0; i < PT_ENTRIES; i++)
        CHECK(slots[i].bits == 0, "a table is freed empty");
    freed(p);
}

void page_put(struct page *p)
{
    if (page_put_last(p))
        page_free(p);
}

/*
 * ---- the first state ----
 *
 * Every table and page that is modelled has at least one reference, from here or from
 * outside. Which of two tables of a kind is called the first makes no difference, so
 * process 0's are; likewise the page that it has at PAGE.
 *
 * A case is given by PAGE, where the operation is; THERE, how far process 0's tables
 * lead towards it (0: no table below the root ... 3: to a page); and SHARED, the level
 * above which its tables are its own (0: all, 1: all but the leaf table, 2: the root).
 * SIBLINGS: what else is in the tables on the way (0: nothing, 1: another leaf table in
 * the one above, 2: another page in the leaf table, 3: both; where it matters).
 * SHARERS: how many references the first shared table on the way has, so that CBMC sees
 * by itself that it is shared; BELOW: those of the leaf table below a shared one.
 * Without THERE, all of this is any.
 */
#ifndef THERE
#define THERE ANY
#endif
#ifndef SHARED
#define SHARED ANY
#endif
#ifndef PAGE
#define PAGE ANY
#endif
#ifndef SIBLINGS
#define SIBLINGS ANY
#endif
#define ANY 9
#ifndef SHARERS
#define SHARERS 2
#endif
#ifndef BELOW
#define BELOW 1
#endif
#define PLACE (PAGE >> PT_BITS)
#define SLOT (PAGE & (PT_ENTRIES - 1))
#ifndef RESERVED
#define RESERVED NEEDED /* tables that are set aside */
#endif
#define NEEDED (THERE == 0 ? 2u : SHARED > 0 ? (unsigned)SHARED : THERE == 1) /* tables that a private path takes */

static pte_t any_edge(unsigned f)
{
    pte_t e = (pte_table)((paddr_t){(u64)f << PAGE_SHIFT});

    return nondet_bool() ? pte_table_seal(e, false) : e;
}

static pte_t maybe(pte_t e)
{
    return nondet_bool() ? e : (pte_t){0};
}

static pte_t any_leaf(unsigned f)
{
    unsigned prot = nondet_bool() ? PROT_READ | (nondet_bool() ? PROT_WRITE : 0) | (nondet_bool() ? PROT_EXEC : 0) : PROT_NONE;
    pte_t e;

    if (kind_of(f) == PAGE_OBJECT && nondet_bool())
        prot |= PROT_OBJECT;
    e = pte_leaf((paddr_t){(u64)f << PAGE_SHIFT}, prot);
    return nondet_bool() ? pte_leaf_seal(e) : e;
}

/* 0 or 1 */
static unsigned any_bit(void)
{
    return nondet_u8() & 1;
}

/* Of MID(i), towards its leaf tables of this place. */
static pte_t mid_begins(unsigned i, unsigned place)
{
    if (i == 0 && place == PLACE && THERE != ANY)
        return THERE == 0 ? maybe(any_edge(LEAF(place, 0))) : THERE == 1 ? (pte_t){0} : any_edge(LEAF(place, 0));
    if (i == 0 && THERE != ANY && SIBLINGS != ANY)
        return SIBLINGS & 1 ? any_edge(LEAF(place, 0)) : (pte_t){0};
    if (i == 0 || (place == PLACE && THERE > 1 && SHARED == 0))
        return maybe(any_edge(LEAF(place, i)));
    return maybe(any_edge(LEAF(place, 0) + any_bit()));
}

static pte_t leaf_begins(unsigned place, unsigned i, unsigned slot)
{
    if (i == 0 && place == PLACE && slot == SLOT && (THERE == 2 || THERE == 3))
        return THERE == 2 ? (pte_t){0} : any_leaf(nondet_bool() ? DATA : ZERO);
    if (i == 0 && place == PLACE && THERE > 1 && THERE != ANY && SIBLINGS != ANY)
        return SIBLINGS & 2 ? any_leaf(DATA + (nondet_u8() & 3)) : (pte_t){0};
    return maybe(any_leaf(DATA + (nondet_u8() & 3)));
}

/* Of a table on the way, if the case says it: how many entries it has. */
static u32 table_used(unsigned f, const pte_t *slots)
{
    if (THERE != ANY && f == ROOT(0))
        return THERE > 0;
    if (THERE != ANY && SIBLINGS != ANY && THERE > 0 && f == MID(0))
        return (THERE > 1) + (SIBLINGS & 1);
    if (THERE != ANY && SIBLINGS != ANY && THERE > 1 && f == LEAF(PLACE, 0))
        return (THERE > 2) + (SIBLINGS >> 1);
    return (slots[0].bits != 0) + (slots[1].bits != 0);
}

static void table_begins(struct page *t, enum page_kind kind, u8 level, u32 used, u32 refs, u64 groups)
{
    t->kind = (u8)kind;
    t->level = level;
    t->flags = kind == PAGE_TABLE && nondet_bool() ? PAGE_F_SEALED : 0;
    t->groups = groups;
    t->used = used;
    t->refs = refs;
}

static u32 table_refs(unsigned f)
{
    bool path = f == MID(0) || f == LEAF(PLACE, 0);

    if (THERE == ANY || !path || (f == MID(0) ? THERE == 0 : THERE < 2))
        return 1 + (nondet_u8() & 3);
    if (f == MID(0))
        return SHARED == 2 ? SHARERS : 1;
    return SHARED == 1 ? SHARERS : SHARED == 0 ? 1 : BELOW;
}

/* Groups may be marked for nothing; on the way, those are that have an entry, and the others. */
static u64 table_groups(unsigned f)
{
    if (f == ROOT(2))
        return 0;
    if (THERE != ANY && f == ROOT(0))
        return THERE == 0 ? 2 : 3;
    if (THERE != ANY && f == MID(0) && THERE > 0)
        return THERE == 1 ? 3 & ~(1u << PLACE) : 3;
    if (THERE != ANY && f == LEAF(PLACE, 0) && THERE > 1)
        return THERE == 2 ? 3 & ~(1u << SLOT) : 3;
    return nondet_u8() & 3;
}

/* What a table that is set aside will have in it: a copy of the leaf table on the way, or (the last of two) of the one above. */
static void fresh_hints_begin(void)
{
    for (unsigned i = 0; i < PT_ENTRIES; i++) {
#define X(k) known_##k[i] = NEEDED == 2 && k == FRESH + RESERVED - 1 ? (THERE > 0 ? known_4[i] : EMPTY) : \
                            THERE < 2 ? EMPTY : i == SLOT ? IS_DATA | (THERE == 3 ? PRESENT : EMPTY) : IS_DATA;
        EACH_FRESH(X)
#undef X
    }
}

/* What is known of process 0's way to PAGE by the case, and of the other entries by the level of their tables. */
static void hints_begin(void)
{
#define X(k) known_##k[0] = IS_MID;
    EACH_ROOT(X)
#undef X
    for (unsigned i = 0; i < PT_ENTRIES; i++) {
#define X(k) known_##k[i] = k == MID(0) ? LEAF(i, 0) : IS_LEAF;
        EACH_MID(X)
#undef X
#define X(k) known_##k[i] = IS_DATA;
        EACH_LEAF(X)
#undef X
    }
    if (THERE == ANY)
        return;
    known_1[0] = MID(0) | (THERE > 0 ? PRESENT : EMPTY);
    if (THERE > 0)
        known_4[PLACE] = LEAF(PLACE, 0) | (THERE > 1 ? PRESENT : EMPTY);
    if (THERE > 0 && SIBLINGS != ANY)
        known_4[!PLACE] = LEAF(!PLACE, 0) | (SIBLINGS & 1 ? PRESENT : EMPTY);
#define X(k) if (THERE > 1 && SIBLINGS != ANY && k == LEAF(PLACE, 0)) known_##k[!SLOT] = IS_DATA | (SIBLINGS & 2 ? PRESENT : EMPTY);
    EACH_LEAF(X)
#undef X
#define X(k) if (THERE > 1 && k == LEAF(PLACE, 0)) known_##k[SLOT] = IS_DATA | (THERE > 2 ? PRESENT : EMPTY);
    EACH_LEAF(X)
#undef X
    fresh_hints_begin();
}

static void data_begins(void)
{
#define X(k)                                                                            page_##k.kind = k < ZERO && nondet_bool() ? PAGE_OBJECT : PAGE_DATA;                page_##k.refs = 1 + (nondet_u8() & 15);                                             bytes_##k = k == ZERO ? 0 : nondet_u8() & 3;
    EACH_DATA(X)
#undef X
    page_28.kind = PAGE_FREE;
    page_28.refs = 0;
}

static void tables_begin(void)
{
    bool mid_alone = THERE != ANY && THERE > 0 && SHARED < 2;

    if (THERE != 0)
        entries_1[0] = THERE == ANY ? maybe(any_edge(MID(0))) : any_edge(MID(0));
    entries_2[0] = maybe(any_edge(mid_alone ? MID(1) : MID(0) + any_bit()));
#define X(k) for (unsigned i = 0; i < PT_ENTRIES; i++) entries_##k[i] = mid_begins(k - MID(0), i);
    EACH_MID(X)
#undef X
#define X(k) for (unsigned i = 0; i < PT_ENTRIES; i++) entries_##k[i] = leaf_begins((k - LEAF(0, 0)) >> 1, k & 1, i);
    EACH_LEAF(X)
#undef X
#define X(k) table_begins(&page_##k, PAGE_ROOT, PT_LEVELS - 1, table_used(k, entries_##k), 1, table_groups(k));
    EACH_ROOT(X)
#undef X
#define X(k) table_begins(&page_##k, PAGE_TABLE, 1, table_used(k, entries_##k), table_refs(k), table_groups(k));
    EACH_MID(X)
#undef X
#define X(k) table_begins(&page_##k, PAGE_TABLE, 0, table_used(k, entries_##k), table_refs(k), table_groups(k));
    EACH_LEAF(X)
#undef X
}

static void remembers_any(struct cpu_state *s)
{
    s->tlb.valid = nondet_bool();
    s->tlb.writable = nondet_bool();
    s->tlb.frame = DATA + (nondet_u8() & 3);
    s->walk.valid = nondet_bool();
    s->walk.writable = nondet_bool();
    s->walk.level = nondet_bool();
    s->walk.frame = nondet_u8() & 15;
}

static bool asids_any;

/*
 * Ids of 0 and above 3 are of nobody here. Which identifier is which matters only where
 * one is looked for (asids_any); else kept_asid is the first, and a CPU's that or the second.
 */
static void asids_begin(void)
{
    has_asids = nondet_bool();
    for (unsigned p = 0; p < PROCESSES; p++) {
        spaces[p].id = 1 + p;
        spaces[p].flushes = nondet_u8();
        spaces[p].asid_hint = nondet_u8() & 7;
    }
    for (unsigned i = 0; i < TLB_ASIDS; i++) {
        cpus[0].asids[i].vm_id = nondet_u8() & 7;
        cpus[0].asids[i].flushes = nondet_u8();
    }
    cpus[0].asid = asids_any ? nondet_u8() & 7 : any_bit();
    cpus[0].asid_turn = nondet_u8();
    loaded_asid = cpu_states[0].runs < PROCESSES ? cpus[0].asid + 1 : 0;
    kept_asid = asids_any ? 1 + (nondet_u8() & 7) : 1;
    __CPROVER_assume(kept_asid <= TLB_ASIDS);
    remembers_any(&kept);
}

static void cpus_begin(void)
{
    spaces[0].root = &page_1;
    spaces[1].root = &page_2;
    spaces[2].root = &page_3;
    for (unsigned c = 0; c < CPUS; c++) {
        struct cpu_state *s = &cpu_states[c];

        cpus[c].id = c;
        s->runs = nondet_bool() ? PROCESSES : nondet_bool();
        for (unsigned p = 0; p < PROCESSES; p++)
            spaces[p].cpus |= (u64)(s->runs == p) << c;
        remembers_any(s);
    }
    asids_begin();
}

static u8 any_page(void)
{
    return nondet_u8() & (PAGES_VA - 1);
}

static void begin(void)
{
    struct view v;

    data_begins();
    tables_begin();
    hints_begin();
    observed = any_page();
    cpus_begin();
    tables_hold(true);
    cpus_hold(true);
    witness = nondet_bool();
    witness_page = any_page();
    v = look(witness, witness_page);
    witness_mapped = mapped(&v);
    witness_known = witness_mapped;
    witness_value = witness_mapped ? content_of(target(v.leaf)) : nondet_u8();
}

/* What the tables of others have is as it was, but for seals. */
static pte_t before[16][PT_ENTRIES];
static bool others[16]; /* tables that are not process 0's alone */

static void remember(void)
{
#define X(k) before[k][0] = entries_##k[0], before[k][1] = entries_##k[1], others[k] = true;
    EACH_MID(X)
    EACH_LEAF(X)
#undef X
    if (entries_1[0].bits && page_4.refs == 1) {
        others[MID(0)] = false;
        others[LEAF(0, 0)] = !entries_4[0].bits || page_8.refs > 1;
        others[LEAF(1, 0)] = !entries_4[1].bits || page_10.refs > 1;
    }
}

static void others_hold(const struct page *t, const pte_t *was, const pte_t *is)
{
    for (unsigned i = 0; i < PT_ENTRIES && t->kind == PAGE_TABLE; i++) { /* else its last reference went */
        CHECK((was[i].bits == 0) == (is[i].bits == 0) && (was[i].bits == 0 || target(was[i]) == target(is[i])),
              "a table that is shared leads where it led");
        if (t->level == 0)
            CHECK((pte_leaf_prot(was[i]) & ~PROT_WRITE) == (pte_leaf_prot(is[i]) & ~PROT_WRITE) &&
                      (!pte_leaf_writable(is[i]) || pte_leaf_writable(was[i])),
                  "the leaves of a table that is shared lose nothing but W");
    }
}

/* `same`: the witness's page is to be there as it was. */
static void end(bool same)
{
    struct view v;

    hardware();
    tables_hold(false);
    places_hold();
    cpus_hold(false);
#define X(k) if (others[k]) others_hold(&page_##k, before[k], entries_##k);
    EACH_MID(X)
    EACH_LEAF(X)
#undef X
    v = look(witness, witness_page);
    if (same) {
        CHECK(mapped(&v) == witness_mapped, "no page is lost, and none comes to be");
        CHECK(!mapped(&v) || content_of(target(v.leaf)) == witness_value, "each process sees its own bytes");
    }
}

/* ---- the operations: as fault.c, mmap.c and vmspace.c call them ---- */

/* Would a CPU that knows nothing be allowed to do this? */
static bool allowed(u8 page, unsigned access)
{
    pte_t root = root_of(0), mid = mid_entry(target(root), page >> PT_BITS);
    unsigned prot = pte_leaf_prot(leaf_entry(target(mid), page & (PT_ENTRIES - 1)));

    if (!pte_table_walkable(root) || !pte_table_walkable(mid))
        return false;
    return prot & access && (access != PROT_WRITE || (pte_table_writable(root) && pte_table_writable(mid)));
}

/* Pages [FIRST, END): a region, or what an operation is told to work on. */
#ifndef FIRST
#define FIRST 0
#define END PAGES_VA
#endif

static bool in_range(u8 page)
{
    return page >= FIRST && page < END;
}

static struct pt_path path;
static unsigned witness_prot; /* that its entry granted before */

#define VA ((u64)PAGE << PAGE_SHIFT)
#define START_VA ((u64)FIRST << PAGE_SHIFT)
#define END_VA ((u64)END << PAGE_SHIFT)

/* What a walk must have found; from here on it is known by the case that this is, which makes the formula smaller. */
static void path_is_known(void)
{
    struct page *table = THERE > 1 ? page_at(LEAF(PLACE, 0)) : NULL;
    struct page *shared = THERE == 0 || SHARED == 0 ? NULL : page_at(SHARED == 2 ? MID(0) : LEAF(PLACE, 0));

    CHECK(path.va == VA && path.needed == NEEDED && path.table == table && path.shared == shared, "a walk finds the way");
    CHECK(!path.open || NEEDED == 0, "a path that is open needs no table");
    path.va = VA;
    path.needed = NEEDED;
    path.table = table;
    path.shared = shared;
    hint = IS_DATA; /* of path.leaf */
}

static void fault_begins(void)
{
    struct view v;

    begin();
    remember();
    v = look(witness, witness_page);
    witness_prot = pte_leaf_prot(v.leaf);
    pt_find(&spaces[0], VA + 8, &path);
    v = look(0, PAGE);
    CHECK(path.leaf.bits == v.leaf.bits, "a walk finds the entry");
    CHECK(!(path.allows & PROT_READ) || allowed(PAGE, PROT_READ), "a walk knows what the CPU may read");
    CHECK(!(path.allows & PROT_WRITE) == !allowed(PAGE, PROT_WRITE), "a walk knows what the CPU may write");
    CHECK(!path.open || (v.exclusive && v.writable), "a path that is called open is private and writable");
    path_is_known();
}

/* The witness's entry grants no more than it did, or than `prot` where the fault may change it. */
static void grants_end(unsigned prot)
{
    struct view v = look(witness, witness_page);
    bool may_change = witness == 0 && (in_range(witness_page) || witness_page == PAGE);

    CHECK(!(pte_leaf_prot(v.leaf) & ~witness_prot & ~(may_change ? prot : 0)), "no entry grants what it should not");
}

/* A store to a private page that is there; [FIRST, END) is its region. */
static void op_write(void)
{
    unsigned prot = PROT_READ | PROT_WRITE | (nondet_bool() ? PROT_EXEC : 0);
    struct pt_reserve r;

    fault_begins();
    __CPROVER_assume(!(path.allows & PROT_WRITE) && !(pte_leaf_prot(path.leaf) & PROT_OBJECT));
    if (!pt_reserve(&path, pt_needs_copy(&path), 0, &r)) {
        pt_grant_write(&spaces[0], &path, prot, START_VA, END_VA, &r);
        pt_reserve_release(&r);
        CHECK(allowed(PAGE, PROT_WRITE), "the store can be done");
    }
    end(true);
    grants_end(prot);
}

/* A load from a page that is there. */
static void op_read(void)
{
    fault_begins();
    __CPROVER_assume(pte_leaf_prot(path.leaf) & PROT_READ);
    pt_open_read(&spaces[0], VA);
    CHECK(allowed(PAGE, PROT_READ), "the load can be done");
    end(true);
    grants_end(0);
}

/* A page where there was none: a new one, or the page of zeros, or (shared) an object's. */
static void op_fill(void)
{
    bool write = nondet_bool(), from_object = nondet_bool();
    unsigned prot = PROT_READ | (write ? PROT_WRITE : 0);
    struct page *page = page_zero;
    struct pt_reserve r;

    fault_begins();
    __CPROVER_assume(!path.leaf.bits);
    if (witness == 0 && witness_page == PAGE) {
        witness_known = !from_object;
        witness_value = 0;
    }
    if (!pt_reserve(&path, false, 0, &r)) {
        if (from_object) {
            page = page_at(DATA + any_bit());
            __CPROVER_assume(page->kind == PAGE_OBJECT);
            prot |= PROT_OBJECT;
            page_get(page);
        } else if (write) {
            page = page_alloc(PAGE_DATA, ALLOC_ZERO);
        } else {
            page_get(page);
        }
        if (page) {
            pt_fill(&spaces[0], &path, page, prot, &r);
            CHECK(allowed(PAGE, write ? PROT_WRITE : PROT_READ), "the access can be done");
        }
        pt_reserve_release(&r);
    }
    end(witness == 1 || witness_page != PAGE);
    grants_end(prot);
}

/* Other permissions for a page that is there; W for an object's page only. */
static void op_grant(void)
{
    bool shared = nondet_bool();
    unsigned prot = PROT_READ | (nondet_bool() ? PROT_EXEC : 0) | (shared ? PROT_OBJECT | (nondet_bool() ? PROT_WRITE : 0) : 0);
    struct pt_reserve r;

    fault_begins();
    __CPROVER_assume(path.leaf.bits && (!shared || pte_page(path.leaf)->kind == PAGE_OBJECT));
    if (!pt_reserve(&path, false, 0, &r)) {
        pt_grant(&spaces[0], &path, prot, &r);
        pt_reserve_release(&r);
        CHECK(allowed(PAGE, PROT_READ) && (!(prot & PROT_WRITE) || allowed(PAGE, PROT_WRITE)), "the access can be done");
    }
    end(true);
    grants_end(prot);
}

static void op_copy_ahead(void)
{
    fault_begins();
    (void)pt_copy_ahead(&spaces[0], &path);
    end(true);
    grants_end(0);
}

static void op_fork(void)
{
    struct view v;

    begin();
    remember();
    pt_share(&spaces[0], &spaces[2]);
    end(true);
    v = look(2, witness_page);
    if (witness == 0) {
        CHECK(mapped(&v) == witness_mapped, "the child has the pages of its parent");
        CHECK(!mapped(&v) || content_of(target(v.leaf)) == witness_value, "the child has the bytes of its parent");
    }
}

static void op_fork_eager(void)
{
    struct view v;
    int err;

    begin();
    remember();
    err = pt_share_eager(&spaces[0], &spaces[2]);
    end(true);
    v = look(2, witness_page);
    if (witness == 0 && !err) {
        CHECK(mapped(&v) == witness_mapped, "the child has the pages of its parent");
        CHECK(!mapped(&v) || content_of(target(v.leaf)) == witness_value, "the child has the bytes of its parent");
    }
}

static void op_unmap(void)
{
    struct pt_reserve r;
    struct view v;
    int err;

    begin();
    remember();
    err = pt_reserve_unmap(&spaces[0], START_VA, END_VA, &r);
    if (!err) {
        pt_unmap(&spaces[0], START_VA, END_VA, &r);
        pt_reserve_release(&r);
    }
    end(err || witness == 1 || !in_range(witness_page));
    v = look(0, witness_page);
    CHECK(err || !in_range(witness_page) || !mapped(&v), "what was unmapped is gone");
}

#ifndef TAKE /* what is taken away: enum prot bits */
#define TAKE PROT_WRITE
#endif

static void op_protect(void)
{
    unsigned take = TAKE;
    struct pt_reserve r;
    struct view v;

    begin();
    remember();
    pt_reserve_init(&r);
    if (take == PROT_WRITE || !pt_reserve_range(&spaces[0], START_VA, END_VA, &r)) {
        pt_restrict(&spaces[0], START_VA, END_VA, take, &r);
        pt_reserve_release(&r);
        v = look(0, witness_page);
        CHECK(!in_range(witness_page) || !(pte_leaf_prot(v.leaf) & take), "no entry grants what was taken away");
    }
    end(true);
}

#ifndef TO /* where the range goes */
#define TO any_page()
#endif

static void op_move(void)
{
    u8 to = TO, pages;
    struct pt_reserve src, dst;
    struct view v;
    bool moved;

    begin(); /* no case of this one has been decided yet: docs/proof.md */
    pages = END - FIRST;
    __CPROVER_assume(pages <= 2 && to + pages <= PAGES_VA && (to >= END || to + pages <= FIRST));
    for (u8 page = 0; page < PAGES_VA; page++) {
        v = look(0, page);
        __CPROVER_assume(page < to || page >= to + pages || !mapped(&v));
    }
    remember();
    pt_reserve_init(&src);
    pt_reserve_init(&dst);
    moved = !pt_reserve_range(&spaces[0], START_VA, END_VA, &src) &&
            !pt_reserve_fresh((u64)to << PAGE_SHIFT, (u64)(to + pages) << PAGE_SHIFT, &dst);
    if (moved)
        pt_move(&spaces[0], START_VA, (u64)to << PAGE_SHIFT, (u64)pages << PAGE_SHIFT, &src, &dst);
    pt_reserve_release(&src);
    pt_reserve_release(&dst);
    if (moved && witness == 0 && in_range(witness_page)) {
        v = look(0, witness_page);
        CHECK(!mapped(&v), "what was moved is gone from its old place");
        v = look(0, witness_page - FIRST + to & PAGES_VA - 1);
        CHECK(mapped(&v) == witness_mapped, "what was moved is in its new place");
        CHECK(!mapped(&v) || content_of(target(v.leaf)) == witness_value, "what was moved is what it was");
        witness = 1; /* whose bytes are looked at no more */
        witness_known = false;
        end(false);
        return;
    }
    end(!moved || witness == 1 || witness_page < to || witness_page >= to + pages);
}

static void op_exit(void)
{
    begin();
    __CPROVER_assume(cpu_states[0].runs != 0 && cpu_states[1].runs != 0);
    remember();
    ended = 0; /* vmspace_put: the last reference went */
    pt_drop_all(&spaces[0]);
    end(witness == 1);
    CHECK(page_1.used == 0, "the root is empty");
}

static void op_switch(void)
{
    u8 to = nondet_bool() ? 2 : nondet_bool();
    struct vmspace *prev, *next = to < 2 ? &spaces[to] : NULL;

    asids_any = true;
    begin();
    remember();
    prev = cpu_states[0].runs < 2 ? &spaces[cpu_states[0].runs] : NULL;
    vmspace_switch(prev, next);
    CHECK(cpu_states[0].runs == (to < 2 ? to : PROCESSES), "the CPU runs what it was told to");
    end(true);
}

/* What check.c asks of paths follows: where a write may come to a table that is not this process's alone, the table is sealed. */
static void op_paths(void)
{
    struct view v;
    u8 process = nondet_bool(), page = any_page();

    begin();
    v = look(process, page);
    CHECK(!v.mid || !v.mid_writable || v.mid_exclusive || sealed_of(v.mid), "a shared table that can be written through is sealed");
    CHECK(!v.leaf_table || !v.writable || v.exclusive || sealed_of(v.leaf_table), "a shared table that can be written through is sealed");
    CHECK(!v.leaf_table || !v.writable || !pte_leaf_writable(v.leaf) || v.exclusive, "what is written to is reached by an exclusive path");
}

int main(void)
{
    OPERATION();
#ifdef REACHED
    __CPROVER_assume(kept_state().runs < PROCESSES && kept.tlb.valid && kept.walk.valid); /* and this is possible */
    CHECK(false, "the end is reached");
#endif
    return 0;
}
