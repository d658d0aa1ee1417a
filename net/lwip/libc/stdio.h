/* The C library's stdio.h, for lwIP, which includes it but calls nothing from it: its messages
 * go through LWIP_PLATFORM_DIAG (arch/cc.h). */
#ifndef SKEP_LWIP_LIBC_STDIO_H
#define SKEP_LWIP_LIBC_STDIO_H

#include <stddef.h>

#endif
