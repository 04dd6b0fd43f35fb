/* What the kernel stores into pages, and pages that processes share. */
#include "soak.h"

/* ---- the kernel's stores ---- */

static void whole(ssize_t got, unsigned long p)
{
    if (got == (ssize_t)PAGE) {
        look(p);
        return;
    }
    if (got < 0 && errno == EINTR)
        got = 0;
    else if (got < 0)
        refused("a store by the kernel");
    else if (!is_pressed())
        wrong("the kernel stored %zd bytes into page %lu", got, p);
    model[p].value = new_value();
    words_set(page_words(p), model[p].value);
}

void kernel_store(unsigned long p)
{
    unsigned long f = rnd(PATTERN_PAGES), cut = rnd(PAGE);
    struct iovec parts[2] = {{page_words(p), cut}, {(char *)page_words(p) + cut, PAGE - cut}};
    int fd;

    look(p);
    if (make_writable(p))
        return;
    count(OP_kernel_store);
    if (rnd(3)) {
        model[p].value = pattern(f);
        whole(preadv(FD_PATTERN, parts, 2, (off_t)(f * PAGE)), p);
        return;
    }
    fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        refused("/dev/zero");
        return;
    }
    model[p].value = 0;
    whole(readv(fd, parts, 2), p);
    close(fd);
}

/* What is in a pipe stays as it was written. */
void through_pipe(unsigned long from, unsigned long to)
{
    uint64_t value = model[from].value;
    int fd[2];

    if (model[from].prot == PROT_NONE || make_writable(to))
        return;
    look(from);
    look(to);
    count(OP_pipe);
    if (pipe2(fd, O_CLOEXEC)) {
        refused("pipe");
        return;
    }
    if (write(fd[1], page_words(from), PAGE) == (ssize_t)PAGE) {
        if (rnd(2))
            store(from);
        model[to].value = value;
        whole(read(fd[0], page_words(to), PAGE), to);
    } else if (errno != EINTR) {
        refused("write to a pipe");
    }
    close(fd[0]);
    close(fd[1]);
}

void list_folder(unsigned long p)
{
    char again[PAGE] = {0};
    int fd = open("/tmp/soak/folder", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long n, m;

    if (fd < 0 || make_writable(p)) {
        if (fd >= 0)
            close(fd);
        return;
    }
    count(OP_getdents);
    look(p);
    n = syscall(SYS_getdents64, fd, page_words(p), PAGE);
    lseek(fd, 0, SEEK_SET);
    m = syscall(SYS_getdents64, fd, again, sizeof again);
    if (n > 0 && m > 0 && (n != m || memcmp(again, page_words(p), (size_t)n))) {
        wrong("getdents into page %lu: %ld bytes, then %ld others", p, n, m);
        _exit(1);
    }
    if (n <= 0 || m <= 0)
        refused("getdents");
    close(fd);
    model[p].value = new_value();
    words_set(page_words(p), model[p].value);
}

/* ---- shared pages: a word for each slot, which says where it belongs ---- */

static uint64_t place(unsigned m, unsigned long p, unsigned s)
{
    return (uint64_t)(s + 1) << 56 | (uint64_t)(m + 1) << 52 | (uint64_t)p << 44;
}

void share(void)
{
    static const int fds[MAPS] = {-1, FD_MEMFD, FD_FILE};
    unsigned m = (unsigned)rnd(MAPS), other = (unsigned)rnd(SLOTS);
    unsigned long p = rnd(MAP_PAGES);
    _Atomic uint64_t *w = (_Atomic uint64_t *)(maps[m] + p * PAGE);
    uint64_t have = atomic_load(&w[slot]), there = atomic_load(&w[other]), read_back = 0;

    count(OP_shared);
    if (shadow[m][p] ? have != shadow[m][p] : have && have >> 44 != place(m, p, slot) >> 44)
        wrong("shared map %u page %lu slot %u: %lx, not %lx", m, p, slot, have, shadow[m][p]), _exit(1);
    if (there && there >> 44 != place(m, p, other) >> 44)
        wrong("shared map %u page %lu slot %u of another: %lx", m, p, other, there), _exit(1);
    read_back = place(m, p, slot) | (++me.sequence & ((1ull << 44) - 1));
    if (shadow[m][p] && fds[m] >= 0 && rnd(2)) {
        if (pwrite(fds[m], &read_back, 8, (off_t)(p * PAGE + slot * 8)) != 8) {
            refused("pwrite");
            return;
        }
    } else {
        atomic_store(&w[slot], read_back);
    }
    shadow[m][p] = read_back;
    if (fds[m] >= 0 && rnd(2) && (pread(fds[m], &read_back, 8, (off_t)(p * PAGE + slot * 8)) != 8 || read_back != shadow[m][p]))
        wrong("shared map %u page %lu slot %u: read %lx, not %lx", m, p, slot, read_back, shadow[m][p]), _exit(1);
    if (atomic_load(&w[slot]) != shadow[m][p])
        wrong("shared map %u page %lu slot %u: just stored %lx is not there", m, p, slot, shadow[m][p]), _exit(1);
}

int open_maps(void)
{
    maps[0] = mmap(NULL, MAP_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    maps[1] = mmap(NULL, MAP_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, FD_MEMFD, 0);
    maps[2] = mmap(NULL, MAP_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, FD_FILE, 0);
    return maps[0] == MAP_FAILED || maps[1] == MAP_FAILED || maps[2] == MAP_FAILED;
}
