/*
 * arch/riscv64/pci.c: the host bridge of the device tree that QEMU makes for its
 * machine (if there is a QEMU), and of that tree with bytes changed at random.
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
#include "arch/riscv64/pci.c"
#include "lib/fdt.c"

#define BLOB_MAX (1u << 20)
#define ROUNDS 3000

struct platform platform;
struct machine machine;
static u8 *blob;
static u32 blob_size;

void *arch_phys_to_virt(paddr_t pa)
{
    (void)pa;
    return blob;
}

void *arch_map_device(paddr_t pa, size_t size)
{
    (void)pa, (void)size;
    abort(); /* nobody reads configuration space here */
}

static void clear(void)
{
    memset(&platform, 0, sizeof platform);
    memset(&machine, 0, sizeof machine);
}

static bool read_tree(void)
{
    struct fdt t;

    clear();
    if (!fdt_open(&t, blob, blob_size))
        return false;
    pci_read_tree(&t);
    return true;
}

static int load(void **state)
{
    char dir[] = "/tmp/cowslip-pci-XXXXXX", path[64], command[256];
    FILE *f;

    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/dtb", dir);
    snprintf(command, sizeof command, "qemu-system-riscv64 -M virt,dumpdtb=%s -m 192M -nographic </dev/null >/dev/null 2>&1", path);
    f = system(command) == 0 ? fopen(path, "rb") : NULL;
    blob = malloc(BLOB_MAX);
    blob_size = f ? (u32)fread(blob, 1, BLOB_MAX, f) : 0;
    if (f)
        fclose(f);
    unlink(path);
    rmdir(dir);
    blob = realloc(blob, MAX(blob_size, 1u)); /* just its size: the sanitizer sees what lies beyond */
    return 0;
}

static int drop(void **state)
{
    (void)state;
    free(blob);
    return 0;
}

static void qemus_tree(void **state)
{
    unsigned line;

    (void)state;
    if (!blob_size)
        skip();
    assert_true(read_tree());
    assert_int_equal(machine.pci_space.pa, 0x30000000);
    assert_int_equal(platform.pci_buses, BUSES_MAX);
    assert_int_equal(platform.pci_window.bus_address, 0x40000000);
    assert_int_equal(platform.pci_window.base.pa, 0x40000000);
    assert_int_equal(platform.pci_window.size, 0x40000000);
    for (unsigned device = 0; device < 32; device++)
        for (unsigned pin = 1; pin <= 4; pin++) { /* QEMU's hw/riscv/virt.c: lines 32 to 35, turned by one for each device */
            assert_true(arch_pci_line(device << 3, pin, &line));
            assert_int_equal(line, 32 + (device + pin - 1) % 4);
        }
    assert_false(arch_pci_line(1 << 8, 1, &line));
    assert_false(arch_pci_line(1 << 3, 5, &line));
}

static void noise(void **state)
{
    u8 *whole;
    unsigned line, ok = 0;

    (void)state;
    if (!blob_size)
        skip();
    whole = malloc(blob_size);
    memcpy(whole, blob, blob_size);
    srand(1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        u32 used = fdt_be32(whole + H_STRUCTS) + fdt_be32(whole + H_STRUCTS_SIZE);

        memcpy(blob, whole, blob_size);
        for (int n = 1 + rand() % 8; n > 0; n--)
            blob[(u32)rand() % MIN(used, blob_size)] = (u8)rand();
        if (read_tree())
            ok += arch_pci_line((unsigned)rand() % 32 << 3, 1 + (unsigned)rand() % 4, &line);
    }
    assert_true(ok > ROUNDS / 10);
    free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(qemus_tree), cmocka_unit_test(noise)};

    return cmocka_run_group_tests(tests, load, drop);
}
