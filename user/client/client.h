/*
 * What the parts of skepctl share: arguments, verbs, output, handles, pins. A verb is
 * `int do_VERB(struct args *args)`: 0, or -1 after saying what is wrong with p_err.
 */
#ifndef SKEP_CLIENT_CLIENT_H
#define SKEP_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "ebpf/commands.h"
#include "user/client/json.h"
#include "user/lib/skep.h"

/* ---- the command line (args.c, help.c)
 * ------------------------------------------------------------ */

struct args {
    int left;
    char **next; /* ends with NULL */
};

bool args_match(struct args *args, const char *word);
const char *args_take(struct args *args);
bool args_require(const struct args *args, int count);
int args_none(const struct args *args);
int args_u32(struct args *args, const char *what, uint32_t *out);
bool is_prefix(const char *prefix, const char *word);

struct verb {
    const char *name;
    int (*run)(struct args *args);
    const char *usage; /* what follows the verb; NULL: another name of the verb above it */
    const char *what;  /* a sentence for the reference page */
};

struct noun {
    const char *name;
    const struct verb *verbs; /* ends with name NULL */
    const char *terms;        /* lines that explain the words of the usage */
};

extern const struct noun noun_prog, noun_map, noun_link, noun_tracepoint, noun_btf, noun_sys;

extern const struct noun *const nouns[]; /* ends with NULL */

int select_verb(const struct noun *noun, struct args *args);
void help_noun(const struct noun *noun);
void help_all(void);
void help_reference(void);
int do_run(struct args *args);

/* ---- output (output.c) -------------------------------------------------------------------- */

extern struct json *json;  /* NULL: plain output */
extern bool show_pinned;   /* -f */
extern bool verifier_logs; /* -d */

void p_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void p_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void print_hex(const void *data, size_t size, const char *separator);
int done(void);
const char *error_text(long error);

/* ---- the guest (guest.c) ------------------------------------------------------------------ */

int guest_connect(const struct skep_options *options);
void guest_disconnect(void);
long guest_command(uint32_t cmd, void *attr, uint32_t size);
bool guest_stopped(void);
void guest_catch_signals(void);
typedef void (*text_fn)(const char *text, size_t size);
int guest_stream_text(uint32_t cmd, uint64_t *cursor, unsigned timeout_ms, text_fn print);

/* ---- objects by id, name, tag or pin (handles.c, pins.c) ---------------------------------- */

struct fds {
    int *fd;
    unsigned count;
};

int handles_parse(struct args *args, enum ebpf_kind kind, struct fds *out);
void handles_close(struct fds *fds);
int handle_parse(struct args *args, enum ebpf_kind kind);
int handle_next_id(enum ebpf_kind kind, uint32_t id, uint32_t *next);
int handle_by_id(enum ebpf_kind kind, uint32_t id);
int each_handle(enum ebpf_kind kind, int (*show)(int fd));

struct pin {
    enum ebpf_kind kind;
    uint32_t id;
    char name[SKEP_PIN_MAX];
};

struct pins {
    struct pin *pin;
    unsigned count;
};

int pins_read(struct pins *out);
int pins_remove(enum ebpf_kind kind, uint32_t id, unsigned *removed);
int pin_object(int fd, const char *name);
int pin_open(const char *name, enum ebpf_kind kind);
void pins_show(enum ebpf_kind kind, uint32_t id);

int handle_info(enum ebpf_kind kind, int fd, void *info, uint32_t size); /* info.c */

/* ---- objects files (object.c), data by BTF (btf_print.c), tracepoints (tracepoint.c) ------ */

struct bpf_object *object_open(const char *path);
int object_load(const char *path, struct bpf_object *object);
int btf_print(struct json *out, const struct btf *btf, uint32_t type, const void *data, bool plain);
void btf_dump_type(const struct btf *btf, uint32_t id);
int btf_function(const struct btf *btf, uint32_t type, char *out, size_t size);
int tracepoint_find(const char *name, struct skep_tracepoint_attr *out);
int tracepoint_open(const char *name);

/* ---- events of ring buffers and perf event arrays (events.c) ------------------------------ */

struct events {
    int fd; /* the map's */
    uint32_t map_type;
    const char *name;
    uint64_t lost; /* records of a ring buffer, so far */
    bool one_cpu;  /* only events of this one */
    uint32_t cpu;
};

bool events_has(uint32_t map_type);
int events_read(struct events *events, unsigned timeout_ms);

/* ---- verbs of prog and map that have files of their own ----------------------------------- */

int do_prog_load(struct args *args);
int do_prog_loadall(struct args *args);
int do_prog_attach(struct args *args);
int do_prog_detach(struct args *args);
int do_prog_unload(struct args *args);
int do_prog_dump(struct args *args);
int do_prog_run(struct args *args);
int attach_program(enum bpf_prog_type type, int prog_fd, const char *name);
int do_map_dump(struct args *args);
int do_map_lookup(struct args *args);
int do_map_update(struct args *args);
int do_map_delete(struct args *args);
int do_map_getnext(struct args *args);
int do_map_event_pipe(struct args *args);

#endif
