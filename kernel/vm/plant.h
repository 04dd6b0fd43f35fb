/*
 * Planted faults: with vm.plant=NAME a debug build makes one known mistake, after a
 * while each time, so that the tests can see the checker find it. Nothing in release builds.
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
