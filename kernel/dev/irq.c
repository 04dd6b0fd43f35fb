/*
 * Interrupt lines to handlers; see irq.h.
 *
 * All lines go to the boot CPU, so a line's counter has one user. Handlers are
 * added and never removed: whoever walks the list of a line needs no lock.
 */
#include "dev/irq.h"
#include "arch/arch.h"
#include "lib/print.h"

#define LINES 256u
#define HANDLERS 96u
#define FRUITLESS_MAX 10000u /* interrupts in a row that were nobody's */

static struct handler {
    bool (*fn)(void *arg);
    void *arg;
    struct handler *next; /* of the same line */
} handlers[HANDLERS];
static unsigned handler_count;
static struct {
    struct handler *first;
    u32 fruitless;
} lines[LINES];

bool irq_register(unsigned line, bool (*fn)(void *arg), void *arg)
{
    struct handler *h = &handlers[handler_count];
    bool on, ok;

    if (line >= LINES || handler_count == HANDLERS)
        return false;
    *h = (struct handler){fn, arg, lines[line].first};
    __atomic_store_n(&lines[line].first, h, __ATOMIC_RELEASE);
    handler_count++;
    on = arch_irq_save(); /* irq_dispatch may mask another */
    ok = arch_irq_unmask(line);
    arch_irq_restore(on);
    return ok;
}

/* A device that never lets go of its line would keep the CPU in here for ever: the line is given up. */
void irq_dispatch(unsigned line)
{
    bool served = false;

    if (line >= LINES)
        return;
    for (struct handler *h = __atomic_load_n(&lines[line].first, __ATOMIC_ACQUIRE); h; h = h->next)
        served |= h->fn(h->arg);
    lines[line].fruitless = served ? 0 : lines[line].fruitless + 1;
    if (lines[line].fruitless != FRUITLESS_MAX)
        return;
    arch_irq_mask(line);
    printk(LOG_ERR, "interrupt line %u: %u interrupts that nobody asked for; it is off now", line, FRUITLESS_MAX);
}
