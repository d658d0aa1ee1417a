/*
 * The far end of the wire for tests of the network stack on the host: a network device that hands
 * frames to lwIP and keeps what lwIP sends, a neighbour that answers ARP and speaks just enough
 * IP, UDP and TCP, and a file system of a few files behind the system calls.
 */
#ifndef SKEP_TESTS_WIRE_H
#define SKEP_TESTS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ebpf_xdp;
struct netdev_stats;

#define WIRE_MAX_FRAME 2048

struct wire_frame {
    size_t len;
    uint8_t bytes[WIRE_MAX_FRAME];
};

/* The guest is 192.0.2.2 and 2001:db8::2, we are 192.0.2.1 and 2001:db8::1. */
extern const uint8_t wire_guest6[16], wire_host6[16];

/* Starts the stack with the command line given, and its services. Once a process. */
void wire_start(const char *cmdline);
/* Frees what the test put in. */
void wire_stop(void);
/* Receive buffers that the stack holds on to. */
unsigned wire_buffers_held(void);
/* Lets the stack work until it rests, answering its ARP and neighbour solicitations. */
void wire_run(void);
/* Moves the clock by ms, running the stack's timers on the way. */
void wire_sleep(unsigned ms);

/* Multicast listener reports (RFC 2710) from the guest so far. */
unsigned wire_listener_reports(void);

/* From now on one frame in n is damaged in a byte behind its Ethernet header; 0: none. Checksums
 * of what is damaged are mended when mend is set, so that more of it is looked at. */
void wire_damage(unsigned n, bool mend);

/* Has program decide over every frame to the guest from now on (NULL: none does), as an XDP program
 * would: its result is the verdict. The device's counters. */
typedef uint32_t (*wire_xdp_fn)(struct ebpf_xdp *xdp);
const struct netdev_stats *wire_xdp(wire_xdp_fn program);

/* A frame to the guest. */
void wire_send(const void *frame, size_t len);
/* What the guest sent and no one took yet, oldest first, ARP and neighbour discovery left out;
 * NULL when there is nothing. Valid until the next call. */
const struct wire_frame *wire_take(void);
/* The same with ARP and neighbour discovery, which are then not answered. */
const struct wire_frame *wire_take_any(void);

/* An Ethernet frame to the guest with an IPv4 or IPv6 packet; into frame, its length. */
size_t wire_make_ip4(uint8_t *frame, uint8_t protocol, const void *payload, size_t len);
size_t wire_make_ip6(uint8_t *frame, uint8_t protocol, const void *payload, size_t len);
/* A UDP datagram from our port to the guest's. */
void wire_send_udp(unsigned family, uint16_t sport, uint16_t dport, const void *data, size_t len);
/* The payload of the guest's next UDP datagram to our port dport; its length, or -1. */
int wire_take_udp(uint16_t sport, uint16_t dport, void *data, size_t size);
/* Connects, sends request, and gathers the answer until the guest closes; its length, or -1. */
int wire_tcp_request(uint16_t sport, uint16_t dport, const char *request, char *answer,
                     size_t size);

/* The file system: name with its leading slash; contents are copied. */
void wire_add_file(const char *name, const void *data, size_t len);
/* Contents of a file, NULL when there is none. */
const uint8_t *wire_file(const char *name, size_t *len);
/* Descriptors open now, and openat calls so far. */
unsigned wire_open_files(void);
unsigned wire_openat_calls(void);

#endif
