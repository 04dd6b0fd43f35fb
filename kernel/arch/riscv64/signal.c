/*
 * The signal frame on the user's stack, in Linux's layout (asm/ucontext.h,
 * asm/sigcontext.h): siginfo, then ucontext with registers and the state of the
 * floating-point unit.
 */
#include "lib/errno.h"
#include "lib/string.h"
#include "machine.h"
#include "proc/ksigframe.h"
#include "vm/uaccess.h"

struct sigcontext {
    u64 regs[32]; /* pc first */
    union {
        struct {
            u64 f[32];
            u32 fcsr;
        } d;
        u8 q[528];
    } fp;
} __attribute__((aligned(16)));

struct ucontext {
    u64 flags, link;
    struct {
        u64 sp;
        s32 flags;
        u32 pad;
        u64 size;
    } stack;
    u64 sigmask;
    u8 unused[120];
    struct sigcontext mcontext;
};

struct sigframe {
    struct siginfo info;
    struct ucontext uc;
};
_Static_assert(sizeof(struct sigframe) == 1088, "Linux's AT_MINSIGSTKSZ");

static void frame_fill(struct sigframe *f, struct trapframe *tf, const struct ksigframe_args *a)
{
    struct fpu_state *fpu = &current->fpu;

    memset(f, 0, sizeof *f);
    f->info = *a->info;
    f->uc.stack.sp = a->altstack.sp;
    f->uc.stack.flags = (s32)a->altstack.flags;
    f->uc.stack.size = a->altstack.size;
    f->uc.sigmask = a->mask;
    memcpy(f->uc.mcontext.regs, tf->regs, sizeof tf->regs);
    arch_fpu_save(fpu);
    if (fpu->valid) {
        memcpy(f->uc.mcontext.fp.d.f, fpu->f, sizeof fpu->f);
        f->uc.mcontext.fp.d.fcsr = fpu->fcsr;
    }
}

int arch_signal_deliver(struct trapframe *tf, const struct ksigframe_args *a)
{
    vaddr_t sp = ROUND_DOWN(a->sp - sizeof(struct sigframe), 16ul);
    struct sigframe f;

    if (a->sp < sizeof f)
        return -EFAULT;
    frame_fill(&f, tf, a);
    if (copy_to_user(sp, &f, sizeof f))
        return -EFAULT;
    tf->regs[0] = a->handler;
    tf->regs[REG_RA] = a->sigreturn;
    tf->regs[REG_SP] = sp;
    tf->regs[REG_A0] = (u64)a->signo;
    tf->regs[REG_A0 + 1] = sp + offsetof(struct sigframe, info);
    tf->regs[REG_A0 + 2] = sp + offsetof(struct sigframe, uc);
    return 0;
}

/* Nothing that the user wrote reaches sstatus. */
int arch_signal_return(struct trapframe *tf, u64 *mask_out, struct ksigframe_args *a)
{
    struct fpu_state *fpu = &current->fpu;
    struct ucontext uc;

    if (copy_from_user(&uc, tf->regs[REG_SP] + offsetof(struct sigframe, uc), sizeof uc))
        return -EFAULT;
    arch_fpu_save(fpu); /* off: the next use loads what comes now */
    memcpy(fpu->f, uc.mcontext.fp.d.f, sizeof fpu->f);
    fpu->fcsr = uc.mcontext.fp.d.fcsr;
    fpu->valid = true;
    memcpy(tf->regs, uc.mcontext.regs, sizeof tf->regs);
    *mask_out = uc.sigmask;
    a->altstack.sp = uc.stack.sp;
    a->altstack.size = uc.stack.size;
    a->altstack.flags = (u32)uc.stack.flags;
    return 0;
}
