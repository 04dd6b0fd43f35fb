/*
 * Locks: spin locks, and mutexes that sleep.
 *
 * Every lock has a rank. A CPU (for spin locks) or thread (for mutexes) takes
 * locks in increasing rank only; debug builds check that at each acquisition
 * and panic with both names. docs/locks.md says what each lock protects.
 *
 * A spin lock is held with interrupts off on this CPU: spin_lock saves the
 * interrupt state of the outermost lock and spin_unlock restores it. Never
 * sleep, allocate with KM_SLEEP, touch user memory or take a mutex with one
 * held. A mutex may be held across anything, user copies included where its
 * entry in docs/locks.md says so.
 *
 * The annotations are clang's thread-safety analysis (`make check`).
 */
#pragma once
#include <stdatomic.h>
#include "lib/list.h"
#include "lib/types.h"

#if defined(__clang__)
#define TSA(x) __attribute__((x))
#else
#define TSA(x)
#endif
#define CAPABILITY(n) TSA(capability(n))
#define GUARDED_BY(l) TSA(guarded_by(l))
#define REQUIRES(...) TSA(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) TSA(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...) TSA(acquire_capability(__VA_ARGS__))
#define TRY_ACQUIRE(...) TSA(try_acquire_capability(__VA_ARGS__))
#define RELEASE(...) TSA(release_capability(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS TSA(no_thread_safety_analysis)

/* Outermost first. Mutexes come before all spin locks. */
enum lock_rank {
    RANK_NONE = 0, /* not checked; only for locks that are never nested with another */
    /* mutexes */
    RANK_CHECK = 5,       /* vm/check.c: one checker at a time */
    RANK_TTY_READ = 32,   /* a terminal's readers; a stream has no position lock */
    RANK_FS_RENAME = 20,  /* serialises renames of directories */
    RANK_EPOLLS = 24,     /* the links between files and who watches them */
    RANK_EPOLL = 26,      /* what one epoll watches */
    RANK_FILE = 30,       /* an open file's position */
    RANK_PTY = 35,        /* pseudoterminals: their table, and what is typed at one */
    RANK_MQUEUES = 36,    /* the names of message queues */
    RANK_VNODE = 40,      /* a vnode; parent before child, two by address with mutex_lock_nested */
    RANK_PIPE = 45,
    RANK_SHM = 48,        /* the table of System V segments */
    RANK_EXEC = 50,
    RANK_VMSPACES = 55,   /* the list of address spaces */
    RANK_VMSPACE = 60,    /* an address space's regions and tables */
    RANK_OBJECT = 70,     /* a vm_object's pages */
    RANK_PROC_MUTEX = 80, /* per-process sleeping state: file table, credentials */
    /* spin locks */
    RANK_PROC = 110,      /* process tree, groups, sessions */
    RANK_SIGNAL = 120,    /* signal state of one process */
    RANK_ACTIONS = 125,   /* signal actions, which processes may share */
    RANK_TTY = 130,       /* a terminal's rings */
    RANK_FILES = 132,     /* a file table */
    RANK_FS_LOCKS = 134,  /* advisory file locks */
    RANK_MOUNT = 136,
    RANK_FS_SPIN = 140,   /* dentries, mounts */
    RANK_FUTEX = 145,
    RANK_PTABLE = 150,    /* one page-table page (struct page); parent before child by level */
    RANK_WAITQ = 160,
    RANK_EPOLL_READY = 163, /* what may be ready: a wait queue's wake adds to it */
    RANK_EPOLL_WAIT = 166,  /* who waits for that */
    RANK_SCHED = 170,     /* one CPU's run queue; two by CPU number */
    RANK_TIMER = 180,
    RANK_KSTACK = 185,    /* the cache of kernel stacks */
    RANK_KMEM = 190,
    RANK_PAGE = 200,      /* the page allocator */
    RANK_RANDOM = 205,
    RANK_DEV = 210,       /* device registers */
    RANK_LOG = 220,       /* the kernel log */
    RANK_CONSOLE = 230,   /* the serial line's rings: innermost, so that anybody may log */
};

struct CAPABILITY("spinlock") spinlock {
    _Atomic u32 held; /* 0 free, 1 + CPU number of the holder */
    u16 rank;
    const char *name;
};
#define SPINLOCK_INIT(n, r)              \
    {                                    \
        .held = 0, .rank = (r), .name = (n) \
    }

void spin_init(struct spinlock *l, const char *name, enum lock_rank rank);
void spin_lock(struct spinlock *l) ACQUIRE(l);
void spin_unlock(struct spinlock *l) RELEASE(l);
/* The same, for a second lock of the rank already held; the caller states an order of its own. */
void spin_lock_nested(struct spinlock *l) ACQUIRE(l);
bool spin_trylock(struct spinlock *l) TRY_ACQUIRE(true, l);
bool spin_held(const struct spinlock *l); /* by this CPU */

/* Sleeping threads in order of arrival; the lock inside protects the list. See proc/sched.h. */
struct waitq {
    struct spinlock lock;
    struct list waiters;
};
#define WAITQ_INIT(w)                                                         \
    {                                                                         \
        .lock = SPINLOCK_INIT("waitq", RANK_WAITQ), .waiters = LIST_INIT((w).waiters) \
    }

struct CAPABILITY("mutex") mutex {
    struct waitq waitq;
    struct thread *_Atomic owner; /* NULL: free */
    u16 rank;
    const char *name;
};
void mutex_init(struct mutex *m, const char *name, enum lock_rank rank);
void mutex_lock(struct mutex *m) ACQUIRE(m); /* sleeps; not interrupted by signals */
void mutex_lock_nested(struct mutex *m) ACQUIRE(m);
bool mutex_trylock(struct mutex *m) TRY_ACQUIRE(true, m);
void mutex_unlock(struct mutex *m) RELEASE(m);
bool mutex_held(const struct mutex *m); /* by this thread */
