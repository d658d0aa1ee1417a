# lwIP: which of its files the guest is made of, relative to $(LWIP_DIR)/src, without .c. The
# sources come from scripts/fetch, or from the folder given as LWIP_DIR=.

LWIP_SRCS := \
	core/init core/def core/inet_chksum core/ip core/mem core/memp core/netif core/pbuf \
	core/raw core/stats core/sys core/tcp core/tcp_in core/tcp_out core/timeouts core/udp \
	core/ipv4/dhcp core/ipv4/etharp core/ipv4/icmp \
	core/ipv4/ip4 core/ipv4/ip4_addr core/ipv4/ip4_frag \
	core/ipv6/ethip6 core/ipv6/icmp6 core/ipv6/inet6 core/ipv6/ip6 \
	core/ipv6/ip6_addr core/ipv6/ip6_frag core/ipv6/mld6 core/ipv6/nd6 \
	netif/ethernet apps/http/httpd apps/tftp/tftp_server
LWIP_SRCS := $(strip $(LWIP_SRCS))

# What must be there before anything that includes lwIP is compiled.
LWIP_STAMP := $(if $(filter third_party/lwip,$(LWIP_DIR)),third_party/lwip/.fetched,$(LWIP_DIR)/src/include/lwip/init.h)

# The port's headers are named here because lwIP's own include them, and -MMD leaves out what system
# headers include.
LWIP_PORT := $(LWIP_STAMP) net/lwip/lwipopts.h net/lwip/arch/cc.h

third_party/lwip/.fetched: scripts/fetch
	$(Q)scripts/fetch lwip
