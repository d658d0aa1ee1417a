/*
 * How the answers of the comparison with Linux are written. See probe.h.
 */
#define _GNU_SOURCE /* strerrorname_np */

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ebpf/isa.h"
#include "tests/linux/probe.h"

#define LINE_MAX_SIZE  8192u
#define LINUX_ENOTSUPP 524 /* the kernel's own; the C library has no name for it */

/* One answer. What would break the line becomes a space. */
void probe_say(const char *part, const char *id, const char *field, const char *fmt, ...)
{
    static char line[LINE_MAX_SIZE];
    int head = snprintf(line, sizeof(line), "%s\t%s\t%s\t", part, id, field), len;
    va_list args;

    if (head < 0 || (size_t)head > sizeof(line) - 2)
        return;
    va_start(args, fmt);
    len = vsnprintf(line + head, sizeof(line) - 1 - (size_t)head, fmt, args);
    va_end(args);
    if (len < 0)
        len = 0;
    if (len > (int)sizeof(line) - head - 2)
        len = (int)sizeof(line) - head - 2;
    for (int i = head; i < head + len; i++)
        if (iscntrl((unsigned char)line[i]))
            line[i] = ' ';
    line[head + len] = '\n';
    side_write(line, (size_t)(head + len + 1));
}

void probe_say_hex(const char *part, const char *id, const char *field, const uint8_t *bytes,
                   size_t size)
{
    static char text[2 * 2048 + 1];

    if (size > sizeof(text) / 2)
        size = sizeof(text) / 2;
    text[0] = 0;
    for (size_t i = 0; i < size; i++)
        sprintf(text + 2 * i, "%02x", bytes[i]);
    probe_say(part, id, field, "%s", text);
}

/* The name of an error number, positive or negative; "ok" for 0. */
const char *probe_error(int error)
{
    static char number[32];
    const char *name;

    if (error < 0)
        error = -error;
    if (error == 0)
        return "ok";
    if (error == LINUX_ENOTSUPP)
        return "ENOTSUPP";
    name = strerrorname_np(error);
    if (name)
        return name;
    snprintf(number, sizeof(number), "error %d", error);
    return number;
}

/* The sentence of a verifier's log that says why it refused: Skep's is marked as "insn N: ...",
 * Linux's is the last line that is neither a total nor a place in the source. */
void probe_log_reason(const char *log, char *out, size_t size)
{
    out[0] = 0;
    while (*log) {
        size_t len = strcspn(log, "\n");

        if (len && strncmp(log, "processed ", 10) != 0 &&
            strncmp(log, "verification time", 17) != 0)
            snprintf(out, size, "%.*s", (int)len, log);
        if (strncmp(log, "insn ", 5) == 0 && log[5 + strspn(log + 5, "0123456789")] == ':')
            return;
        log += len + (log[len] == '\n');
    }
}

/* Loads and says what came of it, with the reason when it was refused; asks for a log only then.
 * The descriptor, or -1. */
int probe_load(const char *part, const char *id, uint32_t type, const char *license,
               const struct bpf_insn *insns, unsigned nr, struct bpf_prog_load_opts *opts)
{
    static char log_text[PROBE_LOG_SIZE];
    int fd = bpf_prog_load(type, "probe", license, insns, nr, opts), err = errno;
    char reason[512];

    if (fd >= 0) {
        probe_say(part, id, "load", "ok");
        return fd;
    }
    opts->log_buf = log_text;
    opts->log_size = sizeof(log_text);
    opts->log_level = 1;
    log_text[0] = 0;
    fd = bpf_prog_load(type, "probe", license, insns, nr, opts);
    if (fd >= 0) {
        close(fd);
        snprintf(reason, sizeof(reason), "it loads when a log is asked for");
    } else {
        probe_log_reason(log_text, reason, sizeof(reason));
    }
    probe_say(part, id, "load", "%s", probe_error(err));
    probe_say(part, id, "reason", "%s", reason);
    return -1;
}

/* The newest thing in a program that not every kernel knows: what Linux calls it, or NULL. */
const char *probe_needs(const struct bpf_insn *insns, unsigned nr)
{
    const char *newest = NULL;

    for (unsigned i = 0; i < nr; i++) {
        const struct bpf_insn *insn = &insns[i];
        uint8_t class = BPF_CLASS(insn->code), op = BPF_OP(insn->code);
        bool alu = class == BPF_ALU || class == BPF_ALU64;

        if (insn->code == (BPF_JMP | BPF_JCOND))
            return "may_goto";
        if ((class == BPF_LDX && BPF_MODE(insn->code) == BPF_MEMSX) ||
            insn->code == (BPF_JMP32 | BPF_JA) || insn->code == (BPF_ALU64 | BPF_END) ||
            (alu && (op == BPF_DIV || op == BPF_MOD) && insn->off == 1) ||
            (alu && op == BPF_MOV && insn->off != 0 && BPF_SRC(insn->code) == BPF_X))
            newest = "cpu v4";
        if (insn->code == (BPF_LD | BPF_IMM | BPF_DW))
            i++;
    }
    return newest;
}
