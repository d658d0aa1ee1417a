/*
 * The verifier's walk: every path of the program, depth first, as abstract states; and what it
 * gives to those who build on the proof. Called by prog.c at load and by tools.
 *
 * Safe means: each access inside its memory, each argument as its helper wants it, every reference
 * given back, the end reached within a bounded number of instructions. Not looked at: what the
 * program computes, and how long helpers take. Linux: kernel/bpf/verifier.c, do_check.
 */
#include "ebpf/base.h"
#include "ebpf/context.h"
#include "ebpf/ebpf.h"
#include "ebpf/helper.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"
#include "ebpf/verifier_state.h"

#define ANCHOR_EVERY  128u /* instructions; bounds how far numbers are followed back */
#define KEEP_EVERY    4u
#define CROWDED_EVERY 64u
#define SCRATCH_SIZE  8192u

static struct ebpf_verify_cost last_cost;

/* ---- one instruction ----------------------------------------------------------------------------
 */

static bool load_immediate(struct verifier *v, const struct ebpf_decoded *insn)
{
    const struct bpf_insn *raw = &v->load->insns[v->now->pc];
    struct reg *dst = reg_now(v, insn->dst);

    switch (raw->src_reg) {
    case BPF_PSEUDO_MAP_FD:
    case BPF_PSEUDO_MAP_IDX:
        *dst = (struct reg){.type = REG_MAP, .map = v->load->maps[raw->imm], .n = scalar_const(0)};
        break;
    case BPF_PSEUDO_MAP_VALUE:
    case BPF_PSEUDO_MAP_IDX_VALUE:
        *dst = (struct reg){.type = REG_MAP_VALUE,
                            .map = v->load->maps[raw->imm],
                            .off = (uint32_t)raw[1].imm,
                            .n = scalar_const(0)};
        break;
    case BPF_PSEUDO_FUNC:
        *dst = (struct reg){.type = REG_FUNC, .target = insn->imm, .n = scalar_const(0)};
        break;
    default:
        reg_set_scalar(dst, scalar_const(insn->imm));
    }
    v->now->pc += 2;
    return true;
}

static bool may_goto(struct verifier *v, const struct ebpf_decoded *insn)
{
    if (!push_branch(v, v->now, (uint32_t)insn->off))
        return false;
    frame_now(v)->may_gotos++;
    v->now->pc++;
    return true;
}

/* *ended: the path ends here, well. False: rejected. */
static bool step(struct verifier *v, bool *ended)
{
    const struct ebpf_decoded *insn = &v->code[v->now->pc];
    bool ok;

    switch ((enum ebpf_op)insn->op) {
#define MEM(NAME, type, code, text)                                                                \
    case OP_LDX_##NAME:                                                                            \
        ok = memory_load(v, insn, sizeof(type), false);                                            \
        break;                                                                                     \
    case OP_STX_##NAME:                                                                            \
        ok = memory_store(v, insn, sizeof(type), false);                                           \
        break;                                                                                     \
    case OP_ST_##NAME:                                                                             \
        ok = memory_store(v, insn, sizeof(type), true);                                            \
        break;
#define LDSX(NAME, type, code, text)                                                               \
    case OP_LDSX_##NAME:                                                                           \
        ok = memory_load(v, insn, sizeof(type), true);                                             \
        break;
#define ATOMIC(NAME, function, imm)                                                                \
    case OP_ATOMIC_##NAME##64:                                                                     \
        ok = memory_atomic(v, insn, 8, imm);                                                       \
        break;                                                                                     \
    case OP_ATOMIC_##NAME##32:                                                                     \
        ok = memory_atomic(v, insn, 4, imm);                                                       \
        break;
#define JUMP(NAME, name, code, text)                                                               \
    case OP_##NAME##64_K:                                                                          \
    case OP_##NAME##64_X:                                                                          \
    case OP_##NAME##32_K:                                                                          \
    case OP_##NAME##32_X:                                                                          \
        return branch_step(v, insn, ended);
#include "ebpf/opcodes.def"
    case OP_JA:
        v->now->pc = (uint32_t)insn->off;
        return true;
    case OP_MAY_GOTO:
        return may_goto(v, insn);
    case OP_CALL_HELPER:
    case OP_TAIL_CALL:
        return helper_step(v, insn);
    case OP_CALL_LOCAL:
        return call_step(v, insn);
    case OP_EXIT:
        return exit_step(v, ended);
    case OP_LD_IMM64:
        return load_immediate(v, insn);
    default:
        ok = alu_step(v, insn);
        break;
    }
    v->now->pc++;
    return ok;
}

/* ---- the walk -----------------------------------------------------------------------------------
 */

/* v->now is where paths meet. *ended: nothing new from here on. False: rejected. */
static bool meet(struct verifier *v, bool *ended)
{
    const struct insn_info *info = &v->info[v->now->pc];
    unsigned open;

    if (info->loop_head) {
        switch (loop_arrive(v)) {
        case ARRIVAL_DONE:
            verifier_tell(v, WALK_LOOP_CLOSED, v->now->pc, NULL);
            *ended = true;
            return true;
        case ARRIVAL_STARTED:
            verifier_tell(v, WALK_LOOP_STARTED, v->now->pc, v->path[v->nr_path - 1]);
            return true;
        case ARRIVAL_FAIL:
            return false;
        case ARRIVAL_GO_ON:
            break;
        }
    }
    if (states_include(v, &open)) {
        *ended = true;
        return true;
    }
    /* The trips of a loop that is walked differ anyhow: some of them are enough to compare with. */
    if (open ? path_since_kept(v) < CROWDED_EVERY && !(info->calls_back && frame_now(v)->trips == 0)
             : path_since_kept(v) < KEEP_EVERY && !info->loop_head)
        return true;
    return path_keep(v, open < OPEN_MAX || info->calls_back);
}

static bool advance(struct verifier *v, bool *ended)
{
    uint32_t pc = v->now->pc;

    v->err_slot = pc;
    if (v->info[pc].merge) {
        if (!meet(v, ended) || *ended)
            return !v->err;
        pc = v->now->pc;
    } else if (path_since_kept(v) >= ANCHOR_EVERY && !path_keep(v, false)) {
        return false;
    }
    if (v->cost.processed >= PROCESSED_MAX)
        return verifier_reject(v, -E2BIG, RULE_TOO_COMPLEX, NO_REG,
                               "BPF program is too large. Processed %u insn: its paths could not "
                               "all be walked",
                               v->cost.processed + 1);
    v->cost.processed++;
    if (!verifier_grow(v, (void **)&v->trace, &v->trace_room, v->nr_trace + 1, sizeof(v->trace[0])))
        return false;
    v->trace[v->nr_trace++] = pc;
    v->proof->slots[pc].reached = true;
    verifier_tell(v, WALK_INSN, pc, NULL);
    if (!step(v, ended))
        return false;
    v->info[pc].explored = true;
    verifier_tell(v,
                  !*ended                     ? WALK_STEPPED
                  : v->code[pc].op == OP_EXIT ? WALK_EXITED
                                              : WALK_DEAD_END,
                  v->now->pc, NULL);
    return true;
}

/* Takes the next way that was put aside. False: there is none. */
static bool next_branch(struct verifier *v)
{
    while (v->nr_branches) {
        struct branch b = v->branches[--v->nr_branches];
        bool possible = true;

        path_cut(v, b.nr_path);
        v->nr_trace = b.nr_trace;
        if (b.loop) {
            verifier_tell(v, WALK_LOOP_PROVEN, b.state->pc, loop_head(b.loop));
            loop_succeed(v, &b);
            continue;
        }
        unkeep(v, b.state, v->now);
        keep_free(v, b.state);
        if (b.way == WAY_JUMP)
            possible = branch_take(v, true);
        else if (b.way == WAY_FALL)
            possible = branch_take(v, false);
        verifier_tell(v, possible ? WALK_RESUMED : WALK_IMPOSSIBLE, v->now->pc, NULL);
        if (possible)
            return true;
    }
    path_cut(v, 0);
    return false;
}

static void walk(struct verifier *v)
{
    bool going = true;

    while (going) {
        bool ended = false;

        if (!advance(v, &ended)) {
            going = !v->first_is_final && loop_fall_back(v);
            verifier_tell(v, going ? WALK_LOOP_UNDONE : WALK_REJECTED,
                          going ? v->now->pc : v->err_slot, NULL);
        } else if (ended) {
            going = next_branch(v);
        }
    }
}

/* ---- beginning and end --------------------------------------------------------------------------
 */

/* Everything that the program can be entered by; timers' functions are found on the way. */
static void walk_all(struct verifier *v)
{
    v->next_id = ID_LENGTH;
    if (!entry_add(v, (struct entry){.kind = ENTRY_PROGRAM}) || !function_find_globals(v))
        return;
    function_find_movers(v);
    for (uint32_t i = 0; i < v->nr_entries && !v->err; i++)
        if (entry_begin(v, i)) {
            verifier_tell(v, WALK_STARTED, v->now->pc, NULL);
            walk(v);
        }
    if (!v->err)
        function_check_depth(v);
}

static void finish(struct verifier *v)
{
    struct ebpf_proof *proof = v->proof;

    proof->processed = v->cost.processed;
    proof->peak_states = v->cost.peak_states;
    proof->total_states = v->cost.total_states;
    proof->peak_bytes = v->cost.peak_bytes;
    proof->mem_size = v->load->mem_size;
    proof->mem_exact = v->load->mem_exact;
    v->cost.insn = v->err_slot;
    last_cost = v->cost;
}

static void release_states(struct verifier *v)
{
    while (v->nr_branches) {
        struct branch *b = &v->branches[--v->nr_branches];

        if (b->loop)
            loop_free(v, b->loop);
        keep_free(v, b->state);
    }
    path_cut(v, 0);
    states_drop_since(v, 0);
}

static void release(struct verifier *v)
{
    release_states(v);
    log_end(v);
    past_end(v);
    port_free(v->branches);
    port_free(v->entries);
    port_free(v->path);
    port_free(v->trace);
    port_free(v->scratch);
    port_free(v->now);
    port_free_pages(v->info, round_up_to((uint64_t)v->nr * sizeof(v->info[0]), 4096));
    port_free(v);
}

void ebpf_proof_free(struct ebpf_proof *proof)
{
    port_free(proof->slots);
    *proof = (struct ebpf_proof){.slots = NULL};
}

void ebpf_verify_get_cost(struct ebpf_verify_cost *out)
{
    *out = last_cost;
}

void ebpf_verify_clear_cost(void)
{
    last_cost = (struct ebpf_verify_cost){.processed = 0};
}

static int allocate(struct verifier *v)
{
    uint64_t size = round_up_to((uint64_t)v->nr * sizeof(v->info[0]), 4096);

    v->info = port_alloc_pages(size);
    v->now = port_alloc(sizeof(*v->now));
    v->scratch = port_alloc(SCRATCH_SIZE);
    v->proof->slots = port_alloc(v->nr * sizeof(v->proof->slots[0]));
    v->proof->nr_slots = v->nr;
    v->proof->max_frames = 1;
    return v->info && v->now && v->scratch && v->proof->slots ? 0 : -ENOMEM;
}

static struct verifier *create(const struct ebpf_prog_load *load,
                               const struct ebpf_decoded *decoded, uint32_t flags,
                               struct ebpf_proof *proof)
{
    struct verifier *v = port_alloc(sizeof(*v));

    *proof = (struct ebpf_proof){.slots = NULL};
    if (!v)
        return NULL;
    v->load = load;
    v->code = decoded;
    v->nr = load->nr_insns;
    v->flags = flags;
    v->context = ebpf_context_get(load->type);
    v->proof = proof;
    v->err = allocate(v);
    return v;
}

static void prove(struct verifier *v)
{
    if (v->err || !lock_check_maps(v) || !verifier_flow(v))
        return;
    if (v->load->log && (v->load->log->level & v->logged))
        log_start(v);
    v->watched = v->watch || v->log || v->past;
    walk_all(v);
}

/* Why the program was rejected. The walk is gone once more, the same way, and this time remembers
 * what the registers were: that costs nothing where nobody asks, or nothing is wrong. */
static void explain(struct verifier *v)
{
    struct ebpf_proof proof;
    struct verifier *again;

    release_states(v);
    again = create(v->load, v->code, v->flags, &proof);
    if (again) {
        again->logged = v->load->log->level & LOG_WALK ? 0 : LOG_PATH;
        again->first_is_final = v->err == -E2BIG && v->first_err;
        past_start(again);
        prove(again);
    }
    why_write(v, again);
    if (again) {
        ebpf_proof_free(&proof);
        release(again);
    }
}

/* At the end of the log: what it cost. Linux: print_verification_stats. */
static void write_totals(const struct verifier *v, uint64_t ns)
{
    struct ebpf_log *log = v->load->log;
    const char *plus = "stack depth ";

    if (log->level & LOG_STATS) {
        ebpf_log_write(log, "verification time %lu usec\n", (unsigned long)(ns / 1000));
        for (uint32_t pc = 0; pc < v->nr; pc++) {
            if (v->info[pc].function != pc)
                continue;
            ebpf_log_write(log, "%s%u", plus, v->info[pc].stack);
            plus = "+";
        }
        ebpf_log_write(log, "\n");
    }
    ebpf_log_write(log,
                   "processed %u insns (limit %u) max_states_per_insn %u total_states %u "
                   "peak_states %u mark_read %u\n",
                   v->cost.processed, PROCESSED_MAX, v->cost.max_states_per_insn,
                   v->cost.total_states, v->cost.peak_states, v->cost.mark_read);
}

/* Proves that a decoded program is safe on every run. 0 and the proof in *out, which the caller
 * frees with ebpf_proof_free; -EACCES, -EINVAL, -E2BIG or -ENOMEM with the reason in load's log:
 * the instruction and its line, the rule, what the register held, how it came there. flags: enum
 * ebpf_verify_flag. Thread context; takes memory in proportion to the program's paths. */
int ebpf_verify(const struct ebpf_prog_load *load, const struct ebpf_decoded *decoded,
                uint32_t flags, struct ebpf_proof *out)
{
    uint64_t ns = port_time_ns();
    struct verifier *v = create(load, decoded, flags, out);
    int err;

    if (!v || v->err)
        ebpf_log_write(load->log, "out of memory for verifying %u instructions\n", load->nr_insns);
    if (!v)
        return -ENOMEM;
    v->watch = load->watch;
    v->logged = LOG_WALK;
    prove(v);
    ns = port_time_ns() - ns;
    err = v->err;
    finish(v);
    if (load->log && load->log->level && v->info) {
        if (err)
            explain(v);
        write_totals(v, ns);
    }
    if (err)
        ebpf_proof_free(out);
    release(v);
    return err;
}
