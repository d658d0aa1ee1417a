# BearSSL: which of its files the guest is made of, relative to $(BEARSSL_DIR)/src, without .c:
# ChaCha20 and Poly1305 over general registers, SHA-256, HMAC, HKDF, HMAC_DRBG. The sources come from
# scripts/fetch, or from the folder given as BEARSSL_DIR=. Host programs have the distribution's
# library.

BEARSSL_SRCS := symcipher/chacha20_ct symcipher/poly1305_ctmulq \
	hash/sha2small mac/hmac kdf/hkdf rand/hmac_drbg codec/dec32be codec/enc32be

# What must be there before anything that includes BearSSL is compiled.
BEARSSL_STAMP := $(if $(filter third_party/bearssl,$(BEARSSL_DIR)),third_party/bearssl/.fetched,$(BEARSSL_DIR)/inc/bearssl.h)

# net/bearssl has what BearSSL includes of a C library.
BEARSSL_INC  := -Inet/bearssl -isystem $(BEARSSL_DIR)/inc
BEARSSL_LIBS := -l:libbearssl.a

third_party/bearssl/.fetched: scripts/fetch
	$(Q)scripts/fetch bearssl
