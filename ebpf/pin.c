/*
 * Pins: names that hold objects, as files of a bpffs do. A name is the path behind /sys/fs/bpf/;
 * folders are only a part of names. Called by sys_object.c, in thread context; the table belongs
 * to the one thread that executes commands, the references to object.c.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/object.h"
#include "ebpf/port.h"

#define BPFFS "/sys/fs/bpf/"

struct pin {
    struct ebpf_object *object;
    char name[];
};

static struct pin **pins; /* in strcmp order of names; NULL: none */
static uint32_t count, room;

/* The name in a path: what follows the mount point, or all of a relative path. -EPERM outside of
 * the bpffs (as Linux says), -ENAMETOOLONG, -EINVAL for empty parts, "." and "..". */
static int pin_name(const char *path, const char **name)
{
    size_t prefix = sizeof(BPFFS) - 1, part = 0;

    if (bounded_length(path, 4096) >= prefix && __builtin_memcmp(path, BPFFS, prefix) == 0)
        path += prefix;
    else if (path[0] == '/')
        return -EPERM;
    if (bounded_length(path, SKEP_PIN_MAX) == SKEP_PIN_MAX)
        return -ENAMETOOLONG;
    for (const char *at = path;; at++) {
        if (*at != '/' && *at != '\0') {
            part++;
            continue;
        }
        if (part == 0 || (part == 1 && at[-1] == '.') ||
            (part == 2 && at[-1] == '.' && at[-2] == '.'))
            return -EINVAL;
        if (*at == '\0')
            break;
        part = 0;
    }
    *name = path;
    return 0;
}

/* Index of the first pin whose name does not come before this one. */
static uint32_t find_place(const char *name)
{
    uint32_t low = 0, high = count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (__builtin_strcmp(pins[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_name_at(uint32_t place, const char *name)
{
    return place < count && text_equal(pins[place]->name, name);
}

/* Room for one more. */
static int reserve(void)
{
    uint32_t more = room != 0 ? 2 * room : 16;
    struct pin **grown;

    if (count < room)
        return 0;
    grown = port_alloc(more * sizeof(struct pin *));
    if (grown == NULL)
        return -ENOMEM;
    if (count != 0)
        __builtin_memcpy(grown, pins, count * sizeof(struct pin *));
    port_free(pins);
    pins = grown;
    room = more;
    return 0;
}

/* Gives the object a name, which holds a reference of its own. -EEXIST, -ENOMEM, and what is
 * wrong with the path. */
int ebpf_pin(const char *path, struct ebpf_object *object)
{
    struct pin *pin = NULL;
    uint32_t place;
    const char *name;
    size_t size;
    int err = pin_name(path, &name);

    if (err != 0)
        return err;
    place = find_place(name);
    if (is_name_at(place, name))
        return -EEXIST;
    size = __builtin_strlen(name) + 1;
    if (reserve() == 0)
        pin = port_alloc(sizeof(*pin) + size);
    if (pin == NULL)
        return -ENOMEM;
    ebpf_object_get(object);
    ebpf_object_use(object);
    pin->object = object;
    __builtin_memcpy(pin->name, name, size);
    __builtin_memmove(pins + place + 1, pins + place, (count - place) * sizeof(struct pin *));
    pins[place] = pin;
    count++;
    return 0;
}

static void remove_pin(uint32_t place)
{
    struct pin *pin = pins[place];

    count--;
    __builtin_memmove(pins + place, pins + place + 1, (count - place) * sizeof(struct pin *));
    if (count == 0) {
        port_free(pins);
        pins = NULL;
        room = 0;
    }
    ebpf_object_unuse(pin->object);
    ebpf_object_put(pin->object);
    port_free(pin);
}

/* Takes the name away. -ENOENT, and what is wrong with the path. */
int ebpf_unpin(const char *path)
{
    const char *name;
    uint32_t place;
    int err = pin_name(path, &name);

    if (err != 0)
        return err;
    place = find_place(name);
    if (!is_name_at(place, name))
        return -ENOENT;
    remove_pin(place);
    return 0;
}

/* The object of this name, with a reference that the caller puts. -ENOENT, and what is wrong with
 * the path. */
int ebpf_pin_get(const char *path, struct ebpf_object **out)
{
    const char *name;
    uint32_t place;
    int err = pin_name(path, &name);

    if (err != 0)
        return err;
    place = find_place(name);
    if (!is_name_at(place, name))
        return -ENOENT;
    *out = pins[place]->object;
    ebpf_object_get(*out);
    return 0;
}

/* Replaces a name (empty: before the first; it need not exist) by the next one, and says what
 * that holds. -ENOENT after the last. */
int ebpf_pin_next(char name[SKEP_PIN_MAX], enum ebpf_kind *kind, uint32_t *id)
{
    uint32_t place;

    name[SKEP_PIN_MAX - 1] = '\0';
    place = find_place(name);
    place += is_name_at(place, name);
    if (place >= count)
        return -ENOENT;
    copy_text(name, pins[place]->name, SKEP_PIN_MAX);
    *kind = pins[place]->object->kind;
    *id = pins[place]->object->id;
    return 0;
}

/* At the engine's end. */
void ebpf_unpin_all(void)
{
    while (count != 0)
        remove_pin(count - 1);
}
