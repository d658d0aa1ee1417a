/*
 * See shell.h. UNIT_DIR is set by scripts/run-unit.
 */
#include "tests/unit/shell.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

char output[SHELL_OUTPUT_MAX];

int shell(const char *command)
{
    const char *dir = getenv("UNIT_DIR");
    char all[8192];
    size_t len;
    FILE *pipe;
    int status;

    cr_assert_not_null(dir, "UNIT_DIR is not set: run through `make unit`");
    cr_assert_lt(snprintf(all, sizeof(all), "cd '%s/..' && { %s; } 2>&1", dir, command),
                 (int)sizeof(all));
    pipe = popen(all, "r");
    cr_assert_not_null(pipe);
    len = fread(output, 1, sizeof(output) - 1, pipe);
    output[len] = 0;
    status = pclose(pipe);
    cr_assert(WIFEXITED(status), "%s", output);
    return WEXITSTATUS(status);
}

int vm(const char *arguments)
{
    char command[4096];

    snprintf(command, sizeof(command), "./skep-vm %s", arguments);
    return shell(command);
}

int vm_hex(const char *arguments, const char *hex)
{
    char command[4096];

    snprintf(command, sizeof(command), "echo '%s' | ./skep-vm %s", hex, arguments);
    return shell(command);
}
