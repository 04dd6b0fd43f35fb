/*
 * Programs made for xv6 on RISC-V: static ELF files that begin at address 0. Their
 * 21 system calls are the numbers of xv6's kernel/syscall.h; any error is -1. Where
 * xv6's own tests count on a limit of its (16 open files, names of 14 characters,
 * paths of 128, 31 arguments in a page, 64 processes), so do we. Signals work as ever.
 */
#include "fs/file.h"
#include "fs/uio.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "proc/personality.h"
#include "proc/process.h"
#include "proc/wait4.h"
#include "sys/misc.h"
#include "sys/syscall.h"
#include "vm/kmem.h"
#include "vm/page.h"
#include "vm/uaccess.h"
#include "vm/vmspace.h"

#define XV6_NPROC 64
#define XV6_NOFILE 16
#define XV6_MAXPATH 128
#define XV6_MAXARG 32
#define XV6_DIRSIZ 14
#define RESTART_WRITE 2u /* beside sys/time.c's */
#define TICK_NS (NS_PER_SEC / 10)
#define EM_RISCV 243
#define CONSOLE_MAJOR 1 /* xv6's number of the console */

/* ---- the image: segments from 0, a guard page, a page of stack, the heap ---- */

static int recognizes(const struct exec_program *p)
{
    return ARCH_ELF_MACHINE == EM_RISCV ? elf_begins_at_zero(p) : 0;
}

static int map(struct vmspace *vm, vaddr_t start, vaddr_t end, unsigned prot)
{
    struct map_request q = {.addr = start, .len = end - start, .prot = prot, .flags = MAP_FIXED_ | MAP_NOREPLACE_};
    s64 at = vm_map(vm, &q);

    return at < 0 ? (int)at : 0;
}

/* The strings, then argv, in the page below `top`. */
static int push_args(const struct exec_args *a, vaddr_t top, struct exec_start *start)
{
    vaddr_t argv[XV6_MAXARG] = {0}, sp = top;
    char *strings = kmem_alloc(PAGE_SIZE);
    size_t bytes, at = 0;
    u32 count;
    int err = strings ? exec_args_copy(a, strings, PAGE_SIZE, &count, &bytes) : -ENOMEM;

    if (!err && count >= XV6_MAXARG)
        err = -E2BIG;
    for (u32 i = 0; i < count && !err; i++) {
        size_t n = strlen(strings + at) + 1;

        argv[i] = sp = ROUND_DOWN(sp - n, 16);
        err = sp < top - PAGE_SIZE ? -E2BIG : copy_to_user(sp, strings + at, n);
        at += n;
    }
    kmem_free(strings);
    if (err)
        return err;
    sp = ROUND_DOWN(sp - (count + 1) * sizeof argv[0], 16);
    start->sp = start->arg[1] = sp;
    start->arg[0] = count;
    return sp < top - PAGE_SIZE ? -E2BIG : copy_to_user(sp, argv, (count + 1) * sizeof argv[0]);
}

static int build(struct vmspace *vm, const struct exec_program *p, struct exec_start *start)
{
    struct exec_image image = {0};
    int err;

    vm->mmap_low = 0;
    vm->mmap_top = USER_TOP;
    vm->as_limit = current_process()->rlimit[RLIMIT_AS].cur;
    vm->data_limit = current_process()->rlimit[RLIMIT_DATA].cur;
    err = elf_load_copied(vm, p, &image);
    if (!err)
        err = map(vm, image.brk, image.brk + PAGE_SIZE, 0);
    if (!err)
        err = map(vm, image.brk + PAGE_SIZE, image.brk + 2 * PAGE_SIZE, PROT_READ | PROT_WRITE);
    vm->brk = vm->brk_start = image.brk + 2 * PAGE_SIZE;
    start->entry = image.entry;
    if (!err)
        err = push_args(p->args, vm->brk, start);
    vm->arg_start = start->sp + (start->arg[0] + 1) * sizeof(u64);
    vm->arg_end = vm->env_start = vm->env_end = vm->brk;
    return err;
}

/* ---- memory ---- */

#define HEAP_TOP (USER_TOP - 2 * PAGE_SIZE) /* xv6 has its trapframe and trampoline there */
#define SBRK_LAZY 2 /* releases from 2025; older programs leave anything in the second argument */

static bool fault_in(struct vmspace *vm, vaddr_t start, vaddr_t end)
{
    for (vaddr_t va = start; va < end; va += PAGE_SIZE)
        if (vm_fault_wholly(vm, va, FAULT_WRITE) != FAULT_DONE || signal_fatal_pending())
            return false;
    return true;
}

/* No other thread changes this address space. */
static s64 xv6_sbrk(const u64 *a)
{
    struct vmspace *vm = current->vm;
    vaddr_t old = vm->brk, new = old + (u64)(s64)(s32)a[0];
    vaddr_t from = ROUND_UP(old, PAGE_SIZE), to = ROUND_UP(new, PAGE_SIZE);
    int err = 0;

    if ((s32)a[0] < 0 && new > old)
        return (s64)old; /* less than nothing: as xv6 has it, nothing happens */
    if (new > HEAP_TOP || (new > old && new - vm->brk_start > vm->data_limit))
        return -ENOMEM;
    if (to > from && (u32)a[1] != SBRK_LAZY && page_room() < (to - from) >> PAGE_SHIFT)
        return -ENOMEM;
    if (to > from) {
        err = map(vm, from, to, PROT_READ | PROT_WRITE);
        if (!err && (u32)a[1] != SBRK_LAZY && !fault_in(vm, from, to))
            err = vm_unmap(vm, from, to - from) ? -EFAULT : -ENOMEM;
    } else if (to < from) {
        err = vm_unmap(vm, to, from - to);
    }
    if (err)
        return err;
    vm->brk = new;
    return (s64)old;
}

/* ---- processes ---- */

/* Orphans that wait for init to take note of their end do not count. */
static void count_process(struct process *p, void *count)
{
    bool orphan = p->state == PROCESS_ZOMBIE && (!p->parent || p->parent->personality != &xv6_personality);

    *(u32 *)count += p->personality == &xv6_personality && p->cred.uid == current_process()->cred.uid && !orphan;
}

static s64 xv6_fork(const u64 *a)
{
    struct clone_args c = {.exit_signal = SIGCHLD};
    u32 count = 0;

    (void)a;
    spin_lock(&process_lock);
    process_for_each_locked(count_process, &count);
    spin_unlock(&process_lock);
    return count >= XV6_NPROC ? -EAGAIN : process_clone(&c, current->frame);
}

static s64 xv6_exit(const u64 *a)
{
    process_exit_group(W_EXIT((s32)a[0]), (s32)a[0]);
}

static s64 xv6_wait(const u64 *a)
{
    struct wait_result r;
    s64 pid = process_wait(P_ALL, 0, WEXITED, &r);
    s32 status;

    if (pid < 0)
        return pid;
    status = r.status & 0x7f ? -1 : r.exit_code;
    return a[0] && put_user(a[0], &status) ? -EFAULT : pid;
}

static s64 xv6_kill(const u64 *a)
{
    return (s32)a[0] > 0 ? sys_kill((const u64[]){a[0], SIGKILL}) : -ESRCH;
}

static s64 xv6_sleep(const u64 *a)
{
    static struct waitq never = WAITQ_INIT(never);
    u64 ticks = (s32)a[0] > 0 ? (u64)(s32)a[0] : 0;
    int err = wait_event(&never, false, SLEEP_INTERRUPTIBLE, time_deadline(ticks * TICK_NS));

    return err == -ETIMEDOUT ? 0 : -ERESTARTNOHAND;
}

static s64 xv6_uptime(const u64 *a)
{
    (void)a;
    return (s64)(arch_time_ns() / TICK_NS);
}

/* ---- names ---- */

/* A path as xv6 reads it: of each name the first 14 characters count; "" is where one stands. A kmem string. */
static int path_read(vaddr_t upath, char **out)
{
    char raw[XV6_MAXPATH], *path = kmem_alloc(XV6_MAXPATH + 1);
    ssize_t n = copy_string_from_user(raw, upath, sizeof raw);
    size_t used = 0, name = 0;

    if (!path || n < 0) {
        kmem_free(path);
        return path ? (int)n : -ENOMEM;
    }
    for (ssize_t i = 0; i < n; i++) {
        name = raw[i] == '/' ? 0 : name + 1;
        if (name <= XV6_DIRSIZ)
            path[used++] = raw[i];
    }
    if (used == 0)
        path[used++] = '.';
    path[used] = 0;
    *out = path;
    return 0;
}

static s64 exec(const char *path, const u64 *a)
{
    u64 string = 1;
    char *copy;
    int err = 0;

    for (unsigned i = 0; i < XV6_MAXARG && !err && string; i++)
        err = get_user(&string, a[1] + i * sizeof string);
    if (err || string)
        return err ? err : -E2BIG;
    copy = kmem_strdup(path);
    err = copy ? process_exec(AT_FDCWD, copy, a[1], 0, 0, current->frame) : -ENOMEM;
    if (!err)
        tf_leave_syscall(current->frame);
    return err;
}

static s64 change_directory(const char *path, const u64 *a)
{
    struct dentry *d;
    int err = path_lookup(AT_FDCWD, path, PATH_FOLLOW | PATH_DIRECTORY, &d);

    (void)a;
    if (err)
        return err;
    err = vnode_permission(d->vnode, 1);
    if (!err)
        fs_context_set(d, false);
    dentry_put(d);
    return err;
}

static s64 make_node(const char *path, const u64 *a)
{
    u32 major = (u16)a[1], minor = (u16)a[2];

    return fs_mknod(AT_FDCWD, path, S_IFCHR | 0666, major == CONSOLE_MAJOR ? MKDEV(5, 1) : MKDEV(major, minor));
}

static s64 make_directory(const char *path, const u64 *a)
{
    (void)a;
    return fs_mkdir(AT_FDCWD, path, 0777);
}

/* Empty directories go the same way as files. */
static s64 unlink(const char *path, const u64 *a)
{
    int err = fs_unlink(AT_FDCWD, path, false);

    (void)a;
    return err == -EISDIR ? fs_unlink(AT_FDCWD, path, true) : err;
}

static s64 link(const char *path, const u64 *a)
{
    char *new;
    int err = path_read(a[1], &new);

    if (!err) {
        err = fs_link(AT_FDCWD, path, AT_FDCWD, new, 0);
        kmem_free(new);
    }
    return err;
}

/* ---- files ---- */

/* The lowest free number was too high: all 16 are in use. */
static s64 limited(s64 fd)
{
    if (fd < XV6_NOFILE)
        return fd; /* errors, too */
    fd_close((int)fd);
    return -EMFILE;
}

static s64 open_file(const char *path, const u64 *a)
{
    u32 mode = (u32)a[1], flags = mode & O_ACCMODE;
    struct file *f;
    int fd;

    flags |= (mode & 0x200 ? O_CREAT : 0) | (mode & 0x400 ? O_TRUNC : 0);
    fd = file_open(AT_FDCWD, path, flags | O_NOCTTY, 0777, &f);
    if (fd)
        return fd;
    fd = fd_alloc(f, 0, false);
    if (fd < 0)
        file_put(f);
    return limited(fd);
}

static s64 xv6_dup(const u64 *a)
{
    return limited(sys_dup(a));
}

static s64 xv6_pipe(const u64 *a)
{
    s64 err = sys_pipe2((const u64[]){a[0], 0});
    s32 fds[2];

    if (err || get_user(&fds, a[0]))
        return err ? err : -EFAULT;
    if (MAX(fds[0], fds[1]) < XV6_NOFILE)
        return 0;
    fd_close(fds[0]);
    fd_close(fds[1]);
    return -EMFILE;
}

struct xv6_dirent {
    u16 inum; /* 0 would be an empty slot */
    char name[XV6_DIRSIZ];
};
struct listing {
    struct uio *to; /* NULL: only counted */
    size_t count;
    bool fault;
};

static int list_one(void *arg, const char *name, size_t len, u64 ino, unsigned type, u64 next)
{
    struct listing *l = arg;
    struct xv6_dirent d = {.inum = (u16)ino ? (u16)ino : UINT16_MAX};

    (void)type, (void)next;
    if (l->to && l->to->left < sizeof d)
        return 1;
    memcpy(d.name, name, MIN(len, sizeof d.name));
    if (l->to && uio_put(l->to, &d, sizeof d) != sizeof d)
        l->fault = true;
    l->count++;
    return l->fault;
}

static s64 list_directory(struct file *f, struct uio *to)
{
    struct listing l = {.to = to};
    u64 pos;
    s64 err;

    mutex_lock(&f->pos_lock);
    pos = f->pos;
    err = f->ops->iterate(f, &pos, list_one, &l);
    if (!err && l.fault)
        err = -EFAULT;
    if (!err)
        f->pos = pos;
    mutex_unlock(&f->pos_lock);
    return err ? err : (s64)(l.count * sizeof(struct xv6_dirent));
}

static bool is_directory(const struct file *f)
{
    return f->vnode && (f->vnode->mode & S_IFMT) == S_IFDIR && f->ops->iterate && !f->dentry->removed;
}

static s64 read_file(struct file *f, const u64 *a)
{
    s32 n = (s32)a[2];
    struct uio u;

    if (n < 0)
        return -EINVAL;
    uio_init_user(&u, a[1], (size_t)n);
    return is_directory(f) && f->readable ? list_directory(f, &u) : file_read(f, &u);
}

/* All or an error, and no signal when nobody reads. What a stop has cut short goes on where it was. */
static s64 write_file(struct file *f, const u64 *a)
{
    size_t n = (size_t)MAX((s32)a[2], 0), before = current->restart.kind == RESTART_WRITE ? current->restart.a : 0;
    struct uio u;
    ssize_t done;

    current->restart.kind = 0;
    if ((s32)a[2] < 0 || (n > 0 && f->vnode && (f->vnode->mode & S_IFMT) == S_IFREG && f->pos > vnode_size(f->vnode)))
        return -EINVAL; /* files have no holes */
    uio_init_user(&u, a[1], n);
    done = sys_limit_write(f, &u, f->pos);
    if (!done)
        done = file_write(f, &u);
    if (done != -ERESTARTSYS && (done < 0 || done == (ssize_t)n || !signal_pending()))
        return done < 0 ? done : done < (ssize_t)n ? -ENOSPC : (s64)before + done;
    done = MAX(done, 0l);
    current->restart.kind = RESTART_WRITE;
    current->restart.a = before + (u64)done;
    tf_set_syscall_arg(current->frame, 1, a[1] + (u64)done);
    tf_set_syscall_arg(current->frame, 2, n - (u64)done);
    return -ERESTARTNOHAND;
}

struct xv6_stat {
    s32 dev;
    u32 ino;
    s16 type, nlink;
    u32 unused;
    u64 size;
};

static s16 type_of(u32 mode)
{
    return (mode & S_IFMT) == S_IFDIR ? 1 : (mode & S_IFMT) == S_IFREG ? 2 : 3;
}

static s64 stat_file(struct file *f, const u64 *a)
{
    struct vnode *v = f->vnode;
    struct listing l = {0};
    struct xv6_stat s;
    u64 pos = 0;

    if (!v || (v->mode & S_IFMT) == S_IFIFO)
        return -EINVAL;
    s = (struct xv6_stat){.dev = (s32)v->sb->dev, .ino = (u32)v->ino, .type = type_of(v->mode), .nlink = (s16)v->nlink,
                          .size = vnode_size(v)};
    if (is_directory(f) && f->ops->iterate(f, &pos, list_one, &l) == 0)
        s.size = l.count * sizeof(struct xv6_dirent);
    return put_user(a[1], &s) ? -EFAULT : 0;
}

/* ---- the table ---- */

/* A call is about a path, an open file, or neither. */
static const struct call {
    s64 (*plain)(const u64 *a);
    s64 (*path)(const char *path, const u64 *a);
    s64 (*file)(struct file *f, const u64 *a);
} table[] = {
    [1] = {.plain = xv6_fork},    [2] = {.plain = xv6_exit},    [3] = {.plain = xv6_wait},    [4] = {.plain = xv6_pipe},
    [5] = {.file = read_file},    [6] = {.plain = xv6_kill},    [7] = {.path = exec},         [8] = {.file = stat_file},
    [9] = {.path = change_directory}, [10] = {.plain = xv6_dup}, [11] = {.plain = sys_getpid}, [12] = {.plain = xv6_sbrk},
    [13] = {.plain = xv6_sleep},  [14] = {.plain = xv6_uptime}, [15] = {.path = open_file},   [16] = {.file = write_file},
    [17] = {.path = make_node},   [18] = {.path = unlink},      [19] = {.path = link},
    [20] = {.path = make_directory}, [21] = {.plain = sys_close},
};

static s64 call(const struct call *c, const u64 *a)
{
    struct file *f = c->file ? fd_get((int)a[0]) : NULL;
    char *path = NULL;
    s64 result = c->file && !f ? -EBADF : c->path ? path_read(a[0], &path) : 0;

    if (!result)
        result = c->plain ? c->plain(a) : c->path ? c->path(path, a) : c->file ? c->file(f, a) : -ENOSYS;
    kmem_free(path);
    if (f)
        file_put(f);
    return result;
}

static void xv6_syscall(struct trapframe *tf)
{
    u64 number = tf_syscall_number(tf), args[3];
    s64 result;

    for (unsigned i = 0; i < ARRAY_SIZE(args); i++)
        args[i] = tf_syscall_arg(tf, i);
    current->frame = tf;
    result = call(&table[number < ARRAY_SIZE(table) ? number : 0], args);
    if (!tf_in_syscall(tf)) /* exec has made the frame anew */
        return;
    if (result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK)
        atomic_store(&current->need_signal, true); /* it goes on after a stop */
    else
        result = MAX(result, -1);
    tf_set_result(tf, (u64)result);
}

const struct personality xv6_personality = {
    .name = "xv6",
    .recognizes = recognizes,
    .build = build,
    .syscall = xv6_syscall,
    .default_signals = SIG_BIT(SIGCHLD), /* its parents know no way but wait */
    .copy_survives_oom = true,
};
