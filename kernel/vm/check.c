/*
 * The checker: recounts every reference of the machine.
 *
 * Every operation on address spaces happens between vm_enter and vm_leave. The
 * checker closes that door, waits until nobody is inside, walks all trees, and
 * compares. Checked, with the numbers of the invariants in vm.h:
 *  (1) a table, root or data page has as many references as there are entries
 *      that point to it (page_zero one more); an object's page at least one
 *      more than that, and at most PINS_MAX more (reads and writes in flight);
 *  (2,3) an edge that lets writes through leads to a table with one reference or
 *      to a sealed one, so where a write may come to a table that is not
 *      exclusive, the table is sealed; a sealed table lets no write through; a
 *      leaf that can be written on an exclusive path has a page of its own or an
 *      object's;
 *  - counts of used entries, levels and kinds agree; nothing free is mapped.
 */
#include "vm/check.h"
#include "lib/bootargs.h"
#include "lib/print.h"
#include "lib/string.h"
#include "proc/sched.h"
#include "vm/count.h"
#include "vm/kmem.h"
#include "vm/plant.h"
#include "vm/table.h"
#include "vm/vmspace.h"

#define PINS_MAX 64

/* Expected references, one u32 for each frame, in pages of 1024. */
#define COUNTS_PER_PAGE (PAGE_SIZE / sizeof(u32))
static struct page **chunks;
static u64 first_frame, frames;

/* The door. */
static struct mutex check_lock;
static _Atomic s32 inside;   /* threads between vm_enter and vm_leave */
static _Atomic bool closed;
static struct waitq door = WAITQ_INIT(door);
static bool only_asked; /* vm.check=asked: no recount at fork, exec and exit */

#ifdef COWSLIP_DEBUG
void vm_enter(void)
{
    if (!current || current->vm_depth++ > 0)
        return;
    atomic_fetch_add(&inside, 1);
    while (atomic_load(&closed)) {
        if (atomic_fetch_sub(&inside, 1) == 1)
            waitq_wake_all(&door);
        (void)wait_event(&door, !atomic_load(&closed), SLEEP_FIRMLY, UINT64_MAX);
        atomic_fetch_add(&inside, 1);
    }
}

void vm_leave(void)
{
    if (!current || --current->vm_depth > 0)
        return;
    if (atomic_fetch_sub(&inside, 1) == 1 && atomic_load(&closed))
        waitq_wake_all(&door);
}
#endif

#ifdef COWSLIP_DEBUG
#define PLANT_AFTER 20 /* some of the same go well first */
static const char *planted;
static _Atomic s32 plant_countdown = PLANT_AFTER;

void vm_plant_init(void)
{
    planted = bootarg("vm.plant");
}

bool vm_plant(const char *name)
{
    return planted && strcmp(planted, name) == 0 && atomic_fetch_sub(&plant_countdown, 1) <= 0;
}
#endif

static void door_close(void)
{
    mutex_lock(&check_lock);
    atomic_store(&closed, true);
    (void)wait_event(&door, atomic_load(&inside) == 0, SLEEP_FIRMLY, UINT64_MAX);
}

static void door_open(void)
{
    atomic_store(&closed, false);
    waitq_wake_all(&door);
    mutex_unlock(&check_lock);
}

/* ---- expected counts ---- */

static u64 frame_of(const struct page *p)
{
    return page_paddr(p).pa / PAGE_SIZE - first_frame;
}

static u32 *expected(const struct page *p)
{
    u64 f = frame_of(p);

    return (u32 *)page_data(chunks[f / COUNTS_PER_PAGE]) + f % COUNTS_PER_PAGE;
}

static void count_frame(struct page *p, void *arg)
{
    u64 f = page_paddr(p).pa / PAGE_SIZE;

    (void)arg;
    if (frames == 0)
        first_frame = f;
    frames = f - first_frame + 1;
}

void vm_check_init(void)
{
    const char *at = bootarg("vm.check");
    u64 n;

    only_asked = at && strcmp(at, "asked") == 0;
    if (at && !only_asked)
        printk(LOG_WARN, "vm.check=%s is not known: asked", at);
    mutex_init(&check_lock, "vm check", RANK_CHECK);
    page_for_each(count_frame, NULL);
    n = (frames + COUNTS_PER_PAGE - 1) / COUNTS_PER_PAGE;
    chunks = kmem_alloc(n * sizeof *chunks);
    for (u64 i = 0; chunks && i < n; i++) {
        chunks[i] = page_alloc(PAGE_KERNEL, ALLOC_ZERO);
        if (!chunks[i])
            chunks = NULL; /* too little memory: what was taken stays taken, the checker says so when asked */
    }
    if (!chunks)
        printk(LOG_WARN, "vm check: no memory for counts; references are not recounted");
}

static void counts_clear(void)
{
    for (u64 f = 0; f < frames; f += COUNTS_PER_PAGE)
        memset(page_data(chunks[f / COUNTS_PER_PAGE]), 0, PAGE_SIZE);
}

/* ---- the walk ---- */

#define LEAVING_MAX 16u /* pages between the drop of their last reference and the moment when they are free */
struct walk {
    const char *when;
    u32 leaving;
};

static void __printf_like(2, 3) broken(struct walk *w, const char *fmt, ...)
{
    char why[160];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    panic("vm check (%s): %s", w->when, why);
}

static void check_leaf(struct walk *w, struct page *t, unsigned i, pte_t e, bool exclusive)
{
    struct page *p = pte_page(e);

    ++*expected(p);
    if (p->kind != PAGE_DATA && p->kind != PAGE_OBJECT)
        broken(w, "leaf %u of table %#lx maps a page of kind %u", i, page_paddr(t).pa, p->kind);
    if (!pte_leaf_writable(e))
        return;
    if ((p->kind == PAGE_OBJECT) != !!(pte_leaf_prot(e) & PROT_OBJECT))
        broken(w, "writable leaf %u of table %#lx: kind %u", i, page_paddr(t).pa, p->kind);
    if (table_sealed(t))
        broken(w, "sealed table %#lx grants a write in leaf %u", page_paddr(t).pa, i);
    if (exclusive && p->kind == PAGE_DATA && page_refs(p) != 1)
        broken(w, "writable leaf %u of table %#lx: page has %u references", i, page_paddr(t).pa, page_refs(p));
}

/* How a table was reached: through exclusive nodes only; through edges that let writes pass only. */
struct path {
    bool exclusive, writable;
};
static void check_table(struct walk *w, struct page *t, unsigned level, struct path path);

/*
 * A table is looked into once, by the first path to it. That is enough: a later path on which a write may come to a
 * shared table needs a sealed one, and a sealed table is held to its mark however it was reached.
 */
static void check_edge(struct walk *w, struct page *t, unsigned level, pte_t e, struct path path)
{
    struct page *child = pte_page(e);
    bool first = (*expected(child))++ == 0;

    path.exclusive = path.exclusive && page_refs(child) == 1;
    path.writable = path.writable && pte_table_writable(e);
    if (child->kind != PAGE_TABLE || child->level != level - 1)
        broken(w, "edge of table %#lx leads to kind %u, level %u", page_paddr(t).pa, child->kind, child->level);
    if (path.writable && !path.exclusive && !table_sealed(child))
        broken(w, "shared table %#lx can be written through from %#lx and is not sealed", page_paddr(child).pa,
               page_paddr(t).pa);
    if (pte_table_writable(e) && page_refs(child) != 1 && !table_sealed(child))
        broken(w, "open edge of table %#lx leads to table %#lx, which is shared and not sealed", page_paddr(t).pa,
               page_paddr(child).pa);
    if (table_sealed(t) && pte_table_writable(e) && !table_sealed(child))
        broken(w, "sealed table %#lx lets writes through to %#lx", page_paddr(t).pa, page_paddr(child).pa);
    if (first)
        check_table(w, child, level - 1, path);
}

static void check_table(struct walk *w, struct page *t, unsigned level, struct path path)
{
    unsigned entries = level == PT_LEVELS - 1 ? USER_ROOT_ENTRIES : PT_ENTRIES, used = 0;
    pte_t *slots = page_data(t);

    for (unsigned i = 0; i < entries; i++) {
        pte_t e = pte_load(&slots[i]);
        if (pte_is_empty(e))
            continue;
        used++;
        if (!(t->groups >> i / GROUP_ENTRIES & 1))
            broken(w, "table %#lx: entry %u is in a group that is not marked", page_paddr(t).pa, i);
        if (!page_is_ram(pte_paddr(e)))
            broken(w, "entry %u of table %#lx points outside RAM: %#lx", i, page_paddr(t).pa, e.bits);
        if (level == 0)
            check_leaf(w, t, i, e, path.exclusive && path.writable);
        else
            check_edge(w, t, level, e, path);
    }
    if (used != t->used)
        broken(w, "table %#lx has %u entries and says %u", page_paddr(t).pa, used, t->used);
}

static void compare(struct page *p, void *arg)
{
    u32 want = *expected(p), have = page_refs(p);
    struct walk *w = arg;
    bool ok = have == want;

    if (p->kind == PAGE_RESERVED || p->kind == PAGE_KERNEL)
        ok = want == 0;
    else if (p == page_zero)
        ok = have == want + 1;
    else if (p->kind == PAGE_OBJECT && have == 0 && want == 0) /* objects drop their pages outside the door */
        ok = ++w->leaving <= LEAVING_MAX;
    else if (p->kind == PAGE_OBJECT)
        ok = have > want && have <= want + 1 + PINS_MAX;
    if (!ok)
        broken(w, "page %#lx (kind %u, level %u): %u references counted, %u recorded", page_paddr(p).pa, p->kind,
               p->level, want, have);
}

static void recount(struct walk *w)
{
    struct vmspace *vm;

    counts_clear();
    list_for_each(vm, &vmspaces, link) {
        if (vm->root->kind != PAGE_ROOT || page_refs(vm->root) != 1)
            broken(w, "root table %#lx: kind %u, %u references", page_paddr(vm->root).pa, vm->root->kind,
                   page_refs(vm->root));
        ++*expected(vm->root);
        check_table(w, vm->root, PT_LEVELS - 1, (struct path){true, true});
    }
    page_for_each(compare, w);
}

void vm_check_all(const char *when)
{
    struct walk w = {.when = when};

    if (!chunks) {
        printk(LOG_NOTICE, "vm check: not possible here (a debug build has it)");
        return;
    }
    door_close();
    recount(&w);
    door_open();
    vm_count(VMC_vm_check, 1);
}

void vm_check_debug(const char *when)
{
#ifdef COWSLIP_DEBUG
    if (chunks && !only_asked)
        vm_check_all(when);
#else
    (void)when;
#endif
}
