# Unit test suites: UNIT_<name> := the sources under test. The tests themselves are in
# tests/unit/test_<name>.c; libraries beyond Criterion go into SUITE_LIBS_<name>.
# HOST_KERNEL replaces, on the host, what portable kernel code expects of arch/, panic.c,
# symbols.c and thread.c. HOST_HEAP puts the kernel's heap on malloc.

HOST_KERNEL := user/vm/arch_host.c user/vm/kernel_host.c
HOST_HEAP   := user/vm/heap_host.c

UNIT_sanitizers := $(HOST_KERNEL)
UNIT_string     := kernel/text.c $(HOST_KERNEL)
UNIT_format     := kernel/format.c $(HOST_KERNEL)
UNIT_printk     := kernel/printk.c kernel/format.c $(HOST_KERNEL)
UNIT_wire := net/channel.c
UNIT_channel := net/channel.c
UNIT_crypto := net/crypto.c
SUITE_LIBS_crypto := $(BEARSSL_LIBS)
UNIT_seal := net/seal.c net/crypto.c
SUITE_LIBS_seal := $(BEARSSL_LIBS)
UNIT_bootinfo   := boot/multiboot2.c boot/pvh.c boot/memory.c
UNIT_symbols    := kernel/symbols.c
UNIT_page       := kernel/page.c $(HOST_KERNEL)
UNIT_heap       := kernel/heap.c kernel/page.c $(HOST_KERNEL)
UNIT_timer      := kernel/timer.c $(HOST_KERNEL)
UNIT_virtqueue  := drivers/virtio/virtqueue.c
UNIT_pci_caps   := drivers/virtio/pci_caps.c
UNIT_datagram_queue := net/datagram_queue.c
UNIT_cmdline    := kernel/cmdline.c kernel/text.c kernel/printk.c kernel/format.c $(HOST_KERNEL)

MARSHAL := ebpf/marshal.c ebpf/marshal_rules.c ebpf/marshal_message.c
UNIT_marshal := $(MARSHAL)
# The engine alone, on the host's port.
ENGINE_ALONE := $(wildcard ebpf/*.c) user/vm/host_port.c user/vm/host_events.c user/vm/host_timers.c
UNIT_map := $(ENGINE_ALONE)
UNIT_map_events := $(ENGINE_ALONE)
UNIT_map_rules := $(ENGINE_ALONE)
UNIT_objects := $(ENGINE_ALONE)
UNIT_map_types := $(ENGINE_ALONE)
UNIT_sys := $(ENGINE_ALONE)
UNIT_btf := $(ENGINE_ALONE)
UNIT_ustar      := kernel/ustar.c
RAMFS           := kernel/ramfs.c kernel/ramfs_data.c kernel/ramfs_initrd.c kernel/ustar.c
UNIT_ramfs      := $(RAMFS) kernel/timer.c kernel/printk.c kernel/format.c \
	$(HOST_HEAP) $(HOST_KERNEL)
TRACING         := kernel/tracepoint.c kernel/tracepoint_format.c kernel/trace_events.c \
	kernel/trace_syscalls.c kernel/probe.c kernel/trace_pipe.c kernel/format.c kernel/text.c \
	kernel/timer.c kernel/heap.c kernel/page.c tests/unit/trace_test.c $(HOST_KERNEL)
UNIT_tracepoint := $(TRACING)
UNIT_trace_pipe := $(TRACING)

# lwIP runs under AddressSanitizer only: it reads packed headers at odd addresses by design.
LWIP_UNIT := $(addprefix $(LWIP_DIR)/src/,$(addsuffix .c,$(LWIP_SRCS)))
UNIT_netstack := tests/unit/wire.c tests/unit/wire_files.c net/netif.c net/xdp.c net/timers.c net/udp_port.c \
	net/datagram_queue.c net/echo.c net/files.c net/httpd_files.c net/tftp.c net/lwip/sys_arch.c \
	kernel/random.c kernel/cmdline.c kernel/text.c kernel/printk.c kernel/format.c $(HOST_KERNEL) $(LWIP_UNIT)
$(O)/unit/netstack: SUITE_CFLAGS += -Inet/lwip -isystem $(LWIP_DIR)/src/include
$(addprefix $(O)/unit/obj/,$(LWIP_UNIT:.c=.o)): SUITE_CFLAGS += -w -fno-sanitize=undefined
$(LWIP_UNIT): $(LWIP_STAMP)
$(addprefix $(O)/unit/obj/,$(LWIP_UNIT:.c=.o) tests/unit/wire.o tests/unit/test_netstack.o $(addprefix net/,netif.o timers.o \
	udp_port.o echo.o httpd_files.o tftp.o lwip/sys_arch.o)): $(LWIP_PORT)

UNIT_transport := user/lib/bpf_transport.c user/lib/bpf_wrap.c $(MARSHAL)
SUITE_LIBS_transport := $(LIBBPF_LIBS)
$(O)/unit/transport: | $(BPF_OBJS)
# The server over the real engine; its blocks come from malloc, so that AddressSanitizer sees them.
UNIT_server := tests/unit/server_test.c $(SERVER_SRCS) $(ENGINE_SRCS) $(MACHINE_SRCS) $(HOST_HEAP)
UNIT_server_commands := $(UNIT_server)
UNIT_server_seal := $(UNIT_server)
SUITE_LIBS_server := $(BEARSSL_LIBS)
SUITE_LIBS_server_seal := $(BEARSSL_LIBS)
SUITE_LIBS_server_commands := $(BEARSSL_LIBS)
UNIT_ebpf_port  := kernel/ebpf_port.c kernel/netdev.c kernel/random.c kernel/printk.c $(TRACING)
SUITE_LIBS_netstack := $(BEARSSL_LIBS)
SUITE_LIBS_ebpf_port := $(BEARSSL_LIBS)
SUITE_LIBS_syscalls := $(BEARSSL_LIBS)
UNIT_syscalls   := kernel/syscall.c kernel/syscalls_file.c kernel/syscalls_time.c \
	kernel/syscalls_process.c kernel/random.c kernel/access.c kernel/file.c $(RAMFS) \
	kernel/timer.c kernel/printk.c kernel/format.c $(HOST_HEAP) $(HOST_KERNEL)
UNIT_skepctl := $(filter-out user/client/main.c,$(SKEPCTL_SRCS))
SUITE_LIBS_skepctl := $(LIBBPF_LIBS) $(BEARSSL_LIBS)
UNIT_libskep := $(wildcard user/lib/skep*.c) user/lib/channel_udp.c user/vm/serve.c \
	kernel/heap.c $(SERVER_SRCS) $(ENGINE_SRCS) $(MACHINE_SRCS)
SUITE_LIBS_libskep := $(BEARSSL_LIBS)

UNIT_scalar := ebpf/scalar.c ebpf/scalar_branch.c

ASSEMBLER := $(wildcard user/vm/asm*.c)

# The verifier: verdicts of tests/data/verifier and tests/data.
UNIT_verifier := $(ENGINE_ALONE) $(ASSEMBLER) \
	tests/unit/data_case.c tests/unit/data_map.c tests/unit/data_run.c tests/unit/data_btf.c
# What it says: whole logs.
UNIT_verifier_log := $(UNIT_verifier)
# What it may cost: limits and counts.
UNIT_verifier_bounds := $(ENGINE_ALONE)

# Runs against what the verifier knew: the engine with the checked interpreter built to
# tell of each step.
UNIT_verifier_embed := $(filter-out ebpf/interp_checked.c,$(ENGINE_ALONE)) \
	tests/unit/embed.c tests/unit/embed_engine.c \
	tests/unit/random_verifier.c tests/unit/random_program.c $(ASSEMBLER) \
	tests/unit/data_case.c tests/unit/data_map.c tests/unit/data_run.c tests/unit/data_btf.c

# Random programs from tests/fuzz: the verifier's soundness, and the engines against each other.
UNIT_random := $(filter-out ebpf/interp_checked.c,$(ENGINE_ALONE)) \
	tests/unit/embed.c tests/unit/embed_engine.c \
	$(wildcard tests/fuzz/generate*.c) tests/fuzz/mutate.c tests/fuzz/trial.c tests/unit/data_map.c

# Random programs in every engine.
UNIT_engines := $(ENGINE_ALONE) tests/unit/random_program.c

# Functions called back by timers and across tail calls, in every engine.
UNIT_callback := $(ENGINE_ALONE) $(ASSEMBLER) tests/unit/data_map.c tests/unit/data_run.c \
	tests/unit/data_btf.c tests/unit/data_case.c

# The machine code that small programs become.
UNIT_jit := $(ENGINE_ALONE) $(ASSEMBLER)
SUITE_LIBS_jit := -lcapstone

# Programs as data (tests/data), run by the engine.
UNIT_data := $(ENGINE_ALONE) $(ASSEMBLER) \
	tests/unit/data_case.c tests/unit/data_map.c tests/unit/data_run.c tests/unit/data_btf.c
UNIT_sched      := kernel/thread.c kernel/sched.c kernel/waitq.c kernel/timer.c kernel/heap.c \
	kernel/page.c kernel/text.c $(HOST_KERNEL)
UNIT_engine := $(ENGINE_ALONE) $(ASSEMBLER)
UNIT_disasm := ebpf/disasm.c ebpf/helper_names.c
UNIT_progs := user/lib/bpf_transport.c user/lib/bpf_wrap.c $(ENGINE_ALONE)
SUITE_LIBS_progs := $(LIBBPF_LIBS)
$(O)/unit/progs: | $(BPF_OBJS)
UNIT_compilers := user/lib/bpf_transport.c user/lib/bpf_wrap.c $(ENGINE_ALONE)
SUITE_LIBS_compilers := $(LIBBPF_LIBS)
$(O)/unit/compilers: | $(MATRIX_OBJS)
# skep-vm as a program, over the objects of progs/.
UNIT_skep_vm := tests/unit/shell.c
$(O)/unit/skep_vm: | $(O)/skep-vm $(BPF_OBJS)
UNIT_skep_vm_batch := tests/unit/shell.c
$(O)/unit/skep_vm_batch: | $(O)/skep-vm $(O)/unit/skep-vm-asan
UNIT_skep_vm_watch := tests/unit/shell.c
$(O)/unit/skep_vm_watch: | $(O)/skep-vm $(O)/skep-vm-planted $(BPF_OBJS)

# skep-vm under the sanitizers, its blocks from malloc.
ASAN_OBJS := $(patsubst %.c,$(O)/unit/obj/%.o,$(filter-out kernel/heap.c,$(VM_SRCS)) $(HOST_HEAP)) \
	$(VM_OTHER_OBJS)
$(O)/unit/skep-vm-asan: $(ASAN_OBJS)
	$(call say,LINK,$@)
	$(Q)$(HOSTCC) -fsanitize=address,undefined -o $@ $^ $(VM_LIBS)
-include $(filter %.d,$(ASAN_OBJS:.o=.d))

# skep-vm with a fault in the fast interpreter and in the JIT.
PLANTED_OBJS := $(filter-out %/observe_interp.o %/jit_x86_alu.o,$(VM_OBJS)) \
	$(patsubst %,$(O)/serve/tests/unit/planted_%.o,interp jit)
$(O)/skep-vm-planted: $(PLANTED_OBJS)
	$(call say,LINK,$@)
	$(Q)$(HOSTCC) -o $@ $^ $(VM_LIBS)
-include $(PLANTED_OBJS:.o=.d)
