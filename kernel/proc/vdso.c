#include "proc/vdso.h"
#include "lib/print.h"
#include "lib/string.h"

/* The machine's image, in one page or less; NULL where there is none. */
extern const char vdso_image[] __attribute__((weak)), vdso_image_end[] __attribute__((weak));

static struct vm_object *object;
static struct vdso_data *data; /* the last page, whose reference is kept */
static u64 realtime_ns;        /* what is said before there is a page */

bool vdso_there_is(void)
{
    return vdso_image;
}

struct vm_object *vdso_object(void)
{
    return object;
}

static void *page_at(u64 index)
{
    struct page *p;

    if (object_get_page(object, index, &p))
        panic("no memory for the pages that all programs share");
    return page_data(p);
}

void vdso_init(void)
{
    object = object_create(NULL, VDSO_PAGES * PAGE_SIZE, NULL);
    if (!object)
        panic("no memory for the pages that all programs share");
    memcpy(page_at(0), sigreturn_code, (size_t)(sigreturn_code_end - sigreturn_code));
    if (vdso_there_is())
        memcpy(page_at(1), vdso_image, (size_t)(vdso_image_end - vdso_image));
    data = page_at(2);
    data->tick_ns = arch_vdso_tick();
    vdso_set_realtime(realtime_ns);
}

void vdso_set_realtime(u64 boot_realtime_ns)
{
    realtime_ns = boot_realtime_ns;
    if (data)
        __atomic_store_n(&data->boot_realtime_ns, boot_realtime_ns, __ATOMIC_RELAXED);
}
