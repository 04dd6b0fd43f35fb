/* Names and who else changes them (fs/dentry.c, namei.c, ramfs.c). */
#include "kernel_fixture.h"
#include "../../kernel/fs/dentry.c"
#define link_locked link_in_namei /* dentry.c has one, too */
#include "../../kernel/fs/namei.c"
#include "../../kernel/fs/ramfs.c"

/* ---- the rest of the kernel ---- */

struct page *page_base, *page_zero;

void *arch_phys_to_virt(paddr_t pa)
{
    (void)pa;
    return NULL;
}

void page_stats(struct page_stats *s)
{
    *s = (struct page_stats){.total = 100, .free = 100};
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

struct page *object_find_page(struct vm_object *o, u64 index)
{
    (void)o, (void)index;
    return NULL;
}

int object_insert_page(struct vm_object *o, u64 index, struct page *p)
{
    (void)o, (void)index, (void)p;
    return -ENOMEM;
}

struct vm_object *object_create(const struct vm_object_ops *ops, u64 size, void *priv)
{
    static struct vm_object object;

    (void)ops, (void)size, (void)priv;
    return &object;
}

void object_get(struct vm_object *o)
{
    (void)o;
}

void object_truncate(struct vm_object *o, u64 size)
{
    (void)o, (void)size;
}

bool vm_object_is_writable(struct vm_object *o)
{
    (void)o;
    return false;
}

size_t uio_put(struct uio *u, const void *src, size_t n)
{
    (void)u, (void)src;
    return n;
}

size_t uio_put_zero(struct uio *u, size_t n)
{
    (void)u;
    return n;
}

size_t uio_get(struct uio *u, void *dst, size_t n)
{
    (void)u, (void)dst;
    return n;
}

bool signal_fatal_pending(void)
{
    return false;
}

s64 file_seek_plain(struct file *f, s64 offset, int whence, u64 size)
{
    (void)f, (void)offset, (void)whence, (void)size;
    return 0;
}

void pipe_drop_fifo(struct vnode *v)
{
    (void)v;
}

char *(kmem_strdup)(const char *s)
{
    char *copy = kmem_alloc(strlen(s) + 1);

    return strcpy(copy, s);
}

struct vnode *vnode_create(struct superblock *sb, const struct vnode_ops *ops, u32 mode)
{
    struct vnode *v = kmem_zalloc(sizeof *v);

    ref_init(&v->refs);
    mutex_init(&v->lock, "vnode", RANK_VNODE);
    v->sb = sb;
    v->ops = ops;
    v->mode = mode;
    v->nlink = (mode & S_IFMT) == S_IFDIR ? 2 : 1;
    return v;
}

static bool remove_at_get; /* another CPU removes a/file when a dentry is made for it */

void vnode_get(struct vnode *v)
{
    ref_get(&v->refs);
    if (remove_at_get) {
        remove_at_get = false;
        assert_int_equal(fs_unlink(0, "a/file", false), 0);
    }
}

void vnode_put(struct vnode *v)
{
    if (ref_put(&v->refs))
        kmem_free(v);
}

void vnode_touch(struct vnode *v, bool a, bool m, bool c)
{
    (void)v, (void)a, (void)m, (void)c;
}

int vnode_permission(struct vnode *v, unsigned what)
{
    (void)v, (void)what;
    return 0;
}

/* Paths of the test: the name of a directory (a, b), and a name in it. */
static struct dentry *a, *b;

int path_parent(int dirfd, const char *path, unsigned flags, struct path_last *out)
{
    (void)dirfd, (void)flags;
    dentry_get(out->dir = path[0] == 'a' ? a : b);
    out->len = strlen(path + 2);
    out->slash = false;
    strcpy(out->name, path + 2);
    return 0;
}

int path_lookup(int dirfd, const char *path, unsigned flags, struct dentry **out)
{
    (void)dirfd, (void)flags;
    return dentry_lookup(path[0] == 'a' ? a : b, path + 2, strlen(path + 2), out);
}

/* ---- the test ---- */

static struct superblock sb;

static struct dentry *directory(void)
{
    struct vnode *v;
    struct dentry *d;

    assert_int_equal(ramfs_create_vnode(&sb, S_IFDIR | 0755, 0, NULL, &v), 0);
    d = dentry_create(NULL, "", 0, v);
    vnode_put(v);
    return d;
}

static int start(void **state)
{
    static struct fs_context context;

    (void)state;
    fixture_start();
    my_process.fs = &context;
    dentry_init();
    allocations = 0;
    a = directory();
    b = directory();
    return 0;
}

static int finish(void **state)
{
    (void)state;
    dentry_put(a);
    dentry_put(b);
    assert_int_equal(allocations, 0);
    return 0;
}

static jmp_buf waits;
static unsigned listed;

/* While the name is being copied another CPU gives the file another one: it has to wait, or the old name would be freed. */
static int rename_it(void *arg, const char *name, size_t len, u64 ino, unsigned type, u64 next)
{
    (void)arg, (void)ino, (void)type, (void)next;
    if (*name == '.')
        return 0;
    instead_of_waiting = &waits;
    if (!setjmp(waits))
        assert_int_equal(fs_rename(0, "a/x-file-", 0, "a/y", 0), 0);
    instead_of_waiting = NULL;
    assert_int_equal(len, 7);
    assert_memory_equal(name, "x-file-", 7);
    listed++;
    return 0;
}

static void test_a_name_changes_while_it_is_listed(void **state)
{
    struct file f = {.dentry = a, .vnode = a->vnode};
    u64 pos = 0;

    (void)state;
    listed = 0;
    assert_int_equal(fs_mknod(0, "a/x-file-", S_IFREG, 0), 0);
    assert_int_equal(ramfs_iterate(&f, &pos, rename_it, NULL), 0);
    assert_int_equal(listed, 1);
    mutex_init(&rename_lock, "rename", RANK_FS_RENAME); /* the other CPU goes on */
    dentry_put(a), dentry_put(a);
    assert_int_equal(fs_rename(0, "a/x-file-", 0, "a/y", 0), 0);
    assert_int_equal(fs_unlink(0, "a/y", false), 0);
}

/* The file loses its last name when a second one is about to be made for it: no name leads to a file that has none. */
static void test_a_link_to_what_is_just_removed(void **state)
{
    struct dentry *d;
    int err;

    (void)state;
    assert_int_equal(fs_mknod(0, "a/file", S_IFREG, 0), 0);
    remove_at_get = true;
    err = fs_link(0, "a/file", 0, "b/link", 0);
    assert_false(remove_at_get);
    if (err)
        return;
    assert_int_equal(dentry_lookup(b, "link", 4, &d), 0);
    assert_int_equal(d->vnode->nlink, 1);
    dentry_put(d);
    assert_int_equal(fs_unlink(0, "b/link", false), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_name_changes_while_it_is_listed, start, finish),
        cmocka_unit_test_setup_teardown(test_a_link_to_what_is_just_removed, start, finish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
