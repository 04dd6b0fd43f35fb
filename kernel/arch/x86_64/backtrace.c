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

/* May 16 bytes at fp be read as a frame record? Only in the kernel stack that `inside` lies in. */
static bool frame_ok(vaddr_t fp, vaddr_t inside)
{
    vaddr_t base = ROUND_DOWN(inside, KSTACK_SIZE);

    return inside >= DIRECT_MAP && fp % 8 == 0 && fp >= base && fp <= base + KSTACK_SIZE - 16;
}

void arch_backtrace(const struct trapframe *tf)
{
    vaddr_t fp = tf ? tf->rbp : (vaddr_t)__builtin_frame_address(0), inside = fp;

    printk(LOG_EMERG, "backtrace:");
    if (tf)
        print_address(tf->rip);
    for (unsigned i = 0; i < DEPTH_MAX && frame_ok(fp, inside); i++) {
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
