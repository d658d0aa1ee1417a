/*
 * lwIP's periodic timers, of which those that come often run only while what they look at is there:
 * an idle machine then wakes once a second, and its traces show what happens instead of the stack
 * looking for it. Network thread.
 *
 * lwIP starts every periodic timer and never stops one (core/timeouts.c); TCP's alone it runs on
 * demand.
 */
#include "lwip/dhcp.h"
#include "lwip/mld6.h"
#include "lwip/netif.h"
#include "lwip/timeouts.h"

#include "net/services.h"

/* A report on a multicast group is delayed by a random time, counted down by the timer. */
static bool mld_needed(void)
{
    const struct mld_group *group;
    struct netif *netif;

    NETIF_FOREACH(netif)
    {
        for (group = netif_mld6_data(netif); group != NULL; group = group->next)
            if (group->timer != 0)
                return true;
    }
    return false;
}

/* A message to a DHCP server is waiting for its answer. */
static bool dhcp_fine_needed(void)
{
    const struct dhcp *dhcp;
    struct netif *netif;

    NETIF_FOREACH(netif)
    {
        dhcp = netif_dhcp_data(netif);
        if (dhcp != NULL && dhcp->request_timeout != 0)
            return true;
    }
    return false;
}

static struct on_demand {
    lwip_cyclic_timer_handler handler; /* by which lwIP's table knows the timer */
    bool (*needed)(void);
    bool stopped;
} on_demand[] = {
    {mld6_tmr, mld_needed, false},
    {dhcp_fine_tmr, dhcp_fine_needed, false},
};

static const struct lwip_cyclic_timer *find_timer(lwip_cyclic_timer_handler handler)
{
    int i = 0;

    while (lwip_cyclic_timers[i].handler != handler)
        i++; /* it is in the table: lwipopts.h has both protocols on */
    return &lwip_cyclic_timers[i];
}

/* Stops the timers that have nothing to do and starts those that have again. Before each sleep:
 * what needs a timer comes about in the network thread itself. */
void net_timers_adjust(void)
{
    for (unsigned i = 0; i < sizeof(on_demand) / sizeof(on_demand[0]); i++) {
        struct on_demand *timer = &on_demand[i];
        const struct lwip_cyclic_timer *cyclic = find_timer(timer->handler);
        bool stop = !timer->needed();

        if (stop == timer->stopped)
            continue;
        if (stop)
            sys_untimeout(lwip_cyclic_timer, LWIP_CONST_CAST(void *, cyclic));
        else
            sys_timeout(cyclic->interval_ms, lwip_cyclic_timer, LWIP_CONST_CAST(void *, cyclic));
        timer->stopped = stop;
    }
}
