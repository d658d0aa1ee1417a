/*
 * Starts the application: app_main(argc, argv) in the thread "app". Its arguments are the words of
 * `skep.args="..."` on the command line. Called once by kernel_main().
 */
#include "kernel/app.h"

#include <linux/errno.h>

#include "kernel/cmdline.h"
#include "kernel/printk.h"
#include "kernel/thread.h"

#define MAX_ARGS  16
#define ARGS_SIZE 512

/* The application's entry, from the folder APP. */
int app_main(int argc, char **argv);

static char name[] = "app";
static char args[ARGS_SIZE];
static char *argv[MAX_ARGS + 1] = {name};

/* Cuts args at its spaces. Words beyond MAX_ARGS stay in the last one. */
static int split_args(void)
{
    int argc = 1;
    char *at = args;
    while (argc < MAX_ARGS) {
        while (*at == ' ')
            *at++ = '\0';
        if (!*at)
            break;
        argv[argc++] = at;
        while (*at && *at != ' ')
            at++;
    }
    return argc;
}

static void run(void *arg)
{
    (void)arg;
    int status = app_main(split_args(), argv);
    pr_info("app: ended with status %d", status);
}

/* Starts app_main in a thread of its own. Start-up, after everything that it may use. */
void app_start(void)
{
    if (cmdline_get("skep.args", args, sizeof(args)) == -ENAMETOOLONG)
        pr_warn("app: skep.args is longer than %d bytes; started without", ARGS_SIZE - 1);
    if (!thread_create("app", THREAD_PRIO_NORMAL, run, NULL))
        pr_err("app: no memory for its thread");
}
