"""The documents are true: transcripts run and print what they show, code blocks are the tree's."""

import glob
import importlib.machinery
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import transcript
from guest import BUILD, ROOT, SKEPCTL, Guest


def load_tool():
    """scripts/docs as a module."""
    path = os.path.join(ROOT, "scripts", "docs")
    loader = importlib.machinery.SourceFileLoader("docs_tool", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("docs_tool", loader))
    loader.exec_module(module)
    return module


class Document:
    """One page's transcripts: where their commands run, and what they talk to."""

    def __init__(self, test, path):
        self.test, self.path = test, path
        self.tree = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.tree:
            self.tree.cleanup()

    def copy_of_tree(self):
        """The tree as it is, for a page that changes and builds it; with what is built already."""
        if not self.tree:
            self.tree = tempfile.TemporaryDirectory(prefix="skep-tree-")
            shutil.copytree(ROOT, self.tree.name, dirs_exist_ok=True, symlinks=True,
                            ignore=shutil.ignore_patterns(".git", "build*", "third_party"))
            os.symlink(os.path.join(ROOT, "third_party"),
                       os.path.join(self.tree.name, "third_party"))
            build = os.path.join(self.tree.name, "build")
            os.mkdir(build)
            for name in ("skepctl", "skep.key", "progs"):
                os.symlink(os.path.join(BUILD, name), os.path.join(build, name))
            for name in ("guest", "uapi"):
                shutil.copytree(os.path.join(BUILD, name), os.path.join(build, name))
            self.rename_targets(os.path.join(build, "guest"))
        return self.tree.name

    @staticmethod
    def rename_targets(folder):
        """What make knows of the copied objects speaks of the folder that they were built in."""
        for path in glob.glob(f"{folder}/**/*.d", recursive=True):
            with open(path, encoding="utf-8") as file:
                text = file.read()
            with open(path, "w", encoding="utf-8") as file:
                file.write(text.replace(os.environ.get("O", "build") + "/", "build/"))

    def run(self, steps, folder, build, guest=None):
        environment = dict(os.environ, MAKEFLAGS="-j2")
        for name in ("O", "APP", "CMDLINE", "MAKELEVEL"):
            environment.pop(name, None)
        if build != "build/":
            environment["O"] = build.rstrip("/")
        if guest:
            environment["SKEP_TARGET"] = f"127.0.0.1:{guest.port}"
        for step in steps:
            # The page shows the default folder and ports; this run has its own.
            here = step.command.replace("build/", build)
            for shown, port in (("8080", "http_port"), ("6969", "tftp_port"), ("7007", "echo_port"),
                                ("9970", "port")):
                here = re.sub(rf"(127\.0\.0\.1[:/]){shown}\b",
                              rf"\g<1>{getattr(guest, port, shown)}", here)
            done = subprocess.run(here, shell=True, cwd=folder, env=environment, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
            said = f"{self.path}: $ {step.command}\n{done.stdout}"
            self.test.assertEqual(done.returncode, step.status, said)
            self.test.assertRegex(done.stdout, step.pattern(), said)

    def execute(self, kind, steps):
        build = os.path.relpath(BUILD, ROOT) + "/"
        if kind == "host":
            self.run(steps, ROOT, build)
        elif kind == "tree":
            self.run(steps, self.copy_of_tree(), "build/")
        elif kind == "guest":
            with Guest(boot="iso", limit=180) as guest:
                self.run(steps, ROOT, build, guest.wait_ready())
        else:
            tree = self.copy_of_tree()
            with Guest(boot="iso", limit=180, build=os.path.join(tree, "build")) as guest:
                self.run(steps, tree, "build/", guest.wait_ready())


class Transcripts(unittest.TestCase):
    def test_transcripts(self):
        """every transcript in README.md and docs/ prints what it shows"""
        found = 0
        for path in ["README.md"] + sorted(glob.glob("docs/*.md", root_dir=ROOT)):
            with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                blocks = list(transcript.blocks(file.read()))
            with Document(self, path) as document:
                for number, (kind, steps) in enumerate(blocks, 1):
                    found += 1
                    with self.subTest(path, block=number):
                        self.assertIn(kind, transcript.KINDS, f"{path}: unknown kind")
                        document.execute(kind, steps)
        self.assertGreater(found, 0)

    def test_blocks(self):
        """a transcript's commands, output, gaps and exit status are told apart"""
        (kind, (first, second)), = transcript.blocks(
            "<!-- run: host -->\n```console\n$ one\na ... z\n...\nend\n$ two\n[3]\n```\n")
        self.assertEqual((kind, first.command, second.command), ("host", "one", "two"))
        self.assertRegex("a b z\nmore\nstill more\nend\n", first.pattern())
        self.assertNotRegex("a b z\nmore\n", first.pattern())
        self.assertNotRegex("a b z\nend\nbehind\n", first.pattern())
        self.assertRegex("", second.pattern())
        self.assertEqual((first.status, second.status), (0, 3))


class Pages(unittest.TestCase):
    def test_up_to_date(self):
        """code blocks and reference pages are as the tree has them, and links lead somewhere"""
        done = subprocess.run([os.path.join(ROOT, "scripts", "docs"), "--check", "--skepctl", SKEPCTL],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_excerpts(self):
        """a marker finds each kind of item, whole, and no other"""
        tool = load_tool()
        source = """\
int f(void);

/* Above. */
int f(void)
{
    return g("}");
}

static struct s table[] = {
    {1},
};

struct s {
    int a;
};

CALL(4, name, int, x)
{
    one();
    two();
}
"""
        with tempfile.TemporaryDirectory() as root:
            with open(os.path.join(root, "a.c"), "w", encoding="utf-8") as file:
                file.write(source)

            def lines(spec):
                return tool.excerpt(root, "a.c " + spec)[1][1:]
            self.assertEqual(lines("f"), source.splitlines()[2:7])
            self.assertEqual(lines("table"), source.splitlines()[8:11])
            self.assertEqual(lines("s"), source.splitlines()[12:15])
            self.assertEqual(lines("name"), source.splitlines()[16:21])
            self.assertEqual(lines('name "one" "two"'), source.splitlines()[18:20])
            self.assertRaises(tool.DocsError, lines, "missing")
            self.assertRaises(tool.DocsError, lines, 'f "nothing" "of this"')

    def test_check_sees_a_change(self):
        """code blocks unlike the tree, links that lead nowhere and pages without one are reported"""
        tool = load_tool()
        with tempfile.TemporaryDirectory() as root:
            os.mkdir(os.path.join(root, "docs"))
            with open(os.path.join(root, "a.c"), "w", encoding="utf-8") as file:
                file.write("int f(void)\n{\n    return 1;\n}\n")
            page = "[away](nowhere.md) [a](a.md)\n<!-- code: a.c f -->\n"
            with open(os.path.join(root, "docs", "README.md"), "w", encoding="utf-8") as file:
                file.write(page)
            with open(os.path.join(root, "docs", "alone.md"), "w", encoding="utf-8") as file:
                file.write("Nobody leads here.\n")
            problems = tool.check(root, {"docs/README.md": tool.fill(root, page)})
            self.assertEqual(len(problems), 4, problems)
            for problem, word in zip(problems, ("return 1;", "nowhere.md", "a.md", "alone.md")):
                self.assertIn(word, problem)


if __name__ == "__main__":
    unittest.main()
