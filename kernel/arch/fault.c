/*
 * Page faults, when the machine has said where and of what kind: of a program,
 * which becomes memory, a signal or the end of the process; and of the user-copy
 * layer, whose instructions that may fault are in a table with places to go on at.
 */
#include "arch/fault.h"
#include "proc/personality.h"
#include "proc/process.h"

struct exception_entry {
    u64 insn, fixup;
};
extern const struct exception_entry _ex_table_start[], _ex_table_end[];

void user_fault(vaddr_t va, enum fault_access access)
{
    switch (vm_fault(current->vm, va, access)) {
    case FAULT_DONE:
    case FAULT_RETRY:
        break;
    case FAULT_SEGV_MAPERR:
        signal_fault(SIGSEGV, SEGV_MAPERR, va);
        break;
    case FAULT_SEGV_ACCERR:
        signal_fault(SIGSEGV, SEGV_ACCERR, va);
        break;
    case FAULT_BUS:
        signal_fault(SIGBUS, BUS_ADRERR, va);
        break;
    case FAULT_OOM:
        oom_kill_current("no page for a fault");
        break;
    }
}

static const struct exception_entry *exception_find(u64 pc)
{
    for (const struct exception_entry *e = _ex_table_start; e < _ex_table_end; e++)
        if (e->insn == pc)
            return e;
    return NULL;
}

bool user_copy_fault(struct trapframe *tf, bool mendable, vaddr_t va, enum fault_access access)
{
    const struct exception_entry *e = exception_find(tf_pc(tf));
    enum fault_result result = FAULT_SEGV_MAPERR;

    if (!e)
        return false;
    if (mendable && va < USER_TOP && current->vm) {
        arch_irq_enable();
        result = vm_fault(current->vm, va, access);
        if (result == FAULT_OOM && !current_process()->personality->copy_survives_oom)
            oom_kill_current("no page for a copy to or from user memory");
        arch_irq_disable();
    }
    if (result != FAULT_DONE && result != FAULT_RETRY)
        tf_set_pc(tf, e->fixup);
    return true;
}
