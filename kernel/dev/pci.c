/* PCI devices; see pci.h. */
#include "dev/pci.h"
#include "arch/arch.h"
#include "dev/irq.h"
#include "dev/registers.h"
#include "lib/errno.h"
#include "lib/print.h"

enum { /* 6.1 */
    ID = 0x00, COMMAND = 0x04, STATUS = 0x06, HEADER_TYPE = 0x0e, BARS = 0x10, BRIDGE_SECONDARY = 0x19, CAPABILITIES = 0x34,
    INTERRUPT_PIN = 0x3d
};
#define COMMAND_MEMORY 2u
#define COMMAND_MASTER 4u
#define COMMAND_NO_PIN (1u << 10)
#define STATUS_CAPABILITIES 0x10u
#define HEADER_KIND 0x7fu
#define HEADER_DEVICE 0u
#define HEADER_BRIDGE 1u
#define HEADER_MANY 0x80u
#define BAR_COUNT 6u
#define BAR_IO 1u
#define BAR_KIND 6u
#define BAR_64 4u
#define BAR_FLAGS 15u
#define CAPABILITIES_MAX 48u /* as many as fit: a list that is longer goes in circles */
#define CAPABILITY_MSIX 0x11
#define BUSES_MAX 256u
#define RANGES_MAX 256u

enum { MSIX_CONTROL = 2, MSIX_TABLE = 4, MSIX_SIZE = 12 }; /* 6.8.2 */
#define MSIX_ENABLE (1u << 15)
#define MSIX_MASK_ALL (1u << 14)
#define MSIX_ENTRY 16u

/* Where base address registers lead to: with a window, of all devices, else of those that drivers have enabled. No two
 * overlap. At boot only. */
static struct range {
    unsigned place, bar;
    u64 start, size; /* start: as the bus sees it; a multiple of the size */
} ranges[RANGES_MAX];
static unsigned range_count;

/* ---- configuration space ---- */

static u32 read_at(unsigned place, unsigned reg, unsigned size)
{
    u32 v = arch_pci_read(place, reg & ~3u) >> (reg & 3) * 8;

    return size == 4 ? v : v & ((1u << size * 8) - 1);
}

u32 pci_read(const struct pci_device *d, unsigned reg, unsigned size)
{
    return read_at(d->place, reg, size);
}

/* The other half of the word keeps its value; of the status register (6.2.3) a 1 would clear bits, so it gets 0. */
void pci_write16(const struct pci_device *d, unsigned reg, u16 v)
{
    unsigned at = reg & ~3u, shift = (reg & 2) * 8;
    u32 other = at == COMMAND ? 0 : arch_pci_read(d->place, at) & ~(0xffffu << shift);

    arch_pci_write(d->place, at, other | (u32)v << shift);
}

unsigned pci_capability(const struct pci_device *d, u8 kind, unsigned after)
{
    unsigned at;

    if (!(pci_read(d, STATUS, 2) & STATUS_CAPABILITIES))
        return 0;
    at = pci_read(d, after ? after + 1 : CAPABILITIES, 1) & ~3u;
    for (unsigned n = 0; n < CAPABILITIES_MAX && at >= 0x40; n++) {
        if (pci_read(d, at, 1) == kind)
            return at;
        at = pci_read(d, at + 1, 1) & ~3u;
    }
    return 0;
}

/* ---- addresses ---- */

static unsigned bar_reg(unsigned bar)
{
    return BARS + 4 * bar;
}

static bool bar_is_64(u32 low)
{
    return !(low & BAR_IO) && (low & BAR_KIND) == BAR_64;
}

/* 6.2.5.1: the bits that can be written tell the size. Decoding is off. 0: there is no such register. */
static u64 bar_size(const struct pci_device *d, unsigned bar, bool wide)
{
    u32 low = pci_read(d, bar_reg(bar), 4), high = wide ? pci_read(d, bar_reg(bar + 1), 4) : 0;
    u64 mask;

    arch_pci_write(d->place, bar_reg(bar), UINT32_MAX);
    mask = pci_read(d, bar_reg(bar), 4) & ~BAR_FLAGS;
    arch_pci_write(d->place, bar_reg(bar), low);
    if (wide) {
        arch_pci_write(d->place, bar_reg(bar + 1), UINT32_MAX);
        mask |= (u64)pci_read(d, bar_reg(bar + 1), 4) << 32;
        arch_pci_write(d->place, bar_reg(bar + 1), high);
    } else if (mask) {
        mask |= ~0ul << 32;
    }
    return mask & -mask;
}

static u64 bar_address(const struct pci_device *d, unsigned bar, bool wide)
{
    return (pci_read(d, bar_reg(bar), 4) & ~BAR_FLAGS) | (wide ? (u64)pci_read(d, bar_reg(bar + 1), 4) << 32 : 0);
}

static const struct range *range_of(const struct pci_device *d, unsigned bar)
{
    for (unsigned i = 0; i < range_count; i++)
        if (ranges[i].place == d->place && ranges[i].bar == bar)
            return &ranges[i];
    return NULL;
}

static const struct range *range_overlapping(u64 start, u64 size)
{
    for (unsigned i = 0; i < range_count; i++)
        if (start < ranges[i].start + ranges[i].size && ranges[i].start < start + size)
            return &ranges[i];
    return NULL;
}

static bool in_window(u64 start, u64 size)
{
    u64 at = start - platform.pci_window.bus_address;

    return at <= platform.pci_window.size && size <= platform.pci_window.size - at;
}

/* Notes where a register leads to. -ENODEV: nobody's registers can be there, or they are another's; -ENOSPC. */
static int range_add(const struct pci_device *d, unsigned bar, u64 start, u64 size)
{
    bool possible = platform.pci_window.size ? in_window(start, size) : registers_may_be(start, size);

    if (!possible || start % size || range_overlapping(start, size))
        return -ENODEV;
    if (range_count == RANGES_MAX)
        return -ENOSPC;
    ranges[range_count++] = (struct range){d->place, bar, start, size};
    return 0;
}

/* The first addresses of the platform's window that are nobody's, aligned to the size; those are below 4 GiB on the bus. */
static int bar_assign(const struct pci_device *d, unsigned bar, bool wide, u64 size)
{
    const struct range *other;
    u64 at = platform.pci_window.bus_address;

    if (size > platform.pci_window.size)
        return -ENOSPC;
    at = ROUND_UP(at, size);
    while ((other = range_overlapping(at, size)))
        at = ROUND_UP(other->start + other->size, size);
    if ((at + size) >> 32 || range_add(d, bar, at, size))
        return -ENOSPC;
    arch_pci_write(d->place, bar_reg(bar), (u32)at);
    if (wide)
        arch_pci_write(d->place, bar_reg(bar + 1), 0);
    return bar_address(d, bar, wide) == at ? 0 : -ENODEV;
}

/* What the firmware has chosen is left as it is, if it can be. */
static int bar_settle(const struct pci_device *d, unsigned bar, bool wide, u64 size)
{
    u64 at = bar_address(d, bar, wide);

    if (range_of(d, bar) || (at && range_add(d, bar, at, size) == 0))
        return 0;
    return bar_assign(d, bar, wide, size);
}

static int bar_note(const struct pci_device *d, unsigned bar, bool wide, u64 size)
{
    u64 at = bar_address(d, bar, wide);

    return at ? range_add(d, bar, at, size) : 0;
}

/* Calls fn for each base address register that leads to memory; ports are not used. Decoding is off. 0, or the first error. */
static int each_bar(const struct pci_device *d, int (*fn)(const struct pci_device *d, unsigned bar, bool wide, u64 size))
{
    int err = 0;

    for (unsigned bar = 0; bar < BAR_COUNT; bar++) {
        u32 low = pci_read(d, bar_reg(bar), 4);
        bool wide = bar_is_64(low) && bar + 1 < BAR_COUNT;
        u64 size = low & BAR_IO ? 0 : bar_size(d, bar, wide);
        int one = size ? fn(d, bar, wide, size) : 0;

        err = err ? err : one;
        bar += wide;
    }
    return err;
}

/* Before addresses are given out: which ones the firmware has. Who is where he cannot be does not answer any more. */
static void survey(const struct pci_device *d)
{
    u32 command = pci_read(d, COMMAND, 2);

    pci_write16(d, COMMAND, (u16)(command & ~COMMAND_MEMORY));
    if (each_bar(d, bar_note) == 0)
        pci_write16(d, COMMAND, (u16)command);
}

int pci_enable(const struct pci_device *d)
{
    u32 command = pci_read(d, COMMAND, 2);
    int err;

    pci_write16(d, COMMAND, (u16)(command & ~(COMMAND_MEMORY | COMMAND_MASTER)));
    err = each_bar(d, bar_settle);
    if (!err)
        pci_write16(d, COMMAND, (u16)(command | COMMAND_MEMORY | COMMAND_MASTER));
    return err;
}

/* Addresses of the bus as the CPU sees them: shifted within the window, the same without one. */
static paddr_t cpu_address(u64 at)
{
    return (paddr_t){platform.pci_window.size ? platform.pci_window.base.pa + (at - platform.pci_window.bus_address) : at};
}

volatile void *pci_map(const struct pci_device *d, unsigned bar, u64 offset, u64 size)
{
    const struct range *r = range_of(d, bar);

    if (!r || offset > r->size || size > r->size - offset)
        return NULL;
    return arch_map_device(cpu_address(r->start + offset), size);
}

/* ---- finding ---- */

struct search {
    void (*fn)(const struct pci_device *d);
    bool wanted[BUSES_MAX]; /* buses behind bridges */
};

static void look_at(struct search *s, unsigned place)
{
    u32 id = arch_pci_read(place, ID);
    u8 kind = (u8)(read_at(place, HEADER_TYPE, 1) & HEADER_KIND);
    struct pci_device d = {place, (u16)id, (u16)(id >> 16)};

    if (d.vendor == UINT16_MAX)
        return;
    if (kind == HEADER_DEVICE)
        s->fn(&d);
    if (kind == HEADER_BRIDGE)
        s->wanted[read_at(place, BRIDGE_SECONDARY, 1)] = true; /* and looked at if it is above this one: so the search ends */
}

static void look_at_bus(struct search *s, unsigned bus)
{
    for (unsigned device = 0; device < 32; device++) {
        unsigned place = bus << 8 | device << 3;
        bool many = read_at(place, HEADER_TYPE, 1) & HEADER_MANY;

        if (read_at(place, ID, 2) == UINT16_MAX)
            continue;
        for (unsigned function = 0; function < (many ? 8u : 1u); function++)
            look_at(s, place | function);
    }
}

static void search_all(void (*fn)(const struct pci_device *d))
{
    static struct search s;

    s = (struct search){.fn = fn, .wanted = {true}};
    for (unsigned bus = 0; bus < MIN(platform.pci_buses, BUSES_MAX); bus++)
        if (s.wanted[bus])
            look_at_bus(&s, bus);
}

void pci_find(void (*fn)(const struct pci_device *d))
{
    if (platform.pci_window.size)
        search_all(survey);
    search_all(fn);
}

/* ---- interrupts ---- */

/* 6.8.2.9: the entry is written while everything is masked. */
static int connect_messages(const struct pci_device *d, unsigned cap, bool (*handler)(void *arg), void *arg)
{
    u32 table, data, control = pci_read(d, cap + MSIX_CONTROL, 2);
    volatile u32 *entry;
    unsigned line;
    u64 address;

    if (cap + MSIX_SIZE > PCI_CONFIG_SIZE)
        return -ENODEV;
    table = pci_read(d, cap + MSIX_TABLE, 4);
    entry = pci_map(d, table & 7, table & ~7u, MSIX_ENTRY);
    if (!entry || !arch_irq_message(&line, &address, &data) || !irq_register(line, handler, arg))
        return -ENODEV;
    pci_write16(d, cap + MSIX_CONTROL, (u16)(control | MSIX_ENABLE | MSIX_MASK_ALL));
    entry[0] = (u32)address;
    entry[1] = (u32)(address >> 32);
    entry[2] = data;
    entry[3] = 0; /* not masked */
    arch_io_fence();
    pci_write16(d, cap + MSIX_CONTROL, (u16)((control | MSIX_ENABLE) & ~MSIX_MASK_ALL));
    pci_write16(d, COMMAND, (u16)(pci_read(d, COMMAND, 2) | COMMAND_NO_PIN));
    return 0;
}

int pci_connect(const struct pci_device *d, bool (*handler)(void *arg), void *arg, bool *messages)
{
    unsigned cap = pci_capability(d, CAPABILITY_MSIX, 0), pin = pci_read(d, INTERRUPT_PIN, 1), line;

    *messages = cap && connect_messages(d, cap, handler, arg) == 0;
    if (*messages)
        return 0;
    if (pin < 1 || pin > 4 || !arch_pci_line(d->place, pin, &line) || !irq_register(line, handler, arg))
        return -ENODEV;
    pci_write16(d, COMMAND, (u16)(pci_read(d, COMMAND, 2) & ~COMMAND_NO_PIN));
    return 0;
}
