/*
 * dev/pci.c, virtio_pci.c and irq.c: a bus that is made here, with an honest device
 * and with what random bits make of its configuration space. Every search must end,
 * no two devices that are used have the same addresses, and nothing is mapped that a
 * device has not, or outside of the window.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "dev/irq.c"
#define LINES_TOO_MANY 256u
#include "dev/pci.c"
#define look_at virtio_look_at
#undef STATUS
#include "dev/virtio_pci.c"
#undef look_at

#define PLACES 3u
#define WINDOW 0x40000000u
#define WINDOW_CPU 0x140000000ul
#define WINDOW_SIZE 0x100000u
#define STUCK 0xffffffffu
#define RAM 0x80000000u
#define RAM_SIZE 0x10000000u

struct platform platform;

/* ---- the bus: words of configuration space, and which of their bits can be written ---- */

static struct fake {
    u32 words[64], writable[64];
    bool used; /* a driver has it */
} fakes[PLACES];
static const unsigned places[PLACES] = {0 << 3, 3 << 3, 1 << 8}; /* a bridge, a device, and one behind the bridge */
static bool takes_messages, knows_lines;
static unsigned accesses, started, mapped, unmasked;
static u64 mapped_at[64];
static struct virtio_device *found;

static struct fake *fake_at(unsigned place)
{
    for (unsigned i = 0; i < PLACES; i++)
        if (places[i] == place)
            return &fakes[i];
    return NULL;
}

u32 arch_pci_read(unsigned place, unsigned reg)
{
    struct fake *f = fake_at(place);

    assert_true(reg % 4 == 0 && reg < 256 && place >> 8 < platform.pci_buses);
    assert_true(++accesses < 2000000);
    return f ? f->words[reg / 4] : UINT32_MAX;
}

void arch_pci_write(unsigned place, unsigned reg, u32 v)
{
    struct fake *f = fake_at(place);

    assert_true(f && reg % 4 == 0 && reg < 256);
    assert_true(reg != COMMAND || v >> 16 == 0); /* a 1 in the status register would clear something */
    if (reg == COMMAND && f->used && (f->words[1] & COMMAND_MEMORY))
        assert_true(v & COMMAND_MEMORY); /* its handler may be called at any time */
    f->words[reg / 4] = (f->words[reg / 4] & ~f->writable[reg / 4]) | (v & f->writable[reg / 4]);
}

bool arch_pci_line(unsigned place, unsigned pin, unsigned *line)
{
    assert_true(place < 1 << 16 && pin >= 1 && pin <= 4);
    *line = 30 + pin;
    return knows_lines;
}

bool arch_irq_message(unsigned *line, u64 *address, u32 *data)
{
    *line = 70, *address = 0xfee00000, *data = 0x46;
    return takes_messages;
}

bool arch_irq_unmask(unsigned line)
{
    unmasked = line;
    return true;
}

static unsigned masked, masks;

bool arch_irq_save(void)
{
    return true;
}

void arch_irq_restore(bool on)
{
    assert_true(on);
}

bool arch_irq_mask(unsigned line)
{
    masked = line;
    masks++;
    return true;
}

void arch_io_fence(void)
{
}

static u64 chance(u64 below)
{
    static u64 state = 88172645463325252ul;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static u8 *registers[64];
static bool noisy; /* what is in them */

/* Registers of just the size that is asked for: the sanitizer sees an access beside them. */
void *arch_map_device(paddr_t pa, size_t size)
{
    assert_true(mapped < ARRAY_SIZE(registers) && size > 0 && size <= 4096);
    if (platform.pci_window.size)
        assert_true(pa.pa >= WINDOW_CPU && pa.pa + size <= WINDOW_CPU + platform.pci_window.size);
    else
        assert_true((pa.pa + size <= RAM || pa.pa >= RAM + RAM_SIZE) && pa.pa + size <= 1ul << platform.physical_bits);
    free(registers[mapped]);
    mapped_at[mapped] = pa.pa;
    registers[mapped] = malloc((pa.pa & 15) + size);
    for (size_t i = 0; i < (pa.pa & 15) + size; i++)
        registers[mapped][i] = noisy ? (u8)chance(256) : 0;
    return registers[mapped++] + (pa.pa & 15);
}

void *kmem_zalloc(size_t size)
{
    return calloc(1, size);
}

void kmem_free(void *p)
{
    free(p);
}

void printk(enum log_level level, const char *fmt, ...)
{
    (void)level, (void)fmt;
}

bool virtio_interrupt(void *d)
{
    return d != NULL;
}

/* As a driver would: every operation of the transport once. */
void virtio_start(struct virtio_device *d)
{
    const struct virtio_transport *t = d->transport;
    struct virtqueue q = {.index = 0, .size = 4, .at = {0x5000}};

    started++;
    fake_at(pci_of(d)->pci.place)->used = true;
    t->set_status(d, 0);
    t->status(d);
    if (t->connect(d) == 0) {
        t->set_features(d, 1, t->features(d, 1));
        t->config_generation(d);
        for (unsigned at = 0; at + 4 <= d->config_size; at += 4)
            t->config(d, at, 4);
        t->queue_size(d, 0);
        if (t->queue_enable(d, &q) == 0) {
            struct pci_virtio *v = pci_of(d);
            assert_true((u64)v->common->queue_notify_offset * v->notify_place.multiplier + 2 <= v->notify_place.size);
            t->notify(d, &q);
        }
        t->acknowledge(d);
    }
    free(found ? pci_of(found) : NULL);
    found = d;
}

/* ---- making it ---- */

static void capability(struct fake *f, unsigned at, unsigned next, u8 type, u32 offset, u32 length, u32 more)
{
    f->words[at / 4] = 0x09 | next << 8 | 20u << 16 | (u32)type << 24;
    f->words[at / 4 + 1] = 4; /* base address register 4 */
    f->words[at / 4 + 2] = offset;
    f->words[at / 4 + 3] = length;
    f->words[at / 4 + 4] = more;
}

/* A virtio device as QEMU's: ports in BAR 0, MSI-X's table in BAR 1, a BAR of 64 bits with everything else. */
static void make_device(struct fake *f)
{
    *f = (struct fake){.words = {[0] = 0x10421af4, [1] = 0x00100000, [2] = 0x01000000, [0x0d] = 0x40, [0x0f] = 0x100}};
    f->writable[1] = 0x407;
    f->words[4] = 1, f->writable[4] = 0xffffff80;
    f->writable[5] = 0xfffff000;
    f->words[8] = 0xc, f->writable[8] = 0xffffc000, f->writable[9] = STUCK;
    capability(f, 0x40, 0x58, CAP_COMMON, 0, 0x1000, 0);
    capability(f, 0x58, 0x6c, CAP_ISR, 0x1000, 0x1000, 0);
    capability(f, 0x6c, 0x80, CAP_DEVICE, 0x2000, 0x1000, 0);
    capability(f, 0x80, 0x98, CAP_NOTIFY, 0x3000, 0x1000, 4);
    f->words[0x98 / 4] = 0x11 | 2u << 16;
    f->words[0x9c / 4] = 1; /* the table: at 0 of base address register 1 */
    f->writable[0x98 / 4] = 0xc0000000;
}

static void make_bus(void)
{
    memset(&platform, 0, sizeof platform);
    platform.pci_buses = 4;
    platform.pci_window.bus_address = WINDOW;
    platform.pci_window.base = (paddr_t){WINDOW_CPU};
    platform.pci_window.size = WINDOW_SIZE;
    platform.ram[0] = (struct platform_range){{RAM}, RAM_SIZE};
    platform.ram_count = 1;
    platform.physical_bits = 40;
    fakes[0] = (struct fake){.words = {[0] = 0x000c1b36, [3] = 1 << 16, [6] = 1 << 8}};
    make_device(&fakes[1]);
    make_device(&fakes[2]);
    range_count = 0;
    handler_count = devices_seen = 0;
    memset(lines, 0, sizeof lines);
    accesses = started = mapped = unmasked = 0;
    takes_messages = knows_lines = true;
}

/* ---- an honest bus ---- */

static void devices_get_addresses(void **state)
{
    (void)state;
    make_bus();
    virtio_pci_find();
    assert_int_equal(started, 2);
    assert_string_equal(found->name, "virtio@01:00.0");
    assert_int_equal(found->type, VIRTIO_BLOCK);
    for (unsigned i = 1; i < PLACES; i++) {
        assert_int_equal(fakes[i].words[1] & 6, 6);
        assert_int_equal(fakes[i].words[4], 1); /* ports are not given out */
        assert_in_range(fakes[i].words[5], WINDOW, WINDOW + WINDOW_SIZE - 0x1000);
        assert_int_equal(fakes[i].words[8] & 0x3fff, 0xc);
        assert_int_equal(fakes[i].words[9], 0);
        assert_true((fakes[i].words[8] & ~0x3fffu) != (fakes[i].words[5] & ~0x3fffu));
    }
    assert_int_not_equal(fakes[1].words[8], fakes[2].words[8]);
    assert_int_not_equal(fakes[1].words[5], fakes[2].words[5]);
    assert_int_equal(mapped_at[0], (fakes[1].words[8] & ~0xfu) - WINDOW + WINDOW_CPU);
}

static void set_bars(struct fake *f, u32 bar1, u64 bar4)
{
    f->words[5] = bar1;
    f->words[8] = 0xc | (u32)bar4, f->words[9] = (u32)(bar4 >> 32);
}

static void the_firmwares_addresses_stay(void **state)
{
    (void)state;
    make_bus();
    set_bars(&fakes[1], WINDOW + 0x80000, WINDOW + 0x40000);
    virtio_pci_find();
    assert_int_equal(started, 2);
    assert_int_equal(fakes[1].words[5], WINDOW + 0x80000);
    assert_int_equal(mapped_at[0], WINDOW_CPU + 0x40000);
    make_bus();
    platform.pci_window.size = 0;
    set_bars(&fakes[1], 0xfebd0000, 0x3800000000);
    set_bars(&fakes[2], 0xfebd4000, 0x3800004000);
    virtio_pci_find();
    assert_int_equal(started, 2);
    assert_int_equal(fakes[1].words[5], 0xfebd0000);
    assert_int_equal(mapped_at[0], 0x3800000000);
}

/* The second device's, of which the first one is not to be given any; the same twice; and those outside of the window. */
static void the_firmwares_addresses_are_not_given_out(void **state)
{
    static const u64 elsewhere[] = {RAM + 0x200000, 0xfff0000000000000, WINDOW - 0x4000, WINDOW + WINDOW_SIZE, 0xffffffffffffc000};

    (void)state;
    make_bus();
    set_bars(&fakes[2], WINDOW + 0x4000, WINDOW);
    virtio_pci_find();
    assert_int_equal(started, 2);
    assert_int_equal(fakes[2].words[8], WINDOW | 0xc);
    assert_int_equal(fakes[2].words[5], WINDOW + 0x4000);
    assert_int_equal(fakes[1].words[5], WINDOW + 0x5000);
    make_bus();
    set_bars(&fakes[1], WINDOW + 0x4000, WINDOW);
    set_bars(&fakes[2], WINDOW, WINDOW);
    virtio_pci_find();
    assert_int_equal(started, 2);
    assert_int_equal(fakes[1].words[8], WINDOW | 0xc);
    assert_int_equal(fakes[2].words[8], (WINDOW + 0x8000) | 0xc);
    for (unsigned i = 0; i < ARRAY_SIZE(elsewhere); i++) {
        make_bus();
        set_bars(&fakes[2], 0, elsewhere[i]);
        virtio_pci_find();
        assert_int_equal(started, 2);
        assert_in_range(fakes[2].words[8], WINDOW, WINDOW + WINDOW_SIZE);
        assert_int_equal(fakes[2].words[9], 0);
    }
}

/* Without a window: in memory, beyond what the CPU can address, in part, or another's. */
static void addresses_that_cannot_be(void **state)
{
    static const u64 wrong[] = {RAM, RAM + 0x200000, RAM + RAM_SIZE - 0x4000, 0xfff0000000000000, 1ul << 40, 0xffffffffffffc000, 0x3800000000};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        make_bus();
        platform.pci_window.size = 0;
        set_bars(&fakes[1], 0xfebd0000, 0x3800000000);
        set_bars(&fakes[2], 0xfebd4000, wrong[i]);
        virtio_pci_find();
        assert_int_equal(started, 1);
        assert_int_equal(fakes[2].words[1] & 6, 0);
    }
}

static void interrupts(void **state)
{
    const struct pci_virtio *v;

    (void)state;
    make_bus();
    virtio_pci_find();
    v = pci_of(found);
    assert_true(v->messages);
    assert_int_equal(unmasked, 70);
    assert_int_equal(fakes[2].words[0x98 / 4] >> 30, 2); /* on, and not masked */
    assert_true(fakes[2].words[1] & COMMAND_NO_PIN);
    make_bus();
    takes_messages = false;
    virtio_pci_find();
    v = pci_of(found);
    assert_false(v->messages);
    assert_int_equal(unmasked, 31);
    assert_int_equal(fakes[2].words[0x98 / 4] >> 30, 0);
    assert_false(fakes[2].words[1] & COMMAND_NO_PIN);
}

static void no_room(void **state)
{
    (void)state;
    make_bus();
    platform.pci_window.size = 0x8000; /* for one of the two */
    virtio_pci_find();
    assert_int_equal(started, 1);
    assert_int_equal(fakes[2].words[1] & 6, 0);
    make_bus();
    platform.pci_window.size = 0;
    virtio_pci_find();
    assert_int_equal(started, 0);
}

/* ---- nonsense ---- */

static void capabilities_in_a_circle(void **state)
{
    (void)state;
    make_bus();
    fakes[1].words[0x98 / 4] = 0x05 | 0x40 << 8;
    fakes[2].words[0x40 / 4] = 0x09 | 0x40 << 8;
    virtio_pci_find();
    assert_int_equal(started, 1);
    assert_true(accesses < 100000);
}

static void structures_beyond_the_register(void **state)
{
    static const u32 offsets[] = {0x4000, 0x3ff0, 0xfffffff0, 0x80000000};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(offsets); i++)
        for (unsigned cap = 0x40; cap <= 0x58; cap += 0x18) {
            make_bus();
            fakes[1].words[cap / 4 + 2] = offsets[i] + (cap == 0x58 && offsets[i] == 0x3ff0 ? 0x10 : 0);
            virtio_pci_find();
            assert_int_equal(started, 1);
        }
    make_bus();
    fakes[2].words[0x6c / 4 + 2] = 0x4000; /* a device may do without a configuration of its own */
    virtio_pci_find();
    assert_true(started == 2 && found->config_size == 0);
    make_bus();
    fakes[2].words[0x6c / 4 + 3] = 0x20;
    virtio_pci_find();
    assert_true(started == 2 && found->config_size == 0x20);
}

/* Capabilities at the end of the configuration space whose registers would be beyond it. */
static void capabilities_beyond_the_end(void **state)
{
    (void)state;
    for (unsigned at = 0xf4; at <= 0xfc; at += 4) {
        for (u32 type = CAP_COMMON; type <= CAP_DEVICE; type++) {
            make_bus();
            fakes[2].words[0x34 / 4] = at;
            fakes[2].words[at / 4] = 0x09 | 0x40 << 8 | 20u << 16 | type << 24;
            virtio_pci_find();
            assert_int_equal(started, 2);
        }
        make_bus();
        fakes[2].words[0x34 / 4] = at;
        fakes[2].words[0xf8 / 4] = 1; /* the table's place, of the one at 0xf4 */
        fakes[2].words[at / 4] = 0x11 | 0x40 << 8 | 2u << 16;
        virtio_pci_find();
        assert_int_equal(started, 2);
        assert_int_equal(pci_of(found)->messages, at == 0xf4);
    }
}

static void bridges_in_a_circle(void **state)
{
    (void)state;
    make_bus();
    fakes[2] = fakes[0]; /* on bus 1, and says that bus 1 is behind it */
    virtio_pci_find();
    assert_int_equal(started, 1);
}

/* Of devices that are used: what their registers say is what is known of them, and nobody else's. */
static void ranges_check(void)
{
    for (unsigned i = 0; i < range_count; i++) {
        const struct range *r = &ranges[i];
        const struct fake *f = fake_at(r->place);

        assert_int_equal(r->start % r->size, 0);
        assert_true(r->start >= WINDOW && r->size <= WINDOW_SIZE && r->start + r->size <= WINDOW + WINDOW_SIZE);
        if (f->used)
            assert_int_equal(f->words[BARS / 4 + r->bar] & ~BAR_FLAGS, r->start);
        for (unsigned j = 0; j < i; j++)
            assert_true(r->start + r->size <= ranges[j].start || ranges[j].start + ranges[j].size <= r->start);
    }
}

static void noise(void **state)
{
    unsigned both = 0;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        make_bus();
        noisy = chance(2);
        fakes[1].words[0x80 / 4 + 3] = chance(2) ? 2 : 0x1000; /* room for the notices of one queue */
        takes_messages = chance(2), knows_lines = chance(2);
        for (u64 n = 1 + chance(12); n > 0; n--) {
            struct fake *f = &fakes[chance(PLACES)];
            unsigned at = (unsigned)chance(64);

            f->words[at] = chance(2) ? (u32)chance(1ul << 32) : f->words[at] ^ 1u << chance(32);
            if (chance(4) == 0)
                f->writable[at] = (u32)chance(1ul << 32);
        }
        virtio_pci_find();
        ranges_check();
        assert_true(started <= 2);
        both += started == 2;
    }
    assert_true(both > 1000); /* it is mostly small things that are wrong */
    noisy = false;
}

/* ---- lines ---- */

static bool first(void *served)
{
    return *(bool *)served;
}

static unsigned second_calls;

static bool second(void *unused)
{
    (void)unused;
    second_calls++;
    return false;
}

static void a_line_that_never_rests(void **state)
{
    bool served = true;

    (void)state;
    make_bus();
    masked = 0;
    assert_true(irq_register(5, first, &served) && irq_register(5, second, NULL));
    assert_false(irq_register(LINES_TOO_MANY, second, NULL));
    for (unsigned i = 0; i < 2 * FRUITLESS_MAX; i++)
        irq_dispatch(5);
    assert_int_equal(second_calls, 2 * FRUITLESS_MAX);
    assert_int_equal(masked, 0);
    served = false;
    for (unsigned i = 0; i < FRUITLESS_MAX - 1; i++)
        irq_dispatch(5);
    assert_int_equal(masked, 0);
    irq_dispatch(5);
    assert_int_equal(masked, 5);
    irq_dispatch(LINES_TOO_MANY);
}

/* Another device is led to it: it is turned on, and off again. */
static void a_line_that_was_given_up(void **state)
{
    bool served = false;

    (void)state;
    make_bus();
    masks = 0;
    assert_true(irq_register(5, second, NULL));
    for (unsigned i = 0; i < 3 * FRUITLESS_MAX; i++)
        irq_dispatch(5);
    assert_int_equal(masks, 1);
    unmasked = 0;
    assert_true(irq_register(5, first, &served));
    assert_int_equal(unmasked, 5);
    for (unsigned i = 0; i < FRUITLESS_MAX - 1; i++)
        irq_dispatch(5);
    assert_int_equal(masks, 1);
    irq_dispatch(5);
    assert_int_equal(masks, 2);
}

/* A busy device on it does not hide one that never lets go; one now and then for nothing is nothing. */
static void a_busy_line(void **state)
{
    bool served;

    (void)state;
    for (unsigned every = 8; every <= 1000; every = every == 8 ? 10 : every * 10) {
        make_bus();
        masks = 0;
        assert_true(irq_register(5, first, &served));
        for (unsigned i = 0; i < 100 * FRUITLESS_MAX; i++) {
            served = i % every == 0;
            irq_dispatch(5);
        }
        assert_int_equal(masks, every > 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_get_addresses), cmocka_unit_test(the_firmwares_addresses_stay),
        cmocka_unit_test(the_firmwares_addresses_are_not_given_out), cmocka_unit_test(addresses_that_cannot_be), cmocka_unit_test(interrupts),
        cmocka_unit_test(no_room), cmocka_unit_test(capabilities_in_a_circle), cmocka_unit_test(structures_beyond_the_register),
        cmocka_unit_test(bridges_in_a_circle), cmocka_unit_test(capabilities_beyond_the_end), cmocka_unit_test(noise), cmocka_unit_test(a_line_that_never_rests),
        cmocka_unit_test(a_line_that_was_given_up), cmocka_unit_test(a_busy_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
