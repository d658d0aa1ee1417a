/*
 * skep-vm as a user meets it: the built program is run with arguments, input and files. The
 * Makefile builds skep-vm and progs/ first.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/leakcheck.h"
#include "tests/unit/shell.h"

TestSuite(skep_vm, .fini = leakcheck);

Test(skep_vm, plugin_prints_r0_in_hex)
{
    cr_expect_eq(vm_hex("plugin", "b7 00 00 00 2a 00 00 00 9500000000000000"), 0);
    cr_expect_str_eq(output, "2a\n");
}

Test(skep_vm, plugin_gives_memory_and_length)
{
    /* r0 = *(u8 *)(r1 +1); r0 <<= 8; r0 |= r2; exit */
    cr_expect_eq(vm_hex("plugin 'aa bb cc'", "7110010000000000 6700000008000000 "
                                             "4f20000000000000 9500000000000000"),
                 0);
    cr_expect_str_eq(output, "bb03\n");
}

Test(skep_vm, plugin_refuses_with_a_sentence)
{
    cr_expect_eq(vm("plugin </dev/null"), 1);
    EXPECT_OUTPUT("the program is rejected: the program has 0 instructions");
    cr_expect_eq(vm_hex("plugin", "95"), 1);
    EXPECT_OUTPUT("a program of 1 bytes");
    cr_expect_eq(vm_hex("plugin", "no"), 1);
    EXPECT_OUTPUT("not hexadecimal at character 0");
    cr_expect_eq(vm("plugin zz </dev/null"), 1);
    EXPECT_OUTPUT("not hexadecimal at character 0: \"zz\"");
    cr_expect_eq(vm_hex("plugin", "8d00000000000000 9500000000000000"), 1);
    EXPECT_OUTPUT("callx: calls through registers are not supported");
}

Test(skep_vm, plugin_verifies)
{
    cr_expect_eq(vm_hex("plugin aa", "7110010000000000 9500000000000000"), 1);
    EXPECT_OUTPUT("the program is rejected: insn 0: invalid access to packet, off=1 size=1");
    cr_expect_eq(vm_hex("plugin aa", "7110000000000000 9500000000000000"), 0);
    cr_expect_str_eq(output, "aa\n");
}

/* Without memory there is no argument: r1 and r2 are the number 0. */
Test(skep_vm, plugin_without_memory)
{
    cr_expect_eq(vm_hex("plugin", "bf10000000000000 0f20000000000000 9500000000000000"), 0);
    cr_expect_str_eq(output, "0\n");
}

/* r3 = r1 + r2; r0 = 0; while (r1 < r3) r0 += *r1++; exit */
Test(skep_vm, plugin_end_of_memory_by_length)
{
    cr_expect_eq(vm_hex("plugin '01 02 03'",
                        "bf13000000000000 0f23000000000000 b700000000000000 3d31040000000000"
                        "7112000000000000 0f20000000000000 0701000001000000 0500fbff00000000"
                        "9500000000000000"),
                 0);
    cr_expect_str_eq(output, "6\n");
}

/* 1 MiB of instructions, the largest that the conformance suite's plugin form asks for. */
Test(skep_vm, plugin_takes_a_large_program)
{
    cr_expect_eq(shell("{ yes b700000007000000 | head -n 131071; echo 9500000000000000; } | "
                       "./skep-vm plugin"),
                 0);
    cr_expect_str_eq(output, "7\n");
}

Test(skep_vm, runs_an_object_file)
{
    cr_expect_eq(vm("run progs/packets.bpf.o --repeat 10"), 0);
    EXPECT_OUTPUT("Return value: 0, duration (average): ");
    EXPECT_OUTPUT("ns\n");
}

Test(skep_vm, run_needs_one_program)
{
    cr_expect_eq(vm("run progs/packets.bpf.o -s nobody"), 1);
    EXPECT_OUTPUT("there is no program 'nobody'; there are: ");
}

Test(skep_vm, run_refuses_what_is_no_object)
{
    cr_expect_eq(vm("run /dev/null"), 1);
    EXPECT_OUTPUT("/dev/null is not an eBPF object file that libbpf can open");
    cr_expect_eq(vm("run nothing.bpf.o"), 1);
    EXPECT_OUTPUT("No such file or directory");
    cr_expect_eq(vm("run progs/packets.bpf.o --type nonsense"), 1);
    EXPECT_OUTPUT("there is no program type 'nonsense'; there are: socket_filter ");
    cr_expect_eq(vm("run progs/packets.bpf.o --repeat 0"), 1);
    EXPECT_OUTPUT("--repeat takes a number from 1");
}

Test(skep_vm, disassembles_an_object_file)
{
    cr_expect_eq(vm("disasm progs/openat.bpf.o"), 0);
    EXPECT_OUTPUT("   0: (");
    EXPECT_OUTPUT("call bpf_map_lookup_elem#1");
    EXPECT_OUTPUT("= map[id:");
    EXPECT_OUTPUT("(95) exit");
}

Test(skep_vm, disassembles_hex)
{
    cr_expect_eq(vm_hex("disasm -", "1801000044332211 0000000088776655 9500000000000000"), 0);
    cr_expect_str_eq(output, "   0: (18) r1 = 0x5566778811223344\n   2: (95) exit\n");
}

Test(skep_vm, wrong_usage)
{
    cr_expect_eq(vm(""), 2);
    cr_expect_eq(vm("fly"), 2);
    EXPECT_OUTPUT("there is no verb 'fly'");
    cr_expect_eq(vm("run"), 2);
    cr_expect_eq(vm("disasm"), 2);
    cr_expect_eq(vm("plugin a b"), 2);
    cr_expect_eq(vm("--help"), 0);
    EXPECT_OUTPUT("usage: skep-vm VERB");
}
