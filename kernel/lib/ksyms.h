/* Names of the kernel's functions, for backtraces. The table is made by tools/ksyms.py from the linked kernel. */
#pragma once
#include "lib/types.h"

bool ksyms_lookup(vaddr_t pc, const char **name, u64 *offset); /* false: not in the kernel's code */
