/*
 * Deliberate faults, so that tests can see that the machine catches them.
 */
#ifndef SKEP_KERNEL_SELFTEST_H
#define SKEP_KERNEL_SELFTEST_H

/* Commits the fault that `skep.test=NAME` on the command line names; nothing without it. */
void selftest_run(void);

#endif
