/* Between exec.c, elf.c and the personalities. */
#pragma once
#include "fs/file.h"
#include "vm/vm.h"

#define EXEC_PREFIX_MAX 1024

/* What the new program's stack is made of. Strings lie one after another in pages, each with its NUL. */
struct exec_args {
    struct page *page[513];
    size_t size;
    u32 argc, envc;
    size_t skip;       /* bytes of the first string, which a script's name has replaced */
    char prefix[EXEC_PREFIX_MAX]; /* strings before all others, from #! lines */
    size_t prefix_size;
    u32 prefix_count;
    char *filename;    /* as execve was given it: AT_EXECFN */
};

/* A program that is to be run. */
struct exec_program {
    struct file *file;
    const u8 *head;        /* its first bytes */
    size_t head_size;
    const struct exec_args *args;
    struct {
        u32 bits, uid, gid; /* set-id bits that count, owner: of one moment, as both may be changed while it is started */
    } ids;
};

/* How it begins. */
struct exec_start {
    vaddr_t entry, sp;
    u64 arg[2];            /* the first two argument registers */
};

/* All of argv, one NUL-ended string after the other, into buf; their number and size in bytes. -E2BIG. */
int exec_args_copy(const struct exec_args *a, char *buf, size_t size, u32 *count, size_t *bytes) __must_check;

/* What elf.c found out for the auxiliary vector. */
struct exec_image {
    vaddr_t entry;        /* where the program begins: the interpreter's if there is one */
    vaddr_t program_entry, phdr, base;
    u64 phent, phnum;
    vaddr_t brk;
};

/* Loads f, a program whose first bytes are in `head`, into vm, which current uses already; if it may lie anywhere, `shift`
 * bytes (pages) above the usual place. 0, -ENOEXEC, -ENOMEM, … */
int elf_load(struct vmspace *vm, struct file *f, const u8 *head, size_t head_size, u64 shift, struct exec_image *out) __must_check;
bool elf_is(const u8 *head, size_t head_size);
/* Static, without notes, first segment at 0: nothing that is made for Linux looks like this. */
int elf_begins_at_zero(const struct exec_program *p); /* 1, 0, or -ENOMEM */
/* The same as elf_load for those: segments are copies, whose place in the file need not fit their address. Fills in
 * entry and brk, which is the end of the last segment. */
int elf_load_copied(struct vmspace *vm, const struct exec_program *p, struct exec_image *out) __must_check;
