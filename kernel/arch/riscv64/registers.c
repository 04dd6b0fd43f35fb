/* A trap frame's registers, for panics. */
#include "lib/print.h"
#include "machine.h"

void arch_print_frame(const struct trapframe *tf)
{
    static const char *const names[] = {"pc", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0",
                                        "a1", "a2", "a3", "a4", "a5", "a6", "a7", "s2", "s3", "s4", "s5",
                                        "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6"};

    for (unsigned i = 0; i < 32; i += 4)
        printk(LOG_EMERG, "  %3s %016lx  %3s %016lx  %3s %016lx  %3s %016lx", names[i], tf->regs[i], names[i + 1],
               tf->regs[i + 1], names[i + 2], tf->regs[i + 2], names[i + 3], tf->regs[i + 3]);
    printk(LOG_EMERG, "  sstatus %lx scause %lx stval %lx", tf->sstatus, tf->scause, tf->stval);
}
