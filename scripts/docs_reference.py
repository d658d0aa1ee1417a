"""The reference pages of docs/, made from the lists in the tree; imported by scripts/docs.

A list (helpers.def, maps.def, ...) is read by the compiler, included into a small program that
prints it, so that it means here what it means in the code.
"""

import glob
import os
import re
import subprocess
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
MADE = "<!-- Made by `make reference` from {}; edit that. -->\n\n"


def compiled(program):
    """What a C program prints that is compiled against the tree: its lists as the code has them."""
    with tempfile.TemporaryDirectory(prefix="skep-docs-") as folder:
        binary = os.path.join(folder, "lists")
        subprocess.run([os.environ.get("HOSTCC", "gcc"), "-std=gnu11", "-I.", "-x", "c", "-",
                        "-o", binary], input="#include <stdio.h>\n" + program, text=True, cwd=ROOT,
                       check=True)
        return subprocess.run([binary], capture_output=True, text=True, check=True).stdout


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "| " + " | ".join("---" for _ in heads) + " |"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def code(words):
    return ", ".join(f"`{word}`" for word in words)


def page_commands():
    lines = compiled("""
#include "ebpf/commands.h"
#define ROW(who, number, name, flags, ...) \\
    printf("%s\\t%u\\t%s\\t%s\\t%s\\n", who, (unsigned)(number), #name, #flags, #__VA_ARGS__);
#define COMMAND(number, name, last, flags, ...) ROW("engine", number, name, flags, __VA_ARGS__)
#define SERVER_COMMAND(number, name, last, flags, ...) ROW("server", number, name, flags, __VA_ARGS__)
int main(void) {
#include "ebpf/commands.def"
}
""").splitlines()
    rows = []
    for line in lines:
        who, number, name, flags, rest = line.split("\t")
        number = int(number)
        handles = re.findall(r"F\(([\w.]+)\)", rest)
        buffers = [f"{field} ({direction.removesuffix('_OPT').lower()})" for direction, field in
                   re.findall(r"\b(IN|OUT|INOUT|IN_OPT|OUT_OPT)\(([\w.]+)", rest)]
        short = [re.sub(r"^bpf\.", "", word) for word in handles]
        rows.append((str(number) if number < 0x1000 else f"{number:#x}", f"`{name}`", who,
                     "handle" if "NEW_HANDLE" in flags else
                     "attributes" if "ATTR_BACK" in flags else "status",
                     code(short), code(re.sub(r"^bpf\.", "", word) for word in buffers)))
    return ("# Commands\n\n" + MADE.format("ebpf/commands.def") +
            "What a client can ask for. Numbers below 0x1000 and their attributes are bpf(2)'s; from 0x1000 on\n"
            "they are Skep's own, with the attributes of `ebpf/commands.h`. [The wire](../12-wire.md) tells how a\n"
            "command travels. *Handles* are the attribute fields that hold one; *buffers* are the fields that point\n"
            "at bytes, and which way those travel.\n\n" +
            table(("Number", "Command", "Carried out by", "Gives back", "Handles", "Buffers"), rows))


def page_helpers():
    lines = compiled("""
#include <linux/bpf.h>
#define HELPER(name, ret, a1, a2, a3, a4, a5, licence, types) \\
    printf("%d|%s|%s|%s %s %s %s %s|%s|%s\\n", BPF_FUNC_##name, #name, #ret, #a1, #a2, #a3, #a4, #a5, \\
           #licence, #types);
#define ENGINE_HELPER HELPER
int main(void) {
#include "ebpf/helpers.def"
}
""").splitlines()
    rows = []
    for line in sorted(lines, key=lambda line: int(line.split("|")[0])):
        number, name, ret, args, licence, types = line.split("|")
        rows.append((number, f"`bpf_{name}`", ret.lower(),
                     ", ".join(arg.lower() for arg in args.split() if arg != "NONE"),
                     "GPL" if licence == "GPL" else "any", types.lower()))
    return ("# Helpers\n\n" + MADE.format("ebpf/helpers.def") +
            "The functions that a program can call, with Linux's numbers and signatures (bpf-helpers(7)). The kinds\n"
            "of arguments are explained in `ebpf/helper.h`. *GPL*: only programs whose licence is compatible.\n"
            "*Programs*: which types may call it (tracing: tracepoint, raw_tracepoint).\n\n" +
            table(("Number", "Helper", "Returns", "Arguments", "Licence", "Programs"), rows))


def source_of_map(name):
    """The file that defines a map type's operations, by itself or through a macro of one line."""
    for path in sorted(glob.glob("ebpf/map_*.c", root_dir=ROOT)):
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            if re.search(rf"\bebpf_map_{name} = |^\w+_OPS\(\w+, {name}\b", file.read(), re.M):
                return path
    raise ValueError(f"no ebpf/map_*.c defines ebpf_map_{name}")


def page_maps():
    lines = compiled("""
#include <linux/bpf.h>
#define MAP(type, name) printf("%d|%s|%s\\n", type, #type, #name);
int main(void) {
#include "ebpf/maps.def"
}
""").splitlines()
    rows = []
    for line in sorted(lines, key=lambda line: int(line.split("|")[0])):
        number, macro, name = line.split("|")
        rows.append((number, f"`{name}`", f"`{macro}`", f"`{source_of_map(name)}`"))
    return ("# Map types\n\n" + MADE.format("ebpf/maps.def") +
            "The kinds of maps, with Linux's numbers. The name is what `skepctl map create` takes.\n\n" +
            table(("Number", "Name", "In C", "Source"), rows))


def page_opcodes():
    lines = compiled("""
#include "ebpf/isa.h"
#define ROW(group, what, format, ...) printf("%s\\t%s\\t" format "\\n", group, what, __VA_ARGS__);
#define FOUR(group, what, wide, narrow, code) \\
    ROW(group, what, "0x%02x 0x%02x 0x%02x 0x%02x", (wide) | (code) | BPF_K, (wide) | (code) | BPF_X, \\
        (narrow) | (code) | BPF_K, (narrow) | (code) | BPF_X)
int main(void) {
#define ALU(NAME, name, code, off, text) \\
    FOUR("Arithmetic", "dst " text " operand\\t" #off, BPF_ALU64, BPF_ALU, code)
#define JUMP(NAME, name, code, text) \\
    FOUR("Conditional jumps", "if dst " text " operand goto +off\\t", BPF_JMP, BPF_JMP32, code)
#define MOVSX(NAME, name, bits, wide, text) \\
    ROW("Moves that extend the sign", "dst = " text "src, into " #wide " bits\\t" #bits, "0x%02x", \\
        ((wide) == 64 ? BPF_ALU64 : BPF_ALU) | BPF_MOV | BPF_X)
#define SWAP(NAME, name, code, bits, text) \\
    ROW("Byte order", "dst = " text "(dst)\\t" #bits, "0x%02x", code)
#define MEM(NAME, type, code, text) \\
    ROW("Loads and stores", "dst = *(" text " *)(src + off)\\t", "0x%02x", BPF_LDX | BPF_MEM | (code)) \\
    ROW("Loads and stores", "*(" text " *)(dst + off) = src\\t", "0x%02x", BPF_STX | BPF_MEM | (code)) \\
    ROW("Loads and stores", "*(" text " *)(dst + off) = imm\\t", "0x%02x", BPF_ST | BPF_MEM | (code))
#define LDSX(NAME, type, code, text) \\
    ROW("Loads and stores", "dst = *(" text " *)(src + off)\\t", "0x%02x", BPF_LDX | BPF_MEMSX | (code))
#define ATOMIC(NAME, function, imm) \\
    printf("Atomic operations\\t%s\\t0x%02x\\t0x%02x 0x%02x\\n", #NAME, imm, \\
           BPF_STX | BPF_ATOMIC | BPF_DW, BPF_STX | BPF_ATOMIC | BPF_W);
#include "ebpf/opcodes.def"
}
""").splitlines()
    forms = ["64 bits, immediate", "64 bits, register", "32 bits, immediate", "32 bits, register"]
    heads = {
        "Arithmetic": ("Operation", "Offset", *forms),
        "Conditional jumps": ("Operation", *forms),
        "Moves that extend the sign": ("Operation", "Offset", "Opcode"),
        "Byte order": ("Operation", "Immediate", "Opcode"),
        "Loads and stores": ("Operation", "Opcode"),
        "Atomic operations": ("Operation", "Immediate", "64 bits", "32 bits"),
    }
    groups = {group: [] for group in heads}
    for line in lines:
        group, what, selector, codes = line.split("\t")
        cells = [f"`{what}`".replace("|", "\\|")] + ([selector] if selector else [])
        groups[group].append(cells + [f"`{number}`" for number in codes.split()])
    return ("# Instructions\n\n" + MADE.format("ebpf/opcodes.def") +
            "The opcode bytes that the decoder takes; calls, exit, goto and 64-bit immediates are beside these, in\n"
            "[chapter 9](../09-ebpf.md). Where several operations share an opcode, the offset or the immediate\n"
            "field tells them apart. The standard is RFC 9669.\n" +
            "".join(f"\n## {group}\n\n" + table(heads[group], rows) for group, rows in groups.items()))


def arguments(text, start):
    """The text between the parenthesis at start and the one that closes it."""
    depth, quoted = 0, False
    for at in range(start, len(text)):
        if text[at] == '"' and text[at - 1] != "\\":
            quoted = not quoted
        if not quoted:
            depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth == 0:
            return text[start + 1:at]
    raise ValueError("a parenthesis is not closed")


def page_tracepoints():
    with open(os.path.join(ROOT, "kernel", "tracepoints.def"), encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    rows = []
    for match in re.finditer(r"^TRACEPOINT(?=\()", text, re.M):
        body = arguments(text, match.end())
        system, name = re.match(r"(\w+), (\w+)", body).groups()
        raw = re.search(r",\s*\((\d), (.*?)\)", body, re.S)[2].split(",")
        words = [part.strip() for part in raw]
        fields = [f"{kind} {field}" for kind, field in
                  re.findall(r"FIELD\(([^,]+), (\w+)", body)]
        fields += [f"char {field}[{size}]" for field, size in re.findall(r"TEXT\((\w+), (\d+)", body)]
        fields += [f"__data_loc char[] {field}" for field in re.findall(r"STRING\((\w+),", body)]
        rows.append((f"`{system}:{name}`", code(fields),
                     code(f"{kind} {word}" for kind, word in zip(words[::2], words[1::2]))))
    calls, numbers = [], {}
    for path in sorted(glob.glob(os.path.join(ROOT, "kernel", "syscalls_*.c"))):
        with open(path, encoding="utf-8") as file:
            source = file.read()
        for match in re.finditer(r"^SYSCALL_DEFINE\d(?=\()", source, re.M):
            parts = [part.strip() for part in arguments(source, match.end()).split(",")]
            calls.append((parts[0], list(zip(parts[1::2], parts[2::2])), os.path.relpath(path, ROOT)))
    for line in compiled("#include <asm/unistd.h>\n#define __NR_newfstat __NR_fstat\nint main(void) {\n" +
                         "".join(f'printf("{name} %d\\n", __NR_{name});\n' for name, _, _ in calls) +
                         "}\n").splitlines():
        numbers[line.split()[0]] = int(line.split()[1])
    calls.sort(key=lambda call: numbers[call[0]])
    return ("# Tracepoints and system calls\n\n" +
            MADE.format("kernel/tracepoints.def and kernel/syscalls_*.c") +
            "`skepctl tracepoint format SYSTEM:NAME` shows a record's layout as the guest has it.\n\n"
            "## Tracepoints\n\n" + table(("Tracepoint", "Fields of the record", "Raw arguments"), rows) +
            "\n## System calls\n\nEach has two tracepoints, `syscalls:sys_enter_NAME` with the arguments and\n"
            "`syscalls:sys_exit_NAME` with the result.\n\n" +
            table(("Number", "Name", "Arguments", "Source"),
                  [(str(numbers[name]), f"`{name}`",
                    code(f"{kind} {argument}" for kind, argument in args), f"`{path}`")
                   for name, args, path in calls]))


def all_pages(skepctl):
    """{path: text}; skepctl is the program that prints its own page, or None."""
    pages = {"commands": page_commands(), "helpers": page_helpers(), "maps": page_maps(),
             "opcodes": page_opcodes(), "tracepoints": page_tracepoints()}
    if skepctl:
        pages["skepctl"] = subprocess.run([skepctl, "help", "reference"], capture_output=True,
                                          text=True, check=True).stdout
    return {f"docs/reference/{name}.md": text for name, text in pages.items()}
