/* The machine of machine.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include "machine.h"
#include "lib/bootargs.h"
#include "proc/remote.h"
#include "vm/check.h"
#include "vm/commit.h"
#include "vm/kmem.h"
#include "vm/plant.h"
#include "vm/table.h"

#define RAM_BASE 0x80000000ul
#define TLB_SIZE 64
#define WALKS 8
#define WAYS 4

struct platform platform;
struct cpu cpus[MAX_CPUS];
u32 cpu_count = 4;
_Thread_local unsigned host_cpu;
bool host_threads;
const char *host_plant, *host_fork, *host_overcommit;
bool host_asids = true;
void (*host_on_panic)(void), (*host_before_flush)(void);
_Atomic u64 host_synced;
static char *ram;
static _Thread_local u64 random_state = 1;
static _Thread_local struct thread thread;

const u8 *host_bytes, *host_bytes_end;

u64 host_random(u64 n)
{
    if (host_bytes) {
        u64 v = 0;
        for (unsigned i = 0; i < (n > 256 ? 2 : 1) && host_bytes < host_bytes_end; i++)
            v = v << 8 | *host_bytes++;
        return v % n;
    }
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 33) % n;
}

void host_seed(u64 seed)
{
    random_state = seed * 0x9e3779b97f4a7c15u + 1;
}

/* ---- what the kernel says ---- */

void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("panic: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    if (host_on_panic)
        host_on_panic();
    abort();
}

u64 bootarg_u64(const char *name, u64 fallback, u64 min, u64 max)
{
    const char *v = bootarg(name);
    u64 n = v ? strtoul(v, NULL, 0) : fallback;

    return n >= min && n <= max ? n : fallback;
}

void printk(enum log_level level, const char *fmt, ...)
{
    (void)level, (void)fmt;
}

const char *bootarg(const char *name)
{
    if (strcmp(name, "vm.fork") == 0)
        return host_fork;
    if (strcmp(name, "vm.overcommit") == 0)
        return host_overcommit;
    return strcmp(name, "vm.plant") == 0 ? host_plant : NULL;
}

/* ---- this CPU ---- */

struct cpu *arch_this_cpu(void)
{
    return &cpus[host_cpu];
}

struct thread *arch_current(void)
{
    return &thread;
}

bool arch_irq_save(void)
{
    return true;
}

void arch_irq_restore(bool on)
{
    (void)on;
}

void arch_cpu_relax(void)
{
    if (!host_threads)
        panic("a lock would never be free");
    thrd_yield();
}

void preempt_disable(void)
{
}

void preempt_enable(void)
{
}

void *arch_phys_to_virt(paddr_t pa)
{
    return ram + (pa.pa - RAM_BASE);
}

paddr_t arch_virt_to_phys(const void *va)
{
    return (paddr_t){RAM_BASE + (u64)((const char *)va - ram)};
}

/* ---- locks ---- */

void spin_init(struct spinlock *l, const char *name, enum lock_rank rank)
{
    *l = (struct spinlock){.rank = (u16)rank, .name = name};
}

void spin_lock(struct spinlock *l)
{
    while (atomic_exchange_explicit(&l->held, 1, memory_order_acquire))
        arch_cpu_relax();
}

void spin_lock_nested(struct spinlock *l)
{
    spin_lock(l);
}

void spin_unlock(struct spinlock *l)
{
    atomic_store_explicit(&l->held, 0, memory_order_release);
}

void mutex_init(struct mutex *m, const char *name, enum lock_rank rank)
{
    *m = (struct mutex){.rank = (u16)rank, .name = name};
}

bool mutex_trylock(struct mutex *m)
{
    struct thread *nobody = NULL;

    return atomic_compare_exchange_strong(&m->owner, &nobody, &thread);
}

void mutex_lock(struct mutex *m)
{
    while (!mutex_trylock(m))
        arch_cpu_relax();
}

void mutex_lock_nested(struct mutex *m)
{
    mutex_lock(m);
}

void mutex_unlock(struct mutex *m)
{
    if (atomic_exchange(&m->owner, NULL) != &thread)
        panic("%s: unlocked by another thread", m->name);
}

bool mutex_held(const struct mutex *m)
{
    return m->owner == &thread;
}

void waiter_add(struct waitq *q, struct waiter *w, unsigned kind)
{
    (void)q, (void)w, (void)kind;
}

int wait_block(struct waiter *w, u64 deadline_ns)
{
    (void)w, (void)deadline_ns;
    arch_cpu_relax();
    return 0;
}

void waiter_remove(struct waiter *w)
{
    (void)w;
}

void waitq_wake_all(struct waitq *q)
{
    (void)q;
}

/* ---- the TLB: one for each CPU, with the tables it has walked through ---- */

struct translation { /* or the knowledge that there is none: prot PROT_NONE */
    bool valid;
    vaddr_t va;
    struct page *page;
    unsigned prot;
    bool edge; /* an edge withholds something, so a flush of one page does not cover it */
    unsigned asid;
    bool freed; /* what it leads to has been freed: its identifier may not be loaded again without a flush */
};
struct walk {
    struct page *table; /* reached for [va, va + span); NULL: none */
    unsigned level;
    vaddr_t va;
    bool writable; /* all edges passed so far */
    unsigned asid;
    bool freed;
};
static struct tlb {
    struct spinlock lock; /* held during an access: a flush waits for it, as for an interrupt */
    struct spinlock interrupts_off; /* held while the CPU loads a root: a flush that others ask for comes before or after */
    struct page *root;
    unsigned asid; /* what is remembered from now on, and used, is of this one */
    struct translation entries[TLB_SIZE];
    struct walk walks[WALKS];
} tlbs[MAX_CPUS];

/* Where a translation of va goes; each page has a few places, so that some of other identifiers stay. */
static struct translation *place(struct tlb *t, vaddr_t va)
{
    struct translation *e = &t->entries[(va >> PAGE_SHIFT) % (TLB_SIZE / WAYS) * WAYS];

    for (unsigned i = 0; i < WAYS; i++)
        if (e[i].valid && e[i].asid == t->asid && e[i].va == va)
            return &e[i];
    return &e[host_random(WAYS)];
}

/* Of the loaded identifier. */
static void flush_locked(struct tlb *t)
{
    for (unsigned i = 0; i < TLB_SIZE; i++)
        if (t->entries[i].asid == t->asid)
            t->entries[i] = (struct translation){0};
    for (unsigned i = 0; i < WALKS; i++)
        if (t->walks[i].asid == t->asid)
            t->walks[i] = (struct walk){0};
}

static void flush(unsigned cpu)
{
    struct tlb *t = &tlbs[cpu];

    spin_lock(&t->lock);
    flush_locked(t);
    spin_unlock(&t->lock);
}

static void before_flush(void)
{
    static bool inside;

    if (!host_before_flush || inside)
        return;
    inside = true;
    host_before_flush();
    inside = false;
}

void arch_flush_local_all(void)
{
    before_flush();
    flush(host_cpu);
}

/* Leaves only: the tables walked through are kept. */
void arch_flush_local_page(vaddr_t va)
{
    struct tlb *t = &tlbs[host_cpu];
    struct translation *e;

    spin_lock(&t->lock);
    e = place(t, va);
    if (e->valid && e->asid == t->asid && e->va == va && !e->edge)
        e->valid = false;
    spin_unlock(&t->lock);
}

void remote_flush_all(u64 mask)
{
    before_flush();
    for (unsigned c = 0; c < MAX_CPUS; c++)
        if (mask >> c & 1) {
            spin_lock(&tlbs[c].interrupts_off);
            flush(c);
            spin_unlock(&tlbs[c].interrupts_off);
        }
}

void arch_icache_sync_local(void)
{
    atomic_fetch_or(&host_synced, 1ul << host_cpu);
}

void remote_icache_sync(u64 mask)
{
    atomic_fetch_or(&host_synced, mask);
}

bool signal_fatal_pending(void)
{
    return false;
}

void arch_root_init(pte_t *root)
{
    (void)root;
}

static void load_root(struct page *root, unsigned asid, bool forget)
{
    struct tlb *t = &tlbs[host_cpu];
    bool freed = false;

    spin_lock(&t->lock);
    t->root = root;
    t->asid = asid;
    if (forget)
        flush_locked(t);
    for (unsigned i = 0; i < TLB_SIZE; i++)
        freed |= t->entries[i].asid == asid && t->entries[i].freed;
    for (unsigned i = 0; i < WALKS; i++)
        freed |= t->walks[i].asid == asid && t->walks[i].freed;
    spin_unlock(&t->lock);
    if (freed)
        panic("CPU %u loads an address space and remembers what has been freed", host_cpu);
}

bool arch_has_asids(void)
{
    return host_asids;
}

void arch_activate(paddr_t root, unsigned asid, bool forget)
{
    if (asid == 0 || asid > TLB_ASIDS || (!host_asids && !forget))
        panic("identifier %u", asid);
    load_root(page_of(root), host_asids ? asid : 0, forget);
}

void arch_activate_kernel(void)
{
    load_root(NULL, 0, !host_asids);
}

/* Where a walk to va begins: a remembered table, or the root. */
static struct walk walk_start(struct tlb *t, vaddr_t va)
{
    struct walk *w = &t->walks[host_random(WALKS)];

    if (w->table && w->asid == t->asid && ROUND_DOWN(va, pt_span(w->level + 1)) == w->va)
        return *w;
    return (struct walk){t->root, PT_LEVELS - 1, 0, true, t->asid, false};
}

static void walk(struct tlb *t, vaddr_t va, struct translation *out)
{
    struct walk w = walk_start(t, va);
    pte_t e;

    *out = (struct translation){true, va, NULL, PROT_NONE, true, t->asid, false};
    for (; w.level > 0; w.level--) {
        e = pte_load(pt_slot(w.table, w.level, va));
        if (!pte_table_walkable(e))
            return;
        w.writable = w.writable && pte_table_writable(e);
        w.table = pte_page(e);
        if (w.table->kind != PAGE_TABLE || w.table->level != w.level - 1)
            panic("a CPU walked through a freed table for %#lx", va);
        t->walks[host_random(WALKS)] =
            (struct walk){w.table, w.level - 1, ROUND_DOWN(va, pt_span(w.level)), w.writable, t->asid, false};
    }
    e = pte_load(pt_slot(w.table, 0, va));
    out->edge = !w.writable;
    if (pte_leaf_prot(e) == PROT_NONE)
        return;
    out->page = pte_page(e);
    out->prot = pte_leaf_prot(e) & ~(w.writable ? 0u : PROT_WRITE);
}

/* The page of an access, or NULL: it faults. `firmly`: what the TLB has, it does not look up again. */
static struct page *translate(struct tlb *t, vaddr_t va, bool write, bool firmly)
{
    struct translation *e = place(t, va);
    unsigned need = write ? PROT_WRITE : PROT_READ;

    if (!(e->valid && e->asid == t->asid && e->va == va && (firmly || ((e->prot & need) && host_random(4)))))
        walk(t, va, e);
    if (!(e->prot & need))
        return NULL;
    if (e->page->kind != PAGE_DATA && e->page->kind != PAGE_OBJECT)
        panic("a CPU reached a freed page at %#lx", va);
    return e->page;
}

void host_prefetch(vaddr_t va)
{
    struct tlb *t = &tlbs[host_cpu];

    spin_lock(&t->lock);
    if (t->root)
        walk(t, va, place(t, va));
    spin_unlock(&t->lock);
}

static enum fault_result access_once(vaddr_t va, bool write, u64 *value, bool firmly)
{
    struct tlb *t = &tlbs[host_cpu];
    vaddr_t base = ROUND_DOWN(va, PAGE_SIZE);
    struct page *p;

    spin_lock(&t->lock);
    p = translate(t, base, write, firmly);
    if (p) {
        u64 *word = (u64 *)((char *)page_data(p) + (va - base));
        if (write)
            __atomic_store_n(word, *value, __ATOMIC_RELAXED);
        else
            *value = __atomic_load_n(word, __ATOMIC_RELAXED);
    }
    spin_unlock(&t->lock);
    return p ? FAULT_DONE : FAULT_RETRY;
}

static enum fault_result host_access(vaddr_t va, bool write, u64 *value)
{
    bool firmly = host_random(2);
    enum fault_result r;

    for (unsigned tries = 0; access_once(va, write, value, firmly) != FAULT_DONE; tries++) {
        if (tries == 1000)
            panic("an access to %#lx faults for ever", va);
        r = vm_fault(host_running(host_cpu), va, write ? FAULT_WRITE : FAULT_READ);
        if (r > FAULT_RETRY)
            return r;
    }
    return FAULT_DONE;
}

enum fault_result host_load(vaddr_t va, u64 *value)
{
    return host_access(va, false, value);
}

enum fault_result host_store(vaddr_t va, u64 value)
{
    return host_access(va, true, &value);
}

bool host_touch(unsigned cpu, vaddr_t va, bool write, u64 *value)
{
    struct tlb *t = &tlbs[cpu];
    struct page *p = NULL;

    spin_lock(&t->lock);
    if (t->root)
        p = translate(t, va, write, false);
    if (p) {
        u64 *words = page_data(p);
        if (write)
            words[0] = words[PAGE_SIZE / sizeof *words - 1] = *value;
        else
            *value = words[0];
    }
    spin_unlock(&t->lock);
    return p;
}

/* ---- the canary: what is freed is in no TLB, and no CPU walks through it (linked in with --wrap) ---- */

static void freed(const struct page *p)
{
    for (struct tlb *t = tlbs; t < tlbs + MAX_CPUS; t++) {
        bool known;

        spin_lock(&t->lock);
        known = t->root == p;
        for (unsigned i = 0; i < TLB_SIZE; i++)
            if (t->entries[i].valid && t->entries[i].page == p) {
                known |= t->entries[i].asid == t->asid;
                t->entries[i].freed = true;
            }
        for (unsigned i = 0; i < WALKS; i++)
            if (t->walks[i].table == p) {
                known |= t->walks[i].asid == t->asid;
                t->walks[i].freed = true;
            }
        spin_unlock(&t->lock);
        if (known)
            panic("a page of kind %u is freed and CPU %u may still use it", p->kind, (unsigned)(t - tlbs));
    }
}

void __real_page_free(struct page *p), __wrap_page_free(struct page *p);
void __wrap_page_free(struct page *p)
{
    freed(p);
    __real_page_free(p);
}

void __real_page_free_table(struct page *p), __wrap_page_free_table(struct page *p);
void __wrap_page_free_table(struct page *p)
{
    freed(p);
    __real_page_free_table(p);
}

void __real_page_put(struct page *p), __wrap_page_put(struct page *p);
void __wrap_page_put(struct page *p)
{
    if (page_refs(p) == 1)
        freed(p);
    __real_page_put(p);
}

/* ---- the scheduler's part ---- */

void host_run(struct vmspace *vm)
{
    struct cpu *c = arch_this_cpu();

    if (c->active_vm == vm)
        return;
    spin_lock(&tlbs[host_cpu].interrupts_off);
    vmspace_switch(c->active_vm, vm);
    c->active_vm = vm;
    spin_unlock(&tlbs[host_cpu].interrupts_off);
    thread.vm = vm;
}

struct vmspace *host_running(unsigned cpu)
{
    return cpus[cpu].active_vm;
}

/* ---- boot ---- */

void host_boot(u64 frames)
{
    ram = aligned_alloc(PAGE_SIZE, frames * PAGE_SIZE);
    if (!ram)
        abort();
    for (unsigned i = 0; i < MAX_CPUS; i++)
        cpus[i].id = i;
    platform.ram[0] = (struct platform_range){{RAM_BASE}, frames * PAGE_SIZE};
    platform.ram_count = 1;
    page_init();
    kmem_init();
    vm_init();
    commit_init();
    vm_check_init();
    vm_plant_init();
}

u64 host_free_pages(void)
{
    struct page_stats s;

    page_stats(&s);
    return s.free;
}
