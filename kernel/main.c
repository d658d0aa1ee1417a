/*
 * The boot order, as a table of contents: kernel_main() is called by boot/entry.S in long mode on
 * the boot stack, interrupts off, and becomes the first thread.
 */
#include "arch/x86_64/arch.h"
#include "boot/bootinfo.h"
#include "boot/magic.h"
#include "drivers/virtio/virtio.h"
#include "ebpf/ebpf.h"
#include "kernel/app.h"
#include "kernel/cmdline.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "kernel/printk.h"
#include "kernel/ramfs.h"
#include "kernel/selftest.h"
#include "kernel/string.h"
#include "kernel/thread.h"
#include "kernel/trace_pipe.h"
#include "kernel/tracepoint.h"
#include "net/net.h"
#include "net/server.h"

#define FOUR_GIB 0x100000000ull
#define MS(ns)   ((unsigned)((ns) / 1000000))

extern uint8_t __kernel_start[], __kernel_end[];

static struct boot_info boot_info;

/* Text given as `-fw_cfg name=opt/skep/cmdline,string=...` goes behind the loader's. */
static void append_fw_cfg_cmdline(char *cmdline, size_t size)
{
    size_t len = strlen(cmdline);
    size_t at = len ? len + 1 : 0; /* behind a space */
    if (at + 1 >= size)
        return;
    int n = arch_fw_cfg_read("opt/skep/cmdline", cmdline + at, size - at - 1);
    if (n <= 0)
        return;
    if (len)
        cmdline[len] = ' ';
    cmdline[at + (size_t)n] = '\0';
}

/* Both loaders' forms become one. Nothing runs without a memory map. */
static void boot_info_init(uint32_t magic, uint64_t info)
{
    const void *from = (const void *)(uintptr_t)info;
    int err = magic == BOOT_MAGIC_PVH
                  ? boot_parse_pvh(from, &boot_info)
                  : boot_parse_multiboot2(from, *(const uint32_t *)from, &boot_info);
    if (err || !boot_info.nr_regions)
        panic("the loader's information is malformed (magic 0x%x, error %d, %u memory regions)",
              magic, err, boot_info.nr_regions);
    append_fw_cfg_cmdline(boot_info.cmdline, sizeof(boot_info.cmdline));
    cmdline_init(boot_info.cmdline);
    printk_set_console_level((enum log_level)cmdline_u64("loglevel", LOG_INFO));
}

static void add_memory(uint64_t from, uint64_t to)
{
    const struct boot_region window = {.start = from, .end = to};
    const struct boot_region kernel = {(uintptr_t)__kernel_start, (uintptr_t)__kernel_end, false};
    boot_for_each_free(&boot_info, &window, &kernel, page_add_region);
}

static void *alloc_table_page(void)
{
    return page_alloc(0);
}

/* The early page tables reach 4 GiB; what lies above is added once the final ones are in use. */
static void memory_init(void)
{
    add_memory(0, FOUR_GIB);
    arch_paging_init(&boot_info, alloc_table_page);
    add_memory(FOUR_GIB, UINT64_MAX);
}

/* Files of the archive that the loader put into memory, which stays there. */
static void files_init(void)
{
    ramfs_init();
    for (unsigned i = 0; i < boot_info.nr_modules; i++) {
        const struct boot_module *module = &boot_info.modules[i];
        if (strcmp(module->name, "initrd") != 0)
            continue;
        int err =
            ramfs_add_ustar((const void *)(uintptr_t)module->start, module->end - module->start);
        if (err)
            pr_err("initrd: damaged or out of memory (error %d); files before it are there", err);
        return;
    }
    pr_warn("no initrd: the file system is empty");
}

static void engine_init(void)
{
    struct page_stats pages;
    page_get_stats(&pages);
    int err = ebpf_init(pages.free_pages * PAGE_SIZE / 2);
    if (err)
        pr_err("ebpf: not available (error %d)", err);
}

static void network_init(void)
{
    int err = net_init();
    if (!err)
        err = server_start(&boot_info);
    if (err)
        pr_err("network: not available (error %d)", err);
}

static void say_hello(void)
{
    char cpu[160];
    struct page_stats pages;
    arch_cpu_describe(cpu, sizeof(cpu));
    page_get_stats(&pages);
    pr_info("skep: started by %s, %u ms after the machine", boot_info.loader,
            MS(arch_time_before_boot_ns()));
    pr_info("command line: %s", cmdline_text());
    pr_info("cpu: %s, %u MHz", cpu, (unsigned)(arch_tsc_hz() / 1000000));
    pr_info("memory: %u KiB free of %u KiB", (unsigned)(pages.free_pages * PAGE_SIZE / 1024),
            (unsigned)(pages.total_pages * PAGE_SIZE / 1024));
}

_Noreturn void kernel_main(uint32_t magic, uint64_t info)
{
    arch_cpu_init();             /* GDT, IDT: from here on a fault explains itself */
    arch_console_init();         /* serial port */
    boot_info_init(magic, info); /* memory map, command line, modules */
    memory_init();               /* page allocator, final page tables with W^X */
    arch_apic_init();            /* interrupt controller */
    arch_time_init();            /* clock and timer */
    say_hello();                 /* what we run on */
    tracepoint_init();           /* ids and formats of all tracepoints */
    trace_pipe_init();           /* text of traced events */
    thread_init();               /* this becomes the thread "main" */
    arch_irq_enable();           /* and can be preempted */
    selftest_run();              /* only what the command line asks for */
    files_init();                /* ramfs from the initrd */
    engine_init();               /* eBPF */
    virtio_init();               /* devices on PCI */
    network_init();              /* network thread, command server */
    app_start();                 /* the application, in a thread of its own */
    pr_info("skep: up %u ms after kernel entry", MS(arch_time_ns()));
    thread_exit();
}
