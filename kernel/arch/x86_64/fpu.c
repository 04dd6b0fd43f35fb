/*
 * x87, SSE and AVX: kept in the registers while a thread runs, also in the
 * kernel, which uses none of them; saved when another thread comes, loaded on
 * the way back to user mode. So the registers in user mode are always the
 * thread's own, and nothing is left to a trap at the first use.
 *
 * The bases of FS and GS travel with them: a thread's are in its trap frame.
 */
#include "lib/string.h"
#include "machine.h"
#include "proc/process.h"

#define XCR0_X87_SSE 3ul
#define XCR0_AVX 4ul
#define MXCSR_INITIAL 0x1f80u
#define AREA_MXCSR 24
#define AREA_MXCSR_MASK 28

u64 fpu_features;
u32 fpu_mxcsr_mask;

static void xsetbv(u64 v)
{
    __asm__ volatile("xsetbv" ::"c"(0), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

static void xsave(struct fpu_state *s)
{
    __asm__ volatile("xsave64 (%0)" ::"r"(fpu_area(s)), "a"((u32)fpu_features), "d"(0) : "memory");
}

static void xrstor(const struct fpu_state *s)
{
    __asm__ volatile("xrstor64 (%0)" ::"r"(fpu_area(s)), "a"((u32)fpu_features), "d"(0) : "memory");
}

/* AVX where the state fits: it is at its place (576) in all CPUs, but that is not promised. */
void fpu_init_cpu(void)
{
    static struct fpu_state probe;
    struct cpuid d = cpuid(0xd, 2);

    fpu_features = XCR0_X87_SSE | (cpuid(0xd, 0).a & XCR0_AVX && d.b + d.a <= XSAVE_SIZE ? XCR0_AVX : 0);
    xsetbv(fpu_features);
    if (fpu_mxcsr_mask)
        return;
    xsave(&probe); /* boot CPU */
    memcpy(&fpu_mxcsr_mask, fpu_area(&probe) + AREA_MXCSR_MASK, sizeof fpu_mxcsr_mask);
    if (!fpu_mxcsr_mask)
        fpu_mxcsr_mask = 0xffbf; /* SDM volume 1, section 11.6.6 */
}

/* Interrupts off, or the thread is current and stays here. */
void arch_fpu_save(struct fpu_state *s)
{
    bool on = arch_irq_save();

    if (s->loaded)
        xsave(s);
    s->valid = s->valid || s->loaded;
    s->loaded = false;
    arch_irq_restore(on);
}

void fpu_set_bases(const struct trapframe *tf)
{
    wrmsr(MSR_FS_BASE, tf->fs_base);
    wrmsr(MSR_KERNEL_GS_BASE, tf->gs_base); /* SWAPGS exchanges the two */
}

/* An empty header is the initial state, but MXCSR is always loaded. */
void fpu_make_valid(struct fpu_state *s)
{
    u32 mxcsr = MXCSR_INITIAL;

    if (s->valid)
        return;
    memset(fpu_area(s), 0, XSAVE_SIZE);
    memcpy(fpu_area(s) + AREA_MXCSR, &mxcsr, sizeof mxcsr);
    s->valid = true;
}

/* What another process may have left in the selectors that 64-bit mode has no use for. Interrupts off: GS is the kernel's
 * in between. */
static void clear_selectors(void)
{
    __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es\n\tmov %0, %%fs\n\tswapgs\n\tmov %0, %%gs\n\tswapgs" ::"r"(0) : "memory");
}

void fpu_load(void)
{
    struct fpu_state *s = &current->fpu;

    fpu_make_valid(s);
    xrstor(s);
    s->loaded = true;
    clear_selectors(); /* before the bases, which this takes away */
    fpu_set_bases(current->frame);
}
