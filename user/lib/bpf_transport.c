/*
 * Descriptors and handles of the carried bpf(2). A handle at the backend is represented here by a
 * real host descriptor (an eventfd that nobody signals), so that libbpf may duplicate and close it
 * like any other; copies share one handle, and closing the last copy sends SKEP_CLOSE. Which
 * attribute fields hold handles is told by ebpf/commands.def; what they hide is translated here:
 * ld_imm64 of maps, fd_array, and the values of maps of objects.
 *
 * Called by libbpf through bpf_wrap.c and by skepctl. One thread.
 */
#define _GNU_SOURCE /* process_vm_readv */

#include "user/lib/bpf_transport.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ebpf/commands.h"
#include "ebpf/marshal.h"

/* One handle at the backend, shared by the descriptors that stand for it. */
struct handle {
    uint32_t guest;
    unsigned refs;
    uint32_t map_type; /* of a map, once known; else BPF_MAP_TYPE_UNSPEC */
};

static struct bpf_backend backend;
static struct handle **table; /* by descriptor */
static unsigned table_size;

/* The backend of all commands from now on (copied); NULL: none, every command fails with EPERM.
 * Descriptors of the former backend are forgotten, not closed. */
void bpf_transport_set(const struct bpf_backend *next)
{
    for (unsigned fd = 0; fd < table_size; fd++) {
        struct handle *handle = table[fd];

        if (handle && --handle->refs == 0)
            free(handle);
    }
    free(table);
    table = NULL;
    table_size = 0;
    backend = next ? *next : (struct bpf_backend){0};
}

static struct handle *lookup(int fd)
{
    return fd >= 0 && (unsigned)fd < table_size ? table[fd] : NULL;
}

/* The backend's handle behind a descriptor, or -EBADF. */
int bpf_transport_handle(int fd)
{
    struct handle *handle = lookup(fd);

    return handle ? (int)handle->guest : -EBADF;
}

static int table_reserve(int fd)
{
    if ((unsigned)fd < table_size)
        return 0;

    unsigned size = (unsigned)fd + 64;
    struct handle **grown = realloc(table, size * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    memset(grown + table_size, 0, (size - table_size) * sizeof(*grown));
    table = grown;
    table_size = size;
    return 0;
}

static long close_guest(uint32_t guest)
{
    struct skep_close_attr attr = {.handle = guest};

    return backend.command ? backend.command(backend.arg, SKEP_CLOSE, &attr, sizeof(attr)) : 0;
}

/* The descriptor is about to be closed. Nothing happens to one that is no handle. */
void bpf_transport_close(int fd)
{
    struct handle *handle = lookup(fd);

    if (!handle)
        return;
    table[fd] = NULL;
    if (--handle->refs > 0)
        return;
    close_guest(handle->guest);
    free(handle);
}

/* `copy` is now a duplicate of `fd`, whatever it was before. When there is no memory to remember
 * that, the copy is a descriptor without a handle: its use fails with EBADF. */
void bpf_transport_dup(int fd, int copy)
{
    struct handle *handle = lookup(fd);

    if (fd == copy)
        return;
    bpf_transport_close(copy);
    if (!handle || table_reserve(copy) < 0)
        return;
    table[copy] = handle;
    handle->refs++;
}

/* A new descriptor for a handle that the backend has just given; takes the handle. */
static int adopt(uint32_t guest, uint32_t map_type)
{
    struct handle *handle = calloc(1, sizeof(*handle));
    int fd = eventfd(0, EFD_CLOEXEC);

    if (!handle || fd < 0 || table_reserve(fd) < 0) {
        if (fd >= 0)
            close(fd);
        free(handle);
        close_guest(guest);
        return fd < 0 ? -EMFILE : -ENOMEM;
    }
    *handle = (struct handle){.guest = guest, .refs = 1, .map_type = map_type};
    table[fd] = handle;
    return fd;
}

/* ---- what a command's attributes hide ------------------------------------------------------ */

#define END_OF_VALUE (offsetof(union bpf_attr, value) + sizeof(((union bpf_attr *)0)->value))

/* What was changed in the caller's attributes for the time of one command. */
struct translation {
    uint16_t offsets[8];
    uint32_t fields[8]; /* the descriptors that stood there */
    unsigned count;
    uint64_t insns, fd_array, value; /* the caller's pointers, where replaced */
    uint64_t *value_field;           /* where that of the values stands; NULL: not replaced */
    void *insns_copy, *fd_array_copy, *value_copy;
};

static int translate_fields(uint32_t cmd, void *attr, uint32_t size, struct translation *t)
{
    unsigned count = marshal_handle_fields(cmd, attr, t->offsets);

    for (unsigned i = 0; i < count; i++) {
        uint8_t *field = (uint8_t *)attr + t->offsets[i];
        int32_t fd;

        if (t->offsets[i] + sizeof(fd) > size)
            break;
        memcpy(&fd, field, sizeof(fd));
        t->fields[i] = (uint32_t)fd;
        /* 0 means "none" in optional fields; libbpf takes care to own no descriptor below 3. */
        if (fd != 0) {
            int guest = bpf_transport_handle(fd);

            if (guest < 0)
                return guest;
            memcpy(field, &guest, sizeof(guest));
        }
        t->count = i + 1;
    }
    return 0;
}

/* PROG_LOAD: ld_imm64 with source 1 or 2 holds a descriptor, with 5 or 6 an index into fd_array
 * (linux/bpf.h, BPF_PSEUDO_MAP_*). */
static int translate_insns(union bpf_attr *attr, struct translation *t, uint32_t *array_count)
{
    size_t size = attr->insn_cnt * sizeof(struct bpf_insn);
    struct bpf_insn *insns;

    if (!attr->insns || !attr->insn_cnt || attr->insn_cnt > 1u << 20)
        return 0; /* the backend refuses it */
    insns = t->insns_copy = malloc(size);
    if (!insns)
        return -ENOMEM;
    memcpy(insns, (const void *)(uintptr_t)attr->insns, size);
    t->insns = attr->insns;
    attr->insns = (uintptr_t)insns;
    for (uint32_t i = 0; i + 1 < attr->insn_cnt; i++) {
        if (insns[i].code != (BPF_LD | BPF_IMM | BPF_DW))
            continue;
        if (insns[i].src_reg == BPF_PSEUDO_MAP_FD || insns[i].src_reg == BPF_PSEUDO_MAP_VALUE) {
            int guest = bpf_transport_handle(insns[i].imm);

            if (guest < 0)
                return guest;
            insns[i].imm = guest;
        } else if (insns[i].src_reg == BPF_PSEUDO_MAP_IDX ||
                   insns[i].src_reg == BPF_PSEUDO_MAP_IDX_VALUE) {
            if (insns[i].imm < 0 || insns[i].imm >= 1 << 16)
                return -EINVAL;
            if ((uint32_t)insns[i].imm >= *array_count)
                *array_count = (uint32_t)insns[i].imm + 1;
        }
        i++; /* the second slot of ld_imm64 is no instruction */
    }
    return 0;
}

/* One entry of the caller's fd_array, which may be shorter than an instruction says: read as the
 * kernel would, that is with an error where there is no memory. */
static int read_fd(uint64_t fd_array, uint32_t index, int32_t *fd)
{
    struct iovec to = {fd, sizeof(*fd)},
                 from = {(void *)(uintptr_t)(fd_array + index * sizeof(*fd)), sizeof(*fd)};

    return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == sizeof(*fd) ? 0 : -EFAULT;
}

/* PROG_LOAD: those entries of fd_array that instructions use; the others are 0. */
static int translate_fd_array(union bpf_attr *attr, uint32_t count, struct translation *t)
{
    const struct bpf_insn *insns = t->insns_copy;
    int32_t *fds = t->fd_array_copy = calloc(count, sizeof(*fds)), fd;

    if (!fds)
        return -ENOMEM;
    for (uint32_t i = 0; i + 1 < attr->insn_cnt; i++) {
        uint32_t index = (uint32_t)insns[i].imm;
        int error;

        if (insns[i].code != (BPF_LD | BPF_IMM | BPF_DW))
            continue;
        if (insns[i].src_reg == BPF_PSEUDO_MAP_IDX ||
            insns[i].src_reg == BPF_PSEUDO_MAP_IDX_VALUE) {
            error = read_fd(attr->fd_array, index, &fd);
            fds[index] = error ? error : bpf_transport_handle(fd);
            if (fds[index] < 0)
                return fds[index];
        }
        i++;
    }
    t->fd_array = attr->fd_array;
    attr->fd_array = (uintptr_t)fds;
    return 0;
}

static int translate_prog(union bpf_attr *attr, uint32_t size, struct translation *t)
{
    uint32_t count = 0;
    int error;

    if (size < offsetof(union bpf_attr, license))
        return 0;
    error = translate_insns(attr, t, &count);
    if (error || !count || size < offsetof(union bpf_attr, fd_array) + sizeof(attr->fd_array) ||
        !attr->fd_array)
        return error;
    return translate_fd_array(attr, count, t);
}

/* The type of a map; asked from the backend when it came by id or by name. */
static uint32_t map_type_of(struct handle *handle)
{
    struct bpf_map_info info = {0};
    union bpf_attr attr = {0};

    if (handle->map_type == BPF_MAP_TYPE_UNSPEC) {
        attr.info.bpf_fd = handle->guest;
        attr.info.info_len = sizeof(info);
        attr.info.info = (uintptr_t)&info;
        if (backend.command(backend.arg, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr.info)) == 0)
            handle->map_type = info.type;
    }
    return handle->map_type;
}

/* MAP_UPDATE_ELEM and MAP_UPDATE_BATCH: values of a map of maps or programs are themselves
 * descriptors. field is where their address stands. */
static int translate_values(uint64_t *field, uint32_t count, struct handle *map,
                            struct translation *t)
{
    uint32_t type = map_type_of(map);
    int32_t *copy;

    if (!*field || count == 0 ||
        (type != BPF_MAP_TYPE_PROG_ARRAY && type != BPF_MAP_TYPE_ARRAY_OF_MAPS &&
         type != BPF_MAP_TYPE_HASH_OF_MAPS))
        return 0;
    copy = t->value_copy = calloc(count, sizeof(*copy));
    if (!copy)
        return -ENOMEM;
    memcpy(copy, (const void *)(uintptr_t)*field, count * sizeof(*copy));
    for (uint32_t i = 0; i < count; i++) {
        copy[i] = bpf_transport_handle(copy[i]);
        if (copy[i] < 0)
            return copy[i];
    }
    t->value = *field;
    t->value_field = field;
    *field = (uintptr_t)copy;
    return 0;
}

static int translate(uint32_t cmd, void *attr, uint32_t size, struct translation *t)
{
    union bpf_attr *bpf = attr;
    struct handle *map = NULL;
    int error;

    if ((cmd == BPF_MAP_UPDATE_ELEM && size >= END_OF_VALUE) ||
        (cmd == BPF_MAP_UPDATE_BATCH && size >= sizeof(bpf->batch)))
        map = lookup((int)(cmd == BPF_MAP_UPDATE_ELEM ? bpf->map_fd : bpf->batch.map_fd));
    error = translate_fields(cmd, attr, size, t);
    if (error)
        return error;
    if (cmd == BPF_PROG_LOAD)
        return translate_prog(bpf, size, t);
    if (!map)
        return 0;
    return cmd == BPF_MAP_UPDATE_ELEM
               ? translate_values((uint64_t *)&bpf->value, 1, map, t)
               : translate_values((uint64_t *)&bpf->batch.values, bpf->batch.count, map, t);
}

/* Gives the caller its own descriptors and pointers back; results stay. */
static void restore(void *attr, struct translation *t)
{
    union bpf_attr *bpf = attr;

    for (unsigned i = 0; i < t->count; i++)
        memcpy((uint8_t *)attr + t->offsets[i], &t->fields[i], sizeof(t->fields[i]));
    if (t->insns)
        bpf->insns = t->insns;
    if (t->fd_array)
        bpf->fd_array = t->fd_array;
    if (t->value_field)
        *t->value_field = t->value;
    free(t->insns_copy);
    free(t->fd_array_copy);
    free(t->value_copy);
}

/* One command, bpf(2)'s or Skep's own, with descriptors of this process in attr. Returns what
 * bpf(2) would (a new handle as a new descriptor, which the caller closes), or negative errno:
 * -EPERM without a backend, -EBADF for a descriptor that is no handle. */
long bpf_transport_command(uint32_t cmd, void *attr, uint32_t attr_size)
{
    struct translation t = {0};
    uint32_t map_type = BPF_MAP_TYPE_UNSPEC;
    long result;

    if (!backend.command)
        return -EPERM;
    if (cmd == BPF_MAP_CREATE && attr_size >= sizeof(map_type))
        map_type = ((union bpf_attr *)attr)->map_type;
    result = translate(cmd, attr, attr_size, &t);
    if (result == 0)
        result = backend.command(backend.arg, cmd, attr, attr_size);
    restore(attr, &t);
    if (result >= 0 && marshal_returns_handle(cmd))
        result = adopt((uint32_t)result, map_type);
    return result;
}
