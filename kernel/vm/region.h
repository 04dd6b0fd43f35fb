/*
 * What is mapped where: a persistent tree of regions.
 *
 * What has been published never changes; an operation makes a new version of the
 * tree that shares all it did not touch, and the old one stands until its last
 * reference is dropped. So fork takes a reference, and what runs out of memory
 * half-way drops the new version. Each node counts its region's object and tag.
 *
 * A root is a counted pointer, NULL the empty tree. Reading needs a reference
 * to the version (vm->lock, or one's own); changing needs no lock at all.
 */
#pragma once
#include "vm/vm.h"

struct region_node *region_tree_get(struct region_node *root);
void region_tree_put(struct region_node *root); /* may sleep: the last reference closes files */
u32 region_tree_count(const struct region_node *root);
u64 region_tree_pages(const struct region_node *root); /* sum of the regions' sizes */
/* The first region that ends above va and that fork does not just share (VM_DONTFORK, VM_WIPEONFORK, VM_LOCKED); NULL: none. */
const struct region *region_find_special(const struct region_node *root, vaddr_t va);
u64 region_tree_promised(const struct region_node *root); /* pages that they may come to need, tables too (commit.h) */

/* The region that covers va, or the first above it; NULL: none. Valid while the version is. */
const struct region *region_find(const struct region_node *root, vaddr_t va);
/* The last region that ends at or below va; NULL: none. */
const struct region *region_find_before(const struct region_node *root, vaddr_t va);
/* The highest address in [low, high) where len bytes are free; 0: none. */
vaddr_t region_find_gap(const struct region_node *root, vaddr_t low, vaddr_t high, u64 len);

/* ---- new versions: 0 and *out with a reference, or -ENOMEM ---- */

/* Adds r, whose range is free, and merges it with compatible neighbours. Takes references to object and tag. */
int region_insert(struct region_node *root, const struct region *r, struct region_node **out) __must_check;
/* Removes [start, end), cutting what lies across its ends. Draws on the memory kept for munmap. */
int region_remove(struct region_node *root, vaddr_t start, vaddr_t end, struct region_node **out) __must_check;
/* Calls fn on a copy of each region in [start, end), cut at its ends, and puts the results in their places. */
int region_update(struct region_node *root, vaddr_t start, vaddr_t end, void (*fn)(struct region *r, void *arg),
                  void *arg, struct region_node **out) __must_check;
/* r, a region of this version, made to start at `start`; NULL: no memory. */
struct region_node *region_extend_down(struct region_node *root, const struct region *r, vaddr_t start);

/* References to object and tag of a copy. */
void region_refs_get(const struct region *r);
void region_refs_put(const struct region *r);
