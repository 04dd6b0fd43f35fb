/*
 * Planted faults: with vm.plant=NAME a debug build makes one known mistake, after a
 * while each time, so that the tests can see that it is found: count, seal (by the
 * checker), flush (by the host tests, whose TLB forgets nothing by itself).
 * Nothing in release builds.
 */
#pragma once
#include "lib/types.h"

#ifdef COWSLIP_DEBUG
void vm_plant_init(void);
bool vm_plant(const char *name); /* true: make the mistake now */
#else
static inline bool vm_plant(const char *name)
{
    (void)name;
    return false;
}
#endif
