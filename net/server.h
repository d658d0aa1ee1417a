/*
 * The command server: what a client says to this machine. Datagrams come in through
 * server_receive and go out through a struct server_link, time is passed in: the guest runs it in
 * a thread of its own on UDP port 9970 (net/server_thread.c), `skep-vm serve` over a host socket,
 * tests over an array. One thread calls all of this.
 */
#ifndef SKEP_NET_SERVER_H
#define SKEP_NET_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/udp_port.h"

struct server;
struct boot_info;
struct skep_sys_info_attr;

/* The way out. send copies; a datagram that it cannot take is lost, as on any network. */
struct server_link {
    void (*send)(struct server_link *link, const struct net_endpoint *to, const void *data,
                 size_t len);
};

/* What only the machine that the server runs on can say or do. */
struct server_machine {
    const char *build;                            /* shown by hello */
    void (*info)(struct skep_sys_info_attr *out); /* fills in what it knows, zeroed before */
    void (*power)(uint32_t action);               /* SKEP_POWER; may not return */
    const char *(*symbol_at)(size_t index, uintptr_t *addr, size_t *size); /* kernel/symbols.h */
};

struct server_stats {
    uint64_t datagrams_bad;      /* truncated, random, of another version */
    uint64_t datagrams_foreign;  /* well-formed, but no session's, or from another address */
    uint64_t datagrams_opened;   /* sealed, and good */
    uint64_t datagrams_unopened; /* sealed otherwise than with our key, or changed on the way */
    uint64_t datagrams_replayed; /* opened before, or too old to tell */
    uint64_t hellos_limited;     /* dropped, since there were too many */
    uint64_t requests, replays;  /* executed; answered again from the kept reply */
    uint64_t sessions_expired, sessions_refused;
    uint64_t out_of_memory; /* requests refused for want of memory */
    uint64_t request_bytes; /* held by requests now */
    uint32_t sessions;
};

/* Memory that all requests under assembly or execution may hold together. One that is no larger
 * than SERVER_REQUEST_SMALL is taken all the same, so that large ones cannot shut the others out.
 */
#define SERVER_REQUEST_BYTES_MAX (32u << 20)
#define SERVER_REQUEST_SMALL     (64u << 10)

struct server *server_create(struct server_link *link, const struct server_machine *machine,
                             const uint8_t *key);
void server_destroy(struct server *server);
void server_receive(struct server *server, const struct net_endpoint *from, const void *datagram,
                    size_t len, uint64_t now_ns);
uint64_t server_tick(struct server *server, uint64_t now_ns);
bool server_waits(const struct server *server);
void server_get_stats(const struct server *server, struct server_stats *out);

/* Guest only (net/server_thread.c, net/server_key.c). */
int server_start(const struct boot_info *boot);
const uint8_t *server_find_key(const struct boot_info *boot);

#endif
