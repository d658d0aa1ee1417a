/*
 * skep.test=static-keys: reads the machine's own instructions at each branch on a tracepoint's key,
 * off, on and off again, and sees that events come only in between. Called through
 * kernel/selftest.c; tests/system/test_tracing.py looks on.
 */
#include "arch/x86_64/arch.h"
#include "kernel/panic.h"
#include "kernel/printk.h"
#include "kernel/selftest.h"
#include "kernel/string.h"
#include "kernel/thread.h"
#include "kernel/trace_events.h"
#include "kernel/trace_pipe.h"

/* SDM 2B: NOP DWORD ptr [EAX + EAX*1 + 0], and JMP rel32. */
static const uint8_t nop5[ARCH_STATIC_BRANCH_SIZE] = {0x0f, 0x1f, 0x44, 0x00, 0x00};
#define JMP_REL32 0xe9

static bool is_nop(const struct static_key_site *site)
{
    return memcmp((const void *)site->code, nop5, sizeof(nop5)) == 0;
}

static bool is_jump(const struct static_key_site *site)
{
    const uint8_t *code = (const uint8_t *)site->code;
    int32_t distance;

    memcpy(&distance, code + 1, sizeof(distance));
    return code[0] == JMP_REL32 && site->code + sizeof(nop5) + (int64_t)distance == site->target;
}

/* Every branch on tp's key must look so. Returns how many there are. */
static unsigned check_sites(const struct tracepoint *tp, bool on)
{
    const struct static_key_site *site;
    unsigned count = 0;

    for (; (site = arch_static_key_site(&tp->key, count)); count++)
        ASSERT(on ? is_jump(site) : is_nop(site), "%s:%s is %s, but at %pS the byte is %x",
               tp->system, tp->name, on ? "on" : "off", (void *)site->code,
               *(const uint8_t *)site->code);
    return count;
}

/* Sleeping switches to another thread and back. */
static void check_events(void)
{
    static char text[4096];
    struct tracepoint *tp = &tracepoint_sched_switch;
    uint64_t hits = tp->hits, cursor = trace_pipe_end(), lost = 0;
    size_t len;

    thread_sleep_ns(1000000);
    ASSERT(tp->hits == hits, "an event while the key is off: %lu", tp->hits - hits);
    tracepoint_enable(tp);
    check_sites(tp, true);
    thread_sleep_ns(1000000);
    tracepoint_disable(tp);
    check_sites(tp, false);
    ASSERT(tp->hits >= hits + 2, "%lu events while the key was on", tp->hits - hits);
    hits = tp->hits;
    thread_sleep_ns(1000000);
    ASSERT(tp->hits == hits, "an event after the key went off: %lu", tp->hits - hits);
    len = trace_pipe_read(&cursor, text, sizeof(text) - 1, &lost);
    text[len] = 0;
    ASSERT(strstr(text, "sched_switch: prev_comm=main "), "the trace pipe has: %s", text);
    pr_notice("selftest: first line of the trace pipe: %.*s", (int)(strchr(text, '\n') - text),
              text);
}

void selftest_static_keys(void)
{
    unsigned branches = 0;

    for (struct tracepoint *tp = tracepoint_next(0); tp; tp = tracepoint_next(tp->id)) {
        branches += check_sites(tp, false);
        tracepoint_enable(tp);
        check_sites(tp, true);
        tracepoint_disable(tp);
        check_sites(tp, false);
    }
    check_events();
    pr_notice("selftest: static keys: %u tracepoints, %u branches, each a 5-byte NOP when off",
              tracepoint_count(), branches);
}
