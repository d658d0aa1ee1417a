/*
 * Files and hexadecimal text for skep-vm.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/vm/vm.h"

#define CHUNK 65536u

/* Reads all of a file, or of standard input ("-"), and ends it with a NUL that is not counted. The
 * caller frees *data. 0, or -1 after saying why not. */
int vm_read_file(const char *path, uint8_t **data, size_t *size)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    size_t room = 0, used = 0, n;
    uint8_t *buf = NULL, *grown;

    if (!file)
        return vm_error("%s: %s", path, strerror(errno));
    do {
        if (room - used < CHUNK + 1) {
            room = 2 * room + CHUNK + 1;
            grown = realloc(buf, room);
            if (!grown) {
                free(buf);
                if (file != stdin)
                    fclose(file);
                return vm_error("%s: out of memory", path);
            }
            buf = grown;
        }
        n = fread(buf + used, 1, CHUNK, file);
        used += n;
    } while (n == CHUNK);
    buf[used] = 0;
    if (file != stdin)
        fclose(file);
    *data = buf;
    *size = used;
    return 0;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return tolower((unsigned char)c) - 'a' + 10;
}

/* Two digits a byte, white space between bytes, into out, which has room for len / 2 bytes. *bad is
 * where the text is no such thing, len when it all is; *size the bytes before that. */
void vm_hex(const char *text, size_t len, uint8_t *out, size_t *size, size_t *bad)
{
    size_t used = 0, i = 0;

    for (; i < len; i++) {
        if (isspace((unsigned char)text[i]))
            continue;
        if (i + 1 == len || !isxdigit((unsigned char)text[i]) ||
            !isxdigit((unsigned char)text[i + 1]))
            break;
        out[used++] = (uint8_t)(digit(text[i]) << 4 | digit(text[i + 1]));
        i++;
    }
    *size = used;
    *bad = i;
}

/* Likewise from text that ends with a NUL. The caller frees *data. 0, or -1 after saying what is
 * wrong. */
int vm_parse_hex(const char *text, size_t len, uint8_t **data, size_t *size)
{
    uint8_t *buf = malloc(len / 2 + 1);
    size_t bad;

    if (!buf)
        return vm_error("out of memory");
    vm_hex(text, len, buf, size, &bad);
    if (bad < len) {
        free(buf);
        return vm_error("not hexadecimal at character %zu: \"%.8s\"", bad, text + bad);
    }
    *data = buf;
    return 0;
}
