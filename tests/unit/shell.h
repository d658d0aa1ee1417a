/*
 * Programs as a user meets them: commands run in the build folder, and what they print.
 */
#ifndef SKEP_TESTS_SHELL_H
#define SKEP_TESTS_SHELL_H

#include <string.h>

#define SHELL_OUTPUT_MAX (1u << 20)

/* What the last command printed, on both outputs. */
extern char output[SHELL_OUTPUT_MAX];

/* Runs a command in the build folder. Exit status. */
int shell(const char *command);
/* Likewise skep-vm with arguments; with hex text on standard input. */
int vm(const char *arguments);
int vm_hex(const char *arguments, const char *hex);

#define EXPECT_OUTPUT(text) cr_expect_not_null(strstr(output, text), "in: %s", output)

#endif
