/* NS16550 serial port: registers a byte each. Callers hold the console's lock. */
#pragma once
#include "lib/types.h"

bool uart_init(void);            /* finds it in `platform`; false: there is none */
bool uart_tx_ready(void);        /* the transmit buffer is empty: up to uart_tx_burst bytes may be put */
void uart_put(u8 c);
bool uart_rx_ready(void);
u8 uart_get(void);
void uart_interrupts(bool rx, bool tx); /* which ones are wanted */
#define UART_TX_BURST 16
