# Skep: every target is listed by `make help`. Build products go to $(O), nothing else is written
# except third_party/ (fetched, pinned sources).

O        ?= build
CC       ?= gcc
HOSTCC   ?= gcc
BPF_CC   ?= clang
V        ?= 0
Q        := $(if $(filter 1,$(V)),,@)
APP      ?= user/app/default
LWIP_DIR ?= third_party/lwip
BEARSSL_DIR ?= third_party/bearssl
ACCEL    ?=

export O APP ACCEL V

# Quiet one-word progress, silent with V=1 (make itself then shows the commands).
say = $(if $(filter 1,$(V)),,@printf '  %-8s %s\n' $(1) $(2))

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST) | sort

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

include scripts/guest.mk
include scripts/host.mk
include scripts/serve.mk
include scripts/docs.mk
include scripts/bench.mk
include scripts/tests.mk
include scripts/linux.mk

.PHONY: setup doctor clean
setup: ## install what is missing (packages, pinned sources); quick when nothing is
	$(Q)scripts/setup
doctor: ## print what was found, with versions
	$(Q)scripts/setup --doctor
clean: ## remove build products
	$(Q)rm -rf $(O)
