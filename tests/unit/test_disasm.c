/*
 * The disassembler's text, written by hand from Linux's kernel/bpf/disasm.c: 6.1's for what bpftool
 * 7.1 knows, later kernels' for cpu v4 and may_goto. tests/data shows that it assembles back.
 */
#include <stdlib.h>
#include <string.h>

#include "ebpf/disasm.h"
#include "tests/unit/leakcheck.h"

#define RANDOM_INSNS 200000u

TestSuite(disasm, .fini = leakcheck);

static const struct {
    struct bpf_insn insn[2];
    const char *text;
} known[] = {
    /* code, dst, src, off, imm */
    {{{0xb7, 0, 0, 0, 1}}, "(b7) r0 = 1"},
    {{{0xb7, 2, 0, 0, -1}}, "(b7) r2 = -1"},
    {{{0xb4, 2, 0, 0, 5}}, "(b4) w2 = 5"},
    {{{0xbf, 6, 1, 0, 0}}, "(bf) r6 = r1"},
    {{{0xbc, 6, 1, 0, 0}}, "(bc) w6 = w1"},
    {{{0x07, 1, 0, 0, -8}}, "(07) r1 += -8"},
    {{{0x1f, 1, 2, 0, 0}}, "(1f) r1 -= r2"},
    {{{0x24, 1, 0, 0, 3}}, "(24) w1 *= 3"},
    {{{0x3f, 1, 2, 0, 0}}, "(3f) r1 /= r2"},
    {{{0x3f, 1, 2, 1, 0}}, "(3f) r1 s/= r2"},
    {{{0x97, 1, 0, 0, 10}}, "(97) r1 %= 10"},
    {{{0x94, 1, 0, 1, 10}}, "(94) w1 s%= 10"},
    {{{0x4f, 1, 2, 0, 0}}, "(4f) r1 |= r2"},
    {{{0x57, 1, 0, 0, 255}}, "(57) r1 &= 255"},
    {{{0x67, 1, 0, 0, 32}}, "(67) r1 <<= 32"},
    {{{0x77, 1, 0, 0, 32}}, "(77) r1 >>= 32"},
    {{{0xc7, 1, 0, 0, 32}}, "(c7) r1 s>>= 32"},
    {{{0xaf, 1, 1, 0, 0}}, "(af) r1 ^= r1"},
    {{{0x87, 3, 0, 0, 0}}, "(87) r3 = -r3"},
    {{{0x84, 3, 0, 0, 0}}, "(84) w3 = -w3"},
    {{{0xdc, 2, 0, 0, 16}}, "(dc) r2 = be16 r2"},
    {{{0xd4, 2, 0, 0, 64}}, "(d4) r2 = le64 r2"},
    {{{0xd7, 2, 0, 0, 32}}, "(d7) r2 = bswap32 r2"},
    {{{0xbf, 2, 3, 8, 0}}, "(bf) r2 = (s8)r3"},
    {{{0xbf, 2, 3, 32, 0}}, "(bf) r2 = (s32)r3"},
    {{{0xbc, 2, 3, 16, 0}}, "(bc) w2 = (s16)w3"},
    {{{0x61, 2, 1, 4, 0}}, "(61) r2 = *(u32 *)(r1 +4)"},
    {{{0x71, 2, 10, -1, 0}}, "(71) r2 = *(u8 *)(r10 -1)"},
    {{{0x91, 2, 1, 0, 0}}, "(91) r2 = *(s8 *)(r1 +0)"},
    {{{0x7b, 10, 1, -8, 0}}, "(7b) *(u64 *)(r10 -8) = r1"},
    {{{0x6b, 1, 2, 6, 0}}, "(6b) *(u16 *)(r1 +6) = r2"},
    {{{0x62, 10, 0, -4, -5}}, "(62) *(u32 *)(r10 -4) = -5"},
    {{{0xdb, 1, 2, 0, 0}}, "(db) lock *(u64 *)(r1 +0) += r2"},
    {{{0xc3, 1, 2, 4, 0xa0}}, "(c3) lock *(u32 *)(r1 +4) ^= r2"},
    {{{0xdb, 1, 2, 0, 0x01}}, "(db) r2 = atomic64_fetch_add((u64 *)(r1 +0), r2)"},
    {{{0xc3, 1, 2, 0, 0x41}}, "(c3) r2 = atomic_fetch_or((u32 *)(r1 +0), r2)"},
    {{{0xdb, 1, 2, 8, 0xe1}}, "(db) r2 = atomic64_xchg((u64 *)(r1 +8), r2)"},
    {{{0xc3, 1, 2, 8, 0xf1}}, "(c3) r0 = atomic_cmpxchg((u32 *)(r1 +8), r0, r2)"},
    {{{0x05, 0, 0, -7, 0}}, "(05) goto pc-7"},
    {{{0x06, 0, 0, 0, 70000}}, "(06) gotol pc+70000"},
    {{{0xe5, 0, 0, 3, 0}}, "(e5) may_goto pc+3"},
    {{{0x15, 1, 0, 5, 0}}, "(15) if r1 == 0x0 goto pc+5"},
    {{{0x55, 1, 0, 5, -1}}, "(55) if r1 != 0xffffffff goto pc+5"},
    {{{0x2d, 1, 2, -3, 0}}, "(2d) if r1 > r2 goto pc-3"},
    {{{0xbe, 1, 2, 1, 0}}, "(be) if w1 <= w2 goto pc+1"},
    {{{0xc6, 1, 0, 1, 16}}, "(c6) if w1 s< 0x10 goto pc+1"},
    {{{0x45, 1, 0, 1, 8}}, "(45) if r1 & 0x8 goto pc+1"},
    {{{0x65, 1, 0, 1, 8}}, "(65) if r1 s> 0x8 goto pc+1"},
    {{{0x85, 0, 0, 0, 1}}, "(85) call bpf_map_lookup_elem#1"},
    {{{0x85, 0, 0, 0, 9999}}, "(85) call unknown#9999"},
    {{{0x85, 0, 1, 0, 12}}, "(85) call pc+12"},
    {{{0x85, 0, 2, 0, 12}}, "(85) call kernel-function#12"},
    {{{0x95, 0, 0, 0, 0}}, "(95) exit"},
    {{{0x30, 0, 0, 0, 23}}, "(30) r0 = *(u8 *)skb[23]"},
    {{{0x48, 0, 7, 0, 2}}, "(48) r0 = *(u16 *)skb[r7 + 2]"},
    {{{0x18, 1, 0, 0, 0x55667788}, {0, 0, 0, 0, 0x11223344}}, "(18) r1 = 0x1122334455667788"},
    {{{0x18, 1, 1, 0, 14}}, "(18) r1 = map[id:14]"},
    {{{0x18, 1, 2, 0, 15}, {0, 0, 0, 0, 4}}, "(18) r1 = map[id:15][0]+4"},
    {{{0x18, 1, 4, 0, 3}}, "(18) r1 = subprog[+3]"},
    {{{0xe7, 0, 0, 0, 0}}, "(e7) unknown opcode 0xe7"},
};

Test(disasm, known_instructions)
{
    char text[DISASM_MAX];

    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        bool wide = known[i].insn[0].code == 0x18;

        cr_expect_eq(ebpf_disasm(known[i].insn, 2, text, sizeof(text)), wide ? 2 : 1);
        cr_expect_str_eq(text, known[i].text);
    }
}

/* A 16-byte instruction whose second half is missing must not be read beyond. */
Test(disasm, cut_imm64)
{
    struct bpf_insn *insn = calloc(1, sizeof(*insn));
    char text[DISASM_MAX];

    insn->code = 0x18;
    insn->imm = 7;
    cr_expect_eq(ebpf_disasm(insn, 1, text, sizeof(text)), 1);
    cr_expect_str_eq(text, "(18) r0 = 0x7");
    free(insn);
}

Test(disasm, short_buffers_are_ended)
{
    struct bpf_insn insn = {0x7b, 10, 1, -8, 0};
    char text[8];

    memset(text, 'x', sizeof(text));
    ebpf_disasm(&insn, 1, text, 6);
    cr_expect_str_eq(text, "(7b) ");
    cr_expect_eq(text[6], 'x');
    ebpf_disasm(&insn, 1, text, 0);
    cr_expect_str_eq(text, "(7b) ");
}

/* Any bytes give some text that fits DISASM_MAX: nothing was cut. */
Test(disasm, any_bytes)
{
    unsigned seed = 1;
    char text[DISASM_MAX];

    for (unsigned i = 0; i < RANDOM_INSNS; i++) {
        struct bpf_insn insn[2];

        for (unsigned byte = 0; byte < sizeof(insn); byte++)
            ((unsigned char *)insn)[byte] = (unsigned char)rand_r(&seed);
        ebpf_disasm(insn, 2, text, sizeof(text));
        cr_assert_lt(strlen(text), sizeof(text) - 1);
        cr_assert_gt(strlen(text), 5);
    }
}
