/*
 * Signals: sending, queueing, delivery, job control.
 *
 * A signal is pending for a thread or for the process; delivery picks an
 * unblocked one on the way back to user mode (signal_handle). Standard signals
 * are not queued twice; real-time ones are, up to RLIMIT_SIGPENDING.
 * Lock: process->siglock (RANK_SIGNAL) for everything pending and for the
 * actions; thread->need_signal says "look" and is set by whoever makes
 * something deliverable.
 */
#pragma once
#include "lib/list.h"
#include "lib/lock.h"
#include "lib/refcount.h"
#include "lib/types.h"
#include <machine/arch.h>
#include "proc/ksigframe.h" /* struct ksigframe_args, struct siginfo (Linux's 128-byte layout) */

#define SIGHUP 1
#define SIGINT 2
#define SIGQUIT 3
#define SIGILL 4
#define SIGTRAP 5
#define SIGABRT 6
#define SIGBUS 7
#define SIGFPE 8
#define SIGKILL 9
#define SIGUSR1 10
#define SIGSEGV 11
#define SIGUSR2 12
#define SIGPIPE 13
#define SIGALRM 14
#define SIGTERM 15
#define SIGSTKFLT 16
#define SIGCHLD 17
#define SIGCONT 18
#define SIGSTOP 19
#define SIGTSTP 20
#define SIGTTIN 21
#define SIGTTOU 22
#define SIGURG 23
#define SIGXCPU 24
#define SIGXFSZ 25
#define SIGVTALRM 26
#define SIGPROF 27
#define SIGWINCH 28
#define SIGIO 29
#define SIGPWR 30
#define SIGSYS 31
#define SIG_COUNT 64
#define SIG_BIT(n) (1ul << ((n) - 1))

#define SI_USER 0
#define SI_KERNEL 0x80
#define SI_QUEUE (-1)
#define SI_TIMER (-2)
#define SI_TKILL (-6)
#define CLD_EXITED 1
#define CLD_KILLED 2
#define CLD_DUMPED 3
#define CLD_STOPPED 5
#define CLD_CONTINUED 6
#define SEGV_MAPERR 1
#define SEGV_ACCERR 2
#define BUS_ADRALN 1
#define BUS_ADRERR 2
#define ILL_ILLOPC 1
#define TRAP_BRKPT 1

#define SIG_DFL 0
#define SIG_IGN 1
#define SA_NOCLDSTOP 1u
#define SA_NOCLDWAIT 2u
#define SA_SIGINFO 4u
#define SA_RESTORER 0x04000000u
#define SA_ONSTACK 0x08000000u
#define SA_RESTART 0x10000000u
#define SA_NODEFER 0x40000000u
#define SA_RESETHAND 0x80000000u

struct thread;
struct process;
struct signal_queue; /* proc/sched.h */
struct trapframe;

struct signal_action {
    vaddr_t handler; /* SIG_DFL, SIG_IGN or an address */
    u64 flags, mask;
#ifdef ARCH_HAS_SA_RESTORER
    vaddr_t restorer; /* what the handler returns to; 0: SIGRETURN_ADDRESS */
#endif
};
static inline vaddr_t signal_restorer(const struct signal_action *a)
{
#ifdef ARCH_HAS_SA_RESTORER
    return a->restorer;
#else
    (void)a;
    return 0;
#endif
}

struct signal_actions { /* shared with CLONE_SIGHAND; lock of the process that acts */
    struct refcount refs;
    struct spinlock lock; /* RANK_ACTIONS, taken under siglock */
    u64 set;              /* which of the following have ever been set; the others are the default, and not to be read */
    struct signal_action action[SIG_COUNT];
};
/* The lock held: reads an action; makes one the default; sets it. */
struct signal_action signal_action_get_locked(const struct signal_actions *a, int signo);
void signal_action_set_locked(struct signal_actions *a, int signo, struct signal_action action);
struct signal_actions *signal_actions_create(void);
struct signal_actions *signal_actions_copy(struct signal_actions *a);
void signal_actions_fill(struct signal_actions *fresh, struct signal_actions *from); /* fresh: created, and nobody has seen it */
void signal_actions_put(struct signal_actions *a);
void signal_actions_reset(struct signal_actions *a, u64 defaults); /* exec: handlers become SIG_DFL, and these in any case */
void signal_queue_init(struct signal_queue *q);
void signal_queue_clear(struct signal_queue *q);

/* Sends. info NULL: from the kernel. 0 or -EAGAIN (no room for a real-time signal). No spin lock held but process_lock. */
int signal_send_process(struct process *p, int signo, const struct siginfo *info);
int signal_send_thread(struct thread *t, int signo, const struct siginfo *info);
/* A timer's signal is queued even if one of its number is pending. t NULL: to the process. False: it was not queued. */
bool signal_send_timer(struct process *p, struct thread *t, const struct siginfo *info);
/* Takes it back, if it has not been delivered: there is never more than one of a timer. */
void signal_recall_timer(struct process *p, struct thread *t, int signo, s32 timer_id);
int signal_send_process_locked(struct process *p, int signo, const struct siginfo *info); /* process_lock held */
/* Together with others, who are sent it before process_lock is dropped: children that are being made get it, too (fork.c). */
int signal_send_member_locked(struct process *p, int signo, const struct siginfo *info);
void signal_send_pgrp(u32 pgid, int signo, const struct siginfo *info); /* every member; takes process_lock */
/* A fault of the running thread: cannot be blocked or ignored (then it kills). */
void signal_fault(int signo, int code, vaddr_t addr);

/* On the way back to user mode, interrupts on: delivers, stops, kills, restarts system calls. */
void signal_handle(struct trapframe *tf);
bool signal_pending(void); /* of the running thread: would a sleep be interrupted? */
bool signal_fatal_pending(void); /* … a killable one? */

u64 signal_pending_of(u64 which); /* of these, what is pending for the running thread, blocked or not */
void signalfd_wake(void);        /* fs/signalfd.c: there is something new; any lock but a wait queue's may be held */

/* Between signal.c, signal_deliver.c and sys/signal.c; _locked: siglock. */
struct signal_action signal_action_get(struct process *p, int signo);
/* The same, for delivery: with SA_RESETHAND nobody finds it again. */
struct signal_action signal_action_take(struct process *p, int signo);
bool signal_is_ignored(struct process *p, int signo), signal_ignores_children(struct process *p);
bool signal_ignored_by(const struct signal_action *a, int signo);
void signal_queue_flush(struct signal_queue *q, u64 which);
int signal_queue_take(struct signal_queue *q, u64 which, struct siginfo *info);
/* The next of `which` that is pending for the running thread: its number, or 0. wait: if there is none, the thread waits
 * for them from now on (sigwaiting), until signal_wait_end. */
int signal_take(u64 which, bool wait, struct siginfo *info);
void signal_wait_end(void);
void signal_recalculate_locked(struct thread *t);
void signal_tell_parent(struct process *p, int code, int status); /* CLD_*: stopped, continued */
/* The running thread's mask; SIGKILL and SIGSTOP are taken out. */
void signal_mask_set(u64 mask);
/* Sleep with another mask (sigsuspend, ppoll, pselect): installed now, the old one restored after delivery. */
void signal_mask_set_temporary(u64 mask);
/* Thread starts and ends. */
void signal_thread_init(struct thread *t, const struct thread *from, bool keep_altstack);
void signal_thread_exit_locked(struct thread *t); /* process_lock; it is no longer in the list */
