/*
 * `skep-vm batch`: lines of JSON in, lines of JSON out. What is right is verified and run; what is
 * wrong is answered with a sentence, and the next line is read.
 */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/leakcheck.h"
#include "tests/unit/shell.h"

TestSuite(skep_vm_batch, .fini = leakcheck);

#define EXIT   "9500000000000000"
#define SEVEN  "b700000007000000" EXIT
#define MEM(x) "\"type\": \"mem\", \"insns\": \"" x "\""
#define NO_RUN ",\"reason\":null,\"insn\":null,\"processed\":2,\"r0\":[]}\n"

/* Writes lines to a file in the build folder, whose name is given, and runs a build of skep-vm on
 * it. */
static int batch(const char *program, const char *name, const char *lines, size_t size)
{
    char path[512], command[1024];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s.jsonl", getenv("UNIT_DIR"), name);
    file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(lines, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
    snprintf(command, sizeof(command), "%s batch < unit/%s.jsonl", program, name);
    return shell(command);
}

/* One line and its answer. */
static void expect(const char *name, const char *line, const char *answer)
{
    cr_expect_eq(batch("./skep-vm", name, line, strlen(line)), 0);
    cr_expect_str_eq(output, answer, "%s\n%s", line, output);
}

Test(skep_vm_batch, accepts_and_runs)
{
    expect(
        "runs",
        "{\"id\": 1, " MEM("7110010000000000" EXIT) ", \"data\": [\"aabb\", \"ccddee\"]}\n"
                                                    "{\"id\": 2, \"type\": 63, \"insns\": \"" SEVEN
                                                    "\", \"data\": [\"\"]}\n"
                                                    "{\"id\": 3, " MEM(SEVEN) "}\n",
        "{\"id\":1,\"verdict\":\"accept\",\"reason\":null,\"insn\":null,\"processed\":2,"
        "\"r0\":[\"00000000000000bb\",\"00000000000000dd\"]}\n"
        "{\"id\":2,\"verdict\":\"accept\",\"reason\":null,\"insn\":null,\"processed\":2,"
        "\"r0\":[\"0000000000000007\"]}\n"
        "{\"id\":3,\"verdict\":\"accept\"" NO_RUN);
}

/* In each engine, a packet and a record. */
Test(skep_vm_batch, runs_types_in_engines)
{
    expect("engines",
           "{\"id\": 1, \"type\": \"xdp\", \"engine\": \"checked\", \"insns\": \"" SEVEN "\","
           " \"data\": [\"000102030405060708090a0b0c0d\"]}\n"
           "{\"id\": 2, \"type\": 5, \"engine\": \"interp\", \"insns\": \"" SEVEN "\","
           " \"data\": [\"0011223344556677\"]}\n"
           "{\"id\": 3, " MEM(SEVEN) ", \"engine\": \"jit\", \"data\": [\"\"]}\n",
           "{\"id\":1,\"verdict\":\"accept\",\"reason\":null,\"insn\":null,\"processed\":2,"
           "\"r0\":[\"0000000000000007\"]}\n"
           "{\"id\":2,\"verdict\":\"accept\",\"reason\":null,\"insn\":null,\"processed\":2,"
           "\"r0\":[\"0000000000000007\"]}\n"
           "{\"id\":3,\"verdict\":\"accept\",\"reason\":null,\"insn\":null,\"processed\":2,"
           "\"r0\":[\"0000000000000007\"]}\n");
}

/* Slots of 8 bytes: a 64-bit immediate takes two. */
Test(skep_vm_batch, tells_why_a_program_is_rejected)
{
    expect("reject",
           "{\"id\": \"a\", " MEM("1801000000000000"
                                  "0000000000000000"
                                  "7110000000000000" EXIT) "}\n",
           "{\"id\":\"a\",\"verdict\":\"reject\",\"reason\":\"R1 invalid mem access 'scalar'\","
           "\"insn\":2,\"processed\":2,\"r0\":[]}\n");
    expect("reject", "{" MEM("fe00000000000000" EXIT) ", \"data\": [\"\"]}\n",
           "{\"verdict\":\"reject\",\"reason\":\"unknown opcode 0xfe (src 0, off 0, imm 0)\","
           "\"insn\":0,\"processed\":0,\"r0\":[]}\n");
    expect("reject", "{" MEM("") "}",
           "{\"verdict\":\"reject\",\"reason\":\"the program has 0 instructions, must be 1 to "
           "1000000\",\"insn\":0,\"processed\":0,\"r0\":[]}\n");
}

Test(skep_vm_batch, strict_alignment)
{
    cr_expect_eq(
        batch("./skep-vm", "strict",
              "{" MEM("6110010000000000" EXIT) ", \"data\": [\"0011223344\"]}\n"
                                               "{" MEM(
                                                   "6110010000000000" EXIT) ", \"data\": "
                                                                            "[\"0011223344\"],"
                                                                            " \"strict_alignment\":"
                                                                            " true}\n",
              strlen("{" MEM(
                  "6110010000000000" EXIT) ", \"data\": [\"0011223344\"]}\n"
                                           "{" MEM("6110010000000000" EXIT) ", \"data\": "
                                                                            "[\"0011223344\"],"
                                                                            " \"strict_alignment\":"
                                                                            " true}\n")),
        0);
    EXPECT_OUTPUT("\"r0\":[\"0000000044332211\"]}\n{\"verdict\":\"reject\"");
    EXPECT_OUTPUT("misaligned");
}

/* Of any JSON type, and of any size, as the line has it; also when the rest cannot be read. */
Test(skep_vm_batch, id_comes_back_as_it_was)
{
    expect("id", "{" MEM(SEVEN) ", \"id\": 123456789012345678901234567890}\n",
           "{\"id\":123456789012345678901234567890,\"verdict\":\"accept\"" NO_RUN);
    expect("id", "{\"id\": 1.50e1, " MEM(SEVEN) "}",
           "{\"id\":1.50e1,\"verdict\":\"accept\"" NO_RUN);
    expect("id", "{\"id\": null, " MEM(SEVEN) "}", "{\"id\":null,\"verdict\":\"accept\"" NO_RUN);
    expect("id", "{\"id\": {\"a\": [1, \"]}\\\"\"]}, " MEM(SEVEN) "}",
           "{\"id\":{\"a\": [1, \"]}\\\"\"]},\"verdict\":\"accept\"" NO_RUN);
    expect("id", "{\"x\": {\"id\": 3}, \"id\": \"\xc3\xa9\\u00e9\", \"type\": }",
           "{\"id\":\"\xc3\xa9\\u00e9\",\"error\":\"the line is not JSON that can be read: "
           "unexpected token near '}'\"}\n");
    expect("id", "{\"id\": nope, " MEM(SEVEN) "}",
           "{\"error\":\"the line is not JSON that can be read: invalid token near 'nope'\"}\n");
}

#define VALUE_MAP                                                                                  \
    "\"maps\": [{\"type\": \"array\", \"key\": 4, \"value\": 8, \"max_entries\": 1, "              \
    "\"entries\": [[\"00000000\", \"1122334455667788\"]]}]"
#define COUNT /* r0 = ++*value, the index of its map is 0 */                                       \
    "1821000000000000"                                                                             \
    "0000000000000000"                                                                             \
    "7910000000000000"                                                                             \
    "0700000001000000"                                                                             \
    "7b01000000000000" EXIT

/* Made for each line, kept from run to run of it; entries are written in their order. */
Test(skep_vm_batch, maps)
{
    expect("maps",
           "{\"id\": 1, " MEM(COUNT) ", " VALUE_MAP ", \"data\": [\"\", \"\"]}\n"
                                     "{\"id\": 2, " MEM(COUNT) ", " VALUE_MAP
                                                               ", \"data\": [\"\"]}\n",
           "{\"id\":1,\"verdict\":\"accept\",\"reason\":null,\"insn\":null,\"processed\":5,"
           "\"r0\":[\"8877665544332212\",\"8877665544332213\"]}\n"
           "{\"id\":2,\"verdict\":\"accept\",\"reason\":null,\"insn\":null,\"processed\":5,"
           "\"r0\":[\"8877665544332212\"]}\n");
    expect(
        "maps",
        "{" MEM(COUNT) ", \"maps\": [{\"type\": 2, \"key\": 4, \"value\": 8, \"max_entries\": 1, "
                       "\"flags\": 0, \"frozen\": true, \"entries\": [[\"00000000\", "
                       "\"0100000000000000\"], "
                       "[\"00 00 00 00\", \"0300000000000000\"]]}], \"data\": [\"\"]}\n",
        "{\"verdict\":\"accept\",\"reason\":null,\"insn\":null,\"processed\":5,"
        "\"r0\":[\"0000000000000004\"]}\n");
    expect(
        "maps",
        "{" MEM(
            SEVEN) ", \"maps\": [{\"type\": \"queue\", \"value\": 2, \"max_entries\": 2, "
                   "\"entries\": [[\"\", \"0100\"]]}, {\"type\": \"percpu_array\", \"key\": 4, "
                   "\"value\": "
                   "3, \"max_entries\": 1, \"entries\": [[\"00000000\", \"010203\"]]}, {\"type\": "
                   "\"hash_of_maps\", \"key\": 4, \"value\": 4, \"max_entries\": 1, \"inner\": 1, "
                   "\"entries\": [[\"09000000\", \"01000000\"]]}]}\n",
        "{\"verdict\":\"accept\"" NO_RUN);
    expect("maps", "{" MEM(COUNT) "}\n",
           "{\"verdict\":\"reject\",\"reason\":\"map reference 0, the program uses 0 maps\","
           "\"insn\":0,\"processed\":0,\"r0\":[]}\n");
}

Test(skep_vm_batch, wrong_members_are_told)
{
    static const struct {
        const char *members, *error;
    } cases[] = {
        {"\"type\": 4, \"insns\": \"\"", "there is no program type 4"},
        {"\"type\": -1, \"insns\": \"\"", "type must be a number from 0 to 4294967295"},
        {"\"type\": \"no\", \"insns\": \"\"", "there is no program type 'no'"},
        {"\"insns\": \"\"", "type must be a program type's name or number"},
        {"\"type\": \"mem\"", "insns must be a string of hexadecimal digits"},
        {MEM("950"), "insns is not hexadecimal at character 2, two digits a byte"},
        {MEM("9500"), "insns has 2 bytes, which are not whole instructions of 8"},
        {MEM(SEVEN) ", \"data\": \"00\"", "data must be a list"},
        {MEM(SEVEN) ", \"data\": [\"00\", 1]", "data[1] must be a string of hexadecimal digits"},
        {MEM(SEVEN) ", \"data\": [\"0g\"]",
         "data[0] is not hexadecimal at character 0, two digits a byte"},
        {MEM(SEVEN) ", \"strict_alignment\": 1", "strict_alignment must be true or false"},
        {MEM(SEVEN) ", \"engine\": \"fast\"", "engine must be one of checked, interp, jit"},
        {MEM(SEVEN) ", \"maps\": {}", "maps must be a list"},
        {MEM(SEVEN) ", \"maps\": [1]", "maps[0] must be an object"},
        {MEM(SEVEN) ", \"maps\": [{\"type\": \"tree\"}]",
         "maps[0].type: there is no map type 'tree'"},
        {MEM(SEVEN) ", \"maps\": [{\"type\": 999}]", "maps[0] cannot be made: Invalid argument"},
        {MEM(SEVEN) ", \"maps\": [{\"type\": 2, \"key\": 99999999999}]",
         "maps[0].key must be a number from 0 to 4294967295"},
        {MEM(SEVEN) ", \"maps\": [{\"type\": 1, \"key\": 4, \"value\": 4, \"max_entries\": "
                    "4294967295}]",
         "maps[0] cannot be made: it is too large"},
        {MEM(SEVEN) ", \"maps\": [{\"type\": 12, \"key\": 4, \"value\": 4, \"max_entries\": 1, "
                    "\"inner\": 0}]",
         "maps[0].inner is map 0, must be one before it in the list"},
        {MEM(SEVEN) ", \"maps\": [{\"type\": 2, \"key\": 4, \"value\": 4, \"max_entries\": 1, "
                    "\"entries\": [[\"00000000\"]]}]",
         "maps[0].entries[0] must be a list of a key and a value"},
        {MEM(SEVEN) ", \"maps\": [{\"type\": 2, \"key\": 4, \"value\": 4, \"max_entries\": 1, "
                    "\"entries\": [[\"00\", \"00000000\"]]}]",
         "maps[0].entries[0]: the key has 1 bytes, must have 4"},
        {MEM(SEVEN) ", \"maps\": [{\"type\": 2, \"key\": 4, \"value\": 4, \"max_entries\": 1, "
                    "\"entries\": [[\"01000000\", \"00000000\"]]}]",
         "maps[0].entries[0] cannot be written: it is too large"},
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char line[1024], answer[512];

        snprintf(line, sizeof(line), "{\"id\": %u, %s}\n", i, cases[i].members);
        snprintf(answer, sizeof(answer), "{\"id\":%u,\"error\":\"%s\"}\n", i, cases[i].error);
        expect("wrong", line, answer);
    }
}

/* A run that the type has no way for is no verdict. */
Test(skep_vm_batch, run_that_fails)
{
    expect("norun",
           "{\"type\": \"xdp\", \"insns\": \"" SEVEN "\", \"data\": [\"00\", "
           "\"000102030405060708090a0b0c0d\"]}\n",
           "{\"verdict\":\"accept\",\"reason\":null,\"insn\":null,\"processed\":2,\"r0\":[null,"
           "\"0000000000000007\"],\"error\":\"data[0]: the program does not run on it: Invalid "
           "argument\"}\n");
}

#define MANY 10000u

/* Lines of every kind, most of them damaged somewhere, under AddressSanitizer, which finds leaks
 * too. */
Test(skep_vm_batch, whatever_comes_is_answered, .timeout = 240)
{
    static const char *const kinds[] = {
        "{\"id\": 1, " MEM(COUNT) ", " VALUE_MAP ", \"data\": [\"\", \"00\"]}",
        "{\"id\": \"two\", \"type\": \"xdp\", \"insns\": \"6110000000000000" EXIT "\"}",
        "{\"id\": [3], " MEM(
            SEVEN) ", \"maps\": [{\"type\": \"hash\", \"key\": 4, \"value\": 4, "
                   "\"max_entries\": 10, \"entries\": [[\"00000000\", \"00000001\"]]}, {\"type\": "
                   "\"array_of_maps\", \"key\": 4, \"value\": 4, \"max_entries\": 2, \"inner\": 0, "
                   "\"entries\": [[\"01000000\", \"00000000\"]]}], \"engine\": \"interp\"}",
        "{\"id\": 4, \"type\": \"tracepoint\", \"insns\": \"" SEVEN "\", \"data\": [\"\"], "
        "\"engine\": \"checked\", \"strict_alignment\": true}",
    };
    size_t room = MANY * 1024u, used = 0;
    char *lines = malloc(room);
    unsigned answers = 0;
    uint32_t seed = 1;

    cr_assert_not_null(lines);
    for (unsigned i = 0; i < MANY; i++) {
        const char *kind = kinds[i % 4];
        size_t len = strlen(kind);

        memcpy(lines + used, kind, len);
        seed = seed * 1664525u + 1013904223u;
        if (i % 3) /* a byte of it becomes another one, but no end of line */
            lines[used + (seed >> 8) % len] = (char)((seed >> 24) == '\n' ? 0 : seed >> 24);
        if (i % 7 == 0) /* and it ends early */
            len = (seed >> 12) % len;
        used += len;
        lines[used++] = '\n';
    }
    cr_expect_eq(batch("unit/skep-vm-asan", "many", lines, used), 0, "%.2000s", output);
    free(lines);
    for (const char *c = output; (c = strchr(c, '\n')) != NULL; c++)
        answers++;
    cr_expect_eq(answers, MANY);
    cr_expect_null(strstr(output, "Sanitizer"));
}

/* Deep nesting, a megabyte of nothing, a NUL, and lines that are no requests. */
Test(skep_vm_batch, odd_lines)
{
    cr_expect_eq(shell("{ head -c 100000 /dev/zero | tr '\\0' '['; echo; "
                       "head -c 1000000 /dev/zero | tr '\\0' ' '; echo '" SEVEN "'; "
                       "printf '{\"id\": 1\\0}\\n'; echo; echo 7; echo '[]'; "
                       "printf '{\"id\": 9'; } | unit/skep-vm-asan batch"),
                 0);
    EXPECT_OUTPUT("{\"error\":\"the line is not JSON that can be read: maximum parsing depth "
                  "reached near '['\"}\n");
    EXPECT_OUTPUT("{\"error\":\"the line is not JSON: there is a NUL in it\"}\n");
    EXPECT_OUTPUT("{\"error\":\"a request must be an object\"}\n");
    EXPECT_OUTPUT("{\"id\":9,\"error\":\"the line is not JSON that can be read: '}' expected near "
                  "end of file\"}\n");
}

Test(skep_vm_batch, takes_no_arguments)
{
    cr_expect_eq(vm("batch file </dev/null"), 2);
    EXPECT_OUTPUT("usage: skep-vm batch");
}
