/*
 * The door through which every change of the trees goes. In debug builds the
 * checker closes it, waits until nobody is inside, and recounts; in release
 * builds it is nothing. Entered before any lock of the VM; may nest.
 */
#pragma once
#include "lib/types.h"

#ifdef COWSLIP_DEBUG
void vm_enter(void);
void vm_leave(void);
#else
static inline void vm_enter(void)
{
}
static inline void vm_leave(void)
{
}
#endif
