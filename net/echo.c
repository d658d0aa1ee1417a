/*
 * The echo service over UDP (RFC 862), port 7. Network thread.
 */
#include "lwip/udp.h"

#include "kernel/printk.h"
#include "net/services.h"

#define ECHO_PORT 7

/* lwIP's upcall: sends the datagram's own buffer back. Never to an echo port, lest two servers
 * keep each other busy for ever. */
static void receive(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *addr,
                    u16_t port)
{
    (void)arg;
    if (port != ECHO_PORT)
        udp_sendto(pcb, p, addr, port);
    pbuf_free(p);
}

void net_echo_init(void)
{
    struct udp_pcb *pcb = udp_new_ip_type(IPADDR_TYPE_ANY);

    if (pcb == NULL || udp_bind(pcb, IP_ANY_TYPE, ECHO_PORT) != ERR_OK) {
        pr_err("net: cannot open UDP port %d for echo", ECHO_PORT);
        return;
    }
    udp_recv(pcb, receive, NULL);
}
