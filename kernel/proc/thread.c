/*
 * Threads and their kernel stacks.
 *
 * Stacks are mapped in the kernel-stack area, each above a guard as large as
 * itself. They are made and given back in batches, one flush of all CPUs for
 * each, and a few wait for the next thread. Lock: stack_lock (RANK_KSTACK).
 */
#include "lib/print.h"
#include "lib/string.h"
#include "proc/process.h"
#include "proc/remote.h"
#include "vm/kmem.h"
#include "vm/page.h"

#define BATCH 8u
#define CACHED_MAX 12u /* above that a batch is given back */
#define STACK_PAGES (KSTACK_SIZE / PAGE_SIZE)
#define STACK_POISON 0xd3
#define STACK_POISON_BYTES 3072 /* below a system call's first frame */

static struct spinlock stack_lock = SPINLOCK_INIT("kernel stacks", RANK_KSTACK);
static vaddr_t cached[CACHED_MAX + BATCH];
static u32 cached_count;
static u32 *free_slots, free_slot_count; /* slots with nothing mapped */
static struct page **slot_pages;         /* STACK_PAGES for each slot */

void thread_init(void)
{
    u32 slots = arch_kstack_slots();
    size_t bytes = slots * (sizeof *free_slots + STACK_PAGES * sizeof *slot_pages);
    unsigned order = 0;
    struct page *run;

    while (PAGE_SIZE << order < bytes)
        order++;
    run = page_alloc_run(order, PAGE_KERNEL, ALLOC_ZERO);
    if (!run)
        panic("no memory for the table of kernel stacks");
    slot_pages = page_data(run);
    free_slots = (u32 *)(slot_pages + slots * STACK_PAGES);
    for (u32 i = 0; i < slots; i++)
        free_slots[free_slot_count++] = slots - 1 - i;
}

static u32 slot_of(vaddr_t stack)
{
    return (u32)((stack - arch_kstack_slot_base(0)) / (2 * KSTACK_SIZE));
}

/* Takes the pages of a slot back; the flush comes after the batch. */
static void slot_unmap_locked(u32 slot, struct page **pages)
{
    for (u32 i = 0; i < STACK_PAGES; i++) {
        struct page **p = &slot_pages[slot * STACK_PAGES + i];
        if (*p)
            arch_kstack_unmap(arch_kstack_slot_base(slot) + i * PAGE_SIZE);
        pages[i] = *p;
        *p = NULL;
    }
    free_slots[free_slot_count++] = slot;
}

static bool slot_map_locked(u32 slot)
{
    for (u32 i = 0; i < STACK_PAGES; i++) {
        struct page *p = page_alloc(PAGE_KERNEL, 0);
        if (!p)
            return false;
        slot_pages[slot * STACK_PAGES + i] = p;
        arch_kstack_map(arch_kstack_slot_base(slot) + i * PAGE_SIZE, page_paddr(p));
    }
    return true;
}

static void flush_others(void)
{
    u64 others = cpus_online_mask() & ~(1ul << arch_this_cpu()->id);

    if (others)
        remote_flush_kernel(others);
}

/* Maps up to a batch of stacks. What fails half-way is taken back. */
static void stacks_make_locked(void)
{
    struct page *pages[STACK_PAGES];
    u32 made = 0;

    while (made < BATCH && free_slot_count > 0) {
        u32 slot = free_slots[--free_slot_count];
        if (!slot_map_locked(slot)) {
            slot_unmap_locked(slot, pages);
            flush_others();
            for (u32 i = 0; i < STACK_PAGES; i++)
                if (pages[i])
                    page_put(pages[i]);
            break;
        }
        cached[cached_count++] = arch_kstack_slot_base(slot);
        made++;
    }
    if (made)
        flush_others(); /* nobody may remember that there was nothing */
}

static void stacks_drop_locked(void)
{
    struct page *pages[BATCH * STACK_PAGES];

    for (u32 i = 0; i < BATCH; i++)
        slot_unmap_locked(slot_of(cached[--cached_count]), pages + i * STACK_PAGES);
    flush_others();
    for (u32 i = 0; i < BATCH * STACK_PAGES; i++)
        page_put(pages[i]);
}

u32 thread_stacks_waiting(void)
{
    return READ_ONCE(cached_count);
}

static vaddr_t stack_get(void)
{
    vaddr_t stack = 0;

    spin_lock(&stack_lock);
    if (cached_count == 0)
        stacks_make_locked();
    if (cached_count > 0)
        stack = cached[--cached_count];
    spin_unlock(&stack_lock);
    return stack;
}

#ifdef COWSLIP_DEBUG
void __attribute__((noinline)) stack_poison_below(void)
{
    u8 room[STACK_POISON_BYTES];

    memset(room, STACK_POISON, sizeof room);
    __asm__ volatile("" : : "r"(room) : "memory");
}
#endif

static void stack_put(vaddr_t stack)
{
#ifdef COWSLIP_DEBUG
    memset((void *)stack, STACK_POISON, KSTACK_SIZE);
#endif
    spin_lock(&stack_lock);
    cached[cached_count++] = stack;
    if (cached_count > CACHED_MAX)
        stacks_drop_locked();
    spin_unlock(&stack_lock);
}

struct thread *thread_alloc(void (*fn)(void *), void *arg)
{
    struct thread *t = kmem_zalloc(sizeof *t);

    if (!t)
        return NULL;
    t->kstack = stack_get();
    if (!t->kstack) {
        kmem_free(t);
        return NULL;
    }
    ref_init(&t->refs);
    list_init(&t->run_link);
    list_init(&t->process_link);
    t->start_fn = fn;
    t->start_arg = arg;
    t->state = THREAD_NEW;
    t->cpu = arch_this_cpu()->id; /* while nobody knows of it; where it starts is then proc/sched.c's to say */
    thread_prepare(t);
    return t;
}

struct thread *kthread_create(void (*fn)(void *), void *arg, const char *name)
{
    struct thread *t = thread_alloc(fn, arg);

    if (t)
        strlcpy(t->comm, name, sizeof t->comm);
    return t;
}

void thread_get(struct thread *t)
{
    ref_get(&t->refs);
}

void thread_put(struct thread *t)
{
    if (!ref_put(&t->refs))
        return;
    stack_put(t->kstack);
    if (t->process)
        process_put(t->process);
    kmem_free(t);
}
