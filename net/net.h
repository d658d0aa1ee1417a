/*
 * The network: one thread that alone calls lwIP. Started by kernel/main.c after the drivers.
 *
 * Command line: skep.ip=A.B.C.D skep.netmask= skep.gateway= (static, no DHCP); skep.dhcp_timeout=N
 * (seconds before the fallback address, default 10); skep.ip6=ADDRESS (a static address beside the
 * link-local one and those of router advertisements); skep.hostname=NAME; skep.services=0 (no
 * echo, HTTP, TFTP).
 */
#ifndef SKEP_NET_NET_H
#define SKEP_NET_NET_H

#include <stdint.h>

/* Starts the network thread. 0, -ENOMEM. A machine without a device runs on without network. */
int net_init(void);

/* The machine's own IPv4 address in network order; zeros while there is none. Any context. */
void net_get_ip4(uint8_t address[4]);

/* Has the network thread look at its queues. Any context. */
void net_wake(void);

#endif
