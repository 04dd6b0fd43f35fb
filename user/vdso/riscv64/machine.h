/* RISC-V: the time register, and system calls. Names and version as Linux's vDSO has them. */
#pragma once

#define VDSO_NAME(n) __vdso_##n
enum { CALL_CLOCK_GETTIME = 113, CALL_CLOCK_GETRES = 114, CALL_GETTIMEOFDAY = 169 };

static inline unsigned long machine_ticks(void)
{
    unsigned long t;

    __asm__ volatile("rdtime %0" : "=r"(t));
    return t;
}

static inline long machine_call(long number, long a, long b)
{
    register long a0 __asm__("a0") = a, a1 __asm__("a1") = b, a7 __asm__("a7") = number;

    __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a7) : "memory");
    return a0;
}
