/* NS16550 serial port (National Semiconductor PC16550D data sheet). */
#include "dev/uart16550.h"
#include "arch/arch.h"

enum { RBR_THR = 0, IER = 1, FCR = 2, LCR = 3, MCR = 4, LSR = 5 };
#define IER_RX 1
#define IER_TX 2
#define FCR_ENABLE_CLEAR 7
#define FCR_TRIGGER_14 0xc0 /* an interrupt for 14 bytes, or when the line pauses */
#define LCR_8N1 3
#define LCR_DIVISOR 0x80
#define MCR_DTR_RTS_OUT2 11
#define LSR_DATA 1
#define LSR_THR_EMPTY 32

static device_regs regs;

bool uart_init(void)
{
    if (platform.uart.pa == 0)
        return false;
    regs = arch_regs_map(platform.uart, 8);
    arch_reg_write(regs, IER, 0);
    arch_reg_write(regs, LCR, LCR_DIVISOR);
    arch_reg_write(regs, RBR_THR, 1); /* as fast as it goes: the shortest pause */
    arch_reg_write(regs, IER, 0);
    arch_reg_write(regs, LCR, LCR_8N1);
    arch_reg_write(regs, FCR, FCR_ENABLE_CLEAR | FCR_TRIGGER_14);
    arch_reg_write(regs, MCR, MCR_DTR_RTS_OUT2);
    return true;
}

bool uart_tx_ready(void)
{
    return arch_reg_read(regs, LSR) & LSR_THR_EMPTY;
}

void uart_put(u8 c)
{
    arch_reg_write(regs, RBR_THR, c);
}

bool uart_rx_ready(void)
{
    return arch_reg_read(regs, LSR) & LSR_DATA;
}

u8 uart_get(void)
{
    return arch_reg_read(regs, RBR_THR);
}

void uart_interrupts(bool rx, bool tx)
{
    arch_reg_write(regs, IER, (u8)((rx ? IER_RX : 0) | (tx ? IER_TX : 0)));
}
