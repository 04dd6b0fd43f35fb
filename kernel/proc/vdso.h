/*
 * The pages that every program has near the top of user space:
 *   SIGRETURN_ADDRESS     the code that a signal handler returns to
 *   + 1 page              the vDSO (user/vdso), where the machine has one
 *   + 2 pages             what it reads: struct vdso_data
 * One mapping, for reading and executing. The vDSO includes this, too.
 */
#pragma once

struct vdso_data {
    unsigned long tick_ns;          /* length of the machine's tick, in units of 2^-32 ns */
    unsigned long boot_realtime_ns; /* the wall clock when the machine's time was 0 */
};

#ifndef VDSO_PROGRAM
#include "vm/vm.h"

#define SIGRETURN_ADDRESS (USER_TOP - 4 * PAGE_SIZE)
#define VDSO_ADDRESS (SIGRETURN_ADDRESS + PAGE_SIZE)
#define VDSO_PAGES 3ul /* all of it */
void vdso_init(void);
bool vdso_there_is(void);
struct vm_object *vdso_object(void);
void vdso_set_realtime(u64 boot_realtime_ns);
#endif
