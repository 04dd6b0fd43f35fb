/*
 * PCI: the host bridge that a device tree calls pci-host-ecam-generic, whose
 * configuration space lies in memory (PCI Express base specification, 7.2.2).
 * The properties' form: PCI Bus Binding to IEEE 1275, and the devicetree
 * specification, 2.4.3, for the interrupt map. Interrupts come by the four pins.
 */
#include "lib/fdt.h"
#include "machine.h"

#define BUSES_MAX 16u        /* 1 MiB of addresses each */
#define BUS_SHIFT 20
#define PLACE_SHIFT 12
#define CELL 4u
#define RANGE_CELLS 7u       /* address of 3, the parent's of 2, size of 2 */
#define SPACE(first_cell) ((first_cell) >> 24 & 3)
#define SPACE_MEMORY_32 2u
#define MAP_CHILD_CELLS 4u   /* an address of 3 and a pin */

static volatile u8 *space;

static u64 two_cells(const u8 *p)
{
    return (u64)fdt_be32(p) << 32 | fdt_be32(p + CELL);
}

static fdt_node bridge(const struct fdt *t)
{
    return fdt_find_compatible(t, -1, "pci-host-ecam-generic");
}

/* The largest window of 32-bit memory: every device can be given an address there. */
static void read_ranges(const struct fdt *t, fdt_node n)
{
    u32 len;
    const u8 *p = fdt_prop(t, n, "ranges", &len);

    for (; p && len >= RANGE_CELLS * CELL; p += RANGE_CELLS * CELL, len -= RANGE_CELLS * CELL) {
        u64 size = two_cells(p + 5 * CELL);

        if (SPACE(fdt_be32(p)) != SPACE_MEMORY_32 || size <= platform.pci_window.size)
            continue;
        platform.pci_window.bus_address = two_cells(p + CELL);
        platform.pci_window.base = (paddr_t){two_cells(p + 3 * CELL)};
        platform.pci_window.size = size;
    }
}

void pci_read_tree(const struct fdt *t)
{
    fdt_node n = bridge(t);
    u64 base, size;

    if (n < 0 || !fdt_reg(t, n, 0, &base, &size))
        return;
    machine.pci_space = (paddr_t){base};
    platform.pci_buses = (unsigned)MIN(size >> BUS_SHIFT, (u64)BUSES_MAX);
    read_ranges(t, n);
}

/* Mapped when it is first asked for. */
static volatile u32 *word(unsigned place, unsigned reg)
{
    if (!space)
        space = arch_map_device(machine.pci_space, (u64)platform.pci_buses << BUS_SHIFT);
    return (volatile u32 *)(space + ((u64)place << PLACE_SHIFT) + reg);
}

u32 arch_pci_read(unsigned place, unsigned reg)
{
    return place >> 8 < platform.pci_buses ? *word(place, reg) : UINT32_MAX;
}

void arch_pci_write(unsigned place, unsigned reg, u32 v)
{
    if (place >> 8 < platform.pci_buses)
        *word(place, reg) = v;
}

/* Does an entry of the map, under the mask, speak of this device and pin? */
static bool entry_is(const u8 *entry, const u8 *mask, unsigned place, unsigned pin)
{
    return ((place << 8 ^ fdt_be32(entry)) & fdt_be32(mask)) == 0 &&
           ((pin ^ fdt_be32(entry + 3 * CELL)) & fdt_be32(mask + 3 * CELL)) == 0;
}

/* Of devices on bus 0: the map is about those. */
bool arch_pci_line(unsigned place, unsigned pin, unsigned *line)
{
    struct fdt t;
    fdt_node n = fdt_open(&t, arch_phys_to_virt(machine.fdt), 1 << 21) ? bridge(&t) : -1, parent;
    u32 len, mask_len, address_cells = 0, line_cells = 1, size;
    const u8 *p = fdt_prop(&t, n, "interrupt-map", &len), *mask = fdt_prop(&t, n, "interrupt-map-mask", &mask_len);

    if (!p || !mask || mask_len < MAP_CHILD_CELLS * CELL || place >> 8)
        return false;
    for (; len >= (MAP_CHILD_CELLS + 1) * CELL; p += size, len -= size) {
        parent = fdt_find_phandle(&t, fdt_be32(p + MAP_CHILD_CELLS * CELL));
        if (parent < 0)
            return false;
        fdt_prop_u32(&t, parent, "#address-cells", &address_cells);
        fdt_prop_u32(&t, parent, "#interrupt-cells", &line_cells);
        if (address_cells > 2 || line_cells != 1)
            return false;
        size = (MAP_CHILD_CELLS + 1 + address_cells + line_cells) * CELL;
        if (size > len)
            return false;
        *line = fdt_be32(p + size - CELL);
        if (entry_is(p, mask, place, pin))
            return true;
    }
    return false;
}

/* There is no controller for messages. */
bool arch_irq_message(unsigned *line, u64 *address, u32 *data)
{
    (void)line, (void)address, (void)data;
    return false;
}
