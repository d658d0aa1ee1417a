/*
 * Pins: names under which the guest keeps objects alive when no session holds them, as a bpffs
 * does on Linux. A pin's name is the path after /sys/fs/bpf/; both forms are taken.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/client/client.h"
#include "user/lib/bpf_transport.h"

static const char *const kind_names[EBPF_NR_KINDS] = {
    [EBPF_PROG] = "prog",
    [EBPF_MAP] = "map",
    [EBPF_LINK] = "link",
    [EBPF_BTF] = "btf",
};

static const char *relative(const char *name)
{
    size_t root = strlen(BPF_TRANSPORT_PIN_ROOT);

    return strncmp(name, BPF_TRANSPORT_PIN_ROOT, root) == 0 ? name + root : name;
}

/* Every pin there is; the caller frees out->pin. */
int pins_read(struct pins *out)
{
    struct skep_pin_attr attr = {0};
    long result;

    *out = (struct pins){0};
    while ((result = guest_command(SKEP_PIN_NEXT, &attr, sizeof(attr))) == 0) {
        struct pin *grown = realloc(out->pin, (out->count + 1) * sizeof(*grown));

        if (!grown) {
            result = -ENOMEM;
            break;
        }
        out->pin = grown;
        grown += out->count++;
        grown->kind = attr.kind;
        grown->id = attr.id;
        strcpy(grown->name, relative(attr.name));
    }
    if (result == -ENOENT)
        return 0;
    p_err("can't list pins: %s", error_text(result));
    free(out->pin);
    *out = (struct pins){0};
    return -1;
}

/* Removes every pin of an object. *removed: how many there were (may be NULL). */
int pins_remove(enum ebpf_kind kind, uint32_t id, unsigned *removed)
{
    struct pins pins;
    int error = pins_read(&pins);

    if (removed)
        *removed = 0;
    for (unsigned i = 0; !error && i < pins.count; i++) {
        struct skep_pin_attr attr = {0};

        if (pins.pin[i].kind != kind || pins.pin[i].id != id)
            continue;
        strcpy(attr.name, pins.pin[i].name);
        long result = guest_command(SKEP_UNPIN, &attr, sizeof(attr));
        if (result < 0 && result != -ENOENT) {
            p_err("can't remove pin '%s': %s", attr.name, error_text(result));
            error = -1;
        }
        if (removed)
            *removed += 1;
    }
    free(pins.pin);
    return error;
}

/* Pins the object under a name. */
int pin_object(int fd, const char *name)
{
    if (bpf_obj_pin(fd, relative(name)) == 0)
        return 0;
    if (errno == EEXIST)
        p_err("can't pin the object: the name '%s' is taken; choose another, or remove what is "
              "pinned there",
              name);
    else
        p_err("can't pin the object as '%s': %s", name, strerror(errno));
    return -1;
}

/* The pinned object: a descriptor that the caller closes, or -1 after saying why not. */
int pin_open(const char *name, enum ebpf_kind kind)
{
    struct pins pins;
    int fd = -1;

    if (pins_read(&pins))
        return -1;
    for (unsigned i = 0; i < pins.count; i++) {
        if (strcmp(pins.pin[i].name, relative(name)) != 0)
            continue;
        if (pins.pin[i].kind != kind) {
            p_err("incorrect object type: %s",
                  pins.pin[i].kind < EBPF_NR_KINDS ? kind_names[pins.pin[i].kind] : "unknown");
            goto out;
        }
        fd = bpf_obj_get(relative(name));
        if (fd < 0)
            p_err("bpf obj get (%s): %s", name, strerror(errno));
        goto out;
    }
    p_err("bpf obj get (%s): %s", name, strerror(ENOENT));
out:
    free(pins.pin);
    return fd;
}

/* With -f, what an object is pinned as: part of `list`. Read once. */
void pins_show(enum ebpf_kind kind, uint32_t id)
{
    static struct pins pins;
    static bool known;
    char path[SKEP_PIN_MAX + sizeof(BPF_TRANSPORT_PIN_ROOT)];

    if (!show_pinned)
        return;
    if (!known && pins_read(&pins))
        return;
    known = true;
    if (json)
        jsonw_begin(json, "pinned", '[');
    for (unsigned i = 0; i < pins.count; i++) {
        if (pins.pin[i].kind != kind || pins.pin[i].id != id)
            continue;
        snprintf(path, sizeof(path), BPF_TRANSPORT_PIN_ROOT "%s", pins.pin[i].name);
        if (json)
            jsonw_string(json, NULL, path);
        else
            printf("\n\tpinned %s", path);
    }
    if (json)
        jsonw_end(json, ']');
}
