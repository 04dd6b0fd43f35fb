/*
 * The signal frame on the user's stack, in Linux's layout (asm/sigcontext.h,
 * asm/ucontext.h): the address that the handler returns to, ucontext with the
 * registers, siginfo; above it the state of the floating-point unit as XSAVE
 * writes it, with Linux's marks in the bytes that are left to software.
 */
#include "lib/errno.h"
#include "lib/string.h"
#include "machine.h"
#include "proc/ksigframe.h"
#include "vm/uaccess.h"

#define UC_FP_XSTATE 1u
#define UC_SIGCONTEXT_SS 2u
#define UC_STRICT_RESTORE_SS 4u
#define FP_MAGIC1 0x46505853u
#define FP_MAGIC2 0x46505845u
#define RED_ZONE 128
#define AREA_LEGACY 512
#define AREA_HEADER 64
#define USER_FLAGS 0x50dd5ul /* AC, RF, OF, DF, TF, SF, ZF, AF, PF, CF */

struct sigcontext {
    u64 r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
    u16 cs, gs, fs, ss;
    u64 error, trap, oldmask, cr2, fpstate, reserved[8];
};
_Static_assert(sizeof(struct sigcontext) == 256, "Linux's ABI");

struct ucontext {
    u64 flags, link;
    struct {
        u64 sp;
        s32 flags;
        u32 pad;
        u64 size;
    } stack;
    struct sigcontext mcontext;
    u64 sigmask;
};
_Static_assert(sizeof(struct ucontext) == 304, "Linux's ABI");

struct sigframe {
    u64 sigreturn;
    struct ucontext uc;
    struct siginfo info;
};

struct fp_software { /* struct _fpx_sw_bytes */
    u32 magic1, extended_size;
    u64 features;
    u32 size, padding[7];
};
struct fp_frame {
    union {
        u8 bytes[XSAVE_SIZE];
        struct {
            u8 before[464];
            struct fp_software software;
            u64 features, compacted, reserved[6]; /* the header */
        };
    };
    u32 magic2;
};
#define FP_FRAME_SIZE (offsetof(struct fp_frame, magic2) + sizeof(u32)) /* without the padding behind it */
_Static_assert(offsetof(struct fp_frame, features) == AREA_LEGACY, "SDM volume 1, section 13.4.1");
_Static_assert(sizeof(struct sigframe) + sizeof(struct fp_frame) + RED_ZONE + 64 + 16 <= ARCH_MINSIGSTKSZ, "it fits");

static void save_registers(struct sigcontext *c, const struct trapframe *tf)
{
    *c = (struct sigcontext){
        .r8 = tf->r8, .r9 = tf->r9, .r10 = tf->r10, .r11 = tf->r11, .r12 = tf->r12, .r13 = tf->r13, .r14 = tf->r14,
        .r15 = tf->r15, .rdi = tf->rdi, .rsi = tf->rsi, .rbp = tf->rbp, .rbx = tf->rbx, .rdx = tf->rdx, .rax = tf->rax,
        .rcx = tf->rcx, .rsp = tf->rsp, .rip = tf->rip, .rflags = tf->rflags, .cs = USER_CS, .ss = USER_DS,
        .error = tf->trap < VECTOR_IRQ ? tf->error : 0, .trap = tf->trap < VECTOR_IRQ ? tf->trap : 0, .cr2 = tf->address};
}

/* Selectors stay ours, and of the flags those that are not the user's. */
static void load_registers(struct trapframe *tf, const struct sigcontext *c)
{
    tf->r8 = c->r8, tf->r9 = c->r9, tf->r10 = c->r10, tf->r11 = c->r11, tf->r12 = c->r12, tf->r13 = c->r13;
    tf->r14 = c->r14, tf->r15 = c->r15, tf->rdi = c->rdi, tf->rsi = c->rsi, tf->rbp = c->rbp, tf->rbx = c->rbx;
    tf->rdx = c->rdx, tf->rax = c->rax, tf->rcx = c->rcx, tf->rsp = c->rsp, tf->rip = c->rip;
    tf->rflags = (tf->rflags & ~USER_FLAGS) | (c->rflags & USER_FLAGS);
}

/* The state, marked; the handler begins with the initial one. */
static void save_fp(struct fp_frame *f)
{
    struct fpu_state *fpu = &current->fpu;

    arch_fpu_save(fpu);
    fpu_make_valid(fpu); /* a handler before this one, that has not begun yet, has the initial state */
    memcpy(f->bytes, fpu_area(fpu), XSAVE_SIZE);
    f->software = (struct fp_software){FP_MAGIC1, FP_FRAME_SIZE, fpu_features, XSAVE_SIZE, {0}};
    f->magic2 = FP_MAGIC2;
    fpu->valid = false;
}

int arch_signal_deliver(struct trapframe *tf, const struct ksigframe_args *a)
{
    vaddr_t fp_at = ROUND_DOWN(a->sp - RED_ZONE - sizeof(struct fp_frame), 64ul);
    vaddr_t sp = ROUND_DOWN(fp_at - sizeof(struct sigframe), 16ul) - 8;
    struct sigframe f = {.sigreturn = a->sigreturn, .info = *a->info};
    struct fp_frame fp;

    if (a->sp < ARCH_MINSIGSTKSZ)
        return -EFAULT;
    f.uc.flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
    f.uc.stack.sp = a->altstack.sp;
    f.uc.stack.flags = (s32)a->altstack.flags;
    f.uc.stack.size = a->altstack.size;
    f.uc.sigmask = a->mask;
    save_registers(&f.uc.mcontext, tf);
    f.uc.mcontext.fpstate = fp_at;
    save_fp(&fp);
    if (copy_to_user(fp_at, &fp, FP_FRAME_SIZE) || copy_to_user(sp, &f, sizeof f))
        return -EFAULT;
    tf->rip = a->handler;
    tf->rsp = sp;
    tf->rdi = (u64)a->signo;
    tf->rsi = sp + offsetof(struct sigframe, info);
    tf->rdx = sp + offsetof(struct sigframe, uc);
    tf->rax = 0;
    tf->rflags &= ~(RFLAGS_DF | RFLAGS_RF | RFLAGS_TF);
    return 0;
}

/*
 * Whatever the user wrote, XRSTOR must not fault on it: only features that there
 * are, the standard form, no reserved bits. A frame without the marks has the
 * legacy part only.
 */
static int load_fp(vaddr_t at)
{
    struct fpu_state *fpu = &current->fpu;
    struct fp_frame f = {0};
    u32 mxcsr;

    arch_fpu_save(fpu);
    fpu->valid = false;
    if (!at)
        return 0;
    if (copy_from_user(f.bytes, at, AREA_LEGACY))
        return -EFAULT;
    if (f.software.magic1 == FP_MAGIC1 && f.software.size == XSAVE_SIZE) {
        if (copy_from_user(&f, at, FP_FRAME_SIZE))
            return -EFAULT;
    }
    f.features = f.magic2 == FP_MAGIC2 ? f.features & fpu_features : 3;
    f.compacted = 0;
    memset(f.reserved, 0, sizeof f.reserved);
    memcpy(&mxcsr, f.bytes + 24, sizeof mxcsr);
    mxcsr &= fpu_mxcsr_mask;
    memcpy(f.bytes + 24, &mxcsr, sizeof mxcsr);
    memcpy(fpu_area(fpu), f.bytes, XSAVE_SIZE);
    fpu->valid = true;
    return 0;
}

/* The handler's return has taken the address of sigreturn off the stack. */
int arch_signal_return(struct trapframe *tf, u64 *mask_out, struct ksigframe_args *a)
{
    struct ucontext uc;

    if (copy_from_user(&uc, tf->rsp - 8 + offsetof(struct sigframe, uc), sizeof uc) || load_fp(uc.mcontext.fpstate))
        return -EFAULT;
    load_registers(tf, &uc.mcontext);
    *mask_out = uc.sigmask;
    a->altstack.sp = uc.stack.sp;
    a->altstack.size = uc.stack.size;
    a->altstack.flags = (u32)uc.stack.flags;
    return 0;
}
