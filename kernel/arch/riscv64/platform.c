/*
 * From the device tree to `platform` and `machine`. Nothing here is taken from
 * constants but the names of compatible devices.
 */
#include "lib/fdt.h"
#include "lib/string.h"
#include "machine.h"

struct platform platform;
struct machine machine;

void __noreturn boot_fail(const char *why)
{
    for (const char *s = "cowslip: cannot start: "; *s; s++)
        arch_early_putc(*s);
    while (*why)
        arch_early_putc(*why++);
    arch_early_putc('\n');
    for (;;)
        __asm__ volatile("wfi");
}

static void reserve(u64 base, u64 size)
{
    if (size == 0)
        return;
    if (platform.reserved_count == ARRAY_SIZE(platform.reserved))
        boot_fail("too many reserved ranges in the device tree");
    platform.reserved[platform.reserved_count++] = (struct platform_range){{base}, size};
}

#define RAM_UNIT (2ul << 20)
#define PHYSICAL_BITS 56 /* what an entry of Sv39 holds (privileged specification, section 4.4) */

/* Only whole units: the direct map has no smaller leaves. */
static void add_ram(u64 base, u64 size)
{
    u64 start = ROUND_UP(base, RAM_UNIT), end = ROUND_DOWN(base + size, RAM_UNIT);

    if (start < end && platform.ram_count < ARRAY_SIZE(platform.ram))
        platform.ram[platform.ram_count++] = (struct platform_range){{start}, end - start};
}

static void read_memory(const struct fdt *t)
{
    int depth = 0;
    u64 base, size;

    for (fdt_node n = fdt_root(t); n >= 0; n = fdt_next(t, n, &depth)) {
        if (!fdt_prop_has_string(t, n, "device_type", "memory"))
            continue;
        for (unsigned i = 0; fdt_reg(t, n, i, &base, &size); i++) {
            if (base + size > DIRECT_MAP_SIZE || base + size < base)
                boot_fail("RAM beyond the direct map");
            add_ram(base, size);
        }
    }
    if (platform.ram_count == 0)
        boot_fail("no memory in the device tree");
}

static void read_reserved(const struct fdt *t)
{
    u64 base, size;
    fdt_node parent = fdt_find_path(t, "/reserved-memory");
    int depth = 0;

    for (unsigned i = 0; fdt_reserved(t, i, &base, &size); i++)
        reserve(base, size);
    if (parent < 0)
        return;
    for (fdt_node n = fdt_next(t, parent, &depth); n >= 0 && depth > 0; n = fdt_next(t, n, &depth))
        for (unsigned i = 0; fdt_reg(t, n, i, &base, &size); i++)
            reserve(base, size);
}

/* A "linux,initrd-start"-like value: one or two cells. */
static bool address_prop(const struct fdt *t, fdt_node n, const char *name, u64 *out)
{
    u32 len;
    const u8 *p = fdt_prop(t, n, name, &len);

    if (!p || len < 4)
        return false;
    *out = len >= 8 ? (u64)fdt_be32(p) << 32 | fdt_be32(p + 4) : fdt_be32(p);
    return true;
}

u64 arch_tick_ns;

static void read_chosen(const struct fdt *t)
{
    fdt_node n = fdt_find_path(t, "/chosen");
    const char *args;
    const void *seed;
    u64 start, end;
    u32 len;

    if (n < 0)
        return;
    args = fdt_prop_string(t, n, "bootargs");
    if (args)
        strlcpy(platform.bootargs, args, sizeof platform.bootargs);
    if (address_prop(t, n, "linux,initrd-start", &start) && address_prop(t, n, "linux,initrd-end", &end) && end > start) {
        platform.initrd = (paddr_t){start};
        platform.initrd_size = end - start;
    }
    seed = fdt_prop(t, n, "rng-seed", &len);
    if (seed) {
        platform.rng_seed_len = MIN(len, (u32)sizeof platform.rng_seed);
        memcpy(platform.rng_seed, seed, platform.rng_seed_len);
    }
}

/* harts[] and, beside it, the phandle of each hart's interrupt controller. */
static u32 intc_phandle[MAX_CPUS];

static void add_hart(const struct fdt *t, fdt_node cpu, u32 id, u32 boot_hart)
{
    int depth = 0;
    unsigned at = id == boot_hart ? 0 : machine.hart_count;

    if (at > 0 && at >= MAX_CPUS)
        return;
    machine.harts[at] = id;
    if (at > 0)
        machine.hart_count++;
    for (fdt_node n = fdt_next(t, cpu, &depth); n >= 0 && depth > 0; n = fdt_next(t, n, &depth))
        if (fdt_prop_has_string(t, n, "compatible", "riscv,cpu-intc"))
            fdt_prop_u32(t, n, "phandle", &intc_phandle[at]);
}

static void read_cpus(const struct fdt *t, u32 boot_hart)
{
    int depth = 0;
    fdt_node n = fdt_find_path(t, "/cpus");
    u32 timebase = 0;
    u64 id, size;

    machine.hart_count = 1; /* the boot hart keeps place 0 */
    machine.harts[0] = boot_hart;
    if (n < 0 || !fdt_prop_u32(t, n, "timebase-frequency", &timebase) || timebase == 0)
        boot_fail("no timebase-frequency in the device tree");
    machine.timebase = timebase;
    arch_tick_ns = (1000000000ul << 32) / timebase;
    for (n = fdt_next(t, n, &depth); n >= 0 && depth > 0; n = fdt_next(t, n, &depth)) {
        const char *status = fdt_prop_string(t, n, "status");
        if (!fdt_prop_has_string(t, n, "device_type", "cpu") || (status && strcmp(status, "okay") != 0))
            continue;
        if (fdt_reg(t, n, 0, &id, &size))
            add_hart(t, n, (u32)id, boot_hart);
    }
    platform.cpu_count = machine.hart_count;
}

/* interrupts-extended lists, context by context, which interrupt of which hart it drives; 9 is S-mode external. */
static void read_plic(const struct fdt *t)
{
    fdt_node n = fdt_find_compatible(t, -1, "sifive,plic-1.0.0");
    const u8 *p;
    u64 base, size;
    u32 len;

    for (unsigned i = 0; i < MAX_CPUS; i++)
        machine.plic_context[i] = UINT32_MAX;
    if (n < 0)
        n = fdt_find_compatible(t, -1, "riscv,plic0");
    if (n < 0 || !fdt_reg(t, n, 0, &base, &size))
        return;
    machine.plic = (paddr_t){base};
    fdt_prop_u32(t, n, "riscv,ndev", &machine.plic_lines);
    p = fdt_prop(t, n, "interrupts-extended", &len);
    for (u32 c = 0; p && (c + 1) * 8 <= len; c++)
        for (unsigned i = 0; i < machine.hart_count; i++)
            if (fdt_be32(p + c * 8) == intc_phandle[i] && fdt_be32(p + c * 8 + 4) == 9)
                machine.plic_context[i] = c;
}

static paddr_t device(const struct fdt *t, const char *compatible, u32 *irq)
{
    fdt_node n = fdt_find_compatible(t, -1, compatible);
    u64 base, size;

    if (n < 0 || !fdt_reg(t, n, 0, &base, &size))
        return (paddr_t){0};
    if (irq)
        fdt_prop_u32(t, n, "interrupts", irq);
    return (paddr_t){base};
}

static void read_virtio(const struct fdt *t)
{
    struct virtio_place *p = platform.virtio;
    fdt_node n = -1;

    while (platform.virtio_count < ARRAY_SIZE(platform.virtio) && (n = fdt_find_compatible(t, n, "virtio,mmio")) >= 0)
        if (fdt_reg(t, n, 0, &p->base.pa, &p->size) && fdt_prop_u32(t, n, "interrupts", &p->line)) {
            p++;
            platform.virtio_count++;
        }
}

void platform_read(paddr_t fdt, u32 boot_hart)
{
    struct fdt t;
    const char *model;

    if (!fdt_open(&t, arch_phys_to_virt(fdt), 1 << 21))
        boot_fail("no device tree");
    platform.physical_bits = PHYSICAL_BITS;
    machine.fdt = fdt;
    read_memory(&t);
    read_cpus(&t, boot_hart);
    read_chosen(&t);
    read_plic(&t);
    platform.uart = device(&t, "ns16550a", &platform.uart_irq);
    machine.finisher = device(&t, "sifive,test0", NULL);
    machine.rtc = device(&t, "google,goldfish-rtc", NULL);
    read_virtio(&t);
    pci_read_tree(&t);
    model = fdt_prop_string(&t, fdt_root(&t), "model");
    strlcpy(platform.model, model ? model : "unknown", sizeof platform.model);
    reserve(fdt.pa, t.total_size);
    read_reserved(&t);
}
