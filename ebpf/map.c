/*
 * Maps: making and ending them, and memory accounting. Called by sys_map.c and by programs' ends.
 * The types themselves are map_TYPE.c, what a client does with an element map_element.c. Errors are
 * Linux's, from kernel/bpf/syscall.c.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/btf.h"
#include "ebpf/ebpf.h"
#include "ebpf/map.h"
#include "ebpf/marshal.h"
#include "ebpf/port.h"

#define PAGE_SIZE 4096u

#define MAP(type, name) extern const struct ebpf_map_ops ebpf_map_##name;
#include "ebpf/maps.def"
#undef MAP

static const struct ebpf_map_ops *const types[] = {
#define MAP(type, name) [type] = &ebpf_map_##name,
#include "ebpf/maps.def"
#undef MAP
};

/* Guarded by port_lock. */
static uint64_t bytes_used, bytes_limit;

/* ---- memory ------------------------------------------------------------------------------ */

/* Bytes that all maps together may use. At start-up. */
void ebpf_map_set_limit(uint64_t bytes)
{
    bytes_limit = bytes;
}

/* Bytes that all maps together use; *limit (may be NULL): and may use. */
uint64_t ebpf_map_bytes(uint64_t *limit)
{
    if (limit != NULL)
        *limit = bytes_limit;
    return bytes_used;
}

static size_t accounted_size(size_t size)
{
    return round_up_to(size, size >= PAGE_SIZE ? PAGE_SIZE : 16);
}

/* Zeroed memory that counts for the map and against the limit. NULL above it or when out of
 * memory. Any context. */
void *ebpf_map_alloc(struct ebpf_map *map, size_t size)
{
    size_t bytes = accounted_size(size);
    uint64_t saved = port_lock();
    bool allowed = bytes >= size && bytes <= bytes_limit - bytes_used;
    void *block = NULL;

    if (allowed)
        bytes_used += bytes;
    port_unlock(saved);
    if (!allowed)
        return NULL;
    block = bytes >= PAGE_SIZE ? port_alloc_pages(bytes) : port_alloc(bytes);
    saved = port_lock();
    if (block != NULL)
        map->bytes += bytes;
    else
        bytes_used -= bytes;
    port_unlock(saved);
    return block;
}

/* Gives back what ebpf_map_alloc gave for the same size; NULL is fine. */
void ebpf_map_free(struct ebpf_map *map, void *block, size_t size)
{
    size_t bytes = accounted_size(size);
    uint64_t saved;

    if (block == NULL)
        return;
    saved = port_lock();
    map->bytes -= bytes;
    bytes_used -= bytes;
    port_unlock(saved);
    if (bytes >= PAGE_SIZE)
        port_free_pages(block, bytes);
    else
        port_free(block);
}

/* ---- life ------------------------------------------------------------------------------- */

/* The operations of a type; NULL for one that Skep does not have. */
const struct ebpf_map_ops *ebpf_map_ops_for(uint32_t type)
{
    return type < ARRAY_LEN(types) ? types[type] : NULL;
}

/* What programs keep in values ends. */
static void end_values(struct ebpf_map *map)
{
    for (uint32_t i = 0; map->value_ends != NULL && i < map->max_entries; i++) {
        uint64_t saved = port_lock();
        void *value = map->ops->value_at(map, i);

        if (value != NULL)
            map->value_ends(map, value);
        port_unlock(saved);
    }
}

/* What a map is like, without its elements; NULL: no memory. */
static struct ebpf_map *make_template(const struct ebpf_map *map)
{
    struct ebpf_map *made = port_alloc(sizeof(*made));

    if (made == NULL)
        return NULL;
    made->ops = map->ops;
    made->type = map->type;
    made->key_size = map->key_size;
    made->value_size = map->value_size;
    made->max_entries = map->max_entries;
    made->flags = map->flags;
    made->lock_offset = map->lock_offset;
    made->timer_offset = map->timer_offset;
    copy_text(made->name, map->name, sizeof(made->name));
    if (map->btf != NULL) {
        ebpf_btf_get(map->btf);
        made->btf = map->btf;
    }
    made->is_template = true;
    return made;
}

/* NULL is fine. */
static void free_template(struct ebpf_map *made)
{
    if (made != NULL)
        ebpf_btf_put(made->btf);
    port_free(made);
}

static void destroy_map(struct ebpf_object *object)
{
    struct ebpf_map *map = CONTAINER_OF(object, struct ebpf_map, object);

    end_values(map);
    map->ops->destroy(map);
    if (map->bytes != 0)
        port_fatal("ebpf: map %u (%s) leaves %llu bytes behind", object->id, map->ops->name,
                   (unsigned long long)map->bytes);
    ebpf_btf_put(map->btf);
    free_template(map->inner);
    port_free(map);
}

static bool is_outer(uint32_t type)
{
    return type == BPF_MAP_TYPE_ARRAY_OF_MAPS || type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

/* May maps be held whose elements are like this one's? Linux: bpf_map_meta_alloc. */
static int check_inner(uint32_t type, const struct ebpf_map *inner)
{
    if (!is_outer(type))
        return 0;
    if (inner == NULL)
        return -EBADF;
    if (is_outer(inner->type))
        return -EINVAL;
    return inner->type == BPF_MAP_TYPE_PROG_ARRAY || inner->lock_offset >= 0 ? -EBPF_ENOTSUPP : 0;
}

static int check_definition(const union bpf_attr *attr, const struct ebpf_map_ops *ops)
{
    const uint32_t client = BPF_F_RDONLY | BPF_F_WRONLY;
    const uint32_t program = BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG;

    if (ops == NULL || attr->map_ifindex != 0 || !ebpf_name_is_valid(attr->map_name))
        return -EINVAL;
    if (attr->map_extra != 0 && attr->map_type != BPF_MAP_TYPE_BLOOM_FILTER)
        return -EINVAL;
    if ((attr->map_flags & client) == client || (attr->map_flags & program) == program)
        return -EINVAL;
    return ops->check(attr);
}

static void unused_map(struct ebpf_object *object)
{
    struct ebpf_map *map = CONTAINER_OF(object, struct ebpf_map, object);

    end_values(map);
    if (map->ops->unused != NULL)
        map->ops->unused(map);
}

/* Makes a map by a MAP_CREATE's attributes. btf is the object behind btf_fd (borrowed; NULL:
 * none). *out has one reference, the caller's. Thread context.
 * -EINVAL, -E2BIG: the definition; -ENOMEM: no memory, or above the limit. */
int ebpf_map_create(const union bpf_attr *attr, struct ebpf_btf *btf, struct ebpf_map **out)
{
    return ebpf_map_create_outer(attr, btf, NULL, out);
}

/* Likewise, for maps of maps too: inner (borrowed) is what the maps in it must be like. -EBADF
 * without one. */
int ebpf_map_create_outer(const union bpf_attr *attr, struct ebpf_btf *btf,
                          const struct ebpf_map *inner, struct ebpf_map **out)
{
    const struct ebpf_map_ops *ops = ebpf_map_ops_for(attr->map_type);
    struct ebpf_map *map;
    int32_t lock, timer;
    int err = check_definition(attr, ops);

    if (err == 0)
        err = ebpf_map_check_btf(attr, btf, &lock, &timer);
    if (err == 0)
        err = check_inner(attr->map_type, inner);
    if (err != 0)
        return err;
    map = port_alloc(sizeof(*map));
    if (map == NULL)
        return -ENOMEM;
    map->ops = ops;
    map->type = attr->map_type;
    map->key_size = attr->key_size;
    map->value_size = attr->value_size;
    map->max_entries = attr->max_entries;
    /* How a handle may be used belongs to the handle. */
    map->flags = attr->map_flags & ~(uint32_t)(BPF_F_RDONLY | BPF_F_WRONLY);
    map->extra = attr->map_extra;
    map->lock_offset = lock;
    map->timer_offset = timer;
    copy_text(map->name, attr->map_name, sizeof(map->name));
    map->object.unused = unused_map;
    if (is_outer(map->type)) {
        map->inner = make_template(inner);
        err = map->inner != NULL ? 0 : -ENOMEM;
    }
    if (err == 0)
        err = ops->create(map, attr);
    if (err == 0) {
        err = ebpf_object_init(&map->object, EBPF_MAP, destroy_map);
        if (err != 0)
            ops->destroy(map);
    }
    if (err != 0) {
        free_template(map->inner);
        port_free(map);
        return err;
    }
    if (btf != NULL) {
        ebpf_btf_get(btf);
        map->btf = btf;
        map->btf_key_type_id = attr->btf_key_type_id;
        map->btf_value_type_id = attr->btf_value_type_id;
    }
    *out = map;
    return 0;
}

void ebpf_map_get(struct ebpf_map *map)
{
    ebpf_object_get(&map->object);
}

/* NULL is fine. */
void ebpf_map_put(struct ebpf_map *map)
{
    if (map != NULL)
        ebpf_object_put(&map->object);
}

uint32_t ebpf_map_type(const struct ebpf_map *map)
{
    return map->type;
}

uint32_t ebpf_map_key_size(const struct ebpf_map *map)
{
    return map->key_size;
}

/* As commands carry it: per-CPU values of all CPUs. */
uint32_t ebpf_map_value_size(const struct ebpf_map *map)
{
    return marshal_value_size(map->type, map->value_size);
}
