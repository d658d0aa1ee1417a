# The guest: kernel ELF, initrd, ISO, and running them.

# Linux's UAPI headers, and nothing else of the host's, are visible to freestanding code.
UAPI := $(O)/uapi
$(UAPI)/.done: scripts/uapi
	$(Q)scripts/uapi $(UAPI)
	$(Q)touch $@

GUEST_CFLAGS := -std=gnu11 -ffreestanding -nostdinc -isystem $(shell $(CC) -print-file-name=include) \
	-isystem $(UAPI) -I. -I$(O)/gen -O2 -g -fno-omit-frame-pointer -fno-optimize-sibling-calls \
	-m64 -mno-red-zone -mgeneral-regs-only -mcmodel=small -fno-pic -fno-pie -fno-stack-protector \
	-fno-asynchronous-unwind-tables -fno-strict-aliasing -fno-common -fcf-protection=none \
	-ffunction-sections -DSKEP_GUEST -MMD -MP
GUEST_WARN   := -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wvla
LWIP_INC     := -Inet/lwip -Inet/lwip/libc -isystem $(LWIP_DIR)/src/include

GUEST_SRCS   := $(wildcard boot/*.S boot/*.c arch/x86_64/*.S arch/x86_64/*.c kernel/*.c \
	drivers/virtio/*.c ebpf/*.c net/*.c net/lwip/*.c)
APP_SRCS     := $(wildcard $(APP)/*.c)
-include scripts/lwip.mk

GUEST_OBJS   := $(patsubst %,$(O)/guest/%.o,$(basename $(GUEST_SRCS))) \
	$(patsubst %.c,$(O)/guest/lwip/%.o,$(LWIP_SRCS)) \
	$(patsubst $(APP)/%.c,$(O)/guest/app/%.o,$(APP_SRCS))

$(O)/guest/%.o: %.S $(UAPI)/.done
	$(call say,AS,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CFLAGS) -c -o $@ $<

# net/ sees lwIP's headers; nothing else does.
$(O)/guest/net/%.o: net/%.c $(UAPI)/.done $(LWIP_STAMP)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CFLAGS) $(GUEST_WARN) $(LWIP_INC) -c -o $@ $<

# lwIP is somebody else's code: its warnings are not ours to mend.
$(O)/guest/lwip/%.o: $(UAPI)/.done $(LWIP_STAMP)
	$(call say,CC,lwip/$*.c)
	@mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CFLAGS) -w $(LWIP_INC) -c -o $@ $(LWIP_DIR)/src/$*.c

$(O)/guest/app/%.o: $(APP)/%.c $(UAPI)/.done
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CFLAGS) $(GUEST_WARN) -c -o $@ $<

$(O)/guest/%.o: %.c $(UAPI)/.done
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CFLAGS) $(GUEST_WARN) -c -o $@ $<

-include $(GUEST_OBJS:.o=.d)
