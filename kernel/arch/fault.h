/* What a machine's trap handler calls for a page fault; the caller's trap frame may change. */
#pragma once
#include "arch/arch.h"
#include "vm/vm.h"

/* A program's fault; interrupts on. Afterwards it runs on, has a signal, or is to end. */
void user_fault(vaddr_t va, enum fault_access access);
/*
 * A fault of the kernel's, interrupts off. False: not of the user-copy layer.
 * mendable: it is a page fault, at va, that came with interrupts on; then the page
 * may be had, as for the program itself. Else the copy goes on at its fixup.
 */
bool user_copy_fault(struct trapframe *tf, bool mendable, vaddr_t va, enum fault_access access);
