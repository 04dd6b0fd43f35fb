/*
 * lib/fdt.c: a small tree made here, the one that QEMU makes for its machine
 * (if there is a QEMU), and both with bytes changed at random: the sanitizer
 * sees any access beside the blob, and every walk must end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/fdt.c"

#define ROUNDS 4000

/* ---- making a blob: header, one reservation and the end mark, structure, strings ---- */

static u8 blob[8192];
static u32 blob_size, structs_at;
static char names[1024];
static u32 names_size;

static void put32_at(u32 at, u32 v)
{
    for (unsigned i = 0; i < 4; i++)
        blob[at + i] = (u8)(v >> (24 - 8 * i));
}

static void put32(u32 v)
{
    put32_at(blob_size, v);
    blob_size += 4;
}

static void put_bytes(const void *p, size_t n)
{
    memcpy(blob + blob_size, p, n);
    blob_size = (blob_size + (u32)n + 3) / 4 * 4;
}

static void begin(const char *name)
{
    put32(BEGIN_NODE);
    put_bytes(name, strlen(name) + 1);
}

static void end(void)
{
    put32(END_NODE);
}

static void prop(const char *name, const void *value, size_t n)
{
    put32(PROP);
    put32((u32)n);
    put32(names_size);
    strcpy(names + names_size, name);
    names_size += (u32)strlen(name) + 1;
    put_bytes(value, n);
}

static void prop_string(const char *name, const char *value)
{
    prop(name, value, strlen(value) + 1);
}

static void prop_cells(const char *name, unsigned n, ...)
{
    u8 value[64];
    va_list ap;

    va_start(ap, n);
    for (unsigned i = 0; i < n; i++) {
        u32 v = va_arg(ap, u32);
        for (unsigned b = 0; b < 4; b++)
            value[4 * i + b] = (u8)(v >> (24 - 8 * b));
    }
    va_end(ap);
    prop(name, value, 4ul * n);
}

static void blob_start(void)
{
    memset(blob, 0, sizeof blob);
    names_size = 0;
    blob_size = 40;
    put32(0), put32(0x80000000), put32(0), put32(0x2000);
    put32(0), put32(0), put32(0), put32(0);
    structs_at = blob_size;
}

static void blob_finish(void)
{
    u32 structs_end;

    put32(9);
    structs_end = blob_size;
    put_bytes(names, names_size);
    put32_at(0, MAGIC);
    put32_at(4, blob_size);
    put32_at(8, structs_at);
    put32_at(12, structs_end);
    put32_at(16, 40);
    put32_at(20, 17);
    put32_at(24, 16);
    put32_at(32, names_size);
    put32_at(36, structs_end - structs_at);
}

static void make_devices(void)
{
    begin("soc");
    prop_cells("#address-cells", 1, 2);
    prop_cells("#size-cells", 1, 2);
    prop("compatible", "simple-bus", 11);
    begin("serial@10000000");
    prop("compatible", "vendor,fast-uart\0ns16550a", 26);
    prop_cells("reg", 8, 0, 0x10000000, 0, 0x100, 1, 0x20000000, 0, 0x200);
    prop_cells("phandle", 1, 7);
    prop_cells("interrupts", 1, 10);
    end();
    begin("serial@20000000");
    prop("compatible", "ns16550a", 9);
    prop_cells("phandle", 1, 8);
    end();
    end();
}

static void make_tree(void)
{
    blob_start();
    put32(NOP);
    begin("");
    prop_cells("#address-cells", 1, 2);
    put32(NOP);
    prop_cells("#size-cells", 1, 1);
    prop_string("model", "a small machine");
    begin("chosen");
    prop_string("bootargs", "console=framed loglevel=7");
    prop("unended", "abc", 3);
    prop("empty", "", 0);
    end();
    begin("memory@80000000");
    prop_string("device_type", "memory");
    prop_cells("reg", 3, 0, 0x80000000, 0x10000000);
    end();
    begin("cpus");
    prop_cells("#address-cells", 1, 1);
    prop_cells("#size-cells", 1, 0);
    begin("cpu@1");
    prop_cells("reg", 1, 1);
    end();
    end();
    make_devices();
    begin("nothing");
    prop_cells("#address-cells", 1, 0);
    prop_cells("#size-cells", 1, 0);
    begin("inside");
    prop_cells("reg", 1, 1);
    end();
    end();
    end();
    blob_finish();
}

/* ---- reading it ---- */

static struct fdt tree;

static int open_tree(void **state)
{
    (void)state;
    make_tree();
    return fdt_open(&tree, blob, blob_size) ? 0 : -1;
}

static void finds_by_path(void **state)
{
    (void)state;
    assert_int_equal(fdt_find_path(&tree, "/"), fdt_root(&tree));
    assert_string_equal(fdt_name(&tree, fdt_find_path(&tree, "/chosen")), "chosen");
    assert_string_equal(fdt_name(&tree, fdt_find_path(&tree, "/memory")), "memory@80000000");
    assert_string_equal(fdt_name(&tree, fdt_find_path(&tree, "/soc/serial")), "serial@10000000");
    assert_string_equal(fdt_name(&tree, fdt_find_path(&tree, "/soc/serial@20000000")), "serial@20000000");
    assert_string_equal(fdt_name(&tree, fdt_find_path(&tree, "/nothing/inside")), "inside");
    assert_true(fdt_find_path(&tree, "/serial") < 0);
    assert_true(fdt_find_path(&tree, "/chosen/serial") < 0); /* it is in soc, which comes later */
    assert_true(fdt_find_path(&tree, "/chos") < 0);
    assert_true(fdt_find_path(&tree, "chosen") < 0);
    assert_true(fdt_find_path(&tree, "") < 0);
}

static void walks_in_order_with_depths(void **state)
{
    static const struct {
        const char *name;
        int depth;
    } want[] = {{"", 0}, {"chosen", 1}, {"memory@80000000", 1}, {"cpus", 1}, {"cpu@1", 2}, {"soc", 1},
                {"serial@10000000", 2}, {"serial@20000000", 2}, {"nothing", 1}, {"inside", 2}};
    unsigned i = 0;
    int depth = 0;

    (void)state;
    for (fdt_node n = fdt_root(&tree); n >= 0; n = fdt_next(&tree, n, &depth), i++) {
        assert_true(i < ARRAY_SIZE(want));
        assert_string_equal(fdt_name(&tree, n), want[i].name);
        assert_int_equal(depth, want[i].depth);
    }
    assert_int_equal(i, ARRAY_SIZE(want));
}

static void finds_by_compatible_string_and_phandle(void **state)
{
    fdt_node first = fdt_find_compatible(&tree, -1, "ns16550a"), second = fdt_find_compatible(&tree, first, "ns16550a");

    (void)state;
    assert_string_equal(fdt_name(&tree, first), "serial@10000000");
    assert_string_equal(fdt_name(&tree, second), "serial@20000000");
    assert_true(fdt_find_compatible(&tree, second, "ns16550a") < 0);
    assert_int_equal(fdt_find_compatible(&tree, -1, "vendor,fast-uart"), first);
    assert_true(fdt_find_compatible(&tree, -1, "ns16550") < 0);
    assert_true(fdt_find_compatible(&tree, -1, "uart") < 0);
    assert_int_equal(fdt_find_phandle(&tree, 7), first);
    assert_int_equal(fdt_find_phandle(&tree, 8), second);
    assert_true(fdt_find_phandle(&tree, 9) < 0);
    assert_int_equal(fdt_find_string(&tree, -1, "device_type", "memory"), fdt_find_path(&tree, "/memory"));
}

static void reads_properties(void **state)
{
    fdt_node chosen = fdt_find_path(&tree, "/chosen");
    u32 len, v;

    (void)state;
    assert_string_equal(fdt_prop_string(&tree, chosen, "bootargs"), "console=framed loglevel=7");
    assert_null(fdt_prop_string(&tree, chosen, "unended"));
    assert_null(fdt_prop_string(&tree, chosen, "empty"));
    assert_null(fdt_prop_string(&tree, chosen, "boot"));
    assert_false(fdt_prop_has_string(&tree, chosen, "unended", "abc"));
    assert_non_null(fdt_prop(&tree, chosen, "unended", &len));
    assert_int_equal(len, 3);
    assert_non_null(fdt_prop(&tree, chosen, "empty", &len));
    assert_int_equal(len, 0);
    assert_null(fdt_prop(&tree, chosen, "model", &len)); /* its parent's */
    assert_null(fdt_prop(&tree, fdt_root(&tree), "bootargs", &len)); /* its child's */
    assert_true(fdt_prop_u32(&tree, fdt_find_path(&tree, "/soc/serial"), "interrupts", &v));
    assert_int_equal(v, 10);
    assert_false(fdt_prop_u32(&tree, chosen, "unended", &v));
}

static void reads_reg_with_the_parents_cells(void **state)
{
    fdt_node serial = fdt_find_path(&tree, "/soc/serial");
    u64 base, size;

    (void)state;
    assert_true(fdt_reg(&tree, serial, 0, &base, &size));
    assert_true(base == 0x10000000 && size == 0x100);
    assert_true(fdt_reg(&tree, serial, 1, &base, &size));
    assert_true(base == 0x120000000 && size == 0x200);
    assert_false(fdt_reg(&tree, serial, 2, &base, &size));
    assert_false(fdt_reg(&tree, serial, UINT32_MAX, &base, &size));
    assert_true(fdt_reg(&tree, fdt_find_path(&tree, "/memory"), 0, &base, &size));
    assert_true(base == 0x80000000 && size == 0x10000000);
    assert_true(fdt_reg(&tree, fdt_find_path(&tree, "/cpus/cpu"), 0, &base, &size));
    assert_true(base == 1 && size == 0);
    assert_false(fdt_reg(&tree, fdt_find_path(&tree, "/nothing/inside"), 0, &base, &size)); /* else it never ended */
    assert_false(fdt_reg(&tree, fdt_find_path(&tree, "/chosen"), 0, &base, &size));
}

static void reads_reservations(void **state)
{
    u64 base, size;

    (void)state;
    assert_true(fdt_reserved(&tree, 0, &base, &size));
    assert_true(base == 0x80000000 && size == 0x2000);
    assert_false(fdt_reserved(&tree, 1, &base, &size));
    assert_false(fdt_reserved(&tree, UINT32_MAX, &base, &size));
}

static void no_node_has_nothing(void **state)
{
    u64 base, size;
    u32 len;
    int depth = 0;

    (void)state;
    assert_null(fdt_prop(&tree, -1, "reg", &len));
    assert_true(fdt_next(&tree, -1, &depth) < 0);
    assert_false(fdt_reg(&tree, -1, 0, &base, &size));
    assert_string_equal(fdt_name(&tree, -1), "");
}

static void refuses_what_it_does_not_understand(void **state)
{
    struct fdt t;

    (void)state;
    assert_false(fdt_open(&t, blob, blob_size - 1));
    assert_false(fdt_open(&t, blob, 0));
    for (u32 at = 0; at < 40; at += 4) {
        if (at == 28) /* the boot CPU's number */
            continue;
        make_tree();
        put32_at(at, 0xfffffff0);
        assert_false(at != 20 && fdt_open(&t, blob, blob_size)); /* a later version may be readable */
    }
    make_tree();
    put32_at(20, 16); /* its header is shorter */
    assert_false(fdt_open(&t, blob, blob_size));
}

/* ---- broken ones ---- */

/* Uses everything on every node. Each walk ends, as each step goes ahead in the blob. */
static void read_all(const struct fdt *t)
{
    static const char *const paths[] = {"/chosen", "/soc/serial", "/cpus/cpu@0/interrupt-controller", "/a/b/c"};
    volatile size_t sum = 0;
    u64 base, size;
    int depth = 0;
    u32 v;

    for (fdt_node n = fdt_root(t); n >= 0; n = fdt_next(t, n, &depth)) {
        const char *s = fdt_prop_string(t, n, "bootargs");
        sum += strlen(fdt_name(t, n)) + (s ? strlen(s) : 0);
        fdt_prop_u32(t, n, "phandle", &v);
        for (unsigned i = 0; fdt_reg(t, n, i, &base, &size); i++)
            sum += base;
    }
    for (unsigned i = 0; fdt_reserved(t, i, &base, &size); i++)
        sum += base;
    for (unsigned i = 0; i < ARRAY_SIZE(paths); i++)
        sum += (size_t)fdt_find_path(t, paths[i]);
    for (fdt_node n = fdt_find_compatible(t, -1, "ns16550a"); n >= 0; n = fdt_find_compatible(t, n, "ns16550a"))
        sum++;
    fdt_find_phandle(t, 7);
}

/* Values that are near a boundary do more than random ones. */
static void change(u8 *b, u32 size)
{
    static const u32 values[] = {0, 1, 2, 3, 4, 9, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffff0, 0xfffffffc};
    u32 at = (u32)random() % (random() % 4 ? size : MIN(size, 56u));

    if (random() % 2) {
        b[at] = (u8)random();
        return;
    }
    at = at / 4 * 4;
    if (at + 4 <= size) {
        u32 v = random() % 2 ? values[(unsigned)random() % ARRAY_SIZE(values)] : (u32)random() % (size + 8);
        for (unsigned i = 0; i < 4; i++)
            b[at + i] = (u8)(v >> (24 - 8 * i));
    }
}

static void survive(const u8 *good, u32 size, unsigned rounds)
{
    unsigned readable = 0;

    for (unsigned round = 0; round < rounds; round++) {
        u32 cut = random() % 8 ? size : (u32)random() % size;
        u8 *b = malloc(cut ? cut : 1); /* of its own, so that the sanitizer knows its end */
        struct fdt t;

        memcpy(b, good, cut);
        for (unsigned i = (unsigned)random() % 6; i > 0 && cut >= 4; i--)
            change(b, cut);
        if (cut < size && cut >= 40 && random() % 2) { /* let the header agree with the cut */
            b[5] = (u8)(cut >> 16);
            b[6] = (u8)(cut >> 8);
            b[7] = (u8)cut;
        }
        if (fdt_open(&t, b, cut)) {
            readable++;
            read_all(&t);
        }
        free(b);
    }
    assert_true(readable > rounds / 20);
}

/* The structure block lies last and ends within a name, or a property, or a token. */
static void ends_in_the_middle(void **state)
{
    static const u32 tokens[] = {BEGIN_NODE, PROP, END_NODE, NOP};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(tokens); i++)
        for (u32 cut = 0; cut < 24; cut++) {
            struct fdt t;
            u8 *b;

            blob_start();
            begin("");
            put32(tokens[i]);
            memset(blob + blob_size, 'x', 24);
            blob_size += cut;
            put32_at(0, MAGIC);
            put32_at(4, blob_size);
            put32_at(8, structs_at);
            put32_at(12, structs_at); /* any place will do */
            put32_at(16, 40);
            put32_at(20, 17);
            put32_at(36, blob_size - structs_at);
            b = malloc(blob_size);
            memcpy(b, blob, blob_size);
            assert_true(fdt_open(&t, b, blob_size));
            read_all(&t);
            free(b);
        }
}

static void changed_bytes_do_no_harm(void **state)
{
    (void)state;
    make_tree();
    survive(blob, blob_size, ROUNDS * 10);
}

/* Deeper than anything real: parents are not known there, but it is walked. */
static void deep_nesting(void **state)
{
    struct fdt t;
    u64 base, size;
    int depth = 0, deepest = 0;

    (void)state;
    blob_start();
    for (unsigned i = 0; i < 60; i++) {
        begin(i ? "n" : "");
        names_size = 0; /* the same three names each time */
        prop_cells("#address-cells", 1, 1);
        prop_cells("#size-cells", 1, 1);
        prop_cells("reg", 2, i, 1);
    }
    for (unsigned i = 0; i < 60; i++)
        end();
    blob_finish();
    assert_true(fdt_open(&t, blob, blob_size));
    for (fdt_node n = fdt_root(&t); n >= 0; n = fdt_next(&t, n, &depth)) {
        deepest = MAX(deepest, depth);
        if (depth > 0 && depth <= 8)
            assert_true(fdt_reg(&t, n, 0, &base, &size) && base == (u64)depth);
        else if (depth > DEPTH_MAX)
            assert_false(fdt_reg(&t, n, 0, &base, &size));
    }
    assert_int_equal(deepest, 59);
}

/* ---- QEMU's ---- */

#define QEMU_MAX (2u << 20)

static u8 *qemu_blob(u32 *size)
{
    char dir[] = "/tmp/cowslip-fdt-XXXXXX", path[64], command[256];
    u8 *b = malloc(QEMU_MAX);
    FILE *f;

    *size = 0;
    if (!mkdtemp(dir))
        return b;
    snprintf(path, sizeof path, "%s/dtb", dir);
    snprintf(command, sizeof command,
             "qemu-system-riscv64 -M virt,dumpdtb=%s -smp 3 -m 192M -nographic </dev/null >/dev/null 2>&1", path);
    f = system(command) == 0 ? fopen(path, "rb") : NULL;
    if (f) {
        *size = (u32)fread(b, 1, QEMU_MAX, f);
        fclose(f);
        unlink(path);
    }
    rmdir(dir);
    return b;
}

/* QEMU leaves room at the end; without it changes hit what matters. */
static u32 trim(u8 *b)
{
    u32 structs_end = fdt_be32(b + H_STRUCTS) + fdt_be32(b + H_STRUCTS_SIZE);
    u32 strings_end = fdt_be32(b + H_STRINGS) + fdt_be32(b + H_STRINGS_SIZE), size = MAX(structs_end, strings_end);

    b[4] = 0, b[5] = (u8)(size >> 16), b[6] = (u8)(size >> 8), b[7] = (u8)size;
    return size;
}

static void qemu_s_tree(void **state)
{
    u32 size, timebase = 0;
    u8 *b = qemu_blob(&size);
    u64 base, length;
    unsigned cpus = 0;
    struct fdt t;

    (void)state;
    if (size == 0) {
        free(b);
        skip();
    }
    assert_true(fdt_open(&t, b, size));
    assert_non_null(fdt_prop_string(&t, fdt_find_path(&t, "/chosen"), "stdout-path"));
    assert_true(fdt_reg(&t, fdt_find_string(&t, -1, "device_type", "memory"), 0, &base, &length));
    assert_true(base == 0x80000000 && length == 192ul << 20);
    assert_true(fdt_reg(&t, fdt_find_compatible(&t, -1, "ns16550a"), 0, &base, &length));
    assert_true(base == 0x10000000);
    assert_true(fdt_prop_u32(&t, fdt_find_path(&t, "/cpus"), "timebase-frequency", &timebase) && timebase > 0);
    for (fdt_node n = -1; (n = fdt_find_string(&t, n, "device_type", "cpu")) >= 0;) {
        assert_true(fdt_reg(&t, n, 0, &base, &length) && base < 3);
        cpus |= 1u << base;
    }
    assert_int_equal(cpus, 7);
    size = trim(b);
    assert_true(fdt_open(&t, b, size));
    survive(b, size, ROUNDS);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(finds_by_path, open_tree),
        cmocka_unit_test_setup(walks_in_order_with_depths, open_tree),
        cmocka_unit_test_setup(finds_by_compatible_string_and_phandle, open_tree),
        cmocka_unit_test_setup(reads_properties, open_tree),
        cmocka_unit_test_setup(reads_reg_with_the_parents_cells, open_tree),
        cmocka_unit_test_setup(reads_reservations, open_tree),
        cmocka_unit_test_setup(no_node_has_nothing, open_tree),
        cmocka_unit_test_setup(refuses_what_it_does_not_understand, open_tree),
        cmocka_unit_test(ends_in_the_middle),
        cmocka_unit_test(changed_bytes_do_no_harm),
        cmocka_unit_test(deep_nesting),
        cmocka_unit_test(qemu_s_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
