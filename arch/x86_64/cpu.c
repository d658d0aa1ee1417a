/*
 * The CPU's own set-up, its description for the boot log, and RDRAND. kernel_main() calls
 * arch_cpu_init() first of all: from then on a fault explains itself.
 */
#include "arch/x86_64/internal.h"
#include "arch/x86_64/registers.h"

#define CR0_NE  (1ull << 5)  /* x87 errors as exceptions, not through the 8259 */
#define CR0_WP  (1ull << 16) /* read-only pages are so for the kernel too */
#define CR4_MCE (1ull << 6)

#define CPUID_BASIC     0x0
#define CPUID_FEATURES  0x1
#define CPUID_EXTENDED  0x80000000
#define CPUID_BRAND     0x80000002
#define CPUID_POWER     0x80000007
#define CPUID_EBX       1
#define CPUID_ECX       2
#define CPUID_EDX       3
#define RDRAND_BIT      30
#define RDRAND_ATTEMPTS 10 /* SDM 1 7.3.17 */

/* Features that matter to us, in the order the boot log shows them. */
static const struct cpu_feature {
    const char *name;
    uint32_t leaf;
    uint8_t reg; /* number of the register in struct cpuid_regs */
    uint8_t bit;
} features[] = {
    {"nx", 0x80000001, CPUID_EDX, 20},
    {"apic", CPUID_FEATURES, CPUID_EDX, 9},
    {"x2apic", CPUID_FEATURES, CPUID_ECX, 21},
    {"rdrand", CPUID_FEATURES, CPUID_ECX, RDRAND_BIT},
    {"invariant-tsc", CPUID_POWER, CPUID_EDX, 8},
    {"hypervisor", CPUID_FEATURES, CPUID_ECX, 31},
};

static bool has_feature(const struct cpu_feature *feature)
{
    if (cpuid(feature->leaf & CPUID_EXTENDED).eax < feature->leaf)
        return false;
    struct cpuid_regs r = cpuid(feature->leaf);
    const uint32_t words[] = {r.eax, r.ebx, r.ecx, r.edx};
    return words[feature->reg] >> feature->bit & 1;
}

/* GDT, TSS with its interrupt stacks, IDT, control registers. The first call of kernel_main(). */
void arch_cpu_init(void)
{
    time_set_origin();
    gdt_init();
    idt_init();
    cr0_write(cr0_read() | CR0_NE | CR0_WP);
    cr4_write(cr4_read() | CR4_MCE);
}

/* A string that grows inside a fixed buffer and stays terminated. */
struct text {
    char *buf;
    size_t size, len;
};

static void text_add_char(struct text *text, char c)
{
    if (!c || text->len + 1 >= text->size)
        return;
    text->buf[text->len++] = c;
    text->buf[text->len] = '\0';
}

static void text_add(struct text *text, const char *src)
{
    while (*src)
        text_add_char(text, *src++);
}

/* Four characters, the lowest byte first, as CPUID packs them. */
static void text_add_packed(struct text *text, uint32_t reg)
{
    for (unsigned i = 0; i < 4; i++)
        text_add_char(text, (char)(reg >> 8 * i));
}

static void text_add_brand(struct text *text)
{
    if (cpuid(CPUID_EXTENDED).eax < CPUID_BRAND + 2) {
        text_add(text, "no model name");
        return;
    }
    for (uint32_t i = 0; i < 3; i++) {
        struct cpuid_regs r = cpuid(CPUID_BRAND + i);
        text_add_packed(text, r.eax);
        text_add_packed(text, r.ebx);
        text_add_packed(text, r.ecx);
        text_add_packed(text, r.edx);
    }
}

/* One line for the boot log: vendor, model and the features that matter. Writes at most size
 * (not 0) bytes, always terminated. */
void arch_cpu_describe(char *buf, size_t size)
{
    struct text text = {.buf = buf, .size = size};
    struct cpuid_regs r = cpuid(CPUID_BASIC);
    buf[0] = '\0';
    text_add_packed(&text, r.ebx);
    text_add_packed(&text, r.edx);
    text_add_packed(&text, r.ecx);
    text_add(&text, ", ");
    text_add_brand(&text);
    text_add(&text, ";");
    for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
        if (!has_feature(&features[i]))
            continue;
        text_add(&text, " ");
        text_add(&text, features[i].name);
    }
}

/* Shifts by any register (shlx) and rotates into another one (rorx). */
bool arch_cpu_has_bmi2(void)
{
    return has_feature(&(struct cpu_feature){"bmi2", 7, CPUID_EBX, 8});
}

/* Loads that reverse the bytes. */
bool arch_cpu_has_movbe(void)
{
    return has_feature(&(struct cpu_feature){"movbe", CPUID_FEATURES, CPUID_ECX, 22});
}

bool arch_cpu_has_rdrand(void)
{
    return cpuid(CPUID_FEATURES).ecx >> RDRAND_BIT & 1;
}

/* A hardware random number; false when the CPU has none or it failed ten times. Any context. */
bool arch_rdrand(uint64_t *out)
{
    if (!arch_cpu_has_rdrand())
        return false;
    for (int i = 0; i < RDRAND_ATTEMPTS; i++) {
        bool ok;
        __asm__ volatile("rdrand %0" : "=r"(*out), "=@ccc"(ok));
        if (ok)
            return true;
    }
    return false;
}
