/* The C library's string.h, for BearSSL: the kernel's own functions. */
#ifndef SKEP_BEARSSL_STRING_H
#define SKEP_BEARSSL_STRING_H

#include "kernel/string.h"

#endif
