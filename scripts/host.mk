# Host programs: skepctl, skep-vm, libskep, and the eBPF objects of progs/.

comma := ,

HOST_CFLAGS := -std=gnu11 -O2 -g -fno-strict-aliasing -I. -I$(O)/gen \
	-Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wvla -MMD -MP

$(O)/host/%.o: %.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(HOST_CFLAGS) -c -o $@ $<

# ---- libskep and skepctl -----------------------------------------------------------------------

# Whatever is linked with libbpf gets these: user/lib/bpf_wrap.c stands between libbpf and the C
# library, so that bpf(2) never reaches the host's kernel.
BPF_WRAPPED := syscall close dup dup2 dup3 fcntl fcntl64 open open64 fopen fopen64 gzopen gzopen64 \
	mkdir statfs statfs64 unlink btf__load_vmlinux_btf get_kernel_version
LIBBPF_LIBS := $(addprefix -Wl$(comma)--wrap=,$(BPF_WRAPPED)) -l:libbpf.a -lelf -lz

LIBSKEP_SRCS := $(wildcard user/lib/*.c ebpf/marshal*.c) net/channel.c net/seal.c net/crypto.c
SKEPCTL_SRCS := $(wildcard user/client/*.c) ebpf/disasm.c ebpf/helper_names.c $(LIBSKEP_SRCS)
SKEPCTL_OBJS := $(patsubst %.c,$(O)/host/%.o,$(SKEPCTL_SRCS))

$(O)/skepctl: $(SKEPCTL_OBJS)
	$(call say,LINK,$@)
	$(Q)$(HOSTCC) -o $@ $^ $(LIBBPF_LIBS) $(BEARSSL_LIBS)

-include $(SKEPCTL_OBJS:.o=.d)

# What tests/system/test_client.py talks to.
SYSTEM_TOOLS += $(O)/skep-serve

.PHONY: skepctl
skepctl: $(O)/skepctl ## build the client

# ---- eBPF programs -----------------------------------------------------------------------------

# -idirafter: <linux/types.h> includes <asm/types.h>, which is in the host's multiarch folder.
BPF_CFLAGS := -g -O2 -target bpf -Wall -Wextra -Werror \
	-idirafter /usr/include/$(shell $(HOSTCC) -print-multiarch 2>/dev/null)
BPF_OBJS   := $(patsubst progs/%.bpf.c,$(O)/progs/%.bpf.o,$(wildcard progs/*.bpf.c))

$(O)/progs/%.bpf.o: progs/%.bpf.c
	$(call say,BPF,$<)
	@mkdir -p $(@D)
	$(Q)$(BPF_CC) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<

-include $(BPF_OBJS:.o=.d)

# The same by two compilers, at other levels of optimisation and for each version of the instruction
# set: $(O)/matrix/COMPILER/LEVEL/CPU/NAME.bpf.o. What comes of all of them is to be accepted.
MATRIX := $(foreach level,O1 O2 Os,$(foreach cpu,v2 v3,clang/$(level)/$(cpu) clang-19/$(level)/$(cpu)) \
	clang-19/$(level)/v4)
MATRIX_OBJS := $(foreach way,$(MATRIX),$(patsubst $(O)/progs/%,$(O)/matrix/$(way)/%,$(BPF_OBJS)))

# $(1): compiler, level, CPU, as a path.
define matrix_rule
$(O)/matrix/$(1)/%.bpf.o: progs/%.bpf.c
	@mkdir -p $$(@D)
	$$(Q)$(word 1,$(subst /, ,$(1))) $$(BPF_CFLAGS) -$(word 2,$(subst /, ,$(1))) \
		-mcpu=$(word 3,$(subst /, ,$(1))) -MMD -MP -c -o $$@ $$<
endef
$(foreach way,$(MATRIX),$(eval $(call matrix_rule,$(way))))

-include $(MATRIX_OBJS:.o=.d)

.PHONY: progs
progs: $(BPF_OBJS) ## compile the eBPF programs
