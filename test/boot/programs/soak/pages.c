/* Pages with tags: what they hold, how they are mapped, and saying that something is wrong. */
#include "soak.h"

struct shared *shared;
struct page_state *model;
unsigned char *maps[MAPS];
uint64_t shadow[MAPS][MAP_PAGES];
unsigned depth, slot;
pid_t children[CHILDREN];
atomic_int threads;
_Thread_local struct worker me;

uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

unsigned long rnd(unsigned long n)
{
    return (mix(me.random += 0x9e3779b97f4a7c15ull) >> 11) % n;
}

void count(int op)
{
    atomic_fetch_add_explicit(&shared->ops[op], 1, memory_order_relaxed);
}

double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void __attribute__((format(printf, 1, 2))) wrong(const char *fmt, ...)
{
    char line[400];
    va_list ap;
    int n = snprintf(line, sizeof line, "soak: WRONG: process %d owner %lu: ", getpid(), (unsigned long)me.owner);

    atomic_fetch_add(&shared->wrong, 1);
    va_start(ap, fmt);
    n += vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);
    va_end(ap);
    line[n++] = '\n';
    if (write(1, line, (size_t)n) < 0)
        _exit(3);
}

/* Memory has run out lately: what failed may have failed for that. */
int is_pressed(void)
{
    struct sysinfo s;

    return atomic_load(&shared->hungry) || now() - (double)atomic_load(&shared->pressure_seen) < 5 ||
           sysinfo(&s) || s.freeram * s.mem_unit < 16ul << 20;
}

/* An operation that may fail for want of memory, and for nothing else. */
void refused(const char *what)
{
    count(OP_refused);
    if (errno != ENOMEM && errno != EAGAIN && !is_pressed()) {
        wrong("%s: %s", what, strerror(errno));
        _exit(1);
    }
}

/* ---- pages ---- */

uint64_t *page_words(unsigned long p)
{
    return (uint64_t *)(AREA + p * PAGE);
}

uint64_t new_value(void)
{
    return me.owner << 32 | ++me.sequence;
}

uint64_t pattern(unsigned long p)
{
    return 0xffffffull << 32 | (p + 1);
}

/* Four words of a page hold its value: both ends and two in between that depend on it. */
void words_set(uint64_t *w, uint64_t value)
{
    uint64_t h = mix(value);

    w[0] = w[WORDS - 1] = w[h % WORDS] = w[(h >> 20) % WORDS] = value;
}

int words_hold(const uint64_t *w, uint64_t value)
{
    uint64_t h = mix(value), any = 0;

    if (w[0] != value || w[WORDS - 1] != value || w[h % WORDS] != value || w[(h >> 20) % WORDS] != value)
        return 0;
    for (unsigned i = 0; value == 0 && i < WORDS; i++)
        any |= w[i];
    return any == 0;
}

void look(unsigned long p)
{
    const uint64_t *w = page_words(p);
    uint64_t value = model[p].value, h = mix(value);

    if (model[p].prot == PROT_NONE || words_hold(w, value))
        return;
    wrong("page %lu holds %lx %lx %lx %lx, not %lx (owner and sequence)", p, w[0], w[h % WORDS], w[(h >> 20) % WORDS], w[WORDS - 1],
          value);
    _exit(1);
}

static uint64_t backing(unsigned long p)
{
    return model[p].file < 0 ? 0 : pattern((unsigned long)model[p].file);
}

int protect(unsigned long p, unsigned long n, int prot)
{
    count(OP_protect);
    if (mprotect(page_words(p), n * PAGE, prot)) {
        refused("mprotect");
        return -1;
    }
    for (unsigned long i = p; i < p + n; i++)
        model[i].prot = (uint8_t)prot;
    return 0;
}

int make_writable(unsigned long p)
{
    return model[p].prot == (PROT_READ | PROT_WRITE) ? 0 : protect(p, 1, PROT_READ | PROT_WRITE);
}

void store(unsigned long p)
{
    look(p);
    if (make_writable(p))
        return;
    look(p);
    model[p].value = new_value();
    words_set(page_words(p), model[p].value);
    count(OP_store);
}

/* What must be denied is: a store by the program, and one by the kernel. */
void denied(unsigned long p)
{
    count(OP_denied);
    if (model[p].prot & PROT_WRITE)
        return;
    if (sigsetjmp(me.denied, 1) == 0) {
        me.expects = 1;
        *(volatile uint64_t *)page_words(p) = 1;
        me.expects = 0;
        wrong("a store to page %lu, protection %u, went through", p, model[p].prot);
        _exit(1);
    }
    me.expects = 0;
    if (syscall(SYS_gettimeofday, page_words(p), NULL) == 0 || errno != EFAULT)
        wrong("gettimeofday into page %lu, protection %u: %s", p, model[p].prot, strerror(errno)), _exit(1);
    if (model[p].prot == PROT_NONE && (pwrite(FD_MEMFD, page_words(p), 1, 0) == 1 || errno != EFAULT))
        wrong("write from page %lu without access: %s", p, strerror(errno)), _exit(1);
    look(p);
}

/* ---- maps ---- */

void map(unsigned long p, unsigned long n, int from_file)
{
    unsigned long f = from_file ? rnd(PATTERN_PAGES - n) : 0;
    int flags = MAP_PRIVATE | MAP_FIXED | (from_file ? 0 : MAP_ANONYMOUS);

    count(from_file ? OP_map_file : OP_map);
    if (atomic_load(&threads) == 0 && rnd(2) && munmap(page_words(p), n * PAGE)) {
        refused("munmap");
        return;
    }
    while (mmap(page_words(p), n * PAGE, PROT_READ | PROT_WRITE, flags, from_file ? FD_PATTERN : -1, (off_t)(f * PAGE)) == MAP_FAILED) {
        refused("mmap");
        usleep(20000); /* there may be a hole now: it is filled before anything else */
    }
    for (unsigned long i = 0; i < n; i++) {
        model[p + i] = (struct page_state){.file = from_file ? (int32_t)(f + i) : -1, .prot = PROT_READ | PROT_WRITE};
        model[p + i].value = backing(p + i);
    }
}

void discard(unsigned long p, unsigned long n)
{
    count(OP_discard);
    if (madvise(page_words(p), n * PAGE, MADV_DONTNEED)) {
        refused("MADV_DONTNEED");
        return;
    }
    for (unsigned long i = p; i < p + n; i++)
        model[i].value = backing(i);
}

void wipe(unsigned long p, unsigned long n)
{
    int on = (int)rnd(2);

    count(OP_wipe);
    for (unsigned long i = p; i < p + n; i++)
        if (model[i].file >= 0)
            return; /* anonymous memory only */
    if (madvise(page_words(p), n * PAGE, on ? MADV_WIPEONFORK : MADV_KEEPONFORK)) {
        refused("MADV_WIPEONFORK");
        return;
    }
    for (unsigned long i = p; i < p + n; i++)
        model[i].wipe = (uint8_t)on;
}

/* Only alone: another thread's map might come into the hole. */
void move(unsigned long p, unsigned long n)
{
    unsigned long q = me.lo + rnd(me.hi - me.lo - n);
    void *at;

    if (atomic_load(&threads) || (q < p + n && p < q + n))
        return;
    count(OP_move);
    for (unsigned long i = p; i < p + n; i++)
        look(i);
    at = mremap(page_words(p), n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, page_words(q));
    if (at == MAP_FAILED) { /* the range has several regions, or there is no memory; the target may be empty */
        if (errno != EFAULT && errno != EINVAL)
            refused("mremap");
        map(q, n, 0);
        return;
    }
    memcpy(model + q, model + p, n * sizeof *model);
    map(p, n, (int)rnd(2));
    for (unsigned long i = q; i < q + n; i++)
        look(i);
}

/* A mapping that grows, shrinks and goes. */
void scratch(void)
{
    unsigned long n = 1 + rnd(8), more = n + rnd(64);
    uint64_t value = new_value();
    unsigned char *a = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *b;

    count(OP_scratch);
    if (a == MAP_FAILED) {
        refused("mmap");
        return;
    }
    for (unsigned long i = 0; i < n; i++)
        words_set((uint64_t *)(a + i * PAGE), value + i);
    b = mremap(a, n * PAGE, more * PAGE, MREMAP_MAYMOVE);
    if (b == MAP_FAILED) {
        refused("mremap");
        b = a, more = n;
    }
    for (unsigned long i = 0; i < more; i++)
        if (!words_hold((uint64_t *)(b + i * PAGE), i < n ? value + i : 0))
            wrong("page %lu of %lu that mremap moved and extended from %lu", i, more, n), _exit(1);
    if (munmap(b, more * PAGE))
        refused("munmap");
    me.sequence += n;
}
