/*
 * What a program takes the kernel for: how its image is laid out, and what its
 * system calls mean. Chosen at exec by what the file looks like; fork passes it
 * on. Everything else is the same for all.
 */
#pragma once
#include "proc/exec.h"

struct trapframe;

struct personality {
    const char *name;
    int (*recognizes)(const struct exec_program *p); /* 1: it is one of its programs, 0: not, or -ENOMEM */
    /* Makes the new image in vm, which current uses already. 0, or -ENOEXEC, -E2BIG, -ENOMEM, …: vm is dropped. */
    int (*build)(struct vmspace *vm, const struct exec_program *p, struct exec_start *start);
    void (*syscall)(struct trapframe *tf); /* interrupts on */
    u64 default_signals; /* whose actions exec sets back, also where they were ignored */
    /* A copy to user memory that finds no page fails with -EFAULT; otherwise it is the end of the process. */
    bool copy_survives_oom;
};

extern const struct personality linux_personality, xv6_personality;

/* 0, or -ENOMEM. */
int personality_of(const struct exec_program *p, const struct personality **out);
