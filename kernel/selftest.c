/*
 * Deliberate faults, asked for by `skep.test=NAME` on the command line: each must end in a panic
 * that names its function here. Called once by kernel_main(); tests/system/test_boot.py looks on.
 */
#include "kernel/selftest.h"

#include "arch/x86_64/arch.h"
#include "kernel/cmdline.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "kernel/printk.h"
#include "kernel/string.h"
#include "kernel/thread.h"

/* Pointers are themselves volatile: the compiler must not know where they lead. */

static const int *volatile null_pointer;

static void selftest_null_read(void)
{
    pr_err("null read gave %d", *null_pointer);
}

static void selftest_text_write(void)
{
    volatile uint8_t *volatile text = (volatile uint8_t *)(uintptr_t)selftest_run;
    *text = 0xcc;
}

static void selftest_rodata_write(void)
{
    static const uint64_t constant = 1;
    volatile uint64_t *volatile rodata = (volatile uint64_t *)(uintptr_t)&constant;
    *rodata = 2;
}

static void selftest_data_execute(void)
{
    static uint8_t ret[16] = {0xc3};
    ((void (*)(void))(uintptr_t)ret)();
}

/* Deeper than any stack; volatile, so that the compiler does not see it. */
static volatile unsigned recursion_limit = 1u << 30;

static unsigned recurse(unsigned depth)
{
    volatile uint8_t frame[256];
    frame[0] = (uint8_t)depth;
    return depth < recursion_limit ? recurse(depth + 1) + frame[0] : 0;
}

static void selftest_stack_overflow(void)
{
    pr_err("recursion ended at %u", recurse(0));
}

static void overflow_thread(void *arg)
{
    (void)arg;
    selftest_stack_overflow();
}

static void selftest_thread_overflow(void)
{
    thread_create("overflow", THREAD_PRIO_NET, overflow_thread, NULL);
}

static void selftest_assert(void)
{
    ASSERT(cmdline_flag("skep.no-such-flag"), "flag %u", 0);
}

/* Returns when all is well: the same accesses, by the functions that survive them. */
static void selftest_safe_access(void)
{
    uint64_t value = 1;
    int null = arch_read_safe(&value, NULL, sizeof(value));
    int odd = arch_read_safe(&value, (const void *)0xdead000000000000, 3);
    int text = arch_write_safe((void *)(uintptr_t)selftest_run, &value, sizeof(value));
    int good = arch_read_safe(&value, (const void *)(uintptr_t)selftest_run, sizeof(value));
    uint8_t byte = *(const uint8_t *)(uintptr_t)selftest_run;
    arch_text_patch((void *)(uintptr_t)selftest_run, &byte, 1);
    pr_notice("selftest: safe access: null %d, non-canonical %d, text %d, good %d", null, odd, text,
              good);
}

static const struct selftest {
    const char *name;
    void (*run)(void);
} selftests[] = {
    {"null-read", selftest_null_read},
    {"text-write", selftest_text_write},
    {"rodata-write", selftest_rodata_write},
    {"data-execute", selftest_data_execute},
    {"stack-overflow", selftest_stack_overflow},
    {"assert", selftest_assert},
    {"safe-access", selftest_safe_access},
    {"static-keys", selftest_static_keys},
    {"threads", selftest_threads},
    {"thread-overflow", selftest_thread_overflow},
};

/* Commits the fault that `skep.test=NAME` on the command line names; nothing without it. */
void selftest_run(void)
{
    char name[32];
    if (cmdline_get("skep.test", name, sizeof(name)) < 0)
        return;
    for (size_t i = 0; i < sizeof(selftests) / sizeof(selftests[0]); i++) {
        if (strcmp(selftests[i].name, name) == 0) {
            selftests[i].run();
            return;
        }
    }
    pr_warn("skep.test=%s: no such test", name);
}
