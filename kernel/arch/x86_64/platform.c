/*
 * From what the loader tells (PVH's struct hvm_start_info, or Multiboot) to
 * `platform`. What
 * is nowhere said on this machine is the serial port: 16550 at I/O port 0x3f8.
 */
#include "lib/string.h"
#include "machine.h"

#define START_MAGIC 0x336ec578
#define MEMORY_RAM 1
#define UART_PORT 0x3f8
#define UART_LINE 4
#define UART_STATUS (UART_PORT + 5)
#define UART_EMPTY 0x20
#define START_FAILED 70 /* as a panic's status */
#define LOW_RAM (2ul << 20) /* below: the firmware's, the trampoline */

struct start_info {
    u32 magic, version, flags, module_count;
    u64 modules, command_line, rsdp, memory_map;
    u32 memory_map_count, reserved;
};
struct module {
    u64 address, size, command_line, reserved;
};
struct memory {
    u64 address, size;
    u32 type, reserved;
};

struct platform platform;
struct machine machine;

void arch_early_putc(char c)
{
    while (!(inb(UART_STATUS) & UART_EMPTY))
        ;
    outb(UART_PORT, (u8)c);
}

void __noreturn boot_fail(const char *why)
{
    for (const char *s = "cowslip: cannot start: "; *s; s++)
        arch_early_putc(*s);
    while (*why)
        arch_early_putc(*why++);
    arch_early_putc('\n');
    arch_poweroff(START_FAILED);
}

/* Whole pages; the direct map goes on to the next 2 MiB. */
void platform_add_ram(u64 base, u64 size)
{
    u64 start = MAX(ROUND_UP(base, PAGE_SIZE), LOW_RAM), end = ROUND_DOWN(base + MIN(size, UINT64_MAX - base), PAGE_SIZE);

    if (end > DIRECT_MAP_SIZE)
        boot_fail("RAM beyond the direct map");
    if (start >= end)
        return;
    for (unsigned i = 0; i < platform.ram_count; i++) /* maps of many pieces mostly list neighbours */
        if (platform.ram[i].base.pa + platform.ram[i].size == start) {
            platform.ram[i].size += end - start;
            return;
        }
    if (platform.ram_count < ARRAY_SIZE(platform.ram))
        platform.ram[platform.ram_count++] = (struct platform_range){{start}, end - start};
    else
        printk(LOG_WARN, "RAM at %#lx is not used: the map has too many pieces", start);
}

static void read_memory(const struct start_info *s)
{
    const struct memory *m = arch_phys_to_virt((paddr_t){s->memory_map});

    if (s->version < 1 || !s->memory_map)
        boot_fail("no map of memory in what the loader passes");
    for (u32 i = 0; i < s->memory_map_count; i++)
        if (m[i].type == MEMORY_RAM)
            platform_add_ram(m[i].address, m[i].size);
}

static bool random_word(u64 *v)
{
    bool ok = false;

    for (unsigned tries = 0; features.rdrand && !ok && tries < 10; tries++)
        __asm__ volatile("rdrand %0" : "=r"(*v), "=@ccc"(ok));
    return ok;
}

static void read_seed(void)
{
    u64 v;

    while (platform.rng_seed_len < sizeof platform.rng_seed && random_word(&v)) {
        memcpy(platform.rng_seed + platform.rng_seed_len, &v, sizeof v);
        platform.rng_seed_len += sizeof v;
    }
}

/* The brand string, without the blanks around it. */
static void read_model(void)
{
    u32 text[13] = {0};
    const char *s = (const char *)text;
    size_t n;

    for (u32 i = 0; i < 3 && cpuid(0x80000000, 0).a >= 0x80000004; i++) {
        struct cpuid r = cpuid(0x80000002 + i, 0);
        memcpy(text + 4 * i, &r, sizeof r);
    }
    while (*s == ' ')
        s++;
    strlcpy(platform.model, *s ? s : "x86-64", sizeof platform.model);
    for (n = strlen(platform.model); n > 0 && platform.model[n - 1] == ' '; n--)
        platform.model[n - 1] = 0;
}

/* The RSDP's address. */
static paddr_t read_start_info(const struct start_info *s)
{
    const struct module *m = arch_phys_to_virt((paddr_t){s->modules});

    read_memory(s);
    if (s->command_line)
        strlcpy(platform.bootargs, arch_phys_to_virt((paddr_t){s->command_line}), sizeof platform.bootargs);
    if (s->module_count > 0) {
        platform.initrd = (paddr_t){m->address};
        platform.initrd_size = m->size;
    }
    return (paddr_t){s->rsdp};
}

void platform_read(paddr_t info, u32 magic)
{
    const struct start_info *s = arch_phys_to_virt(info);

    if (s->magic == START_MAGIC)
        acpi_read(read_start_info(s));
    else if (magic == MULTIBOOT_MAGIC)
        acpi_read(multiboot_read(info));
    else
        boot_fail("started neither as PVH says nor as Multiboot 2");
    if (platform.ram_count == 0)
        boot_fail("no memory");
    platform.physical_bits = cpuid(0x80000008, 0).a & 0xff; /* every CPU with a long mode has it */
    virtio_read_bootargs();
    pci_detect();
    platform.cpu_count = machine.cpu_count;
    platform.uart = (paddr_t){UART_PORT};
    platform.uart_irq = UART_LINE;
    read_seed();
    read_model();
}
