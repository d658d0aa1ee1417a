/*
 * TFTP (RFC 1350), port 69: lwIP's server (apps/tftp/tftp_server.c) over our files. Reading takes
 * any file; writing makes new files of at most 16 MiB and never overwrites one. lwIP's server
 * believes the length of what it gets and leaves a timer behind for every request that fails, so a
 * check stands in front of it. One transfer at a time. Network thread.
 */
#include "lwip/apps/tftp_server.h"
#include "lwip/prot/iana.h"
#include "lwip/sys.h"
#include "lwip/udp.h"

#include "kernel/heap.h"
#include "kernel/printk.h"
#include "net/files.h"
#include "net/services.h"

#define OPCODE_FIRST 1 /* RRQ */
#define OPCODE_WRQ   2
#define OPCODE_LAST  5 /* ERROR */
#define HEADER_SIZE  4u
#define MAX_UPLOAD   (16u << 20)
/* Requests passed on a second; lwIP's timer of a failed one lives for less (TFTP_TIMER_MSECS). */
#define REQUESTS_PER_SECOND 8u

struct transfer {
    int fd;
    uint32_t written;
};

/* ---- files: the callbacks of lwIP's server ------------------------------------------------ */

static void *open_file(const char *name, const char *mode, u8_t write)
{
    struct transfer *transfer = kzalloc(sizeof(*transfer));
    uint32_t size;

    (void)mode; /* netascii is sent as it is, as most servers do */
    if (transfer == NULL)
        return NULL;
    transfer->fd = write ? net_file_create(name) : net_file_open(name, &size);
    if (transfer->fd < 0) {
        kfree(transfer);
        return NULL;
    }
    return transfer;
}

static void close_file(void *handle)
{
    struct transfer *transfer = handle;

    net_file_close(transfer->fd);
    kfree(transfer);
}

static int read_file(void *handle, void *buf, int bytes)
{
    const struct transfer *transfer = handle;

    return (int)net_file_read(transfer->fd, buf, (size_t)bytes);
}

static int write_file(void *handle, struct pbuf *p)
{
    struct transfer *transfer = handle;
    struct pbuf *part;

    if (p->tot_len > MAX_UPLOAD - transfer->written)
        return -1;
    for (part = p; part != NULL; part = part->next) {
        if (net_file_write(transfer->fd, part->payload, part->len) != part->len)
            return -1;
    }
    transfer->written += p->tot_len;
    return 0;
}

static const struct tftp_context files = {
    .open = open_file,
    .close = close_file,
    .read = read_file,
    .write = write_file,
};

/* ---- the check in front ------------------------------------------------------------------- */

static udp_recv_fn server_receive;

/* True while this second's requests are not used up. */
static bool request_allowed(void)
{
    static u32_t second, count;
    u32_t now = sys_now() / 1000;

    if (now != second) {
        second = now;
        count = 0;
    }
    return count++ < REQUESTS_PER_SECOND;
}

/* Passes on what has a header in its first piece, a known opcode, and is not one request too many;
 * drops the rest. An ERROR ends nothing: lwIP's server lets the transfer run into its timeout. */
static void receive(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *addr,
                    u16_t port)
{
    const u8_t *bytes = p->payload;
    unsigned opcode = p->len >= HEADER_SIZE ? (unsigned)bytes[0] << 8 | bytes[1] : 0;

    if (opcode < OPCODE_FIRST || opcode > OPCODE_LAST ||
        (opcode <= OPCODE_WRQ && !request_allowed())) {
        pbuf_free(p);
        return;
    }
    server_receive(arg, pcb, p, addr, port);
}

void net_tftp_init(void)
{
    struct udp_pcb *pcb;

    if (tftp_init(&files) != ERR_OK) {
        pr_err("net: cannot open UDP port %d for TFTP", LWIP_IANA_PORT_TFTP);
        return;
    }
    for (pcb = udp_pcbs; pcb->local_port != LWIP_IANA_PORT_TFTP; pcb = pcb->next)
        ;
    server_receive = pcb->recv;
    pcb->recv = receive;
}
