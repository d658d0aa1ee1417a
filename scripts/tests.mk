# Tests: unit (Criterion, sanitized), data (programs as data), system (QEMU).

# ---- unit: one binary a suite, sources listed in tests/unit/suites.mk --------------------------

include tests/unit/suites.mk

SUITES := $(sort $(patsubst UNIT_%,%,$(foreach v,$(filter UNIT_%,$(.VARIABLES)),$(if \
	$(filter file,$(origin $(v))),$(v)))))
SUITE  ?= $(SUITES)

SUITE_CFLAGS := -std=gnu11 -O1 -g -fno-omit-frame-pointer -fno-strict-aliasing \
	-fsanitize=address,undefined -fno-sanitize-recover=all \
	-Iuser/vm/host -I. -I$(O)/gen -Wall -Wextra -Werror -MMD -MP

SUITE_MAIN := tests/unit/leakcheck.c

$(O)/unit/obj/%.o: %.c
	$(call say,CC,unit/$<)
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(SUITE_CFLAGS) -c -o $@ $<

# $(1): suite. Its libraries beyond Criterion are in SUITE_LIBS_<suite>.
define suite_rule
$(O)/unit/$(1): $(patsubst %.c,$(O)/unit/obj/%.o,$(SUITE_MAIN) tests/unit/test_$(1).c $(UNIT_$(1)))
	$$(call say,LINK,unit/$(1))
	$$(Q)$$(HOSTCC) -fsanitize=address,undefined -o $$@ $$^ $(SUITE_LIBS_$(1)) -lcriterion
-include $(patsubst %.c,$(O)/unit/obj/%.d,$(SUITE_MAIN) tests/unit/test_$(1).c $(UNIT_$(1)))
endef
$(foreach s,$(SUITES),$(eval $(call suite_rule,$(s))))

# Tests that must fail; the suite "sanitizers" runs this binary and holds it to that.
$(O)/unit/planted: $(patsubst %.c,$(O)/unit/obj/%.o,$(SUITE_MAIN) tests/unit/planted.c)
	$(call say,LINK,unit/planted)
	$(Q)$(HOSTCC) -fsanitize=address,undefined -o $@ $^ -lcriterion

.PHONY: unit
unit: $(addprefix $(O)/unit/,$(SUITE)) $(O)/unit/planted ## run the unit tests; SUITE=name for one
	$(Q)scripts/run-unit $(O)/unit $(SUITE)

include scripts/fuzz.mk

# ---- system: QEMU, through GRUB and PVH --------------------------------------------------------

# What a test or the demo needs built before it starts a machine.
MACHINE := $(O)/skep.iso $(O)/skep.elf $(O)/initrd.tar $(O)/skepctl $(O)/skep.key $(BPF_OBJS)

.PHONY: system
system: $(MACHINE) $(SYSTEM_TOOLS) ## boot in QEMU and test over the network; TEST=name for one file
	$(Q)scripts/run-system $(TEST)

# ---- the two commands ------------------------------------------------------------------------

# Both set up first, in a make of its own, so that the tools are there when variables that ask
# the compiler are expanded.
.PHONY: demo test demo-run test-run
demo: ## set up, build, boot, and show programs counting file opens and packets
	$(Q)scripts/setup
	$(Q)$(MAKE) --no-print-directory demo-run
demo-run: $(MACHINE)
	$(Q)scripts/demo

test: ## set up, then run every test; the last line counts them
	$(Q)scripts/setup
	$(Q)$(MAKE) --no-print-directory test-run
test-run:
	$(Q)scripts/run-tests unit system

# ---- style -----------------------------------------------------------------------------------

.PHONY: lint format
lint: ## clang-format, clang-tidy and cppcheck over our own code
	$(Q)scripts/setup --lint
	$(Q)scripts/lint "$(GUEST_CFLAGS)" "$(LWIP_INC) $(BEARSSL_INC)"
format: ## let clang-format rewrite our own code
	$(Q)git ls-files '*.c' '*.h' | xargs clang-format -i
