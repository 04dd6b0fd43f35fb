/* A pseudoterminal's master (fs/pty.c): what a terminal shows last is read, whoever is faster. */
#include "kernel_fixture.h"
#include "no_files.h"
#include "../../kernel/fs/pty.c"

static struct pty pty;
static struct file master;
static char seen[64];
static size_t seen_size;

/* ---- the rest of pty.c's kernel ---- */

const struct file_ops ramfs_dir_ops;

ssize_t tty_read(struct file *f, struct uio *u, u64 *pos)
{
    (void)f, (void)u, (void)pos;
    return 0;
}

ssize_t tty_write(struct file *f, struct uio *u, u64 *pos)
{
    (void)f, (void)u, (void)pos;
    return 0;
}

unsigned tty_poll(struct file *f, struct poll_set *ps)
{
    (void)f, (void)ps;
    return 0;
}

s64 tty_ioctl(struct file *f, u32 cmd, u64 arg)
{
    (void)f, (void)cmd, (void)arg;
    return 0;
}

s64 tty_ioctl_settings(struct tty *t, u32 cmd, u64 arg)
{
    (void)t, (void)cmd, (void)arg;
    return 0;
}

s64 tty_job_ioctl_master(struct tty *t, u32 cmd, u64 arg)
{
    (void)t, (void)cmd, (void)arg;
    return 0;
}

void tty_open_session(struct tty *t, u32 flags)
{
    (void)t, (void)flags;
}

void tty_start(struct tty *t, const struct tty_driver *driver, u64 rdev)
{
    t->driver = driver;
    t->rdev = rdev;
    spin_init(&t->lock, "terminal", RANK_TTY);
}

void tty_input(struct tty *t, const u8 *buf, size_t n)
{
    (void)t, (void)buf, (void)n;
}

size_t tty_input_room(struct tty *t)
{
    (void)t;
    return 0;
}

void tty_hangup(struct tty *t)
{
    (void)t;
}

u32 tty_foreground(struct tty *t)
{
    (void)t;
    return 0;
}

void signal_send_pgrp(u32 pgid, int signo, const struct siginfo *info)
{
    (void)pgid, (void)signo, (void)info;
}

void dentry_put(struct dentry *d)
{
    (void)d;
}

void dentry_link(struct dentry *d)
{
    (void)d;
}

void dentry_unlink(struct dentry *d)
{
    (void)d;
}

struct file *file_create(const struct file_ops *ops, struct dentry *d, struct vnode *v, u32 flags)
{
    (void)ops, (void)d, (void)v, (void)flags;
    return NULL;
}

void file_put(struct file *f)
{
    (void)f;
}

int fd_give(struct file *f, bool cloexec)
{
    (void)f, (void)cloexec;
    return -EMFILE;
}

int device_register(const char *name, u64 rdev, u32 mode, const struct file_ops *ops, void *priv)
{
    (void)name, (void)rdev, (void)mode, (void)ops, (void)priv;
    return 0;
}

int device_register_range(u64 rdev, unsigned count, const struct file_ops *ops)
{
    (void)rdev, (void)count, (void)ops;
    return 0;
}

int copy_to_user(vaddr_t dst, const void *src, size_t n)
{
    (void)dst, (void)src, (void)n;
    return 0;
}

int copy_from_user(void *dst, vaddr_t src, size_t n)
{
    (void)dst, (void)src, (void)n;
    return -EFAULT;
}

size_t uio_put(struct uio *u, const void *src, size_t n)
{
    memcpy(seen + seen_size, src, n);
    seen_size += n;
    u->left -= n;
    return n;
}

size_t uio_get(struct uio *u, void *dst, size_t n)
{
    (void)u, (void)dst, (void)n;
    return 0;
}

/* ---- the test ---- */

static int start(void **state)
{
    (void)state;
    fixture_start();
    mutex_init(&ptys_lock, "pseudoterminals", RANK_PTY);
    memset(&pty, 0, sizeof pty);
    ref_init(&pty.refs);
    tty_start(&pty.tty, &pty_driver, 0);
    pty.master = true;
    waitq_init(&pty.data);
    waitq_init(&pty.shown_room);
    master = (struct file){.priv = &pty};
    assert_true(pty_get(&pty.tty)); /* somebody has the terminal open */
    seen_size = 0;
    return 0;
}

static ssize_t read_master(void)
{
    struct uio u = {.left = 16};

    return master_read(&master, &u, NULL);
}

static void say_bye_and_go(void)
{
    struct file slave = {.priv = &pty.tty};

    spin_lock(&pty.tty.lock);
    assert_true(show(&pty.tty, "bye", 3));
    spin_unlock(&pty.tty.lock);
    slave_release(&slave);
}

static void test_the_end(void **state)
{
    (void)state;
    say_bye_and_go();
    assert_int_equal(read_master(), 3);
    assert_int_equal(read_master(), -EIO);
}

/* It is shown, and the terminal left, when the master has just found that there is nothing. */
static void test_the_last_words(void **state)
{
    (void)state;
    between = say_bye_and_go;
    assert_int_equal(read_master(), 3);
    assert_memory_equal(seen, "bye", 3);
    assert_int_equal(read_master(), -EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_the_end, start),
        cmocka_unit_test_setup(test_the_last_words, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
