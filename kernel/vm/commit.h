/*
 * Promises of memory.
 *
 * What an address space may come to need is a property of its regions: a page
 * for each page that was ever private and writable, and the tables to map them
 * all. region.c adds it up as the tree of regions is made, so that a fork or an
 * mmap knows it at once. The sum over all address spaces and all anonymous
 * shared objects is Committed_AS in /proc/meminfo.
 *
 * By default (vm.overcommit=1) nothing is refused for it, and who stores where no
 * page is left dies. In strict mode (vm.overcommit=2, or 2 written to
 * /proc/sys/vm/overcommit_memory) a promise that could not be kept is not made:
 * fork, mmap, brk and mprotect say ENOMEM; and what was never promised (the
 * kernel's own memory, files' pages) may not take what was. A stack that grows
 * beyond what can be promised ends its process, as on Linux.
 */
#pragma once
#include "vm/vm.h"

void commit_init(void); /* after page_init: reads vm.overcommit */
/* 1 or 2. Going to 2 with more promised than there is: only new promises are refused. */
unsigned commit_mode(void);
void commit_set_mode(unsigned mode);
/* Pages that could be promised in all, now; pages that are. */
u64 commit_limit(void);
u64 commit_total(void);

/* Promises so many pages; false: refused (strict mode only). Whoever was promised gives back. Any context. */
bool commit_take(u64 pages) __must_check;
void commit_give(u64 pages);
/* May so many pages be taken that nobody was promised? For the page allocator. */
bool commit_room(u64 pages);
