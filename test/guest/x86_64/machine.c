/* What is x86-64's alone: flags and addresses that must not reach the kernel, faults' codes, the signal frame, bases of segments. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include "../tap.h"

#define FLAG_TF 0x100ul
#define FLAG_IF 0x200ul
#define FLAG_DF 0x400ul
#define FLAG_IOPL 0x3000ul
#define FLAG_NT 0x4000ul
#define FLAG_AC 0x40000ul
#define NOT_CANONICAL 0x8000000000000000ul
#define KERNEL 0xffffffff80200000ul

static volatile int signo_seen, code_seen, count;
static volatile unsigned long flags_seen, trap_seen, rip_to_take, skip;

static unsigned long flags(void)
{
    unsigned long v;

    __asm__ volatile("pushfq\n\tpopq %0" : "=r"(v)::"memory");
    return v;
}

/* Not within a function that uses the red zone, as the compiler makes it: the pushes are its own. */
static void set_flags(unsigned long v)
{
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushq %0\n\tpopfq\n\tlea 128(%%rsp), %%rsp" ::"r"(v) : "memory", "cc");
}

static void handler(int signo, siginfo_t *info, void *context)
{
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;

    flags_seen = flags();
    signo_seen = signo;
    code_seen = info->si_code;
    trap_seen = (unsigned long)r[REG_TRAPNO];
    count++;
    r[REG_RIP] = rip_to_take ? (greg_t)rip_to_take : r[REG_RIP] + (greg_t)skip;
}

static void install(int signo)
{
    struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

    sigaction(signo, &a, NULL);
    signo_seen = 0;
}

/* A child does it; what wait says. */
static int status_of_child(void (*what)(void))
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        what();
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return status;
}

/* ---- what must not harm the kernel ---- */

static void syscall_at_the_top(void)
{
    unsigned char *page = mmap((void *)0x7ffffffff000, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    if (page == MAP_FAILED)
        raise(SIGSEGV); /* nothing can be put there: as well */
    page[4094] = 0x0f;
    page[4095] = 0x05;
    ((void (*)(void))(page + 4094))();
}

static void return_to_nowhere(void)
{
    install(SIGUSR1);
    rip_to_take = NOT_CANONICAL;
    raise(SIGUSR1);
}

static void return_to_the_kernel(void)
{
    install(SIGUSR1);
    rip_to_take = KERNEL;
    raise(SIGUSR1);
}

static void handler_nowhere(void)
{
    struct sigaction a = {.sa_handler = (void (*)(int))NOT_CANONICAL};

    sigaction(SIGUSR1, &a, NULL);
    raise(SIGUSR1);
}

static void stack_nowhere(void)
{
    __asm__ volatile("mov %0, %%rsp\n\tmov $39, %%eax\n\tsyscall\n\tpush %%rax" ::"r"(NOT_CANONICAL) : "memory", "rax", "rcx", "r11");
}

static void bad_addresses(void)
{
    int status;

    ok(WTERMSIG(status_of_child(syscall_at_the_top)) == SIGSEGV, "SYSCALL as the last instruction of user space");
    ok(WTERMSIG(status_of_child(return_to_nowhere)) == SIGSEGV, "sigreturn to an address that is not canonical");
    ok(WTERMSIG(status_of_child(return_to_the_kernel)) == SIGSEGV, "sigreturn into the kernel");
    ok(WTERMSIG(status_of_child(handler_nowhere)) == SIGSEGV, "a handler that is not canonical");
    status = status_of_child(stack_nowhere); /* processors say stack fault, QEMU says general protection */
    ok(WTERMSIG(status) == SIGBUS || WTERMSIG(status) == SIGSEGV, "a push to a stack that is not canonical");
    ok(syscall(SYS_read, open("/dev/zero", O_RDONLY), NOT_CANONICAL, 1) == -1 && errno == EFAULT, "read(2) to an address that is not canonical");
    ok(syscall(SYS_uname, 0xffff888000000000ul) == -1 && errno == EFAULT, "uname(2) into the kernel");
}

static void odd_flags(void)
{
    unsigned long usual = flags();
    volatile char *fresh = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    set_flags(usual | FLAG_AC);
    ok(getppid() > 0 && (fresh[0] = 1), "alignment flag set: a system call and a page fault");
    set_flags(usual | FLAG_NT);
    ok(getppid() > 0 && (fresh[4096] = 1), "nested-task flag set: the same");
    set_flags(usual);
    ok((flags() & (FLAG_IOPL | FLAG_IF)) == FLAG_IF, "no right to I/O, interrupts on");
}

/* A handler that gives back flags which are not its own. */
static void flag_giver(int signo, siginfo_t *info, void *context)
{
    (void)signo, (void)info;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] |= FLAG_IOPL;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)FLAG_IF;
}

static void flags_of_a_frame(void)
{
    struct sigaction a = {.sa_sigaction = flag_giver, .sa_flags = SA_SIGINFO};

    sigaction(SIGUSR2, &a, NULL);
    raise(SIGUSR2);
    ok((flags() & (FLAG_IOPL | FLAG_IF)) == FLAG_IF, "sigreturn gives no right to I/O, and leaves interrupts on");
}

/* ---- faults ---- */

#define FAULT(signo, bytes, insn)                              \
    do {                                                       \
        install(signo);                                        \
        skip = (bytes);                                        \
        __asm__ volatile(insn ::: "memory", "rax", "rdx", "rcx", "cc"); \
    } while (0)

static void faults(void)
{
    FAULT(SIGFPE, 2, "xor %%eax, %%eax\n\txor %%edx, %%edx\n\txor %%ecx, %%ecx\n\tdiv %%ecx");
    ok(signo_seen == SIGFPE && code_seen == FPE_INTDIV && trap_seen == 0, "division by zero");
    FAULT(SIGTRAP, 0, "int3");
    ok(signo_seen == SIGTRAP && code_seen == SI_KERNEL && trap_seen == 3, "int3");
    FAULT(SIGILL, 2, "ud2");
    ok(signo_seen == SIGILL && trap_seen == 6, "ud2");
    FAULT(SIGSEGV, 1, "hlt");
    ok(signo_seen == SIGSEGV && code_seen == SI_KERNEL && trap_seen == 13, "a privileged instruction");
    FAULT(SIGSEGV, 2, "int $0xf1");
    ok(signo_seen == SIGSEGV && trap_seen == 13, "an interrupt's vector from user mode");
    FAULT(SIGSEGV, 3, "mov $1, %%eax\n\tshl $63, %%rax\n\tmov (%%rax), %%rax");
    ok(signo_seen == SIGSEGV && code_seen == SI_KERNEL && trap_seen == 13, "a load from an address that is not canonical");
    FAULT(SIGSEGV, 3, "mov $0xffffffff80200000, %%rax\n\tmov (%%rax), %%rax");
    ok(signo_seen == SIGSEGV && trap_seen == 14, "a load from the kernel");
}

static void float_faults(void)
{
    unsigned control = 0x1f80 & ~0x200u;

    FAULT(SIGFPE, 1, "fninit\n\tpushq $0x37b\n\tfldcw (%%rsp)\n\tpop %%rax\n\tfldz\n\tfld1\n\tfdivp\n\tfwait");
    __asm__ volatile("fninit");
    ok(signo_seen == SIGFPE && code_seen == FPE_FLTDIV && trap_seen == 16, "an x87 division by zero");
    __asm__ volatile("ldmxcsr %0" ::"m"(control));
    FAULT(SIGFPE, 4, "pxor %%xmm1, %%xmm1\n\tmov $1, %%eax\n\tcvtsi2sd %%eax, %%xmm0\n\tdivsd %%xmm1, %%xmm0");
    control = 0x1f80;
    __asm__ volatile("ldmxcsr %0" ::"m"(control));
    ok(!signo_seen || (code_seen == FPE_FLTDIV && trap_seen == 19), "an SSE division by zero, which QEMU does not trap");
}

static void single_steps(void)
{
    install(SIGTRAP);
    skip = 0;
    count = 0;
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
                     "pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\t"
                     "nop\n\tmov $39, %%eax\n\tsyscall\n\tnop\n\t"
                     "pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\t"
                     "lea 128(%%rsp), %%rsp" ::: "memory", "rax", "rcx", "r11", "cc");
    ok(count >= 6 && count <= 8 && code_seen == TRAP_TRACE, "single steps, one of them over a system call (%d)", count);
}

/* ---- registers ---- */

static void registers_of_a_call(void)
{
    register unsigned long r8 __asm__("r8") = 8, r9 __asm__("r9") = 9, r10 __asm__("r10") = 10, r12 __asm__("r12") = 12;
    unsigned long rax = SYS_getppid, rdi = 1, rsi = 2, rdx = 3;

    __asm__ volatile("syscall"
                     : "+a"(rax), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r8), "+r"(r9), "+r"(r10), "+r"(r12)::"rcx", "r11", "memory");
    ok(rdi == 1 && rsi == 2 && rdx == 3 && r8 == 8 && r9 == 9 && r10 == 10 && r12 == 12, "a system call leaves registers alone");
}

static void handler_begins_clean(void)
{
    unsigned long marker;

    install(SIGILL);
    skip = 2;
    __asm__ volatile("movq $0x1234, -8(%%rsp)\n\tstd\n\tud2\n\tcld\n\tmovq -8(%%rsp), %0" : "=r"(marker)::"memory", "cc");
    ok(marker == 0x1234, "the red zone stays whole");
    ok(signo_seen == SIGILL && !(flags_seen & (FLAG_DF | FLAG_TF)), "a handler begins with the direction flag clear");
}

static void clobber(int signo, siginfo_t *info, void *context)
{
    struct _libc_fpstate *f = ((ucontext_t *)context)->uc_mcontext.fpregs;
    unsigned mxcsr;

    (void)signo, (void)info;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    flags_seen = mxcsr;
    count = f->_xmm[3].element[0] == 0x33333333;
    f->_xmm[5].element[0] = 0x5555;
    __asm__ volatile("pcmpeqd %%xmm3, %%xmm3\n\tpcmpeqd %%xmm4, %%xmm4\n\tpcmpeqd %%xmm5, %%xmm5" ::: "xmm3", "xmm4", "xmm5");
}

static void state_in_a_frame(void)
{
    struct sigaction a = {.sa_sigaction = clobber, .sa_flags = SA_SIGINFO};
    unsigned mxcsr = 0x1f80 | 0x8000, r3 = 0x33333333, r4 = 0x44444444, r5 = 0, pid = (unsigned)getpid();
    unsigned long result = SYS_kill;

    sigaction(SIGUSR1, &a, NULL);
    __asm__ volatile("ldmxcsr %5\n\tmovd %1, %%xmm3\n\tmovd %2, %%xmm4\n\tmovd %3, %%xmm5\n\tsyscall\n\t"
                     "movd %%xmm3, %1\n\tmovd %%xmm4, %2\n\tmovd %%xmm5, %3\n\tstmxcsr %5"
                     : "+a"(result), "+r"(r3), "+r"(r4), "+r"(r5)
                     : "D"((unsigned long)pid), "m"(mxcsr), "S"(SIGUSR1)
                     : "rcx", "r11", "memory", "xmm3", "xmm4", "xmm5");
    ok(result == 0 && count == 1, "a handler sees the registers of SSE in its frame");
    ok(r3 == 0x33333333 && r4 == 0x44444444, "they come back");
    ok(r5 == 0x5555, "and as the handler changed them");
    ok(flags_seen == 0x1f80 && (mxcsr & 0x8000), "a handler has an MXCSR of its own");
    mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
}

/* There is no local descriptor table, so no selector of one has a limit to load. */
static void local_descriptors(void)
{
    unsigned long limit = 0;
    unsigned char found;

    __asm__ volatile("lsl %2, %0\n\tsetz %1" : "+r"(limit), "=q"(found) : "r"(0x8007ul) : "cc");
    ok(!found, "no local descriptor table");
}

static volatile unsigned control_seen[2];

static void note_control(int signo, siginfo_t *info, void *context)
{
    unsigned mxcsr;

    (void)info, (void)context;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    control_seen[signo == SIGUSR2] = mxcsr;
}

/* Two signals at once: the second handler's frame is made before the first has begun. */
static void two_in_a_row(void)
{
    struct sigaction a = {.sa_sigaction = note_control, .sa_flags = SA_SIGINFO};
    unsigned mxcsr = 0x1f80 | 0x8000;
    sigset_t set;

    sigaction(SIGUSR1, &a, NULL);
    sigaction(SIGUSR2, &a, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR2);
    __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    ok(control_seen[0] == 0x1f80 && control_seen[1] == 0x1f80, "of two handlers in a row each has an MXCSR of its own: %#x %#x",
       control_seen[0], control_seen[1]);
    ok(mxcsr == (0x1f80 | 0x8000), "and the program has its");
    mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
}

/* Whole registers of AVX where there are any. */
static int keeps_vectors(unsigned char seed)
{
    unsigned char in[32], out[32];
    int wide = __builtin_cpu_supports("avx");

    memset(in, seed, sizeof in);
    for (int i = 0; i < 300; i++) {
        memset(out, 0, sizeof out);
        if (wide)
            __asm__ volatile("vmovdqu %1, %%ymm9\n\tmov $24, %%eax\n\tsyscall\n\tvmovdqu %%ymm9, %0\n\tvzeroupper"
                             : "=m"(out) : "m"(in) : "rax", "rcx", "r11", "memory", "xmm9");
        else
            __asm__ volatile("movdqu %1, %%xmm9\n\tmov $24, %%eax\n\tsyscall\n\tmovdqu %%xmm9, %0"
                             : "=m"(out) : "m"(in) : "rax", "rcx", "r11", "memory", "xmm9");
        if (memcmp(in, out, wide ? 32 : 16))
            return 1;
    }
    return 0;
}

static void vectors_of_many(void)
{
    int status, wrong = 0;

    for (unsigned char i = 1; i <= 6; i++)
        if (fork() == 0)
            _exit(keeps_vectors((unsigned char)(i * 17)));
    while (wait(&status) > 0)
        wrong += status != 0;
    ok(wrong == 0, "vector registers of processes that take turns");
}

/* ---- bases ---- */

static void bases(void)
{
    unsigned long fs = 0, gs = 1, word = 0x1122334455667788, seen;
    int status;
    pid_t pid;

    ok(syscall(SYS_arch_prctl, 0x1003, &fs) == 0 && fs == *(unsigned long *)fs, "the base of FS is the thread's block");
    ok(syscall(SYS_arch_prctl, 0x1001, &word) == 0, "a base for GS");
    sched_yield();
    __asm__ volatile("movq %%gs:0, %0" : "=r"(seen));
    ok(seen == word && syscall(SYS_arch_prctl, 0x1004, &gs) == 0 && gs == (unsigned long)&word, "it is used, and told");
    pid = fork();
    if (pid == 0) {
        __asm__ volatile("movq %%gs:0, %0" : "=r"(seen));
        _exit(seen != word);
    }
    waitpid(pid, &status, 0);
    ok(status == 0, "a child has it, too");
    ok(syscall(SYS_arch_prctl, 0x1002, KERNEL) == -1 && errno == EPERM, "no base in the kernel");
    ok(syscall(SYS_arch_prctl, 0x9999, 0) == -1 && errno == EINVAL, "an unknown code");
}

int main(void)
{
    bad_addresses();
    odd_flags();
    flags_of_a_frame();
    faults();
    float_faults();
    single_steps();
    registers_of_a_call();
    handler_begins_clean();
    state_in_a_frame();
    two_in_a_row();
    local_descriptors();
    vectors_of_many();
    bases();
    return done();
}
