/*
 * Processes: what threads share, and how processes relate.
 *
 * A process has one or more threads, an address space, a file table, a place
 * in the file system, signal actions, credentials. clone(2) decides which of
 * them are shared; each of the shared parts has a count of its own.
 *
 * An exiting process gives back its address space and files before it becomes a
 * zombie. Locks: process_lock (RANK_PROC) protects the tree of processes, the
 * pid table, groups, sessions and the lists of threads; fields say otherwise.
 */
#pragma once
#include "lib/list.h"
#include "lib/lock.h"
#include "lib/refcount.h"
#include "proc/sched.h"
#include "proc/signal.h"

struct vmspace;
struct file;
struct personality; /* proc/personality.h */
struct file_table; /* fs/file.h */
struct fs_context; /* fs/file.h: root, working directory, umask */
struct tty;

#define NGROUPS 32
struct cred { /* changed by the owning process only; read by anybody under process->cred_lock or by the owner */
    u32 uid, euid, suid, fsuid;
    u32 gid, egid, sgid, fsgid;
    u32 group_count, groups[NGROUPS];
};

/* Linux's numbers (asm-generic/resource.h). */
enum rlimit_kind {
    RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_RSS, RLIMIT_NPROC, RLIMIT_NOFILE,
    RLIMIT_MEMLOCK, RLIMIT_AS, RLIMIT_LOCKS, RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_RTPRIO,
    RLIMIT_RTTIME, RLIMIT_COUNT
};
#define RLIM_INFINITY UINT64_MAX
struct rlimit {
    u64 cur, max;
};

struct session {
    struct refcount refs;
    u32 sid;
    struct tty *tty;      /* the controlling terminal; process_lock */
};

enum process_state { PROCESS_ALIVE, PROCESS_EXITING, PROCESS_ZOMBIE, PROCESS_REAPED };

struct process {
    struct refcount refs;
    u32 pid, pgid;              /* pgid: process_lock */
    struct session *session;    /* process_lock */
    struct process *parent;     /* process_lock; init's is NULL */
    struct list children, sibling_link, all_link, hash_link; /* process_lock */
    struct list threads;        /* thread.process_link; process_lock */
    u32 thread_count;
    struct thread *leader;
    enum process_state state;   /* process_lock */
    struct vmspace *vm;         /* changed by exec and exit under process_lock; process_vm_get() for others */
    struct file_table *files;   /* the same; others look with process_lock held */
    struct fs_context *fs;
    const struct personality *personality; /* changed by exec; the process's own threads read it */
    struct file *exe;           /* the running program, for /proc/PID/exe; process_lock */
    struct cred cred;           /* cred_lock for readers that are not the process itself */
    struct spinlock cred_lock;  /* RANK_SIGNAL */
    struct rlimit rlimit[RLIMIT_COUNT]; /* process_lock for writers */
    char comm[16];
    u64 start_ns;
    /* signals: proc/signal.c */
    struct signal_actions *actions; /* may be shared (CLONE_SIGHAND) */
    struct signal_queue pending;    /* for the process as a whole */
    _Atomic u32 signals_to_many;    /* how many became pending that were for others, too; process_lock for writers */
    struct spinlock siglock;        /* RANK_SIGNAL: pending, threads' pending, stop state */
    u32 exit_signal;                /* sent to the parent at exit; SIGCHLD mostly */
    bool stopped, stop_reported, continued_pending; /* job control; siglock */
    u32 stop_signal;
    bool group_exiting;             /* siglock: every thread is to go, with exit_status */
    int exit_status;                /* as wait(2) encodes it */
    s32 exit_code;                  /* what the program gave, all of it; 0 if it was killed */
    struct waitq child_wait;        /* wait4 sleeps here: a child changed state */
    struct waitq stop_wait;         /* stopped threads sleep here */
    struct waitq vfork_wait;        /* the parent of a vfork sleeps on the child's */
    bool vfork_done;
    bool did_exec, dumpable, no_new_privs;
    bool is_subreaper;
    u32 pdeath_signal;          /* prctl(PR_SET_PDEATHSIG) */
    u64 child_utime_ns, child_stime_ns; /* of reaped children; process_lock */
    u64 dead_utime_ns, dead_stime_ns;   /* of its own ended threads; process_lock */
    u64 faults_at_exit;
    struct thread *execing;     /* this thread replaces the program: the others are to go; siglock */
    struct waitq thread_wait;   /* the exec-ing thread waits here for them */
    struct { u64 minor, major; } child_faults;
    struct process_timers *timers;  /* proc/itimer.h; NULL: never had one */
    u32 oom_score_adj;
    struct list range_locks;        /* fs/lock.c, under its lock */
    u32 persona;                    /* personality(2) */
};

extern struct spinlock process_lock;
extern struct process *init_process;

void process_init(void);
/* Makes pid 1 out of nothing: runs `path` with argv/envp from the initramfs. Panics with a clear line if it cannot. */
void process_start_init(void);

static inline struct process *current_process(void)
{
    return current->process;
}

void process_get(struct process *p);
void process_put(struct process *p);
struct process *process_find(u32 pid);        /* with a reference, or NULL; zombies too */
struct thread *thread_find(u32 tid);          /* with a reference, or NULL */
/* For /proc and for all timers: the process with the smallest pid >= pid, with a reference; NULL at the end. */
struct process *process_next(u32 pid);
struct vmspace *process_vm_get(struct process *p);     /* with a reference; NULL after exit and for kernel threads */
u32 process_count(void), thread_count_all(void);
/* For fork.c and exit.c: joining (numbers; -EAGAIN at a limit) and leaving the tables. process_lock. */
int process_add_thread_locked(struct process *p, struct thread *t, bool new_process) __must_check;
void process_remove_thread_locked(struct process *p, struct thread *t);
void process_remove_locked(struct process *p);
void process_take_leader_locked(struct process *p, struct thread *t);
void process_for_each_locked(void (*fn)(struct process *p, void *arg), void *arg);

/* ---- fork.c ---- */
struct clone_args {
    u64 flags;         /* CLONE_*, without the exit signal */
    u32 exit_signal;
    vaddr_t stack;     /* 0: the parent's */
    vaddr_t parent_tid, child_tid, tls, pidfd;
};
/* Of the running thread; frame: its user registers. The child's tid, or -EAGAIN, -ENOMEM, -EINVAL. */
s64 process_clone(const struct clone_args *a, const struct trapframe *frame);

void process_init_fields(struct process *p); /* of a zeroed one */

/* ---- exec.c, elf.c ---- */
/* A running program is not written to. deny: -ETXTBSY if it is open for writing; put: undoes it and drops the file. */
int process_exe_deny(struct file *f) __must_check;
struct file *process_exe_get(struct file *f);
void process_exe_put(struct file *f);
void exec_init(void), futex_init(void);
/* Strings that exec carries over: built before the old image goes. */
struct exec_args;
/* execve(2)/execveat(2) of the running process; on success the frame is the new program's. path: a kmem
 * string, which is taken over; argv, envp: user addresses, 0 for none. */
int process_exec_kernel(const char *path, struct trapframe *frame) __must_check; /* for init: argv is the path alone */
int process_exec(int dirfd, char *path, vaddr_t argv, vaddr_t envp, int flags, struct trapframe *frame);

/* ---- exit.c ---- */
/* Ends the whole process with a status as wait(2) encodes it; code: exit's argument, 0 if it is killed. Kills the other
 * threads. */
void process_exit_group(int wait_status, s32 code) __noreturn;
void process_exit_thread(int code) __noreturn; /* exit(2) */
void process_vfork_release(struct process *p); /* its parent may go on */
void process_kill_threads_locked(struct process *p); /* all but the running one; process_lock and siglock */
#define W_EXIT(code) (((code) & 0xff) << 8)
#define W_SIGNAL(sig) ((sig) & 0x7f)
#define W_STOPPED(sig) (((sig) << 8) | 0x7f)
#define W_CONTINUED 0xffff
struct rusage_ns {
    u64 utime, stime, minor, major, max_rss_pages;
};
/* wait4/waitid. which: P_ALL 0, P_PID 1, P_PGID 2. Returns the pid, 0 (WNOHANG), or an error. */
struct wait_result {
    u32 pid, uid;
    int status;
    s32 exit_code;
    struct rusage_ns usage;
};
s64 process_wait(int which, u32 id, int options, struct wait_result *out);
void process_usage(struct process *p, bool children, struct rusage_ns *out);

/* ---- pgrp.c ---- */
int process_setpgid(u32 pid, u32 pgid);
s64 process_setsid(void);
/* Does group pgid have a member whose parent is in another group of the same session? (no: orphaned) */
bool pgrp_is_orphaned(u32 pgid), pgrp_is_orphaned_locked(u32 pgid);
bool pgrp_in_session(u32 pgid, struct session *s);

/* May the running process signal p? */
bool cred_may_kill(struct process *p, int sig);
static inline bool cred_is_root(void)
{
    return current_process()->cred.euid == 0;
}
u32 cred_fsuid(void), cred_fsgid(void); /* of the running thread: by these it is judged what it may do to files */
bool cred_in_group(u32 gid); /* the same: fsgid or a supplementary group */

/* When memory has run out: picks the process with the most private memory, kills it, prints one line. proc/oom.c.
 * Called by the fault path after an FAULT_OOM; the running process itself is the victim of its own fault. */
void oom_kill_current(const char *what);
