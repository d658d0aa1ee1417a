/*
 * The list of network devices: drivers add to it while the machine boots, net/ walks it once all
 * are there. See netdev.h.
 */
#include "kernel/netdev.h"

#include <stddef.h>

static struct netdev *devices;

/* Boot, main thread. */
void netdev_register(struct netdev *dev)
{
    struct netdev **last = &devices;
    uint32_t ifindex = 1;

    for (; *last != NULL; last = &(*last)->next)
        ifindex++;
    dev->ifindex = ifindex;
    dev->next = NULL;
    *last = dev;
}

/* The device with ifindex 1; NULL when there is none. */
struct netdev *netdev_first(void)
{
    return devices;
}
