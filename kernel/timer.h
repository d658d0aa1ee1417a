/*
 * Timers: a callback at a time, in interrupt context. Kept in a list sorted by deadline, since
 * there are few; the hardware is armed for the nearest only.
 */
#ifndef SKEP_KERNEL_TIMER_H
#define SKEP_KERNEL_TIMER_H

#include <stdbool.h>
#include <stdint.h>

/* Owned by the caller, who keeps it alive while it is armed. Zero-initialise before first use; the
 * callback runs with interrupts off, not armed any more, and may arm its timer again. */
struct timer {
    uint64_t deadline_ns; /* arch_time_ns units */
    void (*fire)(struct timer *timer, void *arg);
    void *arg;
    bool armed;
    struct timer *next; /* the queue, by deadline */
};

/* Arms, or moves, a timer. Any context. */
void timer_set(struct timer *timer, uint64_t deadline_ns);
/* After it returns, the callback is not running and will not. True when it was armed. */
bool timer_cancel(struct timer *timer);

/* CLOCK_REALTIME in nanoseconds: the CMOS time at boot plus time since. */
uint64_t time_wall_ns(void);

#endif
