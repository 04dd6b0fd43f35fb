/*
 * The invariants of the proof: assumed of the first state, checked of the last. Each
 * speaks of one entry, one count, one CPU; what vm.h and check.c say of paths follows
 * (op_paths).
 */
#pragma once

#define HOLDS(cond, what)             \
    do {                              \
        if (assuming)                 \
            __CPROVER_assume(cond);   \
        else                          \
            CHECK(cond, what);        \
    } while (0)

/* ---- what the tables say of an address ---- */

struct view {
    u8 mid, leaf_table; /* 0: none */
    bool mid_writable, mid_exclusive, writable, exclusive; /* the path to each */
    pte_t leaf;
};

static struct view look(unsigned process, u8 page)
{
    pte_t e = root_of(process);
    struct view v = {0};

    if (e.bits == 0)
        return v;
    v.mid = (u8)target(e);
    v.mid_writable = pte_table_writable(e);
    v.mid_exclusive = refs_of(v.mid) == 1;
    e = mid_entry(v.mid, page >> PT_BITS);
    if (e.bits == 0)
        return v;
    v.leaf_table = (u8)target(e);
    v.writable = v.mid_writable && pte_table_writable(e);
    v.exclusive = v.mid_exclusive && refs_of(v.leaf_table) == 1;
    v.leaf = leaf_entry(v.leaf_table, page & (PT_ENTRIES - 1));
    return v;
}

static bool mapped(const struct view *v)
{
    return v->leaf.bits != 0;
}

/* ---- entries ---- */

static void leaf_holds(const struct page *t, pte_t e, bool assuming)
{
    unsigned f = target(e);

    HOLDS(kind_of(f) == PAGE_DATA || kind_of(f) == PAGE_OBJECT, "leaves map data");
    if (!pte_leaf_writable(e))
        return;
    HOLDS(!(t->flags & PAGE_F_SEALED), "a sealed leaf table lets no write through");
    HOLDS((kind_of(f) == PAGE_OBJECT) == !!(pte_leaf_prot(e) & PROT_OBJECT), "W is for private pages and for those of objects that are shared");
    HOLDS(kind_of(f) == PAGE_OBJECT || refs_of(f) == 1, "a private page that has W has one reference");
}

static void edge_holds(const struct page *t, pte_t e, bool assuming)
{
    unsigned f = target(e);
    bool open = pte_table_writable(e) && !sealed_of(f);

    HOLDS(kind_of(f) == PAGE_TABLE && level_of(f) == t->level - 1, "edges lead to tables of the next level");
    HOLDS(!open || !(t->flags & PAGE_F_SEALED), "a sealed table lets no write through");
    HOLDS(!open || refs_of(f) == 1, "an edge that lets writes through leads to a table with one reference, or a sealed one");
}

static void table_holds(const struct page *t, const pte_t *slots, unsigned entries, bool assuming)
{
    unsigned used = 0;

    if (t->kind == PAGE_FREE)
        return;
    for (unsigned i = 0; i < entries; i++) {
        if (slots[i].bits == 0)
            continue;
        used++;
        HOLDS(t->groups >> i & 1, "groups with an entry are marked");
        if (t->level == 0)
            leaf_holds(t, slots[i], assuming);
        else
            edge_holds(t, slots[i], assuming);
    }
    HOLDS(t->used == used, "a table knows how many entries it has");
}

/* ---- counts ---- */

static u8 outside[32]; /* references from elsewhere: other processes, an object */

static u8 leads(const pte_t e, unsigned f)
{
    return e.bits != 0 && target(e) == f;
}

#define IN(k) + (page_##k.kind != PAGE_FREE ? leads(entries_##k[0], f) + leads(entries_##k[1], f) : 0)
#define IN_ROOT(k) + leads(entries_##k[0], f)
#define IN_FRESH(k) + (page_##k.kind != PAGE_FREE && page_##k.level == level ? leads(entries_##k[0], f) + leads(entries_##k[1], f) : 0)
static u8 counted_by_roots(unsigned f)
{
    return 0 EACH_ROOT(IN_ROOT);
}

static u8 counted_by_mids(unsigned f)
{
    u8 level = 1;

    return 0 EACH_MID(IN) EACH_FRESH(IN_FRESH);
}

static u8 counted_by_leaves(unsigned f)
{
    u8 level = 0;

    return 0 EACH_LEAF(IN) EACH_FRESH(IN_FRESH);
}

static void count_holds(const struct page *p, unsigned f, u8 counted, bool assuming)
{
    if (assuming) {
        outside[f] = (u8)p->refs - counted;
        __CPROVER_assume(p->refs >= counted + (f == ZERO || p->kind == PAGE_OBJECT ? 1 : 0));
    } else {
        CHECK(p->refs == (u32)counted + outside[f], "a count is the number of references");
        CHECK((p->refs == 0) == (p->kind == PAGE_FREE), "what nobody refers to is free");
    }
}

static void counts_hold(bool assuming)
{
#define X(k) count_holds(&page_##k, k, counted_by_roots(k), assuming);
    EACH_MID(X)
#undef X
#define X(k) count_holds(&page_##k, k, counted_by_mids(k), assuming);
    EACH_LEAF(X)
#undef X
#define X(k) if (!assuming) count_holds(&page_##k, k, counted_by_roots(k) + counted_by_mids(k), false);
    EACH_FRESH(X)
#undef X
#define X(k) if (!assuming || k != FRESH_DATA) count_holds(&page_##k, k, counted_by_leaves(k), assuming);
    EACH_DATA(X)
#undef X
}

static void tables_hold(bool assuming)
{
#define X(k) table_holds(&page_##k, entries_##k, PT_ENTRIES / 2, assuming);
    EACH_ROOT(X)
#undef X
#define X(k) table_holds(&page_##k, entries_##k, PT_ENTRIES, assuming);
    EACH_MID(X)
    EACH_LEAF(X)
#undef X
#define X(k) if (!assuming) table_holds(&page_##k, entries_##k, PT_ENTRIES, false);
    EACH_FRESH(X)
#undef X
    counts_hold(assuming);
}

/* A leaf table is found by one entry of the tables above: so it covers the same addresses in each process that has it. */
static bool one_place(pte_t a, pte_t b)
{
    return a.bits == 0 || b.bits == 0 || target(a) != target(b);
}

#define SLOT_OF_MID(k, i) (page_##k.level == 1 ? entries_##k[i] : (pte_t){0})
static bool nowhere_second(pte_t a)
{
#define X(k) && one_place(a, SLOT_OF_MID(k, 1))
    return true EACH_MID(X) EACH_FRESH(X);
#undef X
}

static void places_hold(void)
{
#define X(k) CHECK(nowhere_second(SLOT_OF_MID(k, 0)), "a table is at one place");
    EACH_MID(X)
    EACH_FRESH(X)
#undef X
}

/* ---- CPUs: none knows anything that the tables would not permit ---- */

static void translation_holds(const struct cpu_state *s, const struct view *v, bool assuming)
{
    HOLDS(mapped(v) && target(v->leaf) == s->tlb.frame && pte_leaf_prot(v->leaf) != PROT_NONE,
          "a CPU has no translation to another page than the tables");
    HOLDS(!s->tlb.writable || (pte_leaf_writable(v->leaf) && v->writable && v->exclusive &&
                               (kind_of(s->tlb.frame) == PAGE_OBJECT || refs_of(s->tlb.frame) == 1)),
          "a CPU has no writable translation to what is shared or read-only");
}

static void walk_holds(const struct cpu_state *s, const struct view *v, bool assuming)
{
    u8 t = s->walk.level == 0 ? v->leaf_table : v->mid;
    bool open = s->walk.level == 0 ? v->exclusive && v->writable : v->mid_exclusive && v->mid_writable;

    HOLDS(t && t == s->walk.frame, "a CPU remembers no table that is not on the path");
    HOLDS(!s->walk.writable || open || sealed_of(t), "a CPU remembers no way to write to what is shared");
}

static void cpu_holds(const struct cpu_state *s, bool assuming)
{
    struct view v;

    if (s->runs >= PROCESSES)
        return;
    v = look(s->runs, observed);
    if (s->tlb.valid)
        translation_holds(s, &v, assuming);
    if (s->walk.valid)
        walk_holds(s, &v, assuming);
}

/* ---- identifiers: what is noted for one is no more than what has been forgotten under it ---- */

static u8 ended = PROCESSES; /* a process that nobody can load any more */

/* Of kept_asid. */
static struct tlb_asid noted(void)
{
    struct tlb_asid a = {0};

    for (unsigned i = 0; i < TLB_ASIDS; i++)
        if (kept_asid == i + 1)
            a = cpus[0].asids[i];
    return a;
}

/* What is kept, as of a CPU that runs the process which finds it when it is loaded, if there is one. */
static struct cpu_state kept_state(void)
{
    struct tlb_asid a = noted();
    struct cpu_state s = kept;

    s.runs = PROCESSES;
    for (unsigned p = 0; p < PROCESSES; p++)
        if (loaded_asid != kept_asid && p != ended && a.vm_id == spaces[p].id && a.flushes == spaces[p].flushes)
            s.runs = p;
    return s;
}

static void asids_hold(bool assuming)
{
    struct tlb_asid a = noted();
    struct cpu_state s = kept_state();
    u8 runs = cpu_states[0].runs;

    HOLDS(cpus[0].asid < TLB_ASIDS, "an identifier has an index");
    HOLDS(loaded_asid == (runs < PROCESSES ? cpus[0].asid + 1 : 0), "a CPU knows the identifier in its root register");
    for (unsigned p = 0; p < PROCESSES; p++) {
        HOLDS(spaces[p].asid_hint < TLB_ASIDS, "an identifier has an index");
        HOLDS(runs != p || cpus[0].asids[cpus[0].asid].vm_id == spaces[p].id, "an identifier is that of the process that is loaded");
        HOLDS(a.vm_id != spaces[p].id || a.flushes <= spaces[p].flushes, "no flush is noted that has not been");
    }
    cpu_holds(&s, assuming);
}

static void cpus_hold(bool assuming)
{
    for (unsigned c = 0; c < CPUS; c++) {
        for (unsigned p = 0; p < PROCESSES; p++)
            HOLDS((spaces[p].cpus >> c & 1) == (cpu_states[c].runs == p), "an address space knows the CPUs that run it");
        cpu_holds(&cpu_states[c], assuming);
    }
    asids_hold(assuming);
    HOLDS(cpus_agree(), "no CPU writes to a page while another still reads its old one");
}
