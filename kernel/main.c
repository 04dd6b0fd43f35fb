/* From the machine's entry to the first program. */
#include "dev/console.h"
#include "dev/virtio.h"
#include "fs/anon.h"
#include "fs/file.h"
#include "fs/mqueue.h"
#include "fs/tty.h"
#include "lib/bootargs.h"
#include "lib/log.h"
#include "lib/random.h"
#include "proc/process.h"
#include "protect.h"
#include "sys/syscall.h"
#include "vm/commit.h"
#include "vm/kmem.h"
#include "vm/plant.h"
#include "vm/vm.h"

static void banner(void)
{
    struct page_stats s;

    page_stats(&s);
    printk(LOG_INFO, "Cowslip on %s, %u CPU%s, %lu MiB of %lu MiB free", platform.model, platform.cpu_count,
           platform.cpu_count == 1 ? "" : "s", s.free >> (20 - PAGE_SHIFT), s.total >> (20 - PAGE_SHIFT));
}

/* The initramfs into the root; its memory goes to the allocator. */
static void unpack(void)
{
    if (platform.initrd_size == 0) {
        printk(LOG_ERR, "there is no initramfs");
        return;
    }
    if (initramfs_unpack(arch_phys_to_virt(platform.initrd), platform.initrd_size))
        printk(LOG_ERR, "the initramfs is not whole");
    page_free_range(platform.initrd, platform.initrd_size);
}

/* The first thread of the kernel's own: what may sleep. It becomes nothing: init is a process of its own. */
static void boot_thread(void *arg)
{
    (void)arg;
    fs_init();
    memfd_init();
    tty_init();
    pty_init();
    mqueue_init();
    console_start();
    exec_init();
    unpack();
    virtio_init();
    arch_start_cpus();
#ifdef COWSLIP_DEBUG
    vm_check_init();
    vm_plant_init();
#endif
    protect_check();
    banner();
    if (bootarg("panic_test"))
        panic("asked for by the boot argument panic_test");
    protect_fault_test(false);
    process_start_init();
}

void kmain(void)
{
    struct thread *t;

    sched_init();
    bootargs_parse(platform.bootargs);
    log_init();
    console_init();
    page_init();
    kmem_init();
    vm_init();
    commit_init();
    thread_init();
    random_init();
    time_init();
    epoll_init();
    futex_init();
    process_init();
    syscall_init();
    t = kthread_create(boot_thread, NULL, "boot");
    if (!t)
        panic("no memory for the first thread");
    protect_fault_test(true);
    thread_start(t);
    sched_cpu_main(arch_this_cpu());
}
