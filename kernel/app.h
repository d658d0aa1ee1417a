/*
 * The application that this unikernel is linked with (make APP=dir; user/app/).
 */
#ifndef SKEP_KERNEL_APP_H
#define SKEP_KERNEL_APP_H

/* Starts app_main in a thread of its own. Start-up, after everything that it may use. */
void app_start(void);

#endif
