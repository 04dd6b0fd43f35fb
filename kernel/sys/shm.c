/*
 * System V shared memory: shmget(2) and kin. A segment is an object with a number;
 * its mappings are mappings like others. A removed segment has no number any more
 * and lives as long as somebody has it mapped.
 *
 * Lock: segments_lock (RANK_SHM) for the table.
 */
#include "proc/process.h"
#include "sys/syscall.h"
#include "vm/uaccess.h"
#include "vm/vm.h"

#define SEGMENTS_MAX 1024u
#define SIZE_LIMIT (1ul << 40)
#define IPC_PRIVATE 0
#define IPC_CREAT 01000u
#define IPC_EXCL 02000u
enum { IPC_RMID, IPC_SET, IPC_STAT, SHM_LOCK = 11, SHM_UNLOCK };
#define SHM_RDONLY 010000u
#define SHM_RND 020000u
#define SHM_REMAP 040000u
#define SHM_EXEC 0100000u
#define SHM_LOCKED 02000u /* in the mode */

struct segment {
    struct vm_object *object; /* NULL: this place is free */
    s32 key;
    u32 sequence;             /* of those that have had this place */
    u32 uid, gid, cuid, cgid, mode;
    u64 size;
    s64 atime, dtime, ctime;
    u32 creator, last;        /* processes */
};

static struct segment segments[SEGMENTS_MAX]; /* segments_lock */
static struct mutex segments_lock = {.waitq = WAITQ_INIT(segments_lock.waitq), .rank = RANK_SHM, .name = "shared memory"};

/* Linux's struct shmid64_ds (asm-generic). */
struct shmid_abi {
    s32 key;
    u32 uid, gid, cuid, cgid, mode;
    u16 sequence, pad;
    u32 pad2;
    u64 unused[2];
    u64 size;
    s64 atime, dtime, ctime;
    s32 creator, last;
    u64 attached, unused2[2];
};
_Static_assert(sizeof(struct shmid_abi) == 112, "Linux's ABI");

static s64 now(void)
{
    return (s64)(time_realtime_ns() / NS_PER_SEC);
}

static s32 id_of(const struct segment *s)
{
    return (s32)((s->sequence % 0x8000 * SEGMENTS_MAX + (u32)(s - segments)) & INT32_MAX);
}

/* Locked. NULL: there is none of this number. */
static struct segment *find(u64 id)
{
    struct segment *s = &segments[(u32)id % SEGMENTS_MAX];

    return (s32)id >= 0 && s->object && id_of(s) == (s32)id ? s : NULL;
}

static bool is_owner(const struct segment *s)
{
    u32 me = current_process()->cred.euid;

    return me == 0 || me == s->uid || me == s->cuid;
}

/* what: 4 read, 2 write. */
static bool permits(const struct segment *s, u32 what)
{
    const struct cred *me = &current_process()->cred;
    u32 shift = me->euid == s->uid || me->euid == s->cuid ? 6 : cred_in_group(s->gid) || cred_in_group(s->cgid) ? 3 : 0;

    return me->euid == 0 || (s->mode >> shift & what) == what;
}

static s64 create(s32 key, u64 size, u32 flags)
{
    const struct cred *me = &current_process()->cred;
    struct segment *s = segments;

    if (size == 0 || size > SIZE_LIMIT)
        return -EINVAL;
    while (s < segments + SEGMENTS_MAX && s->object)
        s++;
    if (s == segments + SEGMENTS_MAX)
        return -ENOSPC;
    *s = (struct segment){.object = object_create_anonymous(ROUND_UP(size, PAGE_SIZE)),
                          .key = key,
                          .sequence = s->sequence + 1,
                          .uid = me->euid,
                          .cuid = me->euid,
                          .gid = me->egid,
                          .cgid = me->egid,
                          .mode = flags & 0777,
                          .size = size,
                          .ctime = now(),
                          .creator = current_process()->pid};
    return s->object ? id_of(s) : -ENOMEM;
}

static s64 get(s32 key, u64 size, u32 flags)
{
    struct segment *s = segments;

    while (s < segments + SEGMENTS_MAX && !(s->object && s->key == key && key != IPC_PRIVATE))
        s++;
    if (key == IPC_PRIVATE || s == segments + SEGMENTS_MAX)
        return key == IPC_PRIVATE || (flags & IPC_CREAT) ? create(key, size, flags) : -ENOENT;
    if ((flags & IPC_CREAT) && (flags & IPC_EXCL))
        return -EEXIST;
    if (!permits(s, (flags >> 6 | flags >> 3 | flags) & 6))
        return -EACCES;
    return size > s->size ? -EINVAL : id_of(s);
}

/* shmget(key, size, flags) */
SYSCALL(shmget)
{
    s64 id;

    mutex_lock(&segments_lock);
    id = get((s32)a[0], a[1], (u32)a[2]);
    mutex_unlock(&segments_lock);
    return id;
}

/* shmat(id, address, flags) */
SYSCALL(shmat)
{
    u32 flags = (u32)a[2], what = flags & SHM_RDONLY ? 4 : 6;
    struct map_request q = {.addr = flags & SHM_RND ? ROUND_DOWN(a[1], PAGE_SIZE) : a[1],
                            .prot = PROT_READ | (flags & SHM_RDONLY ? 0 : PROT_WRITE) | (flags & SHM_EXEC ? PROT_EXEC : 0),
                            .flags = MAP_SHARED_ | MAP_SEGMENT_ | (flags & SHM_RDONLY ? MAP_NO_MAYWRITE_ : 0)};
    struct segment *s;
    s64 at;

    if (q.addr % PAGE_SIZE || (!q.addr && (flags & SHM_REMAP)))
        return -EINVAL;
    if (q.addr)
        q.flags |= MAP_FIXED_ | (flags & SHM_REMAP ? 0 : MAP_NOREPLACE_);
    mutex_lock(&segments_lock);
    s = find(a[0]);
    at = !s ? -EINVAL : permits(s, what) ? 0 : -EACCES;
    if (!at) {
        q.len = s->size;
        q.object = s->object;
        at = vm_map(current->vm, &q);
    }
    if (at >= 0) {
        s->atime = now();
        s->last = current_process()->pid;
    }
    mutex_unlock(&segments_lock);
    return at == -EEXIST ? -EINVAL : at;
}

/* The segment whose object this is, if it has not been removed. */
static void note_detached(const struct vm_object *o)
{
    mutex_lock(&segments_lock);
    for (struct segment *s = segments; s < segments + SEGMENTS_MAX; s++)
        if (s->object == o) {
            s->dtime = now();
            s->last = current_process()->pid;
        }
    mutex_unlock(&segments_lock);
}

/* All of one mapping, also where its parts have different permissions now. */
SYSCALL(shmdt)
{
    const struct vm_object *object = NULL;
    vaddr_t va = a[0];
    struct region r;
    s64 err = -EINVAL;

    if (va % PAGE_SIZE)
        return -EINVAL;
    while (vm_region_find(current->vm, va, &r)) {
        bool part = (r.flags & VM_SEGMENT) && r.start - r.offset == a[0] && (!object || r.object == object) &&
                    (object || r.start == a[0]);

        if (part && !object)
            note_detached(object = r.object);
        vm_region_release(&r);
        if (!part)
            break;
        err = vm_unmap(current->vm, r.start, r.end - r.start);
        if (err)
            return err;
        va = r.end;
    }
    return err;
}

static s64 stat(const struct segment *s, vaddr_t to)
{
    struct shmid_abi out = {.key = s->key, .uid = s->uid, .gid = s->gid, .cuid = s->cuid, .cgid = s->cgid, .mode = s->mode,
                            .sequence = (u16)s->sequence, .size = s->size, .atime = s->atime, .dtime = s->dtime,
                            .ctime = s->ctime, .creator = (s32)s->creator, .last = (s32)s->last,
                            .attached = vm_object_mappings(s->object)};

    return permits(s, 4) ? put_user(to, &out) : -EACCES;
}

static s64 set(struct segment *s, vaddr_t from)
{
    struct shmid_abi in;

    if (get_user(&in, from))
        return -EFAULT;
    s->uid = in.uid;
    s->gid = in.gid;
    s->mode = (s->mode & ~0777u) | (in.mode & 0777);
    s->ctime = now();
    return 0;
}

static s64 control(struct segment *s, u32 cmd, vaddr_t arg)
{
    if (cmd == IPC_STAT)
        return stat(s, arg);
    if (cmd != IPC_RMID && cmd != IPC_SET && cmd != SHM_LOCK && cmd != SHM_UNLOCK)
        return -EINVAL;
    if (!is_owner(s))
        return -EPERM;
    if (cmd == IPC_SET)
        return set(s, arg);
    if (cmd == SHM_LOCK)
        s->mode |= SHM_LOCKED; /* all memory is resident */
    else if (cmd == SHM_UNLOCK)
        s->mode &= ~SHM_LOCKED;
    else
        s->key = IPC_PRIVATE;
    return 0;
}

/* shmctl(id, command, buffer) */
SYSCALL(shmctl)
{
    struct vm_object *gone = NULL;
    struct segment *s;
    s64 err;

    mutex_lock(&segments_lock);
    s = find(a[0]);
    err = s ? control(s, (u32)a[1], a[2]) : -EINVAL;
    if (!err && a[1] == IPC_RMID) {
        gone = s->object;
        s->object = NULL;
    }
    mutex_unlock(&segments_lock);
    if (gone)
        object_put(gone);
    return err;
}
