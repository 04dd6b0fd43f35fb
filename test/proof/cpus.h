/*
 * The CPUs of the proof, and what they may remember: a root register, one translation
 * and one table for each of two CPUs.
 *
 * An invariant that speaks of each translation by itself needs no second one: the
 * one that is modelled is any of those that a CPU may have. It is fetched anew, or
 * kept, whenever the kernel stores to a table (hardware()), and goes only in a flush
 * that covers it. All are of one page, `observed`, which is any; the remembered table
 * is one on the way to it.
 *
 * CPU 0 also keeps one of each under one of its identifiers, which is any, while its
 * root register has another: what any CPU keeps of what it does not run is like this.
 * Nothing is fetched under it until it is loaded. holds.h says when it may be used.
 */
#pragma once

#define PROCESSES 3 /* the third is the child of a fork, and empty else */
#define CPUS 2      /* 0 is the one whose kernel runs */
static u8 observed;
static struct cpu_state {
    u8 runs; /* a process; PROCESSES: none */
    struct {
        bool valid, writable;
        u8 frame;
    } tlb;
    struct {
        bool valid, writable;
        u8 level, frame; /* of the table that was reached */
    } walk;
} cpu_states[CPUS];
static bool has_asids;
static struct cpu_state kept; /* under kept_asid, unless that is loaded; .runs is nothing */
static u8 kept_asid;          /* 1 ... TLB_ASIDS, as arch_activate has them */
static u8 loaded_asid;        /* CPU 0's; 0: the kernel's */

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

static pte_t root_of(unsigned process)
{
    return root_entry(ROOT(process));
}

/* A table has been reached, and may be remembered. False: the CPU cannot go on. */
static bool walks(struct cpu_state *c, pte_t e, u8 level, u8 *t, bool *writable)
{
    if (!pte_table_walkable(e))
        return false;
    *t = (u8)target(e);
    *writable = *writable && pte_table_writable(e);
    CHECK(kind_of(*t) == PAGE_TABLE && level_of(*t) == level, "no CPU walks through what is not a table of the next level");
    if (nondet_bool()) {
        c->walk.valid = true;
        c->walk.writable = *writable;
        c->walk.level = level;
        c->walk.frame = *t;
    }
    return true;
}

/* A CPU fetches the translation of the page, from the root or from the table that it remembers. */
static void fetch(struct cpu_state *c)
{
    bool remembered = c->walk.valid && nondet_bool(), writable = true;
    u8 mid = c->walk.frame, leaf = c->walk.frame;
    pte_t e;

    if (remembered)
        writable = c->walk.writable;
    else if (!walks(c, root_of(c->runs), 1, &mid, &writable))
        return;
    if (!(remembered && c->walk.level == 0) && !walks(c, mid_entry(mid, observed >> PT_BITS), 0, &leaf, &writable))
        return;
    e = leaf_entry(leaf, observed & (PT_ENTRIES - 1));
    if (pte_leaf_prot(e) == PROT_NONE)
        return;
    c->tlb.valid = true;
    c->tlb.frame = (u8)target(e);
    c->tlb.writable = writable && pte_leaf_writable(e);
    CHECK(kind_of(c->tlb.frame) == PAGE_DATA || kind_of(c->tlb.frame) == PAGE_OBJECT, "no CPU reaches what is not data");
}

/* A load or a store of a program, through what its CPU has fetched. */
static void use(struct cpu_state *c)
{
    bool mine = c->runs == witness && observed == witness_page;

    if (!c->tlb.valid)
        return;
    if (mine && witness_known)
        CHECK(content_of(c->tlb.frame) == witness_value, "a load finds what the program stored");
    if (!c->tlb.writable || nondet_bool())
        return;
    /* Another's store to a shared page of an object may or may not be seen before a private copy is made. */
    __CPROVER_assume(mine || kind_of(c->tlb.frame) == PAGE_DATA);
    content_set(c->tlb.frame, nondet_u8() & 3);
    if (mine)
        witness_value = content_of(c->tlb.frame);
}

/* Does one write to a page while the other still reads what was there before? */
static bool cpus_agree(void)
{
    struct cpu_state *a = &cpu_states[0], *b = &cpu_states[1];

    return !(a->runs == b->runs && a->tlb.valid && b->tlb.valid && (a->tlb.writable || b->tlb.writable)) ||
           a->tlb.frame == b->tlb.frame;
}

/* Whatever the CPUs may do before the next step of the kernel: one of them fetches, the other CPU's program loads or stores. */
static void hardware(void)
{
    bool second = nondet_bool();
    struct cpu_state one = second ? cpu_states[1] : cpu_states[0];

    if (one.runs < PROCESSES && nondet_bool())
        fetch(&one);
    if (second)
        cpu_states[1] = one;
    else
        cpu_states[0] = one;
    if (cpu_states[1].runs < PROCESSES && nondet_bool())
        use(&cpu_states[1]);
    CHECK(cpus_agree(), "no CPU writes to a page while another still reads its old one");
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
    if (observed == va >> PAGE_SHIFT)
        cpu_states[0].tlb.valid = false;
}

void remote_flush_all(u64 mask)
{
    CHECK(mask == 2, "flushes go to other CPUs");
    hardware();
    flush_all(1);
}

/* What is remembered under the identifier that is left stays under it. Of one that is not kept_asid, nothing is modelled. */
static void loads(unsigned process, u8 asid, bool flush)
{
    if (loaded_asid == kept_asid)
        kept = cpu_states[0];
    cpu_states[0] = kept;
    cpu_states[0].runs = process;
    if (asid != kept_asid || flush)
        flush_all(0);
    loaded_asid = asid;
}

bool arch_has_asids(void)
{
    return has_asids;
}

void arch_activate(paddr_t root, unsigned asid, bool flush)
{
    CHECK(asid > 0 && asid <= TLB_ASIDS, "an address space's identifier is not the kernel's");
    CHECK(has_asids || flush, "without identifiers every load flushes");
    hardware();
    for (unsigned p = 0; p < PROCESSES; p++)
        if (root.pa >> PAGE_SHIFT == ROOT(p))
            loads(p, asid, flush);
}

void arch_activate_kernel(void)
{
    loads(PROCESSES, 0, false);
}

void arch_icache_sync_local(void)
{
}

void remote_icache_sync(u64 mask)
{
    (void)mask;
}

/* Does a CPU know this frame, as a page or as a table? */
static bool cpu_knows(const struct cpu_state *c, unsigned f)
{
    return c->runs < PROCESSES && ((c->tlb.valid && c->tlb.frame == f) || (c->walk.valid && c->walk.frame == f));
}
