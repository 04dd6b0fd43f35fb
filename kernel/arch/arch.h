/*
 * What a machine provides. Everything else in the kernel is portable.
 *
 * The machine's side never allocates, counts or takes portable locks. The
 * page-table codec is in <machine/pte.h>; constants of layout and the trap
 * frame in <machine/arch.h>. What a function leaves out is said in its comment.
 */
#pragma once
#include "lib/types.h"
#include <machine/arch.h> /* struct trapframe, struct context, struct fpu_state, KERNEL_BASE, DIRECT_MAP, ... */
#include <machine/pte.h>

#define MAX_CPUS 8
#define KSTACK_SIZE (16 * 1024ul)

/* ---- this CPU ---- */
struct cpu; /* proc/sched.h */
struct thread;
#ifndef COWSLIP_HOST
static inline struct cpu *arch_this_cpu(void);   /* valid only while preemption is off */
static inline struct thread *arch_current(void); /* the running thread, always right */
static inline bool arch_irq_save(void);          /* turns interrupts off; returns whether they were on */
static inline void arch_irq_restore(bool on);
static inline bool arch_irq_enabled(void);
static inline void arch_irq_enable(void);
static inline void arch_irq_disable(void);
static inline void arch_cpu_relax(void); /* in a spin loop */
#else
struct cpu *arch_this_cpu(void);
struct thread *arch_current(void);
bool arch_irq_save(void);
void arch_irq_restore(bool on);
void arch_cpu_relax(void);
#endif
/* Sleeps until an interrupt is pending. Called with interrupts off; returns with them off and the interrupt not yet taken. */
void arch_cpu_idle(void);

/* ---- CPUs ---- */
/* Starts every other CPU that the platform reports (no more than MAX_CPUS); each calls sched_cpu_main() with its own struct cpu. */
void arch_start_cpus(void);
void arch_send_ipi(u64 cpus); /* makes each CPU of the mask take an interrupt, which calls sched_ipi() there */
void arch_halt_other_cpus(void); /* for panic: asks them to stop */

/* ---- time ---- */
#ifndef COWSLIP_HOST
static inline u64 arch_time_ns(void); /* monotonic since boot */
#else
u64 arch_time_ns(void);
#endif
void arch_timer_set(u64 deadline_ns); /* this CPU's one-shot timer: calls timer_interrupt(); UINT64_MAX cancels */
u64 arch_wallclock_ns(void);          /* since 1970, at boot, from a real-time clock; 0 if there is none */

/* ---- address spaces ---- */
/* Fills the kernel's part of a new root table (the user's part is left alone). Kernel entries are never counted. */
void arch_root_init(pte_t *root);
/*
 * Switches this CPU to the root table; interrupts are off. What it remembers from
 * now on is this address-space identifier's (1 to TLB_ASIDS; vm/tlb.h), and with
 * `flush` nothing that it has remembered under that is used any more.
 */
void arch_activate(paddr_t root, unsigned asid, bool flush);
bool arch_has_asids(void); /* if not, it is always asked to flush */
void arch_activate_kernel(void); /* the root with no user part: identifier 0; what the others have is kept */
/*
 * This CPU's flushes (those of others: proc/remote.h). That of one page covers
 * its leaf entry only, of the loaded address space or of the kernel; after a
 * change of any table edge use the _all form (privileged specification, section
 * 4.2.1), which covers all that is remembered of the loaded address space. The
 * last covers everything: the kernel's mappings, and all identifiers.
 */
void arch_flush_local_page(vaddr_t va);
void arch_flush_local_all(void);
void arch_flush_local_kernel(void);
void arch_icache_sync_local(void);

#ifndef COWSLIP_HOST
static inline void *arch_phys_to_virt(paddr_t pa); /* through the direct map of RAM */
static inline paddr_t arch_virt_to_phys(const void *va); /* of a direct-map address */
static inline u64 arch_vdso_tick(void); /* of the counter that user mode reads, in units of 2^-32 ns; 0: it reads none */
#else
void *arch_phys_to_virt(paddr_t pa);
paddr_t arch_virt_to_phys(const void *va);
#endif
/* Uncached registers, read-write, for ever. Before other CPUs are started: none may remember that nothing was there. */
void *arch_map_device(paddr_t pa, size_t size);
/* What the kernel's tables map, leaf by leaf. `constant`: some of its memory is the image's code or constants. */
struct kernel_mapping {
    vaddr_t start;
    u64 size;
    bool writable, executable, user, constant;
};
typedef void (*kernel_mapping_fn)(const struct kernel_mapping *m, void *arg);
void arch_kernel_mappings(kernel_mapping_fn fn, void *arg);
paddr_t arch_image_phys(const void *p); /* of an address in the kernel's image */
#ifndef COWSLIP_HOST
/* Loads and stores of memory and of registers before it come before those after it, as devices see them, too. (A fence of
 * C11 orders memory alone, but as devices see it, too: that is enough between the parts of a ring.) */
static inline void arch_io_fence(void);
/* Registers of a byte each that may lie in a space of their own: device_regs is what they are found by. */
static inline u8 arch_reg_read(device_regs r, unsigned i);
static inline void arch_reg_write(device_regs r, unsigned i, u8 v);
#else
void arch_io_fence(void);
#endif
/* Maps and unmaps one kernel stack page in the stack area (guard pages are the ones left out); page tables for the
 * whole area exist from boot. */
void arch_kstack_map(vaddr_t va, paddr_t pa);
void arch_kstack_unmap(vaddr_t va);
/* Slots for kernel stacks: the lowest usable address of slot i; below it is unmapped space as large as a stack. */
u32 arch_kstack_slots(void);
vaddr_t arch_kstack_slot_base(u32 i);

/* ---- user memory: the only code that opens SUM/SMAP; called by vm/uaccess.c only ----
 * Each returns the number of bytes NOT copied (0: all). A fault on the user side goes through vm_fault; only if that
 * fails does the copy stop. The range has been checked to lie below USER_TOP. */
size_t arch_copy_from_user(void *dst, vaddr_t src, size_t n);
size_t arch_copy_to_user(vaddr_t dst, const void *src, size_t n);
size_t arch_clear_user(vaddr_t dst, size_t n);
/* Copies up to n bytes and stops after a NUL. Returns the length without the NUL, n if there was none, or -1 on a fault. */
ssize_t arch_strncpy_from_user(char *dst, vaddr_t src, size_t n);
/* 32-bit atomic on user memory: *old = *uaddr; if equal to expect, *uaddr = new. 0, or -1 on a fault. uaddr is aligned. */
int arch_cmpxchg_user32(vaddr_t uaddr, u32 expect, u32 new, u32 *old);

/* ---- threads ---- */
/* Saves callee-saved registers into *from and loads *to. Interrupts off, the run queue's lock held. */
void arch_context_switch(struct context *from, struct context *to);
/* Prepares a context that, when switched to, calls fn(arg) on the stack that ends at stack_top; fn does not return. */
void arch_context_init(struct context *c, vaddr_t stack_top, void (*fn)(void *), void *arg);
/* The trap frame of a user thread lies at the top of its kernel stack. */
struct trapframe *arch_user_frame(vaddr_t stack_top);
void arch_return_to_user(struct trapframe *tf) __noreturn; /* loads the frame; turns interrupts off itself */
void arch_fpu_save(struct fpu_state *s);          /* of the running thread, if it was used since the restore */
static inline void arch_fpu_copy(struct fpu_state *to, const struct fpu_state *from); /* of one that has been saved */

/* Trap frame accessors, so that portable code need not know register names. */
static inline u64 tf_syscall_number(const struct trapframe *tf);
static inline u64 tf_syscall_arg(const struct trapframe *tf, unsigned i); /* 0..5 */
static inline void tf_set_syscall_arg(struct trapframe *tf, unsigned i, u64 v); /* 1..5: for a call that is made again */
static inline void tf_set_result(struct trapframe *tf, u64 v);
static inline u64 tf_result(const struct trapframe *tf);
static inline vaddr_t tf_pc(const struct trapframe *tf);
static inline void tf_set_pc(struct trapframe *tf, vaddr_t pc);
static inline vaddr_t tf_sp(const struct trapframe *tf);
static inline void tf_set_sp(struct trapframe *tf, vaddr_t sp);
static inline vaddr_t tf_fp(const struct trapframe *tf);   /* the frame pointer */
static inline vaddr_t tf_link(const struct trapframe *tf); /* where a leaf function returns to; 0: that is on the stack */
static inline void tf_set_tls(struct trapframe *tf, u64 tls);
/* A fresh program: all registers zero but these. */
struct exec_start; /* proc/exec.h */
void arch_frame_exec(struct trapframe *tf, const struct exec_start *start);
/* Backs up to the system-call instruction and restores the argument that the result overwrote. */
static inline void tf_restart_syscall(struct trapframe *tf);

/* ---- signals: the frame in Linux's layout on the user stack ---- */
struct ksigframe_args; /* proc/signal.h */
int arch_signal_deliver(struct trapframe *tf, const struct ksigframe_args *a); /* 0 or -EFAULT */
/* Takes registers back from the frame at the stack pointer; a->altstack is what it says. 0 or -EFAULT */
int arch_signal_return(struct trapframe *tf, u64 *mask_out, struct ksigframe_args *a);

/* ---- the platform ---- */
struct platform_range {
    paddr_t base;
    u64 size;
};
struct platform {
    struct platform_range ram[8], reserved[16];
    unsigned ram_count, reserved_count;
    paddr_t initrd;
    u64 initrd_size;
    unsigned cpu_count;
    unsigned physical_bits; /* of an address, at most */
    char bootargs[2048];
    char model[64];
    u8 rng_seed[64]; /* /chosen/rng-seed, else zero */
    unsigned rng_seed_len;
    paddr_t uart;          /* 16550 registers, as arch_regs_map takes it; 0: none */
    unsigned uart_irq;
    struct virtio_place {
        paddr_t base;
        u64 size;
        unsigned line;
    } virtio[32];          /* where virtio devices may be, in memory */
    unsigned virtio_count;
    unsigned pci_buses;    /* 0: no PCI; else buses 0 to pci_buses - 1 may be asked about */
    struct {
        u64 bus_address, size; /* as the devices see it; size 0: the firmware has given them all their addresses */
        paddr_t base;
    } pci_window;          /* addresses that devices may be given */
};
extern struct platform platform; /* filled before kmain() */

void arch_poweroff(unsigned status) __noreturn; /* 0..255, for an emulator; waits until the console is drained */
void arch_reboot(void) __noreturn;
/* Interrupt lines, for dev/irq.c: while one is not masked, an interrupt calls irq_dispatch(line) on the boot CPU with
 * interrupts off. Both: on the boot CPU, with interrupts off. unmask: false: there is no such line. mask: false: it goes on,
 * as messages (below) do. */
bool arch_irq_unmask(unsigned line) __must_check;
bool arch_irq_mask(unsigned line) __must_check;
/* A line of its own for a device that interrupts by a store: of *data (32 bits) to *address. False: none is left, or this
 * machine has none. At boot. */
bool arch_irq_message(unsigned *line, u64 *address, u32 *data) __must_check;

/* PCI's configuration space, at boot, by one thread. place: bus << 8 | device << 3 | function; reg: a multiple of 4 below
 * 256. All ones where there is nothing. */
u32 arch_pci_read(unsigned place, unsigned reg);
void arch_pci_write(unsigned place, unsigned reg, u32 v);
/* The line that a device's interrupt pin (1 to 4) leads to; others may share it. False: not known. */
bool arch_pci_line(unsigned place, unsigned pin, unsigned *line) __must_check;
/* Whether va lies in one of this CPU's stacks for traps that the kernel stack cannot take; its bounds. */
bool arch_trap_stack_of(vaddr_t va, vaddr_t *start, vaddr_t *end);
void arch_backtrace(const struct trapframe *tf); /* backtrace.c; printk, with symbols; NULL: from the caller */
void arch_print_frame(const struct trapframe *tf);
void arch_early_putc(char c); /* the firmware's console: before there is a driver, and for panics */
/* The code that a signal handler returns to: position independent, mapped into every program by exec. */
extern const char sigreturn_code[], sigreturn_code_end[];

/* What the machine calls: */
void kmain(void) __noreturn;                 /* main.c: boot CPU, interrupts off, `platform` filled */
void panic_frame(const struct trapframe *tf, const char *fmt, ...) __printf_like(2, 3) __noreturn;
