"""Console transcripts in documents: ```console blocks, executed and compared.

A block under one of these comments is executed, in order, in one folder a document:

    <!-- run: guest -->        against a fresh machine
    <!-- run: guest tree -->   against a fresh machine of the document's own copy of the tree
    <!-- run: host -->         without a machine
    <!-- run: tree -->         without a machine, in the document's own copy of the tree

Lines that begin with `$ ` are commands; the lines under them are what they print; a line of `...`
stands for any number of lines, and `...` inside a line for any text. A last line `[N]` says that
the command's exit status is N; without it, 0.
"""

import re

KINDS = ("guest", "guest tree", "host", "tree")


class Step:
    """One command: what to type, the lines that it prints, its exit status."""

    def __init__(self, command):
        self.command, self.lines, self.status = command, [], 0

    def pattern(self):
        """The regular expression that the output must match as a whole."""
        parts = []
        for line in self.lines:
            if line == "...":
                parts.append(r"(?:.*\n)*?")
            else:
                parts.append(".*?".join(re.escape(piece) for piece in line.split("...")) + r"\n")
        return re.compile("".join(parts) + r"\Z")


def parse(block):
    steps = []
    for line in block.splitlines():
        if line.startswith("$ "):
            steps.append(Step(line[2:]))
        elif re.fullmatch(r"\[\d+\]", line):
            steps[-1].status = int(line[1:-1])
        else:
            steps[-1].lines.append(line)
    return steps


def blocks(text):
    """(kind, [Step]) for each marked block of a Markdown text."""
    for match in re.finditer(r"<!-- run: ([\w ]+) -->\n```console\n(.*?)```", text, re.S):
        yield match[1], parse(match[2])
