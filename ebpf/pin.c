/*
 * Pins: names that hold objects, as files of a bpffs do. A name is the path behind /sys/fs/bpf/;
 * folders are only a part of names. Called by sys_object.c, in thread context; the list belongs
 * to the one thread that executes commands, the references to object.c.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/object.h"
#include "ebpf/port.h"

#define BPFFS "/sys/fs/bpf/"

struct pin {
    struct pin *next; /* in strcmp order of names */
    struct ebpf_object *object;
    char name[];
};

static struct pin *pins;

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

/* Where the pin with this name is linked in, or would be. */
static struct pin **find_pin(const char *name)
{
    struct pin **link = &pins;
    while (*link != NULL && __builtin_strcmp((*link)->name, name) < 0)
        link = &(*link)->next;
    return link;
}

/* Gives the object a name, which holds a reference of its own. -EEXIST, -ENOMEM, and what is
 * wrong with the path. */
int ebpf_pin(const char *path, struct ebpf_object *object)
{
    struct pin **link, *pin;
    const char *name;
    size_t size;
    int err = pin_name(path, &name);

    if (err != 0)
        return err;
    link = find_pin(name);
    if (*link != NULL && text_equal((*link)->name, name))
        return -EEXIST;
    size = __builtin_strlen(name) + 1;
    pin = port_alloc(sizeof(*pin) + size);
    if (pin == NULL)
        return -ENOMEM;
    ebpf_object_get(object);
    ebpf_object_use(object);
    pin->object = object;
    __builtin_memcpy(pin->name, name, size);
    pin->next = *link;
    *link = pin;
    return 0;
}

static void remove_pin(struct pin **link)
{
    struct pin *pin = *link;
    *link = pin->next;
    ebpf_object_unuse(pin->object);
    ebpf_object_put(pin->object);
    port_free(pin);
}

/* Takes the name away. -ENOENT, and what is wrong with the path. */
int ebpf_unpin(const char *path)
{
    const char *name;
    struct pin **link;
    int err = pin_name(path, &name);

    if (err != 0)
        return err;
    link = find_pin(name);
    if (*link == NULL || !text_equal((*link)->name, name))
        return -ENOENT;
    remove_pin(link);
    return 0;
}

/* The object of this name, with a reference that the caller puts. -ENOENT, and what is wrong with
 * the path. */
int ebpf_pin_get(const char *path, struct ebpf_object **out)
{
    const char *name;
    struct pin *pin;
    int err = pin_name(path, &name);

    if (err != 0)
        return err;
    pin = *find_pin(name);
    if (pin == NULL || !text_equal(pin->name, name))
        return -ENOENT;
    ebpf_object_get(pin->object);
    *out = pin->object;
    return 0;
}

/* Replaces a name (empty: before the first; it need not exist) by the next one, and says what
 * that holds. -ENOENT after the last. */
int ebpf_pin_next(char name[SKEP_PIN_MAX], enum ebpf_kind *kind, uint32_t *id)
{
    struct pin *pin;

    name[SKEP_PIN_MAX - 1] = '\0';
    pin = *find_pin(name);
    if (pin != NULL && text_equal(pin->name, name))
        pin = pin->next;
    if (pin == NULL)
        return -ENOENT;
    copy_text(name, pin->name, SKEP_PIN_MAX);
    *kind = pin->object->kind;
    *id = pin->object->id;
    return 0;
}

/* At the engine's end. */
void ebpf_unpin_all(void)
{
    while (pins != NULL)
        remove_pin(&pins);
}
