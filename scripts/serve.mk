# The command server in a host process: what of kernel/ and net/ runs there, shared by
# build/skep-serve, skep-vm and the unit tests.

SERVER_SRCS := net/channel.c net/seal.c net/crypto.c net/server.c net/server_wire.c \
	net/server_hello.c net/server_session.c net/server_dispatch.c net/server_trace.c net/server_sys.c
ENGINE_SRCS := $(wildcard ebpf/*.c)
# The parts of the kernel that the server and the engine stand on, but for its heap.
MACHINE_SRCS := kernel/ebpf_port.c kernel/probe.c kernel/tracepoint.c kernel/tracepoint_format.c \
	kernel/trace_events.c kernel/trace_syscalls.c kernel/trace_pipe.c kernel/printk.c \
	kernel/format.c kernel/text.c kernel/timer.c kernel/page.c kernel/netdev.c \
	kernel/random.c user/vm/arch_host.c user/vm/kernel_host.c

SERVE_SRCS := tests/serve_main.c user/vm/serve.c user/lib/skep_key.c kernel/heap.c $(SERVER_SRCS) $(ENGINE_SRCS) \
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
	$(Q)$(HOSTCC) -o $@ $^ $(BEARSSL_LIBS)

-include $(SERVE_OBJS:.o=.d)

# ---- skep-vm: the same, with libbpf in front ----------------------------------------------------

# Verbs that take more than the engine: batch (Jansson), diff and step (programs watched, ncurses).
VM_EXTRA_SRCS := $(wildcard $(addprefix user/vm/,batch*.c vm_batch.c observe*.c target*.c diff*.c \
	vm_diff.c step*.c vm_step.c))
VM_BASE_SRCS := user/vm/serve.c user/lib/skep_key.c kernel/heap.c user/vm/listing.c \
	$(filter-out $(VM_EXTRA_SRCS),$(wildcard user/vm/vm*.c user/vm/trace*.c)) \
	$(addprefix user/client/,btf_print.c info.c json.c map_data.c map_entries.c output.c) \
	user/lib/bpf_transport.c user/lib/bpf_wrap.c $(SERVER_SRCS) $(ENGINE_SRCS) $(MACHINE_SRCS)
VM_SRCS := user/vm/main.c $(VM_BASE_SRCS) $(VM_EXTRA_SRCS)
VM_OTHER_OBJS := $(addprefix $(O)/serve/,user/vm/host/arch/x86_64/jit_probe.o trace_page.o)
VM_OBJS := $(patsubst %.c,$(O)/serve/%.o,$(VM_SRCS)) $(VM_OTHER_OBJS)
# Programs that are watched run in interpreters built a second time, for that.
VM_LIBS := $(addprefix -Wl$(comma)--wrap=,checked_run ebpf_fast_run ebpf_fast_call_back) \
	$(LIBBPF_LIBS) $(BEARSSL_LIBS) -lcapstone -ljansson -lncursesw -ltinfo

$(O)/serve/%.o: %.S
	$(call say,AS,serve/$<)
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(SERVE_CFLAGS) -c -o $@ $<

# The pieces of the page that `skep-vm verify --trace` writes, as they are.
TRACE_PAGE := trace.html trace.css trace.js trace_lists.js trace_graph.js
$(O)/serve/trace_page.o: $(addprefix user/vm/,$(TRACE_PAGE))
	$(call say,WRAP,$@)
	@mkdir -p $(@D)
	$(Q)cd user/vm && ld -r -b binary -z noexecstack -o $(abspath $@) $(TRACE_PAGE)

$(O)/skep-vm: $(VM_OBJS)
	$(call say,LINK,$@)
	$(Q)$(HOSTCC) -o $@ $^ $(VM_LIBS)

-include $(VM_OBJS:.o=.d)

.PHONY: skep-vm
skep-vm: $(O)/skep-vm ## build the engine as a host program
