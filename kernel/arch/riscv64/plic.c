/* The platform-level interrupt controller (RISC-V PLIC specification 1.0). */
#include "dev/irq.h"
#include "machine.h"

#define PRIORITY(line) ((line) * 4ul)
#define ENABLE(context) (0x2000 + (context) * 0x80ul)
#define THRESHOLD(context) (0x200000 + (context) * 0x1000ul)
#define CLAIM(context) (THRESHOLD(context) + 4)
#define PLIC_SIZE 0x600000
#define LINES_MAX 1024u

static volatile u8 *plic;

static volatile u32 *reg(u64 offset)
{
    return (volatile u32 *)(plic + offset);
}

static u32 context_of(u32 cpu)
{
    return machine.plic_context[cpu];
}

void plic_init_cpu(u32 cpu)
{
    if (machine.plic.pa == 0 || context_of(cpu) == UINT32_MAX)
        return;
    if (!plic)
        plic = arch_map_device(machine.plic, PLIC_SIZE);
    *reg(THRESHOLD(context_of(cpu))) = 0;
}

/* All lines go to the boot CPU: the handlers are short and wake threads elsewhere. */
bool arch_irq_unmask(unsigned line)
{
    if (!plic || line == 0 || line >= LINES_MAX || (machine.plic_lines && line > machine.plic_lines))
        return false;
    *reg(PRIORITY(line)) = 1;
    *reg(ENABLE(context_of(0)) + line / 32 * 4) |= 1u << line % 32;
    return true;
}

/* By its priority: 0 never interrupts (section 4). It stays enabled, as the completion that plic_handle still owes would
 * be ignored otherwise (section 9), and the line never come again. */
bool arch_irq_mask(unsigned line)
{
    *reg(PRIORITY(line)) = 0;
    return true;
}

void plic_handle(void)
{
    u32 context = context_of(arch_this_cpu()->id), line = *reg(CLAIM(context));

    if (line == 0)
        return;
    irq_dispatch(line);
    *reg(CLAIM(context)) = line;
}
