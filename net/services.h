/*
 * The parts of the network thread: what net.c starts and runs. All of them are called by the
 * network thread only, with lwIP initialised.
 */
#ifndef SKEP_NET_SERVICES_H
#define SKEP_NET_SERVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct netdev;

/* netif.c */
void net_netif_add_all(void (*wake)(struct netdev *dev));
bool net_netif_poll(void);
/* timers.c */
void net_timers_adjust(void);
/* xdp.c */
bool net_xdp(struct netdev *dev, uint8_t **frame, size_t *len);
/* udp_port.c */
void net_port_service(void);
/* echo.c, httpd_files.c, tftp.c */
void net_echo_init(void);
void net_http_init(void);
void net_tftp_init(void);

#endif
