# Fuzzing with libFuzzer (clang), and the long form of the random tests. A target is
# tests/fuzz/fuzz_<name>.c; FUZZ_<name> := the sources under test. What it finds is kept in
# $(O)/fuzz/<name>.found; a corpus to start from is in tests/fuzz/corpus/<name>.

FUZZ_CC ?= clang
TARGET  ?= load
TIME    ?= 60

FUZZ_GENERATOR := $(wildcard tests/fuzz/generate*.c) tests/fuzz/mutate.c tests/fuzz/trial.c \
	tests/unit/data_map.c

FUZZ_load       := $(FUZZ_GENERATOR) $(ENGINE_ALONE)
FUZZ_btf        := $(ENGINE_ALONE)
FUZZ_server     := $(SERVER_SRCS) $(ENGINE_SRCS) $(MACHINE_SRCS) $(HOST_HEAP)
FUZZ_LIBS_server := $(BEARSSL_LIBS)
FUZZ_seal       := $(FUZZ_server)
FUZZ_LIBS_seal  := $(BEARSSL_LIBS)
FUZZ_ustar      := kernel/ustar.c kernel/text.c
FUZZ_multiboot2 := boot/multiboot2.c boot/memory.c
FUZZ_TARGETS    := load btf server seal ustar multiboot2

FUZZ_CFLAGS := -std=gnu11 -O1 -g -fno-omit-frame-pointer -fno-strict-aliasing \
	-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
	-Iuser/vm/host -I. -I$(O)/gen -Wall -Wextra -MMD -MP

$(O)/fuzz/obj/%.o: %.c
	$(call say,CC,fuzz/$<)
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -c -o $@ $<

define fuzz_rule
$(O)/fuzz/$(1): $(patsubst %.c,$(O)/fuzz/obj/%.o,tests/fuzz/fuzz_$(1).c $(FUZZ_$(1)))
	$$(call say,LINK,fuzz/$(1))
	$$(Q)$$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -o $$@ $$^ $(FUZZ_LIBS_$(1))
-include $(patsubst %.c,$(O)/fuzz/obj/%.d,tests/fuzz/fuzz_$(1).c $(FUZZ_$(1)))
endef
$(foreach t,$(FUZZ_TARGETS),$(eval $(call fuzz_rule,$(t))))

.PHONY: fuzz test-long
fuzz: $(O)/fuzz/$(TARGET) ## look for inputs that break TARGET= (load, btf, server, seal, ustar, multiboot2) for TIME= seconds
	@mkdir -p $(O)/fuzz/$(TARGET).corpus $(O)/fuzz/$(TARGET).found
	$(Q)$(O)/fuzz/$(TARGET) -max_total_time=$(TIME) -timeout=20 -print_final_stats=1 \
		-artifact_prefix=$(O)/fuzz/$(TARGET).found/ \
		$(O)/fuzz/$(TARGET).corpus $(wildcard tests/fuzz/corpus/$(TARGET))

test-long: ## the random tests of `make unit`, on 100,000 programs; a flood of 1,000,000 datagrams
	$(Q)RANDOM_PROGRAMS=100000 SKEP_RANDOM_PROGRAMS=100000 UNIT_TIMEOUT=7200 \
		$(MAKE) --no-print-directory unit SUITE="random engines"
	$(Q)FLOOD=1000000 $(MAKE) --no-print-directory system TEST=seal.Wire.test_flood
