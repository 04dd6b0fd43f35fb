/* The assembly's offsets agree with the structures. */
#include "asm.h"
#include "machine.h"

_Static_assert(offsetof(struct cpu, thread) == CPU_CURRENT, "asm.h");
_Static_assert(offsetof(struct cpu, kernel_sp) == CPU_KERNEL_SP, "asm.h");
_Static_assert(offsetof(struct cpu, trap_scratch[0]) == CPU_USER_SP, "asm.h");
_Static_assert(offsetof(struct cpu, trap_scratch[1]) == CPU_TSS, "asm.h");
_Static_assert(offsetof(struct cpu, trap_scratch[3]) == CPU_SELF, "asm.h");
_Static_assert(offsetof(struct tss, rsp0) == TSS_RSP0, "asm.h");
_Static_assert(sizeof(struct trapframe) == TF_SIZE, "asm.h");
_Static_assert(offsetof(struct trapframe, orig_rax) == TF_ORIG_RAX, "asm.h");
_Static_assert(offsetof(struct trapframe, r15) == TF_R15, "asm.h");
_Static_assert(offsetof(struct trapframe, rdi) == TF_RDI, "asm.h");
_Static_assert(offsetof(struct trapframe, trap) == TF_TRAP, "asm.h");
_Static_assert(offsetof(struct trapframe, cs) == TF_CS, "asm.h");
_Static_assert(offsetof(struct trapframe, rsp) == TF_RSP, "asm.h");
_Static_assert(TRAP_SYSCALL == 256, "trap.S");
_Static_assert(KSTACK_BYTES == KSTACK_SIZE, "asm.h");
_Static_assert(IMAGE_OFFSET == KERNEL_BASE, "asm.h");
_Static_assert((DIRECT_MAP >> 39 & 511) == 273, "entry.S");
