# The command server in a host process: what of kernel/ and net/ runs there, shared by
# build/skep-serve, skep-vm and the unit tests.

SERVER_SRCS := net/channel.c net/server.c net/server_dispatch.c net/server_trace.c net/server_sys.c
ENGINE_SRCS := $(wildcard ebpf/*.c)
# The parts of the kernel that the server and the engine stand on, but for its heap.
MACHINE_SRCS := kernel/ebpf_port.c kernel/probe.c kernel/tracepoint.c kernel/tracepoint_format.c \
	kernel/trace_events.c kernel/trace_syscalls.c kernel/trace_pipe.c kernel/printk.c \
	kernel/format.c kernel/text.c kernel/timer.c kernel/page.c kernel/netdev.c \
	user/vm/arch_host.c user/vm/kernel_host.c

SERVE_SRCS := tests/serve_main.c user/vm/serve.c kernel/heap.c $(SERVER_SRCS) $(ENGINE_SRCS) \
	$(MACHINE_SRCS)
SERVE_OBJS := $(patsubst %.c,$(O)/serve/%.o,$(SERVE_SRCS))

SERVE_CFLAGS := -std=gnu11 -O2 -g -fno-omit-frame-pointer -fno-strict-aliasing -Iuser/vm/host -I. \
	-I$(O)/gen -Wall -Wextra -Werror -MMD -MP

$(O)/serve/%.o: %.c
	$(call say,CC,serve/$<)
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(SERVE_CFLAGS) -c -o $@ $<

$(O)/skep-serve: $(SERVE_OBJS)
	$(call say,LINK,$@)
	$(Q)$(HOSTCC) -o $@ $^

-include $(SERVE_OBJS:.o=.d)
