/*
 * Assembling stores and atomic operations, and the address of any access.
 */
#include "user/vm/asm_internal.h"

#include <stdio.h>

#include "ebpf/base.h"

/* "u32" or "s16"; *mode is BPF_MEM or BPF_MEMSX. */
static bool type_name(struct assembler *a, uint8_t *size, uint8_t *mode)
{
    static const struct {
        const char *name;
        uint8_t size, mode;
    } types[] = {
#define MEM(NAME, type, code, text)  {text, code, BPF_MEM},
#define LDSX(NAME, type, code, text) {text, code, BPF_MEMSX},
#include "ebpf/opcodes.def"
    };

    for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
        if (asm_accept(a, types[i].name)) {
            *size = types[i].size;
            *mode = types[i].mode;
            return true;
        }
    }
    return asm_fail(a, "u8, u16, u32, u64, s8, s16 or s32");
}

/* (u32 *)(r1 +4) */
bool asm_address(struct assembler *a, uint8_t *size, uint8_t *mode, unsigned *base, int64_t *off)
{
    return asm_expect(a, "(") && type_name(a, size, mode) && asm_expect(a, "*)") &&
           asm_expect(a, "(") && asm_expect_reg(a, 'r', base) && asm_expect_number(a, off) &&
           asm_expect(a, ")");
}

bool asm_store(struct assembler *a)
{
    uint8_t size, mode;
    unsigned base, src;
    int64_t off, imm;

    if (!asm_address(a, &size, &mode, &base, &off) || !asm_expect(a, "="))
        return false;
    if (asm_reg(a, 'r', &src))
        return asm_emit(a, BPF_STX | BPF_MEM | size, base, src, off, 0);
    return asm_expect_number(a, &imm) && asm_emit(a, BPF_ST | BPF_MEM | size, base, 0, off, imm);
}

/* lock *(u64 *)(r1 +0) += r2 */
bool asm_lock(struct assembler *a)
{
    static const struct {
        const char *text;
        int32_t imm;
    } ops[] = {{"+=", BPF_ADD}, {"|=", BPF_OR}, {"&=", BPF_AND}, {"^=", BPF_XOR}};
    uint8_t size, mode;
    unsigned base, src;
    int64_t off;

    if (!asm_expect(a, "*") || !asm_address(a, &size, &mode, &base, &off))
        return false;
    for (unsigned i = 0; i < ARRAY_LEN(ops); i++)
        if (asm_accept(a, ops[i].text))
            return asm_expect_reg(a, 'r', &src) &&
                   asm_emit(a, BPF_STX | BPF_ATOMIC | size, base, src, off, ops[i].imm);
    return asm_fail(a, "+=, |=, &= or ^=");
}

/* What follows `rN = ` in rN = atomic64_fetch_add((u64 *)(r1 +0), rN); false without an error when
 * it is something else. */
bool asm_atomic(struct assembler *a, unsigned dst)
{
    static const struct {
        const char *name;
        int32_t imm;
    } ops[] = {
#define ATOMIC(NAME, function, imm) {((imm)&BPF_FETCH) ? #function : NULL, imm},
#include "ebpf/opcodes.def"
    };
    char name[NAME_MAX_];
    uint8_t size, mode;
    unsigned base, src, r0;
    int64_t off;

    for (unsigned i = 0; i < ARRAY_LEN(ops); i++) {
        const char *fetch = ops[i].imm == BPF_XCHG || ops[i].imm == BPF_CMPXCHG ? "" : "fetch_";

        for (unsigned wide = 0; ops[i].name && wide < 2; wide++) {
            snprintf(name, sizeof(name), "atomic%s_%s%s", wide ? "64" : "", fetch, ops[i].name);
            if (!asm_accept(a, name))
                continue;
            if (!asm_expect(a, "(") || !asm_address(a, &size, &mode, &base, &off) ||
                !asm_expect(a, ","))
                return false;
            if (ops[i].imm == BPF_CMPXCHG && (!asm_expect_reg(a, 'r', &r0) || !asm_expect(a, ",")))
                return false;
            if (!asm_expect_reg(a, 'r', &src) || !asm_expect(a, ")"))
                return false;
            if (dst != (ops[i].imm == BPF_CMPXCHG ? 0 : src))
                return asm_fail(a, "the register that the old value goes to");
            return asm_emit(a, BPF_STX | BPF_ATOMIC | size, base, src, off, ops[i].imm);
        }
    }
    return false;
}
