/*
 * File tables. The array of descriptors is counted and shared by fork until one
 * side changes it, so a fork costs the same with 3 files open and with 1,000.
 * An array holds one reference to each of its files.
 *
 * Locks: table->lock (RANK_FILES) for which array the table has and for the
 * array's contents; an array with more than one table is never changed.
 */
#include "fs/file.h"
#include "fs/mqueue.h"
#include "lib/string.h"
#include "proc/process.h"
#include "vm/kmem.h"

#define FIRST_SIZE 32u

struct fd_array {
    struct refcount refs;
    u32 size;
    u32 lowest; /* no free number is below */
    u64 *cloexec;
    struct file **file;
};

struct file_table {
    struct refcount refs;
    struct spinlock lock;
    struct fd_array *array;
};

/* reserve: for who closes, from the memory kept for that, if it is no larger than what there is. */
static struct fd_array *array_create(u32 size, bool reserve)
{
    size_t bytes = sizeof(struct fd_array) + size * sizeof(struct file *) + ROUND_UP(size, 64u) / 8;
    struct fd_array *a = reserve && bytes <= KMEM_SMALL ? kmem_alloc_reserve(bytes) : kmem_alloc(bytes);

    if (a)
        memset(a, 0, bytes);
    if (!a)
        return NULL;
    ref_init(&a->refs);
    a->size = size;
    a->file = (struct file **)(a + 1);
    a->cloexec = (u64 *)(a->file + size);
    return a;
}

static void array_put(struct fd_array *a)
{
    if (!ref_put(&a->refs))
        return;
    for (u32 i = 0; i < a->size; i++)
        if (a->file[i])
            file_put(a->file[i]);
    kmem_free(a);
}

/* A copy with room for `size` numbers. The caller holds the lock, or a reference to a shared array. */
static struct fd_array *array_copy(const struct fd_array *from, u32 size, bool reserve)
{
    u32 room = MAX(size, from->size);
    struct fd_array *a = array_create(room, reserve);

    if (!a)
        return NULL;
    a->lowest = from->lowest;
    memcpy(a->cloexec, from->cloexec, from->size / 8);
    for (u32 i = 0; i < from->size; i++)
        if ((a->file[i] = from->file[i]))
            file_get(a->file[i]);
    return a;
}

struct file_table *file_table_create(void)
{
    struct file_table *t = kmem_zalloc(sizeof *t);

    if (t)
        t->array = array_create(FIRST_SIZE, false);
    if (!t || !t->array) {
        kmem_free(t);
        return NULL;
    }
    ref_init(&t->refs);
    spin_init(&t->lock, "file table", RANK_FILES);
    return t;
}

struct file_table *file_table_create_blank(void)
{
    struct file_table *t = kmem_zalloc(sizeof *t);

    if (t) {
        ref_init(&t->refs);
        spin_init(&t->lock, "file table", RANK_FILES);
    }
    return t;
}

static inline void fill(struct file_table *t, struct file_table *from)
{
    spin_lock(&from->lock);
    t->array = from->array;
    ref_get(&t->array->refs);
    spin_unlock(&from->lock);
}

struct file_table *file_table_copy(struct file_table *from)
{
    struct file_table *t = file_table_create_blank();

    if (t)
        fill(t, from);
    return t;
}

void file_table_fill(struct file_table *blank, struct file_table *from)
{
    fill(blank, from);
}

void file_table_get(struct file_table *t)
{
    ref_get(&t->refs);
}

void file_table_put(struct file_table *t)
{
    if (!ref_put(&t->refs))
        return;
    if (t->array)
        array_put(t->array);
    kmem_free(t);
}

bool file_table_shared(struct file_table *t)
{
    return ref_count(&t->refs) > 1;
}

/*
 * Takes the lock with an array that is this table's own and has room for number
 * fd. What it replaced goes to *old, for array_put after the lock.
 */
static int lock_own_from(struct file_table *t, u32 fd, bool reserve, struct fd_array **old)
{
    u32 size = FIRST_SIZE;

    while (size <= fd)
        size *= 2;
    *old = NULL;
    spin_lock(&t->lock);
    if (ref_count(&t->array->refs) > 1 || t->array->size < size) {
        struct fd_array *a = array_copy(t->array, size, reserve);
        if (!a) {
            spin_unlock(&t->lock);
            return -ENOMEM;
        }
        *old = t->array;
        t->array = a;
    }
    return 0;
}

static int lock_own(struct file_table *t, u32 fd, struct fd_array **old)
{
    return lock_own_from(t, fd, false, old);
}

static void unlock_own(struct file_table *t, struct fd_array *old)
{
    spin_unlock(&t->lock);
    if (old)
        array_put(old);
}

static struct file_table *table(void)
{
    return current_process()->files;
}

static u32 limit(void)
{
    return (u32)MIN(current_process()->rlimit[RLIMIT_NOFILE].cur, 1ul << 20);
}

struct file *fd_get(int fd)
{
    struct file_table *t = table();
    struct file *f = NULL;

    spin_lock(&t->lock);
    if (fd >= 0 && (u32)fd < t->array->size && (f = t->array->file[fd]))
        file_get(f);
    spin_unlock(&t->lock);
    return f;
}

static void set_flag(struct fd_array *a, u32 fd, bool cloexec)
{
    u64 bit = 1ul << fd % 64;

    a->cloexec[fd / 64] = cloexec ? a->cloexec[fd / 64] | bit : a->cloexec[fd / 64] & ~bit;
}

static u32 lowest_free(const struct fd_array *a, u32 from)
{
    while (from < a->size && a->file[from])
        from++;
    return from;
}

static u32 lowest_free_from(const struct fd_array *a, int lowest)
{
    return lowest_free(a, MAX((u32)lowest, a->lowest));
}

/* The lock taken as by lock_own, and the lowest free number from `lowest` on; -EMFILE, -ENOMEM: it is not taken. */
static int lock_free(struct file_table *t, int lowest, struct fd_array **old)
{
    u32 fd;

    for (;;) {
        spin_lock(&t->lock);
        fd = lowest_free_from(t->array, lowest);
        spin_unlock(&t->lock);
        if (fd >= limit())
            return -EMFILE;
        if (lock_own(t, fd, old))
            return -ENOMEM;
        if (lowest_free_from(t->array, lowest) == fd)
            return (int)fd;
        unlock_own(t, *old); /* another thread has taken it, or closed a lower one */
    }
}

int fd_room(void)
{
    struct fd_array *old;
    int fd = lock_free(table(), 0, &old);

    if (fd < 0)
        return fd;
    unlock_own(table(), old);
    return 0;
}

int fd_alloc(struct file *f, int lowest, bool cloexec)
{
    struct file_table *t = table();
    struct fd_array *old;
    int found = lock_free(t, lowest, &old);
    u32 fd = (u32)found;

    if (found < 0)
        return found;
    t->array->file[fd] = f;
    set_flag(t->array, fd, cloexec);
    if ((u32)lowest <= t->array->lowest)
        t->array->lowest = fd + 1;
    unlock_own(t, old);
    return (int)fd;
}

/* f had a number of the running process, which it has lost. */
static void closed(struct file *f)
{
    file_locks_drop(f, current_process());
    mqueue_closed(f);
    file_put(f);
}

int fd_install_at(int fd, struct file *f, bool cloexec)
{
    struct file_table *t = table();
    struct fd_array *old;
    struct file *replaced;

    if (fd < 0 || (u32)fd >= limit())
        return -EBADF;
    if (lock_own(t, (u32)fd, &old))
        return -ENOMEM;
    replaced = t->array->file[fd];
    t->array->file[fd] = f;
    set_flag(t->array, (u32)fd, cloexec);
    unlock_own(t, old);
    if (replaced)
        closed(replaced);
    return fd;
}

int fd_close(int fd)
{
    struct file_table *t = table();
    struct fd_array *old;
    struct file *f;

    f = fd_get(fd);
    if (!f)
        return -EBADF;
    file_put(f);
    if (lock_own_from(t, (u32)fd, true, &old))
        return -ENOMEM;
    f = t->array->file[fd];
    t->array->file[fd] = NULL;
    set_flag(t->array, (u32)fd, false);
    t->array->lowest = MIN(t->array->lowest, (u32)fd);
    unlock_own(t, old);
    if (!f)
        return -EBADF;
    closed(f);
    return 0;
}

int fd_give(struct file *f, bool cloexec)
{
    int fd = fd_alloc(f, 0, cloexec);

    if (fd < 0)
        file_put(f);
    return fd;
}

int fd_get_cloexec(int fd)
{
    struct file_table *t = table();
    int result = -EBADF;

    spin_lock(&t->lock);
    if (fd >= 0 && (u32)fd < t->array->size && t->array->file[fd])
        result = t->array->cloexec[fd / 64] >> fd % 64 & 1;
    spin_unlock(&t->lock);
    return result;
}

int fd_set_cloexec(int fd, bool on)
{
    struct file_table *t = table();
    struct fd_array *old;
    int was = fd_get_cloexec(fd);

    if (was < 0 || was == on)
        return was < 0 ? was : 0;
    if (lock_own(t, (u32)fd, &old))
        return -ENOMEM;
    set_flag(t->array, (u32)fd, on);
    unlock_own(t, old);
    return 0;
}

/* For a running program's own table: it is not shared (exec has seen to that). */
void file_table_close_on_exec(struct file_table *t)
{
    for (u32 fd = 0; fd < t->array->size; fd++)
        if ((t->array->cloexec[fd / 64] >> fd % 64 & 1) && fd_close((int)fd) == -ENOMEM)
            oom_kill_current("closing files for a new program");
}

int file_table_look(struct file_table *t, int from, void (*fn)(struct file *f, void *arg), void *arg)
{
    int found = -1;

    spin_lock(&t->lock);
    for (u32 fd = (u32)from; fd < t->array->size && found < 0; fd++)
        if (t->array->file[fd]) {
            fn(t->array->file[fd], arg);
            found = (int)fd;
        }
    spin_unlock(&t->lock);
    return found;
}

static void take(struct file *f, void *out)
{
    file_get(*(struct file **)out = f);
}

int file_table_next(struct file_table *t, int from, struct file **out)
{
    return file_table_look(t, from, take, out);
}
