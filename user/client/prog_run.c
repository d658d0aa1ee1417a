/*
 * skepctl prog run: one program, on data and context from files, N times (BPF_PROG_TEST_RUN).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/client/client.h"

#define DEFAULT_OUT_SIZE (32u << 10)
#define INPUT_MAX        (1u << 20)

/* A file to give to the program or to take from it. */
struct run_file {
    const char *path; /* "-": standard input or output; NULL: none */
    uint8_t *data;
    uint32_t size;
};

static int read_file(struct run_file *file)
{
    FILE *in;
    size_t got;

    if (!file->path)
        return 0;
    in = strcmp(file->path, "-") == 0 ? stdin : fopen(file->path, "r");
    if (!in) {
        p_err("failed to open %s: %s", file->path, strerror(errno));
        return -1;
    }
    file->data = malloc(INPUT_MAX + 1);
    got = file->data ? fread(file->data, 1, INPUT_MAX + 1, in) : 0;
    if (in != stdin)
        fclose(in);
    if (!file->data || got > INPUT_MAX) {
        p_err("%s is too long (max: %u bytes)", file->path, INPUT_MAX);
        return -1;
    }
    file->size = (uint32_t)got;
    return 0;
}

/* Offset, bytes in pairs, and characters, 16 bytes a line. */
static void hex_dump(const uint8_t *data, uint32_t size)
{
    for (uint32_t i = 0; i < size; i += 16) {
        printf("%07x\t", i);
        for (uint32_t j = i; j < i + 16; j++) {
            if (j < size)
                printf("%02x%s", data[j], j % 2 ? " " : "");
            else
                printf("  %s", j % 2 ? " " : "");
        }
        printf("| ");
        for (uint32_t j = i; j < i + 16 && j < size; j++)
            printf("%c%s", data[j] < ' ' || data[j] > '~' ? '.' : data[j], j == i + 7 ? " " : "");
        printf("\n");
    }
}

static int write_file(const struct run_file *file, uint32_t size, const char *name)
{
    FILE *out;
    size_t written;

    if (!file->path)
        return 0;
    if (strcmp(file->path, "-") == 0) {
        if (json)
            jsonw_bytes(json, name, file->data, size);
        else
            hex_dump(file->data, size);
        return 0;
    }
    out = fopen(file->path, "w");
    written = out ? fwrite(file->data, 1, size, out) : 0;
    if (out && fclose(out) != 0)
        written = 0;
    if (!out || written != size) {
        p_err("failed to write %s: %s", file->path, strerror(errno));
        return -1;
    }
    return 0;
}

static int parse_options(struct args *args, struct run_file files[4], uint32_t *repeat)
{
    static const char *const words[] = {"data_in", "ctx_in", "data_out", "ctx_out"};
    static const char *const sizes[] = {"data_size_out", "ctx_size_out"};

    while (args->left > 0) {
        const char *word = args_take(args);
        int error = -1;

        for (unsigned i = 0; i < 4; i++) {
            if (strcmp(word, words[i]) == 0) {
                files[i].path = args_take(args);
                error = files[i].path ? 0 : -1;
            }
        }
        for (unsigned i = 0; i < 2; i++)
            if (strcmp(word, sizes[i]) == 0 && (error = args_u32(args, word, &files[2 + i].size)))
                return -1;
        if (strcmp(word, "repeat") == 0 && (error = args_u32(args, word, repeat)))
            return -1;
        if (error) {
            p_err("expected 'data_in FILE', 'data_out FILE', 'data_size_out N', 'ctx_in FILE', "
                  "'ctx_out FILE', 'ctx_size_out N' or 'repeat N', got: '%s'?",
                  word);
            return -1;
        }
    }
    return 0;
}

int do_prog_run(struct args *args)
{
    enum { DATA_IN, CTX_IN, DATA_OUT, CTX_OUT };
    LIBBPF_OPTS(bpf_test_run_opts, options);
    struct run_file files[4] = {0};
    uint32_t repeat = 0;
    int fd = handle_parse(args, EBPF_PROG), error = -1;

    if (fd < 0 || parse_options(args, files, &repeat) || read_file(&files[DATA_IN]) ||
        read_file(&files[CTX_IN]))
        goto out;
    for (unsigned i = 0; i < 2; i++) {
        struct run_file *file = &files[DATA_OUT + i];

        if (!files[i].path) {
            file->size = 0;
            continue;
        }
        if (file->size == 0)
            file->size = DEFAULT_OUT_SIZE;
        file->data = calloc(1, file->size);
        if (!file->data) {
            p_err("out of memory");
            goto out;
        }
    }
    options.data_in = files[DATA_IN].data;
    options.data_size_in = files[DATA_IN].size;
    options.ctx_in = files[CTX_IN].data;
    options.ctx_size_in = files[CTX_IN].size;
    options.data_out = files[DATA_OUT].data;
    options.data_size_out = files[DATA_OUT].size;
    options.ctx_out = files[CTX_OUT].data;
    options.ctx_size_out = files[CTX_OUT].size;
    options.repeat = (int)(repeat ? repeat : 1);
    if (bpf_prog_test_run_opts(fd, &options)) {
        p_err("failed to run program: %s", strerror(errno));
        goto out;
    }
    if (json)
        jsonw_begin(json, NULL, '{');
    error = write_file(&files[DATA_OUT], options.data_size_out, "data_out");
    if (write_file(&files[CTX_OUT], options.ctx_size_out, "ctx_out"))
        error = -1;
    if (json) {
        jsonw_uint(json, "retval", options.retval);
        jsonw_uint(json, "duration", options.duration);
        jsonw_end(json, '}');
    } else {
        printf("Return value: %u, duration%s: %uns\n", options.retval,
               repeat > 1 ? " (average)" : "", options.duration);
    }
out:
    for (unsigned i = 0; i < 4; i++)
        free(files[i].data);
    if (fd >= 0)
        close(fd);
    return error;
}
