/*
 * Address spaces as persistent trees: the types and the invariants.
 *
 * An address space has a root table, which only it owns. Every other table page
 * and every data page is a *node* with a reference count. An *edge* is a table
 * entry that points to a node.
 *
 *  1. refs(node) is the number of entries that point to it, plus counted
 *     holders that are not entries (a vm_object, an I/O in flight). A table
 *     shared by ten processes counts once in each child it points to.
 *  2. exclusive(node) means exclusive(parent) and refs(node) == 1. A count of
 *     one under a shared ancestor is shared. The root is exclusive.
 *  3. A private page can be written by hardware only through an exclusive path.
 *     Pages of a VM_SHARED region are the named exception.
 *  4. A shared table is never changed by software, except by steps that every
 *     sharer may see: sealing, and making a sealed edge walkable for reading.
 *  5. Replacing a node: take the new references, publish the entry, flush every
 *     CPU that runs this address space, and only then drop the old reference.
 *     Where more than one CPU runs it, a copied page is published read-only,
 *     flushed, and then made writable.
 *  6. Whatever an operation may need is reserved before its first change: it
 *     happens whole or not at all. munmap and exit never fail for want of
 *     memory.
 *  7. Permission comes from the region; an entry only ever grants less.
 *
 * vm/check.c recounts all of this in debug builds.
 *
 * vm/ knows no process, no file system and no machine. Locks: vm->lock
 * (RANK_VMSPACE) orders everything in one address space; a shared table has a
 * lock in its descriptor (RANK_PTABLE); counts are atomic.
 */
#pragma once
#include "lib/list.h"
#include "lib/lock.h"
#include "lib/refcount.h"
#include "lib/types.h"
#include "vm/page.h"
#include <machine/pte.h>

/* ---- what backs a region ---- */

struct vm_object;
struct vm_object_ops {
    /* Provides page `index` with a reference for the caller, creating it (zeroed, or read from the medium) if it is
     * absent. 0; -EFAULT beyond the end (SIGBUS); -ENOMEM; -EIO. May sleep; no spin lock held; vm->lock may be held. */
    int (*get_page)(struct vm_object *o, u64 index, struct page **out);
    /* Called when the last reference goes, before the pages are dropped. May be NULL. */
    void (*destroy)(struct vm_object *o);
};

/* A sparse array of pages: a file's contents, or shared anonymous memory. Holds one reference to each of its pages. */
struct vm_object {
    struct refcount refs;
    u64 id;            /* no other has ever had it */
    const struct vm_object_ops *ops;
    struct mutex lock; /* RANK_OBJECT: the pages and the size */
    void *radix;       /* object.c: tree of page pointers */
    u32 height;
    u64 size;    /* bytes; pages at or beyond ROUND_UP(size) are absent */
    u64 pages;   /* present */
    u64 promised; /* pages (commit.h): of anonymous shared memory */
    void *priv;  /* the owner's */
};

/* An object with no pages; ops NULL: pages appear zeroed below size. NULL: no memory. */
struct vm_object *object_create(const struct vm_object_ops *ops, u64 size, void *priv);
/* Anonymous shared memory, whose pages are promised. NULL: no memory. */
struct vm_object *object_create_anonymous(u64 size);
void object_get(struct vm_object *o);
void object_put(struct vm_object *o);
/* Page `index` with a reference for the caller, through ops. Results as get_page's. */
int object_get_page(struct vm_object *o, u64 index, struct page **out) __must_check;
/* The page if present, with a reference, else NULL. Never creates. */
struct page *object_find_page(struct vm_object *o, u64 index);
/* The pages [first, first + n) as far as they are present, each with a reference; NULL for the others. Never creates. */
void object_find_pages(struct vm_object *o, u64 first, unsigned n, struct page **out);
/* For ops->get_page and for owners: stores a page (takes over the caller's reference). 0, -ENOMEM, -EEXIST. */
int object_insert_page(struct vm_object *o, u64 index, struct page *p) __must_check;
/* Sets the size. When it shrinks: pages beyond are removed from every address space that maps the object and dropped,
 * and the tail of the last page is zeroed. */
void object_truncate(struct vm_object *o, u64 size);
/* Drops the whole pages inside [start, end) (hole punching). */
void object_punch(struct vm_object *o, u64 start, u64 end);

u64 object_pages_total(void); /* of all objects, for /proc/meminfo */

/* ---- regions ---- */

enum region_flags {
    VM_READ = PROT_READ,
    VM_WRITE = PROT_WRITE,
    VM_EXEC = PROT_EXEC,
    VM_PROT_MASK = 7,
    VM_SHARED = 8,       /* MAP_SHARED: stores go to the object's pages */
    VM_GROWSDOWN = 16,   /* the stack: extends down to a fault within its limit */
    VM_STACK = 32,       /* for names in /proc/PID/maps */
    VM_HEAP = 64,
    VM_NO_MAYWRITE = 128, /* shared mapping of a file open for reading only: never writable */
    VM_DONTFORK = 512,    /* a forked child does not have it */
    VM_WIPEONFORK = 1024, /* a forked child has it empty; private anonymous only */
    VM_LOCKED = 2048,     /* mlock.c */
    VM_LOCKONFAULT = 4096,
    VM_SEGMENT = 8192,    /* of System V shared memory: what shmdt takes away */
    VM_PROMISED = 256,    /* private, and writable now or once: its pages are promised (commit.h) */
};

/* An immutable description of [start, end); nodes of a persistent tree (region.c). */
struct region {
    vaddr_t start, end;
    u32 flags;
    struct vm_object *object; /* NULL: anonymous private */
    u64 offset;               /* of start in the object, bytes, page-aligned */
    void *tag;                /* whatever the mapper wants to remember (an open file), counted by vm_tag_ops */
};

/* The file layer counts tags; set once at boot. NULL on the host. */
struct vm_tag_ops {
    void (*get)(void *tag);
    void (*put)(void *tag);
    void (*written)(void *tag); /* a page of a shared mapping is about to be stored to for the first time; vm->lock held */
};
extern const struct vm_tag_ops *vm_tag_ops;

/* ---- address spaces ---- */

struct region_node; /* region.c */
#define VM_LOW 0x10000ul /* page 0 and its neighbours stay unmapped: a null pointer faults */

struct vmspace {
    struct refcount refs;   /* threads' processes, and short-lived lookers */
    u64 id;                 /* no other has ever had it */
    struct mutex lock;      /* RANK_VMSPACE */
    struct page *root;      /* PAGE_ROOT; never changes */
    struct region_node *_Atomic regions; /* persistent tree; shared with relatives until changed */
    struct region_node *stale[4]; /* replaced by this operation; dropped when the lock has been released */
    u32 stale_count;
    u32 region_count;
    u64 mapped_pages;       /* sum of the regions' sizes */
    u64 promised;           /* pages (commit.h) */
    _Atomic u64 cpus;       /* CPUs that have this root loaded */
    _Atomic u8 asid_hint;   /* where a CPU looks first for what it remembers of this one */
    _Atomic u64 flushes;    /* so many times CPUs were told to forget; who did not run it then has missed them (tlb.c) */
    struct list link;       /* all address spaces; for the checker and object_truncate */
    vaddr_t brk_start, brk; /* program break */
    vaddr_t mmap_low;       /* nothing is mapped below this: VM_LOW, but for programs that begin at 0 */
    vaddr_t mmap_top;       /* mappings without an address go below this */
    vaddr_t stack_limit;    /* lowest address the stack may grow to */
    u64 stack_size;         /* RLIMIT_STACK as exec found it */
    vaddr_t arg_start, arg_end, env_start, env_end; /* for /proc */
    u64 data_limit, as_limit; /* bytes: RLIMIT_DATA, RLIMIT_AS */
    u64 lock_limit;           /* bytes that may be locked (mlock.c); set by who asks for more */
    unsigned lock_future;     /* VM_LOCKED, VM_LOCKONFAULT: what new regions get */
    struct { u64 minor, major, cow; } faults;
};

void vm_init(void); /* after page_init */

/* A new empty address space, or NULL. */
struct vmspace *vmspace_create(void);
/* A copy that shares everything until it is written. The caller runs in `parent`. NULL: no memory, parent unchanged. */
struct vmspace *vmspace_fork(struct vmspace *parent);
void vmspace_get(struct vmspace *vm);
void vmspace_put(struct vmspace *vm); /* the last one tears down; may take long, preemptible; no lock held */
/* Loads vm on this CPU (NULL: the kernel's root). Called by the scheduler with interrupts off. `prev` is what was loaded. */
void vmspace_switch(struct vmspace *prev, struct vmspace *next);

enum fault_access { FAULT_READ = 1, FAULT_WRITE = 2, FAULT_EXEC = 4 };
enum fault_result {
    FAULT_DONE,  /* try the instruction again */
    FAULT_RETRY, /* the same: the mapping changed meanwhile */
    FAULT_SEGV_MAPERR,
    FAULT_SEGV_ACCERR,
    FAULT_BUS,
    FAULT_OOM,
};
/* Handles a fault at a user address, from user mode or from the user-copy layer. May sleep. Any address is fine. */
enum fault_result vm_fault(struct vmspace *vm, vaddr_t va, enum fault_access access);

/* ---- mmap.c: all take vm->lock themselves ---- */

enum map_flags {
    MAP_SHARED_ = 1, /* names with a trailing _ : Linux's values are decoded in sys/ */
    MAP_FIXED_ = 2,
    MAP_NOREPLACE_ = 4, /* with MAP_FIXED_: -EEXIST if anything is there */
    MAP_GROWSDOWN_ = 8,
    MAP_STACK_ = 16,
    MAP_POPULATE_ = 32,
    MAP_NO_MAYWRITE_ = 64,
    MAP_SEGMENT_ = 256,
    MAP_LOCKED_ = 128, /* -EAGAIN beyond lock_limit */
};
struct map_request {
    vaddr_t addr; /* hint, or the address with MAP_FIXED_ */
    u64 len;      /* bytes, > 0; rounded up */
    unsigned prot, flags;
    struct vm_object *object; /* a reference is taken; NULL with MAP_SHARED_: a new object is made */
    u64 offset;               /* page-aligned */
    void *tag;                /* a reference is taken */
};
/* The address, or -EINVAL, -ENOMEM, -EEXIST, -EOVERFLOW as mmap(2). */
s64 vm_map(struct vmspace *vm, const struct map_request *r);
/* Its two steps: the second brings pages in, as far as that goes, if the request or MCL_FUTURE says so. */
s64 vm_map_only(struct vmspace *vm, const struct map_request *r);
void vm_map_populate(struct vmspace *vm, const struct map_request *r, vaddr_t at);
int vm_unmap(struct vmspace *vm, vaddr_t start, u64 len);                  /* munmap(2) */
int vm_protect(struct vmspace *vm, vaddr_t start, u64 len, unsigned prot); /* mprotect(2) */
s64 vm_remap(struct vmspace *vm, vaddr_t old, u64 old_len, u64 new_len, unsigned flags, vaddr_t new_addr); /* mremap(2), Linux's flags */
vaddr_t vm_brk(struct vmspace *vm, vaddr_t new_brk); /* brk(2): the resulting break */
/* Sets and clears VM_DONTFORK and VM_WIPEONFORK: 0, -EINVAL (not page-aligned; wiping what is not private anonymous), -ENOMEM. */
int vm_advise_fork(struct vmspace *vm, vaddr_t start, u64 len, unsigned set, unsigned clear) __must_check;
int vm_discard(struct vmspace *vm, vaddr_t start, u64 len); /* madvise(MADV_DONTNEED): contents dropped; -EINVAL: locked */

/* ---- mlock.c; vm->lock_limit is what the caller may have: 0, -EINVAL, -ENOMEM (beyond it, or not mapped), -EINTR ---- */
int vm_mlock(struct vmspace *vm, vaddr_t start, u64 len, bool on_fault) __must_check;
int vm_munlock(struct vmspace *vm, vaddr_t start, u64 len) __must_check;
int vm_mlock_all(struct vmspace *vm, bool present, bool future, bool on_fault) __must_check;
int vm_munlock_all(struct vmspace *vm) __must_check;
u64 vm_locked_pages(struct vmspace *vm);
bool vm_is_locked(struct vmspace *vm, vaddr_t start, u64 len); /* is any of it? */

/* Removes pages [first, last) of an object from every address space; `copies`: private copies of them, too. No lock of an
 * object or a vmspace held. */
void vm_unmap_object_range(struct vm_object *o, u64 first, u64 last, bool copies);

/* No lock of an object or a vmspace held. May a store through some address space's mapping change the object? */
bool vm_object_is_writable(struct vm_object *o);
u64 vm_object_mappings(struct vm_object *o); /* regions that begin at its beginning, in all address spaces */

/* Looks at the region that covers va or the first one above it. The copy holds references to object and tag; release it
 * with vm_region_release. False: none. Takes vm->lock. */
bool vm_region_find(struct vmspace *vm, vaddr_t va, struct region *out);
void vm_region_release(struct region *r);
/* Resident pages in [start, end): for /proc. Exact for a part, leaf by leaf; for all of user space as the leaf tables
 * count, with mappings of the page of zeros among them. Takes vm->lock. */
u64 vm_resident(struct vmspace *vm, vaddr_t start, vaddr_t end);
/* What lies at va, for /proc: no page is brought in. Takes vm->lock. */
struct vm_page_info {
    bool present;   /* an entry leads to a page, whether or not the CPU may go there now */
    bool object;    /* the page is an object's: a file's or shared memory's */
    bool exclusive; /* nobody else's: one entry, in tables that are this address space's alone */
    bool zero;      /* the common page of zeros */
    u64 frame;      /* page number in physical memory */
};
struct vm_page_info vm_page_look(struct vmspace *vm, vaddr_t va);
vaddr_t vm_next_page(struct vmspace *vm, vaddr_t va, vaddr_t end); /* the first from va on that is present, or end */
/* What madvise(MADV_POPULATE_READ, _WRITE) does: 0, -EFAULT (not permitted, or beyond a file), -ENOMEM (not mapped), or
 * -EINTR when the caller is being killed. */
int vm_populate(struct vmspace *vm, vaddr_t start, u64 len, bool write) __must_check;
/* Memory of any address space, through faults in software (for /proc/PID/cmdline). Returns bytes copied. */
size_t vm_read_remote(struct vmspace *vm, vaddr_t va, void *dst, size_t n);
/* The same the other way: also where the program itself may only read, if the mapping is private (a debugger's store). */
size_t vm_write_remote(struct vmspace *vm, vaddr_t va, const void *src, size_t n);

/* ---- mapcount.c ---- */
/*
 * How many times each frame is mapped, in all address spaces together: a page below
 * a table that three processes share counts three times. Takes a walk through all
 * of them, one at a time; NULL: no memory, or the caller is being killed.
 */
struct map_counts;
struct map_counts *map_counts_take(void);
u32 map_counts_of(const struct map_counts *m, u64 frame);
void map_counts_drop(struct map_counts *m);

/* ---- counters, /proc/vmstat ---- */
#define VM_COUNTERS(X)                                                                     \
    X(pgfault) X(pgmajfault) X(pgalloc) X(pgfree) X(pgalloc_kernel) X(pgfree_kernel) X(fault_read) X(fault_write) X(fault_exec) \
    X(fault_spurious) X(zero_page_map) X(anon_page_fill) X(file_page_map) X(cow_page_copy)   \
    X(cow_page_reuse) X(cow_bulk_reuse) X(table_alloc) X(table_free) X(table_share)         \
    X(table_copy) X(table_takeover) X(table_pushdown) X(edge_seal) X(edge_validate)         \
    X(fork) X(fork_fail) X(flush_local) X(flush_remote) X(switch_flush) X(switch_keep) X(oom_kill) X(vm_check)
enum vm_counter {
#define X(n) VMC_##n,
    VM_COUNTERS(X)
#undef X
    VMC_COUNT
};
/* vm_count: vm/count.h */
u64 vm_counter_read(enum vm_counter c);
extern const char *const vm_counter_name[VMC_COUNT];

/* ---- check.c ---- */
/* Recounts every reference of the machine and checks the invariants; panics with what is wrong. May sleep; no lock held.
 * Debug builds only: others say that they cannot. */
void vm_check_all(const char *when);
/* After every fork, exec and exit in debug builds; nothing in others. */
void vm_check_debug(const char *when);
void vm_check_init(void); /* after the scheduler's start; sets memory aside (debug builds call it) */
