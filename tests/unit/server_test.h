/*
 * What the server's suites share: the server with the engine and the kernel parts below it, a link
 * that keeps what is sent, and clients that speak datagrams.
 */
#ifndef SKEP_TESTS_SERVER_TEST_H
#define SKEP_TESTS_SERVER_TEST_H

#include <stdbool.h>
#include <stdint.h>

#include "ebpf/commands.h"
#include "ebpf/ebpf.h"
#include "ebpf/marshal.h"
#include "net/channel.h"
#include "net/server.h"

#define MS     1000000ull
#define SECOND (1000 * MS)

struct sent {
    struct net_endpoint to;
    size_t len;
    struct wire_header header;
    uint8_t payload[WIRE_FRAGMENT_SIZE];
};

#define SENT_MAX 256

extern struct server *server;
extern uint64_t now; /* the server's clock; tests set it */
extern struct sent sent[SENT_MAX];
extern unsigned nr_sent;
extern int powered; /* the action of SKEP_POWER; -1: none */

struct client {
    struct net_endpoint from;
    uint64_t session, boot_id;
    uint32_t sequence;
    /* Of the map that MAP_CREATE gave, for the marshaller. */
    uint32_t map_type, key_size, value_size;
};

void server_test_init(void);
void server_test_fini(void);

struct client client_at(uint16_t port);
struct client client_open(uint16_t port);
/* Says hello with a cookie (NULL: none) and a nonce of the client's port; its status. */
long client_hello(struct client *client, const uint8_t cookie[16], struct skep_hello_attr *hello);
/* Marshals a command with the next sequence number; the message is malloced, size in *size. */
uint8_t *client_encode(struct client *client, uint32_t cmd, void *attr, uint32_t attr_size,
                       struct marshal_plan *plan, uint32_t *size);
/* Hands the server fragment `index` of a request. */
void client_send(struct client *client, uint32_t cmd, const void *message, uint32_t size,
                 uint16_t index);
/* A whole command: request, acknowledgements, reply. Its status. */
long client_command(struct client *client, uint32_t cmd, void *attr, uint32_t attr_size);
/* The reply to the client's last request, taken off what was sent; false: none yet. */
bool client_take_reply(struct client *client, const struct marshal_plan *plan, void *attr,
                       long *status);
/* The number of datagrams of a kind sent to the client. */
unsigned count_sent(const struct client *client, uint8_t kind);

long make_map(struct client *client, uint32_t type, uint32_t key_size, uint32_t value_size,
              uint32_t max_entries);

#endif
