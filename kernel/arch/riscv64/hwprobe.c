/* System calls that only this machine has. */
#include "machine.h"
#include "proc/remote.h"
#include "sys/syscall.h"
#include "vm/uaccess.h"

enum { KEY_MVENDORID, KEY_MARCHID, KEY_MIMPID, KEY_BASE_BEHAVIOR, KEY_IMA_EXT_0, KEY_CPUPERF_0 };
#define BASE_BEHAVIOR_IMA 1ul
#define IMA_FD 1ul
#define IMA_C 2ul
#define PAIRS_MAX 1024

struct pair {
    s64 key;
    u64 value;
};

static void answer(struct pair *p)
{
    switch (p->key) {
    case KEY_BASE_BEHAVIOR:
        p->value = BASE_BEHAVIOR_IMA;
        break;
    case KEY_IMA_EXT_0:
        p->value = IMA_FD | IMA_C;
        break;
    case KEY_MVENDORID:
    case KEY_MARCHID:
    case KEY_MIMPID:
    case KEY_CPUPERF_0:
        p->value = 0; /* unknown */
        break;
    default:
        *p = (struct pair){-1, 0};
    }
}

/* riscv_hwprobe(pairs, count, cpusetsize, cpus, flags) */
SYSCALL(riscv_hwprobe)
{
    struct pair p;

    if (a[4] || a[1] > PAIRS_MAX)
        return -EINVAL;
    for (u64 i = 0; i < a[1]; i++) {
        if (get_user(&p, a[0] + i * sizeof p))
            return -EFAULT;
        answer(&p);
        if (put_user(a[0] + i * sizeof p, &p))
            return -EFAULT;
    }
    return 0;
}

SYSCALL(riscv_flush_icache)
{
    if (a[2] & ~1ul)
        return -EINVAL;
    preempt_disable();
    arch_icache_sync_local();
    remote_icache_sync(cpus_online_mask() & ~(1ul << arch_this_cpu()->id));
    preempt_enable();
    return 0;
}
