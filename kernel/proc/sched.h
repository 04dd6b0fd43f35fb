/*
 * Threads and the scheduler.
 *
 * One struct cpu for each CPU; per-CPU run queues, round robin by slices of
 * SLICE_NS, idle CPUs asleep and woken by an IPI. Kernel code is preemptible
 * unless interrupts are off or preempt_disable() is in force (a held spin lock
 * does both). Locks: cpu->lock (RANK_SCHED).
 */
#pragma once
#include "arch/arch.h"
#include "lib/list.h"
#include "lib/lock.h"
#include "lib/refcount.h"
#include "vm/tlb.h"

#define SLICE_NS 10000000ul

enum thread_state { THREAD_NEW, THREAD_RUNNABLE, THREAD_RUNNING, THREAD_SLEEPING, THREAD_STOPPED, THREAD_DEAD };

struct process;
struct vmspace;
void signal_handle(struct trapframe *tf); /* proc/signal.h */
bool signal_pending(void), signal_fatal_pending(void);

/* ---- timers: callbacks run in interrupt context ---- */
struct timer {
    struct list link;
    u64 deadline_ns;
    void (*fn)(struct timer *);
    struct cpu *cpu; /* where it was armed last; NULL: never */
    bool armed;
};

/* Pending signals of a thread or a process: proc/signal.c; siglock. */
struct signal_queue {
    u64 mask;           /* which */
    struct list queued; /* struct queued_signal, in order of arrival */
};

struct thread {
    struct list run_link;      /* run queue; cpu->lock */
    struct list process_link;  /* process->threads; RANK_PROC lock */
    void (*start_fn)(void *);  /* what a new thread runs */
    void *start_arg;
    struct context context;
    struct refcount refs;
    struct process *process;   /* NULL: a kernel thread */
    struct vmspace *vm;        /* what must be loaded while it runs; NULL: kernel only */
    u32 tid;
    _Atomic u32 state;         /* enum thread_state */
    u32 cpu;                   /* runs on, or ran last, or is on its way to: proc/sched.c */
    u64 cpus_allowed;
    s32 nice;
    u8 policy, rt_priority;    /* enum sched_policy; 1..99 for POLICY_FIFO and POLICY_RR, else 0; cpu->lock */
    bool reset_on_fork, yields; /* yields: it gives its turn up, and does not lose it */
    vaddr_t kstack;            /* lowest address; KSTACK_SIZE bytes */
    struct trapframe *frame;   /* user threads: top of the stack */
    struct fpu_state fpu;
    u32 interruptible;         /* enum sleep_kind of the present sleep */
    _Atomic bool need_signal;  /* look for signals before returning to user */
    u32 preempt_count;
    u64 utime_ns, stime_ns, last_ns;
    char comm[16];
    /* signals: proc/signal.h; under process->sig->lock */
    u64 sigmask, saved_sigmask, sigwaiting; /* sigwaiting: what sigtimedwait waits for */
    struct signal_queue pending;
    bool restore_sigmask;      /* sigsuspend, ppoll, pselect */
    bool by_real_ids;          /* access(2): its process's real ids count for files; its own */
    bool may_stop;             /* it has taken a signal to stop, and no SIGCONT has come since */
    struct { vaddr_t sp; u64 size; u32 flags; } altstack;
    vaddr_t clear_child_tid, set_child_tid, robust_list;
    struct list hash_link;     /* process.c: by tid; process_lock */
    u32 held_ranks[12], held_count; /* debug: mutex ranks held */
    struct { u32 kind; u64 deadline_ns, a, b; } restart; /* restart_syscall(2) */
    struct timer move_timer;   /* sched_move */
    u32 vm_depth;              /* vm/check.c: how often it is inside */
#ifdef COWSLIP_DEBUG
    _Atomic u64 alloc_plan;    /* vm/failnth.h; written by anybody */
    u32 alloc_exempt;          /* its own */
#endif
};

struct cpu {
    struct thread *thread;     /* the running one; first: arch_current() */
    u64 kernel_sp;             /* top of current's kernel stack */
    u64 trap_scratch[4];       /* arch entry code, which checks the offsets of all these */
    u32 id, hw_id;             /* id counts from 0 in order of coming up; hw_id is the machine's number */
    bool online, need_resched;
    u32 spin_depth;            /* spin locks held */
    bool spin_irq_saved;       /* interrupts were on at the outermost */
    u16 spin_ranks[8];
    struct thread *idle, *switched_from;
    struct vmspace *active_vm; /* loaded root; NULL: kernel's */
    struct tlb_asid asids[TLB_ASIDS]; /* vm/tlb.c: what is remembered here; interrupts off */
    u8 asid, asid_turn;        /* the index of active_vm's; the one that changes hands next */
    struct spinlock lock;      /* RANK_SCHED */
    struct list run_queue;
    u32 runnable;
    u64 slice_end_ns;
    u8 rank;                   /* rt_priority of the running thread */
    bool slice_over;           /* the slice has been used up */
    u64 realtime_since_ns;     /* real-time threads have had this CPU since then, and others want it; 0: they have not */
    struct list timers;        /* proc/timer.c, sorted; RANK_TIMER */
    u64 timer_floor_ns;        /* no timer runs before: too many did */
    u64 timer_set_ns;          /* what the hardware is set for; UINT64_MAX: nothing */
    struct spinlock timer_lock;
    struct timer *timer_running; /* its callback has not returned */
    u64 idle_ns, user_ns, system_ns, context_switches;
    struct page *page_cache[64]; /* vm/page.c: per-CPU cache of free pages, interrupts off */
    u32 page_cache_count;
    struct page *table_cache[2]; /* the same for empty tables, and for root tables */
    u32 table_cache_count[2];
    u64 vm_counters[64];       /* vm/vmstat.c */
    u8 overflow_stack[4096] __attribute__((aligned(16)));
};
extern struct cpu cpus[MAX_CPUS];
extern u32 cpu_count; /* online */

#define current arch_current()

void sched_init(void);                     /* boot CPU */
void thread_init(void);                    /* after page_init */
u32 thread_stacks_waiting(void);           /* kernel stacks that nobody has */
void thread_prepare(struct thread *t);     /* the context of a new thread; for thread_alloc */
void thread_wake(struct thread *t);        /* from a sleep; nothing if it does not sleep */
/* need_signal has been set: ends an interruptible sleep, or brings t into the kernel. */
void thread_signal_wake(struct thread *t);
bool sched_cpu_prepare(struct cpu *c);         /* before a CPU's start: makes its idle thread. False: no memory */
void sched_cpu_main(struct cpu *c) __noreturn; /* a CPU's life after its start: idle loop */
/* Work before the return to user mode: interrupts on; asked for again until nothing is pending (looked at with them off). */
static inline bool return_to_user_pending(void);
void return_to_user_work(struct trapframe *tf);

/* Fills unused stack below the caller with a marker: what a system call hands out and has not set is known by it
 * (test/boot/programs/callfuzz.c). Debug builds. */
#ifdef COWSLIP_DEBUG
void stack_poison_below(void);
#else
static inline void stack_poison_below(void)
{
}
#endif
/* A thread of the kernel's own, not yet runnable. NULL: no memory. */
struct thread *kthread_create(void (*fn)(void *), void *arg, const char *name);
/* The bare thread with a kernel stack that will start in fn(arg); for fork. */
struct thread *thread_alloc(void (*fn)(void *), void *arg);
void thread_get(struct thread *t);
void thread_put(struct thread *t); /* the last one frees stack and all; never the running thread's own last */
void thread_start(struct thread *t); /* makes a new one runnable */
void thread_exit(void) __noreturn;   /* the running thread ends; its reference is dropped by the next one */

/* The running thread uses this address space from now on (NULL: none), and nothing of the old one is left on this CPU. */
void sched_set_vm(struct vmspace *vm);
/* Linux's numbers (sched(7)). By nice alone: the first, and two that are treated as it is. */
enum sched_policy { POLICY_OTHER, POLICY_FIFO, POLICY_RR, POLICY_BATCH, POLICY_IDLE = 5 };
#define RT_PRIORITY_MAX 99
void sched_policy_set(struct thread *t, enum sched_policy policy, u8 rt_priority); /* it goes behind its equals */
u64 sched_slice_ns(const struct thread *t); /* 0: as long as it likes */
void sched_move(void); /* the running thread leaves a CPU that it may no longer use */
void sched_yield(void);
void schedule(void);           /* gives up the CPU; state says what comes next */
void preempt_check(void);      /* at the end of an interrupt that came from preemptible code, and before user mode */
void sched_ipi(void);          /* arch: an IPI came */
void timer_interrupt(void);    /* arch: the timer fired */
u64 cpus_online_mask(void);
void sched_sample(void);      /* brings the CPUs' idle and busy times up to now */
u32 sched_runnable(void);     /* threads that run or could */

#ifndef COWSLIP_HOST
static inline void preempt_disable(void)
{
    current->preempt_count++;
    __asm__ volatile("" ::: "memory");
}

/* Reschedules if that was asked for meanwhile. */
static inline void preempt_enable(void)
{
    __asm__ volatile("" ::: "memory");
    if (--current->preempt_count == 0 && unlikely(arch_this_cpu()->need_resched) && arch_irq_enabled())
        preempt_check();
}
#else
void preempt_disable(void);
void preempt_enable(void);
#endif

static inline bool return_to_user_pending(void)
{
    return arch_this_cpu()->need_resched || atomic_load_explicit(&current->need_signal, memory_order_relaxed);
}

/* At the border between user and kernel: charges the time since the last one. */
static inline void sched_account(bool to_user)
{
    struct thread *t = current;
    struct cpu *c = arch_this_cpu();
    u64 now = arch_time_ns(), spent = now - t->last_ns;

    t->last_ns = now;
    *(to_user ? &t->stime_ns : &t->utime_ns) += spent;
    *(to_user ? &c->system_ns : &c->user_ns) += spent;
}

/* ---- sleeping ---- */
/*
 * The pattern: 
 *     struct waiter w;
 *     waiter_add(&q, &w, kind);
 *     while (!condition) { err = wait_block(&w, deadline); if (err) break; }    (and look once more)
 *     waiter_remove(&w);
 * or wait_event(q, cond, kind, deadline) which does that. A wake between the test of the condition and the
 * block is not lost.
 */
enum sleep_kind { SLEEP_FIRMLY, SLEEP_INTERRUPTIBLE, SLEEP_KILLABLE };
struct waiter {
    struct list link;
    struct waitq *q;
    struct thread *thread;
    _Atomic u32 woken;
    unsigned kind; /* enum sleep_kind */
    void (*notify)(struct waiter *w); /* instead of waking a thread; the queue is locked */
    void *owner;   /* notify's */
};
void waitq_init(struct waitq *q);
void waiter_add(struct waitq *q, struct waiter *w, unsigned kind);
/* Sleeps until woken. 0; -ERESTARTSYS if a signal is pending that the kind of sleep heeds; -ETIMEDOUT (deadline in ns since boot, UINT64_MAX: none). */
int wait_block(struct waiter *w, u64 deadline_ns) __must_check;
/* For one thread on several queues (poll): sleeps until any of the n was woken. */
int wait_block_many(struct waiter *w, unsigned n, unsigned kind, u64 deadline_ns) __must_check;
void waiter_add_notify(struct waitq *q, struct waiter *w, void (*notify)(struct waiter *w), void *owner);
void waiter_remove(struct waiter *w); /* no wake of it is under way any more */
void waitq_wake_one(struct waitq *q);
void waitq_wake_all(struct waitq *q);
/* The condition comes before a signal or the deadline: it may have done something (taken a lock, reaped a child). */
#define wait_event(q, cond, kind, deadline)              \
    ({                                                   \
        struct waiter _w;                                \
        int _err = 0;                                    \
        waiter_add((q), &_w, (kind));                    \
        for (;;) {                                       \
            if (cond) {                                  \
                _err = 0;                                \
                break;                                   \
            }                                            \
            if (_err)                                    \
                break;                                   \
            _err = wait_block(&_w, (deadline));          \
        }                                                \
        waiter_remove(&_w);                              \
        _err;                                            \
    })

/* ---- timers ---- */
void timer_arm(struct timer *t, u64 deadline_ns);
void timer_program(struct cpu *c); /* sets the hardware for what comes first; for the scheduler, as timers_run */
void timers_run(struct cpu *c);
bool timer_cancel(struct timer *t); /* true: it was armed, and will not fire; in any case no callback of it is under way */
