/* Calls to the firmware (RISC-V SBI 1.0): IPIs, remote fences, the timer, the early console. */
#include "machine.h"

#define SBI_LEGACY_PUTCHAR 1
#define SBI_TIME 0x54494d45
#define SBI_IPI 0x735049
#define NS 1000000000ul

struct sbi_result sbi_call(u64 extension, u64 function, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4)
{
    register u64 r0 __asm__("a0") = a0;
    register u64 r1 __asm__("a1") = a1;
    register u64 r2 __asm__("a2") = a2;
    register u64 r3 __asm__("a3") = a3;
    register u64 r4 __asm__("a4") = a4;
    register u64 r6 __asm__("a6") = function;
    register u64 r7 __asm__("a7") = extension;

    __asm__ volatile("ecall" : "+r"(r0), "+r"(r1) : "r"(r2), "r"(r3), "r"(r4), "r"(r6), "r"(r7) : "memory");
    return (struct sbi_result){(s64)r0, (s64)r1};
}

void arch_early_putc(char c)
{
    sbi_call(SBI_LEGACY_PUTCHAR, 0, (u8)c, 0, 0, 0, 0);
}

/* Calls a function of the form (hart mask, mask base, ...) for each window of 64 hart ids that the CPUs fall into. */
static void for_harts(u64 cpus_mask, u64 extension, u64 function, u64 start, u64 size)
{
    while (cpus_mask) {
        u64 base = cpus[__builtin_ctzl(cpus_mask)].hw_id, mask = 0;

        for (u64 left = cpus_mask; left; left &= left - 1)
            base = MIN(base, (u64)cpus[__builtin_ctzl(left)].hw_id);
        for (u64 left = cpus_mask; left; left &= left - 1) {
            u64 offset = cpus[__builtin_ctzl(left)].hw_id - base;
            if (offset >= 64)
                continue;
            mask |= 1ul << offset;
            cpus_mask &= ~(1ul << __builtin_ctzl(left));
        }
        sbi_call(extension, function, mask, base, start, size, 0);
    }
}

void arch_send_ipi(u64 cpus_mask)
{
    for_harts(cpus_mask, SBI_IPI, 0, 0, 0);
}

void arch_icache_sync_local(void)
{
    __asm__ volatile("fence.i" ::: "memory");
}

/* ---- time ---- */

void arch_timer_set(u64 deadline_ns)
{
    u64 ticks = UINT64_MAX;

    if (deadline_ns != UINT64_MAX)
        ticks = deadline_ns / NS * machine.timebase + deadline_ns % NS * machine.timebase / NS + 1;
    sbi_call(SBI_TIME, 0, ticks, 0, 0, 0, 0);
}

void arch_cpu_idle(void)
{
    __asm__ volatile("wfi" ::: "memory"); /* wakes on a pending interrupt although they are off */
}
