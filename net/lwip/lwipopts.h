/*
 * How lwIP 2.1.3 is configured here. Included by lwip/opt.h, which documents every option and
 * gives the rest their defaults. One thread (net/net.c) calls lwIP; there is no OS layer.
 */
#ifndef SKEP_LWIPOPTS_H
#define SKEP_LWIPOPTS_H

/* ---- threads: none; net_assert_thread panics when another thread calls ------------------- */
#define NO_SYS               1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN         0
#define LWIP_SOCKET          0
void net_assert_thread(void);
#define LWIP_ASSERT_CORE_LOCKED() net_assert_thread()

/* ---- memory: buffers from the kernel heap, everything that counts from pools of fixed size */
#define MEM_LIBC_MALLOC         1
#define mem_clib_malloc         kmalloc
#define mem_clib_free           kfree
#define mem_clib_calloc         net_calloc
#define MEM_ALIGNMENT           8
#define MEMP_NUM_PBUF           64
#define MEMP_NUM_UDP_PCB        16
#define MEMP_NUM_TCP_PCB        64
#define MEMP_NUM_TCP_PCB_LISTEN 8
#define MEMP_NUM_TCP_SEG        256
#define MEMP_NUM_REASSDATA      8
#define MEMP_NUM_ND6_QUEUE      16
#define MEMP_NUM_ARP_QUEUE      16
/* The stack's own timers, and those that net/tftp.c lets TFTP requests make. */
#define MEMP_NUM_SYS_TIMEOUT (LWIP_NUM_SYS_TIMEOUT_INTERNAL + 24)
/* Received frames are copied into these. */
#define PBUF_POOL_SIZE    256
#define PBUF_POOL_BUFSIZE 1536
#define PBUF_LINK_HLEN    14

/* ---- protocols --------------------------------------------------------------------------- */
#define LWIP_ETHERNET 1
#define LWIP_ARP      1
#define ARP_QUEUEING  1
#define LWIP_RAW      0
#define LWIP_ICMP     1
#define LWIP_UDP      1
#define LWIP_TCP      1
#define LWIP_DNS      0
#define LWIP_IGMP     0
#define LWIP_DHCP     1
/* Probing the offered address by ARP costs a second at every boot. */
#define DHCP_DOES_ARP_CHECK     0
#define LWIP_IPV4               1
#define IP_REASSEMBLY           1
#define IP_FRAG                 1
#define IP_REASS_MAX_PBUFS      48
#define LWIP_IPV6               1
#define LWIP_IPV6_MLD           1
#define LWIP_IPV6_AUTOCONFIG    1
#define LWIP_IPV6_NUM_ADDRESSES 4
#define LWIP_IPV6_DHCP6         0
#define LWIP_IPV6_FRAG          1
#define LWIP_IPV6_REASS         1
/* Pointers of 64 bits do not fit into the fragment header. */
#define IPV6_FRAG_COPYHEADER 1

#define LWIP_NETIF_HOSTNAME            1
#define LWIP_NETIF_EXT_STATUS_CALLBACK 1
#define LWIP_NETIF_TX_SINGLE_PBUF      0

/* ---- TCP: windows that a LAN's round trip fills ------------------------------------------ */
#define TCP_MSS             1460
#define TCP_WND             (16 * TCP_MSS)
#define TCP_SND_BUF         (16 * TCP_MSS)
#define TCP_SND_QUEUELEN    64
#define TCP_QUEUE_OOSEQ     1
#define TCP_OOSEQ_MAX_PBUFS 32
#define LWIP_TCP_SACK_OUT   1
#define TCP_LISTEN_BACKLOG  1
/* A peer that is gone is given up after some two minutes (with the default of 12: a quarter of an
 * hour, in which a few dozen of them would keep everybody else out). */
#define TCP_MAXRTX    6
#define TCP_SYNMAXRTX 4

/* ---- the HTTP and TFTP applications; net/httpd_files.c replaces lwIP's fs.c -------------- */
#define LWIP_HTTPD_CUSTOM_FILES        1
#define LWIP_HTTPD_DYNAMIC_FILE_READ   1
#define LWIP_HTTPD_DYNAMIC_HEADERS     0
#define LWIP_HTTPD_SUPPORT_V09         0
#define LWIP_HTTPD_SUPPORT_EXTSTATUS   1
#define LWIP_HTTPD_SSI                 0
#define LWIP_HTTPD_CGI                 0
#define LWIP_HTTPD_MAX_REQUEST_URI_LEN 255
#define LWIP_HTTPD_MAX_REQ_LENGTH      2048
#define TFTP_MAX_FILENAME_LEN          255
#define TFTP_MAX_MODE_LEN              15
/* First resend after 2.5 s, then one each 0.5 s, given up after 5 s. */
#define TFTP_TIMEOUT_MSECS 2000
#define TFTP_TIMER_MSECS   500

/* ---- timers: shows net/timers.c lwip_cyclic_timer, and changes nothing else (2.1.3) ------- */
#define LWIP_TESTMODE 1

/* ---- counters ---------------------------------------------------------------------------- */
#define LWIP_STATS         1
#define LWIP_STATS_DISPLAY 0
#define LWIP_STATS_LARGE   1

#endif
