/*
 * The first stack picture of a thread; context_switch.S switches between them. Called by
 * kernel/thread.c.
 */
#include "arch/x86_64/arch.h"

/* What arch_context_switch() pops, lowest address first. */
struct switch_frame {
    uint64_t r15, r14, r13, r12, rbx, rbp;
    uint64_t resume;
    uint64_t end[2]; /* zero: the return address of context_start, and alignment */
};
_Static_assert(sizeof(struct switch_frame) == 72, "popped by context_switch.S");

void context_start(void);

/* Prepares *ctx to start entry(arg) with interrupts on, on the stack that ends at stack_top
 * (16-byte aligned; owned by the caller). entry must not return. */
void arch_context_init(struct arch_context *ctx, void *stack_top, void (*entry)(void *), void *arg)
{
    /* After `ret` RSP must be a multiple of 16 at the call in context_start (ABI 3.2.2). */
    struct switch_frame *frame = (struct switch_frame *)((uint8_t *)stack_top - sizeof(*frame));
    *frame = (struct switch_frame){
        .rbx = (uintptr_t)entry,
        .r12 = (uintptr_t)arg,
        .resume = (uintptr_t)context_start,
    };
    ctx->rsp = (uintptr_t)frame;
}
