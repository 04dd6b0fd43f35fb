/*
 * What each CPU is told once: segments, the table of vectors, the stacks for
 * traps that may come at any instruction, SYSCALL, and the protections.
 */
#include "lib/string.h"
#include "machine.h"

enum ist { IST_DOUBLE_FAULT = 1, IST_NMI, IST_MACHINE_CHECK };
_Static_assert(IST_MACHINE_CHECK == TRAP_STACKS, "arch.h");
const char *const trap_stack_name[TRAP_STACKS] = {"double faults", "NMIs", "machine checks"};

struct gate { /* SDM volume 3A, figure 6-8 */
    u16 offset_low, selector;
    u8 ist, type;
    u16 offset_middle;
    u32 offset_high, reserved;
};
struct table_pointer {
    u16 limit;
    u64 base;
} __attribute__((packed));

static struct gate idt[256] __attribute__((aligned(16)));
static u64 gdt[MAX_CPUS][GDT_ENTRIES] __attribute__((aligned(16)));
static struct tss tss[MAX_CPUS] __attribute__((aligned(16)));
struct features features;
u32 arch_hwcap;
static char isa[160];
extern const char vector_stubs[];
extern const struct {
    u64 address, op;
} _smap_sites_start[], _smap_sites_end[];

struct cpuid cpuid(u32 leaf, u32 subleaf)
{
    struct cpuid r;

    __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(subleaf));
    return r;
}

/* Where the user window is opened and closed the image has NOPs. It is not read-only yet. */
static void patch_smap(void)
{
    for (const __typeof__(_smap_sites_start[0]) *s = _smap_sites_start; s < _smap_sites_end; s++) {
        u8 *insn = (u8 *)s->address;
        insn[1] = 0x01;
        insn[2] = (u8)s->op;
    }
}

/* ---- /proc/cpuinfo ---- */

/* Of CPUID.1 the names that programs look for, in Linux's words. */
static void name_features(void)
{
    static const struct {
        u8 bit;
        bool in_c;
        const char *name;
    } known[] = {{0, false, "fpu"}, {4, false, "tsc"}, {8, false, "cx8"}, {15, false, "cmov"}, {23, false, "mmx"},
                 {24, false, "fxsr"}, {25, false, "sse"}, {26, false, "sse2"}, {0, true, "pni"}, {9, true, "ssse3"},
                 {13, true, "cx16"}, {19, true, "sse4_1"}, {20, true, "sse4_2"}, {23, true, "popcnt"}, {26, true, "xsave"},
                 {28, true, "avx"}, {30, true, "rdrand"}};
    struct cpuid r = cpuid(1, 0);
    size_t n = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
        if ((known[i].in_c ? r.c : r.d) >> known[i].bit & 1)
            n += strlcpy(isa + n, known[i].name, sizeof isa - n), isa[n++] = ' ';
    isa[n > 0 ? n - 1 : 0] = 0;
}

const char *arch_isa(void)
{
    return isa;
}

void cpu_find_features(void)
{
    struct cpuid base = cpuid(1, 0), more = cpuid(0, 0).a >= 7 ? cpuid(7, 0) : (struct cpuid){0};

    if (!(base.c >> 26 & 1) || !(cpuid(0x80000001, 0).d >> 20 & 1))
        boot_fail("this CPU has no XSAVE or no NX");
    arch_hwcap = base.d;
    name_features();
    features = (struct features){.x2apic = base.c >> 21 & 1, .rdrand = base.c >> 30 & 1,
                                 .pages_1g = cpuid(0x80000001, 0).d >> 26 & 1, .smep = more.b >> 7 & 1,
                                 .smap = more.b >> 20 & 1, .umip = more.c >> 2 & 1, .mce = base.d >> 7 & 1,
                                 .pcid = base.c >> 17 & 1, .invpcid = more.b >> 10 & 1};
    if (features.smap)
        patch_smap();
}

static void set_gate(unsigned vector, enum ist ist, unsigned dpl)
{
    u64 at = (u64)vector_stubs + vector * 16;

    idt[vector] = (struct gate){.offset_low = (u16)at, .offset_middle = (u16)(at >> 16), .offset_high = (u32)(at >> 32),
                                .selector = KERNEL_CS, .ist = (u8)ist, .type = (u8)(0x8e | dpl << 5)};
}

static void make_idt(void)
{
    for (unsigned v = 0; v < 256; v++)
        set_gate(v, 0, v == 3 || v == 4 ? 3 : 0); /* INT3 and INTO are for everybody */
    set_gate(2, IST_NMI, 0);
    set_gate(8, IST_DOUBLE_FAULT, 0);
    set_gate(18, IST_MACHINE_CHECK, 0);
}

static void load_segments(u32 id)
{
    struct table_pointer gdt_at = {sizeof gdt[0] - 1, (u64)gdt[id]}, idt_at = {sizeof idt - 1, (u64)idt};
    u64 base = (u64)&tss[id];

    gdt[id][KERNEL_CS / 8] = 0x00af9b000000ffff;
    gdt[id][KERNEL_DS / 8] = 0x00cf93000000ffff;
    gdt[id][USER_DS / 8] = 0x00cff3000000ffff;
    gdt[id][USER_CS / 8] = 0x00affb000000ffff;
    gdt[id][TSS_SELECTOR / 8] =
        (sizeof tss[0] - 1) | (base & 0xffffff) << 16 | 0x89ul << 40 | (base >> 24 & 0xff) << 56;
    gdt[id][TSS_SELECTOR / 8 + 1] = base >> 32;
    __asm__ volatile("lgdt %0\n\tlidt %1\n\tltr %2\n\tlldt %3" ::"m"(gdt_at), "m"(idt_at), "r"((u16)TSS_SELECTOR),
                     "r"((u16)0) /* none: what it is after a reset leads to memory at address 0 */ : "memory");
}

/* SYSCALL from 32-bit mode would need MSR_CSTAR; without a segment for it no user gets there. */
static void init_syscall(void)
{
    wrmsr(MSR_STAR, (u64)(USER_DS - 8) << 48 | (u64)KERNEL_CS << 32);
    wrmsr(MSR_LSTAR, (u64)syscall_entry);
    wrmsr(MSR_FMASK, 0x47700); /* AC, NT, IOPL, DF, IF, TF */
}

static void init_control(void)
{
    u64 cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;

    /* PCIDE may be set while the identifier in CR3 is 0 (SDM volume 3A, 4.10.1): it still is. */
    cr4 |= (features.pcid ? CR4_PCIDE : 0) | (features.smep ? CR4_SMEP : 0) | (features.smap ? CR4_SMAP : 0) |
           (features.umip ? CR4_UMIP : 0) |
           (features.mce ? CR4_MCE : 0);
    __asm__ volatile("mov %0, %%cr4" ::"r"(cr4) : "memory");
}

void cpu_set_trap_stacks(struct cpu *c)
{
    for (unsigned i = 0; i < TRAP_STACKS; i++)
        tss[c->id].ist[i] = mmu_trap_stack_top(c->id, i);
}

int cpu_trap_stack_of(vaddr_t va)
{
    for (int i = 0; i < TRAP_STACKS; i++) {
        vaddr_t top = mmu_trap_stack_top(arch_this_cpu()->id, (unsigned)i);
        if (va < top && va >= top - 2 * TRAP_STACK_SIZE)
            return i;
    }
    return -1;
}

bool arch_trap_stack_of(vaddr_t va, vaddr_t *start, vaddr_t *end)
{
    int i = cpu_trap_stack_of(va);

    if (i < 0)
        return false;
    *end = mmu_trap_stack_top(arch_this_cpu()->id, (unsigned)i);
    *start = *end - TRAP_STACK_SIZE;
    return va >= *start;
}

void cpu_init(struct cpu *c)
{
    struct tss *t = &tss[c->id];

    if (c->id == 0)
        make_idt();
    t->io_map = sizeof *t;
    t->rsp0 = c->kernel_sp;
    for (unsigned i = 0; i < TRAP_STACKS; i++) /* of the boot CPU, until there are tables: one for all three */
        t->ist[i] = (u64)c->overflow_stack + sizeof c->overflow_stack;
    if (c->id > 0)
        cpu_set_trap_stacks(c);
    c->trap_scratch[1] = (u64)t;
    load_segments(c->id);
    init_syscall();
    init_control();
    fpu_init_cpu();
}
