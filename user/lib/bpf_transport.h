/*
 * Carries bpf(2) elsewhere: libbpf is linked with the --wrap options of scripts/host.mk, so that
 * every bpf(2) it makes arrives here and goes to a backend (a guest, or an engine in this very
 * process) and never to the host's kernel. See bpf_transport.c for the handles, bpf_wrap.c for
 * the wrapped calls.
 */
#ifndef SKEP_LIB_BPF_TRANSPORT_H
#define SKEP_LIB_BPF_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

/* Who executes commands. attr holds the backend's own handles. Result >= 0, or negative errno. */
struct bpf_backend {
    long (*command)(void *arg, uint32_t cmd, void *attr, uint32_t attr_size);
    void *arg;
};

/* A pinned object's path on Linux; its name at the backend is what follows. */
#define BPF_TRANSPORT_PIN_ROOT "/sys/fs/bpf/"

void bpf_transport_set(const struct bpf_backend *backend);
long bpf_transport_command(uint32_t cmd, void *attr, uint32_t attr_size);
int bpf_transport_handle(int fd);

/* For bpf_wrap.c: what happens to descriptors. */
void bpf_transport_dup(int fd, int copy);
void bpf_transport_close(int fd);

#endif
