/*
 * The server's commands about the machine: the kernel log, the symbol table, system info, power.
 * What differs between the guest and a server on the host comes from struct server_machine.
 */
#include <linux/errno.h>

#include "kernel/printk.h"
#include "kernel/tracepoint.h"
#include "net/server_internal.h"

long server_klog_read(struct server *server, struct server_session *session, void *attr)
{
    struct skep_read_attr *read = attr;

    (void)server;
    (void)session;
    size_t copied = klog_read(&read->cursor, (char *)(uintptr_t)read->buf, read->size, &read->lost);
    if (copied == 0)
        return SERVER_WAIT;
    read->size = (uint32_t)copied;
    return 0;
}

/* Lines "address T name" as in /proc/kallsyms; the cursor counts symbols. */
long server_symbols_read(struct server *server, struct server_session *session, void *attr)
{
    struct skep_read_attr *read = attr;
    char *buf = (char *)(uintptr_t)read->buf;
    uint32_t used = 0;
    uintptr_t addr;
    size_t size;
    const char *name;

    (void)session;
    while ((name = server->machine->symbol_at(read->cursor, &addr, &size)) != NULL) {
        int len = format_text(buf + used, read->size - used, "%016lx T %s\n", addr, name);
        if ((uint32_t)len >= read->size - used) {
            if (used == 0)
                return -ENOSPC;
            break;
        }
        used += (uint32_t)len;
        read->cursor++;
    }
    read->size = used;
    return 0;
}

long server_sys_info(struct server *server, struct server_session *session, void *attr)
{
    struct skep_sys_info_attr *info = attr;
    struct ebpf_stats engine;

    (void)session;
    *info = (struct skep_sys_info_attr){0};
    server->machine->info(info);

    ebpf_get_stats(&engine);
    info->progs = engine.progs;
    info->maps = engine.maps;
    info->links = engine.links;
    info->btfs = engine.btfs;
    info->map_bytes = engine.map_bytes;
    info->map_bytes_limit = engine.map_bytes_limit;
    info->program_runs = engine.runs;
    info->program_faults = engine.faults;

    info->tracepoints = tracepoint_count();
    info->sessions = server->stats.sessions;
    info->requests = server->stats.requests;
    info->replays = server->stats.replays;
    info->sealed = server->sealed;
    info->datagrams_opened = server->stats.datagrams_opened;
    info->datagrams_unopened = server->stats.datagrams_unopened;
    info->datagrams_replayed = server->stats.datagrams_replayed;
    info->hellos_limited = server->stats.hellos_limited;
    info->datagrams_bad = server->stats.datagrams_bad + server->stats.datagrams_foreign;
    return 0;
}

/* The action is taken when the reply has had time to arrive: server_tick. */
long server_power(struct server *server, struct server_session *session, void *attr)
{
    const struct skep_power_attr *power = attr;

    (void)session;
    if (power->action > 1)
        return -EINVAL;
    server->power_pending = true;
    server->power_action = power->action;
    return 0;
}
