/* What the compiler calls where the machine has no instruction for it. */
#include "lib/types.h"

int __ctzdi2(u64 v);

/* Trailing zeros; v is not 0. */
int __ctzdi2(u64 v)
{
    int n = 0;

    for (unsigned step = 32; step > 0; step /= 2)
        if (!(v & ((1ul << step) - 1))) {
            v >>= step;
            n += (int)step;
        }
    return n;
}
