/* Registers in memory, where the firmware, the boot line or a device says that some are: that may be nonsense. */
#pragma once
#include "arch/arch.h"

static inline bool registers_overlap(u64 base, u64 size, const struct platform_range *r, unsigned count)
{
    for (; count > 0; r++, count--)
        if (base < r->base.pa + r->size && r->base.pa < base + size)
            return true;
    return false;
}

/* Whether [base, base + size) may be registers: addresses that the CPU has, and no memory. */
static inline bool registers_may_be(u64 base, u64 size)
{
    u64 end = 1ul << platform.physical_bits;

    return base < end && size <= end - base && !registers_overlap(base, size, platform.ram, platform.ram_count) &&
           !registers_overlap(base, size, platform.reserved, platform.reserved_count);
}
