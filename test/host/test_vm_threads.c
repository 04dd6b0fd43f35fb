/*
 * The VM core under real threads and ThreadSanitizer: each thread is a CPU.
 *
 * apart: processes that descend from one and share tables, each run by one
 * thread at a time and handed on at random: seals, copies, takeovers and drops of
 * the same tables at once. Every process's pages hold what its model says.
 *
 * together: one address space that all CPUs run. Each thread counts in a word of
 * its own in every page; one of them forks again and again. No count may be lost
 * in the parent, and a child must hold what every count was at some moment of
 * the fork.
 *
 * a8: two threads fork one address space again and again and store and exit in the children, which copies and drops
 * shared tables, while two others walk through the tables of whatever children there are.
 *
 * Usage: test_vm_threads [--seed N] [--steps N]
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define sched_yield libc_sched_yield /* the kernel has one, too */
#include <pthread.h>
#undef sched_yield
#include <cmocka.h>
#include "machine.h"
#include "vm/commit.h"

#define CPUS 4u
#define PAGES 64u
#define MINE 6u /* processes of a thread, at most */
#define BASE 0x10000ul

static u64 seed = 1, steps = 20000;

static vaddr_t va_of(unsigned i)
{
    return BASE + i * PAGE_SIZE;
}

/* ---- apart ---- */

struct proc {
    struct vmspace *vm;
    u64 value[PAGES];
};
static struct {
    pthread_mutex_t lock;
    struct proc *waiting[CPUS * MINE];
    unsigned count;
} exchange = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct vmspace *space(void)
{
    struct vmspace *vm = vmspace_create();
    struct map_request q = {.addr = BASE, .len = PAGES * PAGE_SIZE, .prot = PROT_READ | PROT_WRITE, .flags = MAP_FIXED_};

    assert_non_null(vm);
    vm->mmap_top = USER_TOP;
    vm->as_limit = vm->data_limit = UINT64_MAX;
    assert_int_equal(vm_map(vm, &q), BASE);
    return vm;
}

static void end(struct proc *p)
{
    host_run(NULL);
    vmspace_put(p->vm);
    free(p);
}

static struct proc *forked(struct proc *p)
{
    struct proc *child = malloc(sizeof *child);

    host_run(p->vm);
    *child = *p;
    child->vm = vmspace_fork(p->vm);
    if (child->vm)
        return child;
    free(child);
    return NULL;
}

/* Gives the process to whoever takes one, or takes one. */
static void trade(struct proc *mine[], unsigned *count)
{
    pthread_mutex_lock(&exchange.lock);
    if (host_random(2) && *count > 1 && exchange.count < CPUS * MINE) {
        host_run(NULL);
        exchange.waiting[exchange.count++] = mine[--*count];
    } else if (exchange.count > 0 && *count < MINE) {
        mine[(*count)++] = exchange.waiting[--exchange.count];
    }
    pthread_mutex_unlock(&exchange.lock);
}

static void use(struct proc *p)
{
    unsigned i = (unsigned)host_random(PAGES), op = (unsigned)host_random(20);
    u64 value;

    host_run(p->vm);
    if (op < 10) {
        if (host_store(va_of(i), p->value[i] + 1) == FAULT_DONE)
            p->value[i]++;
    } else if (op < 18) {
        if (host_load(va_of(i), &value) == FAULT_DONE && value != p->value[i])
            panic("page %u has %lu, not %lu", i, value, p->value[i]);
    } else if (op == 18) {
        if (vm_protect(p->vm, va_of(i), PAGE_SIZE, PROT_READ) || vm_protect(p->vm, va_of(i), PAGE_SIZE, PROT_READ | PROT_WRITE))
            return;
    } else if (vm_discard(p->vm, va_of(i), PAGE_SIZE) == 0) {
        p->value[i] = 0;
    }
}

static void *apart(void *arg)
{
    struct proc *mine[MINE], *child;
    unsigned count = 0;

    host_cpu = (unsigned)(u64)arg;
    host_seed(seed * 100 + host_cpu);
    for (u64 n = 0; n < steps; n++) {
        unsigned op = (unsigned)host_random(40), k = count ? (unsigned)host_random(count) : 0;
        if (count == 0 || op == 0)
            trade(mine, &count);
        else if (op < 3 && count < MINE && (child = forked(mine[k])))
            mine[count++] = child;
        else if (op < 5 && count > 1)
            end(mine[--count]);
        else if (op == 5 && host_random(50) == 0)
            vm_check_all("threads");
        else
            use(mine[k]);
    }
    while (count > 0)
        end(mine[--count]);
    return NULL;
}

static void run(void *(*fn)(void *))
{
    pthread_t threads[CPUS];

    for (u64 i = 0; i < CPUS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fn, (void *)i), 0);
    for (unsigned i = 0; i < CPUS; i++)
        pthread_join(threads[i], NULL);
}

static void processes_apart(void **state)
{
    struct proc *first = calloc(1, sizeof *first), *child;

    (void)state;
    first->vm = space();
    while (exchange.count < CPUS && (child = forked(first)))
        exchange.waiting[exchange.count++] = child;
    host_run(NULL);
    end(first);
    run(apart);
    while (exchange.count > 0)
        end(exchange.waiting[--exchange.count]);
    vm_check_all("the end");
    assert_int_equal(commit_total(), 0);
}

/* ---- together ---- */

static struct vmspace *common;
static _Atomic u64 counts[CPUS][PAGES]; /* raised after the store */
static _Atomic bool stop;

static u64 word_of(unsigned page, unsigned cpu)
{
    u64 value = 0;

    if (host_load(va_of(page) + cpu * 8, &value) != FAULT_DONE)
        panic("a load fails");
    return value;
}

/* The child's words lie between what was counted before the fork and, with the one that may be under way, after it. */
static void fork_and_look(void)
{
    static u64 before[CPUS][PAGES], after[CPUS][PAGES];
    struct vmspace *child;

    for (unsigned c = 0; c < CPUS; c++)
        for (unsigned i = 0; i < PAGES; i++)
            before[c][i] = counts[c][i];
    child = vmspace_fork(common);
    for (unsigned c = 0; c < CPUS; c++)
        for (unsigned i = 0; i < PAGES; i++)
            after[c][i] = counts[c][i] + 1;
    if (!child)
        panic("no memory for a child");
    host_run(child);
    for (unsigned c = 0; c < CPUS; c++)
        for (unsigned i = 0; i < PAGES; i++) {
            u64 v = word_of(i, c);
            if (v < before[c][i] || v > after[c][i])
                panic("child: page %u of cpu %u has %lu, not %lu to %lu", i, c, v, before[c][i], after[c][i]);
        }
    host_store(va_of(0), 0);
    host_run(common);
    vmspace_put(child);
}

static void *together(void *arg)
{
    host_cpu = (unsigned)(u64)arg;
    host_seed(seed * 200 + host_cpu);
    host_run(common);
    for (u64 n = 0; host_cpu == 0 ? n < steps / 50 : !stop; n++) {
        unsigned i = (unsigned)host_random(PAGES);

        if (host_cpu == 0 && n % 4 == 0)
            fork_and_look();
        if (word_of(i, host_cpu) != counts[host_cpu][i])
            panic("cpu %u: page %u lost an update: %lu, not %lu", host_cpu, i, word_of(i, host_cpu), counts[host_cpu][i]);
        if (host_store(va_of(i) + host_cpu * 8, counts[host_cpu][i] + 1) != FAULT_DONE)
            panic("a store fails");
        counts[host_cpu][i]++;
    }
    stop = true;
    host_run(NULL);
    return NULL;
}

static void one_process_together(void **state)
{
    (void)state;
    common = space();
    run(together);
    vmspace_put(common);
    vm_check_all("the end");
}

/* ---- a8: walks against copies and exits ---- */

static struct vmspace *shown[CPUS]; /* what each forking thread lets the others look at; exchange.lock */
static _Atomic u64 pages_seen;

static void show(struct vmspace *vm)
{
    struct vmspace *old;

    pthread_mutex_lock(&exchange.lock);
    old = shown[host_cpu];
    shown[host_cpu] = vm;
    pthread_mutex_unlock(&exchange.lock);
    if (old)
        vmspace_put(old); /* the last reference may be a looker's */
}

static void fork_unshare_exit(void)
{
    struct vmspace *child = vmspace_fork(common);

    if (!child)
        panic("no memory for a child");
    vmspace_get(child);
    show(child);
    host_run(child);
    for (unsigned n = 0; n < 8; n++) {
        unsigned i = (unsigned)host_random(PAGES);
        if (host_store(va_of(i), i + 1) != FAULT_DONE)
            panic("a store fails");
    }
    host_run(NULL);
    vmspace_put(child);
}

static void walk_one(void)
{
    struct vmspace *vm = NULL;
    unsigned i = (unsigned)host_random(PAGES);
    u64 value = 0;

    pthread_mutex_lock(&exchange.lock);
    vm = shown[host_random(2)];
    if (vm)
        vmspace_get(vm);
    pthread_mutex_unlock(&exchange.lock);
    if (!vm)
        return;
    if (!vm_page_look(vm, va_of(i)).present || vm_read_remote(vm, va_of(i), &value, sizeof value) != sizeof value || value != i + 1)
        panic("page %u has %lu", i, value);
    if (vm_resident(vm, va_of(0), va_of(PAGES)) != PAGES)
        panic("pages are not there");
    pages_seen++;
    vmspace_put(vm);
}

static void *a8(void *arg)
{
    host_cpu = (unsigned)(u64)arg;
    host_seed(seed * 300 + host_cpu);
    for (u64 n = 0; n < steps / 100; n++)
        host_cpu < 2 ? fork_unshare_exit() : walk_one();
    if (host_cpu < 2)
        show(NULL);
    return NULL;
}

static void a8_walk_against_unshare_and_exit(void **state)
{
    (void)state;
    common = space();
    host_run(common);
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(host_store(va_of(i), i + 1), FAULT_DONE);
    host_run(NULL);
    run(a8);
    vmspace_put(common);
    vm_check_all("the end");
    assert_true(pages_seen > 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(processes_apart), cmocka_unit_test(one_process_together),
                                       cmocka_unit_test(a8_walk_against_unshare_and_exit)};

    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--seed"))
            seed = strtoul(argv[i + 1], NULL, 0);
        else if (!strcmp(argv[i], "--steps"))
            steps = strtoul(argv[i + 1], NULL, 0);
        else if (!strcmp(argv[i], "--plant"))
            host_plant = argv[i + 1];
    }
    printf("%s: --seed %lu --steps %lu\n", HOST_ARCH, seed, steps);
    host_threads = true;
    host_boot(6000);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
