/*
 * A reader for flattened device trees (devicetree specification, v0.4, chapter
 * 5), in place, without memory of its own. Whatever the blob says, nothing
 * outside [blob, blob + totalsize) is read and every walk ends.
 */
#pragma once
#include "lib/types.h"

struct fdt {
    const u8 *structs, *strings, *reserve;
    u32 structs_size, strings_size, reserve_size, total_size;
};

/* An offset into the structure block; 0 is the root node, negative means none. */
typedef s32 fdt_node;

/* False: not a device tree that a reader of version 17 understands, or its header is out of bounds. Of the blob,
 * max_size bytes are mapped. */
bool fdt_open(struct fdt *t, const void *blob, u64 max_size);

/* A negative node is allowed everywhere, and has no properties, successors or children. */

/* Depth-first order; *depth follows (the root has 0). Start with fdt_root. Negative at the end. */
fdt_node fdt_root(const struct fdt *t);
fdt_node fdt_next(const struct fdt *t, fdt_node n, int *depth);
const char *fdt_name(const struct fdt *t, fdt_node n);
fdt_node fdt_find_path(const struct fdt *t, const char *path); /* "/chosen"; unit addresses may be left out */
/* The next node in whose list of strings `prop` value is; after: -1 starts. */
fdt_node fdt_find_string(const struct fdt *t, fdt_node after, const char *prop, const char *value);
fdt_node fdt_find_compatible(const struct fdt *t, fdt_node after, const char *compatible);
fdt_node fdt_find_phandle(const struct fdt *t, u32 phandle);

/* NULL: absent. */
const void *fdt_prop(const struct fdt *t, fdt_node n, const char *name, u32 *len);
bool fdt_prop_u32(const struct fdt *t, fdt_node n, const char *name, u32 *out);
const char *fdt_prop_string(const struct fdt *t, fdt_node n, const char *name); /* only if it ends with a NUL */
bool fdt_prop_has_string(const struct fdt *t, fdt_node n, const char *name, const char *value);
/* Entry i of a "reg", with the cell counts of the node's parent; false also if these are not 1 or 2 (size: 0 to 2). */
bool fdt_reg(const struct fdt *t, fdt_node n, unsigned i, u64 *base, u64 *size);
/* Entry i of the memory reservation block; false at its end. */
bool fdt_reserved(const struct fdt *t, unsigned i, u64 *base, u64 *size);

static inline u32 fdt_be32(const void *p)
{
    const u8 *b = p;

    return (u32)b[0] << 24 | (u32)b[1] << 16 | (u32)b[2] << 8 | b[3];
}
