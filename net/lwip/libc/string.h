/* The C library's string.h, for lwIP: the kernel's own functions. */
#ifndef SKEP_LWIP_LIBC_STRING_H
#define SKEP_LWIP_LIBC_STRING_H

#include "kernel/string.h"

#endif
