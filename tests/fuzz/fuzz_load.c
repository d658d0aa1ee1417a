/*
 * Fuzz target: any bytes as a program, through the decoder and the verifier; what is accepted runs
 * in the checked interpreter without a fault. The first byte chooses the program type and the maps,
 * instructions follow. Half of what the mutator makes comes from the program generator, so that
 * much of it gets past the first instruction.
 */
#include <linux/errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/base.h"
#include "ebpf/ebpf.h"
#include "ebpf/prog.h"
#include "tests/fuzz/trial.h"

#define HEAD 8u /* bytes before the instructions; as many as keep them aligned */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

static struct generated program;
static const uint32_t types[] = {EBPF_PROG_TYPE_MEM, BPF_PROG_TYPE_XDP, BPF_PROG_TYPE_SCHED_CLS,
                                 BPF_PROG_TYPE_SOCKET_FILTER};

/* What the first byte says, and the program behind. */
static void unpack(const uint8_t *data, size_t size)
{
    static const struct generated_map maps[] = {
        {BPF_MAP_TYPE_ARRAY, 4, 16, 1},
        {BPF_MAP_TYPE_HASH, 8, 24, 4},
        {BPF_MAP_TYPE_ARRAY, 4, 64, 8},
        {BPF_MAP_TYPE_HASH, 16, 8, 2},
        {BPF_MAP_TYPE_RINGBUF, 0, 0, 4096},
        {BPF_MAP_TYPE_ARRAY, 4, 24, 1, .locked = true},
        {BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 2, .inner = 1},
    };

    memset(&program, 0, sizeof(program));
    program.prog_type = types[data[0] % ARRAY_LEN(types)];
    program.nr_maps = ARRAY_LEN(maps);
    memcpy(program.maps, maps, sizeof(maps));
    program.nr_insns = (uint32_t)((size - HEAD) / sizeof(program.insns[0]));
    if (program.nr_insns > GENERATE_INSNS_MAX)
        program.nr_insns = GENERATE_INSNS_MAX;
    memcpy(program.insns, data + HEAD, program.nr_insns * sizeof(program.insns[0]));
}

static size_t pack(const struct generated *p, uint8_t *data, size_t max)
{
    size_t bytes = p->nr_insns * sizeof(p->insns[0]);

    if (HEAD + bytes > max)
        return 0;
    memset(data, 0, HEAD);
    while (data[0] + 1u < ARRAY_LEN(types) && types[data[0]] != p->prog_type)
        data[0]++;
    memcpy(data + HEAD, p->insns, bytes);
    return HEAD + bytes;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    size_t made = 0;

    if (seed % 16 == 0) {
        generate_program(seed, &program);
        made = pack(&program, data, max);
    } else if (seed % 2 == 0 && size >= HEAD + sizeof(program.insns[0])) {
        unpack(data, size);
        generate_mutate(seed, 1 + seed / 2 % 3, &program);
        made = pack(&program, data, max);
    }
    return made ? made : LLVMFuzzerMutate(data, size, max);
}

static void run_accepted(struct trial *t)
{
    struct trial_result result;
    uint8_t data[GENERATE_INPUT_MAX];

    for (uint64_t seed = 0; seed < 3; seed++) {
        trial_run(t, data, generate_input(seed, data), &result);
        if (result.err == -EFAULT) {
            fprintf(stderr, "accepted, but: %s\n", t->prog->last_fault);
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trial t;

    if (size < HEAD + sizeof(program.insns[0]))
        return 0;
    if (ebpf_init(1 << 24))
        abort();
    unpack(data, size);
    if (trial_load(&t, &program) == 0)
        run_accepted(&t);
    trial_unload(&t);
    if (ebpf_shutdown())
        abort(); /* something is left over */
    return 0;
}
