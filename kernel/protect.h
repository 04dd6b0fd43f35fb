/* What the kernel's mappings forbid: names for reports; in debug builds a look at all of them, and faults on purpose. */
#pragma once
#include "lib/types.h"

const char *protect_name(vaddr_t va); /* what lies, or does not lie, at an address; with an article */

#ifdef COWSLIP_DEBUG
void protect_check(void);            /* walks the kernel's own tables; panics with the mapping that must not be */
void protect_fault_test(bool early); /* does what the boot argument fault_test names; early: on the boot stack */
void protect_in_trap(void);          /* on the stack of a trap that has one of its own */
#else
static inline void protect_check(void) {}
static inline void protect_fault_test(bool early) { (void)early; }
static inline void protect_in_trap(void) {}
#endif
