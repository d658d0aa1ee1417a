/*
 * skepctl sys: the guest as a whole.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "user/client/client.h"

static void info_json(const struct skep_sys_info_attr *info)
{
    jsonw_begin(json, NULL, '{');
    jsonw_string(json, "version", info->version);
    jsonw_string(json, "hostname", info->hostname);
    jsonw_bool(json, "sealed", info->sealed);
    jsonw_string(json, "cpu", info->cpu);
    jsonw_string(json, "loader", info->loader);
    jsonw_printf(json, "address", "\"%u.%u.%u.%u\"", info->ip4[0], info->ip4[1], info->ip4[2],
                 info->ip4[3]);
    jsonw_printf(json, "mac", "\"%02x:%02x:%02x:%02x:%02x:%02x\"", info->mac[0], info->mac[1],
                 info->mac[2], info->mac[3], info->mac[4], info->mac[5]);
#define NUMBER(field) jsonw_uint(json, #field, info->field)
    NUMBER(uptime_ns), NUMBER(wall_ns);
    NUMBER(memory_total), NUMBER(memory_free), NUMBER(heap_bytes);
    NUMBER(map_bytes), NUMBER(map_bytes_limit);
    NUMBER(threads), NUMBER(sessions), NUMBER(tracepoints), NUMBER(irqs);
    NUMBER(progs), NUMBER(maps), NUMBER(links), NUMBER(btfs);
    NUMBER(program_runs), NUMBER(program_faults);
    NUMBER(rx_packets), NUMBER(rx_bytes), NUMBER(rx_dropped);
    NUMBER(tx_packets), NUMBER(tx_bytes), NUMBER(tx_dropped);
    NUMBER(xdp_dropped), NUMBER(xdp_tx), NUMBER(xdp_aborted);
    NUMBER(datagrams_bad), NUMBER(requests), NUMBER(replays);
    NUMBER(datagrams_opened), NUMBER(datagrams_unopened), NUMBER(datagrams_replayed);
    NUMBER(hellos_limited);
#undef NUMBER
    jsonw_end(json, '}');
}

static void info_plain(const struct skep_sys_info_attr *info)
{
    time_t seconds = (time_t)(info->wall_ns / 1000000000u);
    char wall[32] = "?";
    struct tm tm;

    if (gmtime_r(&seconds, &tm))
        strftime(wall, sizeof(wall), "%FT%TZ", &tm);
    printf("%s  up %" PRIu64 ".%03us  %s  loader %s\n", info->version,
           info->uptime_ns / 1000000000u, (unsigned)(info->uptime_ns / 1000000u % 1000u), wall,
           info->loader);
    printf("\thost %s  address %u.%u.%u.%u  mac %02x:%02x:%02x:%02x:%02x:%02x\n", info->hostname,
           info->ip4[0], info->ip4[1], info->ip4[2], info->ip4[3], info->mac[0], info->mac[1],
           info->mac[2], info->mac[3], info->mac[4], info->mac[5]);
    printf("\tcpu %s\n", info->cpu);
    printf("\tmemory %" PRIu64 "K  free %" PRIu64 "K  heap %" PRIu64 "K  maps %" PRIu64
           "K of %" PRIu64 "K\n",
           info->memory_total >> 10, info->memory_free >> 10, info->heap_bytes >> 10,
           info->map_bytes >> 10, info->map_bytes_limit >> 10);
    printf("\tthreads %u  sessions %u  tracepoints %u  irqs %u\n", info->threads, info->sessions,
           info->tracepoints, info->irqs);
    printf("\tprogs %u  maps %u  links %u  btfs %u  runs %" PRIu64 "  faults %" PRIu64 "\n",
           info->progs, info->maps, info->links, info->btfs, info->program_runs,
           info->program_faults);
    printf("\trx %" PRIu64 " packets %" PRIu64 "B %" PRIu64 " dropped  tx %" PRIu64
           " packets %" PRIu64 "B %" PRIu64 " dropped\n",
           info->rx_packets, info->rx_bytes, info->rx_dropped, info->tx_packets, info->tx_bytes,
           info->tx_dropped);
    printf("\txdp %" PRIu64 " dropped %" PRIu64 " sent back %" PRIu64 " aborted\n",
           info->xdp_dropped, info->xdp_tx, info->xdp_aborted);
    printf("\trequests %" PRIu64 "  replays %" PRIu64 "  bad datagrams %" PRIu64 "\n",
           info->requests, info->replays, info->datagrams_bad);
    printf("\t%s  opened %" PRIu64 "  not opened %" PRIu64 "  replayed %" PRIu64
           "  hellos limited %" PRIu64 "\n",
           info->sealed ? "sealed" : "in plain", info->datagrams_opened, info->datagrams_unopened,
           info->datagrams_replayed, info->hellos_limited);
}

static int do_info(struct args *args)
{
    struct skep_sys_info_attr info = {0};
    long result;

    if (args_none(args))
        return -1;
    result = guest_command(SKEP_SYS_INFO, &info, sizeof(info));
    if (result < 0) {
        p_err("can't get system info: %s", error_text(result));
        return -1;
    }
    if (json)
        info_json(&info);
    else
        info_plain(&info);
    return 0;
}

/* The log's lines begin with their level, "<6>", which is for programs: JSON keeps it. */
static void print_log(const char *text, size_t size)
{
    static bool within_line;

    while (size > 0) {
        const char *end = memchr(text, '\n', size);
        size_t length = end ? (size_t)(end - text) + 1 : size;
        size_t skip =
            !json && !within_line && length > 3 && text[0] == '<' && text[2] == '>' ? 3 : 0;

        if (json)
            jsonw_text(json, NULL, text, length - (end ? 1 : 0));
        else
            fwrite(text + skip, 1, length - skip, stdout);
        within_line = !end;
        text += length;
        size -= length;
    }
}

/* The kernel's log from its oldest line on; in JSON an array of lines. */
static int do_dmesg(struct args *args)
{
    uint64_t cursor = 0;
    int result;

    if (args_none(args))
        return -1;
    if (json)
        jsonw_begin(json, NULL, '[');
    do
        result = guest_stream_text(SKEP_KLOG_READ, &cursor, 0, print_log);
    while (result > 0);
    if (json)
        jsonw_end(json, ']');
    if (result == 0)
        return 0;
    p_err("can't read the kernel log: %s", error_text(result));
    return -1;
}

static int power(struct args *args, uint32_t action)
{
    struct skep_power_attr attr = {.action = action};
    long result;

    if (args_none(args))
        return -1;
    result = guest_command(SKEP_POWER, &attr, sizeof(attr));
    if (result >= 0)
        return done();
    p_err("can't %s the guest: %s", action ? "restart" : "power off", error_text(result));
    return -1;
}

static int do_poweroff(struct args *args)
{
    return power(args, 0);
}

static int do_reboot(struct args *args)
{
    return power(args, 1);
}

static const struct verb verbs[] = {
    {"info", do_info, "", "The guest as a whole: version, addresses, memory, counters."},
    {"dmesg", do_dmesg, "", "The kernel's log."},
    {"poweroff", do_poweroff, "", "Switches the guest off."},
    {"reboot", do_reboot, "", "Restarts it."},
    {0},
};

const struct noun noun_sys = {.name = "sys", .verbs = verbs, .terms = ""};
