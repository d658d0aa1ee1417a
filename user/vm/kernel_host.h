/*
 * For unit tests: runs a statement that must panic and keeps the message.
 *     cr_assert(PANICS(kfree(block)));
 *     cr_assert(strstr(host_panic_message, "freed already"));
 */
#ifndef SKEP_USER_VM_KERNEL_HOST_H
#define SKEP_USER_VM_KERNEL_HOST_H

#include <setjmp.h>
#include <stdbool.h>

extern jmp_buf *host_panic_catcher;
extern char host_panic_message[512];

/* With user/vm/heap_host.c: the n-th allocation from now fails, once. 0: none. */
extern unsigned host_heap_fail_in;

#define PANICS(statement)                                                                          \
    ({                                                                                             \
        jmp_buf catcher_;                                                                          \
        volatile bool panicked_ = true;                                                            \
        host_panic_catcher = &catcher_;                                                            \
        if (setjmp(catcher_) == 0) {                                                               \
            statement;                                                                             \
            panicked_ = false;                                                                     \
        }                                                                                          \
        host_panic_catcher = NULL;                                                                 \
        panicked_;                                                                                 \
    })

#endif
