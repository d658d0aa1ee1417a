/*
 * Where a program of the host finds the key of the wire: libskep, and the server in a process of
 * its own (user/vm/serve.c).
 */
#ifndef SKEP_LIB_KEY_H
#define SKEP_LIB_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "net/crypto.h"

struct skep_key {
    uint8_t bytes[CRYPTO_KEY_SIZE];
    char from[256]; /* for sentences: the file's name, "--key", "SKEP_KEY" */
};

/* given: 64 hexadecimal digits or the name of a file that holds these or 32 bytes; NULL: $SKEP_KEY,
 * which is the same, else the file skep.key beside the program. 0; -ENOKEY when there is none of
 * these; another negative errno when what is there cannot be read or is no key. On failure a
 * sentence is in err. */
int skep_key_find(const char *given, struct skep_key *key, char *err, size_t err_size);

#endif
