/*
 * Linux's log levels 1 and 2, in the form that kernel 6.1 prints: each instruction under its line
 * of C, and behind it the registers and slots that it read or wrote. Level 2 is the whole walk;
 * level 1 is the one path that is rejected: what a path that ended well has written is taken back.
 *
 * Ours differ where the walk does: `from` lines also where Linux would not have stopped, states
 * kept elsewhere ("_w" is what was written since), and loops that are walked once for all trips.
 */
#include "ebpf/base.h"
#include "ebpf/disasm.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"
#include "ebpf/verifier_state.h"

#define COMMENT_AT    40u /* Linux: BPF_LOG_ALIGNMENT, BPF_LOG_MIN_ALIGNMENT */
#define COMMENT_ALIGN 8u
#define VALUE_MAX     320u

struct verifier_log {
    struct verifier *v;
    struct ebpf_log *out;
    bool rewinds;               /* level 1 */
    uint32_t *starts, nr, room; /* rewinds: where the text of each of the path's steps begins */
    bool resumed, fresh;        /* the next instruction stands under the whole state */
    uint32_t from;              /* instruction before the resumed one */
    const struct bpf_line_info *line;
    uint32_t depth;                   /* before the instruction */
    bool open;                        /* an instruction's line waits for its end */
    uint32_t width;                   /* of the instruction's text */
    struct frame before;              /* the innermost frame before the instruction */
    uint16_t written[ISA_FRAMES_MAX]; /* since a state was kept */
    uint64_t written_slots[ISA_FRAMES_MAX];
};

/* ---- states -------------------------------------------------------------------------------------
 */

static void put_cells(struct verifier_log *l, uint32_t frame, uint32_t regs, uint64_t slots)
{
    const struct state *s = l->v->now;
    const struct frame *f = &s->frames[frame];
    char value[VALUE_MAX];

    if (frame)
        ebpf_log_write(l->out, " frame%u:", frame);
    for (unsigned r = 0; r < ISA_REGISTERS; r++) {
        if (!(regs >> r & 1) || f->regs[r].type == REG_NONE)
            continue;
        reg_print(&f->regs[r], value, sizeof(value));
        ebpf_log_write(l->out, " R%u%s=%s", r, l->written[frame] >> r & 1 ? "_w" : "", value);
    }
    for (uint32_t i = 0; i < f->nr_slots; i++) {
        if (!(slots >> i & 1) || !slot_print(&f->slots[i], value, sizeof(value)))
            continue;
        ebpf_log_write(l->out, " fp-%u%s=%s", 8 * (i + 1),
                       l->written_slots[frame] >> i & 1 ? "_w" : "", value);
    }
    for (uint32_t i = 0; i < s->nr_refs; i++)
        ebpf_log_write(l->out, "%s%u", i ? "," : " refs=", s->refs[i].id);
    ebpf_log_write(l->out, "\n");
}

static void put_all(struct verifier_log *l, uint32_t frame)
{
    put_cells(l, frame, UINT32_MAX, UINT64_MAX);
}

static bool slot_differs(const struct slot *a, const struct slot *b)
{
    return __builtin_memcmp(a->bytes, b->bytes, sizeof(a->bytes)) != 0 || a->size != b->size ||
           (a->size && reg_differs(&a->spill, &b->spill));
}

/* Slots of the innermost frame that the instruction stored to or changed; those that were stored
 * whole go to *whole. */
static uint64_t touched_slots(const struct verifier_log *l, const struct ebpf_decoded *insn,
                              uint64_t *whole)
{
    const struct frame *f = frame_now(l->v), *before = &l->before;
    const struct reg *base = &before->regs[insn->dst];
    bool store = insn->op >= OP_LDX_B && insn->op <= OP_ST_DW && (insn->op - OP_LDX_B) % 3 != 0;
    int64_t off = base->off + insn->off;
    uint64_t touched = 0;

    for (uint32_t i = 0; i < f->nr_slots; i++)
        if (i >= before->nr_slots || slot_differs(&f->slots[i], &before->slots[i]))
            touched |= UINT64_C(1) << i;
    if (store && base->type == REG_STACK && base->frame == l->v->now->depth &&
        scalar_is_const(&base->n) && off < 0 && off >= -(int64_t)ISA_STACK_SIZE)
        touched |= UINT64_C(1) << (-off - 1) / 8;
    *whole = store && insn->op >= OP_LDX_DW ? touched : 0;
    return touched;
}

/* ---- instructions -------------------------------------------------------------------------------
 */

static void end_line(struct verifier_log *l)
{
    if (l->open)
        ebpf_log_write(l->out, "\n");
    l->open = false;
}

/* Level 1: takes back what stands behind the first `length` steps of the path. */
static void rewind_to(struct verifier_log *l, uint32_t length)
{
    if (!l->rewinds || length >= l->nr)
        return;
    l->nr = length;
    l->out->used = l->starts[length];
    l->out->truncated = false;
    l->out->buf[l->out->used] = 0;
    l->open = false;
    l->line = NULL;
}

static void note_start(struct verifier_log *l, uint32_t length)
{
    if (!l->rewinds ||
        !verifier_grow(l->v, (void **)&l->starts, &l->room, length + 1, sizeof(l->starts[0])))
        return;
    l->starts[length] = l->out->used;
    l->nr = length + 1;
}

static void put_insn(struct verifier_log *l, uint32_t pc)
{
    const struct bpf_line_info *line = line_of(l->v, pc);
    char text[DISASM_MAX];

    if (l->resumed)
        ebpf_log_write(l->out, "\nfrom %u to %u:", l->from, pc);
    else if (l->fresh)
        ebpf_log_write(l->out, "%u:", pc);
    if (l->resumed || l->fresh)
        put_all(l, l->v->now->depth);
    l->resumed = l->fresh = false;
    if (line && line != l->line)
        ebpf_log_write(l->out, "; %s\n", line_text(l->v, line));
    l->line = line;
    insn_print(l->v, pc, text);
    l->width = l->out->used;
    ebpf_log_write(l->out, "%u: %s", pc, text);
    l->width = l->out->used - l->width;
    l->open = true;
    l->depth = l->v->now->depth;
    l->before.nr_slots = frame_now(l->v)->nr_slots;
    __builtin_memcpy(l->before.regs, frame_now(l->v)->regs, sizeof(l->before.regs));
    __builtin_memcpy(l->before.slots, frame_now(l->v)->slots,
                     l->before.nr_slots * sizeof(l->before.slots[0]));
}

/* Behind the instruction, what it read and wrote. */
static void put_comment(struct verifier_log *l, uint32_t pc)
{
    const struct frame *f = frame_now(l->v);
    uint32_t frame = l->v->now->depth, reads, writes, at = l->width + 1 + COMMENT_ALIGN / 2;
    uint64_t whole, slots = touched_slots(l, &l->v->code[pc], &whole);

    insn_registers(l->v, pc, &reads, &writes);
    l->written[frame] |= (uint16_t)writes;
    l->written_slots[frame] |= whole;
    for (unsigned r = 0; r < ISA_REGISTERS; r++)
        if (reg_differs(&f->regs[r], &l->before.regs[r]))
            reads |= 1u << r;
    if (!(reads | writes) && !slots)
        return;
    at = at < COMMENT_AT ? COMMENT_AT : (at + COMMENT_ALIGN - 1) / COMMENT_ALIGN * COMMENT_ALIGN;
    for (at -= l->width + 3; at > 0; at--)
        ebpf_log_write(l->out, " ");
    ebpf_log_write(l->out, " ;");
    put_cells(l, frame, reads | writes, slots);
    l->open = false;
}

static void put_step(struct verifier_log *l, uint32_t next)
{
    uint32_t depth = l->v->now->depth, pc = TRACE_PC(l->v->trace[l->v->nr_trace - 1]);

    if (depth > l->depth) {
        l->written[depth] = l->written[depth - 1] & 0x3e;
        l->written_slots[depth] = 0;
        l->written[depth - 1] |= 0x3f;
        ebpf_log_write(l->out, "\ncaller:\n");
        put_all(l, depth - 1);
        ebpf_log_write(l->out, "callee:\n");
        put_all(l, depth);
        l->fresh = true;
    } else if (depth < l->depth) {
        ebpf_log_write(l->out, "\nreturning from callee:\n");
        put_all(l, depth + 1);
        ebpf_log_write(l->out, "to caller at %u:\n", next);
        put_all(l, depth);
        l->resumed = true;
        l->from = pc;
    } else {
        put_comment(l, pc);
        end_line(l);
    }
    l->open = false;
}

static void forget_written(struct verifier_log *l)
{
    __builtin_memset(l->written, 0, sizeof(l->written));
    __builtin_memset(l->written_slots, 0, sizeof(l->written_slots));
}

/* Linux says this of global functions alone; those that timers call are walked likewise. */
static void put_start(struct verifier_log *l, uint32_t pc)
{
    uint32_t nr = 0;

    for (uint32_t i = 0; i < pc; i++)
        nr += l->v->info[i].function == i;
    if (pc)
        ebpf_log_write(l->out, "Validating func#%u @%u...\n", nr, pc);
    l->resumed = false;
    l->fresh = true;
    forget_written(l);
}

static void put_safe(struct verifier_log *l, uint32_t pc, const char *why)
{
    if (l->resumed)
        ebpf_log_write(l->out, "\nfrom %u to %u: safe%s\n", l->from, pc, why);
    else
        ebpf_log_write(l->out, "%u: safe%s\n", pc, why);
}

static void resume(struct verifier_log *l)
{
    l->resumed = l->v->nr_trace > 0;
    l->fresh = true;
    l->from = l->resumed ? TRACE_PC(l->v->trace[l->v->nr_trace - 1]) : 0;
    forget_written(l);
}

/* ---- events -------------------------------------------------------------------------------------
 */

void log_see(struct verifier_log *l, const struct ebpf_walk *walk)
{
    if (walk->event != WALK_REJECTED)
        rewind_to(l, walk->length);
    switch (walk->event) {
    case WALK_STARTED:
        put_start(l, walk->pc);
        break;
    case WALK_INSN:
        note_start(l, walk->length);
        put_insn(l, walk->pc);
        break;
    case WALK_STEPPED:
        put_step(l, walk->pc);
        break;
    case WALK_KEPT:
        forget_written(l);
        break;
    case WALK_PRUNED:
        put_safe(l, walk->pc, "");
        break;
    case WALK_LOOP_CLOSED:
        put_safe(l, walk->pc, ", one more trip of the loop");
        break;
    case WALK_LOOP_STARTED:
        if (walk->trips)
            ebpf_log_write(l->out, "%u: loop, one state for all of at most %lu trips\n", walk->pc,
                           (unsigned long)walk->trips);
        else
            ebpf_log_write(l->out, "%u: loop, one state for all trips\n", walk->pc);
        l->resumed = false;
        l->fresh = true;
        forget_written(l);
        break;
    case WALK_LOOP_UNDONE:
        end_line(l);
        ebpf_log_write(l->out, "%u: loop, not so: %s\n", walk->pc, walk->why);
        resume(l);
        break;
    case WALK_RESUMED:
        resume(l);
        break;
    case WALK_EXITED:
    case WALK_DEAD_END:
    case WALK_REJECTED:
        end_line(l);
        break;
    case WALK_PUT_ASIDE:
    case WALK_IMPOSSIBLE:
    case WALK_LOOP_PROVEN:
    case WALK_CAUSE:
        break;
    }
}

/* Level 2: which functions there are. */
static void put_functions(struct verifier_log *l)
{
    uint32_t nr = 0;

    for (uint32_t pc = 0; pc < l->v->nr; pc++)
        if (l->v->info[pc].function == pc)
            ebpf_log_write(l->out, "func#%u @%u\n", nr++, pc);
}

/* Begins a log of level 1 or 2 of a walk that is about to begin. Without memory there is none. */
void log_start(struct verifier *v)
{
    v->log = port_alloc(sizeof(*v->log));
    if (!v->log)
        return;
    v->log->v = v;
    v->log->out = v->load->log;
    v->log->rewinds = !(v->load->log->level & 2);
    if (!v->log->rewinds)
        put_functions(v->log);
}

void log_end(struct verifier *v)
{
    if (v->log)
        port_free(v->log->starts);
    port_free(v->log);
    v->log = NULL;
}
