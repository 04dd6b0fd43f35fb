/*
 * Kernel memory of any size. Up to 2 KiB from pages cut into equal objects;
 * above, runs of whole pages. Never sleeps; any context. Freed memory is
 * poisoned in debug builds, and a page whose objects are all free goes back.
 */
#pragma once
#include "lib/types.h"
#include "vm/failnth.h"

void kmem_init(void); /* after page_init */
void *kmem_alloc(size_t size) __must_check; /* 16-byte aligned, or NULL */
#define KMEM_SMALL 2032ul /* above, whole pages */
/* Up to KMEM_SMALL, from the pages kept for exit and munmap if need be; NULL only when they are gone, too. */
void *kmem_alloc_reserve(size_t size) __must_check;
void *kmem_zalloc(size_t size) __must_check;
void *kmem_resize(void *old, size_t old_size, size_t new_size) __must_check; /* NULL: old is still valid */
void kmem_free(void *p); /* NULL is fine */
char *kmem_strdup(const char *s) __must_check;

#ifdef ALLOC_SITES
struct kmem_stats {
    u64 objects, bytes; /* handed out and not given back, in the sizes of their classes; not what is above 2 KiB */
    u64 pages;          /* cut up for them, in use or not */
};
void kmem_stats(struct kmem_stats *out); /* exact when nobody allocates */
#define kmem_alloc(size) ALLOC_TRY(false, kmem_alloc, size)
#define kmem_alloc_reserve(size) ALLOC_TRY(true, kmem_alloc_reserve, size)
#define kmem_zalloc(size) ALLOC_TRY(false, kmem_zalloc, size)
#define kmem_resize(old, old_size, new_size) ALLOC_TRY(false, kmem_resize, old, old_size, new_size)
#define kmem_strdup(s) ALLOC_TRY(false, kmem_strdup, s)
#endif
