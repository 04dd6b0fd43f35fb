/*
 * The kernel against itself: nothing that can be written can be executed, code
 * and constants cannot be written through any mapping, user memory is closed
 * outside vm/uaccess.c, every kernel stack ends in a guard, address 0 is nobody's.
 *
 * Debug builds look at every mapping at boot, and with fault_test=NAME do one
 * thing that must end in a panic (test/boot/test_protection.py). No lock: the
 * mappings that change meanwhile are those of kernel stacks, each by one store.
 */
#include "protect.h"
#include "arch/arch.h"
#include "lib/bootargs.h"
#include "lib/print.h"
#include "lib/string.h"
#include "proc/sched.h"
#include "vm/kmem.h"
#include "vm/uaccess.h"
#include "vm/vm.h"

extern char _kernel_start[], _text_end[], _rodata_end[], _kernel_end[], boot_stack_guard[];

static bool is_between(vaddr_t va, vaddr_t start, vaddr_t end)
{
    return va >= start && va < end;
}

/* An address in the area of kernel stacks: is it above the lower half of a slot? */
static bool is_in_stack(vaddr_t va)
{
    return (va - KSTACK_AREA) / KSTACK_SIZE % 2 == 1;
}

const char *protect_name(vaddr_t va)
{
    if (va < VM_LOW)
        return "the null page";
    if (va < USER_TOP)
        return "user memory";
    if (is_between(va, (vaddr_t)boot_stack_guard, (vaddr_t)boot_stack_guard + KSTACK_SIZE))
        return "the guard of the boot stack";
    if (is_between(va, (vaddr_t)_kernel_start, (vaddr_t)_text_end))
        return "the kernel's code";
    if (is_between(va, (vaddr_t)_text_end, (vaddr_t)_rodata_end))
        return "the kernel's constants";
    if (is_between(va, (vaddr_t)_rodata_end, (vaddr_t)_kernel_end))
        return "the kernel's data";
    if (is_between(va, KSTACK_AREA, KSTACK_AREA + arch_kstack_slots() * 2 * KSTACK_SIZE))
        return is_in_stack(va) ? "a kernel stack" : "the guard of a kernel stack";
    if (is_between(va, DIRECT_MAP, DIRECT_MAP + DIRECT_MAP_SIZE))
        return "the direct map";
    return "an address where nothing is";
}

#ifdef COWSLIP_DEBUG

/* ---- every mapping ---- */

static const char *mapping_fault(const struct kernel_mapping *m)
{
    vaddr_t end = m->start + m->size;

    if (m->user)
        return "the user's";
    if (m->writable && m->executable)
        return "writable and executable";
    if (m->writable && m->constant)
        return "writable, and code or constants";
    if (m->executable && (m->start < (vaddr_t)_kernel_start || end > (vaddr_t)_text_end))
        return "executable, and not the kernel's code";
    if (is_between(m->start, KSTACK_AREA, KSTACK_AREA + arch_kstack_slots() * 2 * KSTACK_SIZE) && !is_in_stack(m->start))
        return "in the guard of a kernel stack";
    return NULL;
}

static void check_mapping(const struct kernel_mapping *m, void *count)
{
    const char *wrong = mapping_fault(m);

    if (wrong)
        panic("the kernel's mapping of %lu KiB at %#lx (%s) is %s", m->size >> 10, m->start, protect_name(m->start), wrong);
    ++*(u64 *)count;
}

void protect_check(void)
{
    u64 count = 0;

    arch_kernel_mappings(check_mapping, &count);
    printk(LOG_INFO, "protection: %lu kernel mappings are as they must be", count);
}

/* ---- faults on purpose ---- */

#define USER_PAGE VM_LOW

static const u8 return_code[] = ARCH_RETURN_CODE;
static u8 data_page[64] __attribute__((aligned(64)));
static bool overflow_in_trap;

static void __attribute__((noinline)) store(vaddr_t va)
{
    *(volatile u8 *)va = 0;
}

static void __attribute__((noinline)) load(vaddr_t va)
{
    (void)*(volatile u8 *)va;
}

static void __attribute__((noinline)) jump(vaddr_t va)
{
    ((void (*volatile)(void))va)();
}

/* Code that would return, at p. */
static vaddr_t planted(void *p)
{
    memcpy(p, return_code, sizeof return_code);
    arch_icache_sync_local();
    return (vaddr_t)p;
}

/* A page of user memory that its program may read, write and execute. */
static vaddr_t user_page(void)
{
    struct map_request q = {.addr = USER_PAGE, .len = PAGE_SIZE, .prot = PROT_READ | PROT_WRITE | PROT_EXEC, .flags = MAP_FIXED_};
    struct vmspace *vm = vmspace_create();

    if (!vm)
        panic("fault_test: no memory");
    vm->as_limit = UINT64_MAX;
    sched_set_vm(vm);
    if (vm_map(vm, &q) != USER_PAGE || copy_to_user(USER_PAGE, return_code, sizeof return_code) ||
        vm_fault(vm, USER_PAGE, FAULT_EXEC) != FAULT_DONE)
        panic("fault_test: no user page");
    return USER_PAGE;
}

static vaddr_t alias(const void *image)
{
    return DIRECT_MAP + arch_image_phys(image).pa;
}

static u64 __attribute__((noinline)) overflow(u64 depth)
{
    volatile u64 room[32];

    room[depth % 32] = depth;
    return room[depth % 32] == UINT64_MAX ? 0 : overflow(depth + 1) + room[depth % 32];
}

static void write_text(void) { store((vaddr_t)_kernel_start); }
static void write_text_alias(void) { store(alias(_kernel_start)); }
static void write_rodata(void) { store((vaddr_t)return_code); }
static void write_rodata_alias(void) { store(alias(return_code)); }
static void exec_rodata(void) { jump((vaddr_t)return_code); }
static void exec_data(void) { jump(planted(data_page)); }
static void exec_heap(void) { jump(planted(kmem_alloc(64))); }
static void exec_text_alias(void) { jump(alias(_kernel_start)); }
static void exec_user(void) { jump(user_page()); }
static void read_user(void) { load(user_page()); }
static void write_user(void) { store(user_page()); }
static void null_read(void) { load(0); }
static void null_write(void) { store(8); }
static void null_exec(void) { jump(0); }
static void wild_read(void) { load(0x8000000000000000ul); }
static void stack_overflow(void) { overflow(0); }
static void boot_stack_overflow(void) { overflow(0); } /* early: the boot CPU is on its first stack */
static struct spinlock inner = SPINLOCK_INIT("fault_test, inner", RANK_SIGNAL), outer = SPINLOCK_INIT("fault_test, outer", RANK_PROC);

static void locks_in_reverse(void)
{
    spin_lock(&inner);
    spin_lock(&outer);
}

static void lock_twice(void)
{
    spin_lock(&outer);
    spin_lock(&outer);
}

static void stack_guard(void) { store(current->kstack - 1); }
static void stack_end(void) { store(current->kstack + KSTACK_SIZE); }

static void exec_stack(void)
{
    u8 room[16] __attribute__((aligned(16)));

    jump(planted(room));
}

void protect_in_trap(void)
{
    if (overflow_in_trap)
        overflow(0);
}

#ifdef ARCH_RAISE_OWN_STACK
static void trap_stack_overflow(void)
{
    overflow_in_trap = true;
    __asm__ volatile(ARCH_RAISE_OWN_STACK);
}
#endif

static const struct {
    const char *name;
    void (*run)(void);
} tests[] = {
    {"write-text", write_text},
    {"write-text-alias", write_text_alias},
    {"write-rodata", write_rodata},
    {"write-rodata-alias", write_rodata_alias},
    {"exec-rodata", exec_rodata},
    {"exec-data", exec_data},
    {"exec-heap", exec_heap},
    {"exec-stack", exec_stack},
    {"exec-text-alias", exec_text_alias},
    {"exec-user", exec_user},
    {"read-user", read_user},
    {"write-user", write_user},
    {"null-read", null_read},
    {"null-write", null_write},
    {"null-exec", null_exec},
    {"wild-read", wild_read},
    {"stack-overflow", stack_overflow},
    {"stack-guard", stack_guard},
    {"stack-end", stack_end},
    {"locks-in-reverse", locks_in_reverse},
    {"lock-twice", lock_twice},
    {"boot-stack-overflow", boot_stack_overflow},
#ifdef ARCH_RAISE_OWN_STACK
    {"trap-stack-overflow", trap_stack_overflow},
#endif
};

void protect_fault_test(bool early)
{
    const char *name = bootarg("fault_test");

    for (unsigned i = 0; name && i < ARRAY_SIZE(tests); i++)
        if (strcmp(tests[i].name, name) == 0 && (tests[i].run == boot_stack_overflow) == early) {
            printk(LOG_NOTICE, "fault_test: %s", name);
            tests[i].run();
            panic("fault_test: %s did no harm to anybody, and met no fault", name);
        }
    if (name && !early)
        panic("fault_test: there is no %s here", name);
}
#endif
