# `make bench`: the programs of tests/bench, native and in Skep's engines, in one process.

BENCH_PROGRAMS := $(patsubst tests/bench/%.bpf.c,%,$(wildcard tests/bench/*.bpf.c))
BENCH_OBJS     := $(BENCH_PROGRAMS:%=$(O)/bench/%.bpf.o)
BENCH_NATIVE   := $(BENCH_PROGRAMS:%=$(O)/bench/%.native.o)
BENCH_SRCS     := $(wildcard tests/bench/bench_*.c) tests/bench/native.c \
	$(VM_BASE_SRCS)
BENCH_LINKED   := $(patsubst %.c,$(O)/serve/%.o,$(BENCH_SRCS)) $(O)/serve/trace_page.o

# Like Linux's own programs: no jump tables, since its verifier takes none.
$(O)/bench/%.bpf.o: tests/bench/%.bpf.c tests/bench/bench.h
	$(call say,BPF,$<)
	@mkdir -p $(@D)
	$(Q)$(BPF_CC) -O2 -g -target bpf -mcpu=v3 -fno-jump-tables -c -o $@ $<

# The limit to compare with: scalar code, as a kernel is compiled. libbpf has functions of the same
# names as helpers.
BENCH_HELPERS := map_lookup_elem map_update_elem map_delete_elem ktime_get_ns \
	get_smp_processor_id ringbuf_reserve ringbuf_submit
$(O)/bench/%.native.o: tests/bench/%.bpf.c tests/bench/bench.h
	$(call say,NATIVE,$<)
	@mkdir -p $(@D)
	$(Q)$(BPF_CC) -O2 -mgeneral-regs-only -DENGINE_NATIVE \
		$(foreach h,$(BENCH_HELPERS),-Dbpf_$(h)=native_$(h)) -c -o $@ $<

$(O)/skep-bench: $(BENCH_LINKED) $(BENCH_NATIVE)
	$(call say,LINK,$@)
	$(Q)$(HOSTCC) -o $@ $^ $(LIBBPF_LIBS) $(BEARSSL_LIBS) -lcapstone -lm

-include $(BENCH_LINKED:.o=.d)

.PHONY: bench
bench: $(O)/skep-bench $(BENCH_OBJS) ## measure the JIT against native code; PROGRAM=name for one
	$(Q)$(O)/skep-bench $(O)/bench $(O)/bench/results.json $(PROGRAM)

# ---- in the guest: instructions, counted by QEMU ------------------------------------------------

$(O)/bench/guest/%.bpf.o: tests/bench/guest/%.bpf.c
	$(call say,BPF,$<)
	@mkdir -p $(@D)
	$(Q)$(BPF_CC) $(BPF_CFLAGS) -c -o $@ $<

BENCH_GUEST := $(O)/skep.elf $(O)/initrd.tar $(O)/skepctl

$(O)/bench/guest/objects: $(patsubst %.c,$(O)/host/%.o,tests/bench/guest/objects.c \
	$(filter-out user/lib/bpf_%,$(LIBSKEP_SRCS)))
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) -o $@ $^ $(BEARSSL_LIBS) -lpthread

.PHONY: bench-maps bench-objects
bench-maps: $(BENCH_GUEST) $(O)/bench/guest/maps.bpf.o ## guest instructions for lookups in hash tables
	$(Q)python3 tests/bench/guest/maps.py
bench-objects: $(BENCH_GUEST) $(O)/bench/guest/objects ## ten thousand maps and programs: time, memory
	$(Q)python3 tests/bench/guest/objects.py
bench: $(if $(PROGRAM),,bench-maps bench-objects)
