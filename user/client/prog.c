/*
 * skepctl prog: the verb table, and list, tracelog.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "user/client/client.h"

/* A time of the guest's clock (ns since it booted) as wall time, bpftool's way: ISO 8601, or
 * seconds since 1970 for JSON. */
static void format_boot_time(uint64_t ns, char *out, size_t size)
{
    static struct skep_sys_info_attr info;
    static bool known;
    struct tm tm;

    if (!known)
        known = guest_command(SKEP_SYS_INFO, &info, sizeof(info)) == 0;
    time_t seconds = (time_t)((info.wall_ns - info.uptime_ns + ns) / 1000000000u);
    if (!known || !localtime_r(&seconds, &tm))
        snprintf(out, size, "%llu", (unsigned long long)(ns / 1000000000u));
    else
        strftime(out, size, json ? "%s" : "%FT%T%z", &tm);
}

static void show_maps(const struct bpf_prog_info *info, const uint32_t *map_ids)
{
    if (info->nr_map_ids == 0)
        return;
    if (json)
        jsonw_begin(json, "map_ids", '[');
    else
        printf("  map_ids ");
    for (uint32_t i = 0; i < info->nr_map_ids; i++) {
        if (json)
            jsonw_uint(json, NULL, map_ids[i]);
        else
            printf("%s%u", i ? "," : "", map_ids[i]);
    }
    if (json)
        jsonw_end(json, ']');
}

static void show_json(const struct bpf_prog_info *info, const uint32_t *map_ids)
{
    const char *type = libbpf_bpf_prog_type_str(info->type);
    char text[32];

    jsonw_begin(json, NULL, '{');
    jsonw_uint(json, "id", info->id);
    if (type)
        jsonw_string(json, "type", type);
    else
        jsonw_uint(json, "type", info->type);
    if (*info->name)
        jsonw_string(json, "name", info->name);
    for (unsigned i = 0; i < BPF_TAG_SIZE; i++)
        sprintf(text + 2 * i, "%02x", info->tag[i]);
    jsonw_string(json, "tag", text);
    jsonw_bool(json, "gpl_compatible", info->gpl_compatible);
    if (info->run_time_ns) {
        jsonw_uint(json, "run_time_ns", info->run_time_ns);
        jsonw_uint(json, "run_cnt", info->run_cnt);
    }
    if (info->recursion_misses)
        jsonw_uint(json, "recursion_misses", info->recursion_misses);
    if (info->load_time) {
        format_boot_time(info->load_time, text, sizeof(text));
        jsonw_printf(json, "loaded_at", "%s", text);
        jsonw_uint(json, "uid", info->created_by_uid);
    }
    jsonw_uint(json, "bytes_xlated", info->xlated_prog_len);
    jsonw_bool(json, "jited", info->jited_prog_len > 0);
    if (info->jited_prog_len)
        jsonw_uint(json, "bytes_jited", info->jited_prog_len);
    show_maps(info, map_ids);
    if (info->btf_id)
        jsonw_uint(json, "btf_id", info->btf_id);
    pins_show(EBPF_PROG, info->id);
    jsonw_end(json, '}');
}

static void show_plain(const struct bpf_prog_info *info, const uint32_t *map_ids)
{
    const char *type = libbpf_bpf_prog_type_str(info->type);
    char text[32];

    printf("%u: ", info->id);
    if (type)
        printf("%s  ", type);
    else
        printf("type %u  ", info->type);
    if (*info->name)
        printf("name %s  ", info->name);
    printf("tag ");
    print_hex(info->tag, BPF_TAG_SIZE, "");
    printf("%s", info->gpl_compatible ? "  gpl" : "");
    if (info->run_time_ns)
        printf(" run_time_ns %llu run_cnt %llu", info->run_time_ns, info->run_cnt);
    if (info->recursion_misses)
        printf(" recursion_misses %llu", info->recursion_misses);
    printf("\n");
    if (info->load_time) {
        format_boot_time(info->load_time, text, sizeof(text));
        printf("\tloaded_at %s  uid %u\n", text, info->created_by_uid);
    }
    printf("\txlated %uB", info->xlated_prog_len);
    if (info->jited_prog_len)
        printf("  jited %uB", info->jited_prog_len);
    else
        printf("  not jited");
    show_maps(info, map_ids);
    pins_show(EBPF_PROG, info->id);
    if (info->btf_id)
        printf("\n\tbtf_id %u", info->btf_id);
    printf("\n");
}

static int show(int fd)
{
    uint32_t map_ids[64] = {0};
    struct bpf_prog_info info = {.nr_map_ids = 64, .map_ids = (uintptr_t)map_ids};

    if (handle_info(EBPF_PROG, fd, &info, sizeof(info)))
        return -1;
    /* The guest says how many there are, which may be more than it was given room for. */
    if (info.nr_map_ids > 64)
        info.nr_map_ids = 64;
    if (json)
        show_json(&info, map_ids);
    else
        show_plain(&info, map_ids);
    return 0;
}

static int do_show(struct args *args)
{
    struct fds fds;
    int error = 0;

    if (args->left == 0) {
        if (json)
            jsonw_begin(json, NULL, '[');
        error = each_handle(EBPF_PROG, show);
        if (json)
            jsonw_end(json, ']');
        return error;
    }
    if (handles_parse(args, EBPF_PROG, &fds))
        return -1;
    if (args_none(args)) {
        handles_close(&fds);
        return -1;
    }
    if (json && fds.count > 1)
        jsonw_begin(json, NULL, '[');
    for (unsigned i = 0; i < fds.count && !error; i++)
        error = show(fds.fd[i]);
    if (json && fds.count > 1)
        jsonw_end(json, ']');
    handles_close(&fds);
    return error;
}

/* Lines of the trace pipe; in JSON each is a string of one array. */
static void print_trace(const char *text, size_t size)
{
    if (!json) {
        fwrite(text, 1, size, stdout);
        fflush(stdout);
        return;
    }
    while (size > 0) {
        const char *end = memchr(text, '\n', size);
        size_t length = end ? (size_t)(end - text) : size;

        jsonw_text(json, NULL, text, length);
        length += end ? 1 : 0;
        text += length;
        size -= length;
    }
}

static int do_tracelog(struct args *args)
{
    uint64_t cursor = 0;
    int result = 0;

    if (args_none(args))
        return -1;
    guest_catch_signals();
    if (json)
        jsonw_begin(json, NULL, '[');
    while (!guest_stopped() && result >= 0)
        result = guest_stream_text(SKEP_TRACE_PIPE_READ, &cursor, 500, print_trace);
    if (json)
        jsonw_end(json, ']');
    if (result >= 0 || guest_stopped())
        return 0;
    p_err("can't read the trace pipe: %s", error_text(result));
    return -1;
}

static const struct verb verbs[] = {
    {"show", do_show, "[PROG]",
     "Programs in the guest, with run counts where the guest counts them; `-f` adds their pins."},
    {"list", do_show, NULL, NULL},
    {"dump", do_prog_dump, "xlated PROG [{ file FILE | opcodes | linum }]",
     "A program's bytecode as the guest holds it, under the source lines that its BTF gives; or "
     "raw, into a file."},
    {"load", do_prog_load, "OBJ NAME [type TYPE] [map { idx IDX | name NAME } MAP] [pinmaps DIR]",
     "Loads an object file and pins its first program as NAME. Maps live as long as programs use "
     "them, or are pinned under `pinmaps DIR`."},
    {"loadall", do_prog_loadall,
     "OBJ DIR  [type TYPE] [map { idx IDX | name NAME } MAP] [pinmaps DIR]",
     "The same for every program of the file, each pinned as DIR/PROGRAM."},
    {"attach", do_prog_attach, "PROG TARGET",
     "Attaches a program and pins the link, so that it outlives this command."},
    {"detach", do_prog_detach, "PROG [TARGET]",
     "Removes the links that `prog attach` made: to one target, or all."},
    {"unload", do_prog_unload, "PROG",
     "Detaches a program and removes its pins: it goes when nobody else holds it."},
    {"run", do_prog_run,
     "PROG data_in FILE [data_out FILE [data_size_out L]] [ctx_in FILE] [ctx_out FILE "
     "[ctx_size_out M]] [repeat N]",
     "Runs a program once, or N times, on data and context from files (`-`: standard input and "
     "output)."},
    {"tracelog", do_tracelog, "",
     "Shows the trace pipe, which bpf_printk and enabled tracepoints write to, until Ctrl-C."},
    {0},
};

const struct noun noun_prog = {
    .name = "prog",
    .verbs = verbs,
    .terms =
        "       PROG := { id PROG_ID | pinned NAME | tag PROG_TAG | name PROG_NAME }\n"
        "       TARGET := { tracepoint SYSTEM:NAME | raw_tracepoint NAME | xdp }\n"
        "       TYPE := { socket | tracepoint | raw_tracepoint | xdp | ... } as in a section's "
        "name\n",
};
