/*
 * PROG_TEST_RUN: a program run on data that the caller gives, some number of times, timed. Follows
 * Linux's net/bpf/test_run.c for xdp, socket_filter, sched_cls and raw_tracepoint; a tracepoint
 * takes its record as the context, which Linux has no form for. Called by ebpf_sys() and skep-vm.
 */
#include <linux/if_packet.h>

#include "ebpf/base.h"
#include "ebpf/context.h"
#include "ebpf/ebpf.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"

#define ETHERNET_HEADER   14u
#define PACKET_HEADROOM   256u /* Linux: XDP_PACKET_HEADROOM */
#define PACKET_TAILROOM   320u
#define PACKET_MAX        65536u
#define RAW_ARGUMENTS_MAX (12 * sizeof(uint64_t)) /* Linux: MAX_BPF_FUNC_ARGS */

/* What a test run is made of: one buffer, and the context that points into it. */
struct bench {
    struct ebpf_prog *prog;
    struct ebpf_test_run *run;
    uint8_t *buffer;
    union {
        struct ebpf_xdp xdp;
        struct ebpf_skb skb;
        struct ebpf_mem mem;
    } ctx;
};

static int repeat(struct bench *b, void *ctx, uint32_t ctx_size)
{
    return ebpf_prog_run_repeated(b->prog, ctx, ctx_size, b->run->repeat ? b->run->repeat : 1,
                                  b->run->limit_ns, &b->run->result, &b->run->total_ns);
}

/* Gives [data, data + size) to an out buffer with *room bytes; *room becomes size. */
static int give(void *out, uint32_t *room, const void *data, uint32_t size)
{
    uint32_t n = size < *room ? size : *room;
    bool short_of_room = out && *room < size;

    if (out)
        __builtin_memcpy(out, data, n);
    *room = size;
    return short_of_room ? -ENOSPC : 0;
}

static int take_packet(struct bench *b)
{
    uint32_t size = b->run->data_size_in;

    if (!b->run->data_in || size < ETHERNET_HEADER || size > PACKET_MAX)
        return -EINVAL;
    b->buffer = port_alloc(PACKET_HEADROOM + size + PACKET_TAILROOM);
    if (!b->buffer)
        return -ENOMEM;
    __builtin_memcpy(b->buffer + PACKET_HEADROOM, b->run->data_in, size);
    return 0;
}

/* struct xdp_md as context: data is how long the metadata is, data_end where the packet ends. */
static int xdp_context(struct bench *b)
{
    struct ebpf_xdp *xdp = &b->ctx.xdp;
    const struct ebpf_test_run *run = b->run;
    struct xdp_md md;

    *xdp = (struct ebpf_xdp){
        .data = b->buffer + PACKET_HEADROOM,
        .data_end = b->buffer + PACKET_HEADROOM + run->data_size_in,
        .data_meta = b->buffer + PACKET_HEADROOM,
        .data_hard_start = b->buffer,
        .data_hard_end = b->buffer + PACKET_HEADROOM + run->data_size_in + PACKET_TAILROOM,
        .ingress_ifindex = 1,
    };
    if (!run->ctx_in)
        return 0;
    if (run->ctx_size_in != sizeof(md))
        return -EINVAL;
    __builtin_memcpy(&md, run->ctx_in, sizeof(md));
    if (md.data_meta || md.egress_ifindex || md.data_end != run->data_size_in || md.data % 4 ||
        md.data > 32 || md.data > md.data_end - ETHERNET_HEADER)
        return -EINVAL;
    xdp->data += md.data;
    xdp->ingress_ifindex = md.ingress_ifindex ? md.ingress_ifindex : 1;
    xdp->rx_queue_index = md.rx_queue_index;
    return 0;
}

static int run_xdp(struct bench *b)
{
    const struct ebpf_xdp *xdp = &b->ctx.xdp;
    struct xdp_md md;
    int err = take_packet(b), short_data, short_ctx;

    if (err || (err = xdp_context(b)) || (err = repeat(b, &b->ctx.xdp, sizeof(b->ctx.xdp))))
        return err;
    md = (struct xdp_md){
        .data = (uint32_t)(xdp->data - xdp->data_meta),
        .data_end = (uint32_t)(xdp->data_end - xdp->data_meta),
        .ingress_ifindex = xdp->ingress_ifindex,
        .rx_queue_index = xdp->rx_queue_index,
    };
    short_data = give(b->run->data_out, &b->run->data_size_out, xdp->data_meta,
                      (uint32_t)(xdp->data_end - xdp->data_meta));
    short_ctx = give(b->run->ctx_out, &b->run->ctx_size_out, &md, sizeof(md));
    return short_data ? short_data : short_ctx;
}

/* The fields of struct __sk_buff that a test run takes and gives back; all others are what the
 * frame makes them (Linux: convert___skb_to_skb). */
static const struct {
    uint8_t offset, size;
} skb_settable[] = {
#define SETTABLE(field)                                                                            \
    {                                                                                              \
        offsetof(struct __sk_buff, field), sizeof(((struct __sk_buff *)0)->field)                  \
    }
    SETTABLE(mark),     SETTABLE(priority), SETTABLE(ingress_ifindex), SETTABLE(ifindex),
    SETTABLE(cb),       SETTABLE(tstamp),   SETTABLE(wire_len),        SETTABLE(gso_segs),
    SETTABLE(gso_size), SETTABLE(hwtstamp),
#undef SETTABLE
};

/* Copies the settable fields of from to to, which holds zeroes. */
static void copy_settable(struct __sk_buff *to, const struct __sk_buff *from)
{
    for (unsigned i = 0; i < ARRAY_LEN(skb_settable); i++)
        __builtin_memcpy((uint8_t *)to + skb_settable[i].offset,
                         (const uint8_t *)from + skb_settable[i].offset, skb_settable[i].size);
}

/* Who a frame is for, as Linux's eth_type_trans sees it from the loopback, whose own address is 0
 * and which knows no broadcast. */
static uint32_t packet_type(const uint8_t *frame)
{
    static const uint8_t own[6];

    if ((frame[0] & 1) != 0)
        return PACKET_MULTICAST;
    return __builtin_memcmp(frame, own, sizeof(own)) == 0 ? PACKET_HOST : PACKET_OTHERHOST;
}

/* What the caller gives of the context, then what follows from the frame, of which the program does
 * not see the first header bytes. */
static int skb_context(struct __sk_buff *view, const struct ebpf_test_run *run,
                       const uint8_t *frame, uint32_t header)
{
    struct __sk_buff given = {0};

    if (run->ctx_in) {
        if (run->ctx_size_in > sizeof(given))
            return -EINVAL;
        __builtin_memcpy(&given, run->ctx_in, run->ctx_size_in);
    }
    copy_settable(view, &given);
    if (__builtin_memcmp(view, &given, sizeof(given)) != 0)
        return -EINVAL; /* a field that cannot be set is not 0 */
    view->len = run->data_size_in - header;
    view->pkt_type = packet_type(frame);
    __builtin_memcpy(&view->protocol, frame + 12, sizeof(uint16_t));
    if (view->ifindex == 0)
        view->ifindex = 1;
    if (view->wire_len == 0)
        view->wire_len = view->len;
    return 0;
}

/* The packet is a frame. A classifier sees all of it; a socket filter what follows its Ethernet
 * header, and a header of zeroes comes back. */
static int run_skb(struct bench *b)
{
    struct ebpf_skb *skb = &b->ctx.skb;
    uint32_t header = b->prog->type == BPF_PROG_TYPE_SCHED_CLS ? 0 : ETHERNET_HEADER;
    struct __sk_buff out = {0};
    uint8_t *frame;
    int err = take_packet(b), short_data, short_ctx;

    if (err)
        return err;
    frame = b->buffer + PACKET_HEADROOM;
    skb->data = skb->data_meta = frame + header;
    skb->data_end = frame + b->run->data_size_in;
    err = skb_context(&skb->view, b->run, frame, header);
    if (err || (err = repeat(b, skb, sizeof(*skb))))
        return err;
    __builtin_memset(frame, 0, header);
    copy_settable(&out, &skb->view);
    short_data = give(b->run->data_out, &b->run->data_size_out, frame, b->run->data_size_in);
    short_ctx = give(b->run->ctx_out, &b->run->ctx_size_out, &out, sizeof(out));
    return short_data ? short_data : short_ctx;
}

/* Tracepoints: the record is the context, and there is no data. */
static int run_record(struct bench *b)
{
    const struct ebpf_test_run *run = b->run;
    bool raw = b->prog->type == BPF_PROG_TYPE_RAW_TRACEPOINT;

    if (run->data_in || run->data_out || run->ctx_out || (!run->ctx_in && run->ctx_size_in))
        return -EINVAL;
    if (run->ctx_size_in > (raw ? RAW_ARGUMENTS_MAX : PACKET_MAX))
        return -EINVAL;
    b->buffer = port_alloc(RAW_ARGUMENTS_MAX + run->ctx_size_in);
    if (!b->buffer)
        return -ENOMEM;
    if (run->ctx_in)
        __builtin_memcpy(b->buffer, run->ctx_in, run->ctx_size_in);
    /* A raw tracepoint's program may read every argument; those not given are 0. */
    return repeat(b, b->buffer, raw ? RAW_ARGUMENTS_MAX : run->ctx_size_in);
}

/* Memory starts at a multiple of 16; without any, r1 is 0. */
static int run_mem(struct bench *b)
{
    uint32_t size = b->run->data_size_in;
    int err;

    if (b->run->ctx_in || b->run->ctx_out)
        return -EINVAL;
    if (size) {
        b->buffer = port_alloc(size);
        if (!b->buffer)
            return -ENOMEM;
        __builtin_memcpy(b->buffer, b->run->data_in, size);
        b->ctx.mem.data = b->buffer;
        b->ctx.mem.data_end = b->buffer + size;
    }
    err = repeat(b, &b->ctx.mem, 0);
    return err ? err : give(b->run->data_out, &b->run->data_size_out, b->buffer, size);
}

int ebpf_prog_test_run(struct ebpf_prog *prog, struct ebpf_test_run *run)
{
    static const struct {
        uint32_t type;
        int (*run)(struct bench *);
    } types[] = {
        {BPF_PROG_TYPE_XDP, run_xdp},
        {BPF_PROG_TYPE_SOCKET_FILTER, run_skb},
        {BPF_PROG_TYPE_SCHED_CLS, run_skb},
        {BPF_PROG_TYPE_TRACEPOINT, run_record},
        {BPF_PROG_TYPE_RAW_TRACEPOINT, run_record},
        {EBPF_PROG_TYPE_MEM, run_mem},
    };
    struct bench b = {.prog = prog, .run = run};
    int err = -EBPF_ENOTSUPP;

    run->result = run->total_ns = 0;
    for (unsigned i = 0; i < ARRAY_LEN(types); i++)
        if (types[i].type == prog->type)
            err = types[i].run(&b);
    port_free(b.buffer);
    return err;
}
