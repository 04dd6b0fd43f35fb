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
#define FRUITLESS_MAX 10000u /* interrupts that were nobody's */
#define SERVED_WORTH 8u      /* of those, how many one that was somebody's makes up for: a disk has as many requests */

static struct handler {
    bool (*fn)(void *arg);
    void *arg;
    struct handler *next; /* of the same line */
} handlers[HANDLERS];
static unsigned handler_count;
static struct {
    struct handler *first;
    u32 fruitless;
    bool given_up;
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
    on = arch_irq_save(); /* irq_dispatch may mask another, or count */
    lines[line].fruitless = 0; /* one that was given up gets another chance, and is given up again */
    lines[line].given_up = false;
    ok = arch_irq_unmask(line);
    arch_irq_restore(on);
    return ok;
}

/* A device that never lets go would keep the CPU in here for ever. A busy one on the same line does not hide it. */
static void count_fruitless(unsigned line)
{
    bool off;

    if (lines[line].given_up || ++lines[line].fruitless < FRUITLESS_MAX)
        return;
    lines[line].given_up = true;
    off = arch_irq_mask(line);
    printk(LOG_ERR, "interrupt line %u: %u interrupts that nobody asked for; it %s", line, FRUITLESS_MAX,
           off ? "is off now" : "cannot be turned off");
}

void irq_dispatch(unsigned line)
{
    bool served = false;

    if (line >= LINES)
        return;
    for (struct handler *h = __atomic_load_n(&lines[line].first, __ATOMIC_ACQUIRE); h; h = h->next)
        served |= h->fn(h->arg);
    if (served)
        lines[line].fruitless -= MIN(lines[line].fruitless, SERVED_WORTH);
    else
        count_fruitless(line);
}
