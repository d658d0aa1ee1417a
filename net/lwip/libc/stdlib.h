/* The C library's stdlib.h, for lwIP: only what it calls. */
#ifndef SKEP_LWIP_LIBC_STDLIB_H
#define SKEP_LWIP_LIBC_STDLIB_H

int atoi(const char *text); /* net/lwip/sys_arch.c */

#endif
