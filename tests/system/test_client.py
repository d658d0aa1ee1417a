"""skepctl against the command server in a host process (build/skep-serve): every verb, bad input,
and what is left behind. No machine is booted: there are no system calls and nothing happens by
itself, so programs run by PROG_TEST_RUN."""

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from guest import BUILD, ROOT, SKEPCTL

SERVE = os.path.join(BUILD, "skep-serve")
PROGS = os.path.join(BUILD, "progs")
LIMIT = 30  # seconds for any one command

# A program that returns a constant, and maps and data of its own, for what progs/ have not.
SAMPLE = r"""
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4);
         __type(key, __u32); __type(value, __u64); } numbers SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } events SEC(".maps");

int seen = 5;
const volatile int limit = 7;

SEC("xdp") int pass(struct xdp_md *ctx)
{
    __u64 *sum, key = 0;
    __u32 zero = 0;

    seen++;
    sum = bpf_map_lookup_elem(&numbers, &zero);
    if (sum)
        *sum += ctx->data_end - ctx->data;
    key = seen;
    bpf_ringbuf_output(&events, &key, sizeof(key), 0);
    return seen > limit ? XDP_DROP : XDP_PASS;
}

SEC("socket") int second(struct __sk_buff *skb) { return 3; }

char LICENSE[] SEC("license") = "GPL";
"""


def compile_bpf(folder, name, source):
    """Compiles C to name.bpf.o in folder; its path."""
    path = os.path.join(folder, f"{name}.bpf.o")
    multiarch = subprocess.run(["gcc", "-print-multiarch"], capture_output=True, text=True,
                               check=True).stdout.strip()
    subprocess.run(["clang", "-g", "-O2", "-target", "bpf", "-idirafter",
                    f"/usr/include/{multiarch}", "-x", "c", "-c", "-o", path, "-"],
                   input=source, text=True, check=True, timeout=60)
    return path


class Server:
    """A skep-serve process on a free port."""

    def __init__(self):
        self.process = subprocess.Popen([SERVE, "--port", "0"], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.port = int(re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", line)[1])

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        finally:
            self.process.kill()
            self.process.stdout.close()


class ClientCase(unittest.TestCase):
    """A fresh server for each test: nothing of one test is seen by another."""

    server_class = Server  # test_commands.py puts a machine in its place

    def setUp(self):
        self.server = self.server_class()
        self.addCleanup(self.server.end)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def command(self, *args):
        return [SKEPCTL, "--target", f"127.0.0.1:{self.server.port}", *map(str, args)]

    def run_client(self, *args, **options):
        return subprocess.run(self.command(*args), capture_output=True, text=True, timeout=LIMIT,
                              stdin=subprocess.DEVNULL, **options)

    def ok(self, *args):
        """Standard output of a command that must work and complain of nothing."""
        done = self.run_client(*args)
        self.assertEqual((done.returncode, done.stderr), (0, ""), f"{args}: {done.stdout}")
        return done.stdout

    def json(self, *args):
        return json.loads(self.ok("-j", *args))

    def fails(self, *args):
        """The error sentence of a command that must fail the way bpftool does."""
        done = self.run_client(*args)
        self.assertEqual(done.returncode, 255, f"{args}: {done.stdout}{done.stderr}")
        self.assertRegex(done.stderr, r"\AError: ")
        return done.stderr

    def assert_empty(self):
        """No program, map, link or BTF object is left in the guest."""
        for noun in ("prog", "map", "link", "btf"):
            self.assertEqual(self.json(noun, "list"), [], noun)


class Maps(ClientCase):
    def create(self, name="m", kind="hash", key=4, value=8, entries=8, *more):
        self.ok("map", "create", f"/sys/fs/bpf/{name}", "type", kind, "key", key, "value", value,
                "entries", entries, "name", name, *more)

    def test_create_and_list(self):
        """map create pins a map, which list shows"""
        self.create()
        maps = self.json("-f", "map", "list")
        self.assertEqual(len(maps), 1)
        self.assertEqual({k: maps[0][k] for k in ("type", "name", "bytes_key", "bytes_value",
                                                  "max_entries", "pinned")},
                         {"type": "hash", "name": "m", "bytes_key": 4, "bytes_value": 8,
                          "max_entries": 8, "pinned": ["/sys/fs/bpf/m"]})
        self.assertRegex(self.ok("map", "show", "pinned", "m"),
                         r"\A\d+: hash  name m  flags 0x0\n"
                         r"\tkey 4B  value 8B  max_entries 8  memlock \d+B\n\Z")

    def test_entries(self):
        """map update, lookup, getnext, delete and dump"""
        self.create()
        self.ok("map", "update", "pinned", "m", "key", "1", "0", "0", "0", "value", "hex",
                *"0a 0b 0c 0d 0e 0f 10 11".split())
        self.assertEqual(self.ok("map", "lookup", "name", "m", "key", "hex", "01", "0", "0", "0"),
                         "key: 01 00 00 00  value: 0a 0b 0c 0d 0e 0f 10 11\n")
        self.assertEqual(self.ok("map", "dump", "name", "m"),
                         "key: 01 00 00 00  value: 0a 0b 0c 0d 0e 0f 10 11\nFound 1 element\n")
        self.assertEqual(self.ok("map", "getnext", "name", "m"),
                         "key: None\nnext key:\n01 00 00 00\n")
        self.ok("map", "delete", "name", "m", "key", "1", "0", "0", "0")
        self.assertEqual(self.json("map", "dump", "name", "m"), [])
        done = self.run_client("map", "lookup", "name", "m", "key", "1", "0", "0", "0")
        self.assertEqual((done.returncode, done.stdout),
                         (255, "key:\n01 00 00 00\n\nNot found\n"))

    def test_flags(self):
        """map update honours noexist and exist"""
        self.create()
        entry = ["key", *"1000", "value", *"10000000"]
        self.assertIn("No such file", self.fails("map", "update", "name", "m", *entry, "exist"))
        self.ok("map", "update", "name", "m", *entry, "noexist")
        self.assertIn("File exists", self.fails("map", "update", "name", "m", *entry, "noexist"))

    def test_freeze(self):
        """a frozen map takes no more updates from clients"""
        self.create(kind="array", entries=2)
        self.ok("map", "freeze", "name", "m")
        self.assertTrue(self.ok("map", "show", "name", "m").endswith("B\n\tfrozen\n"))
        self.assertIn("not permitted", self.fails("map", "update", "name", "m", "key", *"0000",
                                                  "value", *"10000000"))

    def test_large_dump(self):
        """a thousand entries arrive whole"""
        self.create(entries=1000)
        batch = {}
        for key in range(0, 1000, 97):
            value = list(struct.pack("<Q", key * key))
            self.ok("map", "update", "name", "m", "key", *struct.pack("<I", key), "value", *value)
            batch[key] = value
        dump = {struct.unpack("<I", bytes(int(b, 16) for b in entry["key"]))[0]:
                [int(b, 16) for b in entry["value"]] for entry in self.json("map", "dump", "name", "m")}
        self.assertEqual(dump, batch)

    def test_bad_maps(self):
        """unknown type, sizes and limits each get a sentence"""
        make = ["map", "create", "m", "type"]
        rest = ["key", 4, "value", 8, "entries", 8, "name", "m"]
        self.assertIn("unrecognized map type: nosuch", self.fails(*make, "nosuch", *rest))
        self.assertIn("map create failed", self.fails(*make, "cgroup_storage", *rest))
        self.assertIn("larger than the guest takes",
                      self.fails(*make, "hash", "key", 4, "value", 2000000000, "entries", 8,
                                 "name", "m"))
        self.assertIn("map create failed",
                      self.fails(*make, "array", "key", 3, "value", 8, "entries", 8, "name", "m"))
        self.assert_empty()

    def test_name_taken(self):
        """a pin's name is taken once"""
        self.create()
        self.assertIn("the name 'm' is taken",
                      self.fails("map", "create", "m", "type", "hash", "key", 4, "value", 8,
                                 "entries", 8, "name", "m"))


class Programs(ClientCase):
    def test_demo_programs(self):
        """the programs of progs/ load, attach, detach and unload, and leave nothing"""
        for name, event in (("openat", "sched:sched_switch"),
                            ("packets", "virtio_net:receive_packet")):
            self.ok("prog", "load", os.path.join(PROGS, f"{name}.bpf.o"), name)
            self.ok("prog", "attach", "pinned", name, "tracepoint", event)
            self.assertIn("attached", self.fails("prog", "attach", "pinned", name, "tracepoint",
                                                 event))
        programs = {prog["name"]: prog for prog in self.json("prog", "list")}
        self.assertEqual(set(programs), {"count_open", "count_packet"})
        self.assertEqual({link["prog_id"] for link in self.json("link", "list")},
                         {prog["id"] for prog in programs.values()})
        self.assertEqual([link["tracepoint"] for link in self.json("link", "list")],
                         ["sched_switch", "receive_packet"])
        self.assertIn("\n\ttracepoint sched_switch  ", self.ok("link", "list"))
        events = {f"{e['system']}:{e['name']}": e for e in self.json("tracepoint", "list")}
        self.assertEqual(events["virtio_net:receive_packet"]["progs"], 1)
        self.assertEqual(self.ok("map", "dump", "name", "opens"), "[]\n")
        for name in ("openat", "packets"):
            self.ok("prog", "detach", "pinned", name)
            self.assertIn("not attached", self.fails("prog", "detach", "pinned", name))
            self.ok("prog", "unload", "pinned", name)
        self.assert_empty()

    def test_unload_detaches(self):
        """prog unload takes an attached program down as a whole"""
        self.ok("prog", "load", os.path.join(PROGS, "packets.bpf.o"), "packets")
        self.ok("prog", "attach", "name", "count_packet", "tracepoint",
                "virtio_net:receive_packet")
        self.ok("prog", "unload", "name", "count_packet")
        self.assert_empty()

    def test_raw_tracepoint(self):
        """prog attach and detach on a raw tracepoint"""
        path = compile_bpf(self.folder, "raw", "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
                           'SEC("raw_tp") int f(void *ctx) { return 0; }\n'
                           'char LICENSE[] SEC("license") = "GPL";\n')
        self.ok("prog", "load", path, "raw")
        self.assertIn("unknown raw tracepoint: 'nosuch'",
                      self.fails("prog", "attach", "pinned", "raw", "raw_tracepoint", "nosuch"))
        self.assertIn("must be of type tracepoint",
                      self.fails("prog", "attach", "pinned", "raw", "tracepoint",
                                 "sched:sched_switch"))
        self.ok("prog", "attach", "pinned", "raw", "raw_tracepoint", "sched_switch")
        link = self.json("link", "list")[0]
        self.assertEqual((link["type"], link["tp_name"]), ("raw_tracepoint", "sched_switch"))
        self.assertIn("\n\ttp 'sched_switch'  ", self.ok("link", "list"))
        self.ok("prog", "detach", "pinned", "raw", "raw_tracepoint", "sched_switch")
        self.ok("prog", "unload", "pinned", "raw")
        self.assert_empty()

    def test_link_detach(self):
        """link detach removes the link and its pin"""
        self.ok("prog", "load", os.path.join(PROGS, "packets.bpf.o"), "packets")
        self.ok("prog", "attach", "pinned", "packets", "tracepoint", "virtio_net:receive_packet")
        self.ok("link", "detach", "id", self.json("link", "list")[0]["id"])
        self.assertEqual(self.json("link", "list"), [])
        self.assertEqual(len(self.json("prog", "list")), 1)

    def test_btf(self):
        """btf list tells who uses an object's types, btf dump gives them back"""
        path = os.path.join(PROGS, "openat.bpf.o")
        self.ok("prog", "load", path, "openat")
        program = self.json("prog", "list")[0]
        listed = {btf["id"]: btf for btf in self.json("btf", "list")}[program["btf_id"]]
        self.assertEqual(listed["prog_ids"], [program["id"]])
        self.assertTrue(set(listed["map_ids"]) <= set(program["map_ids"]), listed)
        names = {kind["name"] for kind in
                 self.json("btf", "dump", "prog", "pinned", "openat")["types"]}
        self.assertIn("count_open", names)
        self.assertLessEqual(names, {kind["name"] for kind in
                                     self.json("btf", "dump", "file", path)["types"]})
        self.assertIn("struct file {", self.ok("btf", "dump", "map", "name", "opens", "format", "c"))
        self.ok("prog", "unload", "pinned", "openat")
        self.assert_empty()

    def test_several_tracepoints(self):
        """one program on two tracepoints, detached one by one"""
        self.ok("prog", "load", os.path.join(PROGS, "packets.bpf.o"), "packets")
        for event in ("sched:sched_switch", "virtio_net:receive_packet"):
            self.ok("prog", "attach", "pinned", "packets", "tracepoint", event)
        self.ok("prog", "detach", "pinned", "packets", "tracepoint", "sched:sched_switch")
        self.assertEqual(len(self.json("link", "list")), 1)

    def test_run(self):
        """prog run gives data, takes the result, and the program's maps and globals move"""
        sample = compile_bpf(self.folder, "sample", SAMPLE)
        self.ok("prog", "loadall", sample, "sample")
        packet = os.path.join(self.folder, "packet")
        with open(packet, "wb") as file:
            file.write(bytes(range(64)))
        out = self.ok("prog", "run", "pinned", "sample/pass", "data_in", packet)
        self.assertRegex(out, r"\AReturn value: 2, duration: \d+ns\n\Z")
        done = self.json("prog", "run", "pinned", "sample/pass", "data_in", packet, "data_out", "-",
                         "repeat", 2)
        self.assertEqual(done["retval"], 1)
        self.assertEqual(bytes(int(b, 16) for b in done["data_out"]), bytes(range(64)))
        numbers = self.json("map", "dump", "name", "numbers")
        self.assertEqual(numbers[0]["formatted"], {"key": 0, "value": 3 * 64})
        names = {m["name"]: m for m in self.json("map", "list")}
        data = next(m for name, m in names.items() if name.endswith(".data"))
        dump = self.json("map", "dump", "id", data["id"])
        self.assertEqual(dump[0]["formatted"]["value"], {".data": [{"seen": 8}]})
        self.ok("prog", "unload", "pinned", "sample/pass")
        self.ok("prog", "unload", "pinned", "sample/second")
        self.assert_empty()

    def test_dump_xlated(self):
        """prog dump xlated shows signatures, source lines and bpftool's instructions"""
        self.ok("prog", "load", os.path.join(PROGS, "openat.bpf.o"), "openat")
        text = self.ok("prog", "dump", "xlated", "pinned", "openat")
        self.assertTrue(text.startswith("int count_open(struct openat_record * record):\n"), text)
        self.assertIn("; struct file file = {0};\n", text)
        self.assertRegex(text, r"(?m)^ *\d+: \(85\) call bpf_map_lookup_elem#1$|"
                               r"^ *\d+: \(85\) call bpf_map_lookup_elem$")
        self.assertRegex(text, r"(?m)^ *\d+: \(95\) exit$")
        listing = self.json("prog", "dump", "xlated", "pinned", "openat", "opcodes")
        self.assertEqual(listing[0]["proto"], "int count_open(struct openat_record * record)")
        raw = os.path.join(self.folder, "raw")
        self.ok("prog", "dump", "xlated", "pinned", "openat", "file", raw)
        size = self.json("prog", "list")[0]["bytes_xlated"]
        self.assertEqual(os.path.getsize(raw), size)
        self.assertEqual(size, sum(len(line["opcodes"]) for line in listing))

    def test_pinned_maps_and_reuse(self):
        """pinmaps keeps a map beyond its program; `map name` gives it to another load"""
        path = os.path.join(PROGS, "packets.bpf.o")
        self.ok("prog", "load", path, "one", "pinmaps", "one-maps")
        kept = self.json("map", "show", "pinned", "one-maps/packets")["id"]
        self.ok("prog", "unload", "pinned", "one")
        self.ok("prog", "load", path, "two", "map", "name", "packets", "id", kept)
        prog = self.json("prog", "show", "pinned", "two")
        self.assertIn(kept, prog["map_ids"])

    def test_session_leaves_nothing(self):
        """a load that fails at its pin leaves no program behind"""
        path = os.path.join(PROGS, "packets.bpf.o")
        self.ok("prog", "load", path, "taken")
        self.assertIn("taken", self.fails("prog", "load", path, "taken"))
        self.assertEqual(len(self.json("prog", "list")), 1)


class BadObjects(ClientCase):
    def tearDown(self):
        self.assert_empty()

    def write(self, name, data):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def source(self, body, headers=""):
        return compile_bpf(self.folder, "bad", "#include <linux/bpf.h>\n"
                           f"#include <bpf/bpf_helpers.h>\n{headers}\n{body}\n"
                           'char LICENSE[] SEC("license") = "GPL";\n')

    def test_no_file(self):
        """a file that is not there"""
        self.assertIn("No such file", self.fails("prog", "load", "nosuch.o", "x"))

    def test_corrupt(self):
        """an empty file, text, a truncated object, and objects with damaged bytes"""
        with open(os.path.join(PROGS, "packets.bpf.o"), "rb") as file:
            good = file.read()
        for name, data in (("empty", b""), ("text", b"hello\n" * 100), ("half", good[:len(good) // 2])):
            self.assertIn("failed to open object file",
                          self.fails("prog", "load", self.write(name, data), "x"))
        for offset in range(0, len(good), 509):
            bad = bytearray(good)
            bad[offset] ^= 0xff
            done = self.run_client("prog", "load", self.write("damaged", bytes(bad)), "x")
            self.assertIn(done.returncode, (0, 255), f"byte {offset}: {done.stderr}")
            if done.returncode == 0:
                self.ok("prog", "unload", "pinned", "x")

    def test_unknown_section(self):
        """a section that names no program type"""
        path = self.source('SEC("nosuch/thing") int f(void *ctx) { return 0; }')
        self.assertIn("section 'nosuch/thing', which names no program type",
                      self.fails("prog", "load", path, "x"))
        self.ok("prog", "load", path, "x", "type", "tracepoint")
        self.ok("prog", "unload", "pinned", "x")

    def test_unknown_map_type(self):
        """a map type that nobody has"""
        path = self.source('struct { __uint(type, 999); __uint(max_entries, 1); __type(key, int);'
                           ' __type(value, int); } m SEC(".maps");\n'
                           'SEC("xdp") int f(void *ctx)'
                           ' { int k = 0; return !!bpf_map_lookup_elem(&m, &k); }')
        self.assertIn("failed to load object file", self.fails("prog", "load", path, "x"))

    def test_refused_needs(self):
        """CO-RE, kernel symbols and configuration are refused by name"""
        core = self.source('struct task_struct { int pid; } __attribute__((preserve_access_index));'
                           'SEC("xdp") int f(struct task_struct *t) { return t->pid; }')
        self.assertIn("CO-RE relocations (the first for type 'task_struct')",
                      self.fails("prog", "load", core, "x"))
        ksym = self.source('extern const int jiffies __ksym;'
                           'SEC("xdp") int f(void *c) { return jiffies; }')
        self.assertIn("kernel symbol 'jiffies'", self.fails("prog", "load", ksym, "x"))
        kconfig = self.source('extern int LINUX_KERNEL_VERSION __kconfig;'
                              'SEC("xdp") int f(void *c) { return LINUX_KERNEL_VERSION; }')
        self.assertIn("configuration 'LINUX_KERNEL_VERSION'",
                      self.fails("prog", "load", kconfig, "x"))

    def test_unknown_tracepoint(self):
        """a tracepoint that the guest has not, by prog attach and by run"""
        self.ok("prog", "load", os.path.join(PROGS, "packets.bpf.o"), "p")
        self.assertIn("unknown tracepoint: 'no:such'",
                      self.fails("prog", "attach", "pinned", "p", "tracepoint", "no:such"))
        self.ok("prog", "unload", "pinned", "p")
        path = self.source('SEC("tracepoint/no/such") int f(void *ctx) { return 0; }')
        done = self.run_client("run", path)
        self.assertEqual(done.returncode, 255)
        self.assertIn("unknown tracepoint: 'no/such'", done.stderr)

    def test_refused_program(self):
        """what the guest's loader says of a bad program is in the error"""
        path = self.source('SEC("xdp") int f(void *ctx)'
                           ' { return bpf_get_stack(ctx, 0, 0, 0) + bpf_loop(1, 0, 0, 0); }')
        error = self.fails("prog", "load", path, "x")
        self.assertIn("failed to load object file", error)
        self.assertGreater(len(error.splitlines()), 1, error)


class Guest(ClientCase):
    """What is neither program nor map: tracepoints, the system, streaming."""

    def test_tracepoints(self):
        """tracepoint list, format, enable and disable"""
        names = [f"{e['system']}:{e['name']}" for e in self.json("tracepoint", "list")]
        self.assertIn("sched:sched_switch", names)
        self.assertEqual(re.findall(r"(?m)^\S+$", self.ok("tracepoint", "list")), names)
        text = self.ok("tracepoint", "format", "virtio_net:receive_packet")
        self.assertRegex(text, r"(?m)^name: receive_packet$")
        self.assertRegex(text, r"\tfield:.*packet_ptr;\toffset:8;\tsize:8;")
        self.ok("tracepoint", "enable", "sched:sched_switch")
        self.assertTrue(self.json("tracepoint", "list", "sched:sched_switch")["enabled"])
        self.ok("tracepoint", "disable", "sched:sched_switch")
        self.assertFalse(self.json("tracepoint", "list", "sched:sched_switch")["enabled"])

    def test_sys(self):
        """sys info, dmesg and poweroff"""
        info = self.json("sys", "info")
        self.assertGreater(info["uptime_ns"], 0)
        self.assertTrue(self.ok("sys", "info").startswith("Skep "))
        self.assertIn("serving", self.ok("sys", "dmesg"))
        self.ok("sys", "poweroff")
        self.assertEqual(self.server.process.wait(10), 0)

    def test_run_streams_and_cleans_up(self):
        """run shows a ring buffer's records, and Ctrl-C leaves nothing of it behind"""
        # Nothing happens here by itself: a second program, run by hand, fills the same ring
        # buffer, which both find under its pinned name.
        source = SAMPLE.replace("__uint(max_entries, 4096)",
                                "__uint(max_entries, 4096); __uint(pinning, LIBBPF_PIN_BY_NAME)")
        by_hand = compile_bpf(self.folder, "sample", source)
        path = compile_bpf(self.folder, "raw", source.split('SEC("socket")')[0]
                           .replace('SEC("xdp")', 'SEC("raw_tp/sched_switch")')
                           .replace("struct xdp_md *ctx", "void *ctx")
                           .replace("ctx->data_end - ctx->data", "1")
                           + 'char LICENSE[] SEC("license") = "GPL";\n')
        packet = os.path.join(self.folder, "packet")
        with open(packet, "wb") as file:
            file.write(bytes(64))
        process = subprocess.Popen(self.command("run", path), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        try:
            self.assertIn("attached", process.stderr.readline())
            self.assertIn("Ctrl-C", process.stderr.readline())
            self.ok("prog", "load", by_hand, "by-hand")
            self.ok("prog", "run", "pinned", "by-hand", "data_in", packet)
            self.assertEqual(process.stdout.readline(), "events: 8B: 06 00 00 00 00 00 00 00\n")
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(LIMIT), 0)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()
        self.ok("prog", "unload", "pinned", "by-hand")
        self.ok("map", "unpin", "name", "events")
        self.assert_empty()

    def test_killed_client(self):
        """a killed run leaves nothing once its session's lease is over"""
        process = subprocess.Popen(self.command("run", os.path.join(PROGS, "packets.bpf.o")),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.assertIn("attached", process.stderr.readline())
        self.assertEqual(len(self.json("link", "list")), 1)
        process.kill()
        process.wait()
        process.stderr.close()
        deadline = time.monotonic() + 25
        while self.json("prog", "list") and time.monotonic() < deadline:
            time.sleep(1)
        self.assert_empty()


class NoServer(unittest.TestCase):
    def run_client(self, target, **environment):
        began = time.monotonic()
        done = subprocess.run([SKEPCTL, "--target", target, "prog", "list"], capture_output=True,
                              text=True, timeout=60, env=dict(os.environ, **environment))
        return done, time.monotonic() - began

    def test_nothing_listens(self):
        """no server: the sentence says where nothing was, at once"""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        done, seconds = self.run_client(f"127.0.0.1:{port}")
        self.assertEqual(done.returncode, 255)
        self.assertRegex(done.stderr, rf"\AError: nothing listens on UDP 127\.0\.0\.1:{port}")
        self.assertLess(seconds, 5)

    def test_wrong_port(self):
        """a port that is mute, and one that sends everything back: the wait is bounded"""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mirror:
            for sock in mute, mirror:
                sock.bind(("127.0.0.1", 0))
            reflecting = threading.Thread(target=self.reflect, args=(mirror,))
            reflecting.start()
            clients = [subprocess.Popen([SKEPCTL, "--target", f"127.0.0.1:{sock.getsockname()[1]}",
                                         "prog", "list"], stderr=subprocess.PIPE, text=True)
                       for sock in (mute, mirror)]
            for client in clients:
                _, error = client.communicate(timeout=30)
                self.assertEqual(client.returncode, 255)
                self.assertRegex(error, r"\AError: no answer from UDP 127\.0\.0\.1:\d+ within 10 s")
            reflecting.join()

    @staticmethod
    def reflect(sock):
        """Sends back what comes, until nothing has come for a while."""
        sock.settimeout(5)
        try:
            while True:
                datagram, sender = sock.recvfrom(65536)
                sock.sendto(datagram, sender)
        except socket.timeout:
            pass

    def test_bad_target(self):
        """a target that cannot be parsed or found"""
        for target in ("127.0.0.1:x", "127.0.0.1:99999", "", "no.such.host.invalid:1"):
            done, _ = self.run_client(target)
            self.assertEqual(done.returncode, 255, target)
            self.assertRegex(done.stderr, r"\AError: ", target)

    def test_reference_page(self):
        """docs/reference/skepctl.md is what the verb tables make"""
        done = subprocess.run([SKEPCTL, "help", "reference"], capture_output=True, text=True,
                              timeout=10, check=True)
        with open(os.path.join(ROOT, "docs", "reference", "skepctl.md"), encoding="utf-8") as file:
            self.assertEqual(file.read(), done.stdout, "out of date: run `make reference`")

    def test_help_needs_no_server(self):
        """help and version work alone"""
        for words in (["help"], ["prog", "help"], ["map", "help"], ["version"], ["-V"], ["-h"]):
            done = subprocess.run([SKEPCTL, *words], capture_output=True, text=True, timeout=10,
                                  env=dict(os.environ, SKEP_TARGET="127.0.0.1:1"))
            self.assertEqual(done.returncode, 0, words)
            self.assertIn("skepctl", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv)
