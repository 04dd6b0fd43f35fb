/*
 * What a Multiboot 2 loader (GRUB) tells, specification 2.0, section 3.6: tags, one
 * after another, each at a multiple of 8.
 */
#include "lib/string.h"
#include "machine.h"

enum { TAG_END = 0, TAG_COMMAND_LINE = 1, TAG_MODULE = 3, TAG_MEMORY = 6, TAG_RSDP_OLD = 14, TAG_RSDP = 15 };
#define MEMORY_RAM 1

struct tag {
    u32 type, size;
    u8 data[];
};
struct module {
    u32 start, end;
};
struct memory {
    u64 base, size;
    u32 type, reserved;
};

static void read_memory(const struct tag *t)
{
    struct memory m;
    u32 step;

    memcpy(&step, t->data, sizeof step);
    for (u32 i = 8; step >= sizeof m && sizeof *t + i + step <= t->size; i += step) {
        memcpy(&m, t->data + i, sizeof m);
        if (m.type == MEMORY_RAM)
            platform_add_ram(m.base, m.size);
    }
}

/* The first one. */
static void read_module(const struct tag *t)
{
    struct module m;

    memcpy(&m, t->data, sizeof m);
    if (platform.initrd_size || m.end <= m.start)
        return;
    platform.initrd = (paddr_t){m.start};
    platform.initrd_size = m.end - m.start;
}

paddr_t multiboot_read(paddr_t info)
{
    const u8 *at = arch_phys_to_virt(info), *end;
    const struct tag *t;
    paddr_t rsdp = {0};
    u32 size;

    memcpy(&size, at, sizeof size);
    end = at + size;
    for (at += 8; at + sizeof *t <= end; at += ROUND_UP(MAX(t->size, 8u), 8u)) {
        t = (const struct tag *)at;
        if (t->type == TAG_END)
            break;
        if (t->type == TAG_COMMAND_LINE)
            strlcpy(platform.bootargs, (const char *)t->data, sizeof platform.bootargs);
        else if (t->type == TAG_MODULE)
            read_module(t);
        else if (t->type == TAG_MEMORY)
            read_memory(t);
        else if (t->type == TAG_RSDP || (t->type == TAG_RSDP_OLD && !rsdp.pa))
            rsdp = arch_virt_to_phys(t->data); /* a copy */
    }
    return rsdp;
}
