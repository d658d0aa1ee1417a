/*
 * The comparison with Linux: what both sides have in common. The files probe*.c issue bpf(2)
 * commands and say what came of them. They are linked twice: with side_linux.c, the init process of
 * a virtual machine under Linux, where bpf(2) is Linux's; and with side_skep.c, a client whose
 * every bpf(2) is carried to a Skep guest (user/lib/bpf_wrap.c). compare.py holds the two outputs
 * against each other.
 *
 * An answer is a line of four columns with a tab between: part, id, field, value. The parts are
 * data (programs of tests/data), map (the table of map operations), object (object files), random
 * (generated programs) and, on Linux only, xlated, event, format and note.
 */
#ifndef SKEP_TESTS_LINUX_PROBE_H
#define SKEP_TESTS_LINUX_PROBE_H

#include <stddef.h>
#include <stdint.h>

#include <bpf/bpf.h>

#define PROBE_LOG_SIZE (4u << 20)

/* probe.c */
void probe_say(const char *part, const char *id, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void probe_say_hex(const char *part, const char *id, const char *field, const uint8_t *bytes,
                   size_t size);
const char *probe_error(int error);
int probe_load(const char *part, const char *id, uint32_t type, const char *license,
               const struct bpf_insn *insns, unsigned nr, struct bpf_prog_load_opts *opts);
const char *probe_needs(const struct bpf_insn *insns, unsigned nr);
void probe_log_reason(const char *log, char *out, size_t size);

void probe_data(void);                  /* probe_data.c */
void probe_maps(const char *path);      /* probe_maps.c */
void probe_objects(const char *folder); /* probe_objects.c */
void probe_random(void);                /* probe_random.c */

/* Each side's own (side_*.c). Where answers go: */
void side_write(const char *text, size_t size);
/* Forgets what programs have printed so far. */
void side_trace_clear(void);
/* What they have printed since, in the trace pipe's format. Returns its length. */
size_t side_trace_take(char *buf, size_t size);
/* A loaded program of an object file, while its descriptor is open. */
void side_loaded(const char *id, int fd);

#endif
