/*
 * libskep: the client side. A connection is one session with a Skep guest (or `skep-vm serve`);
 * commands are bpf(2)'s and Skep's own, marshalled by ebpf/commands.def and carried by a channel.
 */
#ifndef SKEP_LIB_SKEP_H
#define SKEP_LIB_SKEP_H

#include <stddef.h>
#include <stdint.h>

struct skep;

struct skep_options {
    const char *target;  /* "HOST:PORT", "[V6]:PORT"; NULL: $SKEP_TARGET, else 127.0.0.1:9970 */
    unsigned timeout_ms; /* for one command; 0: 10,000. Loading a program has 60,000 at least */
    const char *key;     /* of the guest: 64 hexadecimal digits, or a file with these or 32 bytes;
                            NULL: $SKEP_KEY, else the file skep.key beside the program */
    int insecure;        /* 1: in plain, without a key, to a guest that was started so; 0: only when
                            $SKEP_INSECURE is 1 and no key is given here */
};

/* Says hello. On failure NULL, errno set, and a sentence in err (what failed, why, what to do).
 * The caller closes with skep_close, which says goodbye. */
struct skep *skep_open(const struct skep_options *options, char *err, size_t err_size);
/* Ends the session: the guest drops what only it held. NULL is fine. */
void skep_close(struct skep *skep);

/* One command, guest handles in attr as they are. Result >= 0, or negative errno (as from the
 * guest; -ETIMEDOUT, -ECONNRESET when the channel failed). Thread-safe: one at a time. Signals do
 * not interrupt it. */
long skep_command(struct skep *skep, uint32_t cmd, void *attr, uint32_t attr_size);
/* The sentence behind the last channel failure; empty when there was none. Borrowed until the next
 * command. */
const char *skep_last_error(const struct skep *skep);
/* Renews the session's lease (WIRE_LEASE_SECONDS), as every command does: for a client that has
 * nothing to say for longer. Does not wait. */
void skep_keep_alive(struct skep *skep);

/* Sizes that the marshaller needs are learnt from MAP_CREATE, or asked of the guest. */

#endif
