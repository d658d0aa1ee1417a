/*
 * BTF objects: type information that clients load for their programs and maps. Internal to ebpf/.
 */
#ifndef SKEP_EBPF_BTF_H
#define SKEP_EBPF_BTF_H

#include <stdint.h>

#include <linux/btf.h>

#include "ebpf/object.h"

struct ebpf_log;

struct ebpf_btf {
    struct ebpf_object object;
    uint8_t *bytes; /* as loaded */
    uint32_t size;
    uint32_t *types;   /* where each type stands in bytes; types[0], void, is 0 */
    uint32_t nr_types; /* with void */
    const char *strings;
    uint32_t strings_len;
};

int ebpf_btf_create(const void *bytes, uint32_t size, struct ebpf_log *log, struct ebpf_btf **out);
void ebpf_btf_get(struct ebpf_btf *btf);
void ebpf_btf_put(struct ebpf_btf *btf);
const struct btf_type *ebpf_btf_type(const struct ebpf_btf *btf, uint32_t id);
const struct btf_type *ebpf_btf_resolve(const struct ebpf_btf *btf, uint32_t id);
const char *ebpf_btf_name(const struct ebpf_btf *btf, uint32_t offset);
int ebpf_btf_type_size(const struct ebpf_btf *btf, uint32_t id, uint32_t *size);

#endif
