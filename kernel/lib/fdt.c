/*
 * A reader for flattened device trees; see fdt.h.
 *
 * Every walk goes through token_skip, which checks bounds and always moves
 * ahead; nothing recurses. Offsets are 64 bits wide, so sums do not wrap.
 */
#include "lib/fdt.h"
#include "lib/string.h"

#define MAGIC 0xd00dfeedu
#define BEGIN_NODE 1u
#define END_NODE 2u
#define PROP 3u
#define NOP 4u
#define VERSION 17u /* the first one whose header has the structure block's size */
#define DEPTH_MAX 16

/* The header: offsets of its big-endian words. */
enum { H_MAGIC = 0, H_TOTAL = 4, H_STRUCTS = 8, H_STRINGS = 12, H_RESERVE = 16, H_VERSION = 20, H_COMPATIBLE = 24,
       H_STRINGS_SIZE = 32, H_STRUCTS_SIZE = 36, H_SIZE = 40 };

static u64 be64(const void *p)
{
    return (u64)fdt_be32(p) << 32 | fdt_be32((const u8 *)p + 4);
}

/* Is [at, at + size) inside the blob? */
static bool block_ok(const struct fdt *t, u32 at, u32 size)
{
    return at >= H_SIZE && at <= t->total_size && size <= t->total_size - at;
}

bool fdt_open(struct fdt *t, const void *blob, u64 max_size)
{
    const u8 *b = blob;
    u32 structs, strings, reserve;

    if (max_size < H_SIZE || fdt_be32(b + H_MAGIC) != MAGIC)
        return false;
    t->total_size = fdt_be32(b + H_TOTAL);
    if (t->total_size < H_SIZE || t->total_size > max_size || t->total_size > INT32_MAX ||
        fdt_be32(b + H_VERSION) < VERSION || fdt_be32(b + H_COMPATIBLE) > VERSION)
        return false;
    structs = fdt_be32(b + H_STRUCTS);
    strings = fdt_be32(b + H_STRINGS);
    reserve = fdt_be32(b + H_RESERVE);
    t->structs_size = fdt_be32(b + H_STRUCTS_SIZE);
    t->strings_size = fdt_be32(b + H_STRINGS_SIZE);
    if (!block_ok(t, structs, t->structs_size) || !block_ok(t, strings, t->strings_size) || !block_ok(t, reserve, 0))
        return false;
    t->structs = b + structs;
    t->strings = b + strings;
    t->reserve = b + reserve;
    t->reserve_size = t->total_size - reserve; /* its end is a mark in it */
    return fdt_root(t) >= 0;
}

/* The token at `at`; 0 beyond the end. */
static u32 token(const struct fdt *t, u64 at)
{
    return at + 4 <= t->structs_size ? fdt_be32(t->structs + at) : 0;
}

/* Where the token after the one at `at` begins, which is > at; 0: the blob ends or is broken. */
static u64 token_skip(const struct fdt *t, u64 at)
{
    u32 kind = token(t, at);
    u64 next = at + 4;

    if (kind == BEGIN_NODE) {
        while (next < t->structs_size && t->structs[next])
            next++;
        next++;
    } else if (kind == PROP && at + 12 <= t->structs_size) {
        next = at + 12 + fdt_be32(t->structs + at + 4);
    } else if (kind != END_NODE && kind != NOP) {
        return 0;
    }
    next = ROUND_UP(next, 4ul);
    return next <= t->structs_size ? next : 0;
}

fdt_node fdt_root(const struct fdt *t)
{
    u64 at = 0;

    while (token(t, at) == NOP)
        at += 4;
    return token(t, at) == BEGIN_NODE && token_skip(t, at) ? (fdt_node)at : -1;
}

fdt_node fdt_next(const struct fdt *t, fdt_node n, int *depth)
{
    if (n < 0)
        return -1;
    for (u64 at = token_skip(t, (u64)n); at; at = token_skip(t, at)) {
        u32 kind = token(t, at);

        if (kind == BEGIN_NODE) {
            ++*depth;
            return token_skip(t, at) ? (fdt_node)at : -1;
        }
        if (kind == END_NODE && --*depth < 0)
            return -1;
    }
    return -1;
}

const char *fdt_name(const struct fdt *t, fdt_node n)
{
    return n < 0 ? "" : (const char *)t->structs + n + 4; /* token_skip found its NUL */
}

/* Is the string at offset `at` of the strings block `name`? */
static bool string_is(const struct fdt *t, u32 at, const char *name, size_t name_len)
{
    return at < t->strings_size && name_len < t->strings_size - at &&
           memcmp(t->strings + at, name, name_len + 1) == 0;
}

const void *fdt_prop(const struct fdt *t, fdt_node n, const char *name, u32 *len)
{
    size_t name_len = strlen(name);

    *len = 0;
    if (n < 0)
        return NULL;
    for (u64 at = token_skip(t, (u64)n); at; at = token_skip(t, at)) {
        u32 kind = token(t, at);

        if (kind == NOP)
            continue;
        if (kind != PROP || !token_skip(t, at)) /* properties come before children */
            return NULL;
        if (string_is(t, fdt_be32(t->structs + at + 8), name, name_len)) {
            *len = fdt_be32(t->structs + at + 4);
            return t->structs + at + 12;
        }
    }
    return NULL;
}

bool fdt_prop_u32(const struct fdt *t, fdt_node n, const char *name, u32 *out)
{
    u32 len;
    const void *p = fdt_prop(t, n, name, &len);

    if (!p || len < 4)
        return false;
    *out = fdt_be32(p);
    return true;
}

const char *fdt_prop_string(const struct fdt *t, fdt_node n, const char *name)
{
    u32 len;
    const char *p = fdt_prop(t, n, name, &len);

    return p && len > 0 && p[len - 1] == 0 ? p : NULL;
}

bool fdt_prop_has_string(const struct fdt *t, fdt_node n, const char *name, const char *value)
{
    u32 len, want = (u32)strlen(value) + 1;
    const char *p = fdt_prop(t, n, name, &len);

    for (u32 at = 0; p && at < len;) {
        u32 part = (u32)strnlen(p + at, len - at) + 1;

        if (part == want && at + part <= len && memcmp(p + at, value, want) == 0)
            return true;
        at += part;
    }
    return false;
}

static bool name_matches(const char *name, const char *part, size_t len)
{
    return strncmp(name, part, len) == 0 && (name[len] == 0 || name[len] == '@');
}

fdt_node fdt_find_path(const struct fdt *t, const char *path)
{
    fdt_node n = *path == '/' ? fdt_root(t) : -1;
    int depth = 0, wanted = 1;

    while (n >= 0 && *path == '/' && path[1]) {
        const char *part = path + 1, *end = strchr(part, '/');
        size_t len = end ? (size_t)(end - part) : strlen(part);

        do {
            n = fdt_next(t, n, &depth);
            if (n < 0 || depth < wanted)
                return -1;
        } while (depth != wanted || !name_matches(fdt_name(t, n), part, len));
        wanted++;
        path = part + len;
    }
    return n;
}

fdt_node fdt_find_string(const struct fdt *t, fdt_node after, const char *prop, const char *value)
{
    int depth = INT32_MAX / 2; /* not of interest; far enough from both ends */

    for (fdt_node n = after < 0 ? fdt_root(t) : fdt_next(t, after, &depth); n >= 0; n = fdt_next(t, n, &depth))
        if (fdt_prop_has_string(t, n, prop, value))
            return n;
    return -1;
}

fdt_node fdt_find_compatible(const struct fdt *t, fdt_node after, const char *compatible)
{
    return fdt_find_string(t, after, "compatible", compatible);
}

fdt_node fdt_find_phandle(const struct fdt *t, u32 phandle)
{
    int depth = 0;
    u32 value;

    for (fdt_node n = fdt_root(t); n >= 0; n = fdt_next(t, n, &depth))
        if (fdt_prop_u32(t, n, "phandle", &value) && value == phandle)
            return n;
    return -1;
}

/* The node that `child` is directly in; negative: it is the root, too deep, or no node. */
static fdt_node parent_of(const struct fdt *t, fdt_node child)
{
    fdt_node parents[DEPTH_MAX];
    int depth = 0;

    for (fdt_node n = fdt_root(t); n >= 0 && n <= child; n = fdt_next(t, n, &depth)) {
        if (n == child)
            return depth > 0 && depth <= DEPTH_MAX ? parents[depth - 1] : -1;
        if (depth < DEPTH_MAX)
            parents[depth] = n;
    }
    return -1;
}

static u64 cells(const u8 *p, u32 count)
{
    return count == 2 ? be64(p) : count == 1 ? fdt_be32(p) : 0;
}

bool fdt_reg(const struct fdt *t, fdt_node n, unsigned i, u64 *base, u64 *size)
{
    u32 len, a = 2, s = 1; /* what holds if the parent says nothing */
    const u8 *p = fdt_prop(t, n, "reg", &len);
    fdt_node parent = p ? parent_of(t, n) : -1;

    if (parent < 0)
        return false;
    fdt_prop_u32(t, parent, "#address-cells", &a);
    fdt_prop_u32(t, parent, "#size-cells", &s);
    if (a < 1 || a > 2 || s > 2 || ((u64)i + 1) * (a + s) * 4 > len)
        return false;
    p += (u64)i * (a + s) * 4;
    *base = cells(p, a);
    *size = cells(p + a * 4, s);
    return true;
}

bool fdt_reserved(const struct fdt *t, unsigned i, u64 *base, u64 *size)
{
    if (((u64)i + 1) * 16 > t->reserve_size)
        return false;
    *base = be64(t->reserve + i * 16ul);
    *size = be64(t->reserve + i * 16ul + 8);
    return *base || *size;
}
