/*
 * The numbers by which boot/entry.S tells kernel_main() which loader it came from. Read by
 * assembly and C alike.
 */
#ifndef SKEP_BOOT_MAGIC_H
#define SKEP_BOOT_MAGIC_H

#define BOOT_MAGIC_MULTIBOOT2 0x36d76289 /* EAX at entry, Multiboot2 3.3 */
#define BOOT_MAGIC_PVH        0x336ec578 /* first word of hvm_start_info, Xen start_info.h */

#endif
