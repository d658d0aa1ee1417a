/*
 * Static keys: a condition that is almost always false and costs one 5-byte NOP while it is. A
 * branch on a key is compiled as that NOP; turning the key on patches every branch on it into a
 * jump. Used by the tracepoints. The instruction bytes are arch/x86_64/static_key.h's business;
 * on the host (unit tests, skep-vm) the key is a plain bool.
 */
#ifndef SKEP_KERNEL_STATIC_KEY_H
#define SKEP_KERNEL_STATIC_KEY_H

#include <stdbool.h>

struct static_key {
    bool enabled;
};

/* Defines arch_static_branch(key), the NOP or jump, and arch_static_key_patch(key, on). */
#include "arch/x86_64/static_key.h"

/* True when the key is on. key must be the address of an object with static storage, known where
 * the call is compiled. */
#define static_key_branch(key) __builtin_expect(arch_static_branch(key), false)

/* Turns a key on or off: patches every branch on it. Nothing to do when it is so already. Thread
 * context, or interrupts off. */
static inline void static_key_set(struct static_key *key, bool on)
{
    if (key->enabled == on)
        return;
    key->enabled = on;
    arch_static_key_patch(key, on);
}

#endif
