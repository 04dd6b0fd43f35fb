/*
 * arch/x86_64/virtio.c: where virtio devices are, from a DSDT as QEMU's microvm
 * makes it, from boot lines, and from both with bytes changed at random: the
 * sanitizer sees any access beside them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "arch/x86_64/virtio.c"

struct platform platform;
struct machine machine;

static void clear(void)
{
    memset(&platform, 0, sizeof platform);
    memset(&machine, 0, sizeof machine);
    machine.line_count = ISA_LINES;
    for (u32 i = 0; i < ISA_LINES; i++)
        machine.lines[i].global = i;
}

/* Device(VRnn) {_HID "LNRO0005", _UID n, _CCA 1, _CRS {Memory32Fixed, Interrupt, end}} */
static size_t put_device(u8 *to, u8 n, u32 base, u8 flags, u32 line)
{
    u8 code[] = {0x5b, 0x82, 0x44, 0x04, 'V', 'R', '0', '0', 0x08, '_', 'H', 'I', 'D', 0x0d, 'L', 'N', 'R', 'O', '0', '0', '0', '5', 0,
                 0x08, '_', 'U', 'I', 'D', 0x0a, n, 0x08, '_', 'C', 'C', 'A', 0x01, 0x08, '_', 'C', 'R', 'S',
                 0x11, 0x1a, 0x0a, 0x17, 0x86, 0x09, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0x89, 0x06, 0, flags, 1, 0, 0, 0, 0, 0x79, 0};

    memcpy(code + 49, &base, 4);
    memcpy(code + 62, &line, 4);
    memcpy(to, code, sizeof code);
    return sizeof code;
}

static void a_dsdt(void **state)
{
    u8 code[400] = "some bytes _CRS before";
    size_t n = 22;

    (void)state;
    clear();
    n += put_device(code + n, 23, 0xfeb02e00, 1, 47);
    n += put_device(code + n, 3, 0xfeb00600, 7, 27);
    virtio_read_dsdt(code, code + n);
    assert_int_equal(platform.virtio_count, 2);
    assert_int_equal(platform.virtio[0].base.pa, 0xfeb02e00);
    assert_int_equal(platform.virtio[0].size, 512);
    assert_int_equal(platform.virtio[0].line, ISA_LINES);
    assert_int_equal(machine.lines[ISA_LINES].global, 47);
    assert_true(machine.lines[ISA_LINES].level && !machine.lines[ISA_LINES].low);
    assert_int_equal(platform.virtio[1].base.pa, 0xfeb00600);
    assert_int_equal(machine.lines[ISA_LINES + 1].global, 27);
    assert_true(!machine.lines[ISA_LINES + 1].level && machine.lines[ISA_LINES + 1].low);
}

static void more_than_there_is_room_for(void **state)
{
    u8 *code = malloc(40 * 80), *at = code;

    (void)state;
    clear();
    for (u8 i = 0; i < 40; i++)
        at += put_device(at, i, 0xfeb00000 + i * 512u, 1, 24u + i);
    virtio_read_dsdt(code, at);
    assert_int_equal(platform.virtio_count, 32);
    assert_int_equal(machine.line_count, ISA_LINES + 32);
    free(code);
}

/* In memory of just its size; changed, and cut off. */
static void a_dsdt_with_noise(void **state)
{
    u8 whole[400];
    size_t n = put_device(whole, 1, 0xfeb00200, 1, 25);

    (void)state;
    srand(1);
    n += put_device(whole + n, 2, 0xfeb00400, 1, 26);
    for (unsigned round = 0; round < 200000; round++) {
        size_t size = rand() % 2 ? n : (size_t)rand() % n + 1;
        u8 *code = malloc(size);

        clear();
        memcpy(code, whole, size);
        for (int k = rand() % 4; k > 0; k--)
            code[(size_t)rand() % size] = (u8)rand();
        virtio_read_dsdt(code, code + size);
        assert_true(platform.virtio_count <= 2);
        free(code);
    }
}

static void boot_lines(void **state)
{
    (void)state;
    clear();
    strcpy(platform.bootargs, "console=framed virtio_mmio.device=512@0xfeb00e00:12 virtio_mmio.device=4K@0xd0000000:5:3 init=/x");
    virtio_read_bootargs();
    assert_int_equal(platform.virtio_count, 2);
    assert_int_equal(platform.virtio[0].base.pa, 0xfeb00e00);
    assert_int_equal(platform.virtio[0].size, 512);
    assert_int_equal(machine.lines[platform.virtio[0].line].global, 12);
    assert_int_equal(platform.virtio[1].base.pa, 0xd0000000);
    assert_int_equal(platform.virtio[1].size, 4096);
    assert_int_equal(machine.lines[platform.virtio[1].line].global, 5);
}

static void bad_boot_lines(void **state)
{
    static const char *const bad[] = {"virtio_mmio.device=", "virtio_mmio.device=512", "virtio_mmio.device=512@", "virtio_mmio.device=512@0x10",
                                      "virtio_mmio.device=512@0:1", "virtio_mmio.device=0@0x10:1", "virtio_mmio.device=x@y:z",
                                      "virtio_mmio.device=99999999999999999999@0xfffffffffffffffffffff:1"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        clear();
        strcpy(platform.bootargs, bad[i]);
        virtio_read_bootargs();
        assert_int_equal(platform.virtio_count, 0);
    }
}

/* The serial port's, another device's: a pin of an I/O APIC has one line. */
static void shared_pins(void **state)
{
    (void)state;
    clear();
    strcpy(platform.bootargs, "virtio_mmio.device=512@0xfeb00200:4 virtio_mmio.device=512@0xfeb00400:30 virtio_mmio.device=512@0xfeb00600:30");
    virtio_read_bootargs();
    assert_int_equal(platform.virtio_count, 3);
    assert_int_equal(platform.virtio[0].line, 4);
    assert_true(machine.lines[4].global == 4 && machine.lines[4].level && !machine.lines[4].low);
    assert_int_equal(platform.virtio[1].line, ISA_LINES);
    assert_int_equal(platform.virtio[2].line, ISA_LINES);
    assert_int_equal(machine.line_count, ISA_LINES + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dsdt), cmocka_unit_test(more_than_there_is_room_for), cmocka_unit_test(a_dsdt_with_noise),
        cmocka_unit_test(boot_lines), cmocka_unit_test(shared_pins), cmocka_unit_test(bad_boot_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
