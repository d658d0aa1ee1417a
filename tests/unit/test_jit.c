/*
 * What the lowering passes and the JIT make of what compilers for BPF write: each rule by a small
 * program whose machine code, as Capstone prints it, has the better instruction and not the worse.
 * That the code computes the same is for the suites data, engines and random.
 */
#include <capstone/capstone.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/ebpf.h"
#include "ebpf/jit.h"
#include "ebpf/lower.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"
#include "ebpf/proof.h"
#include "ebpf/verifier.h"
#include "tests/unit/leakcheck.h"
#include "user/vm/asm.h"
#include "user/vm/host_port.h"

#define MEM_SIZE 64u
#define TEXT_MAX 8192u
#define INSNS    128u
#define BOTH     (PORT_CPU_BMI2 | PORT_CPU_MOVBE)
#define WORDS    4u

static void set_up(void)
{
    cr_assert_eq(ebpf_init(1u << 24), 0);
}

static void tear_down(void)
{
    cr_assert_eq(ebpf_shutdown(), 0, "objects are left over");
    cr_assert_eq(host_port_blocks(), 0, "the engine's memory leaked");
    leakcheck();
}

TestSuite(jit, .init = set_up, .fini = tear_down);

/* ---- from bytecode to text ------------------------------------------------------------------- */

/* One instruction a line. */
static void disassemble(const struct ebpf_jit *jit, char *text)
{
    const uint8_t *code = jit->code;
    size_t left = jit->size, used = 0;
    uint64_t address = 0;
    csh capstone;
    cs_insn *insn;

    cr_assert_eq(cs_open(CS_ARCH_X86, CS_MODE_64, &capstone), CS_ERR_OK);
    insn = cs_malloc(capstone);
    while (left && cs_disasm_iter(capstone, &code, &left, &address, insn))
        used +=
            (size_t)snprintf(text + used, TEXT_MAX - used, "%s %s\n", insn->mnemonic, insn->op_str);
    cr_assert_lt(used, TEXT_MAX);
    cs_free(insn, 1);
    cs_close(&capstone);
}

static struct ebpf_prog *load(const char *text, struct ebpf_map *map)
{
    struct bpf_insn insns[INSNS];
    char why[1024] = "";
    struct ebpf_log log = {.buf = why, .size = sizeof(why), .level = 1};
    struct ebpf_prog_load load = {.type = EBPF_PROG_TYPE_MEM,
                                  .name = "test",
                                  .license = "GPL",
                                  .insns = insns,
                                  .maps = &map,
                                  .nr_maps = map ? 1 : 0,
                                  .mem_size = MEM_SIZE,
                                  .unverified = true, /* until below */
                                  .log = &log};
    struct ebpf_prog *prog;
    int n = asm_assemble(text, insns, INSNS, why, sizeof(why));

    cr_assert_gt(n, 0, "%s", why);
    load.nr_insns = (uint32_t)n;
    cr_assert_eq(ebpf_prog_create(&load, &prog), 0, "%s", why);
    prog->proof = port_alloc(sizeof(*prog->proof));
    cr_assert_eq(ebpf_verify(&load, prog->decoded, 0, prog->proof), 0, "%s", why);
    return prog;
}

/* The program's code in text; its size. */
static size_t compile(const char *source, struct ebpf_map *map, uint32_t features, char *text)
{
    struct ebpf_prog *prog = load(source, map);
    struct ebpf_lowered *lowered;
    struct ebpf_jit *jit;
    size_t size;

    cr_assert_eq(ebpf_lower(prog, prog->proof, LOWER_ALL, &lowered), 0);
    cr_assert_eq(ebpf_jit_compile(prog, lowered, features, &jit), 0);
    disassemble(jit, text);
    size = jit->size;
    ebpf_jit_free(jit);
    ebpf_lower_free(lowered);
    ebpf_prog_put(prog);
    return size;
}

/* ---- rules without maps ---------------------------------------------------------------------- */

struct rule {
    const char *name, *source;
    uint32_t features;
    const char *has[WORDS], *lacks[WORDS];
};

#define END "\nexit\n"

static const struct rule rules[] = {
    {"a conditional jump over a jump is one jump of the opposite condition",
     "r0 = 0\nr3 = *(u8 *)(r1 +0)\nif r3 == 7 goto over\ngoto out\nover:\nr0 += r3\nout:\nexit\n",
     0,
     {"jne"},
     {"je ", "jmp"}},
    {"a jump over a move is a conditional move",
     "r0 = *(u64 *)(r1 +0)\nr2 = *(u64 *)(r1 +8)\nif r0 > r2 goto out\nr0 = r2\nout:\nexit\n",
     0,
     {"cmovbe rax, rsi"},
     {"ja", "jbe"}},
    {"also of a constant, and of 32 bits, which clear the upper half if they are moved alone",
     "r0 = *(u64 *)(r1 +0)\nr2 = *(u64 *)(r1 +8)\nif r2 & 1 goto a\nw0 = 17\na:\n"
     "if r2 > 5 goto b\nw0 = w2\nb:\nexit\n",
     0,
     {"mov r11d, 0x11", "cmove rax, r11", "mov r11d, esi", "cmovbe rax, r11"},
     {"ja", "jbe"}},
    {"a jump to a jump goes where that leads",
     "r0 = *(u8 *)(r1 +0)\nif r0 > 5 goto a\nr0 += 1\ngoto b\na:\ngoto b\nb:\nexit\n",
     0,
     {"ja "},
     {"jmp"}},
    {"shift and or of the same register is a rotate, to another one by rorx",
     "r2 = *(u64 *)(r1 +0)\nr0 = r2\nr0 <<= 13\nr2 >>= 51\nr0 |= r2" END,
     BOTH,
     {"rol"},
     {"shl", "shr", "or "}},
    {"a rotate whose source lives on takes rorx where there is BMI2",
     "r2 = *(u64 *)(r1 +0)\nr0 = r2\nr0 <<= 13\nr3 = r2\nr3 >>= 51\nr0 |= r3\nr0 += r2" END,
     BOTH,
     {"rorx"},
     {"shl", "shr", "or "}},
    {"and mov and rol where there is not",
     "r2 = *(u64 *)(r1 +0)\nr0 = r2\nr0 <<= 13\nr3 = r2\nr3 >>= 51\nr0 |= r3\nr0 += r2" END,
     0,
     {"rol"},
     {"rorx", "shl", "shr"}},
    {"a 32-bit rotate",
     "r2 = *(u32 *)(r1 +0)\nw0 = w2\nw0 <<= 15\nw2 >>= 17\nw0 |= w2" END,
     BOTH,
     {"rol e"},
     {"shl", "shr"}},
    {"mov, add, load is a load with base and index",
     "r2 = *(u8 *)(r1 +0)\nr2 &= 31\nr3 = r1\nr3 += r2\nr0 = *(u8 *)(r3 +4)" END,
     0,
     {"[rdi + rsi + 4]"},
     {"add", "lea"}},
    {"an index shifted is an index with a scale",
     "r2 = *(u8 *)(r1 +0)\nr2 &= 7\nr2 <<= 2\nr1 += r2\nr0 = *(u32 *)(r1 +4)" END,
     0,
     {"[rdi + rsi*4 + 4]"},
     {"add", "shl"}},
    {"mov and add of a constant is lea",
     "r2 = *(u64 *)(r1 +0)\nr0 = r2\nr0 += 100\nr0 ^= r2" END,
     0,
     {"lea rax, [rsi + 0x64]"},
     {"add"}},
    {"mov and multiplication keep the source",
     "r2 = *(u64 *)(r1 +0)\nr0 = r2\nr0 *= 77\nr0 ^= r2" END,
     0,
     {"imul rax, rsi, 0x4d"},
     {"mov rax, rsi"}},
    {"the bytes of a number are one load, and the other way round movbe",
     "r0 = *(u8 *)(r1 +8)\nr2 = *(u8 *)(r1 +9)\nr2 <<= 8\nr0 |= r2" END,
     BOTH,
     {"movzx eax, word ptr [rdi + 8]"},
     {"shl", "or "}},
    {"comparison with zero uses the flags of what made the number",
     "r0 = *(u64 *)(r1 +0)\nr0 &= 6\nif r0 == 0 goto out\nr0 *= 77\nr0 += 1\nout:\nexit\n",
     0,
     {"and", "je"},
     {"test", "cmp"}},
    {"test of a mask takes an 8-bit constant",
     "r0 = *(u64 *)(r1 +0)\nif r0 & 8 goto out\nr0 += 1\nout:\nexit\n",
     0,
     {"test al, 8"},
     {"movabs"}},
    {"a divisor proven not to be zero is not tested",
     "r0 = *(u64 *)(r1 +0)\nr2 = *(u64 *)(r1 +8)\nr2 |= 1\nr0 /= r2" END,
     0,
     {"div"},
     {"test", "je"}},
    {"any other is, and nothing is pushed around a division",
     "r0 = *(u64 *)(r1 +0)\nr3 = *(u64 *)(r1 +16)\nr2 = *(u64 *)(r1 +8)\nr0 /= r2\nr0 += r3" END,
     0,
     {"test rsi, rsi", "div"},
     {"push", "pop"}},
    {"a mask that the shift applies itself is dropped, and the count may be anywhere",
     "r0 = *(u64 *)(r1 +0)\nr2 = *(u64 *)(r1 +8)\nr2 &= 63\nr0 <<= r2" END,
     BOTH,
     {"shlx rax, rax, rsi"},
     {"and", "rcx"}},
    {"without BMI2 the count goes through cl",
     "r0 = *(u64 *)(r1 +0)\nr2 = *(u64 *)(r1 +8)\nr2 &= 63\nr0 <<= r2" END,
     0,
     {"shl rax, cl"},
     {"shlx"}},
    {"only callee-saved registers in use are saved",
     "r7 = *(u64 *)(r1 +0)\nr0 = r7" END,
     0,
     {"push r13", "pop r13"},
     {"push rbx", "push r14", "push rbp"}},
    {"the processor's number is a constant",
     "call bpf_get_smp_processor_id\nexit\n",
     0,
     {"xor eax, eax"},
     {"call"}},
    {"a spill slot in a loop lives in a register, beside an array in memory",
     "r2 = *(u64 *)(r1 +0)\n*(u64 *)(r10 -8) = r2\nr3 = 0\n*(u64 *)(r10 -16) = r3\n"
     "r4 = *(u8 *)(r1 +8)\nr4 &= 7\nr5 = r10\nr5 += r4\nr0 = *(u8 *)(r5 -16)\nr3 = 0\nloop:\n"
     "r4 = *(u64 *)(r10 -8)\nr0 += r4\nr3 += 1\nif r3 != 9 goto loop\nexit\n",
     0,
     {"[rbp + r", "add rax, rbx"},
     {"[rbp - 8]"}},
    {"where nothing is called, in one of r1 to r5 that is free",
     "r2 = *(u64 *)(r1 +0)\n*(u64 *)(r10 -8) = r2\nr0 = 0\nr3 = 0\nloop:\n"
     "r2 = *(u64 *)(r10 -8)\nr0 += r2\nr3 += 1\nif r3 != 9 goto loop\nexit\n",
     0,
     {"add rax, r8"},
     {"rbp", "push"}},
    {"a 64-bit constant in a loop is loaded before it",
     "r0 = 0\nr3 = 0\nloop:\nr2 = 0x123456789abcdef\nr0 ^= r2\nr3 += 1\n"
     "if r3 != 9 goto loop\nexit\n",
     0,
     {"movabs r8, 0x123456789abcdef", "xor rax, r8"},
     {"movabs rsi"}},
};

static void expect(const char *name, const char *text, const char *const has[WORDS],
                   const char *const lacks[WORDS])
{
    for (unsigned n = 0; n < WORDS && has[n]; n++)
        cr_expect(strstr(text, has[n]), "%s: no `%s` in\n%s", name, has[n], text);
    for (unsigned n = 0; n < WORDS && lacks[n]; n++)
        cr_expect(!strstr(text, lacks[n]), "%s: `%s` in\n%s", name, lacks[n], text);
}

Test(jit, each_pattern_becomes_the_better_instruction)
{
    char text[TEXT_MAX];

    for (size_t n = 0; n < sizeof(rules) / sizeof(rules[0]); n++) {
        compile(rules[n].source, NULL, rules[n].features, text);
        expect(rules[n].name, text, rules[n].has, rules[n].lacks);
    }
}

/* The six loads of tests/bench/bytesum: no more instructions than the scalar native loop has. */
Test(jit, the_loop_over_bytes_has_four_instructions)
{
    static const char *const loop = "movzx ecx, byte ptr [rdi + rsi]\nadd rax, rcx\nadd rsi, 1\n"
                                    "cmp rsi, 0x40\njne";
    const char *const has[WORDS] = {loop}, *const lacks[WORDS] = {"jmp"};
    char text[TEXT_MAX];

    compile("r0 = 0\nr2 = 0\nloop:\nr3 = r1\nr3 += r2\nr4 = *(u8 *)(r3 +0)\nr0 += r4\nr2 += 1\n"
            "if r2 == 64 goto out\ngoto loop\nout:\nexit\n",
            NULL, BOTH, text);
    expect("byte loop", text, has, lacks);
}

/* ---- rules about maps ------------------------------------------------------------------------ */

static struct ebpf_map *make_map(uint32_t type, uint32_t key, uint32_t value, uint32_t entries)
{
    union bpf_attr attr;
    struct ebpf_map *map;

    memset(&attr, 0, sizeof(attr));
    attr.map_type = type;
    attr.key_size = key;
    attr.value_size = value;
    attr.max_entries = entries;
    cr_assert_eq(ebpf_map_create(&attr, NULL, &map), 0);
    return map;
}

#define LOOK_UP                                                                                    \
    "r2 = r10\nr2 += -8\nr1 = map[idx:0]\ncall bpf_map_lookup_elem\nif r0 == 0 goto out\n"         \
    "r0 = *(u64 *)(r0 +0)\nout:\nexit\n"
#define KEY_CONSTANT "*(u64 *)(r10 -8) = 3\n"
#define KEY_ANY      "r3 = *(u64 *)(r1 +0)\n*(u64 *)(r10 -8) = r3\n"

static const struct map_rule {
    const char *name, *source;
    uint32_t type, key, value, entries;
    const char *has[WORDS], *lacks[WORDS];
} map_rules[] = {
    {"an array's element at a constant index is a constant, and is there",
     KEY_CONSTANT LOOK_UP,
     BPF_MAP_TYPE_ARRAY,
     4,
     8,
     8,
     {"movabs rax"},
     {"call", "test", "je ", "cmp"}},
    {"any other index is compared once, instead of the result, in the register that holds it",
     KEY_ANY LOOK_UP,
     BPF_MAP_TYPE_ARRAY,
     4,
     8,
     8,
     {"mov r10d, edx", "cmp r10d, 8", "jae"},
     {"call", "test rax", "mov r10d, dword ptr"}},
    {"so is an element of a per-CPU array while there is one CPU",
     KEY_ANY LOOK_UP,
     BPF_MAP_TYPE_PERCPU_ARRAY,
     4,
     8,
     8,
     {"mov r10d, edx", "cmp r10d, 8", "jae"},
     {"call", "test rax", "mov r10d, dword ptr"}},
    {"a lookup in a hash table is a call",
     KEY_ANY LOOK_UP,
     BPF_MAP_TYPE_HASH,
     8,
     8,
     8,
     {"call"},
     {"lea rax"}},
    {"a record is reserved and given back without a call",
     "r3 = 0\nr2 = 16\nr1 = map[idx:0]\ncall bpf_ringbuf_reserve\nif r0 == 0 goto out\nr2 = 1\n"
     "r1 = r0\ncall bpf_ringbuf_submit\nout:\nr0 = 0\nexit\n",
     BPF_MAP_TYPE_RINGBUF,
     0,
     0,
     4096,
     {"cmpxchg", "sub dword ptr [r", "0x80000000"},
     {"call"}},
    {"unless somebody is to be woken",
     "r3 = 0\nr2 = 16\nr1 = map[idx:0]\ncall bpf_ringbuf_reserve\nif r0 == 0 goto out\nr2 = 0\n"
     "r1 = r0\ncall bpf_ringbuf_submit\nout:\nr0 = 0\nexit\n",
     BPF_MAP_TYPE_RINGBUF,
     0,
     0,
     4096,
     {"cmpxchg", "call"},
     {"0x80000000"}},
};

Test(jit, helpers_on_maps_are_inlined_by_what_is_proven)
{
    char text[TEXT_MAX];

    for (size_t n = 0; n < sizeof(map_rules) / sizeof(map_rules[0]); n++) {
        const struct map_rule *r = &map_rules[n];
        struct ebpf_map *map = make_map(r->type, r->key, r->value, r->entries);

        compile(r->source, map, BOTH, text);
        expect(r->name, text, r->has, r->lacks);
        ebpf_map_put(map);
    }
}

/* Each key size has a function of its own, which calls go to. */
Test(jit, hash_lookups_go_to_the_function_of_the_key_size)
{
    static const uint32_t sizes[] = {4, 8, 16, 12};
    ebpf_map_lookup_fn functions[4];

    for (unsigned n = 0; n < 4; n++) {
        struct ebpf_map *map = make_map(BPF_MAP_TYPE_HASH, sizes[n], 8, 8);

        functions[n] = map->ops->direct_lookup(map);
        for (unsigned m = 0; m < n; m++)
            cr_expect_neq(functions[n], functions[m], "%u and %u bytes", sizes[n], sizes[m]);
        ebpf_map_put(map);
    }
}

/* ---- sealed ---------------------------------------------------------------------------------- */

static void permissions_of(const void *address, char permissions[5])
{
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long from, to;
    char line[512];

    strcpy(permissions, "none");
    while (fgets(line, sizeof(line), maps))
        if (sscanf(line, "%lx-%lx %4s", &from, &to, permissions) == 3 &&
            from <= (uintptr_t)address && (uintptr_t)address < to)
            break;
    fclose(maps);
}

Test(jit, code_is_never_writable_once_it_can_run)
{
    struct ebpf_prog *prog = load("r0 = 1\nexit\n", NULL);
    struct ebpf_lowered *lowered;
    struct ebpf_jit *jit;
    char permissions[5];

    cr_assert_eq(ebpf_lower(prog, prog->proof, LOWER_ALL, &lowered), 0);
    cr_assert_eq(ebpf_jit_compile(prog, lowered, 0, &jit), 0);
    permissions_of(jit->code, permissions);
    cr_expect_str_eq(permissions, "r-xp");
    ebpf_jit_free(jit);
    ebpf_lower_free(lowered);
    ebpf_prog_put(prog);
}
