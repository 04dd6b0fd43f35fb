/*
 * The kernel's own mappings: four levels.
 *
 *   direct map    all RAM, read-write; the image's code and constants read-only
 *   kernel stacks 4 KiB pages with a guard below each; tables exist from boot
 *   devices       2 MiB windows, uncached, taken in order
 *   trap stacks   each CPU's for double faults, NMIs and machine checks, with a guard below each
 *   image         code read-execute, constants read-only, data read-write; a hole below the boot stack
 *
 * Nothing is writable and executable, in no alias either, and nothing is the user's
 * (kernel/protect.c looks). None is ever counted. All are global: what changes later,
 * the kernel stacks, has a flush of its own (arch_flush_local_kernel). Tables come
 * from RAM after the image; both are then part of platform.reserved.
 * The root entries of all areas exist from boot, so every root has them.
 */
#include "lib/print.h"
#include "lib/string.h"
#include "machine.h"

#define MIB2 (2ul << 20)
#define GIB (1ul << 30)
#define PTE_PWT (1ul << 3)
#define PTE_PCD (1ul << 4)
#define CR3_KEEP (1ul << 63) /* of a load: nothing is forgotten */
#define PTE_PS (1ul << 7) /* a leaf above level 0 */
#define LEAF_RO (PTE_P | PTE_A | PTE_D | PTE_G | PTE_NX)
#define LEAF_RW (LEAF_RO | PTE_RW)
#define LEAF_RX (LEAF_RO & ~PTE_NX)
#define TRAP_STACK_SLOT (2 * TRAP_STACK_SIZE) /* the lower half is the guard */

static pte_t kernel_root[PT_ENTRIES] __attribute__((aligned(4096)));
static pte_t device_table[PT_ENTRIES] __attribute__((aligned(4096)));
static unsigned device_windows;
u64 kernel_cr3;
static u64 alloc_start, alloc_next; /* physical */
static pte_t *kstack_tables; /* the level-0 tables, one after another */
static u32 kstack_slots;

static unsigned index_at(vaddr_t va, unsigned level)
{
    return va >> (PAGE_SHIFT + level * PT_BITS) & (PT_ENTRIES - 1);
}

/* Zeroed tables, one after another. */
static pte_t *boot_alloc(u64 bytes)
{
    pte_t *t = arch_phys_to_virt((paddr_t){alloc_next});

    alloc_next += ROUND_UP(bytes, PAGE_SIZE);
    memset(t, 0, bytes);
    return t;
}

/* An edge of the kernel's: no user gets through it. */
static pte_t edge(paddr_t table)
{
    return (pte_t){table.pa | PTE_P | PTE_RW | PTE_A};
}

/* The slot of va at this level; tables above it are made as needed. */
static pte_t *slot_at(vaddr_t va, unsigned level)
{
    pte_t *table = kernel_root;

    for (unsigned l = PT_LEVELS - 1; l > level; l--) {
        pte_t *slot = &table[index_at(va, l)];
        if (pte_is_empty(*slot))
            *slot = edge(arch_virt_to_phys(boot_alloc(PAGE_SIZE)));
        table = arch_phys_to_virt(pte_paddr(*slot));
    }
    return &table[index_at(va, level)];
}

static bool overlaps(u64 a, u64 a_size, u64 b, u64 b_size)
{
    return a < b + b_size && b < a + a_size;
}

static void map_ram(u64 base, u64 end)
{
    u64 image = image_phys(_kernel_start).pa, image_ro = image_phys(_rodata_end).pa;

    for (u64 pa = ROUND_DOWN(base, MIB2); pa < end;) { /* whole 2 MiB, also where RAM begins or ends within */
        if (features.pages_1g && pa % GIB == 0 && pa + GIB <= end && !overlaps(pa, GIB, image, image_ro - image)) {
            slot_at(DIRECT_MAP + pa, 2)->bits = pa | LEAF_RW | PTE_PS;
            pa += GIB;
            continue;
        }
        slot_at(DIRECT_MAP + pa, 1)->bits = pa | (pa >= image && pa < image_ro ? LEAF_RO : LEAF_RW) | PTE_PS;
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

/* Small pages where not all of 2 MiB are alike. */
static void map_image(void)
{
    for (vaddr_t va = (vaddr_t)_kernel_start; va < (vaddr_t)_kernel_end; va += MIB2) {
        bool mixed = va == ROUND_DOWN((vaddr_t)_text_end, MIB2) || va == ROUND_DOWN((vaddr_t)boot_stack_guard, MIB2);
        if (!mixed)
            slot_at(va, 1)->bits = image_phys((void *)va).pa | image_rights(va) | PTE_PS;
        for (vaddr_t page = va; mixed && page < va + MIB2; page += PAGE_SIZE)
            if (image_rights(page))
                slot_at(page, 0)->bits = image_phys((void *)page).pa | image_rights(page);
    }
}

static vaddr_t trap_stack_base(u32 cpu, unsigned i)
{
    return TRAP_STACK_AREA + (cpu * TRAP_STACKS + i) * TRAP_STACK_SLOT + TRAP_STACK_SIZE;
}

vaddr_t mmu_trap_stack_top(u32 cpu, unsigned i)
{
    return trap_stack_base(cpu, i) + TRAP_STACK_SIZE;
}

static void map_trap_stacks(void)
{
    for (u32 cpu = 0; cpu < machine.cpu_count; cpu++)
        for (unsigned i = 0; i < TRAP_STACKS; i++)
            for (u64 at = 0; at < TRAP_STACK_SIZE; at += PAGE_SIZE)
                slot_at(trap_stack_base(cpu, i) + at, 0)->bits = arch_virt_to_phys(boot_alloc(PAGE_SIZE)).pa | LEAF_RW;
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
    u32 tables;

    kstack_slots = (u32)MIN(ram_bytes() / (64 * 1024), GIB / (2 * KSTACK_SIZE));
    tables = (u32)(ROUND_UP(kstack_slots * 2 * KSTACK_SIZE, MIB2) / MIB2);
    kstack_tables = boot_alloc(tables * PAGE_SIZE);
    for (u32 i = 0; i < tables; i++)
        *slot_at(KSTACK_AREA + i * MIB2, 1) = edge(arch_virt_to_phys(kstack_tables + i * PT_ENTRIES));
}

/* Where the tables go: after the image, or after the initrd if that lies there. */
static void find_room(void)
{
    u64 size = 4ul << 20, at = ROUND_UP(image_phys(_kernel_end).pa, PAGE_SIZE);

    if (platform.initrd_size && overlaps(at, size, platform.initrd.pa, platform.initrd_size))
        at = ROUND_UP(platform.initrd.pa + platform.initrd_size, PAGE_SIZE);
    for (unsigned i = 0; i < platform.ram_count; i++)
        if (at >= platform.ram[i].base.pa && at + size <= platform.ram[i].base.pa + platform.ram[i].size) {
            alloc_start = alloc_next = at;
            return;
        }
    boot_fail("no room for the kernel's page tables");
}

/* Keeps a range out of the allocator's hands. */
static void keep(u64 start, u64 end)
{
    if (platform.reserved_count == ARRAY_SIZE(platform.reserved))
        boot_fail("too many reserved ranges");
    platform.reserved[platform.reserved_count++] = (struct platform_range){{start}, end - start};
}

/*
 * With process-context identifiers (CR4.PCIDE) what is remembered, in the TLB and
 * in the paging-structure caches, belongs to the identifier in CR3 and is used with
 * no other. A load of CR3 with bit 63 clear invalidates all that is remembered under
 * the identifier it loads and is not global; with bit 63 set nothing. Without them
 * it invalidates all that is not global (SDM volume 3A, section 4.10.4.1). So there
 * is one flush, and it holds for a change of any entry: an edge whose R/W was
 * cleared may be remembered in a paging-structure cache apart from the leaves below
 * it, for every address that it covers, and INVLPG of them one by one would be the
 * only other way.
 */
static void load_cr3(u64 root)
{
    __asm__ volatile("mov %0, %%cr3" ::"r"(root) : "memory");
}

void mmu_init(void)
{
    find_room();
    map_ram(0, MIB2); /* not the allocator's: the trampoline is there */
    for (unsigned i = 0; i < platform.ram_count; i++)
        map_ram(platform.ram[i].base.pa, platform.ram[i].base.pa + platform.ram[i].size);
    map_image();
    map_kstacks();
    map_trap_stacks();
    *slot_at(DEVICE_AREA, 2) = edge(image_phys(device_table));
    keep(image_phys(_kernel_start).pa, image_phys(_kernel_end).pa);
    keep(alloc_start, alloc_next);
    kernel_cr3 = image_phys(kernel_root).pa;
    load_cr3(kernel_cr3);
    arch_flush_local_kernel(); /* what the early tables said */
}

/* ---- what is mapped ---- */

static void tell_mapping(vaddr_t va, unsigned level, u64 rights, pte_t e, kernel_mapping_fn fn, void *arg)
{
    u64 size = PAGE_SIZE << level * PT_BITS, image = image_phys(_kernel_start).pa;
    struct kernel_mapping m = {.start = va, .size = size, .writable = rights & PTE_RW, .executable = !(rights & PTE_NX),
                               .user = rights & PTE_US,
                               .constant = overlaps(pte_paddr(e).pa & ~(size - 1), size, image, image_phys(_rodata_end).pa - image)};

    fn(&m, arg);
}

/* rights: what all edges so far let through; NX of any of them forbids. */
static void tell_table(const pte_t *table, unsigned level, vaddr_t at, u64 rights, kernel_mapping_fn fn, void *arg)
{
    for (unsigned i = level == PT_LEVELS - 1 ? USER_ROOT_ENTRIES : 0; i < PT_ENTRIES; i++) {
        pte_t e = READ_ONCE(table[i]);
        vaddr_t va = at | (u64)i << (PAGE_SHIFT + level * PT_BITS);
        u64 passed = (rights & e.bits & (PTE_RW | PTE_US)) | ((rights | e.bits) & PTE_NX);
        if (!(e.bits & PTE_P))
            continue;
        if (level > 0 && !(e.bits & PTE_PS))
            tell_table(arch_phys_to_virt(pte_paddr(e)), level - 1, va, passed, fn, arg);
        else
            tell_mapping(va, level, passed, e, fn, arg);
    }
}

void arch_kernel_mappings(kernel_mapping_fn fn, void *arg)
{
    tell_table(kernel_root, PT_LEVELS - 1, ~(2 * USER_TOP - 1), PTE_RW | PTE_US, fn, arg);
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
    return features.pcid;
}

void arch_activate(paddr_t root, unsigned asid, bool flush)
{
    load_cr3(features.pcid ? root.pa | asid | (flush ? 0 : CR3_KEEP) : root.pa);
}

/* Identifier 0 has no translations but the kernel's, which are global. */
void arch_activate_kernel(void)
{
    load_cr3(kernel_cr3 | (features.pcid ? CR3_KEEP : 0));
}

/* The leaf's translation, global or not, and besides all of the loaded identifier's paging-structure caches (the same section). */
void arch_flush_local_page(vaddr_t va)
{
    __asm__ volatile("invlpg (%0)" ::"r"(va) : "memory");
}

/* Bit 63 is never read back. */
void arch_flush_local_all(void)
{
    u64 root;

    __asm__ volatile("mov %%cr3, %0" : "=r"(root));
    load_cr3(root);
}

/* INVPCID of type 2, or both of two changes of CR4.PGE, each of which does the same (the same section). Interrupts are off. */
void arch_flush_local_kernel(void)
{
    struct {
        u64 pcid, address;
    } nothing = {0, 0};
    u64 cr4;

    if (features.invpcid) {
        __asm__ volatile("invpcid %0, %1" ::"m"(nothing), "r"(2ul) : "memory");
    } else {
        __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
        __asm__ volatile("mov %0, %%cr4\n\tmov %1, %%cr4" ::"r"(cr4 & ~(u64)CR4_PGE), "r"(cr4) : "memory");
    }
}

/* Caches of instructions and of data are coherent; the return to user mode after a fault serializes (SDM 3A, 9.1.3). */
void arch_icache_sync_local(void)
{
}

void *arch_map_device(paddr_t pa, size_t size)
{
    u64 start = ROUND_DOWN(pa.pa, MIB2), windows = (ROUND_UP(pa.pa + size, MIB2) - start) / MIB2;
    unsigned at = device_windows;

    if (at + windows > PT_ENTRIES)
        panic("no room to map a device at %#lx", pa.pa);
    for (u64 i = 0; i < windows; i++) /* nothing was there: no CPU remembers that */
        device_table[at + i].bits = (start + i * MIB2) | LEAF_RW | PTE_PS | PTE_PCD | PTE_PWT;
    device_windows += (unsigned)windows;
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
    kstack_tables[(va - KSTACK_AREA) >> PAGE_SHIFT].bits = pa.pa | LEAF_RW;
}

void arch_kstack_unmap(vaddr_t va)
{
    kstack_tables[(va - KSTACK_AREA) >> PAGE_SHIFT] = (pte_t){0};
    arch_flush_local_page(va);
}
