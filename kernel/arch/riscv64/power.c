/* Turning the machine off, starting it again, and the clock on the wall. */
#include "machine.h"

#define FINISHER_PASS 0x5555u
#define FINISHER_FAIL 0x3333u
#define FINISHER_RESET 0x7777u
#define SBI_SRST 0x53525354

static void finish(u32 value)
{
    if (machine.finisher.pa)
        *(volatile u32 *)arch_map_device(machine.finisher, 4) = value;
}

static void __noreturn stop(void)
{
    for (;;)
        __asm__ volatile("wfi");
}

/* The finisher gives QEMU's exit status; real machines have only the firmware's shutdown. */
void arch_poweroff(unsigned status)
{
    arch_irq_disable();
    finish(status == 0 ? FINISHER_PASS : FINISHER_FAIL | (status & 0xff) << 16);
    sbi_call(SBI_SRST, 0, 0, status != 0, 0, 0, 0);
    stop();
}

void arch_reboot(void)
{
    arch_irq_disable();
    finish(FINISHER_RESET);
    sbi_call(SBI_SRST, 0, 1, 0, 0, 0, 0);
    stop();
}

u64 arch_wallclock_ns(void)
{
    volatile u32 *rtc;
    u64 low;

    if (machine.rtc.pa == 0)
        return 0;
    rtc = arch_map_device(machine.rtc, 8);
    low = rtc[0]; /* reading the low half latches the high one */
    return (u64)rtc[1] << 32 | low;
}
