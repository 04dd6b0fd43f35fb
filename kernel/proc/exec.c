/*
 * execve(2). The new address space is built whole, stack included, while the
 * old one stands; only when nothing can fail any more does the process change
 * over.
 */
#include "proc/personality.h"
#include "lib/bootargs.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "lib/random.h"
#include "lib/string.h"
#include "proc/itimer.h"
#include "proc/vdso.h"
#include "sys/syscall.h"
#include "vm/failnth.h"
#include "vm/kmem.h"
#include "vm/uaccess.h"

#define ARGS_MAX (2ul << 20)      /* all strings; ARG_MAX is less on Linux with an 8 MiB stack, the same at most */
#define STRING_MAX (128 * 1024ul) /* one string, as Linux's MAX_ARG_STRLEN */
#define COUNT_MAX (ARGS_MAX / 2)
#define HEAD_SIZE 256
#define SCRIPT_DEPTH 4
#define STACK_HIGHEST (USER_TOP - 16 * PAGE_SIZE) /* what all programs have lies above */
#define STACK_GAP_MIN (128ul << 20)           /* mappings stay this far below, as on Linux */
/* Where things lie is chance (norandmaps: not), of so many bits of page numbers. Stack and small mappings stay in the
 * highest GiB: one table above the last level for both is one less to copy after a fork. */
#define STACK_BITS 13
#define MMAP_BITS 17
#define PIE_BITS 18
#define BRK_BITS 13
#define ADDR_NO_RANDOMIZE 0x40000u /* personality(2) */

/* All chance that an image needs, asked for at once. */
struct chance {
    u8 bytes[16]; /* AT_RANDOM */
    u32 stack, mmap, base, brk;
};
static bool norandmaps;

enum auxv_type {
    AT_NULL, AT_PHDR = 3, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_BASE, AT_FLAGS, AT_ENTRY, AT_UID = 11, AT_EUID, AT_GID,
    AT_EGID, AT_HWCAP = 16, AT_CLKTCK, AT_SECURE = 23, AT_RANDOM = 25, AT_EXECFN = 31, AT_SYSINFO_EHDR = 33, AT_MINSIGSTKSZ = 51
};


static struct chance chance_draw(void)
{
    struct chance c;

    random_bytes(&c, sizeof c);
    if (norandmaps || (current_process()->persona & ADDR_NO_RANDOMIZE))
        c.stack = c.mmap = c.base = c.brk = 0;
    return c;
}

static u64 pages_below(u32 chance, unsigned bits)
{
    return (u64)(chance & ((1u << bits) - 1)) << PAGE_SHIFT;
}

void exec_init(void)
{
    norandmaps = bootarg("norandmaps") != NULL;
    vdso_init();
}

/* ---- arguments ---- */

static void args_free(struct exec_args *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(a->page) && a->page[i]; i++)
        page_put(a->page[i]);
    kmem_free(a->filename);
    kmem_free(a);
}

/* Where the string at offset `at` goes: the page, made if need be; room to its end in *room. */
static char *args_at(struct exec_args *a, size_t at, size_t *room)
{
    struct page **p = &a->page[at >> PAGE_SHIFT];

    if (!*p && !(*p = page_alloc(PAGE_KERNEL, 0)))
        return NULL;
    *room = PAGE_SIZE - (at & PAGE_MASK);
    return (char *)page_data(*p) + (at & PAGE_MASK);
}

static int args_add_string(struct exec_args *a, vaddr_t string)
{
    size_t start = a->size, room;

    for (;;) {
        char *dst;
        ssize_t n;

        if (a->size >= ARGS_MAX || a->size - start >= STRING_MAX)
            return -E2BIG;
        dst = args_at(a, a->size, &room);
        if (!dst)
            return -ENOMEM;
        n = copy_string_from_user(dst, string + (a->size - start), room);
        if (n >= 0) {
            a->size += (size_t)n + 1;
            return 0;
        }
        if (n != -ENAMETOOLONG)
            return (int)n;
        a->size += room;
    }
}

static int args_add_vector(struct exec_args *a, vaddr_t vector, u32 *count)
{
    int err = 0;

    for (*count = 0; vector && !err; ++*count) {
        u64 string;
        if (get_user(&string, vector + *count * sizeof string))
            return -EFAULT;
        if (!string)
            return 0;
        err = *count < COUNT_MAX ? args_add_string(a, string) : -E2BIG;
    }
    return err;
}

static int args_read(vaddr_t argv, vaddr_t envp, struct exec_args **out)
{
    struct exec_args *a = kmem_zalloc(sizeof *a);
    int err;

    if (!a)
        return -ENOMEM;
    err = args_add_vector(a, argv, &a->argc);
    if (!err && a->argc == 0) { /* a program may count on argv[0] */
        size_t room;
        char *empty = args_at(a, 0, &room);
        if (empty)
            *empty = 0;
        err = empty ? 0 : -ENOMEM;
        a->size = a->argc = 1;
    }
    if (!err)
        err = args_add_vector(a, envp, &a->envc);
    if (err) {
        args_free(a);
        return err;
    }
    *out = a;
    return 0;
}

static bool copy_one(char *buf, size_t size, size_t *used, char c)
{
    if (*used == size)
        return false;
    buf[(*used)++] = c;
    return true;
}

int exec_args_copy(const struct exec_args *a, char *buf, size_t size, u32 *count, size_t *bytes)
{
    u32 left = a->argc - (a->skip > 0);

    *count = left + a->prefix_count;
    for (*bytes = 0; *bytes < a->prefix_size;)
        if (!copy_one(buf, size, bytes, a->prefix[*bytes]))
            return -E2BIG;
    for (size_t at = a->skip; left > 0; at++) {
        char c = ((const char *)page_data(a->page[at >> PAGE_SHIFT]))[at & PAGE_MASK];

        if (!copy_one(buf, size, bytes, c))
            return -E2BIG;
        left -= c == 0;
    }
    return 0;
}

/* ---- scripts ---- */

static bool prefix_push(struct exec_args *a, const char *s, size_t n)
{
    if (a->prefix_size + n + 1 > sizeof a->prefix)
        return false;
    memmove(a->prefix + n + 1, a->prefix, a->prefix_size);
    memcpy(a->prefix, s, n);
    a->prefix[n] = 0;
    a->prefix_size += n + 1;
    a->prefix_count++;
    return true;
}

/* argv[0] gives way to the script's name; the interpreter and its one argument come before. */
static int script_args(struct exec_args *a, const char *script, const char *interpreter, const char *arg)
{
    if (a->prefix_count > 0) { /* the interpreter is a script itself: its name is argv[0] so far */
        size_t n = strlen(a->prefix) + 1;
        memmove(a->prefix, a->prefix + n, a->prefix_size - n);
        a->prefix_size -= n;
        a->prefix_count--;
    } else {
        a->skip = strnlen(page_data(a->page[0]), PAGE_SIZE) + 1;
        if (a->skip > PAGE_SIZE)
            return -E2BIG;
    }
    if (!prefix_push(a, script, strlen(script)) || (arg && !prefix_push(a, arg, strlen(arg))) ||
        !prefix_push(a, interpreter, strlen(interpreter)))
        return -E2BIG;
    return 0;
}

/* Cuts "#! interpreter [argument]" in place. */
static int script_parse(char *head, size_t n, char **interpreter, char **arg)
{
    char *end = memchr(head, '\n', n), *p = head + 2;

    if (!end && n == HEAD_SIZE)
        return -ENOEXEC;
    end = end ? end : head + n;
    while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *end = 0;
    while (*p == ' ' || *p == '\t')
        p++;
    if (!*p)
        return -ENOEXEC;
    *interpreter = p;
    while (*p && *p != ' ' && *p != '\t')
        p++;
    *arg = NULL;
    if (*p) {
        *p++ = 0;
        while (*p == ' ' || *p == '\t')
            p++;
        *arg = p;
    }
    return 0;
}

/* Follows scripts to the program: *f is replaced by the one to load, its head read. */
static int find_program(struct exec_args *a, struct file **f, char *head, size_t *head_size)
{
    char *name = a->filename, *interpreter, *arg, names[2][HEAD_SIZE];

    for (unsigned depth = 0;; depth++) {
        ssize_t n = file_read_kernel(*f, head, HEAD_SIZE, 0);
        struct file *next;
        int err;

        if (n < 0)
            return (int)n;
        *head_size = (size_t)n;
        head[n] = 0;
        if (n < 3 || head[0] != '#' || head[1] != '!')
            return elf_is((u8 *)head, (size_t)n) ? 0 : -ENOEXEC;
        if (depth == SCRIPT_DEPTH)
            return -ELOOP;
        err = script_parse(head, (size_t)n, &interpreter, &arg);
        if (!err)
            err = script_args(a, name, interpreter, arg);
        if (err)
            return err;
        strlcpy(names[depth % 2], interpreter, HEAD_SIZE);
        name = names[depth % 2];
        err = file_open(AT_FDCWD, name, O_RDONLY | FILE_EXEC, 0, &next);
        if (err)
            return err;
        process_exe_put(*f);
        *f = next;
        err = process_exe_deny(next);
        if (err) {
            *f = NULL;
            file_put(next);
            return err;
        }
    }
}

/* ---- the stack ---- */

struct stack {
    vaddr_t sp;
    int err;
};

static void push(struct stack *s, const void *data, size_t n)
{
    s->sp -= n;
    if (!s->err)
        s->err = copy_to_user(s->sp, data, n);
}

/* The strings, highest last: what remains of argv and envp above the prefix. Returns where they begin. */
static vaddr_t push_strings(struct stack *s, const struct exec_args *a)
{
    for (size_t end = a->size; end > a->skip;) {
        size_t start = MAX(ROUND_DOWN(end - 1, PAGE_SIZE), a->skip);
        push(s, (char *)page_data(a->page[start >> PAGE_SHIFT]) + (start & PAGE_MASK), end - start);
        end = start;
    }
    push(s, a->prefix, a->prefix_size);
    return s->sp;
}

/* Reads string lengths back from the stack to write the vector of `count` pointers at `at`; the address after them. */
static vaddr_t write_vector(struct stack *s, vaddr_t at, vaddr_t string, u32 count)
{
    char chunk[256];
    u64 zero = 0;

    for (u32 i = 0; i < count && !s->err; i++) {
        ssize_t n;
        s->err = put_user(at + i * 8ul, &string);
        do {
            n = copy_string_from_user(chunk, string, sizeof chunk);
            string += n >= 0 ? (u64)n + 1 : sizeof chunk;
        } while (n == -ENAMETOOLONG);
        if (n < 0)
            s->err = (int)n;
    }
    if (!s->err)
        s->err = put_user(at + count * 8ul, &zero);
    return string;
}

/* Whose rights a program will run with. */
static u32 euid_of(const struct exec_program *p)
{
    return p->ids.bits & S_ISUID ? p->ids.uid : current_process()->cred.euid;
}

static u32 egid_of(const struct exec_program *p)
{
    return p->ids.bits & S_ISGID ? p->ids.gid : current_process()->cred.egid;
}

static size_t make_auxv(u64 *v, const struct exec_program *p, const struct exec_image *image, vaddr_t random, vaddr_t execfn)
{
    const struct cred *c = &current_process()->cred;
    const u32 euid = euid_of(p), egid = egid_of(p);
    const bool secure = euid != c->uid || egid != c->gid; /* who started it must not lead it astray */
    const u64 list[] = {
        AT_HWCAP, ARCH_HWCAP, AT_PAGESZ, PAGE_SIZE, AT_CLKTCK, 100, AT_PHDR, image->phdr, AT_PHENT, image->phent,
        AT_PHNUM, image->phnum, AT_BASE, image->base, AT_FLAGS, 0, AT_ENTRY, image->program_entry, AT_UID, c->uid,
        AT_EUID, euid, AT_GID, c->gid, AT_EGID, egid, AT_SECURE, secure, AT_RANDOM, random, AT_EXECFN, execfn,
        AT_MINSIGSTKSZ, ARCH_MINSIGSTKSZ, AT_SYSINFO_EHDR, vdso_there_is() ? VDSO_ADDRESS : 0, AT_NULL, 0,
    };

    memcpy(v, list, sizeof list);
    return sizeof list;
}

/* Everything that a program finds when it starts. *sp: the stack pointer. current uses vm. */
static int stack_build(struct vmspace *vm, const struct exec_program *p, const struct exec_image *image,
                       const struct chance *chance, vaddr_t *sp)
{
    vaddr_t top = STACK_HIGHEST - pages_below(chance->stack, STACK_BITS);
    const struct exec_args *a = p->args;
    struct stack s = {.sp = top - 8};
    u64 auxv[48], argc = a->argc + a->prefix_count - (a->skip > 0);
    vaddr_t random, execfn, strings, at, next;
    size_t auxv_size;

    push(&s, a->filename, strlen(a->filename) + 1);
    execfn = s.sp;
    push(&s, chance->bytes, sizeof chance->bytes);
    random = s.sp;
    strings = push_strings(&s, a);
    auxv_size = make_auxv(auxv, p, image, random, execfn);
    s.sp -= chance->stack >> STACK_BITS & 0xff0; /* within the page */
    at = ROUND_DOWN(s.sp - auxv_size - (argc + a->envc + 3) * 8, 16ul);
    if (at < top - vm->stack_size / 4 * 3)
        return -E2BIG;
    *sp = at;
    if (!s.err)
        s.err = put_user(at, &argc);
    vm->arg_start = strings;
    next = write_vector(&s, at + 8, strings, (u32)argc);
    vm->arg_end = vm->env_start = next;
    vm->env_end = write_vector(&s, at + 8 + (argc + 1) * 8, next, a->envc);
    if (!s.err)
        s.err = copy_to_user(at + (argc + a->envc + 3) * 8, auxv, auxv_size);
    return s.err == -EFAULT ? -ENOMEM : s.err;
}

/* ---- the address space ---- */

static int vm_layout(struct vmspace *vm, const struct chance *chance)
{
    vaddr_t top = STACK_HIGHEST - pages_below(chance->stack, STACK_BITS);
    const struct rlimit *limits = current_process()->rlimit;
    u64 wish = MAX(limits[RLIMIT_STACK].cur, 64 * PAGE_SIZE), stack = MIN(wish, 16ul << 30);
    struct map_request q = {.addr = top - 32 * PAGE_SIZE,
                            .len = 32 * PAGE_SIZE,
                            .prot = PROT_READ | PROT_WRITE,
                            .flags = MAP_FIXED_ | MAP_GROWSDOWN_ | MAP_STACK_};
    struct map_request code = {.addr = SIGRETURN_ADDRESS,
                               .len = VDSO_PAGES * PAGE_SIZE,
                               .prot = PROT_READ | PROT_EXEC,
                               .flags = MAP_FIXED_,
                               .object = vdso_object()};
    s64 at;

    vm->as_limit = limits[RLIMIT_AS].cur;
    vm->data_limit = limits[RLIMIT_DATA].cur;
    vm->stack_size = stack;
    vm->stack_limit = ROUND_DOWN(top - stack, PAGE_SIZE);
    vm->mmap_top = ROUND_DOWN(top - MAX(stack, STACK_GAP_MIN) - (1ul << 20), PAGE_SIZE) - pages_below(chance->mmap, MMAP_BITS);
    at = vm_map(vm, &q);
    if (at >= 0)
        at = vm_map(vm, &code);
    return at < 0 ? (int)at : 0;
}

static int linux_build(struct vmspace *vm, const struct exec_program *p, struct exec_start *start)
{
    struct chance chance = chance_draw();
    struct exec_image image = {0};
    int err = vm_layout(vm, &chance);

    if (!err)
        err = elf_load(vm, p->file, p->head, p->head_size, pages_below(chance.base, PIE_BITS), &image);
    if (err)
        return err;
    vm->brk_start = vm->brk = image.brk + pages_below(chance.brk, BRK_BITS);
    start->entry = image.entry;
    return stack_build(vm, p, &image, &chance, &start->sp);
}

static int linux_recognizes(const struct exec_program *p)
{
    return elf_is(p->head, p->head_size);
}

const struct personality linux_personality = {
    .name = "Linux",
    .recognizes = linux_recognizes,
    .build = linux_build,
    .syscall = syscall_dispatch,
};

/* ---- changing over ---- */

/* The other threads go; this one becomes the leader. -EINTR: it was killed itself, or another thread was first. */
static int become_only_thread(struct process *p)
{
    int err = 0;

    spin_lock(&process_lock);
    spin_lock(&p->siglock);
    if (p->group_exiting || p->execing)
        err = -EINTR;
    else if (p->thread_count > 1) {
        p->execing = current;
        process_kill_threads_locked(p);
    }
    spin_unlock(&p->siglock);
    spin_unlock(&process_lock);
    if (err || p->execing != current)
        return err;
    err = wait_event(&p->thread_wait, p->thread_count == 1, SLEEP_KILLABLE, UINT64_MAX);
    spin_lock(&process_lock);
    if (!err && p->leader != current)
        process_take_leader_locked(p, current);
    p->execing = NULL;
    spin_unlock(&process_lock);
    return err ? -EINTR : 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static void change_over(struct process *p, struct vmspace *vm, struct file *f, const struct exec_args *a,
                        const struct personality *personality)
{
    struct vmspace *old;
    struct file *old_exe;

    spin_lock(&process_lock);
    old = p->vm;
    p->vm = vm;
    old_exe = p->exe;
    p->exe = f;
    p->did_exec = true;
    p->exit_signal = SIGCHLD; /* the parent hears of the new program's end in the usual way */
    p->personality = personality;
    strlcpy(p->comm, base_name(a->filename), sizeof p->comm);
    strlcpy(current->comm, p->comm, sizeof current->comm);
    spin_unlock(&process_lock);
    if (old)
        vmspace_put(old);
    process_vfork_release(p);
    if (old_exe)
        process_exe_put(old_exe);
    file_table_close_on_exec(p->files);
    process_timers_exec(p);
    signal_actions_reset(p->actions, personality->default_signals);
    current->altstack.sp = current->altstack.size = 0;
    current->robust_list = current->clear_child_tid = 0;
}

/* A process may have given up the set-id bits of programs (PR_SET_NO_NEW_PRIVS). */
static void file_ids_read(struct exec_program *program, const struct process *p, struct vnode *v)
{
    mutex_lock(&v->lock);
    program->ids.bits = p->no_new_privs ? 0 : v->mode & (S_ISUID | S_ISGID);
    program->ids.uid = v->uid;
    program->ids.gid = v->gid;
    mutex_unlock(&v->lock);
}

/* A program with a set-id bit runs with its owner's rights. */
static bool take_file_ids(struct process *p, const struct exec_program *program)
{
    bool changes = euid_of(program) != p->cred.euid || egid_of(program) != p->cred.egid;
    struct cred *c = &p->cred;

    spin_lock(&p->cred_lock);
    if (program->ids.bits & S_ISUID)
        c->euid = program->ids.uid;
    if (program->ids.bits & S_ISGID)
        c->egid = program->ids.gid;
    c->suid = c->fsuid = c->euid;
    c->sgid = c->fsgid = c->egid;
    spin_unlock(&p->cred_lock);
    if (changes)
        alloc_plan_clear();
    return changes;
}

/* Room for actions and descriptors of its own, should they be shared with other processes. */
struct own_parts {
    struct signal_actions *actions;
    struct file_table *files;
};

static bool has_shared_parts(const struct process *p)
{
    return ref_count(&p->actions->refs) > 1 || file_table_shared(p->files);
}

/* While it can still fail. False: no memory; own_parts_drop in any case. */
static bool own_parts_make(const struct process *p, struct own_parts *own)
{
    if (p->thread_count == 1 && !has_shared_parts(p)) /* another thread may still share them */
        return true;
    own->actions = signal_actions_create();
    own->files = file_table_create_blank();
    return own->actions && own->files;
}

/* Of the only thread: no other one is just using what is replaced. */
static void own_parts_use(struct process *p, struct own_parts *own)
{
    struct own_parts old = {p->actions, p->files};

    if (!own->files || !has_shared_parts(p))
        return;
    signal_actions_fill(own->actions, old.actions);
    file_table_fill(own->files, old.files);
    spin_lock(&process_lock);
    p->actions = own->actions;
    p->files = own->files;
    spin_unlock(&process_lock);
    *own = old;
}

static void own_parts_drop(struct own_parts *own)
{
    if (own->actions)
        signal_actions_put(own->actions);
    if (own->files)
        file_table_put(own->files);
}

/* The new address space, built while the process still stands on the old one. */
static struct vmspace *try_build(const struct personality *personality, const struct exec_program *program,
                                 struct exec_start *start, int *err)
{
    struct vmspace *old = current->vm, *vm = vmspace_create();
    struct process *p = current_process();
    struct own_parts own = {0};

    *err = -ENOMEM;
    if (!vm)
        return NULL;
    sched_set_vm(vm);
    *err = personality->build(vm, program, start);
    if (!*err && !own_parts_make(p, &own))
        *err = -ENOMEM;
    if (!*err)
        *err = become_only_thread(p);
    if (!*err)
        own_parts_use(p, &own);
    own_parts_drop(&own);
    if (!*err)
        return vm;
    sched_set_vm(old);
    vmspace_put(vm);
    return NULL;
}

static int exec_program(const struct exec_program *program, struct trapframe *frame)
{
    const struct personality *personality;
    struct process *p = current_process();
    struct exec_start start = {0};
    struct vmspace *vm = NULL;
    int err = personality_of(program, &personality);

    if (!err)
        vm = try_build(personality, program, &start, &err);
    if (!vm)
        return err;
    p->dumpable = !take_file_ids(p, program) && vnode_permission(program->file->vnode, 4) == 0; /* before anybody can find the new memory: /proc/PID/mem */
    change_over(p, vm, program->file, program->args, personality);
    arch_frame_exec(frame, &start);
    current->fpu = (struct fpu_state){0};
    return 0;
}

/* f: what is executed; its reference goes to the process or is dropped. */
static int exec_file(struct file *f, struct exec_args *a, struct trapframe *frame)
{
    char head[HEAD_SIZE + 1];
    struct exec_program program = {.head = (u8 *)head, .args = a};
    int err = process_exe_deny(f);

    if (err) {
        file_put(f);
        return err;
    }
    err = find_program(a, &f, head, &program.head_size);
    if (!err) {
        program.file = f;
        file_ids_read(&program, current_process(), f->vnode);
        err = exec_program(&program, frame);
    }
    if (err && f)
        process_exe_put(f);
    return err;
}

int process_exec(int dirfd, char *path, vaddr_t argv, vaddr_t envp, int flags, struct trapframe *frame)
{
    struct exec_args *a = NULL;
    struct file *f = NULL;
    int err = file_open_exec(dirfd, path, flags, &f);

    if (!err)
        err = args_read(argv, envp, &a);
    if (err) {
        if (f)
            file_put(f);
        kmem_free(path);
        return err;
    }
    a->filename = path;
    vm_check_debug("before exec");
    err = exec_file(f, a, frame);
    args_free(a);
    if (!err)
        vm_check_debug("exec");
    return err;
}

/* argv[0] is the path; two variables that a first program may count on. */
int process_exec_kernel(const char *path, struct trapframe *frame)
{
    static const char environment[] = "HOME=/\0TERM=linux";
    struct exec_args *a = kmem_zalloc(sizeof *a);
    size_t n = strlen(path) + 1, room;
    struct file *f;
    char *strings;
    int err;

    if (!a)
        return -ENOMEM;
    a->filename = kmem_strdup(path);
    strings = args_at(a, 0, &room);
    err = a->filename && strings ? file_open_exec(AT_FDCWD, path, 0, &f) : -ENOMEM;
    if (!err) {
        memcpy(strings, path, n);
        memcpy(strings + n, environment, sizeof environment);
        a->size = n + sizeof environment;
        a->argc = 1;
        a->envc = 2;
        err = exec_file(f, a, frame);
    }
    args_free(a);
    return err;
}
