/*
 * From an ELF file to loaded programs: libbpf opens the object, creates its maps, relocates and
 * loads. What libbpf has to say goes into one error sentence (with -d, all of it is shown).
 * Objects that need what only the host's kernel could tell libbpf are refused by name, since
 * it would be the wrong kernel: CO-RE relocations, ksym and kconfig externs.
 */
#include <errno.h>
#include <gelf.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/client/client.h"

/* libbpf's warnings since the last open, shortened: shown when something fails. */
static char warnings[16384];

static int on_libbpf(enum libbpf_print_level level, const char *fmt, va_list args)
{
    size_t used = strlen(warnings);

    if (level == LIBBPF_WARN)
        vsnprintf(warnings + used, sizeof(warnings) - used, fmt, args);
    else if (verifier_logs)
        vfprintf(stderr, fmt, args);
    return 0;
}

/* What to do about an error, where the reason alone does not say it. */
static const char *advice(long error)
{
    switch (error < 0 ? -error : error) {
    case LIBBPF_ERRNO__LIBELF:
    case LIBBPF_ERRNO__FORMAT:
    case LIBBPF_ERRNO__ENDIAN:
        return "; an object file is made by clang -g -O2 -target bpf -c";
    case ENOMEM:
        return "; 'skepctl sys info' shows the guest's memory and the limit for maps";
    case ETIMEDOUT:
        return "; the guest does not answer";
    default:
        return "";
    }
}

static void fail(const char *what, const char *path, long error)
{
    size_t length = strlen(warnings);
    char reason[128];

    libbpf_strerror((int)error, reason, sizeof(reason)); /* libbpf has errors of its own */
    while (length > 0 && warnings[length - 1] == '\n')
        warnings[--length] = '\0';
    p_err("%s %s: %s%s%s%s", what, path, reason, advice(error), length > 0 ? "\n" : "", warnings);
}

/* ---- what cannot be resolved without the guest's own BTF ---------------------------------- */

/* Header of section .BTF.ext with its optional third part (Documentation/bpf/btf.rst). */
struct btf_ext {
    uint16_t magic;
    uint8_t version, flags;
    uint32_t header_size;
    uint32_t func_info_offset, func_info_size;
    uint32_t line_info_offset, line_info_size;
    uint32_t core_offset, core_size;
};

/* One CO-RE relocation, struct bpf_core_relo of linux/bpf.h, behind heads of sections. */
#define CORE_LOCAL_TYPE_ID 6u /* BPF_CORE_TYPE_ID_LOCAL: needs no kernel's BTF */

/* The type of the first CO-RE relocation that needs the kernel's BTF; 0: none. */
static uint32_t first_core_type(const uint8_t *data, size_t size)
{
    struct btf_ext header;

    if (size < sizeof(header))
        return 0;
    memcpy(&header, data, sizeof(header));
    if (header.header_size < sizeof(header) || header.core_size < 4 ||
        (uint64_t)header.header_size + header.core_offset + header.core_size > size)
        return 0;

    const uint8_t *at = data + header.header_size + header.core_offset;
    const uint8_t *end = at + header.core_size;
    uint32_t record_size, section[2];

    memcpy(&record_size, at, 4);
    at += 4;
    while (record_size >= sizeof(struct bpf_core_relo) && end - at >= 8) {
        memcpy(section, at, 8); /* name, number of records */
        at += 8;
        for (; section[1] > 0 && (size_t)(end - at) >= record_size; section[1]--) {
            struct bpf_core_relo relo;

            memcpy(&relo, at, sizeof(relo));
            if ((uint32_t)relo.kind != CORE_LOCAL_TYPE_ID)
                return relo.type_id;
            at += record_size;
        }
    }
    return 0;
}

static uint32_t core_type_of_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint32_t type = 0;
    Elf_Scn *section = NULL;
    Elf *elf;
    size_t names;

    elf_version(EV_CURRENT);
    elf = fd < 0 ? NULL : elf_begin(fd, ELF_C_READ, NULL);
    if (elf && elf_getshdrstrndx(elf, &names) == 0) {
        while ((section = elf_nextscn(elf, section)) && type == 0) {
            GElf_Shdr header;
            const char *name;
            Elf_Data *data;

            if (!gelf_getshdr(section, &header))
                continue;
            name = elf_strptr(elf, names, header.sh_name);
            data = elf_getdata(section, NULL);
            if (name && data && strcmp(name, ".BTF.ext") == 0)
                type = first_core_type(data->d_buf, data->d_size);
        }
    }
    elf_end(elf);
    if (fd >= 0)
        close(fd);
    return type;
}

/* The first variable of a BTF section such as ".ksyms"; NULL when there is none. */
static const char *first_extern(const struct btf *btf, const char *section)
{
    int id = btf__find_by_name_kind(btf, section, BTF_KIND_DATASEC);
    const struct btf_type *type = id < 0 ? NULL : btf__type_by_id(btf, (uint32_t)id);

    if (!type || btf_vlen(type) == 0)
        return NULL;
    return btf__name_by_offset(btf, btf__type_by_id(btf, btf_var_secinfos(type)[0].type)->name_off);
}

static int refuse_kernel_needs(const char *path, struct bpf_object *object)
{
    const struct btf *btf = bpf_object__btf(object);
    const char *name;
    uint32_t type;

    if (!btf)
        return 0;
    if ((name = first_extern(btf, ".ksyms"))) {
        p_err("%s needs the kernel symbol '%s' (__ksym), and the guest does not tell its symbols "
              "to libbpf; use helpers instead",
              path, name);
        return -1;
    }
    if ((name = first_extern(btf, ".kconfig"))) {
        p_err("%s needs the kernel's configuration '%s' (__kconfig), and the guest has none; use a "
              "constant or a global variable instead",
              path, name);
        return -1;
    }
    type = core_type_of_file(path);
    if (type) {
        name = btf__name_by_offset(btf, btf__type_by_id(btf, type)->name_off);
        p_err("%s has CO-RE relocations (the first for type '%s'), and the guest has no BTF of its "
              "own; declare the record's struct yourself, without preserve_access_index",
              path, name && *name ? name : "?");
        return -1;
    }
    return 0;
}

/* ---- opening and loading ------------------------------------------------------------------ */

/* Opens an object file. The caller closes it with bpf_object__close. NULL after saying why not. */
struct bpf_object *object_open(const char *path)
{
    LIBBPF_OPTS(bpf_object_open_opts, options);
    struct bpf_object *object;

    warnings[0] = '\0';
    libbpf_set_print(on_libbpf);
    libbpf_set_memlock_rlim(0); /* nothing is locked on this machine: leave its limit alone */
    if (verifier_logs)
        options.kernel_log_level = 1 + 2 + 4;
    object = bpf_object__open_file(path, &options);
    if (!object) {
        fail("failed to open object file", path, errno);
        return NULL;
    }
    if (refuse_kernel_needs(path, object)) {
        bpf_object__close(object);
        return NULL;
    }
    return object;
}

/* Loads it into the guest. On failure says why; the caller still closes the object. */
int object_load(const char *path, struct bpf_object *object)
{
    struct bpf_program *program;
    int error;

    bpf_object__for_each_program(program, object)
    {
        if (bpf_program__type(program) != BPF_PROG_TYPE_UNSPEC)
            continue;
        p_err("%s: program '%s' is in section '%s', which names no program type; try "
              "\"tracepoint/SYSTEM/NAME\", \"raw_tracepoint/NAME\" or \"xdp\"",
              path, bpf_program__name(program), bpf_program__section_name(program));
        return -1;
    }
    error = bpf_object__load(object);
    if (!error)
        return 0;
    fail("failed to load object file", path, error);
    return -1;
}
