# The comparison with a real Linux (docs/comparing.md). The same probe is linked twice: as the init
# process of a virtual machine under Debian's kernel, and as a client of a Skep guest.

PROBE_SRCS := tests/linux/probe.c tests/linux/probe_data.c tests/linux/probe_maps.c \
	tests/linux/probe_objects.c tests/linux/probe_random.c tests/unit/data_case.c tests/unit/data_map.c \
	$(wildcard tests/fuzz/generate*.c) tests/fuzz/mutate.c $(ASSEMBLER) ebpf/helper_names.c
PROBE_INIT_SRCS := $(PROBE_SRCS) tests/linux/side_linux.c
PROBE_SKEP_SRCS := $(PROBE_SRCS) tests/linux/side_skep.c $(LIBSKEP_SRCS)

PROBE_INIT_OBJS := $(patsubst %.c,$(O)/linux/obj/%.o,$(PROBE_INIT_SRCS))
PROBE_SKEP_OBJS := $(patsubst %.c,$(O)/host/%.o,$(PROBE_SKEP_SRCS))

# Without the wraps: in the virtual machine bpf(2) is to reach the kernel.
$(O)/linux/obj/%.o: %.c
	$(call say,CC,linux/$<)
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(HOST_CFLAGS) -c -o $@ $<

$(O)/linux/init: $(PROBE_INIT_OBJS)
	$(call say,LINK,$@)
	$(Q)$(HOSTCC) -static -o $@ $^ -l:libbpf.a -lelf -lz

$(O)/linux/skep-side: $(PROBE_SKEP_OBJS)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) -o $@ $^ $(LIBBPF_LIBS) $(BEARSSL_LIBS)

-include $(sort $(PROBE_INIT_OBJS:.o=.d) $(PROBE_SKEP_OBJS:.o=.d))

.PHONY: compare-linux compare-linux-run
compare-linux: ## run the same programs under Debian's kernel in QEMU and compare (downloads it)
	$(Q)scripts/setup
	$(Q)scripts/linux-kernel
	$(Q)$(MAKE) --no-print-directory compare-linux-run
compare-linux-run: $(O)/linux/init $(O)/linux/skep-side $(MACHINE)
	$(Q)python3 tests/linux/compare.py
