#!/usr/bin/env python3
"""make compare-linux: the same programs, map operations, disassembly, events and formats under
Debian's kernel and under Skep, both in QEMU, held against each other.

A difference needs a reason that a person wrote (differences.py). Writes every row to
$O/linux/compare.txt, prints the totals and what has no reason; the exit status is 1 when anything
has none. What Linux says and what Skep says are kept in $O/linux/linux.txt and skep.txt.
"""

import glob
import json
import os
import re
import subprocess
import sys
import time

import differences
import machine

ROOT = machine.ROOT
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))
from guest import BUILD, Guest, GuestError  # noqa: E402

WORK = os.path.join(BUILD, "linux")
FILES = os.path.join(ROOT, "user", "app", "files")
ACTIVITY = ["/index.html", "/hello.txt", "/hello.txt", "/etc/motd", "/style.css", "/index.html"]

# Since which release Linux knows what a program needs.
KNOWN_SINCE = {"cpu v4": (6, 6), "may_goto": (6, 9)}

AGREE, REASON, DIFFER, UNKNOWN = "agrees", "reason", "DIFFERS", "unknown"


# ---- asking Skep ---------------------------------------------------------------------------------

def say(part, ident, field, value):
    return "\t".join((part, ident, field, value.replace("\t", "\\t")))


def lines_of(part, ident, text):
    return [say(part, ident, f"{number:04}", line) for number, line in enumerate(text.split("\n"))]


def events_of(guest):
    """SYSTEM:NAME of every tracepoint that Skep has."""
    listed = guest.skepctl("tracepoint", "list").stdout
    return sorted(set(re.findall(r"\b([a-z_]\w*:[a-z_]\w*)\b", listed)))


def ask_disassembly(guest, objects):
    for path in objects:
        name = os.path.basename(path)
        programs = re.findall(rf"^object\t{re.escape(name)}:(\S+)\tload\tok$",
                              guest.answers, re.M)
        if len(programs) != 1:
            continue
        guest.skepctl("prog", "load", path, "compared")
        text = guest.skepctl("prog", "dump", "xlated", "pinned", "compared").stdout
        guest.skepctl("prog", "unload", "pinned", "compared")
        yield from lines_of("xlated", f"{name}:{programs[0]}", text.rstrip("\n"))


def ask_openat(guest, path):
    """openat.bpf.o counts what ACTIVITY opens: here a request over HTTP is what opens a file."""
    guest.skepctl("prog", "load", path, "openat")
    guest.skepctl("prog", "attach", "pinned", "openat", "tracepoint", "syscalls:sys_enter_openat")
    for name in ACTIVITY:
        guest.http_get(name)
    guest.skepctl("prog", "detach", "pinned", "openat")
    for entry in guest.skepctl_json("map", "dump", "name", "opens"):
        key, value = entry["formatted"]["key"]["name"], entry["formatted"]["value"]
        text = key if isinstance(key, str) else "".join(
            c if isinstance(c, str) else chr(c) for c in key)
        yield say("event", "openat", text.split("\0")[0], str(value))
    guest.skepctl("prog", "unload", "pinned", "openat")
    try:
        done = subprocess.run([os.path.join(BUILD, "skepctl"), "--target",
                               f"127.0.0.1:{guest.port}", "prog", "tracelog"],
                              capture_output=True, text=True, timeout=2)
        text = done.stdout
    except subprocess.TimeoutExpired as ended:  # it shows the trace until it is interrupted
        text = (ended.stdout or b"").decode()
    yield from lines_of("event", "trace", text)


def ask_skep(objects):
    """(answers, events): all lines that Skep's side gives, and its tracepoints."""
    with Guest(boot="pvh", limit=900) as guest:
        guest.wait_ready()
        events = events_of(guest)
        done = subprocess.run(
            [os.path.join(WORK, "skep-side"), f"127.0.0.1:{guest.port}",
             os.path.join(BUILD, "progs")],
            cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=200,
            env=dict(os.environ, SKEP_KEY=guest.key))
        lines = done.stdout.splitlines()
        if done.returncode != 0 or not lines or lines[-1] != "note\tend\tend\tend":
            raise GuestError(f"skep-side ended with status {done.returncode}: {done.stderr}"
                             f"its last answer: {lines[-1] if lines else '(none)'}\n"
                             f"console ends:\n{guest.console[-1500:]}")
        guest.answers = done.stdout
        for event in events:
            text = guest.skepctl("tracepoint", "format", event).stdout
            lines += lines_of("format", event, text.rstrip("\n"))
        lines += ask_disassembly(guest, objects)
        # Last, since tracelog shows the pipe from its beginning: programs under test print too.
        for path in objects:
            if os.path.basename(path) == "openat.bpf.o":
                lines += ask_openat(guest, path)
        guest.skepctl("sys", "poweroff")
        guest.wait_exit()
    return lines, events


# ---- comparing -----------------------------------------------------------------------------------

def table(lines):
    """{(part, id): {field: value}}, in the order of the answers."""
    answers = {}
    for line in lines:
        part, ident, field, value = line.split("\t", 3)
        answers.setdefault((part, ident), {})[field] = value
    return answers


def outcome_of_run(answer):
    """What load and test run gave, as one text."""
    if answer is None:
        return "(no answer)"
    if "maps" in answer:
        return f"maps: {answer['maps']}"
    if answer["load"] != "ok":
        return f"refused: {answer['reason']}"
    if answer["run"] != "ok":
        return f"run: {answer['run']}"
    return " ".join([answer["r0"]] + [f"{field} {answer[field]}" for field in ("memory", "context", "trace")
                                      if field in answer])


def same_run(linux, skep):
    if linux.startswith("refused") and skep.startswith("refused"):
        return True
    # What Linux's verifier refuses beforehand, the checked interpreter stops when it comes to it.
    if linux.startswith("refused") and skep in ("run: EFAULT", "run: ELOOP"):
        return True
    return linux == skep


def verdict(answer):
    if answer is None or "load" not in answer:
        return "(no answer)"
    return "accepted" if answer["load"] == "ok" else f"refused: {answer.get('reason', '')}"


def verdict_of_case(answer):
    """What Skep's verifier says of a case of tests/data/verifier: the case states it, and the unit
    test `verifier` holds the verifier to that."""
    if answer is None:
        return "(no answer)"
    return f"refused: {answer['error']}" if "error" in answer else "accepted"


def same_verdict(linux, skep):
    return linux.startswith("accepted") == skep.startswith("accepted")


def fields_text(answer):
    if answer is None:
        return "(no answer)"
    if list(answer) == ["result"]:
        return answer["result"]
    return " ".join(f"{field} {value}" for field, value in answer.items())


def instructions(answer):
    """A disassembly without what differs by machine: ids of maps, addresses of helpers."""
    if answer is None:
        return []
    text = []
    for _, line in sorted(answer.items()):
        line = re.sub(r"\[id:\d+\]", "[id:N]", line.rstrip())
        line = re.sub(r"(call \w+)#-?\d+", r"\1", line)
        if line:
            text.append(line)
    return text


def printed(answer):
    """What bpf_printk wrote, in order."""
    return [line.split("bpf_trace_printk: ", 1)[1] for _, line in sorted((answer or {}).items())
            if "bpf_trace_printk: openat " in line]


def first_difference(ours, theirs):
    for number, (one, other) in enumerate(zip(ours, theirs)):
        if one != other:
            return number
    return min(len(ours), len(theirs))


class Comparison:
    def __init__(self, linux, skep, reasons):
        self.linux, self.skep, self.reasons = linux, skep, reasons
        self.rows, self.totals = [], {}
        release = linux[("note", "kernel")]["release"]
        self.release = tuple(int(n) for n in re.match(r"(\d+)\.(\d+)", release).groups())

    def row(self, part, ident, linux, skep, same, unknown=None):
        why = ""
        if unknown:
            kind, why = UNKNOWN, unknown
        elif same:
            kind = AGREE
        else:
            why = differences.find(self.reasons, part, ident, linux, skep) or ""
            kind = REASON if why else DIFFER
        self.rows.append((kind, part, ident, linux, skep, why))
        total = self.totals.setdefault(part, dict.fromkeys((AGREE, REASON, DIFFER, UNKNOWN), 0))
        total[kind] += 1

    def unknown_to_linux(self, answer):
        needed = (answer or {}).get("needs")
        if needed and self.release < KNOWN_SINCE[needed]:
            return f"Linux {self.release[0]}.{self.release[1]} does not know {needed}"
        return None

    def idents(self, part):
        return [ident for its_part, ident in dict.fromkeys([*self.linux, *self.skep])
                if its_part == part]

    def both(self, part, ident):
        return self.linux.get((part, ident)), self.skep.get((part, ident))

    def compare_runs(self):
        for ident in self.idents("data"):
            linux, skep = self.both("data", ident)
            if ident.startswith("verifier/") and "error" in skep:
                continue  # not meant to run
            one, other = outcome_of_run(linux), outcome_of_run(skep)
            self.row("run", ident, one, other, same_run(one, other), self.unknown_to_linux(skep))

    def compare_verdicts(self):
        for part in ("data", "object"):
            for ident in self.idents(part):
                linux, skep = self.both(part, ident)
                stated = part == "data" and ident.startswith("verifier/")
                one, other = verdict(linux), verdict_of_case(skep) if stated else verdict(skep)
                self.row("verifier" if stated else "verdict", ident, one, other,
                         same_verdict(one, other), self.unknown_to_linux(skep))

    def compare_random(self):
        for ident in self.idents("random"):
            linux, skep = self.both("random", ident)
            one, other = verdict(linux), verdict(skep)
            if one == other == "accepted":
                one, other = (" ".join(f"{field} {value}" for field, value in answer.items())
                              for answer in (linux, skep))
                same = one == other
            else:
                same = same_verdict(one, other)
            self.row("random", ident, one, other, same, self.unknown_to_linux(skep))

    def compare_maps(self):
        for ident in self.idents("map"):
            linux, skep = self.both("map", ident)
            self.row("map", ident, fields_text(linux), fields_text(skep), linux == skep)

    def compare_disassembly(self):
        for ident in self.idents("xlated"):
            linux, skep = map(instructions, self.both("xlated", ident))
            at = first_difference(linux, skep)
            same = linux == skep
            self.row("xlated", ident,
                     f"{len(linux)} lines" + ("" if same else f", {at}: {''.join(linux[at:at + 1])}"),
                     f"{len(skep)} lines" + ("" if same else f", {at}: {''.join(skep[at:at + 1])}"),
                     same)

    def compare_formats(self):
        for ident in self.idents("format"):
            linux, skep = (
                [line for _, line in sorted((answer or {}).items()) if not line.startswith("ID: ")]
                for answer in self.both("format", ident))
            if linux == ["(no such event)"]:
                self.row("format", ident, "", "", False, "Linux has no such event")
                continue
            at = first_difference(linux, skep)
            self.row("format", ident, "".join(linux[at:at + 1]), "".join(skep[at:at + 1]),
                     linux == skep)

    def compare_events(self):
        linux, skep = self.both("event", "openat")
        for name in sorted({*(linux or {}), *(skep or {}), *ACTIVITY}):
            one, other = ((answer or {}).get(name, "0") for answer in (linux, skep))
            self.row("event", f"count of {name}", one, other, one == other)
        linux, skep = map(printed, self.both("event", "trace"))
        for number in range(max(len(linux), len(skep), len(ACTIVITY))):
            one, other = (text[number] if number < len(text) else "(nothing)"
                          for text in (linux, skep))
            self.row("event", f"line {number + 1} of the trace", one, other, one == other)

    def compare(self):
        self.compare_runs()
        self.compare_verdicts()
        self.compare_random()
        self.compare_maps()
        self.compare_disassembly()
        self.compare_events()
        self.compare_formats()


# ---- the report ----------------------------------------------------------------------------------

def write_table(path, comparison):
    with open(path, "w", encoding="utf-8") as file:
        for kind, part, ident, linux, skep, why in comparison.rows:
            file.write(f"{kind:8} {part:8} {ident}\n         Linux  {linux}\n         Skep   {skep}\n")
            if why:
                file.write(f"         why    {why}\n")


def report(comparison):
    heads = (AGREE, REASON, UNKNOWN, DIFFER)
    print(f"  {'':8} {'agree':>8} {'reason':>8} {'unknown':>8} {'differ':>8}")
    for part, total in comparison.totals.items():
        print(f"  {part:8} " + " ".join(f"{total[head]:8}" for head in heads))
    for kind, part, ident, linux, skep, _ in comparison.rows:
        if kind == DIFFER:
            print(f"\n  {part} {ident}\n    Linux  {linux}\n    Skep   {skep}")
    for reason in comparison.reasons:
        if not reason.used:
            print(f"  not needed any more: the reason for {reason.name}")
    compared = sum(sum(total.values()) - total[UNKNOWN] for total in comparison.totals.values())
    differ = sum(total[DIFFER] for total in comparison.totals.values())
    print(f"  every row is in {os.path.relpath(os.path.join(WORK, 'compare.txt'), ROOT)}")
    print(f"{compared} compared, {differ} differ without a reason")
    return differ


def keep(name, lines):
    with open(os.path.join(WORK, name), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def main():
    os.makedirs(WORK, exist_ok=True)
    objects = sorted(glob.glob(os.path.join(BUILD, "progs", "*.bpf.o")))
    began = time.monotonic()
    try:
        print("  asking Skep", flush=True)
        skep, events = ask_skep(objects)
        keep("skep.txt", skep)
        print("  asking Linux", flush=True)
        initramfs = machine.build_initramfs(os.path.join(WORK, "init"), objects, ACTIVITY, events,
                                            FILES)
        linux = machine.run(WORK, initramfs)
        keep("linux.txt", linux)
    except (GuestError, machine.LinuxError, OSError, subprocess.SubprocessError) as error:
        print(f"compare-linux: {error}", file=sys.stderr)
        return 1
    comparison = Comparison(table(linux), table(skep), differences.read())
    comparison.compare()
    write_table(os.path.join(WORK, "compare.txt"), comparison)
    print(f"  both asked in {time.monotonic() - began:.0f} s")
    return 1 if report(comparison) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # both machines have ended with the blocks that ran them
        print("\ncompare-linux: interrupted", file=sys.stderr)
        sys.exit(130)
