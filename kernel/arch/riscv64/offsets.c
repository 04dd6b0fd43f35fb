/* The assembly's offsets agree with the structures. */
#include "asm.h"
#include "machine.h"

_Static_assert(offsetof(struct cpu, thread) == CPU_CURRENT, "asm.h");
_Static_assert(offsetof(struct cpu, kernel_sp) == CPU_KERNEL_SP, "asm.h");
_Static_assert(offsetof(struct cpu, trap_scratch) == CPU_SCRATCH, "asm.h");
_Static_assert(sizeof(struct trapframe) == TF_SIZE, "asm.h");
_Static_assert(offsetof(struct trapframe, sstatus) == TF_SSTATUS, "asm.h");
_Static_assert(offsetof(struct trapframe, orig_a0) == TF_ORIG_A0, "asm.h");
_Static_assert(offsetof(struct trapframe, scause) == TF_SCAUSE, "asm.h");
_Static_assert(offsetof(struct trapframe, stval) == TF_STVAL, "asm.h");
_Static_assert(1ul << KSTACK_BIT == KSTACK_SIZE, "asm.h");
_Static_assert(SR_SUM == SSTATUS_SUM && SR_FS == SSTATUS_FS, "asm.h");
