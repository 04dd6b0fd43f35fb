/*
 * Return addresses for panics, by the chain of frame records: pairs of the
 * caller's frame pointer and the return address, at FRAME_RECORD from the frame
 * pointer. Everything is checked before it is read: the stack may be broken.
 */
#include "arch/arch.h"
#include "lib/ksyms.h"
#include "lib/print.h"
#include "proc/sched.h"

#define DEPTH_MAX 32

extern char _kernel_start[], _text_end[], boot_stack_guard[];

struct frame_record {
    vaddr_t caller, pc;
};

static void print_address(vaddr_t pc)
{
    const char *name;
    u64 offset;

    if (ksyms_lookup(pc, &name, &offset))
        printk(LOG_EMERG, "  %#lx %s+%#lx", pc, name, offset);
    else
        printk(LOG_EMERG, "  %#lx", pc);
}

/* May the record at `at` be read? Only in the stack that `start` and `end` are the bounds of. */
static bool record_ok(vaddr_t at, vaddr_t start, vaddr_t end)
{
    return at % 8 == 0 && at >= start && at <= end - sizeof(struct frame_record);
}

void arch_backtrace(const struct trapframe *tf)
{
    vaddr_t fp = tf ? tf_fp(tf) : (vaddr_t)__builtin_frame_address(0);
    vaddr_t start, end;

    if (!arch_trap_stack_of(fp + FRAME_RECORD, &start, &end)) { /* whatever a program has put there: no stack but these two is looked at */
        start = current ? current->kstack : (vaddr_t)boot_stack_guard + KSTACK_SIZE;
        end = start + KSTACK_SIZE;
    }
    printk(LOG_EMERG, "backtrace:");
    if (tf)
        print_address(tf_pc(tf));
    if (tf && tf_from_user(tf)) {
        printk(LOG_EMERG, "  (user mode)");
        return;
    }
    if (tf && tf_link(tf))
        print_address(tf_link(tf));
    for (unsigned i = 0; i < DEPTH_MAX && record_ok(fp + FRAME_RECORD, start, end); i++) {
        const struct frame_record *r = (const struct frame_record *)(fp + FRAME_RECORD);
        if (r->pc < (u64)_kernel_start || r->pc >= (u64)_text_end)
            break;
        print_address(r->pc - CALL_SIZE); /* the call, not what follows it */
        if (r->caller <= fp)
            break;
        fp = r->caller;
    }
}
