/*
 * A request of `skep-vm batch`, from its JSON: each member's type and range is tested, and what is
 * wrong is told in a sentence.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/context.h"
#include "ebpf/map.h"
#include "user/vm/batch.h"
#include "user/vm/vm.h"

bool batch_bad(struct batch_request *request, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(request->error, sizeof(request->error), fmt, args);
    va_end(args);
    return false;
}

bool batch_u32(struct batch_request *request, const json_t *value, const char *where, uint32_t *out)
{
    json_int_t number = json_integer_value(value);

    if (!json_is_integer(value) || number < 0 || number > UINT32_MAX)
        return batch_bad(request, "%s must be a number from 0 to %u", where, UINT32_MAX);
    *out = (uint32_t)number;
    return true;
}

/* The caller frees out->bytes, NULL on failure. */
bool batch_hex(struct batch_request *request, const json_t *value, const char *where,
               struct batch_data *out)
{
    size_t len = json_string_length(value), bad;

    out->bytes = NULL;
    out->size = 0;
    if (!json_is_string(value))
        return batch_bad(request, "%s must be a string of hexadecimal digits", where);
    out->bytes = malloc(len / 2 + 1);
    if (!out->bytes)
        return batch_bad(request, "out of memory");
    vm_hex(json_string_value(value), len, out->bytes, &out->size, &bad);
    if (bad == len)
        return true;
    free(out->bytes);
    out->bytes = NULL;
    return batch_bad(request, "%s is not hexadecimal at character %zu, two digits a byte", where,
                     bad);
}

static bool read_type(struct batch_request *r, const json_t *value)
{
    if (json_is_integer(value))
        return batch_u32(r, value, "type", &r->type) &&
               (ebpf_context_get(r->type) || batch_bad(r, "there is no program type %u", r->type));
    if (!json_is_string(value))
        return batch_bad(r, "type must be a program type's name or number");
    return vm_type_find(json_string_value(value), &r->type) ||
           batch_bad(r, "there is no program type '%.64s'", json_string_value(value));
}

static bool read_insns(struct batch_request *r, const json_t *value)
{
    struct batch_data insns;

    if (!batch_hex(r, value, "insns", &insns))
        return false;
    r->insns = insns.bytes;
    r->insns_size = insns.size;
    return insns.size % sizeof(struct bpf_insn) == 0 ||
           batch_bad(r, "insns has %zu bytes, which are not whole instructions of 8", insns.size);
}

static bool read_data(struct batch_request *r, const json_t *list)
{
    if (!list)
        return true;
    if (!json_is_array(list))
        return batch_bad(r, "data must be a list");
    r->data = calloc(json_array_size(list) + 1, sizeof(r->data[0]));
    if (!r->data)
        return batch_bad(r, "out of memory");
    for (; r->nr_data < json_array_size(list); r->nr_data++) {
        struct batch_data *data = &r->data[r->nr_data];
        char where[64];

        snprintf(where, sizeof(where), "data[%zu]", r->nr_data);
        if (!batch_hex(r, json_array_get(list, r->nr_data), where, data))
            return false;
        if (data->size > UINT32_MAX)
            return batch_bad(r, "%s has %zu bytes, too many for a run", where, data->size);
    }
    return true;
}

static bool read_options(struct batch_request *r, const json_t *root)
{
    const json_t *strict = json_object_get(root, "strict_alignment");
    const json_t *engine = json_object_get(root, "engine");
    const json_t *license = json_object_get(root, "license");

    if (strict && !json_is_boolean(strict))
        return batch_bad(r, "strict_alignment must be true or false");
    r->strict_alignment = json_is_true(strict);
    if (license && !json_is_string(license))
        return batch_bad(r, "license must be a string");
    r->license = license ? json_string_value(license) : "GPL";
    r->engine = VM_ENGINE_DEFAULT;
    if (engine &&
        !(json_is_string(engine) && vm_engine_find(json_string_value(engine), &r->engine)))
        return batch_bad(r, "engine must be one of %s", VM_ENGINES);
    return true;
}

bool batch_read_request(const json_t *root, struct batch_request *out)
{
    *out = (struct batch_request){.nr_maps = 0};
    if (!json_is_object(root))
        return batch_bad(out, "a request must be an object");
    return read_type(out, json_object_get(root, "type")) &&
           read_insns(out, json_object_get(root, "insns")) && read_options(out, root) &&
           read_data(out, json_object_get(root, "data")) &&
           batch_make_maps(json_object_get(root, "maps"), out);
}

void batch_free_request(struct batch_request *request)
{
    /* The last first: maps of maps hold those before them. */
    while (request->nr_maps)
        ebpf_map_put(request->maps[--request->nr_maps]);
    for (size_t i = 0; i < request->nr_data; i++)
        free(request->data[i].bytes);
    free(request->data);
    free(request->insns);
}
