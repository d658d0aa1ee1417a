# The guest: kernel ELF, initrd, ISO, and running them.

# Linux's UAPI headers, and nothing else of the host's, are visible to freestanding code.
UAPI := $(O)/uapi
$(UAPI)/.done: scripts/uapi
	$(Q)scripts/uapi $(UAPI)
	$(Q)touch $@

GUEST_CFLAGS := -std=gnu11 -ffreestanding -nostdinc -isystem $(shell $(CC) -print-file-name=include) \
	-isystem $(UAPI) -I. -I$(O)/gen -O2 -g \
	-fno-omit-frame-pointer -fno-shrink-wrap -fno-optimize-sibling-calls \
	-m64 -mno-red-zone -mgeneral-regs-only -mcmodel=small -fno-pic -fno-pie -fno-stack-protector \
	-fno-asynchronous-unwind-tables -fno-strict-aliasing -fno-common -fcf-protection=none \
	-ffunction-sections -DSKEP_GUEST -MMD -MP
GUEST_WARN   := -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wvla
LWIP_INC     := -Inet/lwip -Inet/lwip/libc -isystem $(LWIP_DIR)/src/include

GUEST_SRCS   := $(wildcard boot/*.S boot/*.c arch/x86_64/*.S arch/x86_64/*.c kernel/*.c \
	drivers/virtio/*.c ebpf/*.c net/*.c net/lwip/*.c)
APP_SRCS     := $(wildcard $(APP)/*.c)
-include scripts/lwip.mk
include scripts/bearssl.mk

GUEST_OBJS   := $(patsubst %,$(O)/guest/%.o,$(basename $(GUEST_SRCS))) \
	$(patsubst %,$(O)/guest/lwip/%.o,$(LWIP_SRCS)) \
	$(patsubst %,$(O)/guest/bearssl/%.o,$(BEARSSL_SRCS)) \
	$(patsubst $(APP)/%.c,$(O)/guest/app/%.o,$(APP_SRCS))

$(O)/guest/%.o: %.S $(UAPI)/.done
	$(call say,AS,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CFLAGS) -c -o $@ $<

# net/ sees lwIP's and BearSSL's headers, the random numbers BearSSL's; nothing else does.
$(O)/guest/kernel/random.o: GUEST_CFLAGS += $(BEARSSL_INC)
$(O)/guest/kernel/random.o: | $(BEARSSL_STAMP)
$(O)/guest/net/%.o: net/%.c $(UAPI)/.done $(LWIP_PORT) $(BEARSSL_STAMP)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CFLAGS) $(GUEST_WARN) $(LWIP_INC) $(BEARSSL_INC) -c -o $@ $<

# These are somebody else's code: their warnings are not ours to mend.
$(O)/guest/lwip/%.o: $(UAPI)/.done $(LWIP_PORT)
	$(call say,CC,lwip/$*.c)
	@mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CFLAGS) -w $(LWIP_INC) -c -o $@ $(LWIP_DIR)/src/$*.c

$(O)/guest/bearssl/%.o: $(UAPI)/.done $(BEARSSL_STAMP) net/bearssl/string.h net/bearssl/limits.h
	$(call say,CC,bearssl/$*.c)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BEARSSL_INC) -I$(BEARSSL_DIR)/src $(GUEST_CFLAGS) -w -c -o $@ $(BEARSSL_DIR)/src/$*.c

$(O)/guest/app/%.o: $(APP)/%.c $(UAPI)/.done $(O)/app.txt
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CFLAGS) $(GUEST_WARN) -c -o $@ $<

$(O)/guest/%.o: %.c $(UAPI)/.done
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CFLAGS) $(GUEST_WARN) -c -o $@ $<

-include $(GUEST_OBJS:.o=.d)

# ---- the image ---------------------------------------------------------------------------------

NM      ?= nm
CMDLINE ?=

# Two passes (scripts/kallsyms): the first without symbols, the second with the first one's.
GUEST_LINK := $(CC) -nostdlib -static -no-pie -Wl,--build-id=none,--gc-sections,-z,noexecstack \
	-Wl,-z,max-page-size=4096,-T,linker.ld

$(O)/guest/symbols-none.S: scripts/kallsyms
	@mkdir -p $(@D)
	$(Q)scripts/kallsyms </dev/null >$@
$(O)/guest/symbols-all.S: $(O)/skep-pass1.elf
	$(Q)$(NM) -n -S --defined-only $< | scripts/kallsyms >$@
$(O)/guest/symbols-%.o: $(O)/guest/symbols-%.S
	$(Q)$(CC) -c -o $@ $<

.PHONY: no-application
no-application:
	@echo "APP=$(APP): no C files there; an application is a folder of them" >&2; false

$(O)/skep-pass1.elf: $(if $(APP_SRCS),,no-application) $(GUEST_OBJS) $(O)/guest/symbols-none.o linker.ld
	$(call say,LINK,$@)
	$(Q)$(GUEST_LINK) -o $@ $(GUEST_OBJS) $(O)/guest/symbols-none.o

# The table must not have moved what it describes.
$(O)/skep.elf: $(O)/skep-pass1.elf $(O)/guest/symbols-all.o
	$(call say,LINK,$@)
	$(Q)$(GUEST_LINK) -o $@ $(GUEST_OBJS) $(O)/guest/symbols-all.o
	$(Q)$(NM) -n -S --defined-only $@ | scripts/kallsyms | cmp - $(O)/guest/symbols-all.S

INITRD_FILES := $(shell find user/app/files -type f 2>/dev/null)
$(O)/initrd.tar: $(INITRD_FILES) user/app/files
	$(call say,TAR,$@)
	@mkdir -p $(@D)
	$(Q)tar --format=ustar --owner=0 --group=0 --numeric-owner --sort=name -C user/app/files -cf $@ .

# Settings as files, which change when the setting does, so that what depends on one is made again.
$(O)/cmdline.txt: SETTING = $(CMDLINE)
$(O)/app.txt: SETTING = $(APP)
$(O)/cmdline.txt $(O)/app.txt: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(SETTING)' | cmp -s - $@ || printf '%s\n' '$(SETTING)' >$@
.PHONY: FORCE
FORCE:

$(O)/skep.iso: $(O)/skep.elf $(O)/initrd.tar $(O)/cmdline.txt boot/grub.cfg scripts/mkiso
	$(call say,ISO,$@)
	$(Q)scripts/mkiso $@ $(O)/skep.elf $(O)/initrd.tar '$(CMDLINE)'

# What seals the wire between this build's guests and its skepctl.
$(O)/skep.key:
	$(Q)scripts/key $@

.PHONY: iso run gdb
iso: $(O)/skep.iso ## build the bootable ISO; CMDLINE= and APP=dir choose command line and application
run: $(O)/skep.iso ## boot it in QEMU with the serial console here; Ctrl-A X ends it
	$(Q)scripts/run-qemu --interactive
gdb: $(O)/skep.elf $(O)/initrd.tar ## boot it stopped, waiting for gdb on port 1234
	@echo "  in another terminal: gdb $(O)/skep.elf -ex 'target remote :1234'"
	$(Q)scripts/run-qemu --interactive --boot pvh --gdb
