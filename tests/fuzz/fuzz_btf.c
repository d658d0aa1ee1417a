/*
 * Fuzz target: any bytes as BTF. What is accepted answers every question about every type.
 */
#include <stdlib.h>

#include "ebpf/btf.h"
#include "ebpf/ebpf.h"
#include "ebpf/prog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[512];
    struct ebpf_log log = {.buf = text, .size = sizeof(text), .level = 1};
    struct ebpf_btf *btf;

    if (ebpf_init(1 << 20))
        abort();
    if (ebpf_btf_create(data, (uint32_t)size, &log, &btf) == 0) {
        for (uint32_t id = 0; id < btf->nr_types + 2; id++) {
            const struct btf_type *type = ebpf_btf_type(btf, id);
            uint32_t bytes;

            ebpf_btf_type_size(btf, id, &bytes);
            if (type && !ebpf_btf_name(btf, type->name_off))
                abort();
        }
        ebpf_btf_put(btf);
    }
    if (ebpf_shutdown())
        abort();
    return 0;
}
