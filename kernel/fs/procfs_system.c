/* /proc: what is true of the whole machine. */
#include "fs/procfs.h"
#include "lib/log.h"
#include "lib/random.h"
#include "lib/string.h"
#include "sys/misc.h"
#include "sys/syscall.h"
#include "vm/commit.h"
#include "vm/kmem.h"
#include "vm/vm.h"

#define KIB_PER_PAGE (PAGE_SIZE / 1024)
#define TICK_NS 10000000ul

static int show_meminfo(struct text *t, struct process *p)
{
    u64 objects = object_pages_total() * KIB_PER_PAGE;
    struct page_stats s;

    (void)p;
    page_stats(&s);
    text_add(t, "MemTotal:       %8lu kB\n", s.total * KIB_PER_PAGE);
    text_add(t, "MemFree:        %8lu kB\n", s.free * KIB_PER_PAGE);
    text_add(t, "MemAvailable:   %8lu kB\n", (s.free - MIN(s.free, s.reserve)) * KIB_PER_PAGE);
    text_add(t, "Buffers:        %8u kB\n", 0);
    text_add(t, "Cached:         %8lu kB\n", objects);
    text_add(t, "SwapCached:     %8u kB\n", 0);
    text_add(t, "SwapTotal:      %8u kB\n", 0);
    text_add(t, "SwapFree:       %8u kB\n", 0);
    text_add(t, "Dirty:          %8u kB\n", 0);
    text_add(t, "Writeback:      %8u kB\n", 0);
    text_add(t, "Shmem:          %8lu kB\n", objects);
    text_add(t, "PageTables:     %8lu kB\n",
             (vm_counter_read(VMC_table_alloc) - vm_counter_read(VMC_table_free)) * KIB_PER_PAGE);
    text_add(t, "CommitLimit:    %8lu kB\n", commit_limit() * KIB_PER_PAGE);
    text_add(t, "Committed_AS:   %8lu kB\n", commit_total() * KIB_PER_PAGE);
    text_add(t, "KernelStack:    %8lu kB\n", thread_count_all() * (KSTACK_SIZE / 1024));
    return 0;
}

static int show_vmstat(struct text *t, struct process *p)
{
    struct page_stats s;

    (void)p;
    page_stats(&s);
    text_add(t, "nr_free_pages %lu\n", s.free);
    text_add(t, "nr_reserve_pages %lu\n", s.reserve);
    for (unsigned i = 0; i < VMC_COUNT; i++)
        text_add(t, "%s %lu\n", vm_counter_name[i], vm_counter_read(i));
    return 0;
}

static int show_stat(struct text *t, struct process *p)
{
    u64 user = 0, system = 0, idle = 0, switches = 0;

    (void)p;
    sched_sample();
    for (unsigned i = 0; i < cpu_count; i++) {
        user += cpus[i].user_ns, system += cpus[i].system_ns, idle += cpus[i].idle_ns;
        switches += cpus[i].context_switches;
    }
    text_add(t, "cpu  %lu 0 %lu %lu 0 0 0 0 0 0\n", user / TICK_NS, system / TICK_NS, idle / TICK_NS);
    for (unsigned i = 0; i < cpu_count; i++)
        text_add(t, "cpu%u %lu 0 %lu %lu 0 0 0 0 0 0\n", i, cpus[i].user_ns / TICK_NS, cpus[i].system_ns / TICK_NS,
                 cpus[i].idle_ns / TICK_NS);
    text_add(t, "intr 0\nctxt %lu\nbtime %lu\nprocesses %lu\nprocs_running %u\nprocs_blocked 0\n", switches,
             (time_realtime_ns() - arch_time_ns()) / NS_PER_SEC, vm_counter_read(VMC_fork), sched_runnable());
    return 0;
}

static int show_uptime(struct text *t, struct process *p)
{
    u64 now = arch_time_ns() / TICK_NS, idle = 0;

    (void)p;
    sched_sample();
    for (unsigned i = 0; i < cpu_count; i++)
        idle += cpus[i].idle_ns / TICK_NS;
    text_add(t, "%lu.%02lu %lu.%02lu\n", now / 100, now % 100, idle / 100, idle % 100);
    return 0;
}

static int show_loadavg(struct text *t, struct process *p)
{
    u64 load[3];

    (void)p;
    load_average(load);
    for (unsigned i = 0; i < 3; i++) {
        u64 hundredths = (load[i] * 100 + LOAD_ONE / 2) / LOAD_ONE;
        text_add(t, "%lu.%02lu ", hundredths / 100, hundredths % 100);
    }
    text_add(t, "%u/%u %u\n", sched_runnable(), thread_count_all(), current_process()->pid);
    return 0;
}

static int show_cpuinfo(struct text *t, struct process *p)
{
    (void)p;
    for (unsigned i = 0; i < cpu_count; i++)
        text_add(t, "processor\t: %u\n%s\t\t: %u\nmodel name\t: %s\n%s\t\t: %s\n\n", i, ARCH_HW_ID,
                 cpus[i].hw_id, platform.model, ARCH_ISA_NAME, ARCH_ISA);
    return 0;
}

static int show_version(struct text *t, struct process *p)
{
    (void)p;
    text_add(t, "%s version %s %s\n", SYSTEM_NAME, SYSTEM_RELEASE, SYSTEM_VERSION);
    return 0;
}

static int show_cmdline(struct text *t, struct process *p)
{
    (void)p;
    text_add(t, "%s\n", platform.bootargs);
    return 0;
}

static int show_filesystems(struct text *t, struct process *p)
{
    (void)p;
    text_add(t, "nodev\ttmpfs\nnodev\tramfs\nnodev\tproc\n");
    return 0;
}

struct mounts_text {
    struct text *t;
    char *path; /* PATH_MAX bytes */
};

static void show_mount(const struct mount *m, void *arg)
{
    struct mounts_text *to = arg;

    if (dentry_path(m->root, root_dentry, to->path, PATH_MAX) < 0)
        return;
    text_add_escaped(to->t, m->source, " \t\n\\#");
    text_add_bytes(to->t, " ", 1);
    text_add_escaped(to->t, to->path, " \t\n\\#");
    text_add(to->t, " %s rw 0 0\n", m->sb->type);
}

int proc_show_mounts(struct text *t, struct process *p)
{
    struct mounts_text to = {t, kmem_alloc(PATH_MAX)};

    (void)p;
    if (!to.path)
        return -ENOMEM;
    mount_for_each(show_mount, &to);
    kmem_free(to.path);
    return 0;
}

/* There are no disks. */
static int show_partitions(struct text *t, struct process *p)
{
    (void)p;
    text_add(t, "major minor  #blocks  name\n\n");
    return 0;
}

static int show_devices(struct text *t, struct process *p)
{
    (void)p;
    text_add(t, "Character devices:\n  1 mem\n  4 ttyS\n  5 /dev/tty\n  5 /dev/console\n240 host\n\nBlock devices:\n");
    return 0;
}

static int show_hostname(struct text *t, struct process *p)
{
    (void)p;
    text_add(t, "%s\n", system_hostname);
    return 0;
}

static int write_hostname(struct process *p, const char *value)
{
    (void)p;
    return system_hostname_set(value, strlen(value));
}

static int show_domainname(struct text *t, struct process *p)
{
    (void)p;
    text_add(t, "%s\n", system_domainname);
    return 0;
}

static int show_kernel_version(struct text *t, struct process *p)
{
    (void)p;
    text_add(t, "%s\n", SYSTEM_VERSION);
    return 0;
}

static int show_ostype(struct text *t, struct process *p)
{
    (void)p;
    text_add(t, "%s\n", SYSTEM_NAME);
    return 0;
}

static int show_osrelease(struct text *t, struct process *p)
{
    (void)p;
    text_add(t, "%s\n", SYSTEM_RELEASE);
    return 0;
}

static int show_pid_max(struct text *t, struct process *p)
{
    (void)p;
    text_add(t, "4194304\n");
    return 0;
}

static void add_uuid(struct text *t, u8 b[16])
{
    b[6] = (b[6] & 15) | 0x40; /* version 4: random */
    b[8] = (b[8] & 63) | 0x80;
    for (unsigned i = 0; i < 16; i++)
        text_add(t, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
    text_add(t, "\n");
}

static int show_uuid(struct text *t, struct process *p)
{
    u8 b[16];

    (void)p;
    random_bytes(b, sizeof b);
    add_uuid(t, b);
    return 0;
}

/* The same until the machine is started again. */
static int show_boot_id(struct text *t, struct process *p)
{
    static u8 id[16];
    static bool made;
    static struct mutex lock = {.waitq = WAITQ_INIT(lock.waitq), .rank = RANK_PROC_MUTEX, .name = "boot id"};

    (void)p;
    mutex_lock(&lock);
    if (!made)
        random_bytes(id, sizeof id);
    made = true;
    add_uuid(t, id);
    mutex_unlock(&lock);
    return 0;
}

static int show_entropy(struct text *t, struct process *p)
{
    (void)p;
    text_add(t, "256\n"); /* what the generator's key holds */
    return 0;
}

static int show_overcommit(struct text *t, struct process *p)
{
    (void)p;
    text_add(t, "%u\n", commit_mode());
    return 0;
}

static int write_overcommit(struct process *p, const char *value)
{
    (void)p;
    if (strcmp(value, "1") != 0 && strcmp(value, "2") != 0)
        return -EINVAL;
    commit_set_mode((unsigned)(value[0] - '0'));
    return 0;
}

static int show_check(struct text *t, struct process *p)
{
    (void)p;
    text_add(t, "%lu\n", vm_counter_read(VMC_vm_check));
    return 0;
}

static int write_check(struct process *p, const char *value)
{
    (void)p;
    if (strcmp(value, "1") != 0)
        return -EINVAL;
    vm_check_all("asked through /proc");
    return 0;
}

static ssize_t self_link(struct process *p, char *buf, size_t n)
{
    (void)p;
    return snprintf(buf, n, "%u", current_process()->pid);
}

static int self_follow(struct process *p, struct dentry **out)
{
    char path[32];

    (void)p;
    snprintf(path, sizeof path, "/proc/%u", current_process()->pid);
    return path_lookup(AT_FDCWD, path, PATH_KERNEL, out);
}

static ssize_t thread_self_link(struct process *p, char *buf, size_t n)
{
    (void)p;
    return snprintf(buf, n, "%u/task/%u", current_process()->pid, current->tid);
}

static int thread_self_follow(struct process *p, struct dentry **out)
{
    char path[64];

    (void)p;
    snprintf(path, sizeof path, "/proc/%u/task/%u", current_process()->pid, current->tid);
    return path_lookup(AT_FDCWD, path, PATH_KERNEL, out);
}

static ssize_t mounts_link(struct process *p, char *buf, size_t n)
{
    (void)p;
    return snprintf(buf, n, "self/mounts");
}

static int mounts_follow(struct process *p, struct dentry **out)
{
    char path[48];

    (void)p;
    snprintf(path, sizeof path, "/proc/%u/mounts", current_process()->pid);
    return path_lookup(AT_FDCWD, path, PATH_KERNEL, out);
}

static int show_mmap_min_addr(struct text *t, struct process *p)
{
    (void)p;
    text_add(t, "%lu\n", VM_LOW);
    return 0;
}

#define FILE_MODE (S_IFREG | 0444)
#define DIR_MODE (S_IFDIR | 0555)
static const struct proc_entry random_entries[] = {
    {.name = "uuid", .mode = FILE_MODE, .show = show_uuid},
    {.name = "boot_id", .mode = FILE_MODE, .show = show_boot_id},
    {.name = "entropy_avail", .mode = FILE_MODE, .show = show_entropy},
    {.name = "poolsize", .mode = FILE_MODE, .show = show_entropy},
    {.name = NULL}};
static const struct proc_entry kernel_entries[] = {
    {.name = "hostname", .mode = S_IFREG | 0644, .show = show_hostname, .write = write_hostname},
    {.name = "domainname", .mode = FILE_MODE, .show = show_domainname},
    {.name = "ostype", .mode = FILE_MODE, .show = show_ostype},
    {.name = "osrelease", .mode = FILE_MODE, .show = show_osrelease},
    {.name = "version", .mode = FILE_MODE, .show = show_kernel_version},
    {.name = "pid_max", .mode = FILE_MODE, .show = show_pid_max},
    {.name = "random", .mode = DIR_MODE, .children = random_entries},
    {.name = NULL}};
static const struct proc_entry vm_entries[] = {
    {.name = "mmap_min_addr", .mode = FILE_MODE, .show = show_mmap_min_addr},
    {.name = "overcommit_memory", .mode = S_IFREG | 0644, .show = show_overcommit, .write = write_overcommit},
    {.name = "check", .mode = S_IFREG | 0644, .write_unlocked = true, .show = show_check, .write = write_check},
    {.name = NULL}};
static const struct proc_entry sys_entries[] = {
    {.name = "kernel", .mode = DIR_MODE, .children = kernel_entries},
    {.name = "vm", .mode = DIR_MODE, .children = vm_entries},
    {.name = NULL}};
const struct proc_entry proc_root_entries[] = {
    {.name = "meminfo", .mode = FILE_MODE, .show = show_meminfo},
    {.name = "kpagecount", .mode = S_IFREG | 0400, .read = proc_read_kpagecount},
    {.name = "kpageflags", .mode = S_IFREG | 0400, .read = proc_read_kpageflags},
    {.name = "vmstat", .mode = FILE_MODE, .show = show_vmstat},
    {.name = "stat", .mode = FILE_MODE, .show = show_stat},
#ifdef COWSLIP_DEBUG
    {.name = "allocations", .mode = FILE_MODE, .show = proc_show_allocations},
#endif
    {.name = "uptime", .mode = FILE_MODE, .show = show_uptime},
    {.name = "loadavg", .mode = FILE_MODE, .show = show_loadavg},
    {.name = "cpuinfo", .mode = FILE_MODE, .show = show_cpuinfo},
    {.name = "version", .mode = FILE_MODE, .show = show_version},
    {.name = "cmdline", .mode = FILE_MODE, .show = show_cmdline},
    {.name = "filesystems", .mode = FILE_MODE, .show = show_filesystems},
    {.name = "partitions", .mode = FILE_MODE, .show = show_partitions},
    {.name = "devices", .mode = FILE_MODE, .show = show_devices},
    {.name = "mounts", .mode = S_IFLNK | 0777, .link = mounts_link, .follow = mounts_follow},
    {.name = "self", .mode = S_IFLNK | 0777, .link = self_link, .follow = self_follow},
    {.name = "thread-self", .mode = S_IFLNK | 0777, .link = thread_self_link, .follow = thread_self_follow},
    {.name = "sys", .mode = DIR_MODE, .children = sys_entries},
    {.name = NULL}};
