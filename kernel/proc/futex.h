/* Futexes (futex(2)): sleeping on a word of user memory. */
#pragma once
#include "lib/types.h"

struct thread;
/* timeout: the user's timespec, or a count for the requeue operations. */
s64 futex(vaddr_t uaddr, u32 op, u32 val, u64 timeout, vaddr_t uaddr2, u32 val3);
void futex_exit(struct thread *t); /* of the running thread: its robust list, and the word that pthread_join sleeps on */
