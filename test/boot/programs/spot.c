/*
 * Executes itself again and again, and each time appends to /tmp/spots where it lies: stack, mappings, program, heap
 * (from the end of its data), vDSO. Position-independent, without libc; `aslr` makes sense of the file.
 *
 * spot 00010000     so many times: digits, which are counted down in their place
 */
#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

extern char _end[] __attribute__((visibility("hidden")));

#if defined(__riscv)
static long call(long n, long a, long b, long c, long d, long e, long f)
{
    register long a7 __asm__("a7") = n, a0 __asm__("a0") = a, a1 __asm__("a1") = b, a2 __asm__("a2") = c, a3 __asm__("a3") = d,
                     a4 __asm__("a4") = e, a5 __asm__("a5") = f;

    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5) : "memory");
    return a0;
}
__asm__(".globl _start\n_start: mv a0, sp\n andi sp, sp, -16\n tail run\n");
#else
static long call(long n, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;

    __asm__ volatile("syscall" : "+a"(n) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return n;
}
__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call run\n");
#endif

static int count_down(char *digits)
{
    int i = 7;

    while (i >= 0 && digits[i] == '0')
        digits[i--] = '9';
    if (i >= 0)
        digits[i]--;
    return i >= 0;
}

__attribute__((noreturn, used, visibility("hidden"))) void run(long *sp)
{
    char **argv = (char **)(sp + 1), **environment = argv + sp[0] + 1;
    long *p = (long *)environment;
    uintptr_t at[5] = {(uintptr_t)sp};
    long fd;

    while (*p++)
        ;
    for (; p[0] != AT_NULL; p += 2)
        if (p[0] == AT_SYSINFO_EHDR)
            at[4] = (uintptr_t)p[1];
    at[1] = (uintptr_t)call(SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    at[2] = (uintptr_t)&run;
    at[3] = (uintptr_t)call(SYS_brk, 0, 0, 0, 0, 0, 0) - (uintptr_t)_end;
    fd = call(SYS_openat, AT_FDCWD, (long)"/tmp/spots", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600, 0, 0);
    if (sp[0] == 2 && count_down(argv[1]) && call(SYS_write, fd, (long)at, sizeof at, 0, 0, 0) == sizeof at)
        call(SYS_execve, (long)"/proc/self/exe", (long)argv, (long)environment, 0, 0, 0);
    for (;;)
        call(SYS_exit, 0, 0, 0, 0, 0, 0);
}
