/*
 * bpf_spin_lock and bpf_spin_unlock. With one CPU nobody can spin: what else would touch the value,
 * an interrupt or another thread, is kept out by port_lock, so the lock's word is never seen set by
 * anyone but the run that holds it. A run holds one at a time and gives it back before it ends,
 * which the verifier proves and the checked interpreter tests.
 */
#include "ebpf/base.h"
#include "ebpf/helpers.h"
#include "ebpf/port.h"

uint64_t helper_spin_lock(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    struct ebpf_run *run = ebpf_run_current();
    uint64_t saved = port_lock();

    (void)r2, (void)r3, (void)r4, (void)r5;
    run->lock_saved = saved;
    run->lock = (uint32_t *)r1;
    *run->lock = 1;
    return 0;
}

uint64_t helper_spin_unlock(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    struct ebpf_run *run = ebpf_run_current();

    (void)r1, (void)r2, (void)r3, (void)r4, (void)r5;
    ebpf_lock_release(run);
    return 0;
}

/* Also for a run that is stopped while it holds its lock. */
void ebpf_lock_release(struct ebpf_run *run)
{
    uint32_t *lock = run->lock;

    if (!lock)
        return;
    *lock = 0;
    run->lock = NULL;
    port_unlock(run->lock_saved);
}
