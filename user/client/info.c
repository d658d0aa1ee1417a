/*
 * What the guest knows of a program, map or link.
 */
#include <errno.h>
#include <string.h>

#include "user/client/client.h"

/* Fills in a struct bpf_*_info, whose pointers and lengths the caller has set. 0, or -1 after
 * saying what is wrong. */
int handle_info(enum ebpf_kind kind, int fd, void *info, uint32_t size)
{
    static const char *const nouns[] = {
        [EBPF_PROG] = "prog", [EBPF_MAP] = "map", [EBPF_LINK] = "link"};

    if (bpf_obj_get_info_by_fd(fd, info, &size) == 0)
        return 0;
    p_err("can't get %s info: %s", nouns[kind], strerror(errno));
    return -1;
}
