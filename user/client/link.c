/*
 * skepctl link: list, detach.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "user/client/client.h"

/* What OBJ_GET_INFO_BY_FD says, by type. */
union link_info {
    struct bpf_link_info any;
    struct skep_link_info_tracepoint tracepoint;
};

static bool is_tracepoint(const union link_info *info)
{
    return info->any.type == BPF_LINK_TYPE_PERF_EVENT &&
           info->tracepoint.event == SKEP_PERF_EVENT_TRACEPOINT;
}

static void show_json(const union link_info *all, const char *name)
{
    const struct bpf_link_info *info = &all->any;
    const char *type = libbpf_bpf_link_type_str(info->type);

    jsonw_begin(json, NULL, '{');
    jsonw_uint(json, "id", info->id);
    if (type)
        jsonw_string(json, "type", type);
    else
        jsonw_uint(json, "type", info->type);
    jsonw_uint(json, "prog_id", info->prog_id);
    if (info->type == BPF_LINK_TYPE_RAW_TRACEPOINT)
        jsonw_string(json, "tp_name", name);
    if (is_tracepoint(all)) {
        jsonw_string(json, "tracepoint", name);
        jsonw_uint(json, "cookie", all->tracepoint.cookie);
    }
    if (info->type == BPF_LINK_TYPE_XDP)
        jsonw_uint(json, "ifindex", info->xdp.ifindex);
    pins_show(EBPF_LINK, info->id);
    jsonw_end(json, '}');
}

static void show_plain(const union link_info *all, const char *name)
{
    const struct bpf_link_info *info = &all->any;
    const char *type = libbpf_bpf_link_type_str(info->type);

    printf("%u: ", info->id);
    if (type)
        printf("%s  ", type);
    else
        printf("type %u  ", info->type);
    printf("prog %u  ", info->prog_id);
    if (info->type == BPF_LINK_TYPE_RAW_TRACEPOINT)
        printf("\n\ttp '%s'  ", name);
    if (is_tracepoint(all))
        printf("\n\ttracepoint %s  ", name);
    if (is_tracepoint(all) && all->tracepoint.cookie)
        printf("cookie %llu  ", (unsigned long long)all->tracepoint.cookie);
    if (info->type == BPF_LINK_TYPE_XDP)
        printf("\n\tifindex %u  ", info->xdp.ifindex);
    pins_show(EBPF_LINK, info->id);
    printf("\n");
}

static int show(int fd)
{
    union link_info info = {0};
    char name[128] = "";

    if (handle_info(EBPF_LINK, fd, &info.any, sizeof(info.any)))
        return -1;
    /* Again for the name, of which a link's type decides where it is asked for. */
    if (info.any.type == BPF_LINK_TYPE_RAW_TRACEPOINT) {
        info.any.raw_tracepoint.tp_name = (uintptr_t)name;
        info.any.raw_tracepoint.tp_name_len = sizeof(name);
    } else if (is_tracepoint(&info)) {
        info.tracepoint.name = (uintptr_t)name;
        info.tracepoint.name_len = sizeof(name);
    }
    if (info.any.type != BPF_LINK_TYPE_XDP &&
        handle_info(EBPF_LINK, fd, &info.any, sizeof(info.any)))
        return -1;
    if (json)
        show_json(&info, name);
    else
        show_plain(&info, name);
    return 0;
}

static int do_show(struct args *args)
{
    int fd, error;

    if (args->left == 0) {
        if (json)
            jsonw_begin(json, NULL, '[');
        error = each_handle(EBPF_LINK, show);
        if (json)
            jsonw_end(json, ']');
        return error;
    }
    fd = handle_parse(args, EBPF_LINK);
    if (fd < 0)
        return -1;
    error = args_none(args) ? -1 : show(fd);
    close(fd);
    return error;
}

/* Detaches, and removes the link's pins: nothing of it is left unless another session holds it. */
static int do_detach(struct args *args)
{
    struct bpf_link_info info = {0};
    int fd = handle_parse(args, EBPF_LINK), error = -1;

    if (fd < 0)
        return -1;
    if (args_none(args) || handle_info(EBPF_LINK, fd, &info, sizeof(info)))
        goto out;
    if (bpf_link_detach(fd)) {
        p_err("failed link detach: %s", strerror(errno));
        goto out;
    }
    if (pins_remove(EBPF_LINK, info.id, NULL) == 0)
        error = done();
out:
    close(fd);
    return error;
}

static const struct verb verbs[] = {
    {"show", do_show, "[LINK]", "Links in the guest; `-f` adds their pins."},
    {"list", do_show, NULL, NULL},
    {"detach", do_detach, "LINK", "Detaches the program and removes the link's pins."},
    {0},
};

const struct noun noun_link = {
    .name = "link",
    .verbs = verbs,
    .terms = "       LINK := { id LINK_ID | pinned NAME }\n",
};
