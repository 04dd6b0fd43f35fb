/* A reader for flattened device trees; see fdt.h. */
#include "lib/fdt.h"
#include "lib/string.h"

#define MAGIC 0xd00dfeedu
#define BEGIN_NODE 1u
#define END_NODE 2u
#define PROP 3u
#define NOP 4u

static u64 be64(const void *p)
{
    return (u64)fdt_be32(p) << 32 | fdt_be32((const u8 *)p + 4);
}

static bool block(const u8 *blob, u32 total, u32 at, u32 size, const u8 **out)
{
    *out = blob + at;
    return at % 4 == 0 && at <= total && size <= total - at;
}

bool fdt_open(struct fdt *t, const void *blob, u64 max_size)
{
    const u8 *b = blob;
    u32 total;

    if (max_size < 40 || fdt_be32(b) != MAGIC)
        return false;
    total = fdt_be32(b + 4);
    if (total < 40 || total > max_size || total > INT32_MAX || fdt_be32(b + 24) > 17 || fdt_be32(b + 20) < 16)
        return false;
    t->total_size = total;
    t->strings_size = fdt_be32(b + 32);
    t->structs_size = fdt_be32(b + 36);
    t->reserve = b + fdt_be32(b + 16);
    t->reserve_size = fdt_be32(b + 16) <= total ? total - fdt_be32(b + 16) : 0;
    t->strings = b + fdt_be32(b + 12);
    if (fdt_be32(b + 12) > total || t->strings_size > total - fdt_be32(b + 12))
        return false;
    return block(b, total, fdt_be32(b + 8), t->structs_size, &t->structs) && fdt_root(t) >= 0;
}

/* The token at `at`; 0 beyond the end. */
static u32 token(const struct fdt *t, u64 at)
{
    return at + 4 <= t->structs_size ? fdt_be32(t->structs + at) : 0;
}

/* Where the token after the one at `at` begins; 0: the blob ends or is broken. */
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
    return (const char *)t->structs + n + 4; /* token_skip found its NUL */
}

const void *fdt_prop(const struct fdt *t, fdt_node n, const char *name, u32 *len)
{
    for (u64 at = token_skip(t, (u64)n); at; at = token_skip(t, at)) {
        u32 kind = token(t, at), string;
        if (kind == NOP)
            continue;
        if (kind != PROP || !token_skip(t, at))
            return NULL;
        string = fdt_be32(t->structs + at + 8);
        if (string >= t->strings_size || strnlen((const char *)t->strings + string, t->strings_size - string) ==
                                             t->strings_size - string)
            continue;
        if (strcmp((const char *)t->strings + string, name) == 0) {
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
    fdt_node n = fdt_root(t);
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

fdt_node fdt_find_compatible(const struct fdt *t, fdt_node after, const char *compatible)
{
    int depth = 1 << 20; /* only its sign matters here */

    for (fdt_node n = after < 0 ? fdt_root(t) : fdt_next(t, after, &depth); n >= 0; n = fdt_next(t, n, &depth))
        if (fdt_prop_has_string(t, n, "compatible", compatible))
            return n;
    return -1;
}

/* The parent's cell counts: 2 and 1 unless it says otherwise. */
static void parent_cells(const struct fdt *t, fdt_node child, u32 *address, u32 *size)
{
    fdt_node n = fdt_root(t), parent[16];
    int depth = 0;

    parent[0] = n;
    while (n >= 0 && n != child) {
        n = fdt_next(t, n, &depth);
        if (depth < 0 || depth >= 16)
            break;
        parent[depth] = n;
    }
    n = n == child && depth > 0 ? parent[depth - 1] : -1;
    *address = 2;
    *size = 1;
    if (n >= 0) {
        fdt_prop_u32(t, n, "#address-cells", address);
        fdt_prop_u32(t, n, "#size-cells", size);
    }
}

static u64 cells(const u8 *p, u32 count)
{
    return count == 2 ? be64(p) : count == 1 ? fdt_be32(p) : 0;
}

bool fdt_reg(const struct fdt *t, fdt_node n, unsigned i, u64 *base, u64 *size)
{
    u32 len, a, s;
    const u8 *p = fdt_prop(t, n, "reg", &len);

    parent_cells(t, n, &a, &s);
    if (!p || a > 2 || s > 2 || (u64)(i + 1) * (a + s) * 4 > len)
        return false;
    p += (u64)i * (a + s) * 4;
    *base = cells(p, a);
    *size = cells(p + a * 4, s);
    return true;
}

bool fdt_reserved(const struct fdt *t, unsigned i, u64 *base, u64 *size)
{
    if ((u64)(i + 1) * 16 > t->reserve_size)
        return false;
    *base = be64(t->reserve + i * 16ul);
    *size = be64(t->reserve + i * 16ul + 8);
    return *base || *size;
}
