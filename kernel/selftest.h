/*
 * Deliberate faults, so that tests can see that the machine catches them.
 */
#ifndef SKEP_KERNEL_SELFTEST_H
#define SKEP_KERNEL_SELFTEST_H

/* Commits the fault that `skep.test=NAME` on the command line names; nothing without it. */
void selftest_run(void);

/* skep.test=static-keys (kernel/selftest_trace.c). Returns when all is well, else panics. */
void selftest_static_keys(void);
/* skep.test=threads (kernel/selftest_threads.c). Likewise. */
void selftest_threads(void);

#endif
