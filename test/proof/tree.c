/*
 * The tree of tables, proved: from any state of a few tables and pages that
 * satisfies the invariants, an operation leads to one that does, whatever
 * allocations fail and whatever two CPUs fetch and store meanwhile.
 *
 * kernel/vm's own sources are compiled here. docs/proof.md says what is proved,
 * and within which bounds; tools/cowslip/proof.py runs it, an operation at a time
 * (-DOPERATION=op_fork ...). It does not run all of them: the page says which.
 */
#include "machine.h"
#include <stdarg.h>
#include "arch/arch.h"
#include "proc/remote.h"
#include "vm/table.h"

/* The same groups in the same order, but each at a place that is known beforehand (codec.c proves it of the shipped one). */
#undef for_each_group
#define for_each_group(g, bits) for (unsigned g = 0; g < GROUPS; g++) if ((bits) >> g & 1)

#include "../../kernel/vm/table.c"
#include "../../kernel/vm/tlb.c"
#include "lib/string.h"
static void page_bytes_copy(void *to, const void *from);
static void page_bytes_clear(void *to);
#define memcpy(to, from, n) page_bytes_copy(to, from)
#define memset(to, c, n) page_bytes_clear(to)
#include "../../kernel/vm/pgtable.c"
#include "../../kernel/vm/pgrange.c"
#include "../../kernel/vm/vmspace.c"

#define PAGES_VA (USER_TOP >> PAGE_SHIFT)
#define PROCESSES 3 /* the third is the child of a fork, and empty else */

static struct vmspace spaces[PROCESSES];
static const u8 root_of[PROCESSES] = {ROOT0, ROOT1, ROOT2};
static u8 outside[FRAMES]; /* references from elsewhere: other processes, an object */

/* ---- what the tables say, looked at without the kernel's functions (after now_is) ---- */

struct view {
    u8 table[PT_LEVELS];  /* by level; 0: none */
    bool writable[PT_LEVELS], exclusive[PT_LEVELS]; /* the path to it */
    pte_t leaf;
};

static struct view look(unsigned process, u8 page)
{
    struct view v = {0};
    u8 t = root_of[process];

    v.table[PT_LEVELS - 1] = t;
    v.writable[PT_LEVELS - 1] = v.exclusive[PT_LEVELS - 1] = true;
    for (unsigned level = PT_LEVELS - 1; level > 0; level--) {
        pte_t e = entries[t * PT_ENTRIES + (page >> level * PT_BITS & (PT_ENTRIES - 1))];
        if (e.bits == 0)
            return v;
        t = (u8)target(e);
        v.table[level - 1] = t;
        v.writable[level - 1] = v.writable[level] && pte_table_writable(e);
        v.exclusive[level - 1] = v.exclusive[level] && now.refs[t] == 1;
    }
    v.leaf = entries[t * PT_ENTRIES + (page & (PT_ENTRIES - 1))];
    return v;
}

static bool mapped(const struct view *v)
{
    return v->leaf.bits != 0;
}

/* ---- the CPUs ---- */

#define CPUS 2 /* 0 is the one whose kernel runs */
static struct cpu_state {
    u8 runs; /* a process; PROCESSES: none */
    struct {
        bool valid, writable;
        u8 page, frame;
    } tlb;
    struct {
        bool valid, writable;
        u8 level, page, frame; /* of the table that was reached; page: the lowest of those it covers */
    } walk;
} cpu_states[CPUS];

struct cpu cpus[MAX_CPUS];

struct cpu *arch_this_cpu(void)
{
    return &cpus[0];
}

void preempt_disable(void)
{
}

void preempt_enable(void)
{
}

static u8 witness, witness_page; /* any process and page of its */
static bool witness_mapped, witness_known; /* known: what it must find is known */
static u8 witness_value;         /* what the process must find there */

static u8 kind_of(u8 frame)
{
#define X(k) frame == k ? page_##k.kind :
    return EACH_FRAME(X) PAGE_FREE;
#undef X
}

/* The lowest page below the same table of this level. */
static u8 lowest(u8 page, u8 level)
{
    return level == 0 ? page & ~(PT_ENTRIES - 1) & PAGES_VA - 1 : 0;
}
_Static_assert(PT_LEVELS == 3, "tables of level 1 cover all that a process has");

/* A CPU fetches the translation of some page. */
static void fetch(struct cpu_state *c)
{
    u8 page = below(PAGES_VA), t = root_of[c->runs], level = PT_LEVELS - 1;
    bool writable = true;
    pte_t e;

    if (c->walk.valid && nondet_bool() && lowest(page, c->walk.level) == c->walk.page) {
        t = c->walk.frame;
        level = c->walk.level;
        writable = c->walk.writable;
    }
    for (unsigned l = PT_LEVELS - 1; l > 0; l--) {
        if (l > level)
            continue;
        e = entries[t * PT_ENTRIES + (page >> l * PT_BITS & (PT_ENTRIES - 1))];
        if (!pte_table_walkable(e))
            return;
        t = (u8)target(e);
        CHECK(kind_of(t) == PAGE_TABLE, "no CPU walks through what is not a table");
        writable = writable && pte_table_writable(e);
        if (nondet_bool()) {
            c->walk.valid = true;
            c->walk.writable = writable;
            c->walk.level = l - 1;
            c->walk.page = lowest(page, l - 1);
            c->walk.frame = t;
        }
    }
    e = entries[t * PT_ENTRIES + (page & (PT_ENTRIES - 1))];
    if (pte_leaf_prot(e) == PROT_NONE)
        return;
    c->tlb.valid = true;
    c->tlb.page = page;
    c->tlb.frame = (u8)target(e);
    c->tlb.writable = writable && pte_leaf_writable(e);
    CHECK(kind_of(c->tlb.frame) == PAGE_DATA || kind_of(c->tlb.frame) == PAGE_OBJECT, "no CPU reaches what is not data");
}

/* A load or a store of a program, through what its CPU has fetched. */
static void use(struct cpu_state *c)
{
    bool mine = c->runs == witness && c->tlb.page == witness_page;

    if (!c->tlb.valid)
        return;
    if (mine && witness_known)
        CHECK(content[c->tlb.frame] == witness_value, "a load finds what the program stored");
    if (!c->tlb.writable || nondet_bool())
        return;
    /* Another's store to a shared page of an object may or may not be seen before a private copy is made. */
    __CPROVER_assume(mine || kind_of(c->tlb.frame) == PAGE_DATA || target(look(witness, witness_page).leaf) != c->tlb.frame);
    content[c->tlb.frame] = nondet_u8() & 3;
    if (mine)
        witness_value = content[c->tlb.frame];
}

/* Whatever the CPUs may do before the next step of the kernel: one of them fetches, the other CPU's program loads or stores. */
static void hardware(void)
{
    struct cpu_state *a = &cpu_states[0], *b = &cpu_states[1];

    bool second = nondet_bool();
    struct cpu_state one = second ? *b : *a;

    if (one.runs < PROCESSES && nondet_bool())
        fetch(&one);
    if (second)
        *b = one;
    else
        *a = one;
    if (b->runs < PROCESSES && nondet_bool())
        use(b);
    CHECK(!(a->runs == b->runs && a->tlb.valid && b->tlb.valid && a->tlb.page == b->tlb.page && (a->tlb.writable || b->tlb.writable)) ||
              a->tlb.frame == b->tlb.frame,
          "no CPU writes to a page while another still reads its old one");
}

static void flush_all(unsigned c)
{
    cpu_states[c].tlb.valid = cpu_states[c].walk.valid = false;
}

void arch_flush_local_all(void)
{
    hardware();
    flush_all(0);
}

void arch_flush_local_page(vaddr_t va)
{
    if (cpu_states[0].tlb.page == va >> PAGE_SHIFT)
        cpu_states[0].tlb.valid = false;
}

void remote_flush_all(u64 mask)
{
    CHECK(mask == 2, "flushes go to other CPUs");
    hardware();
    flush_all(1);
}

static void loads(unsigned process)
{
    cpu_states[0].runs = process;
    flush_all(0);
}

bool arch_has_asids(void)
{
    return false; /* what is kept under identifiers is the host tests' (docs/proof.md) */
}

void arch_activate(paddr_t root, unsigned asid, bool flush)
{
    CHECK(asid > 0 && flush, "without identifiers every load flushes");
    hardware();
    for (unsigned p = 0; p < PROCESSES; p++)
        if (root.pa >> PAGE_SHIFT == root_of[p])
            loads(p);
}

void arch_activate_kernel(void)
{
    loads(PROCESSES);
}

void arch_icache_sync_local(void)
{
}

void remote_icache_sync(u64 mask)
{
    (void)mask;
}

/* ---- pages ---- */

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

struct page *page_alloc_table(enum page_kind kind, enum alloc_flags flags)
{
    struct page *p;

    if (fresh_tables == FRESHES || nondet_bool())
        return NULL;
    p = page_at(FRESH + fresh_tables++);
    p->refs = 1;
    p->kind = (u8)kind;
    return p;
}

struct page *page_alloc(enum page_kind kind, enum alloc_flags flags)
{
    struct page *p = page_at(FRESH_DATA);

    if (fresh_data || nondet_bool())
        return NULL;
    fresh_data = true;
    p->refs = 1;
    p->kind = (u8)kind;
    content[FRESH_DATA] = flags & ALLOC_ZERO ? 0 : nondet_u8() & 3;
    return p;
}

static void freed(struct page *p)
{
    unsigned f = frame_of(p);

    CHECK(p->refs == 0, "what is freed has no references");
    for (unsigned c = 0; c < CPUS; c++)
        CHECK(cpu_states[c].runs >= PROCESSES || !((cpu_states[c].tlb.valid && cpu_states[c].tlb.frame == f) ||
                                                   (cpu_states[c].walk.valid && cpu_states[c].walk.frame == f)),
              "no CPU knows what is freed");
    p->kind = PAGE_FREE;
    content[f] = nondet_u8() & 3;
}

void page_free(struct page *p)
{
    CHECK(p->kind == PAGE_DATA || p->kind == PAGE_OBJECT, "a page of data is freed as one");
    freed(p);
}

void page_free_table(struct page *p)
{
    CHECK(p->kind == PAGE_TABLE && p->used == 0, "a table is freed empty");
    for (unsigned i = 0; i < PT_ENTRIES; i++)
        CHECK(((pte_t *)page_data(p))[i].bits == 0, "a table is freed empty");
    freed(p);
}

void page_put(struct page *p)
{
    if (page_put_last(p))
        page_free(p);
}

static void page_bytes_copy(void *to, const void *from)
{
    content[((pte_t *)to - entries) / PT_ENTRIES] = content[((const pte_t *)from - entries) / PT_ENTRIES];
}

static void page_bytes_clear(void *to)
{
    content[((pte_t *)to - entries) / PT_ENTRIES] = 0;
}

/* ---- the invariants: assumed of the first state, checked of the last ---- */

#define HOLDS(cond, what)             \
    do {                              \
        if (assuming)                 \
            __CPROVER_assume(cond);   \
        else                          \
            CHECK(cond, what);        \
    } while (0)

/* Frames that can be tables are looked at, no others. */
static bool may_be_table(unsigned f)
{
    return f < DATA || (f >= FRESH && f < FRESH_DATA) || f == ROOT2;
}

static void leaf_holds(unsigned table, pte_t e, bool assuming)
{
    unsigned f = target(e);

    HOLDS(now.kind[f] == PAGE_DATA || now.kind[f] == PAGE_OBJECT, "leaves map data");
    if (!pte_leaf_writable(e))
        return;
    HOLDS(!now.sealed[table], "a sealed leaf table lets no write through");
    HOLDS((now.kind[f] == PAGE_OBJECT) == !!(pte_leaf_prot(e) & PROT_OBJECT), "W is for private pages and for those of objects that are shared");
    HOLDS(now.kind[f] == PAGE_OBJECT || now.refs[f] == 1, "a private page that has W has one reference");
}

static void edge_holds(unsigned table, pte_t e, bool assuming)
{
    unsigned f = target(e);

    HOLDS(now.kind[f] == PAGE_TABLE && now.level[f] == now.level[table] - 1, "edges lead to tables of the next level");
    HOLDS(!now.sealed[table] || !pte_table_writable(e) || now.sealed[f], "a sealed table lets no write through");
    /* Stronger than what check.c asks, which does not suffice by itself: the state before must not be ready to break it. */
    HOLDS(!pte_table_writable(e) || now.refs[f] == 1 || now.sealed[f], "an edge that lets writes through leads to a table with one reference, or a sealed one");
}

static void table_holds(unsigned f, u8 counted[], bool assuming)
{
    unsigned used = 0;

    for (unsigned i = 0; i < (f == ROOT0 || f == ROOT1 || f == ROOT2 ? PT_ENTRIES / 2 : PT_ENTRIES); i++) {
        pte_t e = entries[f * PT_ENTRIES + i];
        if (e.bits == 0)
            continue;
        used++;
        HOLDS(now.groups[f] >> i & 1, "groups with an entry are marked");
        HOLDS(target(e) < FRAMES, "entries point to memory");
        counted[target(e)]++;
        if (now.level[f] == 0)
            leaf_holds(f, e, assuming);
        else
            edge_holds(f, e, assuming);
    }
    HOLDS(now.used[f] == used, "a table knows how many entries it has");
}

static void tables_hold(bool assuming)
{
    u8 counted[FRAMES] = {0};

    for (unsigned f = 1; f < FRAMES; f++)
        if (may_be_table(f) && (now.kind[f] == PAGE_TABLE || now.kind[f] == PAGE_ROOT))
            table_holds(f, counted, assuming);
    for (unsigned f = 1; f < FRAMES; f++) {
        if (f == ROOT0 || f == ROOT1 || f == ROOT2)
            continue;
        HOLDS(now.refs[f] == counted[f] + outside[f], "a count is the number of references");
        HOLDS((now.refs[f] == 0) == (now.kind[f] == PAGE_FREE), "what nobody refers to is free");
    }
}

/* Where a write may come to a table that is not this process's alone, the table is sealed. */
static void paths_hold(bool assuming)
{
    for (unsigned p = 0; p < PROCESSES; p++)
        for (u8 page = 0; page < PAGES_VA; page += PT_ENTRIES) {
            struct view v = look(p, page);
            for (unsigned level = 0; level < PT_LEVELS - 1; level++)
                HOLDS(!v.table[level] || !v.writable[level] || v.exclusive[level] || now.sealed[v.table[level]],
                      "what is shared and can be written through is sealed");
        }
}

/* A CPU knows nothing that the tables would not permit. */
static void cpus_hold(bool assuming)
{
    for (unsigned c = 0; c < CPUS; c++) {
        struct cpu_state *s = &cpu_states[c];
        struct view v;

        for (unsigned p = 0; p < PROCESSES; p++)
            HOLDS((spaces[p].cpus >> c & 1) == (s->runs == p), "an address space knows the CPUs that run it");
        if (s->runs >= PROCESSES)
            continue;
        if (s->tlb.valid) {
            v = look(s->runs, s->tlb.page);
            HOLDS(mapped(&v) && target(v.leaf) == s->tlb.frame && pte_leaf_prot(v.leaf) != PROT_NONE,
                  "a CPU has no translation to another page than the tables");
            if (s->tlb.writable)
                HOLDS(pte_leaf_writable(v.leaf) &&
                          v.writable[0] && v.exclusive[0] && (now.kind[s->tlb.frame] == PAGE_OBJECT || now.refs[s->tlb.frame] == 1),
                      "a CPU has no writable translation to what is shared or read-only");
        }
        if (s->walk.valid) {
            v = look(s->runs, s->walk.page);
            HOLDS(v.table[s->walk.level] == s->walk.frame, "a CPU remembers no table that is not on the path");
            if (s->walk.writable)
                HOLDS(now.sealed[s->walk.frame] || (v.exclusive[s->walk.level] && v.writable[s->walk.level]),
                      "a CPU remembers no way to write to what is shared");
        }
    }
}

/* ---- the first state ---- */

static pte_t any_edge(u8 first, u8 n)
{
    u8 to = below(n + 1);
    pte_t e = pte_table((paddr_t){(u64)(first + to) << PAGE_SHIFT});

    if (to == n)
        return (pte_t){0};
    return nondet_bool() ? pte_table_seal(e, false) : e;
}

static pte_t any_leaf(void)
{
    static const u8 prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC};
    u8 to = below(DATAS + 2), prot = prots[below(sizeof prots)];
    pte_t e;

    if (to == DATAS + 1)
        return (pte_t){0};
    if (to < DATAS && page_at(DATA + to)->kind == PAGE_OBJECT && nondet_bool())
        prot |= PROT_OBJECT;
    e = pte_leaf((paddr_t){(u64)(DATA + to) << PAGE_SHIFT}, prot);
    return nondet_bool() ? pte_leaf_seal(e) : e;
}

static u8 counted[FRAMES]; /* references to each, in the first state */

static void table_begins(u8 f, u8 level)
{
    struct page *t = page_at(f);
    unsigned n = level == PT_LEVELS - 1 ? PT_ENTRIES / 2 : PT_ENTRIES, used = 0;

    t->kind = level == PT_LEVELS - 1 ? PAGE_ROOT : PAGE_TABLE;
    t->level = level;
    t->flags = t->kind == PAGE_TABLE && nondet_bool() ? PAGE_F_SEALED : 0;
    t->groups = below(1u << PT_ENTRIES);
    for (unsigned i = 0; i < n; i++) {
        pte_t e = level == PT_LEVELS - 1 ? any_edge(MID, MIDS) : level ? any_edge(LEAF, LEAVES) : any_leaf();
        entries_of(f)[i] = e;
        used += e.bits != 0;
        if (e.bits)
            counted[target(e)] = counted[target(e)] + 1 & 15;
    }
    t->used = used & 3;
}

static void tables_begin(void)
{
    for (u8 f = DATA; f <= ZERO; f++) {
        page_at(f)->kind = f < ZERO && nondet_bool() ? PAGE_OBJECT : PAGE_DATA;
        content[f] = f == ZERO ? 0 : nondet_u8() & 3;
    }
    page_zero = page_at(ZERO);
    table_begins(ROOT0, 2);
    table_begins(ROOT1, 2);
    for (u8 f = MID; f < MID + MIDS; f++)
        table_begins(f, 1);
    for (u8 f = LEAF; f < LEAF + LEAVES; f++)
        table_begins(f, 0);
    for (u8 f = MID; f <= ZERO; f++) {
        outside[f] = f == ZERO || page_at(f)->kind == PAGE_OBJECT ? 1 : nondet_bool();
        page_at(f)->refs = counted[f] + outside[f] & 15;
        if (page_at(f)->refs > 0)
            continue;
        __CPROVER_assume(page_at(f)->used == 0); /* nobody has it: it is no table */
        page_at(f)->kind = PAGE_FREE;
        page_at(f)->flags = 0;
    }
    page_at(ROOT0)->refs = page_at(ROOT1)->refs = page_at(ROOT2)->refs = 1;
    page_at(ROOT2)->kind = PAGE_ROOT;
    page_at(ROOT2)->level = PT_LEVELS - 1;
}

static void cpus_begin(void)
{
    for (unsigned p = 0; p < PROCESSES; p++)
        spaces[p].root = page_at(root_of[p]);
    for (unsigned c = 0; c < CPUS; c++) {
        struct cpu_state *s = &cpu_states[c];

        cpus[c].id = c;
        s->runs = below(3);
        if (s->runs == 2)
            s->runs = PROCESSES;
        else
            spaces[s->runs].cpus |= 1u << c;
        s->tlb.valid = nondet_bool();
        s->tlb.writable = nondet_bool();
        s->tlb.page = below(PAGES_VA);
        s->tlb.frame = DATA + below(DATAS + 1);
        s->walk.valid = nondet_bool();
        s->walk.writable = nondet_bool();
        s->walk.level = below(PT_LEVELS - 1);
        s->walk.page = lowest(below(PAGES_VA), s->walk.level);
        s->walk.frame = MID + below(MIDS + LEAVES);
    }
}

static void begin(void)
{
    struct view v;

    tables_begin();
    cpus_begin();
    now_is();
    tables_hold(true);
    paths_hold(true);
    cpus_hold(true);
    __CPROVER_assume(!(cpu_states[0].runs == cpu_states[1].runs && cpu_states[0].tlb.valid && cpu_states[1].tlb.valid &&
                       cpu_states[0].tlb.page == cpu_states[1].tlb.page && (cpu_states[0].tlb.writable || cpu_states[1].tlb.writable)) ||
                     cpu_states[0].tlb.frame == cpu_states[1].tlb.frame);
    witness = below(2);
    witness_page = below(PAGES_VA);
    v = look(witness, witness_page);
    witness_mapped = mapped(&v);
    witness_known = witness_mapped;
    witness_value = witness_mapped ? content[target(v.leaf)] : nondet_u8();
}

/* What the tables of others have is as it was, but for seals. */
static pte_t before[DATA][PT_ENTRIES];
static bool others[DATA]; /* tables that are not process 0's alone */

static void remember(void)
{
    for (u8 f = MID; f < DATA; f++) {
        others[f] = now.kind[f] == PAGE_TABLE;
        for (unsigned i = 0; i < PT_ENTRIES; i++)
            before[f][i] = entries[f * PT_ENTRIES + i];
    }
    for (u8 page = 0; page < PAGES_VA; page += PT_ENTRIES) {
        struct view v = look(0, page);
        for (unsigned level = 0; level < PT_LEVELS - 1; level++)
            if (v.table[level] && v.exclusive[level])
                others[v.table[level]] = false;
    }
}

static void others_hold(void)
{
    for (u8 f = MID; f < DATA; f++)
        for (unsigned i = 0; others[f] && i < PT_ENTRIES; i++) {
            pte_t was = before[f][i], is = entries[f * PT_ENTRIES + i];

            if (now.kind[f] != PAGE_TABLE)
                continue; /* its last reference went */
            CHECK((was.bits == 0) == (is.bits == 0) && (was.bits == 0 || target(was) == target(is)),
                  "a table that is shared leads where it led");
            if (f >= LEAF)
                CHECK((pte_leaf_prot(was) & ~PROT_WRITE) == (pte_leaf_prot(is) & ~PROT_WRITE) &&
                          (!pte_leaf_writable(is) || pte_leaf_writable(was)),
                      "the leaves of a table that is shared lose nothing but W");
        }
}

/* `same`: the witness's page is to be there as it was. */
static void end(bool same)
{
    struct view v;

    hardware();
    now_is();
    tables_hold(false);
    paths_hold(false);
    cpus_hold(false);
    others_hold();
    v = look(witness, witness_page);
    if (same) {
        CHECK(mapped(&v) == witness_mapped, "no page is lost, and none comes to be");
        CHECK(!mapped(&v) || content[target(v.leaf)] == witness_value, "each process sees its own bytes");
    }
}

/* ---- the operations: as fault.c, mmap.c and vmspace.c call them ---- */

/* Would a CPU that knows nothing be allowed to do this? */
static bool allowed(u8 page, unsigned access)
{
    u8 t = ROOT0;
    bool writable = true;
    unsigned prot;

    for (unsigned level = PT_LEVELS - 1; level > 0; level--) {
        pte_t e = entries[t * PT_ENTRIES + (page >> level * PT_BITS & (PT_ENTRIES - 1))];
        if (!pte_table_walkable(e))
            return false;
        writable = writable && pte_table_writable(e);
        t = (u8)target(e);
    }
    prot = pte_leaf_prot(entries[t * PT_ENTRIES + (page & (PT_ENTRIES - 1))]);
    return prot & access && (access != PROT_WRITE || writable);
}

static u8 range_first, range_end; /* pages */

static void any_range(void)
{
    range_first = below(PAGES_VA);
    range_end = 1 + below(PAGES_VA);
    __CPROVER_assume(range_first < range_end);
}

static bool in_range(u8 page)
{
    return page >= range_first && page < range_end;
}

static u8 page_of_fault;
static struct pt_path path;
static unsigned witness_prot; /* that its entry granted before */

static void fault_begins(void)
{
    struct view v;

    begin();
    page_of_fault = below(PAGES_VA);
    remember();
    v = look(witness, witness_page);
    witness_prot = pte_leaf_prot(v.leaf);
    pt_find(&spaces[0], ((u64)page_of_fault << PAGE_SHIFT) + 8, &path);
    v = look(0, page_of_fault);
    CHECK(path.leaf.bits == v.leaf.bits, "a walk finds the entry");
    CHECK(!(path.allows & PROT_READ) || allowed(page_of_fault, PROT_READ), "a walk knows what the CPU may read");
    CHECK(!(path.allows & PROT_WRITE) == !allowed(page_of_fault, PROT_WRITE), "a walk knows what the CPU may write");
    CHECK(!path.open || (v.exclusive[0] && v.writable[0]), "a path that is called open is private and writable");
}

/* The witness's entry grants no more than it did, or than `prot` where the fault may change it. */
static void grants_end(unsigned prot)
{
    struct view v = look(witness, witness_page);
    bool may_change = witness == 0 && (in_range(witness_page) || witness_page == page_of_fault);

    CHECK(!(pte_leaf_prot(v.leaf) & ~witness_prot & ~(may_change ? prot : 0)), "no entry grants what it should not");
}

/* A store to a private page that is there; [range_first, range_end) is its region. */
static void op_write(void)
{
    unsigned prot = PROT_READ | PROT_WRITE | (nondet_bool() ? PROT_EXEC : 0);
    struct pt_reserve r;

    fault_begins();
    any_range();
    __CPROVER_assume(in_range(page_of_fault) && path.leaf.bits && !(path.allows & PROT_WRITE));
    if (!pt_reserve(&path, pt_needs_copy(&path), 0, &r)) {
        pt_grant_write(&spaces[0], &path, prot, (u64)range_first << PAGE_SHIFT, (u64)range_end << PAGE_SHIFT, &r);
        pt_reserve_release(&r);
        CHECK(allowed(page_of_fault, PROT_WRITE), "the store can be done");
    }
    end(true);
    grants_end(prot);
}

/* A load from a page that is there. */
static void op_read(void)
{
    fault_begins();
    __CPROVER_assume(pte_leaf_prot(path.leaf) & PROT_READ);
    pt_open_read(&spaces[0], (u64)page_of_fault << PAGE_SHIFT);
    CHECK(allowed(page_of_fault, PROT_READ), "the load can be done");
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
    if (witness == 0 && witness_page == page_of_fault) {
        witness_known = !from_object;
        witness_value = 0;
    }
    if (!pt_reserve(&path, false, 0, &r)) {
        if (from_object) {
            page = page_at(DATA + below(DATAS));
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
            CHECK(allowed(page_of_fault, write ? PROT_WRITE : PROT_READ), "the access can be done");
        }
        pt_reserve_release(&r);
    }
    end(witness == 1 || witness_page != page_of_fault);
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
        CHECK(allowed(page_of_fault, PROT_READ) && (!(prot & PROT_WRITE) || allowed(page_of_fault, PROT_WRITE)), "the access can be done");
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
        CHECK(!mapped(&v) || content[target(v.leaf)] == witness_value, "the child has the bytes of its parent");
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
        CHECK(!mapped(&v) || content[target(v.leaf)] == witness_value, "the child has the bytes of its parent");
    }
}

static void op_unmap(void)
{
    struct pt_reserve r;
    struct view v;
    int err;

    begin();
    any_range();
    remember();
    err = pt_reserve_unmap(&spaces[0], (u64)range_first << PAGE_SHIFT, (u64)range_end << PAGE_SHIFT, &r);
    if (!err) {
        pt_unmap(&spaces[0], (u64)range_first << PAGE_SHIFT, (u64)range_end << PAGE_SHIFT, &r);
        pt_reserve_release(&r);
    }
    end(err || witness == 1 || !in_range(witness_page));
    v = look(0, witness_page);
    CHECK(err || !in_range(witness_page) || !mapped(&v), "what was unmapped is gone");
}

static void op_protect(void)
{
    unsigned take = nondet_u8() & (PROT_READ | PROT_WRITE | PROT_EXEC);
    struct pt_reserve r;
    struct view v;

    begin();
    any_range();
    remember();
    pt_reserve_init(&r);
    if (!(take & ~PROT_WRITE) || !pt_reserve_range(&spaces[0], (u64)range_first << PAGE_SHIFT, (u64)range_end << PAGE_SHIFT, &r)) {
        pt_restrict(&spaces[0], (u64)range_first << PAGE_SHIFT, (u64)range_end << PAGE_SHIFT, take, &r);
        pt_reserve_release(&r);
        now_is();
        v = look(0, witness_page);
        CHECK(!in_range(witness_page) || !(pte_leaf_prot(v.leaf) & take), "no entry grants what was taken away");
    }
    end(true);
}

static void op_move(void)
{
    u8 to = below(PAGES_VA), pages;
    struct pt_reserve src, dst;
    struct view v;
    bool moved;

    begin();
    any_range();
    pages = range_end - range_first;
    __CPROVER_assume(pages <= 2 && to + pages <= PAGES_VA && (to >= range_end || to + pages <= range_first));
    for (u8 page = 0; page < PAGES_VA; page++) {
        v = look(0, page);
        __CPROVER_assume(page < to || page >= to + pages || !mapped(&v));
    }
    remember();
    pt_reserve_init(&src);
    pt_reserve_init(&dst);
    moved = !pt_reserve_range(&spaces[0], (u64)range_first << PAGE_SHIFT, (u64)range_end << PAGE_SHIFT, &src) &&
            !pt_reserve_fresh((u64)to << PAGE_SHIFT, (u64)(to + pages) << PAGE_SHIFT, &dst);
    if (moved)
        pt_move(&spaces[0], (u64)range_first << PAGE_SHIFT, (u64)to << PAGE_SHIFT, (u64)pages << PAGE_SHIFT, &src, &dst);
    pt_reserve_release(&src);
    pt_reserve_release(&dst);
    if (moved && witness == 0 && in_range(witness_page)) {
        now_is();
        v = look(0, witness_page);
        CHECK(!mapped(&v), "what was moved is gone from its old place");
        v = look(0, witness_page - range_first + to & PAGES_VA - 1);
        CHECK(mapped(&v) == witness_mapped, "what was moved is in its new place");
        CHECK(!mapped(&v) || content[target(v.leaf)] == witness_value, "what was moved is what it was");
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
    pt_drop_all(&spaces[0]);
    end(witness == 1);
    CHECK(page_at(ROOT0)->used == 0, "the root is empty");
}

static void op_switch(void)
{
    u8 to = below(3);
    struct vmspace *prev, *next = to < 2 ? &spaces[to] : NULL;

    begin();
    remember();
    prev = cpu_states[0].runs < 2 ? &spaces[cpu_states[0].runs] : NULL;
    vmspace_switch(prev, next);
    CHECK(cpu_states[0].runs == (to < 2 ? to : PROCESSES), "the CPU runs what it was told to");
    end(true);
}

int main(void)
{
    OPERATION();
#ifdef REACHED
    CHECK(false, "the end is reached");
#endif
    return 0;
}
