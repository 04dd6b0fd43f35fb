/* Counters: one row for each CPU, added up when read. */
#include "vm/count.h"

_Static_assert(VMC_COUNT <= ARRAY_SIZE(((struct cpu *)0)->vm_counters), "room in struct cpu");

const char *const vm_counter_name[VMC_COUNT] = {
#define X(n) [VMC_##n] = #n,
    VM_COUNTERS(X)
#undef X
};

u64 vm_counter_read(enum vm_counter c)
{
    u64 sum = 0;

    for (u32 i = 0; i < MAX_CPUS; i++)
        sum += __atomic_load_n(&cpus[i].vm_counters[c], __ATOMIC_RELAXED);
    return sum;
}
