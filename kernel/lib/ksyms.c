/*
 * Looks addresses up in the table that tools/ksyms.py made. Its symbols are
 * weak, because the first link has no table yet. Nothing changes: no lock.
 */
#include "lib/ksyms.h"

extern const u32 ksyms_count __attribute__((weak));
extern const u64 ksyms_base __attribute__((weak));
extern const u32 ksyms_offset[] __attribute__((weak)); /* ascending, from ksyms_base */
extern const u32 ksyms_name_at[] __attribute__((weak));
extern const char ksyms_names[] __attribute__((weak));

bool ksyms_lookup(vaddr_t pc, const char **name, u64 *offset)
{
    u32 low = 0, count = &ksyms_count ? ksyms_count : 0, high = count;

    if (count == 0 || pc < ksyms_base || pc - ksyms_base > UINT32_MAX)
        return false;
    while (high - low > 1) { /* the one that is wanted lies in [low, high) */
        u32 middle = low + (high - low) / 2;

        if (ksyms_offset[middle] <= pc - ksyms_base)
            low = middle;
        else
            high = middle;
    }
    if (low + 1 == count) /* the last one is the end of the code */
        return false;
    *name = ksyms_names + ksyms_name_at[low];
    *offset = pc - ksyms_base - ksyms_offset[low];
    return true;
}
