/*
 * Programs watched while they run: `skep-vm diff`, which is to find a fault that was planted in an
 * engine, and `skep-vm step`.
 */
#include <criterion/criterion.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/leakcheck.h"
#include "tests/unit/shell.h"

TestSuite(skep_vm_watch, .fini = leakcheck);

/* ---- diff ----------------------------------------------------------------------------------- */

/* r3 = *r1; r2 = r1[2]; r3 &= r2; r0 = 0; r0 += r3; exit */
#define AND                                                                                        \
    "7113000000000000 7112020000000000 5f23000000000000 b700000000000000 0f30000000000000 "        \
    "9500000000000000"

/* Runs `diff` of a build of skep-vm on a program whose memory is "abc": 61 62 63. */
static int diff(const char *program, const char *arguments, const char *hex)
{
    char command[2048];

    snprintf(command, sizeof(command),
             "d=unit/diff.$$; printf abc > $d; echo '%s' | ./%s diff --hex --data $d %s; s=$?; "
             "rm $d; (exit $s)",
             hex, program, arguments);
    return shell(command);
}

static int planted(const char *arguments, const char *hex)
{
    return diff("skep-vm-planted", arguments, hex);
}

Test(skep_vm_watch, engines_do_the_same)
{
    cr_expect_eq(vm("diff progs/openat.bpf.o --engines checked,interp,jit"), 0);
    EXPECT_OUTPUT("checked and interp do the same: ");
    EXPECT_OUTPUT("checked and jit do the same: ");
    cr_expect_eq(vm("diff progs/packets.bpf.o --plain --engines interp,jit"), 0);
    EXPECT_OUTPUT("interp and jit do the same: ");
    cr_expect_eq(diff("skep-vm", "", AND), 0);
    EXPECT_OUTPUT("checked and jit do the same: 6 steps, r0 = 0x61\n");
}

/* The instruction that computed it, where the value was read, and what each side held. */
Test(skep_vm_watch, finds_a_fault_in_the_jit)
{
    cr_expect_eq(planted("", AND), 1);
    EXPECT_OUTPUT("checked and jit part at insn 2 of hex, step 3:\n   2: (5f) r3 &= r2\n"
                  "which is seen at insn 4, step 5:\n   4: (0f) r0 += r3\n");
    EXPECT_OUTPUT("* r3  0x61                 0x61                 0x63\n");
    EXPECT_OUTPUT("  r2  0x63                 0x63                 0x63\n");
}

Test(skep_vm_watch, finds_a_fault_in_the_interpreter)
{
    cr_expect_eq(planted("--engines checked,interp", AND), 1);
    EXPECT_OUTPUT("checked and interp part at insn 2 of hex, step 3:\n   2: (5f) r3 &= r2\n");
    EXPECT_OUTPUT("* r3  0x61                 0x61                 0x63\n");
    cr_expect_eq(planted("--engines interp,jit", AND), 0);
}

/* r0 = 0; r3 = *r1; r4 = r1[1] ^ 0xe2; r3 &= r4; if (r3 == 0) r0 = 1; exit: 61 and 80 have no bit
 * in common. */
Test(skep_vm_watch, finds_where_paths_part)
{
    cr_expect_eq(planted("", "b700000000000000 7113000000000000 7114010000000000 a7040000e2000000 "
                             "5f43000000000000 5503010000000000 b700000001000000 9500000000000000"),
                 1);
    EXPECT_OUTPUT("part at insn 4 of hex, step 5:\n   4: (5f) r3 &= r4\n");
    EXPECT_OUTPUT("* r3  0x61                 0x0                  0xe1\n");
}

/* In a function that is called, whose result its caller reads. */
Test(skep_vm_watch, finds_a_fault_behind_a_call)
{
    cr_expect_eq(planted("", "7112010000000000 7111000000000000 8510000002000000 bf01000000000000 "
                             "9500000000000000 bf10000000000000 5f20000000000000 9500000000000000"),
                 1);
    EXPECT_OUTPUT("part at insn 6 of hex, step 5:\n   6: (5f) r0 &= r2\n");
}

Test(skep_vm_watch, diff_usage)
{
    cr_expect_eq(vm("diff"), 2);
    EXPECT_OUTPUT("usage: skep-vm diff OBJ");
    cr_expect_eq(vm("diff progs/openat.bpf.o --engines jit"), 1);
    EXPECT_OUTPUT("--engines takes two engines or three, of checked, interp, jit");
    cr_expect_eq(vm("diff progs/openat.bpf.o --unverified"), 1);
    EXPECT_OUTPUT("engine jit takes verified programs only");
}

/* ---- step ----------------------------------------------------------------------------------- */

/* Bytecode, machine code, registers: those that nobody wrote are not shown, a star marks what has
 * just been. */
Test(skep_vm_watch, steps_as_text)
{
    cr_expect_eq(vm_hex("step --hex", "b700000007000000 7b0af8ff00000000 9500000000000000"), 0);
    EXPECT_OUTPUT("step 1 of 3: hex in engine checked, call depth 0\n   0: (b7) r0 = 7 ");
    EXPECT_OUTPUT(": mov eax, 7 ");
    EXPECT_OUTPUT("step 2 of 3: hex in engine checked, call depth 0\n"
                  "   1: (7b) *(u64 *)(r10 -8) = r0                         * r0  rax  0x7\n");
    EXPECT_OUTPUT(" * fp-8     0x7\n"); /* before step 3 */
    EXPECT_OUTPUT("\nr0 = 0x7\n");
    cr_expect_null(strstr(output, " r3  rdx  0x"));
}

Test(skep_vm_watch, steps_in_the_machine)
{
    cr_expect_eq(vm_hex("step --hex --engine jit --steps 2",
                        "b700000007000000 7b0af8ff00000000 9500000000000000"),
                 0);
    EXPECT_OUTPUT("step 2 of 3: hex in engine jit, call depth 0\n");
    EXPECT_OUTPUT("* r0  rax  0x7\n");
    cr_expect_null(strstr(output, "step 1 of 3"));
    cr_expect_null(strstr(output, "r0 = 0x7\n"));
}

Test(skep_vm_watch, steps_with_lines_of_c)
{
    cr_expect_eq(vm("step progs/packets.bpf.o --steps 1..2"), 0);
    EXPECT_OUTPUT("step 1 of ");
    EXPECT_OUTPUT("\n; ");
    EXPECT_OUTPUT("step 2 of ");
    cr_expect_eq(vm("step progs/packets.bpf.o --steps 100000"), 1);
    EXPECT_OUTPUT("there is no step 100000, the run has ");
    cr_expect_eq(vm("step progs/packets.bpf.o --steps 3..2"), 1);
    EXPECT_OUTPUT("--steps takes a step or two");
}

/* What terminal escapes leave of a screen's text is enough to see which step it shows. */
static bool screen_shows(int terminal, const char *text)
{
    static char screen[1 << 16];
    struct pollfd readable = {.fd = terminal, .events = POLLIN};
    size_t len = 0;

    while (len < sizeof(screen) - 1 && poll(&readable, 1, 5000) > 0) {
        ssize_t n = read(terminal, screen + len, sizeof(screen) - 1 - len);

        if (n <= 0)
            break;
        len += (size_t)n;
        screen[len] = 0;
        if (strstr(screen, text))
            return true;
    }
    screen[len] = 0;
    return false;
}

Test(skep_vm_watch, steps_on_a_terminal)
{
    const char *dir = getenv("UNIT_DIR");
    struct winsize size = {.ws_row = 30, .ws_col = 110};
    int terminal, status;
    pid_t child;

    cr_assert_not_null(dir);
    child = forkpty(&terminal, NULL, NULL, &size);
    cr_assert_geq(child, 0);
    if (child == 0) {
        setenv("TERM", "xterm", 1);
        if (chdir(dir) == 0)
            execl("../skep-vm", "skep-vm", "step", "../progs/packets.bpf.o", NULL);
        _exit(99);
    }
    cr_expect(screen_shows(terminal, "step 1 of "));
    cr_expect_eq(write(terminal, "?", 1), 1);
    cr_expect(screen_shows(terminal, "any key goes back"));
    cr_expect_eq(write(terminal, "x", 1), 1);
    cr_expect(screen_shows(terminal, "step 1 of "));
    cr_expect_eq(write(terminal, "g99999\n", 7), 7);
    cr_expect(screen_shows(terminal, "there is no step '99999'"));
    cr_expect_eq(write(terminal, "q", 1), 1);
    screen_shows(terminal, "no such text");
    cr_expect_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(terminal);
}
