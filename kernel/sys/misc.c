/* The rest: names, the log, random numbers, the machine's end. */
#include "dev/console.h"
#include "lib/log.h"
#include "lib/random.h"
#include "lib/string.h"
#include "proc/process.h"
#include "sys/misc.h"
#include "sys/syscall.h"
#include "vm/kmem.h"
#include "vm/uaccess.h"
#include "vm/vm.h"

#define NAME_SIZE 65

char system_hostname[NAME_SIZE] = "cowslip";
char system_domainname[NAME_SIZE] = "(none)";

SYSCALL(uname)
{
    struct {
        char sysname[NAME_SIZE], nodename[NAME_SIZE], release[NAME_SIZE], version[NAME_SIZE], machine[NAME_SIZE],
            domain[NAME_SIZE];
    } u;

    memset(&u, 0, sizeof u);
    strlcpy(u.sysname, SYSTEM_NAME, NAME_SIZE);
    strlcpy(u.nodename, system_hostname, NAME_SIZE);
    strlcpy(u.release, SYSTEM_RELEASE, NAME_SIZE);
    strlcpy(u.version, SYSTEM_VERSION, NAME_SIZE);
    strlcpy(u.machine, ARCH_NAME, NAME_SIZE);
    strlcpy(u.domain, system_domainname, NAME_SIZE);
    return put_user(a[0], &u);
}

static s64 set_name(char *to, vaddr_t from, u64 n)
{
    char name[NAME_SIZE] = "";

    if (!cred_is_root())
        return -EPERM;
    if (n >= NAME_SIZE)
        return -EINVAL;
    if (copy_from_user(name, from, n))
        return -EFAULT;
    memcpy(to, name, NAME_SIZE);
    return 0;
}

int system_hostname_set(const char *name, size_t n)
{
    char padded[NAME_SIZE] = "";

    if (n >= NAME_SIZE)
        return -EINVAL;
    memcpy(padded, name, n);
    memcpy(system_hostname, padded, NAME_SIZE);
    return 0;
}

SYSCALL(sethostname)
{
    return set_name(system_hostname, a[0], a[1]);
}

SYSCALL(setdomainname)
{
    return set_name(system_domainname, a[0], a[1]);
}

SYSCALL(sysinfo)
{
    struct {
        s64 uptime;
        u64 loads[3], totalram, freeram, sharedram, bufferram, totalswap, freeswap;
        u16 procs, pad[3];
        u64 totalhigh, freehigh;
        u32 mem_unit, pad2;
    } s;
    struct page_stats pages;

    page_stats(&pages);
    memset(&s, 0, sizeof s);
    s.uptime = (s64)(arch_time_ns() / NS_PER_SEC);
    load_average(s.loads);
    s.totalram = pages.total * PAGE_SIZE;
    s.freeram = pages.free * PAGE_SIZE;
    s.sharedram = object_pages_total() * PAGE_SIZE;
    s.procs = (u16)MIN(process_count(), 65535u);
    s.mem_unit = 1;
    return put_user(a[0], &s);
}

/* ---- the log ---- */

enum { LOG_READ = 2, LOG_READ_ALL = 3, LOG_READ_CLEAR = 4, LOG_CLEAR = 5, CONSOLE_OFF = 6, CONSOLE_ON = 7,
       CONSOLE_LEVEL = 8, LOG_UNREAD = 9, LOG_SIZE = 10 };
static u64 log_cleared;

static s64 log_copy(vaddr_t to, u64 size)
{
    u64 pos = MAX(log_cleared, log_end() > size ? log_end() - size : 0);
    size_t room = MIN(size, log_capacity()), n;
    char *text = kmem_alloc(room + 1);
    s64 result;

    if (!text)
        return -ENOMEM;
    n = log_read(&pos, text, room);
    result = copy_to_user(to, text, n) ? -EFAULT : (s64)n;
    kmem_free(text);
    return result;
}

SYSCALL(syslog)
{
    static int saved_level = -1; /* none */
    s64 result = 0;

    if (a[0] != LOG_READ_ALL && a[0] != LOG_SIZE && !cred_is_root())
        return -EPERM;
    switch (a[0]) {
    case LOG_READ_ALL:
    case LOG_READ_CLEAR:
        result = (s32)a[2] < 0 ? -EINVAL : log_copy(a[1], (u32)a[2]);
        if (a[0] == LOG_READ_CLEAR && result >= 0)
            log_cleared = log_end();
        return result;
    case LOG_CLEAR:
        log_cleared = log_end();
        return 0;
    case CONSOLE_OFF:
        if (saved_level < 0)
            saved_level = log_level();
        log_set_level(1);
        return 0;
    case CONSOLE_ON:
        if (saved_level >= 0)
            log_set_level(saved_level);
        saved_level = -1;
        return 0;
    case CONSOLE_LEVEL:
        if (a[2] < 1 || a[2] > 8)
            return -EINVAL;
        log_set_level((int)a[2]);
        saved_level = -1;
        return 0;
    case LOG_UNREAD:
        return (s64)(log_end() - MAX(log_cleared, log_start()));
    case LOG_SIZE:
        return (s64)log_capacity();
    case 0:
    case 1:
        return 0;
    }
    return -EINVAL;
}

/* ---- random numbers ---- */

SYSCALL(getrandom)
{
    u64 done = 0, n = MIN(a[1], (u64)INT32_MAX);
    u8 bytes[256];

    if (a[2] & ~7ul)
        return -EINVAL;
    while (done < n) {
        size_t part = MIN(n - done, sizeof bytes);
        random_bytes(bytes, part);
        if (copy_to_user(a[0] + done, bytes, part))
            return done ? (s64)done : -EFAULT;
        done += part;
        if (done < n && signal_pending())
            break;
    }
    return (s64)done;
}

/* ---- reboot ---- */

#define REBOOT_MAGIC1 0xfee1deadul
enum { REBOOT_HALT = 0xcdef0123, REBOOT_POWER_OFF = 0x4321fedc, REBOOT_RESTART = 0x01234567,
       REBOOT_RESTART2 = 0xa1b2c3d4, REBOOT_CAD_ON = 0x89abcdef, REBOOT_CAD_OFF = 0 };

static bool magic2_ok(u32 m)
{
    return m == 672274793 || m == 85072278 || m == 369367448 || m == 537993216;
}

static void __noreturn leave(unsigned status)
{
    console_drain();
    arch_poweroff(status);
}

/* RESTART2 with "ready": tells the host that the boot is over. With "exit=N": power off with status N, for who runs
 * this in an emulator; else a restart. */
static s64 restart_with(vaddr_t words)
{
    char command[32];
    ssize_t n = copy_string_from_user(command, words, sizeof command);
    unsigned status = 0;

    if (n < 0)
        return n;
    if (strcmp(command, "ready") == 0) {
        console_event('S');
        return 0;
    }
    if (strncmp(command, "exit=", 5) == 0) {
        for (const char *p = command + 5; *p >= '0' && *p <= '9'; p++)
            status = (status * 10 + (unsigned)(*p - '0')) & 0xff;
        leave(status);
    }
    console_drain();
    arch_reboot();
}

SYSCALL(reboot)
{
    if (!cred_is_root())
        return -EPERM;
    if ((u32)a[0] != REBOOT_MAGIC1 || !magic2_ok((u32)a[1]))
        return -EINVAL;
    switch ((u32)a[2]) {
    case REBOOT_HALT:
    case REBOOT_POWER_OFF:
        leave(0);
    case REBOOT_RESTART:
        console_drain();
        arch_reboot();
    case REBOOT_RESTART2:
        return restart_with(a[3]);
    case REBOOT_CAD_ON:
    case REBOOT_CAD_OFF:
        return 0;
    }
    return -EINVAL;
}
