/* What the compiler calls where the machine has no instruction for it. */
#include "lib/bits.h"

int __ctzdi2(u64 v);

/* Trailing zeros; v is not 0. */
int __ctzdi2(u64 v)
{
    return (int)lowest_bit(v);
}
