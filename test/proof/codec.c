/*
 * What machine.h and tree.c put in the place of arithmetic, proved of the shipped
 * code for every value: how an entry's frame becomes a descriptor, which bit of a
 * word is the lowest, and which groups for_each_group visits.
 */
#include "lib/types.h"
#include <machine/pte.h>
#include "vm/table.h"

#define CHECK(cond, what) __CPROVER_assert(cond, what)
u64 nondet_u64(void);
unsigned nondet_unsigned(void);

static void entries(void)
{
    pte_t e = {nondet_u64()};
    paddr_t pa = {nondet_u64()};
    unsigned prot = nondet_unsigned() & 15;

    CHECK(pte_frame_32(e) == (pte_paddr(e).pa >> PAGE_SHIFT) * sizeof(struct page), "an entry's frame is that of its address");
    __CPROVER_assume(pa.pa % PAGE_SIZE == 0 && pa.pa >> PAGE_SHIFT < 1ul << 40);
    CHECK(pte_paddr(pte_leaf(pa, prot)).pa == pa.pa && pte_paddr(pte_table(pa)).pa == pa.pa, "an entry keeps its address");
    CHECK(pte_paddr(pte_leaf_seal(pte_leaf(pa, prot))).pa == pa.pa, "sealing keeps the address");
    CHECK(pte_paddr(pte_table_seal(pte_table(pa), prot & 1)).pa == pa.pa, "sealing keeps the address");
    CHECK(!pte_leaf_writable(pte_leaf_seal(pte_leaf(pa, prot))), "a sealed leaf has no W");
    CHECK(!pte_table_writable(pte_table_seal(pte_table(pa), false)), "nothing passes a sealed edge");
}

static void words(void)
{
    u64 v = nondet_u64();
    unsigned bit;

    __CPROVER_assume(v != 0);
    bit = lowest_bit(v);
    CHECK(bit < 64 && v >> bit & 1 && (v & ((1ul << bit) - 1)) == 0, "the lowest bit is found");
}

static void groups(void)
{
    u64 all = nondet_u64() & 3, left = all, seen = 0;
    unsigned last = 0;

    for_each_group(g, left) {
        CHECK(g >= last && g < 2 && (all >> g & 1) && !(seen >> g & 1), "groups come in order, each once");
        seen |= 1ul << g;
        last = g;
    }
    CHECK(seen == all, "all groups come");
}

int main(void)
{
    entries();
    words();
    groups();
    return 0;
}
