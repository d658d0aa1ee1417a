/*
 * The engines of verified programs: see engine.h. A tail call may lead from one engine into
 * another; the program that it leads to runs in its own.
 */
#include "ebpf/engine.h"

#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/context.h"
#include "ebpf/helpers.h"
#include "ebpf/interp_fast.h"
#include "ebpf/jit.h"
#include "ebpf/lower.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/proof.h"

/* Bytes of the machine's stack that a run may have used where it tail calls. */
#define TAIL_CALL_STACK_MAX 8192u

/* Makes a verified program ready to run in an engine, instead of the one it had. -EINVAL without a
 * proof, -ENOMEM; the program is then as before. Not while it runs. Thread context. */
int ebpf_engine_prepare(struct ebpf_prog *prog, enum ebpf_engine engine)
{
    struct ebpf_lowered *lowered = NULL;
    struct ebpf_jit *jit = NULL;
    int err = 0;

    if (engine != EBPF_CHECKED) {
        err = prog->proof ? ebpf_lower(prog, prog->proof, LOWER_ALL, &lowered) : -EINVAL;
        if (!err && engine == EBPF_JIT)
            err = ebpf_jit_compile(prog, lowered, port_cpu_features(), &jit);
    }
    if (err) {
        ebpf_lower_free(lowered);
        return err;
    }
    ebpf_engine_release(prog);
    if (engine == EBPF_JIT) {
        ebpf_lower_free(lowered);
        lowered = NULL;
    }
    prog->lowered = lowered;
    prog->jit = jit;
    prog->engine = engine;
    return 0;
}

/* Back to the checked interpreter. */
void ebpf_engine_release(struct ebpf_prog *prog)
{
    ebpf_lower_free(prog->lowered);
    ebpf_jit_free(prog->jit);
    prog->lowered = NULL;
    prog->jit = NULL;
    prog->engine = EBPF_CHECKED;
}

/* Whether a run gives the program all that its proof counts on. Where it does not, the checked
 * interpreter is to run it. */
bool ebpf_engine_takes(const struct ebpf_prog *prog, const void *ctx, uint32_t ctx_size)
{
    uintptr_t start, end;

    if (prog->engine == EBPF_CHECKED || ctx_size < prog->proof->ctx_end)
        return false;
    if (prog->type != EBPF_PROG_TYPE_MEM)
        return true;
    ebpf_context_packet(prog->type, ctx, &start, &end);
    return prog->proof->mem_exact ? end - start == prog->proof->mem_size
                                  : end - start >= prog->proof->mem_size;
}

/* What every run begins with, and what it must not leave behind. */
static uint64_t run_code(struct ebpf_run *run, ebpf_jit_entry entry, uint64_t r1, uint64_t r2,
                         uint32_t times)
{
    uint64_t result = 0;

    struct ebpf_prog *prog = run->prog;

    while (times-- > 0) {
        run->tail_calls = 0;
        run->prog = prog;
        result = entry(r1, r2);
        if (run->nr_records)
            ebpf_ringbuf_discard_all(run);
    }
    return result;
}

static uint64_t run_fast(struct ebpf_run *run, uint64_t r1, uint64_t r2, uint8_t *stack_end,
                         uint32_t times)
{
    const uint64_t args[5] = {r1, r2};
    uint64_t result = 0;

    struct ebpf_prog *prog = run->prog;

    while (times-- > 0) {
        run->tail_calls = 0;
        run->prog = prog;
        result = ebpf_fast_run(run, prog->lowered, 0, args, stack_end);
        if (run->nr_records)
            ebpf_ringbuf_discard_all(run);
    }
    return result;
}

/* Runs run->prog, which is ready, on run->ctx, some times over (at least once). The last run's r0.
 * stack_end is the interpreter's (see interp_fast.h); machine code uses the machine's. */
uint64_t ebpf_engine_run(struct ebpf_run *run, uint8_t *stack_end, uint32_t times)
{
    const struct ebpf_prog *prog = run->prog;
    uint64_t r1 = (uintptr_t)run->ctx, r2 = 0;

    if (prog->type == EBPF_PROG_TYPE_MEM) {
        uintptr_t start, end;

        ebpf_context_packet(prog->type, run->ctx, &start, &end);
        r1 = start;
        r2 = end - start;
    }
    run->call = prog->engine == EBPF_INTERP ? ebpf_fast_call_back : NULL;
    return prog->engine == EBPF_JIT ? run_code(run, ebpf_jit_entry_of(prog->jit), r1, r2, times)
                                    : run_fast(run, r1, r2, stack_end, times);
}

/* Calls one function of run->prog, which is ready, by its slot. Its r0. */
uint64_t ebpf_engine_call(struct ebpf_run *run, uint32_t function, const uint64_t args[5],
                          uint8_t *stack_end)
{
    const struct ebpf_prog *prog = run->prog;

    if (prog->engine == EBPF_JIT)
        return ((ebpf_helper_fn)(uintptr_t)(prog->jit->code + prog->jit->offsets[function]))(
            args[0], args[1], args[2], args[3], args[4]);
    run->call = ebpf_fast_call_back;
    return ebpf_fast_run(run, prog->lowered, function, args, stack_end);
}

/* The slot of the function that prog's code names so to helpers. */
uint32_t ebpf_engine_function_slot(const struct ebpf_prog *prog, uint64_t function)
{
    if (prog->engine != EBPF_JIT)
        return (uint32_t)function;
    for (uint32_t i = 0; i < prog->nr_insns; i++) {
        uint32_t slot = (uint32_t)prog->decoded[i].imm;

        if (prog->decoded[i].op == OP_LD_IMM64 && prog->insns[i].src_reg == BPF_PSEUDO_FUNC &&
            (uintptr_t)(prog->jit->code + prog->jit->offsets[slot]) == function)
            return slot;
    }
    port_fatal("ebpf: 0x%lx is no function of program %u", (unsigned long)function,
               prog->object.id);
}

/* As on Linux, where a program array holds programs of one kind: those of another engine count as
 * absent. So do those that the stack has no room for, below the frames that are in use. */
struct ebpf_prog *ebpf_engine_tail_target(struct ebpf_run *run, struct ebpf_map *map,
                                          uint32_t index, uint32_t frames)
{
    struct ebpf_prog *target = map->ops->prog_at(map, index);

    if (!target || target->type != run->prog->type || target->engine != run->prog->engine ||
        run->tail_calls == ISA_TAIL_CALLS_MAX ||
        frames + target->proof->max_frames > ISA_FRAMES_MAX ||
        !ebpf_engine_takes(target, run->ctx, run->ctx_size))
        return NULL;
    run->tail_calls++;
    run->prog = target;
    return target;
}

/* Called by machine code: {0, 0} when the call falls through. */
struct ebpf_tail_target ebpf_jit_tail_call(uint64_t ctx, uint64_t map, uint64_t index)
{
    struct ebpf_run *run = ebpf_run_current();
    size_t used = (uintptr_t)run->frame - (uintptr_t)__builtin_frame_address(0);
    const struct ebpf_prog *target =
        used > TAIL_CALL_STACK_MAX
            ? NULL
            : ebpf_engine_tail_target(run, (struct ebpf_map *)map, (uint32_t)index, 0);

    return target ? (struct ebpf_tail_target){(uintptr_t)target->jit->code, ctx}
                  : (struct ebpf_tail_target){0, 0};
}

void ebpf_jit_take_back(struct ebpf_prog *prog)
{
    ebpf_run_current()->prog = prog;
}
