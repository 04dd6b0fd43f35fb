/*
 * Loading ELF programs (System V ABI, chapters 4 and 5): segments are private
 * mappings of the file's pages, so text and data come in when they are touched.
 * Every field is checked before it is used; a bad one is -ENOEXEC.
 */
#include "fs/uio.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "proc/exec.h"
#include "vm/kmem.h"
#include "vm/uaccess.h"

struct elf_header {
    u8 ident[16];
    u16 type, machine;
    u32 version;
    u64 entry, phoff, shoff;
    u32 flags;
    u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
struct elf_phdr {
    u32 type, flags;
    u64 offset, vaddr, paddr, filesz, memsz, align;
};
#define ET_EXEC 2
#define ET_DYN 3
#define PT_LOAD 1
#define PT_INTERP 3
#define PT_NOTE 4
#define PT_PHDR 6
#define PF_X 1
#define PF_W 2
#define PF_R 4
#define PHNUM_MAX 64
#define DYN_BASE (USER_TOP / 3 * 2 & ~0xffffful) /* where position-independent programs go, as on Linux */

struct elf {
    struct file *file;
    struct elf_header h;
    struct elf_phdr ph[PHNUM_MAX];
    vaddr_t low, high; /* of the segments, pages */
    u64 bias;          /* what is added to the file's addresses */
};

bool elf_is(const u8 *head, size_t n)
{
    return n >= sizeof(struct elf_header) && memcmp(head, "\177ELF", 4) == 0;
}

/* ---- checking ---- */

static bool header_ok(const struct elf_header *h)
{
    return memcmp(h->ident, "\177ELF\2\1\1", 7) == 0 && (h->type == ET_EXEC || h->type == ET_DYN) &&
           h->machine == ARCH_ELF_MACHINE && h->phentsize == sizeof(struct elf_phdr) && h->phnum > 0 &&
           h->phnum <= PHNUM_MAX;
}

static bool segment_ok(const struct elf_phdr *p, u64 file_size)
{
    return p->filesz <= p->memsz && p->offset % PAGE_SIZE == p->vaddr % PAGE_SIZE && p->memsz <= USER_TOP &&
           p->vaddr <= USER_TOP - p->memsz && p->offset <= file_size && p->filesz <= file_size - p->offset &&
           (p->memsz == p->filesz || p->filesz == 0 || (p->flags & PF_W));
}

/* Segments ascend and do not share pages. */
static int segments_check(struct elf *e)
{
    u64 file_size = e->file->vnode->object ? e->file->vnode->object->size : 0;

    e->low = UINT64_MAX;
    for (unsigned i = 0; i < e->h.phnum; i++) {
        const struct elf_phdr *p = &e->ph[i];
        if (p->type != PT_LOAD || p->memsz == 0)
            continue;
        if (!segment_ok(p, file_size) || ROUND_DOWN(p->vaddr, PAGE_SIZE) < e->high)
            return -ENOEXEC;
        e->low = MIN(e->low, ROUND_DOWN(p->vaddr, PAGE_SIZE));
        e->high = ROUND_UP(p->vaddr + p->memsz, PAGE_SIZE);
    }
    return e->low == UINT64_MAX || e->h.entry >= USER_TOP ? -ENOEXEC : 0;
}

static int read_headers(struct elf *e, const u8 *head, size_t head_size)
{
    size_t bytes;

    if (!elf_is(head, head_size))
        return -ENOEXEC;
    memcpy(&e->h, head, sizeof e->h);
    if (!header_ok(&e->h))
        return -ENOEXEC;
    bytes = e->h.phnum * sizeof e->ph[0];
    if (e->h.phoff > INT64_MAX || file_read_kernel(e->file, e->ph, bytes, e->h.phoff) != (ssize_t)bytes)
        return -ENOEXEC;
    return 0;
}

static int elf_read(struct elf *e, const u8 *head, size_t head_size)
{
    int err = read_headers(e, head, head_size);

    return err ? err : segments_check(e);
}

/* ---- mapping ---- */

static unsigned prot_of(u32 flags)
{
    return (flags & PF_R ? PROT_READ : 0) | (flags & PF_W ? PROT_WRITE : 0) | (flags & PF_X ? PROT_EXEC : 0);
}

static int map_part(struct vmspace *vm, const struct elf *e, vaddr_t start, vaddr_t end, unsigned prot, bool from_file,
                    u64 offset)
{
    struct map_request q = {.addr = start, .len = end - start, .prot = prot, .flags = MAP_FIXED_ | MAP_NOREPLACE_};
    s64 at;

    if (from_file) {
        q.object = e->file->vnode->object;
        q.offset = offset;
        q.tag = e->file;
    }
    at = vm_map(vm, &q);
    return at < 0 ? (at == -ENOMEM ? -ENOMEM : -ENOEXEC) : 0;
}

static int map_segment(struct vmspace *vm, const struct elf *e, const struct elf_phdr *p)
{
    vaddr_t start = ROUND_DOWN(p->vaddr + e->bias, PAGE_SIZE), file_end = p->vaddr + e->bias + p->filesz;
    vaddr_t end = ROUND_UP(p->vaddr + e->bias + p->memsz, PAGE_SIZE), zeros = ROUND_UP(file_end, PAGE_SIZE);
    int err = 0;

    if (p->filesz == 0)
        return map_part(vm, e, start, end, prot_of(p->flags), false, 0);
    err = map_part(vm, e, start, zeros, prot_of(p->flags), true, ROUND_DOWN(p->offset, PAGE_SIZE));
    if (!err && p->memsz > p->filesz && file_end < zeros && clear_user(file_end, zeros - file_end))
        err = -ENOMEM; /* the rest of the file's last page is the program's, and zero */
    if (!err && zeros < end)
        err = map_part(vm, e, zeros, end, prot_of(p->flags), false, 0);
    return err;
}

static int map_all(struct vmspace *vm, const struct elf *e)
{
    int err = 0;

    for (unsigned i = 0; i < e->h.phnum && !err; i++)
        if (e->ph[i].type == PT_LOAD && e->ph[i].memsz > 0)
            err = map_segment(vm, e, &e->ph[i]);
    return err;
}

/* Where the program headers lie in memory: PT_PHDR, or in the segment that holds that part of the file. */
static vaddr_t phdr_address(const struct elf *e)
{
    for (unsigned i = 0; i < e->h.phnum; i++) {
        const struct elf_phdr *p = &e->ph[i];
        if (p->type == PT_PHDR)
            return p->vaddr + e->bias;
        if (p->type == PT_LOAD && e->h.phoff >= p->offset && e->h.phoff - p->offset < p->filesz)
            return p->vaddr + (e->h.phoff - p->offset) + e->bias;
    }
    return 0;
}

/* ---- the interpreter ---- */

static int interpreter_open(const struct elf *e, const struct elf_phdr *p, struct file **out)
{
    char path[256];

    if (p->filesz < 2 || p->filesz > sizeof path ||
        file_read_kernel(e->file, path, p->filesz, p->offset) != (ssize_t)p->filesz || path[p->filesz - 1])
        return -ENOEXEC;
    return file_open(AT_FDCWD, path, O_RDONLY | FILE_EXEC, 0, out);
}

static int interpreter_load(struct vmspace *vm, struct elf *i, struct exec_image *out)
{
    u8 head[sizeof(struct elf_header)];
    ssize_t n = file_read_kernel(i->file, head, sizeof head, 0);
    int err = n < 0 ? (int)n : elf_read(i, head, (size_t)n);

    if (err)
        return err;
    if (i->h.type != ET_DYN || i->high - i->low > vm->mmap_top / 2)
        return -ENOEXEC;
    i->bias = vm->mmap_top - (i->high - i->low) - i->low;
    out->base = i->bias;
    out->entry = i->h.entry + i->bias;
    return map_all(vm, i);
}

static int interpret(struct vmspace *vm, const struct elf *e, const struct elf_phdr *p, struct exec_image *out)
{
    struct elf *i = kmem_zalloc(sizeof *i);
    int err;

    if (!i)
        return -ENOMEM;
    err = interpreter_open(e, p, &i->file);
    if (!err) {
        err = interpreter_load(vm, i, out);
        file_put(i->file);
    }
    kmem_free(i);
    return err;
}

/* ---- the program ---- */

static int load(struct vmspace *vm, struct elf *e, u64 shift, struct exec_image *out)
{
    int err;

    if (e->h.type == ET_DYN)
        e->bias = DYN_BASE + shift - e->low;
    if (e->high + e->bias > USER_TOP)
        return -ENOEXEC;
    err = map_all(vm, e);
    out->program_entry = out->entry = e->h.entry + e->bias;
    out->phdr = phdr_address(e);
    out->phent = sizeof(struct elf_phdr);
    out->phnum = e->h.phnum;
    out->brk = e->high + e->bias;
    for (unsigned i = 0; i < e->h.phnum && !err; i++)
        if (e->ph[i].type == PT_INTERP)
            return interpret(vm, e, &e->ph[i], out);
    return err;
}

int elf_load(struct vmspace *vm, struct file *f, const u8 *head, size_t head_size, u64 shift, struct exec_image *out)
{
    struct elf *e = kmem_zalloc(sizeof *e);
    int err;

    if (!e)
        return -ENOMEM;
    e->file = f;
    err = elf_read(e, head, head_size);
    if (!err)
        err = load(vm, e, shift, out);
    kmem_free(e);
    return err;
}

/* ---- programs whose first segment lies at 0 ---- */

static bool begins_at_zero(const struct elf *e)
{
    const struct elf_phdr *first = NULL;

    for (unsigned i = 0; i < e->h.phnum; i++) {
        if (e->ph[i].type == PT_INTERP || e->ph[i].type == PT_NOTE)
            return false;
        if (e->ph[i].type == PT_LOAD && !first)
            first = &e->ph[i];
    }
    return first && first->vaddr == 0 && e->h.type == ET_EXEC;
}

int elf_begins_at_zero(const struct exec_program *p)
{
    struct elf *e = kmem_alloc(sizeof *e);
    bool yes;

    if (!e)
        return -ENOMEM;
    e->file = p->file;
    yes = !read_headers(e, p->head, p->head_size) && begins_at_zero(e);
    kmem_free(e);
    return yes;
}

#define COPY_PIECE (1ul << 20) /* between two looks at signals */

static int copy_segment(struct vmspace *vm, struct file *f, const struct elf_phdr *p)
{
    vaddr_t end = ROUND_UP(p->vaddr + p->memsz, PAGE_SIZE);
    struct map_request q = {.addr = p->vaddr, .len = p->memsz, .prot = PROT_READ | PROT_WRITE,
                            .flags = MAP_FIXED_ | MAP_NOREPLACE_};
    struct uio u;
    s64 at;

    if (p->vaddr % PAGE_SIZE || p->filesz > p->memsz || p->memsz > USER_TOP / 4 || p->vaddr > USER_TOP / 4 ||
        p->offset > INT64_MAX)
        return -ENOEXEC;
    if (p->memsz == 0)
        return 0;
    at = vm_map(vm, &q);
    if (at < 0)
        return at == -ENOMEM ? -ENOMEM : -ENOEXEC;
    for (u64 done = 0, n; done < p->filesz; done += n) {
        n = MIN(p->filesz - done, COPY_PIECE);
        uio_init_user(&u, p->vaddr + done, n);
        if (signal_fatal_pending())
            return -EINTR;
        if (file_pread(f, &u, p->offset + done) != (ssize_t)n)
            return -ENOEXEC;
    }
    return vm_protect(vm, p->vaddr, end - p->vaddr, prot_of(p->flags) | PROT_READ);
}

int elf_load_copied(struct vmspace *vm, const struct exec_program *p, struct exec_image *out)
{
    struct elf *e = kmem_alloc(sizeof *e);
    int err;

    if (!e)
        return -ENOMEM;
    e->file = p->file;
    err = read_headers(e, p->head, p->head_size);
    for (unsigned i = 0; !err && i < e->h.phnum; i++) {
        if (e->ph[i].type != PT_LOAD)
            continue;
        err = copy_segment(vm, p->file, &e->ph[i]);
        out->brk = MAX(out->brk, ROUND_UP(e->ph[i].vaddr + e->ph[i].memsz, PAGE_SIZE));
    }
    out->entry = e->h.entry;
    kmem_free(e);
    return err;
}
