/*
 * The console: COM1, a 16550A UART, written by polling. Called by printk and, at the end of the
 * line, by panic; so it takes no lock and waits only so long.
 */
#include "arch/x86_64/arch.h"
#include "arch/x86_64/registers.h"

#define COM1          0x3f8
#define UART_DATA     (COM1 + 0)
#define UART_IER      (COM1 + 1)
#define UART_FCR      (COM1 + 2)
#define UART_LCR      (COM1 + 3)
#define UART_MCR      (COM1 + 4)
#define UART_LSR      (COM1 + 5)
#define UART_SCRATCH  (COM1 + 7)
#define LCR_8N1       0x03
#define LCR_DIVISOR   0x80
#define FCR_ENABLE    0x07 /* FIFOs on and emptied */
#define MCR_DTR_RTS   0x03
#define LSR_THR_EMPTY 0x20
#define FIFO_SIZE     16
#define WAIT_MAX      1000000

static bool present;
static unsigned fifo_space;

/* 115200 baud, 8 bits, no parity. A machine without COM1 runs silently. */
void arch_console_init(void)
{
    port_out8(UART_SCRATCH, 0x5a);
    present = port_in8(UART_SCRATCH) == 0x5a;
    if (!present)
        return;
    port_out8(UART_IER, 0);
    port_out8(UART_LCR, LCR_DIVISOR);
    port_out8(UART_DATA, 1);
    port_out8(UART_IER, 0);
    port_out8(UART_LCR, LCR_8N1);
    port_out8(UART_FCR, FCR_ENABLE);
    port_out8(UART_MCR, MCR_DTR_RTS);
}

/* An empty holding register means an empty FIFO: then 16 bytes go without asking again. */
static void put(char c)
{
    if (!fifo_space) {
        for (int i = 0; i < WAIT_MAX && !(port_in8(UART_LSR) & LSR_THR_EMPTY); i++)
            cpu_relax();
        fifo_space = FIFO_SIZE;
    }
    port_out8(UART_DATA, (uint8_t)c);
    fifo_space--;
}

/* Writes len bytes, line ends as CR LF. Any context; does nothing before arch_console_init(). */
void arch_console_write(const char *text, size_t len)
{
    if (!present)
        return;
    uint64_t flags = arch_irq_save();
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n')
            put('\r');
        put(text[i]);
    }
    arch_irq_restore(flags);
}
