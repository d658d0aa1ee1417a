/*
 * Timers of ebpf/port.h in a host process: they fire when a test says that time has come
 * (host_timers_run), never by themselves.
 */
#include <stdlib.h>

#include "ebpf/port.h"
#include "user/vm/host_port.h"

struct port_timer {
    void (*fire)(void *arg);
    void *arg;
    uint64_t deadline_ns;
    bool started;
    struct port_timer *next; /* of all there are */
};

static struct port_timer *timers;

struct port_timer *port_timer_create(void (*fire)(void *arg), void *arg)
{
    struct port_timer *timer = port_alloc(sizeof(*timer));

    if (!timer)
        return NULL;
    timer->fire = fire;
    timer->arg = arg;
    timer->next = timers;
    timers = timer;
    return timer;
}

void port_timer_start(struct port_timer *timer, uint64_t deadline_ns)
{
    timer->deadline_ns = deadline_ns;
    timer->started = true;
}

bool port_timer_cancel(struct port_timer *timer)
{
    bool was_started = timer->started;

    timer->started = false;
    return was_started;
}

void port_timer_free(struct port_timer *timer)
{
    struct port_timer **link = &timers;

    if (timer->started)
        port_fatal("port_timer_free of a timer that is started");
    while (*link != timer)
        link = &(*link)->next;
    *link = timer->next;
    port_free(timer);
}

static struct port_timer *next_due(uint64_t now_ns)
{
    struct port_timer *due = NULL;

    for (struct port_timer *t = timers; t; t = t->next)
        if (t->started && t->deadline_ns <= now_ns && (!due || t->deadline_ns < due->deadline_ns))
            due = t;
    return due;
}

unsigned host_timers_run(uint64_t now_ns)
{
    unsigned fired = 0;
    struct port_timer *due;

    while ((due = next_due(now_ns)) != NULL) {
        uint64_t saved = port_lock();

        due->started = false;
        due->fire(due->arg);
        port_unlock(saved);
        fired++;
    }
    return fired;
}
