/*
 * Random changes to generated programs: a verifier refuses most of what comes of it, and what it
 * accepts must be as safe as any other program. See generate.h.
 */
#include "ebpf/base.h"
#include "ebpf/isa.h"
#include "tests/fuzz/generate.h"
#include "tests/fuzz/random.h"

static int32_t near(struct random *r, int32_t value)
{
    switch (random_below(r, 4)) {
    case 0:
        return (int32_t)((uint32_t)value + (random_one_in(r, 2) ? 1u : -1u));
    case 1:
        return (int32_t)((uint32_t)value + (random_one_in(r, 2) ? 8u : -8u));
    case 2:
        return (int32_t)((uint32_t)value ^ 1u << random_below(r, 32));
    default:
        return (int32_t)random_number(r);
    }
}

/* Another operation, source or width of the same class. */
static void change_code(struct random *r, struct bpf_insn *insn)
{
    uint8_t class = BPF_CLASS(insn->code);

    if (class == BPF_LDX || class == BPF_ST || class == BPF_STX)
        insn->code = (uint8_t)((insn->code & ~BPF_DW) | random_below(r, 4) << 3);
    else if (random_one_in(r, 3))
        insn->code ^= BPF_ALU ^ BPF_ALU64; /* the other width; jumps: likewise, 5 and 6 */
    else if (class == BPF_JMP || class == BPF_JMP32)
        insn->code = (uint8_t)((insn->code & 0xf) | random_below(r, 14) << 4);
    else
        insn->code = (uint8_t)((insn->code & 0xf) | random_below(r, 13) << 4);
    if (class == BPF_JMP || class == BPF_JMP32)
        insn->code = (uint8_t)((insn->code & ~7) | (random_one_in(r, 4) ? BPF_JMP32 : BPF_JMP));
}

static void change_one(struct random *r, struct generated *p, uint32_t at)
{
    struct bpf_insn *insn = &p->insns[at], other;
    uint32_t next = at + 1 < p->nr_insns ? at + 1 : at;

    switch (random_below(r, 9)) {
    case 0:
    case 1:
    case 2:
        insn->imm = near(r, insn->imm);
        break;
    case 3:
        insn->off = (int16_t)near(r, insn->off);
        break;
    case 4:
        insn->dst_reg = random_below(r, ISA_REGISTERS) & 15;
        break;
    case 5:
        insn->src_reg = random_below(r, ISA_REGISTERS) & 15;
        break;
    case 6:
        change_code(r, insn);
        break;
    case 7: /* left out */
        *insn = (struct bpf_insn){.code = BPF_JMP | BPF_JA};
        break;
    default:
        other = p->insns[next];
        p->insns[next] = *insn;
        *insn = other;
        break;
    }
}

/* Makes `changes` random changes; deterministic in seed. */
void generate_mutate(uint64_t seed, unsigned changes, struct generated *program)
{
    struct random r = {seed};

    while (changes--) {
        uint32_t at = random_below(&r, program->nr_insns);

        /* A half of an ld_imm64 left alone or changed is refused for its form alone. */
        if (program->insns[at].code == 0 ||
            (program->insns[at].code == (BPF_LD | BPF_IMM | BPF_DW) && !random_one_in(&r, 8)))
            continue;
        change_one(&r, program, at);
    }
}
