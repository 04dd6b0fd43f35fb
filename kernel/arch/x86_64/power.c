/*
 * Turning the machine off and starting it again.
 *
 * An emulator is told the status first: a byte to port 0xe9 (QEMU's isa-debugcon,
 * which answers with 0xe9 when it is there); its own exit status has no room for
 * all of 0..255. Then ACPI turns the machine off, with the S5 state (specification
 * 6.4, section 4.8.3.2); without ACPI, QEMU's isa-debug-exit does.
 */
#include "machine.h"

#define STATUS_PORT 0xe9
#define EXIT_PORT 0xf4
#define SLEEP_TYPE(t) ((t) << 10)
#define SLEEP_ENABLE (1u << 13)
#define SLEEP_REGISTER_TYPE(t) ((t) << 2)
#define SLEEP_REGISTER_ENABLE 0x20u
#define KEYBOARD_COMMAND 0x64
#define KEYBOARD_RESET 0xfe

static void outw(u16 port, u16 v)
{
    __asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(port) : "memory");
}

static void __noreturn stop(void)
{
    for (;;)
        __asm__ volatile("cli\n\thlt");
}

static void tell(unsigned status)
{
    if (inb(STATUS_PORT) == STATUS_PORT)
        outb(STATUS_PORT, (u8)status);
}

void arch_poweroff(unsigned status)
{
    arch_irq_disable();
    tell(status);
    if (machine.sleep_register.pa)
        *(volatile u8 *)arch_map_device(machine.sleep_register, 1) =
            (u8)(SLEEP_REGISTER_TYPE(machine.sleep_type_a) | SLEEP_REGISTER_ENABLE);
    if (machine.pm1a_control)
        outw(machine.pm1a_control, (u16)(SLEEP_TYPE(machine.sleep_type_a) | SLEEP_ENABLE));
    if (machine.pm1b_control)
        outw(machine.pm1b_control, (u16)(SLEEP_TYPE(machine.sleep_type_b) | SLEEP_ENABLE));
    outb(EXIT_PORT, (u8)status);
    stop();
}

void arch_reboot(void)
{
    arch_irq_disable();
    tell(0); /* for an emulator that ends instead */
    if (machine.reset_address && machine.reset_in_memory)
        *(volatile u8 *)arch_map_device((paddr_t){machine.reset_address}, 1) = machine.reset_value;
    else if (machine.reset_address)
        outb((u16)machine.reset_address, machine.reset_value);
    outb(KEYBOARD_COMMAND, KEYBOARD_RESET);
    stop();
}
