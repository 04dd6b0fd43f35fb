/* A trap frame's registers, for panics. */
#include "lib/print.h"
#include "machine.h"

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
