/*
 * What the instructions compute, written once: the interpreters run these functions, and the
 * verifier's constants, the JIT's tests and the assembler's tests are held against them. Pure. RFC
 * 9669 4.1 to 4.3 and 5.3.
 *
 * Operands arrive as whole 64-bit registers. The 32-bit forms use their low halves and return the
 * result zero-extended. Shift counts are masked to the width; division by zero gives 0, and a
 * remainder by zero leaves the dividend; INT_MIN / -1 gives INT_MIN, its remainder 0.
 */
#ifndef SKEP_EBPF_ALU_H
#define SKEP_EBPF_ALU_H

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t alu_add64(uint64_t dst, uint64_t src)
{
    return dst + src;
}

static inline uint64_t alu_add32(uint64_t dst, uint64_t src)
{
    return (uint32_t)((uint32_t)dst + (uint32_t)src);
}

static inline uint64_t alu_sub64(uint64_t dst, uint64_t src)
{
    return dst - src;
}

static inline uint64_t alu_sub32(uint64_t dst, uint64_t src)
{
    return (uint32_t)((uint32_t)dst - (uint32_t)src);
}

static inline uint64_t alu_mul64(uint64_t dst, uint64_t src)
{
    return dst * src;
}

static inline uint64_t alu_mul32(uint64_t dst, uint64_t src)
{
    return (uint32_t)((uint32_t)dst * (uint32_t)src);
}

static inline uint64_t alu_or64(uint64_t dst, uint64_t src)
{
    return dst | src;
}

static inline uint64_t alu_or32(uint64_t dst, uint64_t src)
{
    return (uint32_t)(dst | src);
}

static inline uint64_t alu_and64(uint64_t dst, uint64_t src)
{
    return dst & src;
}

static inline uint64_t alu_and32(uint64_t dst, uint64_t src)
{
    return (uint32_t)(dst & src);
}

static inline uint64_t alu_xor64(uint64_t dst, uint64_t src)
{
    return dst ^ src;
}

static inline uint64_t alu_xor32(uint64_t dst, uint64_t src)
{
    return (uint32_t)(dst ^ src);
}

static inline uint64_t alu_mov64(uint64_t dst, uint64_t src)
{
    (void)dst;
    return src;
}

static inline uint64_t alu_mov32(uint64_t dst, uint64_t src)
{
    (void)dst;
    return (uint32_t)src;
}

/* ---- division ------------------------------------------------------------------------------ */

static inline uint64_t alu_div64(uint64_t dst, uint64_t src)
{
    return src ? dst / src : 0;
}

static inline uint64_t alu_mod64(uint64_t dst, uint64_t src)
{
    return src ? dst % src : dst;
}

static inline uint64_t alu_sdiv64(uint64_t dst, uint64_t src)
{
    int64_t a = (int64_t)dst, b = (int64_t)src;

    if (b == 0)
        return 0;
    return b == -1 ? 0 - dst : (uint64_t)(a / b);
}

static inline uint64_t alu_smod64(uint64_t dst, uint64_t src)
{
    int64_t a = (int64_t)dst, b = (int64_t)src;

    if (b == 0)
        return (uint64_t)a;
    return b == -1 ? 0 : (uint64_t)(a % b);
}

static inline uint64_t alu_div32(uint64_t dst, uint64_t src)
{
    return (uint32_t)src ? (uint32_t)dst / (uint32_t)src : 0;
}

static inline uint64_t alu_mod32(uint64_t dst, uint64_t src)
{
    return (uint32_t)src ? (uint32_t)dst % (uint32_t)src : (uint32_t)dst;
}

static inline uint64_t alu_sdiv32(uint64_t dst, uint64_t src)
{
    int32_t a = (int32_t)dst, b = (int32_t)src;

    if (b == 0)
        return 0;
    return b == -1 ? (uint32_t)(0 - (uint32_t)dst) : (uint32_t)(a / b);
}

static inline uint64_t alu_smod32(uint64_t dst, uint64_t src)
{
    int32_t a = (int32_t)dst, b = (int32_t)src;

    if (b == 0)
        return (uint32_t)a;
    return b == -1 ? 0 : (uint32_t)(a % b);
}

/* ---- shifts: an arithmetic right shift of a signed number is what gcc and clang define ------- */

static inline uint64_t alu_lsh64(uint64_t dst, uint64_t src)
{
    return dst << (src & 63);
}

static inline uint64_t alu_lsh32(uint64_t dst, uint64_t src)
{
    return (uint32_t)dst << (src & 31);
}

static inline uint64_t alu_rsh64(uint64_t dst, uint64_t src)
{
    return dst >> (src & 63);
}

static inline uint64_t alu_rsh32(uint64_t dst, uint64_t src)
{
    return (uint32_t)dst >> (src & 31);
}

static inline uint64_t alu_arsh64(uint64_t dst, uint64_t src)
{
    return (uint64_t)((int64_t)dst >> (src & 63));
}

static inline uint64_t alu_arsh32(uint64_t dst, uint64_t src)
{
    return (uint32_t)((int32_t)dst >> (src & 31));
}

/* ---- negation, sign extension, byte order (for a little-endian machine) --------------------- */

static inline uint64_t alu_neg64(uint64_t dst)
{
    return 0 - dst;
}

static inline uint64_t alu_neg32(uint64_t dst)
{
    return (uint32_t)(0 - (uint32_t)dst);
}

static inline uint64_t alu_movsx8_32(uint64_t src)
{
    return (uint32_t)(int8_t)src;
}

static inline uint64_t alu_movsx16_32(uint64_t src)
{
    return (uint32_t)(int16_t)src;
}

static inline uint64_t alu_movsx8_64(uint64_t src)
{
    return (uint64_t)(int8_t)src;
}

static inline uint64_t alu_movsx16_64(uint64_t src)
{
    return (uint64_t)(int16_t)src;
}

static inline uint64_t alu_movsx32_64(uint64_t src)
{
    return (uint64_t)(int32_t)src;
}

static inline uint64_t alu_le16(uint64_t dst)
{
    return (uint16_t)dst;
}

static inline uint64_t alu_le32(uint64_t dst)
{
    return (uint32_t)dst;
}

static inline uint64_t alu_le64(uint64_t dst)
{
    return dst;
}

static inline uint64_t alu_bswap16(uint64_t dst)
{
    return __builtin_bswap16((uint16_t)dst);
}

static inline uint64_t alu_bswap32(uint64_t dst)
{
    return __builtin_bswap32((uint32_t)dst);
}

static inline uint64_t alu_bswap64(uint64_t dst)
{
    return __builtin_bswap64(dst);
}

static inline uint64_t alu_be16(uint64_t dst)
{
    return alu_bswap16(dst);
}

static inline uint64_t alu_be32(uint64_t dst)
{
    return alu_bswap32(dst);
}

static inline uint64_t alu_be64(uint64_t dst)
{
    return alu_bswap64(dst);
}

/* ---- conditions ----------------------------------------------------------------------------- */

static inline bool alu_jeq64(uint64_t dst, uint64_t src)
{
    return dst == src;
}

static inline bool alu_jeq32(uint64_t dst, uint64_t src)
{
    return (uint32_t)dst == (uint32_t)src;
}

static inline bool alu_jne64(uint64_t dst, uint64_t src)
{
    return dst != src;
}

static inline bool alu_jne32(uint64_t dst, uint64_t src)
{
    return (uint32_t)dst != (uint32_t)src;
}

static inline bool alu_jgt64(uint64_t dst, uint64_t src)
{
    return dst > src;
}

static inline bool alu_jgt32(uint64_t dst, uint64_t src)
{
    return (uint32_t)dst > (uint32_t)src;
}

static inline bool alu_jge64(uint64_t dst, uint64_t src)
{
    return dst >= src;
}

static inline bool alu_jge32(uint64_t dst, uint64_t src)
{
    return (uint32_t)dst >= (uint32_t)src;
}

static inline bool alu_jlt64(uint64_t dst, uint64_t src)
{
    return dst < src;
}

static inline bool alu_jlt32(uint64_t dst, uint64_t src)
{
    return (uint32_t)dst < (uint32_t)src;
}

static inline bool alu_jle64(uint64_t dst, uint64_t src)
{
    return dst <= src;
}

static inline bool alu_jle32(uint64_t dst, uint64_t src)
{
    return (uint32_t)dst <= (uint32_t)src;
}

static inline bool alu_jsgt64(uint64_t dst, uint64_t src)
{
    return (int64_t)dst > (int64_t)src;
}

static inline bool alu_jsgt32(uint64_t dst, uint64_t src)
{
    return (int32_t)dst > (int32_t)src;
}

static inline bool alu_jsge64(uint64_t dst, uint64_t src)
{
    return (int64_t)dst >= (int64_t)src;
}

static inline bool alu_jsge32(uint64_t dst, uint64_t src)
{
    return (int32_t)dst >= (int32_t)src;
}

static inline bool alu_jslt64(uint64_t dst, uint64_t src)
{
    return (int64_t)dst < (int64_t)src;
}

static inline bool alu_jslt32(uint64_t dst, uint64_t src)
{
    return (int32_t)dst < (int32_t)src;
}

static inline bool alu_jsle64(uint64_t dst, uint64_t src)
{
    return (int64_t)dst <= (int64_t)src;
}

static inline bool alu_jsle32(uint64_t dst, uint64_t src)
{
    return (int32_t)dst <= (int32_t)src;
}

static inline bool alu_jset64(uint64_t dst, uint64_t src)
{
    return (dst & src) != 0;
}

static inline bool alu_jset32(uint64_t dst, uint64_t src)
{
    return (uint32_t)(dst & src) != 0;
}

/* ---- atomic operations: on naturally aligned memory; each returns what stood there before
 * -------- r0 is what cmpxchg compares with; the others ignore it. */

static inline uint64_t alu_atomic_add64(uint64_t *mem, uint64_t src, uint64_t r0)
{
    (void)r0;
    return __atomic_fetch_add(mem, src, __ATOMIC_SEQ_CST);
}

static inline uint64_t alu_atomic_or64(uint64_t *mem, uint64_t src, uint64_t r0)
{
    (void)r0;
    return __atomic_fetch_or(mem, src, __ATOMIC_SEQ_CST);
}

static inline uint64_t alu_atomic_and64(uint64_t *mem, uint64_t src, uint64_t r0)
{
    (void)r0;
    return __atomic_fetch_and(mem, src, __ATOMIC_SEQ_CST);
}

static inline uint64_t alu_atomic_xor64(uint64_t *mem, uint64_t src, uint64_t r0)
{
    (void)r0;
    return __atomic_fetch_xor(mem, src, __ATOMIC_SEQ_CST);
}

static inline uint64_t alu_atomic_xchg64(uint64_t *mem, uint64_t src, uint64_t r0)
{
    (void)r0;
    return __atomic_exchange_n(mem, src, __ATOMIC_SEQ_CST);
}

static inline uint64_t alu_atomic_cmpxchg64(uint64_t *mem, uint64_t src, uint64_t r0)
{
    uint64_t expected = r0;

    __atomic_compare_exchange_n(mem, &expected, src, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return expected;
}

static inline uint64_t alu_atomic_add32(uint32_t *mem, uint64_t src, uint64_t r0)
{
    (void)r0;
    return __atomic_fetch_add(mem, (uint32_t)src, __ATOMIC_SEQ_CST);
}

static inline uint64_t alu_atomic_or32(uint32_t *mem, uint64_t src, uint64_t r0)
{
    (void)r0;
    return __atomic_fetch_or(mem, (uint32_t)src, __ATOMIC_SEQ_CST);
}

static inline uint64_t alu_atomic_and32(uint32_t *mem, uint64_t src, uint64_t r0)
{
    (void)r0;
    return __atomic_fetch_and(mem, (uint32_t)src, __ATOMIC_SEQ_CST);
}

static inline uint64_t alu_atomic_xor32(uint32_t *mem, uint64_t src, uint64_t r0)
{
    (void)r0;
    return __atomic_fetch_xor(mem, (uint32_t)src, __ATOMIC_SEQ_CST);
}

static inline uint64_t alu_atomic_xchg32(uint32_t *mem, uint64_t src, uint64_t r0)
{
    (void)r0;
    return __atomic_exchange_n(mem, (uint32_t)src, __ATOMIC_SEQ_CST);
}

static inline uint64_t alu_atomic_cmpxchg32(uint32_t *mem, uint64_t src, uint64_t r0)
{
    uint32_t expected = (uint32_t)r0;

    __atomic_compare_exchange_n(mem, &expected, (uint32_t)src, false, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    return expected;
}

#endif
