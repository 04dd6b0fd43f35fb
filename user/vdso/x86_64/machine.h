/* x86-64: the TSC, and system calls. Names and version as Linux's vDSO has them. */
#pragma once

#define VDSO_NAME(n) __vdso_##n
enum { CALL_CLOCK_GETTIME = 228, CALL_CLOCK_GETRES = 229, CALL_GETTIMEOFDAY = 96 };

static inline unsigned long machine_ticks(void)
{
    unsigned low, high;

    __asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high)::"memory");
    return (unsigned long)high << 32 | low;
}

static inline long machine_call(long number, long a, long b)
{
    long result = number;

    __asm__ volatile("syscall" : "+a"(result) : "D"(a), "S"(b) : "rcx", "r11", "memory");
    return result;
}
