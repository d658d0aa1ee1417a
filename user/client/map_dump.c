/*
 * skepctl map dump: every entry of one map, or of several of the same name.
 */
#include <stdlib.h>

#include "user/client/map_data.h"

int do_map_dump(struct args *args)
{
    struct json formatted = {.out = stdout, .pretty = true}, *out = json;
    struct fds fds;
    struct map *maps;
    unsigned opened = 0;
    bool all_btf = true;
    int error = 0;

    if (handles_parse(args, EBPF_MAP, &fds))
        return -1;
    maps = calloc(fds.count, sizeof(*maps));
    if (!maps || args_none(args))
        error = -1;
    for (; opened < fds.count && !error; opened += error ? 0 : 1) {
        error = map_open(fds.fd[opened], &maps[opened]);
        fds.fd[opened] = -1;
        all_btf = all_btf && !error && maps[opened].btf;
    }
    if (!out && all_btf)
        out = &formatted;
    if (out && fds.count > 1 && !error)
        jsonw_begin(out, NULL, '[');
    for (unsigned i = 0; i < opened && !error; i++) {
        error = map_print_entries(&maps[i], out, fds.count > 1);
        if (!out && i + 1 < opened)
            printf("\n");
    }
    if (out && fds.count > 1 && !error)
        jsonw_end(out, ']');
    if (out == &formatted)
        printf("\n");
    while (opened > 0)
        map_close(&maps[--opened]);
    free(maps);
    handles_close(&fds);
    return error;
}
