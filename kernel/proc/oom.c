/* Memory has run out in the middle of a fault: the process that needed the page dies, and nobody else. */
#include "lib/print.h"
#include "proc/process.h"
#include "vm/count.h"
#include "vm/vm.h"

void oom_kill_current(const char *what)
{
    struct process *p = current_process();
    u64 kib = vm_resident(current->vm, 0, USER_TOP) * (PAGE_SIZE / 1024);

    printk(LOG_ERR, "out of memory: killed process %u (%s), %lu KiB resident: %s", p->pid, p->comm, kib, what);
    vm_count(VMC_oom_kill, 1);
    signal_send_process(p, SIGKILL, NULL);
}
