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
