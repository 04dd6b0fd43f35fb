/*
 * The kernel's own mappings: Sv39.
 *
 *   direct map    all RAM, read-write; the image's code and constants read-only
 *   kernel stacks 4 KiB pages with a guard below each; tables exist from boot
 *   devices       2 MiB windows, taken in order
 *   image         code read-execute, constants read-only, data read-write; a hole below the boot stack
 *
 * Nothing is writable and executable, in no alias either, and nothing is the
 * user's (kernel/protect.c looks).
 * All are global and never counted. Tables come from RAM right after the image,
 * which is then part of platform.reserved.
 */
#include "lib/print.h"
#include "lib/string.h"
#include "machine.h"

#define MIB2 (2ul << 20)
#define GIB (1ul << 30)
#define SATP_SV39 (8ul << 60)
#define SATP_ASID_SHIFT 44
#define SATP_ASID (0xfffful << SATP_ASID_SHIFT)
#define LEAF_RO (PTE_V | PTE_R | PTE_A | PTE_D | PTE_G)
#define LEAF_RW (LEAF_RO | PTE_W)
#define LEAF_RX (LEAF_RO | PTE_X)

static pte_t early_root[PT_ENTRIES] __attribute__((aligned(4096)));
static pte_t kernel_root[PT_ENTRIES] __attribute__((aligned(4096)));
static pte_t device_table[PT_ENTRIES] __attribute__((aligned(4096)));
static unsigned device_windows;
u64 kernel_satp;
static bool has_asids;
static u64 alloc_next, alloc_start; /* physical */
static pte_t *kstack_tables; /* the level-0 tables, one after another */
static u32 kstack_slots;

static unsigned root_index(vaddr_t va)
{
    return va >> 30 & (PT_ENTRIES - 1);
}

static pte_t leaf(u64 pa, u64 bits)
{
    return (pte_t){pa >> PAGE_SHIFT << PTE_PPN_SHIFT | bits};
}

/* Address translation is off: everything here is relative to the pc. */
u64 early_tables(u64 load_address)
{
    u64 base = ROUND_DOWN(load_address, GIB);

    for (unsigned i = 0; i < DIRECT_MAP_SIZE / GIB; i++)
        early_root[root_index(DIRECT_MAP) + i] = leaf(i * GIB, LEAF_RW);
    early_root[root_index(KERNEL_BASE)] = leaf(base, LEAF_RW | PTE_X);
    return SATP_SV39 | (u64)early_root >> PAGE_SHIFT;
}

/* Zeroed tables, one after another. */
static pte_t *boot_alloc(u64 bytes)
{
    pte_t *t = arch_phys_to_virt((paddr_t){alloc_next});

    alloc_next += ROUND_UP(bytes, PAGE_SIZE);
    memset(t, 0, bytes);
    return t;
}

static paddr_t table_phys(const pte_t *t)
{
    return (u64)t >= KERNEL_BASE ? image_phys(t) : arch_virt_to_phys(t);
}

static pte_t *root_table(unsigned index)
{
    if (pte_is_empty(kernel_root[index]))
        kernel_root[index] = pte_table(table_phys(boot_alloc(PAGE_SIZE)));
    return arch_phys_to_virt(pte_paddr(kernel_root[index]));
}

static bool overlaps(u64 a, u64 a_size, u64 b, u64 b_size)
{
    return a < b + b_size && b < a + a_size;
}

static void map_ram(u64 base, u64 end)
{
    u64 image = image_phys(_kernel_start).pa, image_ro = image_phys(_rodata_end).pa;

    base = ROUND_UP(base, MIB2);
    for (u64 pa = base; pa < end;) { /* whole 2 MiB: platform.c */
        if (pa % GIB == 0 && pa + GIB <= end && !overlaps(pa, GIB, image, image_ro - image)) {
            kernel_root[root_index(DIRECT_MAP + pa)] = leaf(pa, LEAF_RW);
            pa += GIB;
            continue;
        }
        root_table(root_index(DIRECT_MAP + pa))[pa / MIB2 % PT_ENTRIES] =
            leaf(pa, pa >= image && pa < image_ro ? LEAF_RO : LEAF_RW);
        pa += MIB2;
    }
}

/* What the image's page at va may be used for. 0: it is the guard of the boot stack. */
static u64 image_rights(vaddr_t va)
{
    if (va >= (vaddr_t)boot_stack_guard && va < (vaddr_t)boot_stack_guard + KSTACK_SIZE)
        return 0;
    return va < (vaddr_t)_text_end ? LEAF_RX : va < (vaddr_t)_rodata_end ? LEAF_RO : LEAF_RW;
}

/* 2 MiB that are not all alike. */
static pte_t image_pages(vaddr_t start)
{
    pte_t *t = boot_alloc(PAGE_SIZE);

    for (vaddr_t va = start; va < start + MIB2; va += PAGE_SIZE)
        if (image_rights(va))
            t[va / PAGE_SIZE % PT_ENTRIES] = leaf(image_phys((void *)va).pa, image_rights(va));
    return pte_table(table_phys(t));
}

static void map_image(void)
{
    pte_t *t = root_table(root_index(KERNEL_BASE));

    for (vaddr_t va = (vaddr_t)_kernel_start; va < (vaddr_t)_kernel_end; va += MIB2) {
        bool mixed = va == ROUND_DOWN((vaddr_t)_text_end, MIB2) || va == ROUND_DOWN((vaddr_t)boot_stack_guard, MIB2);
        t[va / MIB2 % PT_ENTRIES] = mixed ? image_pages(va) : leaf(image_phys((void *)va).pa, image_rights(va));
    }
}

static u64 ram_bytes(void)
{
    u64 sum = 0;

    for (unsigned i = 0; i < platform.ram_count; i++)
        sum += platform.ram[i].size;
    return sum;
}

/* One slot per 64 KiB of RAM: far more threads than memory for them, but tables only for so many. */
static void map_kstacks(void)
{
    pte_t *t = root_table(root_index(KSTACK_AREA));
    u32 tables;

    kstack_slots = (u32)MIN(ram_bytes() / (64 * 1024), GIB / (2 * KSTACK_SIZE));
    tables = (u32)(ROUND_UP(kstack_slots * 2 * KSTACK_SIZE, MIB2) / MIB2);
    kstack_tables = boot_alloc(tables * PAGE_SIZE);
    for (u32 i = 0; i < tables; i++)
        t[i] = pte_table(table_phys(kstack_tables + i * PT_ENTRIES));
}

/* Where the tables go: after the image, where nothing else lies. */
static void find_room(void)
{
    u64 size = 4ul << 20, at = ROUND_UP(image_phys(_kernel_end).pa, PAGE_SIZE);

    alloc_start = alloc_next = at;
    if (platform.initrd_size && overlaps(at, size, platform.initrd.pa, platform.initrd_size))
        boot_fail("the initrd lies where the page tables go");
    for (unsigned i = 0; i < platform.reserved_count; i++)
        if (overlaps(at, size, platform.reserved[i].base.pa, platform.reserved[i].size))
            boot_fail("reserved memory lies where the page tables go");
}

/* Keeps a range out of the allocator's hands. */
static void keep(u64 start, u64 end)
{
    if (platform.reserved_count == ARRAY_SIZE(platform.reserved))
        boot_fail("too many reserved ranges");
    platform.reserved[platform.reserved_count++] = (struct platform_range){{start}, end - start};
}

/* What of an identifier of all ones stays in satp tells how many there are (privileged specification, 4.1.11). */
static bool asids_found(void)
{
    csr_write(satp, kernel_satp | SATP_ASID);
    return (csr_read(satp) & SATP_ASID) >> SATP_ASID_SHIFT >= TLB_ASIDS;
}

void mmu_init(void)
{
    find_room();
    for (unsigned i = 0; i < platform.ram_count; i++)
        map_ram(platform.ram[i].base.pa, platform.ram[i].base.pa + platform.ram[i].size);
    map_image();
    map_kstacks();
    kernel_root[root_index(DEVICE_AREA)] = pte_table(image_phys(device_table));
    keep(image_phys(_kernel_start).pa, alloc_next);
    kernel_satp = SATP_SV39 | image_phys(kernel_root).pa >> PAGE_SHIFT;
    arch_flush_local_kernel(); /* the stores to the tables come before satp leads to them */
    has_asids = asids_found();
    csr_write(satp, kernel_satp);
    arch_flush_local_kernel();
}

/* ---- what is mapped ---- */

static void tell_mapping(vaddr_t va, unsigned level, pte_t e, kernel_mapping_fn fn, void *arg)
{
    u64 size = PAGE_SIZE << level * PT_BITS, image = image_phys(_kernel_start).pa;
    struct kernel_mapping m = {.start = va, .size = size, .writable = e.bits & PTE_W, .executable = e.bits & PTE_X,
                               .user = e.bits & PTE_U,
                               .constant = overlaps(pte_paddr(e).pa, size, image, image_phys(_rodata_end).pa - image)};

    fn(&m, arg);
}

static void tell_table(const pte_t *table, unsigned level, vaddr_t at, kernel_mapping_fn fn, void *arg)
{
    for (unsigned i = level == PT_LEVELS - 1 ? USER_ROOT_ENTRIES : 0; i < PT_ENTRIES; i++) {
        pte_t e = READ_ONCE(table[i]);
        vaddr_t va = at | (u64)i << (PAGE_SHIFT + level * PT_BITS);
        if (!(e.bits & PTE_V))
            continue;
        if (e.bits & (PTE_R | PTE_W | PTE_X))
            tell_mapping(va, level, e, fn, arg);
        else
            tell_table(arch_phys_to_virt(pte_paddr(e)), level - 1, va, fn, arg);
    }
}

void arch_kernel_mappings(kernel_mapping_fn fn, void *arg)
{
    tell_table(kernel_root, PT_LEVELS - 1, ~(2 * USER_TOP - 1), fn, arg);
}

paddr_t arch_image_phys(const void *p)
{
    return image_phys(p);
}

/* ---- for everybody ---- */

void arch_root_init(pte_t *root)
{
    memcpy(root + USER_ROOT_ENTRIES, kernel_root + USER_ROOT_ENTRIES, USER_ROOT_ENTRIES * sizeof *root);
}

bool arch_has_asids(void)
{
    return has_asids;
}

/*
 * satp alone orders nothing: where entries have become less permissive since the
 * identifier was last in use, the fence comes after it. Where they have become more
 * so, an access may fault for nothing, as on any hart that ran meanwhile. The hart
 * fetches translations under the identifier in satp alone, so the fence covers all
 * that it may have fetched before.
 */
void arch_activate(paddr_t root, unsigned asid, bool flush)
{
    csr_write(satp, SATP_SV39 | (u64)(has_asids ? asid : 0) << SATP_ASID_SHIFT | root.pa >> PAGE_SHIFT);
    if (flush)
        arch_flush_local_all();
    arch_icache_sync_local(); /* tlb_sync_code told only those who ran it then */
}

/* The entries below USER_TOP are empty, and stay so. Without identifiers its 0 is everybody's. */
void arch_activate_kernel(void)
{
    csr_write(satp, kernel_satp);
    if (!has_asids)
        arch_flush_local_all();
}

void arch_flush_local_page(vaddr_t va)
{
    __asm__ volatile("sfence.vma %0, zero" ::"r"(va) : "memory");
}

/* All levels, but no global entries. */
void arch_flush_local_all(void)
{
    u64 asid = (csr_read(satp) & SATP_ASID) >> SATP_ASID_SHIFT;

    __asm__ volatile("sfence.vma zero, %0" ::"r"(asid) : "memory");
}

void arch_flush_local_kernel(void)
{
    __asm__ volatile("sfence.vma" ::: "memory");
}

void *arch_map_device(paddr_t pa, size_t size)
{
    u64 start = ROUND_DOWN(pa.pa, MIB2), windows = (ROUND_UP(pa.pa + size, MIB2) - start) / MIB2;
    unsigned at = device_windows;

    if (at + windows > PT_ENTRIES)
        panic("no room to map a device at %#lx", pa.pa);
    for (u64 i = 0; i < windows; i++)
        device_table[at + i] = leaf(start + i * MIB2, LEAF_RW);
    device_windows += (unsigned)windows;
    arch_flush_local_kernel();
    return (void *)(DEVICE_AREA + at * MIB2 + (pa.pa - start));
}

u32 arch_kstack_slots(void)
{
    return kstack_slots;
}

vaddr_t arch_kstack_slot_base(u32 i)
{
    return KSTACK_AREA + (2ul * i + 1) * KSTACK_SIZE;
}

void arch_kstack_map(vaddr_t va, paddr_t pa)
{
    kstack_tables[(va - KSTACK_AREA) >> PAGE_SHIFT] = leaf(pa.pa, LEAF_RW);
    arch_flush_local_page(va);
}

void arch_kstack_unmap(vaddr_t va)
{
    kstack_tables[(va - KSTACK_AREA) >> PAGE_SHIFT] = (pte_t){0};
    arch_flush_local_page(va);
}
