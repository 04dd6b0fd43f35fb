/* Process 1: made of nothing, with the console as its terminal-to-be and the root as its place. */
#include "dev/console.h"
#include "fs/file.h"
#include "lib/bootargs.h"
#include "lib/print.h"
#include "lib/string.h"
#include "proc/exec.h"
#include "proc/personality.h"
#include "proc/process.h"
#include "vm/kmem.h"

static const char *const candidates[] = {"/init", "/sbin/init", "/bin/init", "/bin/sh"};

static void set_limits(struct process *p)
{
    struct page_stats s;

    page_stats(&s);
    for (unsigned i = 0; i < RLIMIT_COUNT; i++)
        p->rlimit[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
    p->rlimit[RLIMIT_STACK].cur = 8ul << 20;
    p->rlimit[RLIMIT_NOFILE] = (struct rlimit){1024, 65536};
    p->rlimit[RLIMIT_CORE].cur = 0;
    p->rlimit[RLIMIT_NICE] = p->rlimit[RLIMIT_RTPRIO] = (struct rlimit){0, 0};
    p->rlimit[RLIMIT_MEMLOCK] = (struct rlimit){8ul << 20, 8ul << 20};
    p->rlimit[RLIMIT_SIGPENDING] = (struct rlimit){4096, 4096};
    p->rlimit[RLIMIT_MSGQUEUE] = (struct rlimit){819200, 819200};
}

static struct process *make(void)
{
    struct process *p = kmem_zalloc(sizeof *p);

    if (!p)
        return NULL;
    process_init_fields(p);
    p->files = file_table_create();
    p->fs = fs_context_create();
    p->actions = signal_actions_create();
    p->session = kmem_zalloc(sizeof *p->session);
    if (!p->files || !p->fs || !p->actions || !p->session)
        return NULL;
    ref_init(&p->session->refs);
    p->dumpable = true;
    p->personality = &linux_personality;
    p->vfork_done = true;
    strlcpy(p->comm, "init", sizeof p->comm);
    set_limits(p);
    return p;
}

/* Descriptors 0, 1 and 2 are the console. */
static void open_console(void)
{
    struct file *f;

    if (file_open(AT_FDCWD, "/dev/console", O_RDWR | O_NOCTTY, 0, &f)) {
        printk(LOG_ERR, "init: /dev/console cannot be opened");
        return;
    }
    for (int fd = 0; fd < 3; fd++) {
        file_get(f);
        if (fd_install_at(fd, f, false) < 0)
            file_put(f);
    }
    file_put(f);
}

static void __noreturn give_up(const char *why)
{
    printk(LOG_EMERG, "%s", why);
    console_drain();
    arch_poweroff(70);
}

/* In the new process: the program that the boot argument init= names, or the first there is. */
static void begin(void *arg)
{
    struct thread *t = arg;
    const char *wanted = bootarg("init");
    int err = 0;

    open_console();
    if (wanted) {
        err = process_exec_kernel(wanted, t->frame);
        if (!err)
            arch_return_to_user(t->frame);
        printk(LOG_ERR, "init=%s cannot be run: error %d", wanted, err);
        give_up("the program that init= names cannot be run");
    }
    for (unsigned i = 0; i < ARRAY_SIZE(candidates); i++) {
        err = process_exec_kernel(candidates[i], t->frame);
        if (!err)
            arch_return_to_user(t->frame);
        if (err != -ENOENT)
            printk(LOG_ERR, "%s cannot be run: error %d", candidates[i], err);
    }
    give_up("no init program in the initramfs: nothing to run");
}

void process_start_init(void)
{
    struct process *p = make();
    struct thread *t = p ? thread_alloc(begin, NULL) : NULL;

    if (!t)
        panic("no memory for init");
    t->start_arg = t;
    t->frame = arch_user_frame(t->kstack + KSTACK_SIZE);
    *t->frame = (struct trapframe){0};
    strlcpy(t->comm, "init", sizeof t->comm);
    signal_thread_init(t, NULL, false);
    t->process = p;
    process_get(p);
    init_process = p;
    spin_lock(&process_lock);
    if (process_add_thread_locked(p, t, true))
        panic("init does not become process 1");
    spin_unlock(&process_lock);
    p->pgid = p->session->sid = p->pid;
    thread_start(t);
}
