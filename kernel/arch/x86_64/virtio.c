/*
 * Where virtio devices may be in memory: as the DSDT says (devices with the _HID
 * LNRO0005), or the boot line, in Linux's form: virtio_mmio.device=SIZE@ADDRESS:LINE.
 *
 * There is no interpreter of AML: what is found is a _CRS that is a constant
 * (ACPI 6.4, 20.2.3 for the buffer, 6.4 for the descriptors in it), as QEMU writes it.
 */
#include "lib/string.h"
#include "machine.h"

#define HID "LNRO0005"
#define BUFFER_OP 0x11
#define BYTE_PREFIX 0x0a
#define LARGE 0x80u
#define MEMORY_32_FIXED 0x86u
#define INTERRUPT 0x89u
#define INTERRUPT_EDGE 2u
#define INTERRUPT_LOW 4u

static u32 word(const u8 *p)
{
    u32 v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* The line of a global interrupt, a new one if it has none: a pin has one vector, so two lines would take it from each
 * other. UINT32_MAX: there is no room for another. */
static u32 line_of(u32 global)
{
    for (unsigned i = 0; i < machine.line_count; i++)
        if (machine.lines[i].global == global)
            return i;
    if (machine.line_count == ARRAY_SIZE(machine.lines))
        return UINT32_MAX;
    machine.lines[machine.line_count].global = global;
    return machine.line_count++;
}

/* The last to speak says how the line is wired; a level stays one, as who shares an edge misses interrupts. */
static void add(u64 base, u64 size, u32 global, u8 flags)
{
    u32 line;

    if (base == 0 || size == 0 || platform.virtio_count == ARRAY_SIZE(platform.virtio))
        return;
    line = line_of(global);
    if (line == UINT32_MAX)
        return;
    machine.lines[line].low = flags & INTERRUPT_LOW;
    machine.lines[line].level |= !(flags & INTERRUPT_EDGE);
    platform.virtio[platform.virtio_count++] = (struct virtio_place){{base}, size, line};
}

/* ---- the DSDT ---- */

/* Resource descriptors up to `end`: a large one has a tag and a length of 16 bits, a small one both in a byte. */
static void read_resources(const u8 *p, const u8 *end)
{
    u32 base = 0, size = 0, length;

    for (; p + 3 <= end; p += length) {
        length = *p & LARGE ? 3u + p[1] + ((u32)p[2] << 8) : 1u + (*p & 7);
        if (length > (u64)(end - p))
            return;
        if (*p == MEMORY_32_FIXED && length >= 12) {
            base = word(p + 4);
            size = word(p + 8);
        } else if (*p == INTERRUPT && length >= 9) {
            add(base, size, word(p + 5), p[3]);
            return;
        }
    }
}

/* A buffer whose size is a byte: the op, the package's length (its first byte says how many follow), the size, the bytes. */
static void read_buffer(const u8 *p, const u8 *end)
{
    if (p + 2 > end || *p != BUFFER_OP)
        return;
    p += 2 + (p[1] >> 6);
    if (p + 2 > end || *p != BYTE_PREFIX || p[1] > end - p - 2)
        return;
    read_resources(p + 2, p + 2 + p[1]);
}

/* What `text` of n bytes is followed by, from p on; NULL: it is not there. */
static const u8 *find(const u8 *p, const u8 *end, const char *text, size_t n)
{
    for (; p + n <= end; p++)
        if (memcmp(p, text, n) == 0)
            return p + n;
    return NULL;
}

void virtio_read_dsdt(const u8 *code, const u8 *end)
{
    const u8 *next, *resources;

    for (code = find(code, end, HID, sizeof HID); code; code = next) { /* with its NUL */
        next = find(code, end, HID, sizeof HID);
        resources = find(code, next ? next : end, "_CRS", 4);
        if (resources)
            read_buffer(resources, next ? next : end);
    }
}

/* ---- the boot line ---- */

/* Decimal, or hexadecimal with 0x; the end is left in *s. */
static u64 number(const char **s)
{
    u64 v = 0, base = 10, digit;

    if ((*s)[0] == '0' && (*s)[1] == 'x') {
        base = 16;
        *s += 2;
    }
    for (;; ++*s) {
        char c = **s;
        digit = c >= '0' && c <= '9' ? (u64)(c - '0') : c >= 'a' && c <= 'f' ? (u64)(c - 'a') + 10 : 16;
        if (digit >= base || __builtin_mul_overflow(v, base, &v))
            return v;
        v += digit;
    }
}

void virtio_read_bootargs(void)
{
    static const char name[] = "virtio_mmio.device=";
    const u8 *line = (const u8 *)platform.bootargs, *end = line + strlen(platform.bootargs);

    while ((line = find(line, end, name, sizeof name - 1))) {
        const char *s = (const char *)line;
        u64 size = number(&s), base;

        size <<= *s == 'K' ? 10 : *s == 'M' ? 20 : 0;
        s += *s == 'K' || *s == 'M';
        if (*s++ != '@')
            continue;
        base = number(&s);
        if (*s++ == ':')
            add(base, size, (u32)number(&s), 0);
    }
}
