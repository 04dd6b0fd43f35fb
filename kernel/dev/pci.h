/*
 * PCI devices (PCI local bus specification 3.0; numbers in comments are of its
 * sections), as far as drivers here need them: found once at boot, by one thread,
 * before other CPUs are started.
 */
#pragma once
#include "lib/types.h"

#define PCI_CONFIG_SIZE 256u /* of a function's configuration space; registers beyond are not asked for */

struct pci_device {
    unsigned place; /* bus << 8 | device << 3 | function */
    u16 vendor, id;
};

/* Calls fn for each function that is no bridge. Bridges are gone through as the firmware has set them up. */
void pci_find(void (*fn)(const struct pci_device *d));
u32 pci_read(const struct pci_device *d, unsigned reg, unsigned size); /* size: 1, 2, 4; reg: a multiple of it */
void pci_write16(const struct pci_device *d, unsigned reg, u16 v);
/* The next capability of this kind (6.7) behind `after`, 0: the first; 0: there is none. */
unsigned pci_capability(const struct pci_device *d, u8 kind, unsigned after);
/* Gives the device addresses if it has none that it can have, and lets it answer there and use memory. 0, -ENODEV, -ENOSPC. */
int pci_enable(const struct pci_device *d) __must_check;
/* [offset, offset + size) of what base address register `bar` (0 to 5) leads to, mapped; NULL: it leads to no memory, or
 * not that far. After pci_enable. */
volatile void *pci_map(const struct pci_device *d, unsigned bar, u64 offset, u64 size);
/* Leads the device's interrupts to a handler: *messages: by MSI-X, vector 0 of its table, and no other's; else by its pin,
 * which others may share. 0, -ENODEV. */
int pci_connect(const struct pci_device *d, bool (*handler)(void *arg), void *arg, bool *messages) __must_check;
