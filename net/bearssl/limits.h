/* The C library's limits.h, for BearSSL, which looks in it for the width of long. */
#ifndef SKEP_BEARSSL_LIMITS_H
#define SKEP_BEARSSL_LIMITS_H

#define ULONG_MAX (__LONG_MAX__ * 2UL + 1)

#endif
