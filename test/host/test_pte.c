/*
 * The page-table codec: what the tree (kernel/vm) relies on, whatever the bits.
 * Every property is checked for all protections and for the lowest and highest
 * physical pages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <machine/pte.h>

#ifdef PTE_V /* Sv39; else x86-64 */
#define FRAME_BITS 44
#else
#define FRAME_BITS 40
#endif
static const paddr_t pages[] = {{0x1000}, {0x80200000}, {0x4ffffff000}, {((1ul << FRAME_BITS) - 1) << PAGE_SHIFT}};

#define FOR_EACH_PAGE(p) for (const paddr_t *p = pages; p < pages + ARRAY_SIZE(pages); p++)

static void empty_is_empty_and_nothing_else(void **state)
{
    (void)state;
    assert_true(pte_is_empty((pte_t){0}));
    FOR_EACH_PAGE(p) {
        assert_false(pte_is_empty(pte_table(*p)));
        assert_false(pte_is_empty(pte_table_seal(pte_table(*p), false)));
        for (unsigned prot = 0; prot < 8; prot++)
            assert_false(pte_is_empty(pte_leaf(*p, prot)));
    }
}

static void leaf_keeps_page_and_grants_no_more(void **state)
{
    (void)state;
    FOR_EACH_PAGE(p)
        for (unsigned prot = 0; prot < 8; prot++) {
            pte_t e = pte_leaf(*p, prot);
            unsigned got = pte_leaf_prot(e);

            assert_int_equal(pte_paddr(e).pa, p->pa);
            assert_int_equal(got & PROT_WRITE, prot & PROT_WRITE);
            assert_int_equal(got & PROT_EXEC, prot & PROT_EXEC);
            assert_int_equal(got == PROT_NONE, prot == PROT_NONE);
            assert_int_equal(pte_leaf_writable(e), (prot & PROT_WRITE) != 0);
            assert_false(pte_leaf_cow(e));
        }
}

static void sealed_leaf_cannot_be_written_and_text_gets_no_mark(void **state)
{
    (void)state;
    FOR_EACH_PAGE(p)
        for (unsigned prot = 0; prot < 8; prot++) {
            pte_t e = pte_leaf(*p, prot), sealed = pte_leaf_seal(e);

            assert_false(pte_leaf_writable(sealed));
            assert_int_equal(pte_paddr(sealed).pa, p->pa);
            assert_int_equal(pte_leaf_cow(sealed), pte_leaf_writable(e));
            assert_int_equal(pte_leaf_prot(sealed), pte_leaf_prot(e) & ~(unsigned)PROT_WRITE);
            assert_int_equal(pte_leaf_seal(sealed).bits, sealed.bits);
        }
}

static void sealed_edge_blocks_writing_until_opened(void **state)
{
    (void)state;
    FOR_EACH_PAGE(p) {
        pte_t open = pte_table(*p), linked = pte_table_seal(open, false);

        assert_true(pte_table_walkable(open) && pte_table_writable(open));
        assert_false(pte_table_writable(linked));
        assert_int_equal(pte_paddr(linked).pa, p->pa);
        assert_int_equal(pte_table_seal(linked, false).bits, linked.bits);
        assert_true(pte_table_walkable(pte_table_validate(linked)));
        assert_int_equal(pte_table_open(linked).bits, open.bits);
    }
}

static void edge_to_sealed_table_stays_walkable(void **state)
{
    (void)state;
    FOR_EACH_PAGE(p)
        assert_true(pte_table_walkable(pte_table_seal(pte_table(*p), true)));
}

#ifdef PTE_V
/* Privileged specification, section 4.4.1: W without R is reserved; bits 54-63 must be zero here. */
static void no_reserved_encoding(void **state)
{
    (void)state;
    FOR_EACH_PAGE(p)
        for (unsigned prot = 0; prot < 8; prot++) {
            u64 bits = pte_leaf(*p, prot).bits;

            if ((bits & PTE_V) && (bits & PTE_W))
                assert_true(bits & PTE_R);
            assert_int_equal(bits >> 54, 0);
            if (bits & PTE_V)
                assert_true((bits & PTE_A) && !!(bits & PTE_D) == !!(bits & PTE_W));
        }
}
#else
/* SDM volume 3A, section 4.5: bits 52-62 are ignored or reserved, PWT, PCD and PAT choose another memory type. */
static void no_reserved_encoding(void **state)
{
    (void)state;
    FOR_EACH_PAGE(p)
        for (unsigned prot = 0; prot < 8; prot++) {
            u64 bits = pte_leaf(*p, prot).bits;

            assert_int_equal(bits >> 52 & 0x7ff, 0);
            assert_int_equal(bits & 0x98, 0);
            if (bits & PTE_P)
                assert_true((bits & PTE_A) && (bits & PTE_US) && !!(bits & PTE_D) == !!(bits & PTE_RW));
            assert_int_equal(pte_table(*p).bits & (PTE_NX | 0x98), 0);
        }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_is_empty_and_nothing_else),
        cmocka_unit_test(leaf_keeps_page_and_grants_no_more),
        cmocka_unit_test(sealed_leaf_cannot_be_written_and_text_gets_no_mark),
        cmocka_unit_test(sealed_edge_blocks_writing_until_opened),
        cmocka_unit_test(edge_to_sealed_table_stays_walkable),
        cmocka_unit_test(no_reserved_encoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
