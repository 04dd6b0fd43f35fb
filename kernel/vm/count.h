/* Counting an event of /proc/vmstat: one row for each CPU, added up when read (vmstat.c). */
#pragma once
#include "proc/sched.h"
#include "vm/vm.h"

/* An atomic add: the thread may be moved to another CPU between finding the row and adding to it. */
static inline void vm_count(enum vm_counter c, u64 n)
{
    __atomic_fetch_add(&arch_this_cpu()->vm_counters[c], n, __ATOMIC_RELAXED);
}
