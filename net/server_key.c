/*
 * Where the key of the wire comes from in the guest: QEMU's fw_cfg, a module of the boot loader, or
 * nowhere. Then the guest makes one and says it on its console, to whoever may read that.
 */
#include "arch/x86_64/arch.h"
#include "boot/bootinfo.h"
#include "kernel/cmdline.h"
#include "kernel/printk.h"
#include "kernel/random.h"
#include "kernel/string.h"
#include "net/seal.h"
#include "net/server.h"

#define FW_CFG_NAME "opt/skep/key"
#define TEXT_MAX    (2 * CRYPTO_KEY_SIZE + 8) /* 64 digits and an end of line, and one too many */

static uint8_t key[CRYPTO_KEY_SIZE];

/* Length of the text that the key is in, cut at size; -1 when the loader gave no module "key". */
static int read_module(const struct boot_info *boot, void *text, size_t size)
{
    for (unsigned i = 0; i < boot->nr_modules; i++) {
        const struct boot_module *module = &boot->modules[i];
        if (strcmp(module->name, "key") != 0)
            continue;
        size_t len = module->end - module->start;
        if (len > size)
            len = size;
        memcpy(text, (const void *)(uintptr_t)module->start, len);
        return (int)len;
    }
    return -1;
}

static bool find_given(const struct boot_info *boot)
{
    char text[TEXT_MAX];
    const char *from = "fw_cfg " FW_CFG_NAME;
    int len = arch_fw_cfg_read(FW_CFG_NAME, text, sizeof(text));

    if (len < 0) {
        from = "the module \"key\"";
        len = read_module(boot, text, sizeof(text));
    }
    if (len < 0)
        return false;
    bool good = seal_parse_key(text, (size_t)len, key);
    if (good)
        pr_info("skep: the key is that of %s", from);
    else
        pr_err("skep: %s is no key: that is 32 bytes, or 64 hexadecimal digits", from);
    crypto_wipe(text, sizeof(text));
    return good;
}

static void make(void)
{
    char digits[2 * CRYPTO_KEY_SIZE + 1];

    random_bytes(key, sizeof(key));
    for (unsigned i = 0; i < sizeof(key); i++)
        format_text(digits + 2 * i, 3, "%02x", key[i]);
    if (!random_is_strong())
        pr_warn("skep: this machine has no good random numbers; a made key can be guessed");
    pr_notice("skep: no key given, made one: %s; give it to skepctl with --key", digits);
}

/* The key that commands are sealed with, CRYPTO_KEY_SIZE bytes that stay; NULL when the command
 * line asks for none (skep.insecure=1). Thread context, once. */
const uint8_t *server_find_key(const struct boot_info *boot)
{
    if (cmdline_flag("skep.insecure")) {
        pr_warn("skep: insecure, as the command line says: whoever can send to this machine can "
                "command it");
        return NULL;
    }
    if (!find_given(boot))
        make();
    return key;
}
