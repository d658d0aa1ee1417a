/*
 * Links: a program on an attach point, and opened tracepoints, which are what some links are made
 * of. Internal to ebpf/; the port sees links through ebpf.h.
 */
#ifndef SKEP_EBPF_LINK_H
#define SKEP_EBPF_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "ebpf/ebpf.h"
#include "ebpf/object.h"
#include "ebpf/prog.h"

#define EBPF_TP_NAME_MAX 128u

/* A tracepoint that a session has opened. */
struct ebpf_event {
    struct ebpf_object object;
    uint32_t tracepoint; /* its id */
    void *target;
    uint32_t ctx_size; /* bytes of its record */
};

struct ebpf_link {
    struct ebpf_object object;
    uint32_t type; /* BPF_LINK_TYPE_* */
    enum ebpf_hook hook;
    bool attached; /* LINK_DETACH leaves a link without a place */
    struct ebpf_prog *prog;
    void *target;
    uint32_t ctx_size;
    uint32_t ifindex;    /* XDP */
    uint32_t tracepoint; /* id, for EBPF_HOOK_TRACEPOINT */
    uint64_t cookie;
    char name[EBPF_TP_NAME_MAX]; /* raw tracepoints */
    void *port_data;
};

int ebpf_event_create(uint32_t tracepoint, struct ebpf_event **out);
int ebpf_link_tracepoint(struct ebpf_prog *prog, struct ebpf_event *event, uint64_t cookie,
                         struct ebpf_link **out);
int ebpf_link_raw_tracepoint(struct ebpf_prog *prog, const char *name, struct ebpf_link **out);
int ebpf_link_xdp(struct ebpf_prog *prog, uint32_t ifindex, uint32_t flags, struct ebpf_link **out);
void ebpf_link_detach(struct ebpf_link *link);
int ebpf_link_update(struct ebpf_link *link, struct ebpf_prog *prog, struct ebpf_prog *expected);

#endif
