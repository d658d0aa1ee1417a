/*
 * Events that programs put into ring buffers and perf event arrays: reading and printing them, for
 * skepctl run, and skepctl map event_pipe, whose form is bpftool's.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "user/client/client.h"

#define HOLD_MS 500 /* how long the guest may wait for something to show */

static void print_record(const char *map, const uint8_t *data, uint32_t size)
{
    if (json) {
        jsonw_begin(json, NULL, '{');
        jsonw_string(json, "map", map);
        jsonw_bytes(json, "data", data, size);
        jsonw_end(json, '}');
        return;
    }
    printf("%s: %uB:%c", map, size, size > 16 ? '\n' : ' ');
    print_hex(data, size, " ");
    printf("\n");
}

/* A ring buffer's: each record is u32 length, u32 zero, data padded to 8. */
static void print_records(const struct events *events, const uint8_t *buf, uint32_t size)
{
    for (uint32_t at = 0, length; at + 8 <= size; at += 8 + ((length + 7u) & ~7u)) {
        memcpy(&length, buf + at, sizeof(length));
        if (length > size - at - 8)
            break;
        print_record(events->name, buf + at + 8, length);
    }
}

static void print_sample_json(uint32_t cpu, const struct skep_perf_sample *sample,
                              const uint8_t *data)
{
    jsonw_begin(json, NULL, '{');
    jsonw_uint(json, "type", sample->header.type);
    jsonw_uint(json, "cpu", cpu);
    jsonw_uint(json, "index", cpu);
    jsonw_uint(json, "timestamp", sample->time_ns);
    jsonw_bytes(json, "data", data, sample->size);
    jsonw_end(json, '}');
}

static void print_sample(const struct events *events, const uint8_t *record, uint16_t size)
{
    struct skep_perf_sample sample;
    const uint8_t *data = record + sizeof(sample);

    if (size < sizeof(sample))
        return;
    memcpy(&sample, record, sizeof(sample));
    if (sample.size > size - sizeof(sample) || (events->one_cpu && sample.cpu != events->cpu))
        return;
    if (json) {
        print_sample_json(sample.cpu, &sample, data);
        return;
    }
    printf("== @%llu.%09llu CPU: %u index: %u =====\n",
           (unsigned long long)sample.time_ns / 1000000000,
           (unsigned long long)sample.time_ns % 1000000000, sample.cpu, sample.cpu);
    print_hex(data, sample.size, " ");
    printf("\n");
}

static void print_lost(const struct events *events, const uint8_t *record, uint16_t size)
{
    struct skep_perf_lost lost;

    if (size < sizeof(lost))
        return;
    memcpy(&lost, record, sizeof(lost));
    if (events->one_cpu && lost.cpu != events->cpu)
        return;
    if (!json) {
        printf("lost %llu events\n", (unsigned long long)lost.lost);
        return;
    }
    jsonw_begin(json, NULL, '{');
    jsonw_uint(json, "type", lost.header.type);
    jsonw_uint(json, "cpu", lost.cpu);
    jsonw_uint(json, "index", lost.cpu);
    jsonw_begin(json, "lost", '{');
    jsonw_uint(json, "id", lost.cpu);
    jsonw_uint(json, "lost", lost.lost);
    jsonw_end(json, '}');
    jsonw_end(json, '}');
}

/* A perf event array's: each record says its own size. */
static void print_samples(const struct events *events, const uint8_t *buf, uint32_t size)
{
    struct skep_perf_header header;

    for (uint32_t at = 0; at + sizeof(header) <= size; at += header.size) {
        memcpy(&header, buf + at, sizeof(header));
        if (header.size < sizeof(header) || header.size > size - at)
            break;
        if (header.type == SKEP_PERF_SAMPLE)
            print_sample(events, buf + at, header.size);
        else if (header.type == SKEP_PERF_LOST)
            print_lost(events, buf + at, header.size);
        else
            printf("unknown event type=%u size=%u\n", header.type, header.size);
    }
}

/* Can events of such a map be read? */
bool events_has(uint32_t map_type)
{
    return map_type == BPF_MAP_TYPE_RINGBUF || map_type == BPF_MAP_TYPE_PERF_EVENT_ARRAY;
}

/* Takes what a map holds and prints it; the guest waits up to timeout_ms while there is nothing. 0,
 * or negative errno. */
int events_read(struct events *events, unsigned timeout_ms)
{
    static uint8_t buf[SKEP_TEXT_MAX];
    struct skep_read_attr attr = {
        .buf = (uintptr_t)buf,
        .size = sizeof(buf),
        .handle = (uint32_t)events->fd,
        .timeout_ms = timeout_ms,
    };
    long result = guest_command(SKEP_RINGBUF_READ, &attr, sizeof(attr));

    if (result < 0)
        return (int)result;
    if (events->map_type == BPF_MAP_TYPE_PERF_EVENT_ARRAY) {
        print_samples(events, buf, attr.size); /* what is lost stands among them */
        return 0;
    }
    if (attr.lost > events->lost)
        p_info("skepctl: %s: %llu records lost, the ring buffer was full", events->name,
               (unsigned long long)(attr.lost - events->lost));
    events->lost = attr.lost;
    print_records(events, buf, attr.size);
    return 0;
}

/* cpu N index M: on Skep a CPU's index is its own. */
static int parse_cpu(struct args *args, struct events *events)
{
    uint32_t index;

    if (args->left == 0)
        return 0;
    if (!args_match(args, "cpu") || args_u32(args, "cpu", &events->cpu) ||
        !args_match(args, "index") || args_u32(args, "index", &index)) {
        p_err("expected 'cpu N index M'");
        return -1;
    }
    if (index != events->cpu) {
        p_err("each CPU's events are at the index of its own number");
        return -1;
    }
    events->one_cpu = true;
    return args_none(args);
}

int do_map_event_pipe(struct args *args)
{
    struct events events = {.fd = handle_parse(args, EBPF_MAP)};
    struct bpf_map_info info = {0};
    int error;

    if (events.fd < 0)
        return -1;
    error = handle_info(EBPF_MAP, events.fd, &info, sizeof(info));
    events.map_type = info.type;
    events.name = info.name;
    if (!error && info.type != BPF_MAP_TYPE_PERF_EVENT_ARRAY) {
        p_err("map is not a perf event array");
        error = -1;
    }
    if (!error)
        error = parse_cpu(args, &events);
    guest_catch_signals();
    if (!error && json)
        jsonw_begin(json, NULL, '[');
    while (!error && !guest_stopped()) {
        int result = events_read(&events, HOLD_MS);

        fflush(stdout);
        if (result < 0 && !guest_stopped()) {
            p_err("can't read from the guest: %s", error_text(result));
            error = -1;
        }
    }
    if (!error && json)
        jsonw_end(json, ']');
    close(events.fd);
    return error;
}
