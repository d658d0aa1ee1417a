/*
 * QEMU's fw_cfg device (QEMU docs/specs/fw_cfg): named items given on QEMU's command line, read
 * through its two I/O ports. kernel_main() takes an extra command line from it, net/ its key.
 */
#include "arch/x86_64/arch.h"
#include "arch/x86_64/registers.h"

#include <linux/errno.h>

#define FW_CFG_SELECTOR  0x510
#define FW_CFG_DATA      0x511
#define FW_CFG_SIGNATURE 0x00
#define FW_CFG_DIRECTORY 0x19
#define NR_FILES_MAX     1024 /* a device that is not what it says must not hold us for ever */

/* Numbers are big-endian. */
struct fw_cfg_file {
    uint8_t size[4];
    uint8_t select[2];
    uint8_t reserved[2];
    char name[56];
};
_Static_assert(sizeof(struct fw_cfg_file) == 64, "fw_cfg: file directory");

static void read_bytes(void *buf, size_t size)
{
    uint8_t *to = buf;
    for (size_t i = 0; i < size; i++)
        to[i] = port_in8(FW_CFG_DATA);
}

static bool same_name(const char *a, const char *b, size_t max)
{
    size_t i = 0;
    while (i < max && a[i] && a[i] == b[i])
        i++;
    return i < max && a[i] == b[i];
}

static uint32_t big_endian32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

/* Copies item name ("opt/...") into buf. Bytes copied (cut at size), or -ENOENT when there is no
 * such item or no fw_cfg device. Thread context: the device remembers its position. */
int arch_fw_cfg_read(const char *name, void *buf, size_t size)
{
    char signature[4];
    port_out16(FW_CFG_SELECTOR, FW_CFG_SIGNATURE);
    read_bytes(signature, sizeof(signature));
    if (__builtin_memcmp(signature, "QEMU", 4) != 0)
        return -ENOENT;

    uint8_t count[4];
    port_out16(FW_CFG_SELECTOR, FW_CFG_DIRECTORY);
    read_bytes(count, sizeof(count));
    uint32_t nr_files = big_endian32(count);
    for (uint32_t i = 0; i < nr_files && i < NR_FILES_MAX; i++) {
        struct fw_cfg_file file;
        read_bytes(&file, sizeof(file));
        if (!same_name(file.name, name, sizeof(file.name)))
            continue;
        uint32_t length = big_endian32(file.size);
        size_t n = length < size ? length : size;
        port_out16(FW_CFG_SELECTOR, (uint16_t)(file.select[0] << 8 | file.select[1]));
        read_bytes(buf, n);
        return (int)n;
    }
    return -ENOENT;
}
