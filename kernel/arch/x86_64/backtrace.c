/* Registers and return addresses for panics. Everything is checked before it is read: the stack may be broken. */
#include "lib/ksyms.h"
#include "lib/print.h"
#include "machine.h"

#define DEPTH_MAX 32

static void print_address(vaddr_t pc)
{
    const char *name;
    u64 offset;

    if (ksyms_lookup(pc, &name, &offset))
        printk(LOG_EMERG, "  %#lx %s+%#lx", pc, name, offset);
    else
        printk(LOG_EMERG, "  %#lx", pc);
}

struct stack {
    vaddr_t start, end;
};

/* The stack that va lies in: the running thread's, or one of this CPU's for traps. What a program has put into rbp lies in
 * none of them, or at worst in its own thread's. */
static struct stack stack_of(vaddr_t va)
{
    vaddr_t start = current ? current->kstack : (vaddr_t)boot_stack_guard + KSTACK_SIZE;
    int own = cpu_trap_stack_of(va);

    if (own >= 0) {
        vaddr_t end = mmu_trap_stack_top(arch_this_cpu()->id, (unsigned)own);
        return (struct stack){end - TRAP_STACK_SIZE, end};
    }
    return (struct stack){start, start + KSTACK_SIZE};
}

/* May 16 bytes at fp be read as a frame record? */
static bool frame_ok(vaddr_t fp, struct stack s)
{
    return fp % 8 == 0 && fp >= s.start && fp <= s.end - 16;
}

void arch_backtrace(const struct trapframe *tf)
{
    vaddr_t fp = tf ? tf->rbp : (vaddr_t)__builtin_frame_address(0);
    struct stack s = stack_of(fp);

    printk(LOG_EMERG, "backtrace:");
    if (tf)
        print_address(tf->rip);
    if (tf && (tf->cs & 3)) {
        printk(LOG_EMERG, "  (user mode)");
        return;
    }
    for (unsigned i = 0; i < DEPTH_MAX && frame_ok(fp, s); i++) {
        const u64 *record = (const u64 *)fp;
        if (record[1] < (u64)_kernel_start || record[1] >= (u64)_text_end)
            break;
        print_address(record[1] - 1); /* the call, not what follows it */
        if (record[0] <= fp)
            break;
        fp = record[0];
    }
}

void arch_print_frame(const struct trapframe *tf)
{
    const struct {
        const char *name;
        u64 value;
    } r[] = {{"rip", tf->rip}, {"rsp", tf->rsp}, {"rflags", tf->rflags}, {"rbp", tf->rbp}, {"rax", tf->rax}, {"rbx", tf->rbx},
             {"rcx", tf->rcx}, {"rdx", tf->rdx}, {"rsi", tf->rsi}, {"rdi", tf->rdi}, {"r8", tf->r8}, {"r9", tf->r9},
             {"r10", tf->r10}, {"r11", tf->r11}, {"r12", tf->r12}, {"r13", tf->r13}, {"r14", tf->r14}, {"r15", tf->r15}};

    for (unsigned i = 0; i < ARRAY_SIZE(r); i += 3)
        printk(LOG_EMERG, "  %6s %016lx  %6s %016lx  %6s %016lx", r[i].name, r[i].value, r[i + 1].name, r[i + 1].value,
               r[i + 2].name, r[i + 2].value);
    printk(LOG_EMERG, "  cs %lx ss %lx trap %lu error %lx address %lx", tf->cs, tf->ss, tf->trap, tf->error, tf->address);
}
