"""Console transcripts in documents: ```console blocks, executed and compared.

A block under an HTML comment `<!-- run: guest -->` runs against a fresh guest. Lines that begin
with `$ ` are commands; the lines under them are what they print; a line of `...` stands for any
number of lines, and `...` inside a line for any text.
"""

import re


def blocks(path):
    """(kind, [(command, [expected line])]) for each marked block of a Markdown file."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for match in re.finditer(r"<!-- run: (\w+) -->\n```console\n(.*?)```", text, re.S):
        steps = []
        for line in match[2].splitlines():
            if line.startswith("$ "):
                steps.append((line[2:], []))
            else:
                steps[-1][1].append(line)
        yield match[1], steps


def pattern(lines):
    """The regular expression that a command's expected lines stand for."""
    parts = []
    for line in lines:
        if line == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(".*?".join(re.escape(piece) for piece in line.split("...")) + r"\n")
    return re.compile("".join(parts) + r"\Z")
