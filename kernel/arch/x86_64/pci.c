/*
 * PCI: configuration mechanism #1 (PCI local bus specification 3.0, 3.2.2.3.2),
 * and what the firmware has written into a device about its interrupt pin.
 */
#include "machine.h"

#define ADDRESS_PORT 0xcf8
#define DATA_PORT 0xcfc
#define ADDRESS_ENABLE (1u << 31)
#define BUSES 256u
#define REG_INTERRUPT 0x3c
#define LINE(v) ((v) & 0xff)

/* The port keeps what is written to it where there is a host bridge. */
void pci_detect(void)
{
    outl(ADDRESS_PORT, ADDRESS_ENABLE);
    platform.pci_buses = inl(ADDRESS_PORT) == ADDRESS_ENABLE ? BUSES : 0;
}

u32 arch_pci_read(unsigned place, unsigned reg)
{
    outl(ADDRESS_PORT, ADDRESS_ENABLE | place << 8 | reg);
    return inl(DATA_PORT);
}

void arch_pci_write(unsigned place, unsigned reg, u32 v)
{
    outl(ADDRESS_PORT, ADDRESS_ENABLE | place << 8 | reg);
    outl(DATA_PORT, v);
}

/* A line of the ISA bus, which the firmware has led the pin to; those are wired with a level (acpi.c: override). */
bool arch_pci_line(unsigned place, unsigned pin, unsigned *line)
{
    (void)pin;
    *line = LINE(arch_pci_read(place, REG_INTERRUPT));
    return *line > 0 && *line < ISA_LINES && machine.lines[*line].level;
}
