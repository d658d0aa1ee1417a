/*
 * Time: the TSC as the clock, the local APIC's timer as the alarm, both measured once against the
 * PIT (Intel 8254), whose rate is the same on every PC. Called by kernel/timer.c and printk.
 */
#include "arch/x86_64/internal.h"
#include "arch/x86_64/registers.h"

#define NS_PER_SECOND 1000000000ull

#define PIT_HZ       1193182u
#define PIT_CHANNEL2 0x42
#define PIT_COMMAND  0x43
#define PIT_GATE     0x61 /* bit 0 lets channel 2 count, bit 1 is the speaker */
#define PIT_MODE0    0xb0 /* channel 2, low byte then high byte, count down once */
#define PIT_LATCH    0x80 /* hold channel 2's count for reading */
#define PIT_START    0xffff
#define WINDOW_TICKS 11932u /* 10 ms */

static uint64_t origin;       /* TSC at kernel entry: time 0 */
static uint64_t hz;           /* of the TSC; 0 until arch_time_init() */
static uint64_t ns_per_cycle; /* fixed point, 32 fraction bits */
static uint64_t ticks_per_ns; /* of the APIC timer; fixed point, 32 fraction bits */
static uint64_t deadline = UINT64_MAX;

/* One moment on all three clocks. */
struct sample {
    uint64_t tsc;
    uint32_t apic;
    uint32_t pit; /* ticks since the start */
};

void time_set_origin(void)
{
    origin = arch_read_tsc();
}

static void pit_start(void)
{
    port_out8(PIT_GATE, (port_in8(PIT_GATE) & ~2) | 1);
    port_out8(PIT_COMMAND, PIT_MODE0);
    port_out8(PIT_CHANNEL2, PIT_START & 0xff);
    port_out8(PIT_CHANNEL2, PIT_START >> 8);
}

static uint32_t pit_elapsed(void)
{
    port_out8(PIT_COMMAND, PIT_LATCH);
    uint32_t low = port_in8(PIT_CHANNEL2);
    uint32_t high = port_in8(PIT_CHANNEL2);
    return PIT_START - (high << 8 | low);
}

/* Reads the clocks as close together as a virtual machine lets us: a host that takes the CPU away
 * between two reads would spoil the measurement, so the tightest of some attempts counts. */
static struct sample take_sample(void)
{
    struct sample best = {0};
    uint64_t best_width = UINT64_MAX;
    for (int i = 0; i < 8; i++) {
        uint64_t before = arch_read_tsc();
        uint32_t pit = pit_elapsed();
        uint32_t apic = apic_timer_elapsed();
        uint64_t width = arch_read_tsc() - before;
        if (width < best_width) {
            best_width = width;
            best = (struct sample){.tsc = before + width / 2, .apic = apic, .pit = pit};
        }
    }
    return best;
}

/* Measures the TSC and the APIC timer for 10 ms. Start-up only; after arch_apic_init(). */
void arch_time_init(void)
{
    uint64_t flags = arch_irq_save();
    pit_start();
    apic_timer_start_unarmed();
    struct sample first = take_sample();
    while (pit_elapsed() - first.pit < WINDOW_TICKS)
        cpu_relax();
    struct sample last = take_sample();
    apic_timer_start(0);

    uint64_t pit = last.pit - first.pit;
    uint64_t apic_hz = (uint64_t)(last.apic - first.apic) * PIT_HZ / pit;
    hz = (last.tsc - first.tsc) * PIT_HZ / pit;
    if (!hz || !apic_hz)
        kernel_fatal("the TSC or the APIC timer does not count");
    ns_per_cycle = (NS_PER_SECOND << 32) / hz;
    ticks_per_ns = (apic_hz << 32) / NS_PER_SECOND;
    arch_irq_restore(flags);
}

/* Nanoseconds since kernel entry, monotonic; 0 until arch_time_init(). Any context. */
uint64_t arch_time_ns(void)
{
    uint64_t cycles = arch_read_tsc() - origin;
    return (unsigned __int128)cycles * ns_per_cycle >> 32;
}

uint64_t arch_tsc_hz(void)
{
    return hz;
}

/* Nanoseconds from the machine's start, when the TSC began, to kernel entry: firmware and loader.
 */
uint64_t arch_time_before_boot_ns(void)
{
    return (unsigned __int128)origin * ns_per_cycle >> 32;
}

/* The count that ends at or just after the deadline, or the longest the timer can do. */
static uint32_t ticks_until(uint64_t when)
{
    uint64_t now = arch_time_ns();
    if (when <= now)
        return 1;
    unsigned __int128 ticks = ((unsigned __int128)(when - now) * ticks_per_ns >> 32) + 1;
    return ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX;
}

/* One-shot: raises kernel_timer_interrupt() at or soon after deadline_ns (arch_time_ns units). A
 * later call replaces an earlier one; UINT64_MAX disarms. Any context. */
void arch_timer_arm(uint64_t deadline_ns)
{
    uint64_t flags = arch_irq_save();
    deadline = deadline_ns;
    apic_timer_start(deadline == UINT64_MAX ? 0 : ticks_until(deadline));
    arch_irq_restore(flags);
}

/* A deadline beyond the counter's range, or a little early by rounding, is armed again. */
void time_timer_interrupt(void)
{
    if (deadline == UINT64_MAX)
        return;
    if (arch_time_ns() < deadline) {
        apic_timer_start(ticks_until(deadline));
        return;
    }
    deadline = UINT64_MAX;
    kernel_timer_interrupt();
}
