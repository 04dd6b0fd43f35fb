/*
 * What is taken from ACPI's tables (specification 6.4): CPUs and interrupt
 * controllers (MADT, 5.2.12), and how the machine is turned off and reset (FADT,
 * 5.2.9). No interpreter: of the DSDT only constants are read, the package _S5 and
 * where virtio devices are (virtio.c).
 * Read through the early tables, which map the low 4 GiB.
 */
#include "lib/string.h"
#include "machine.h"

#define LAPIC_USUAL 0xfee00000ul
#define IOAPIC_USUAL 0xfec00000ul
#define TABLE_MAX (1u << 20)
#define CPU_ENABLED 1u
#define SPACE_MEMORY 0
#define SPACE_IO 1
#define FADT_RESET (1u << 10)
#define FADT_REDUCED (1u << 20)

struct header {
    char signature[4];
    u32 length;
    u8 revision, checksum;
    char oem[26];
} __attribute__((packed));
struct rsdp {
    char signature[8];
    u8 checksum;
    char oem[6];
    u8 revision;
    u32 rsdt, length;
    u64 xsdt;
} __attribute__((packed));
struct address {
    u8 space, width, offset, access;
    u64 address;
} __attribute__((packed));
struct fadt { /* the gaps are what is not needed */
    struct header h;
    u32 facs, dsdt;
    u8 gap1[20];
    u32 pm1a_control, pm1b_control;
    u8 gap2[40];
    u32 flags;
    struct address reset;
    u8 reset_value, gap3[11];
    u64 x_dsdt;
    u8 gap4[96];
    struct address sleep_control;
} __attribute__((packed));
_Static_assert(offsetof(struct fadt, pm1a_control) == 64 && offsetof(struct fadt, flags) == 112, "ACPI 6.4, table 5.9");
_Static_assert(offsetof(struct fadt, x_dsdt) == 140 && offsetof(struct fadt, sleep_control) == 244, "ACPI 6.4, table 5.9");

static const void *at(u64 pa)
{
    return arch_phys_to_virt((paddr_t){pa});
}

static bool sum_is_zero(const void *p, u32 n)
{
    u8 sum = 0;

    for (u32 i = 0; i < n; i++)
        sum = (u8)(sum + ((const u8 *)p)[i]);
    return sum == 0;
}

/* The table at pa if it can be read and is whole. */
static const struct header *table_at(u64 pa)
{
    const struct header *h = at(pa);

    return pa && pa < (4ul << 30) - TABLE_MAX && h->length >= sizeof *h && h->length < TABLE_MAX &&
           sum_is_zero(h, h->length) ? h : NULL;
}

/* In the firmware's area, where older loaders leave the search to us. */
static u64 find_rsdp(void)
{
    for (u64 pa = 0xe0000; pa < 0x100000; pa += 16)
        if (memcmp(at(pa), "RSD PTR ", 8) == 0 && sum_is_zero(at(pa), 20))
            return pa;
    return 0;
}

static const struct header *find_table(u64 rsdp_pa, const char *signature)
{
    const struct rsdp *r = at(rsdp_pa);
    bool wide = r->revision >= 2 && r->xsdt;
    const struct header *list = table_at(wide ? r->xsdt : r->rsdt), *h;
    u32 size = wide ? 8 : 4;

    for (u32 i = sizeof *list; list && i + size <= list->length; i += size) {
        u64 pa = 0;
        memcpy(&pa, (const u8 *)list + i, size);
        h = table_at(pa);
        if (h && memcmp(h->signature, signature, 4) == 0)
            return h;
    }
    return NULL;
}

/* ---- MADT ---- */

static u32 word(const u8 *p)
{
    u32 v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* Firmware may list a CPU twice, by both kinds of entry. */
static bool is_known(u32 apic_id)
{
    for (unsigned i = 0; i < machine.cpu_count; i++)
        if (machine.apic_ids[i] == apic_id)
            return true;
    return false;
}

static void add_cpu(u32 apic_id, u32 flags)
{
    if ((flags & CPU_ENABLED) && !is_known(apic_id) && machine.cpu_count < MAX_CPUS && (features.x2apic || apic_id < 255))
        machine.apic_ids[machine.cpu_count++] = apic_id;
}

static void add_ioapic(u32 base, u32 first)
{
    if (machine.ioapic_count == ARRAY_SIZE(machine.ioapics))
        return;
    machine.ioapics[machine.ioapic_count].base = (paddr_t){base};
    machine.ioapics[machine.ioapic_count++].first = first;
}

/* ISA lines are edge-triggered and active high unless this says otherwise. */
static void override(const u8 *e)
{
    u32 line = e[3], flags = e[8];

    if (line >= ISA_LINES)
        return;
    machine.lines[line].global = word(e + 4);
    machine.lines[line].low = (flags & 3) == 3;
    machine.lines[line].level = (flags >> 2 & 3) == 3;
}

static void read_madt(const struct header *h)
{
    const u8 *e = (const u8 *)h + sizeof *h + 8, *end = (const u8 *)h + h->length;

    machine.lapic = (paddr_t){word((const u8 *)h + sizeof *h)};
    for (; e + 2 <= end && e[1] >= 2 && e + e[1] <= end; e += e[1])
        switch (e[0]) {
        case 0: /* a local APIC */
            add_cpu(e[3], word(e + 4));
            break;
        case 1: /* an I/O APIC */
            add_ioapic(word(e + 4), word(e + 8));
            break;
        case 2:
            override(e);
            break;
        case 5: /* a local APIC's address of 64 bits */
            machine.lapic = (paddr_t){word(e + 4) | (u64)word(e + 8) << 32};
            break;
        case 9: /* a local x2APIC */
            add_cpu(word(e + 4), word(e + 8));
            break;
        }
}

/* ---- FADT ---- */

/* A byte constant of AML: BytePrefix and the byte, or an op for 0 and 1. */
static u8 aml_byte(const u8 **p)
{
    u8 op = *(*p)++;

    return op == 0x0a ? *(*p)++ : op;
}

/* Name(_S5_, Package(n) {a, b, ...}): what goes into SLP_TYP of each control register. */
static bool read_s5(const struct header *dsdt)
{
    const u8 *p = (const u8 *)dsdt + sizeof *dsdt, *end = (const u8 *)dsdt + (dsdt ? dsdt->length : 0);

    for (; dsdt && p + 16 <= end; p++) {
        const u8 *v = p + 6;
        if (memcmp(p, "_S5_\x12", 5) != 0)
            continue;
        v += p[5] >> 6; /* more bytes of the package's length */
        v++;            /* the number of elements */
        machine.sleep_type_a = aml_byte(&v);
        machine.sleep_type_b = aml_byte(&v);
        return true;
    }
    return false;
}

static void read_fadt(const struct header *h)
{
    const struct fadt *f = (const struct fadt *)h;
    bool wide = h->length >= offsetof(struct fadt, sleep_control), s5;
    const struct header *dsdt;

    if (h->length < offsetof(struct fadt, reset))
        return;
    dsdt = table_at(wide && f->x_dsdt ? f->x_dsdt : f->dsdt);
    s5 = read_s5(dsdt);
    if (dsdt)
        virtio_read_dsdt((const u8 *)dsdt + sizeof *dsdt, (const u8 *)dsdt + dsdt->length);
    if (s5 && !(f->flags & FADT_REDUCED)) {
        machine.pm1a_control = (u16)f->pm1a_control;
        machine.pm1b_control = (u16)f->pm1b_control;
    }
    if (s5 && h->length >= sizeof *f && (f->flags & FADT_REDUCED) && f->sleep_control.space == SPACE_MEMORY)
        machine.sleep_register = (paddr_t){f->sleep_control.address};
    if (wide && (f->flags & FADT_RESET) && f->reset.space <= SPACE_IO) {
        machine.reset_address = f->reset.address;
        machine.reset_in_memory = f->reset.space == SPACE_MEMORY;
        machine.reset_value = f->reset_value;
    }
}

void acpi_read(paddr_t rsdp)
{
    u64 pa = rsdp.pa ? rsdp.pa : find_rsdp();
    const struct header *madt = pa ? find_table(pa, "APIC") : NULL, *fadt = pa ? find_table(pa, "FACP") : NULL;

    machine.apic_ids[0] = features.x2apic ? cpuid(0xb, 0).d : cpuid(1, 0).b >> 24;
    machine.cpu_count = 1;
    for (machine.line_count = 0; machine.line_count < ISA_LINES; machine.line_count++)
        machine.lines[machine.line_count].global = machine.line_count;
    if (madt) {
        read_madt(madt);
    } else {
        machine.lapic = (paddr_t){LAPIC_USUAL};
        add_ioapic(IOAPIC_USUAL, 0);
    }
    if (fadt)
        read_fadt(fadt);
}
