/*
 * The branch of kernel/static_key.h on this CPU: a 5-byte NOP (SDM 2B, NOP: 0F 1F 44 00 00) that is
 * patched to JMP rel32 (E9) and back. Each branch leaves an entry in section static_keys; the
 * linker gives the table's bounds as __start_static_keys and __stop_static_keys.
 * Include kernel/static_key.h instead of this file.
 */
#ifndef SKEP_ARCH_STATIC_KEY_H
#define SKEP_ARCH_STATIC_KEY_H

#include <stdbool.h>
#include <stdint.h>

struct static_key;

#define ARCH_STATIC_BRANCH_SIZE 5u

/* One branch in the text. */
struct static_key_site {
    uint64_t code;   /* address of the NOP or jump */
    uint64_t target; /* where the jump goes */
    const struct static_key *key;
};

static inline __attribute__((always_inline)) bool arch_static_branch(const struct static_key *key)
{
    __asm__ goto("1: .byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n\t"
                 ".pushsection static_keys, \"a\"\n\t"
                 ".balign 8\n\t"
                 ".quad 1b, %l[on], %c0\n\t"
                 ".popsection"
                 :
                 : "i"(key)
                 :
                 : on);
    return false;
on:
    return true;
}

/* Makes every branch on key a jump (on) or a NOP. Any context. */
void arch_static_key_patch(const struct static_key *key, bool on);

/* The index-th branch on key; NULL past the last. For tests that read the instruction bytes. */
const struct static_key_site *arch_static_key_site(const struct static_key *key, unsigned index);

#endif
