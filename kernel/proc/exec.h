/* Between exec.c and elf.c. */
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

/* What elf.c found out for the auxiliary vector. */
struct exec_image {
    vaddr_t entry;        /* where the program begins: the interpreter's if there is one */
    vaddr_t program_entry, phdr, base;
    u64 phent, phnum;
    vaddr_t brk;
};

/* Loads f, a program whose first bytes are in `head`, into vm, which current uses already. 0, -ENOEXEC, -ENOMEM, … */
int elf_load(struct vmspace *vm, struct file *f, const u8 *head, size_t head_size, struct exec_image *out) __must_check;
bool elf_is(const u8 *head, size_t head_size);
