/*
 * The commands beyond bpf(2), from 0x1000 up, and their attributes. Shared by client and server.
 * Every attribute struct is fixed-size, little-endian, without holes; a pointer field holds an
 * address at either end and travels as a buffer that ebpf/commands.def describes.
 */
#ifndef SKEP_EBPF_COMMANDS_H
#define SKEP_EBPF_COMMANDS_H

#include <stdint.h>

#include <linux/bpf.h>

enum skep_cmd {
    SKEP_HELLO = 0x1000,
    SKEP_GOODBYE,
    SKEP_CLOSE,
    SKEP_TRACEPOINT_NEXT, /* list: one tracepoint by cursor */
    SKEP_TRACEPOINT_FORMAT,
    SKEP_TRACEPOINT_OPEN,
    SKEP_TRACEPOINT_ENABLE, /* to the trace pipe, without a program */
    SKEP_RINGBUF_READ,
    SKEP_TRACE_PIPE_READ,
    SKEP_KLOG_READ,
    SKEP_SYMBOLS_READ,
    SKEP_SYS_INFO,
    SKEP_POWER,
    SKEP_UNPIN,       /* what unlink does on a bpffs */
    SKEP_PIN_NEXT,    /* list: one pin by cursor */
    SKEP_HANDLE_INFO, /* what marshalling must know of a handle, and what fdinfo says of a map */
    SKEP_MAP_READ,    /* a part of a value that no reply holds as a whole */
    SKEP_INFO_READ,   /* likewise of an array that OBJ_GET_INFO_BY_FD gives */
};

/* Kinds of object behind handles and pins. */
enum ebpf_kind {
    EBPF_PROG,
    EBPF_MAP,
    EBPF_LINK,
    EBPF_BTF,
    EBPF_EVENT, /* an opened tracepoint */
    EBPF_STATS, /* ENABLE_STATS: run time is counted while one lives */
    EBPF_NR_KINDS
};

#define SKEP_TEXT_MAX 60000u /* a reply stays below WIRE_REPLY_MAX */

struct skep_hello_attr {
    uint32_t wire_version;    /* in: the client's; out: the server's */
    uint32_t lease_seconds;   /* out */
    uint64_t session;         /* in: 0 for a new one, or one to ask about; out: the id to use, or 0
                                 when the one asked about is not known */
    uint64_t boot_id;         /* out: changes when the guest restarts */
    char build[32];           /* in and out: build id text */
    uint8_t client_nonce[32]; /* in: random, the same in a repeat */
    uint8_t server_nonce[32]; /* out: random */
    uint8_t cookie[16];       /* out, with -EAGAIN: to be given in the next hello */
};

struct skep_close_attr {
    uint32_t handle;
    uint32_t pad;
};

struct skep_handle_attr {
    uint32_t handle;
    uint32_t kind;       /* out: enum ebpf_kind */
    uint32_t map_type;   /* out, for a map; else 0 */
    uint32_t key_size;   /* likewise */
    uint32_t value_size; /* likewise: as on the wire, per-CPU sizes expanded */
    uint32_t frozen;     /* likewise: 1 when no client may write to it any more */
    uint64_t memory;     /* likewise: bytes that it is accounted for */
    uint32_t owner;      /* of a program array: enum skep_owner */
    uint32_t owner_type; /* likewise: BPF_PROG_TYPE_* of the programs in it, when it has an owner */
};

/* What runs the first program that was put into a program array or uses it. */
enum skep_owner { SKEP_OWNER_NONE, SKEP_OWNER_INTERPRETED, SKEP_OWNER_JITED };

/* MAP_LOOKUP_ELEM by parts. Between two of them a value may change. */
struct skep_map_read_attr {
    uint64_t key, buf, flags; /* flags: as for MAP_LOOKUP_ELEM */
    uint32_t handle;
    uint32_t offset; /* in the value, as on the wire: per-CPU values one after another */
    uint32_t size;   /* in: room in buf, at most SKEP_TEXT_MAX; out: bytes put there */
    uint32_t pad;
};

/* One array of what OBJ_GET_INFO_BY_FD tells, by parts. */
struct skep_info_read_attr {
    uint64_t buf;
    uint32_t handle;
    uint32_t field;  /* offset of its pointer in the struct bpf_prog_info, bpf_btf_info */
    uint32_t offset; /* in the array, in bytes; of a record's beginning */
    uint32_t size;   /* in: room in buf, at most SKEP_TEXT_MAX; out: bytes put there */
    uint32_t total;  /* out: bytes in the array */
    uint32_t pad;
};

struct skep_tracepoint_attr {
    uint32_t id;       /* NEXT: in: the last id (0: start), out: this one; else in */
    uint32_t enable;   /* ENABLE: in: 1 or 0; NEXT: out: traced to the pipe */
    uint32_t programs; /* NEXT: out: how many are attached */
    uint32_t size;     /* NEXT: out: record size in bytes */
    uint64_t hits;     /* NEXT: out: events since enabled */
    char system[32];   /* NEXT: out; FORMAT, OPEN, ENABLE: in, used when id is 0 */
    char name[64];     /* likewise */
};

/* Text or bytes by cursor: FORMAT (cursor unused), TRACE_PIPE_READ, KLOG_READ, SYMBOLS_READ,
 * RINGBUF_READ (handle = ring buffer or perf event array). */
struct skep_read_attr {
    uint64_t cursor; /* in: where to go on (0: the start; TRACE_PIPE_READ: ~0 only what is
                        new); out: where the next read goes on */
    uint64_t lost;   /* out: bytes or records lost to this reader so far */
    uint64_t buf;    /* out buffer */
    uint32_t size;   /* in: its size, at most SKEP_TEXT_MAX; out: bytes put there */
    uint32_t handle;
    uint32_t id;         /* tracepoint, for FORMAT */
    uint32_t timeout_ms; /* how long the server may hold the answer while there is nothing, up to
                            1,000 */
};

/* What RINGBUF_READ gives of a perf event array: records in the form of perf's ring buffer, oldest
 * first for each CPU. Linux: linux/perf_event.h, perf_event_header and PERF_RECORD_*. */
struct skep_perf_header {
    uint32_t type; /* SKEP_PERF_* */
    uint16_t misc; /* 0 */
    uint16_t size; /* of the whole record, a multiple of 8 */
};

enum { SKEP_PERF_LOST = 2, SKEP_PERF_SAMPLE = 9 }; /* PERF_RECORD_LOST, PERF_RECORD_SAMPLE */

/* As with sample_type PERF_SAMPLE_TIME | PERF_SAMPLE_CPU | PERF_SAMPLE_RAW. */
struct skep_perf_sample {
    struct skep_perf_header header;
    uint64_t time_ns; /* since boot */
    uint32_t cpu, reserved;
    uint32_t size; /* bytes that follow: what the program gave, padded to the record's end */
} __attribute__((packed));

struct skep_perf_lost {
    struct skep_perf_header header;
    uint32_t cpu, reserved; /* where perf has the event's id */
    uint64_t lost;          /* samples that found no room before the next one */
};

struct skep_sys_info_attr {
    uint64_t uptime_ns, wall_ns;
    uint64_t memory_total, memory_free, heap_bytes;
    uint64_t map_bytes, map_bytes_limit;
    uint64_t program_runs, program_faults;
    uint64_t rx_packets, rx_bytes, rx_dropped, tx_packets, tx_bytes, tx_dropped;
    uint64_t xdp_dropped, xdp_tx, xdp_aborted; /* received frames that XDP programs kept back */
    uint64_t datagrams_bad, requests, replays;
    uint64_t datagrams_opened, datagrams_unopened, datagrams_replayed; /* of those sealed */
    uint64_t hellos_limited;
    uint32_t progs, maps, links, btfs, sessions, threads;
    uint32_t tracepoints;
    uint32_t irqs; /* device interrupts handled, low 32 bits */
    char version[32], cpu[64], loader[64], hostname[32];
    uint8_t ip4[4], mac[6], sealed, pad[5];
};

struct skep_power_attr {
    uint32_t action; /* 0 power off, 1 reboot */
    uint32_t pad;
};

#define SKEP_PIN_MAX 256u /* a pin's name with its NUL */

struct skep_pin_attr {
    uint32_t kind;           /* PIN_NEXT: out: enum ebpf_kind */
    uint32_t id;             /* PIN_NEXT: out */
    char name[SKEP_PIN_MAX]; /* UNPIN: in; PIN_NEXT: in: the last name (empty: start), out: the next
                                in strcmp order; with or without the leading /sys/fs/bpf/ */
};

/* struct bpf_link_info of a link on a tracepoint, as Linux has it since 6.6: the UAPI header here
 * is older, and its struct as large. A name is given to who says type beforehand. */
struct skep_link_info_tracepoint {
    uint32_t type, id, prog_id, pad0; /* type is BPF_LINK_TYPE_PERF_EVENT */
    uint32_t event, pad1;             /* SKEP_PERF_EVENT_TRACEPOINT */
    uint64_t name;                    /* in: buffer, or 0 */
    uint32_t name_len, pad2;          /* in: its size */
    uint64_t cookie;
};

#define SKEP_PERF_EVENT_TRACEPOINT 5u /* Linux: BPF_PERF_EVENT_TRACEPOINT */

_Static_assert(sizeof(struct skep_link_info_tracepoint) == sizeof(struct bpf_link_info),
               "the kernel fills in one for the other");

/* What travels has no holes and the same size at both ends. */
_Static_assert(sizeof(struct skep_hello_attr) == 136, "as on the wire");
_Static_assert(sizeof(struct skep_close_attr) == 8, "as on the wire");
_Static_assert(sizeof(struct skep_handle_attr) == 40, "as on the wire");
_Static_assert(sizeof(struct skep_map_read_attr) == 40, "as on the wire");
_Static_assert(sizeof(struct skep_info_read_attr) == 32, "as on the wire");
_Static_assert(sizeof(struct skep_tracepoint_attr) == 120, "as on the wire");
_Static_assert(sizeof(struct skep_read_attr) == 40, "as on the wire");
_Static_assert(sizeof(struct skep_perf_header) == 8, "as on the wire");
_Static_assert(sizeof(struct skep_perf_sample) == 28, "as on the wire");
_Static_assert(sizeof(struct skep_perf_lost) == 24, "as on the wire");
_Static_assert(sizeof(struct skep_sys_info_attr) == 440, "as on the wire");
_Static_assert(sizeof(struct skep_power_attr) == 8, "as on the wire");
_Static_assert(sizeof(struct skep_pin_attr) == 264, "as on the wire");

#endif
