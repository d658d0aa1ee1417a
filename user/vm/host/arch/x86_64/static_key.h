/*
 * Stands in for arch/x86_64/static_key.h in a host process: no text is patched, the branch tests
 * the key's bool.
 */
#ifndef SKEP_ARCH_STATIC_KEY_H
#define SKEP_ARCH_STATIC_KEY_H

#include <stdbool.h>

static inline bool arch_static_branch(const struct static_key *key)
{
    return key->enabled;
}

static inline void arch_static_key_patch(const struct static_key *key, bool on)
{
    (void)key;
    (void)on;
}

#endif
