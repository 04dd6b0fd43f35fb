/* Opening a FIFO (fs/pipe.c): each end waits for the other, which may be gone again before it is seen. */
#include "kernel_fixture.h"
#include "no_files.h"
#include "../../kernel/fs/pipe.c"

static struct superblock some_fs;
static struct vnode fifo;
static struct file *other;

/* ---- the rest of pipe.c's kernel ---- */

struct page *page_base;

void *arch_phys_to_virt(paddr_t pa)
{
    (void)pa;
    return NULL;
}

struct page *(page_alloc)(enum page_kind kind, unsigned flags)
{
    (void)kind, (void)flags;
    return NULL;
}

void(page_put)(struct page *p)
{
    (void)p;
}

size_t uio_put(struct uio *u, const void *src, size_t n)
{
    (void)u, (void)src;
    return n;
}

size_t uio_get(struct uio *u, void *dst, size_t n)
{
    (void)u, (void)dst;
    return n;
}

int copy_to_user(vaddr_t dst, const void *src, size_t n)
{
    (void)dst, (void)src, (void)n;
    return 0;
}

struct file *file_create(const struct file_ops *ops, struct dentry *d, struct vnode *v, u32 flags)
{
    struct file *f = calloc(1, sizeof *f);

    (void)d;
    ref_init(&f->refs);
    f->ops = ops;
    f->vnode = v;
    f->flags = flags;
    f->readable = (flags & O_ACCMODE) != O_WRONLY;
    f->writable = (flags & O_ACCMODE) != O_RDONLY;
    return f;
}

void file_put(struct file *f)
{
    if (f->ops)
        f->ops->release(f);
    free(f);
}

/* ---- the test ---- */

static int start(void **state)
{
    (void)state;
    fixture_start();
    fifo = (struct vnode){.sb = &some_fs, .mode = S_IFIFO | 0600};
    mutex_init(&fifo.lock, "vnode", RANK_VNODE);
    allocations = 0;
    other = NULL;
    return 0;
}

static int finish(void **state)
{
    (void)state;
    if (other)
        file_put(other);
    pipe_drop_fifo(&fifo);
    assert_int_equal(allocations, 0);
    return 0;
}

/* As file_open_dentry does. */
static int open_end(u32 flags, struct file **out)
{
    struct file *f = file_create(NULL, NULL, &fifo, flags);
    int err = pipe_open_fifo(f);

    *out = err ? NULL : f;
    if (!err)
        return 0;
    f->ops = err == -ENXIO ? NULL : f->ops;
    file_put(f);
    return err;
}

static struct pipe *pipe(void)
{
    return fifo.priv;
}

static void write_end_comes(void)
{
    assert_int_equal(open_end(O_WRONLY, &other), 0);
}

static void test_a_reader_waits(void **state)
{
    struct file *reader;

    (void)state;
    between = write_end_comes;
    between_at = &between; /* no lock: when the reader sleeps */
    assert_int_equal(open_end(O_RDONLY, &reader), 0);
    assert_non_null(other);
    file_put(reader);
}

/* It comes as soon as it can see the reader, writes what it has to say, and goes. */
static void write_end_comes_and_goes(void)
{
    write_end_comes();
    file_put(other);
    other = NULL;
}

static void test_the_writer_has_gone_again(void **state)
{
    struct file *reader;

    (void)state;
    assert_int_equal(open_end(O_WRONLY | O_NONBLOCK, &reader), -ENXIO); /* makes the pipe */
    between = write_end_comes_and_goes;
    between_at = &pipe()->lock;
    assert_int_equal(open_end(O_RDONLY, &reader), 0);
    assert_int_equal(pipe()->writers, 0);
    file_put(reader);
}

static void read_end_goes(void)
{
    file_put(other);
    other = NULL;
}

/* The only reader goes while a writer that does not wait comes: it is in, or it is not, and then not counted either. */
static void test_the_reader_goes(void **state)
{
    struct file *writer;
    int err;

    (void)state;
    assert_int_equal(open_end(O_RDONLY | O_NONBLOCK, &other), 0);
    between = read_end_goes;
    err = open_end(O_WRONLY | O_NONBLOCK, &writer);
    assert_true(err == 0 || err == -ENXIO);
    assert_int_equal(pipe()->writers, err == 0);
    if (!err)
        file_put(writer);
    if (between)
        read_end_goes();
}

static void test_the_reader_goes_a_little_later(void **state)
{
    struct file *writer;
    int err;

    (void)state;
    assert_int_equal(open_end(O_RDONLY | O_NONBLOCK, &other), 0);
    between = read_end_goes;
    between_at = &pipe()->lock;
    err = open_end(O_WRONLY | O_NONBLOCK, &writer);
    assert_true(err == 0 || err == -ENXIO);
    assert_int_equal(pipe()->writers, err == 0);
    if (!err)
        file_put(writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_reader_waits, start, finish),
        cmocka_unit_test_setup_teardown(test_the_writer_has_gone_again, start, finish),
        cmocka_unit_test_setup_teardown(test_the_reader_goes, start, finish),
        cmocka_unit_test_setup_teardown(test_the_reader_goes_a_little_later, start, finish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
