/*
 * Interrupt lines to handlers. Several devices may share a line: each of its
 * handlers is asked, and says whether it had anything to do.
 */
#pragma once
#include "lib/types.h"

/* At boot, by one thread. The handler runs with interrupts off. False: there is no such line, or too many handlers. */
bool irq_register(unsigned line, bool (*handler)(void *arg), void *arg) __must_check;
void irq_dispatch(unsigned line); /* the machine: an interrupt came by this line; interrupts off */
