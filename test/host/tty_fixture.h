/*
 * For the tests of the terminal: the rest of the kernel as it sees it. Time and
 * sleeping are made up: a sleeper is given the next piece of the script, or its
 * deadline passes. Included once by each test.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fs/tty.c"
#include "fs/tty_edit.c"
#include "fs/tty_line.c"

#define T(name) cmocka_unit_test_setup(name, setup)
#define TENTH 100000000ul
#define UNUSED __attribute__((unused))

static struct thread thread;
static u64 now;
static char seen[1 << 20]; /* what the terminal shows */
static size_t seen_size;
static u64 signals;
static bool line_full;     /* the console takes nothing */
static unsigned locks, wakes, resumes;
static struct waitq write_queue;

struct piece {
    u64 at;
    const char *typed; /* NULL: a signal comes */
};
static const struct piece *script;

/* ---- the rest of the kernel ---- */

struct thread *arch_current(void)
{
    return &thread;
}

u64 arch_time_ns(void)
{
    return now;
}

void spin_init(struct spinlock *l, const char *name, enum lock_rank rank)
{
    *l = (struct spinlock){.name = name, .rank = rank};
}

void spin_lock(struct spinlock *l)
{
    assert_int_equal(l->held, 0);
    l->held = 1;
    locks++;
}

void spin_unlock(struct spinlock *l)
{
    assert_int_equal(l->held, 1);
    l->held = 0;
    locks--;
}

void mutex_init(struct mutex *m, const char *name, enum lock_rank rank)
{
    *m = (struct mutex){.name = name, .rank = rank};
}

void mutex_lock(struct mutex *m)
{
    assert_null(m->owner);
    assert_int_equal(locks, 0);
    m->owner = &thread;
}

void mutex_unlock(struct mutex *m)
{
    assert_non_null(m->owner);
    m->owner = NULL;
}

void waitq_init(struct waitq *q)
{
    list_init(&q->waiters);
}

void waiter_add(struct waitq *q, struct waiter *w, unsigned kind)
{
    *w = (struct waiter){.q = q, .kind = kind};
}

void waiter_remove(struct waiter *w)
{
    w->q = NULL;
}

void waitq_wake_all(struct waitq *q)
{
    (void)q;
    assert_int_equal(locks, 0);
    wakes++;
}

/* Nobody sleeps with a lock, nor readers with the one that keeps them apart. */
int wait_block(struct waiter *w, u64 deadline)
{
    assert_int_equal(locks, 0);
    assert_null(console_tty.read_lock.owner);
    assert_int_equal(w->kind, SLEEP_INTERRUPTIBLE);
    if (!script || !script->at || script->at > deadline) {
        if (deadline == UINT64_MAX)
            return -ERESTARTSYS;
        now = deadline;
        return -ETIMEDOUT;
    }
    now = MAX(now, script->at);
    if (!script->typed)
        return -ERESTARTSYS;
    tty_input(&console_tty, (const u8 *)script->typed, strlen(script->typed));
    script++;
    return 0;
}

void signal_send_pgrp(u32 pgid, int signo, const struct siginfo *info)
{
    (void)info;
    assert_int_equal(locks, 0);
    assert_int_equal(pgid, 7);
    signals |= SIG_BIT(signo);
}

bool signal_pending(void)
{
    return false;
}

bool console_try_write(enum console_channel ch, const void *buf, size_t n)
{
    assert_int_equal(ch, CONSOLE_TTY);
    assert_true(n <= CONSOLE_CHUNK);
    if (line_full)
        return false;
    assert_true(seen_size + n < sizeof seen);
    memcpy(seen + seen_size, buf, n);
    seen_size += n;
    return true;
}

bool console_write_ready(void)
{
    return !line_full;
}

struct waitq *console_write_waitq(void)
{
    return &write_queue;
}

int console_wait_sent(void)
{
    return 0;
}

size_t console_pending(void)
{
    return 3;
}

void console_input_resume(void)
{
    resumes++;
}

int tty_background_check(struct tty *t, int signo)
{
    (void)t, (void)signo;
    return 0;
}

s64 tty_job_ioctl(struct tty *t, u32 cmd, u64 arg)
{
    (void)t, (void)cmd, (void)arg;
    return -ENOTTY;
}

void tty_open_session(struct tty *t, u32 flags)
{
    (void)t, (void)flags;
}

struct tty *tty_controlling_get(void)
{
    return NULL;
}

const struct file_ops pty_slave_ops;

void poll_set_add(struct poll_set *ps, struct waitq *q)
{
    (void)ps, (void)q;
}

int device_register(const char *name, u64 rdev, u32 mode, const struct file_ops *ops, void *priv)
{
    (void)name, (void)rdev, (void)mode, (void)ops, (void)priv;
    return 0;
}

void *kmem_alloc(size_t n)
{
    return malloc(n);
}

void kmem_free(void *p)
{
    free(p);
}

int copy_from_user(void *dst, vaddr_t src, size_t n)
{
    memcpy(dst, (void *)src, n);
    return 0;
}

int copy_to_user(vaddr_t dst, const void *src, size_t n)
{
    memcpy((void *)dst, src, n);
    return 0;
}

size_t uio_put(struct uio *u, const void *src, size_t n)
{
    assert_int_equal(locks, 0);
    n = MIN(n, u->left);
    memcpy((void *)u->cur.base, src, n);
    u->cur.base += n;
    u->left -= n;
    return n;
}

size_t uio_get(struct uio *u, void *dst, size_t n)
{
    assert_int_equal(locks, 0);
    n = MIN(n, u->left);
    memcpy(dst, (void *)u->cur.base, n);
    u->cur.base += n;
    u->left -= n;
    return n;
}

/* ---- helpers ---- */

static struct file file;
static struct tty *const t = &console_tty;

static int setup(void **state)
{
    (void)state;
    memset(t, 0, sizeof *t);
    tty_init();
    t->foreground = 7;
    file = (struct file){.priv = t};
    seen_size = wakes = 0;
    now = 1;
    signals = 0;
    script = NULL;
    line_full = false;
    return 0;
}

static void type(const char *s)
{
    tty_input(t, (const u8 *)s, strlen(s));
}

static ssize_t get(void *buf, size_t n)
{
    struct uio u = {.cur.base = (u64)buf, .left = n};

    return tty_read(&file, &u, NULL);
}

/* The next read of up to 4096 bytes gives this. */
static void assert_reads(const char *want)
{
    char buf[4097];
    ssize_t n = get(buf, 4096);

    assert_true(n >= 0);
    buf[n] = 0;
    assert_string_equal(buf, want);
}

static UNUSED void assert_seen(const char *want)
{
    seen[seen_size] = 0;
    assert_string_equal(seen, want);
    seen_size = 0;
}

static UNUSED void put_text(const char *s)
{
    struct uio u = {.cur.base = (u64)s, .left = strlen(s)};

    assert_int_equal(tty_write(&file, &u, NULL), (ssize_t)strlen(s));
}

static UNUSED void set_lflag(u32 flags)
{
    struct termios new = t->termios;

    new.lflag = flags;
    assert_int_equal(tty_ioctl(&file, TCSETS, (u64)&new), 0);
}

static UNUSED void raw(u8 min, u8 time)
{
    struct termios new = t->termios;

    new.lflag &= ~(ICANON | ECHO | ISIG);
    new.cc[VMIN] = min;
    new.cc[VTIME] = time;
    assert_int_equal(tty_ioctl(&file, TCSETS, (u64)&new), 0);
}
