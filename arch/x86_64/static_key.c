/*
 * Patches the branches on static keys: see arch/x86_64/static_key.h.
 *
 * One CPU: the five bytes change between two instructions of it, with interrupts off inside
 * arch_text_patch(), and a 5-byte NOP is one instruction, so no thread can be stopped inside it.
 */
#include "arch/x86_64/arch.h"
#include "kernel/static_key.h"

/* Weak: a kernel without any branch has no such section. */
extern const struct static_key_site __start_static_keys[] __attribute__((weak));
extern const struct static_key_site __stop_static_keys[] __attribute__((weak));

static const uint8_t nop5[ARCH_STATIC_BRANCH_SIZE] = {0x0f, 0x1f, 0x44, 0x00, 0x00};

static void make_jump(const struct static_key_site *site, uint8_t bytes[ARCH_STATIC_BRANCH_SIZE])
{
    /* The kernel lies within 2 GiB (-mcmodel=small), so the distance fits 32 bits. */
    int32_t distance = (int32_t)(site->target - (site->code + ARCH_STATIC_BRANCH_SIZE));

    bytes[0] = 0xe9;
    __builtin_memcpy(bytes + 1, &distance, sizeof(distance));
}

void arch_static_key_patch(const struct static_key *key, bool on)
{
    const struct static_key_site *site;

    for (site = __start_static_keys; site != __stop_static_keys; site++) {
        uint8_t jump[ARCH_STATIC_BRANCH_SIZE];
        if (site->key != key)
            continue;
        make_jump(site, jump);
        arch_text_patch((void *)site->code, on ? jump : nop5, ARCH_STATIC_BRANCH_SIZE);
    }
}

const struct static_key_site *arch_static_key_site(const struct static_key *key, unsigned index)
{
    const struct static_key_site *site;

    for (site = __start_static_keys; site != __stop_static_keys; site++)
        if (site->key == key && index-- == 0)
            return site;
    return NULL;
}
