/* From the system-call number to its handler. */
#include "lib/bootargs.h"
#include "lib/print.h"
#include "lib/string.h"
#include "proc/process.h"
#include "sys/syscall.h"
#include <machine/syscalls.h>

#define X(number, name) SYSCALL(name);
MACHINE_SYSCALLS(X)
#undef X

static s64 (*const table[])(const u64 *a) = {
#define X(number, name) [number] = sys_##name,
    MACHINE_SYSCALLS(X)
#undef X
};

static bool trace;
static u64 traced[ARRAY_SIZE(table) / 64 + 9]; /* numbers that have been reported */

void syscall_init(void)
{
    trace = bootarg("cowslip.trace") != NULL;
}

/* Once for each number: which program wanted what there is not. */
static s64 unknown(u64 number)
{
    u64 slot = number / 64, bit = 1ul << number % 64;

    if (trace && slot < ARRAY_SIZE(traced) && !(__atomic_fetch_or(&traced[slot], bit, __ATOMIC_RELAXED) & bit))
        printk(LOG_NOTICE, "%s (%u): unknown system call %lu", current->comm, current_process()->pid, number);
    return -ENOSYS;
}

void syscall_dispatch(struct trapframe *tf)
{
    u64 number = tf_syscall_number(tf), args[6];
    s64 result;

    for (unsigned i = 0; i < 6; i++)
        args[i] = tf_syscall_arg(tf, i);
    current->frame = tf;
    stack_poison_below();
    if (number < ARRAY_SIZE(table) && table[number])
        result = table[number](args);
    else
        result = unknown(number);
    if (!tf_in_syscall(tf)) /* exec and sigreturn have made the frame anew */
        return;
    tf_set_result(tf, (u64)result);
    if (result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK)
        atomic_store(&current->need_signal, true); /* signal_handle decides how it ends */
}
