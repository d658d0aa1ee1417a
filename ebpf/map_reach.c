/*
 * Which maps, and which values, a program can come by: those of its own maps and, through maps of
 * maps, of their inner maps. Asked by the checked interpreter at each access (checked_access.c).
 */
#include "ebpf/map.h"
#include "ebpf/port.h"

static bool owns(struct ebpf_map *map, uintptr_t addr, size_t len)
{
    return map->ops->owns != NULL && map->ops->owns(map, addr, len);
}

/* The inner map that one of whose values holds [addr, addr + len), or NULL. */
static struct ebpf_map *inner_owner(struct ebpf_map *outer, uintptr_t addr, size_t len)
{
    for (uint32_t i = 0; outer->ops->inner_at != NULL && i < outer->max_entries; i++) {
        struct ebpf_map *inner = outer->ops->inner_at(outer, i);

        if (inner != NULL && owns(inner, addr, len))
            return inner;
    }
    return NULL;
}

/* The map among these, and those in them, that one of whose values holds [addr, addr + len), or
 * NULL. Any context. */
struct ebpf_map *ebpf_maps_owner(struct ebpf_map *const *maps, uint32_t count, uintptr_t addr,
                                 size_t len)
{
    struct ebpf_map *found = NULL;

    for (uint32_t i = 0; i < count && found == NULL; i++) {
        uint64_t saved = port_lock();

        found = owns(maps[i], addr, len) ? maps[i] : inner_owner(maps[i], addr, len);
        port_unlock(saved);
    }
    return found;
}

static bool is_inner(struct ebpf_map *outer, uintptr_t value)
{
    for (uint32_t i = 0; outer->ops->inner_at != NULL && i < outer->max_entries; i++) {
        struct ebpf_map *inner = outer->ops->inner_at(outer, i);

        if (inner != NULL && (uintptr_t)inner == value)
            return true;
    }
    return false;
}

/* Is this the address of one of these maps, or of a map in them? Any context. */
bool ebpf_maps_include(struct ebpf_map *const *maps, uint32_t count, uintptr_t value)
{
    bool found = false;

    for (uint32_t i = 0; i < count && !found; i++) {
        uint64_t saved = port_lock();

        found = (uintptr_t)maps[i] == value || is_inner(maps[i], value);
        port_unlock(saved);
    }
    return found;
}
