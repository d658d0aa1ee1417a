"""`skep-vm verify --trace`: the data, and the page, opened in a headless Chromium."""

import html.parser
import json
import os
import re
import shutil
import struct
import subprocess
import tempfile
import unittest

from guest import BUILD, ROOT

SKEP_VM = os.path.join(BUILD, "skep-vm")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
               "chromium")
PER_FRAME = 75


def code(*insns):
    """Instructions (opcode, dst, src, offset, immediate) as hex."""
    return "".join(struct.pack("<BBhi", op, src << 4 | dst, off, imm).hex() + " "
                   for op, dst, src, off, imm in insns)


def verify(*arguments, status, stdin=None):
    done = subprocess.run([SKEP_VM, "verify", *arguments], input=stdin, capture_output=True,
                          text=True, timeout=120)
    if done.returncode != status:
        raise AssertionError(f"skep-vm verify {arguments}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Element:
    def __init__(self, tag, attributes):
        self.tag, self.attributes, self.text = tag, dict(attributes), ""
        self.classes = self.attributes.get("class", "").split()


class Dom(html.parser.HTMLParser):
    """Elements of a page in order, with the text in each."""

    VOID = {"meta", "link", "br", "img", "input"}

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        element = Element(tag, attrs)
        self.elements.append(element)
        if tag not in self.VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        while self.open and self.open.pop().tag != tag:
            pass

    def handle_data(self, data):
        for element in self.open:
            element.text += data

    def all(self, name=None, tag=None, **attributes):
        return [e for e in self.elements
                if (name is None or name in e.classes) and (tag is None or e.tag == tag)
                and all(e.attributes.get(k) == v for k, v in attributes.items())]

    def by_id(self, name):
        return self.all(id=name)[0]


def open_page(path, fragment=""):
    """The page after its script has run."""
    with tempfile.TemporaryDirectory(prefix="skep-browser-") as profile:
        done = subprocess.run(
            [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--disable-background-networking", "--no-first-run", "--disable-sync",
             "--disable-component-update", f"--user-data-dir={profile}", "--window-size=1400,900",
             "--dump-dom", f"file://{path}{fragment}"],
            capture_output=True, text=True, timeout=120)
    return Dom(done.stdout)


class TraceTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="skep-trace-")
        cls.object = os.path.join(cls.folder.name, "rejected.bpf.o")
        subprocess.run(["clang", "-g", "-O2", "-target", "bpf", "-idirafter",
                        "/usr/include/x86_64-linux-gnu", "-c", "-o", cls.object,
                        os.path.join(ROOT, "docs", "examples", "rejected.bpf.c")], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def selected(self, dom):
        """(pc that is selected in the list, {cell: values in the table})."""
        picked, = [e for e in dom.all("row") if "picked" in e.classes and "data-pc" in e.attributes]
        cells, values = {}, []
        table = False
        for element in dom.elements:
            table |= element.attributes.get("id") == "state"
            if table and element.tag == "tr":
                values = []
            elif table and element.tag == "td":
                values.append(element.text)
                cells[values[0]] = values[1:]
        return int(picked.attributes["data-pc"]), cells


class Data(TraceTest):
    def trace(self, *arguments, status=1, stdin=None):
        return json.loads(verify(*arguments, "--trace", "json", status=status, stdin=stdin))

    def walk(self, trace):
        """Each path's values before each of its steps; holds the schema on the way."""
        pcs = {insn["pc"] for insn in trace["insns"]}
        known = []
        for number, path in enumerate(trace["paths"]):
            self.assertLess(path["parent"], number)
            self.assertEqual(len(path["pcs"]), len(path["changes"]))
            cells, states = {}, []
            for pc, changes in zip(path["pcs"], path["changes"]):
                self.assertIn(pc, pcs)
                for cell, value in zip(changes[::2], changes[1::2]):
                    cells[cell] = trace["values"][value]
                states.append({c: v for c, v in cells.items() if v})
            known.append(states)
        return known

    def test_rejection(self):
        """--trace json: a rejection with its rule, its causes, and what was known at each of them"""
        trace = self.trace(self.object, "-s", "spread")
        self.assertEqual((trace["format"], trace["version"]), ("skep-trace", 1))
        self.assertEqual((trace["program"]["name"], trace["verdict"]), ("spread", "reject"))
        self.assertEqual([f["name"] for f in trace["functions"]], ["spread", "bump"])
        rejection, known = trace["rejection"], self.walk(trace)
        self.assertIn("invalid access to map value", rejection["message"])
        self.assertIn("an access stays inside its memory", rejection["rule"])
        self.assertIn("bound the index", rejection["hint"])
        last = trace["paths"][-1]
        self.assertEqual((last["end"], last["pcs"][-1]), ("rejected", rejection["pc"]))
        self.assertIn("umax=508", known[-1][-1][PER_FRAME + 1], "R1 of the function called")
        for cause in rejection["causes"]:
            path = last
            while path["start"] > cause["step"]:
                path = trace["paths"][path["parent"]]
            self.assertEqual(path["pcs"][cause["step"] - path["start"]], cause["pc"])
        lines = {trace["lines"][i["line"]]["text"].strip() for i in trace["insns"] if "line" in i}
        self.assertIn("return ++table->hits[i];", lines)
        source = trace["source"][trace["lines"][0]["file"]]
        for line in filter(lambda line: line["text"], trace["lines"]):
            self.assertEqual(source[line["line"] - 1], line["text"])

    def test_pruning(self):
        """--trace json: a path that is pruned names a state whose values include its own"""
        # Behind a branch on the interface's number, r3 is written on one way: 10 then is met twice.
        hexes = code((0x61, 2, 1, 12, 0), (0xb7, 0, 0, 0, 1), (0xb7, 3, 0, 0, 0), (0x25, 2, 0, 5, 4),
                     (0xb7, 3, 0, 0, 1), (0xb7, 3, 0, 0, 2), (0xb7, 3, 0, 0, 3), (0xb7, 3, 0, 0, 4),
                     (0xb7, 0, 0, 0, 2), (0x95, 0, 0, 0, 0))
        trace = self.trace("--hex", "--type", "xdp", status=0, stdin=hexes)
        known, states = self.walk(trace), {s["number"]: s for s in trace["states"]}
        pruned, = [p for p in trace["paths"] if p["end"] == "pruned"]
        state = states[pruned["state"]]
        self.assertEqual(state["pc"], pruned["pcs"][-1])
        self.assertEqual(pruned["steps"], len(pruned["pcs"]) - 1, "the last step is not executed")
        self.assertNotEqual(trace["paths"][state["path"]], pruned)
        self.assertEqual(known[0][0][1], "ctx(off=0,imm=0)")

    def test_long_walk_is_bounded(self):
        """--trace json: of a walk of a million steps, the ends of all paths and the last steps"""
        # r1 and r2 count the same, and *(r10 - 1 + r1 - r2) is read: seen only trip by trip.
        hexes = code((0x7a, 10, 0, -8, 0), (0xb7, 1, 0, 0, 0), (0xb7, 2, 0, 0, 0),
                     (0xbf, 3, 1, 0, 0), (0x1f, 3, 2, 0, 0), (0xbf, 4, 10, 0, 0),
                     (0x0f, 4, 3, 0, 0), (0x71, 0, 4, -1, 0), (0x07, 1, 0, 0, 1),
                     (0x07, 2, 0, 0, 1), (0xa5, 1, 0, -8, 400000), (0x95, 0, 0, 0, 0))
        text = verify("--hex", "--trace", "json", status=1, stdin=hexes)
        trace = json.loads(text)
        self.assertIn("too large", trace["rejection"]["message"])
        self.assertLess(len(text), 40 << 20)
        self.assertTrue(any(path.get("cut") for path in trace["paths"]))
        self.assertFalse(trace["paths"][-1].get("cut"))
        self.assertLessEqual(sum(len(path["pcs"]) for path in trace["paths"]), 130000)

    def test_files_and_errors(self):
        """--trace FILE: .json has the data, a program must be chosen, a folder is no file"""
        verify(self.object, "-s", "count", "--trace", self.path("a.json"), status=1)
        with open(self.path("a.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["program"]["name"], "count")
        for arguments in ([self.object], [self.object, "-s", "count"]):
            done = subprocess.run([SKEP_VM, "verify", *arguments, "--trace", self.folder.name],
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, "choose one with -s|Is a directory")


class Page(TraceTest):
    def test_stands_alone(self):
        """the page names nothing outside of itself, and its policy forbids to fetch anything"""
        path = self.path("alone.html")
        verify(self.object, "-s", "count", "--trace", path, status=1)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.assertIn("default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'", text)
        self.assertNotRegex(text, r"""(?i)<(?:link|img|iframe|object|embed)\b|<script[^>]*\ssrc""")
        self.assertNotRegex(text, r"(?i)@import|url\(\s*['\"]?(?!#)|fetch\(|XMLHttpRequest|WebSocket")
        self.assertEqual(set(re.findall(r"https?://[^\s\"']*", text)), {"http://www.w3.org/2000/svg"})

    def test_rejection(self):
        """a rejection opens at its instruction; causes, lines of C and graph are marked"""
        path = self.path("spread.html")
        verify(self.object, "-s", "spread", "--trace", path, status=1)
        dom = open_page(path)
        self.assertEqual(dom.by_id("why").attributes.get("hidden"), None)
        self.assertIn("invalid access to map value", dom.all("message")[0].text)
        self.assertIn("bound the index", dom.by_id("why").text)
        pc, cells = self.selected(dom)
        failing, = {e.attributes["data-pc"] for e in dom.all("row")
                    if "fail" in e.classes and "data-pc" in e.attributes}
        self.assertEqual(pc, int(failing))
        self.assertIn("umax=508", cells["R1"][0])
        self.assertGreaterEqual(len(dom.all("cause", tag="button")), 5)
        self.assertTrue(any("fail" in e.classes and "return ++table" in e.text for e in dom.all("row")))
        self.assertGreaterEqual(len(dom.all("block", tag="g")), 5)
        self.assertTrue(dom.all("walked"), "the ways that the path took are marked")

    def test_clicks_and_keys(self):
        """a click shows an instruction's states; arrows step along the path and through the list"""
        path = self.path("report.html")
        verify(self.object, "-s", "report", "--trace", path, status=1)
        dom = open_page(path, "#click=4&key=ArrowRight&key=ArrowLeft&key=ArrowDown&key=p")
        pc, cells = self.selected(dom)
        self.assertEqual(pc, 5)
        self.assertEqual(cells["R2"], ["8", "–"])
        self.assertEqual(cells["R0"][0], "–")
        self.assertRegex(cells["R0"][1], r"^alloc_mem_or_null\(id=2,ref_obj_id=2,")
        self.assertNotIn("hidden", dom.by_id("tree").attributes)
        self.assertIn("hidden", dom.by_id("graph").attributes)
        rows = [e for e in dom.all("row") if "data-path" in e.attributes]
        self.assertGreaterEqual(len(rows), 2)
        self.assertTrue(any("rejected" in row.text for row in rows))

    def test_thousands_of_instructions(self):
        """a program of 12,000 instructions: only the rows in sight are there"""
        path = self.path("long.html")
        one = "b700000001000000 "
        verify("--hex", "--trace", path, status=0, stdin=one * 12000 + "9500000000000000")
        dom = open_page(path, "#insn=11000")
        self.assertEqual(dom.all(tag="body")[0].attributes.get("data-ready"), "yes")
        rows = [e for e in dom.all("row") if "data-pc" in e.attributes]
        self.assertLess(len(rows), 200)
        self.assertEqual(self.selected(dom)[0], 11000)
        self.assertIn("accepted", dom.by_id("head").text)


if __name__ == "__main__":
    unittest.main()
