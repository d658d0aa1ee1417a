"""The differences that a person has given a reason for: docs/reference/linux-differences.md.

Each row of its tables has five columns: part, case, Linux, Skep, why. The second to fourth are
patterns as the shell has them (`*` any text), in backquotes; a row explains a difference when all
three match what was seen. The first row that matches counts.
"""

import fnmatch
import os
import re

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
PAGE = os.path.join(ROOT, "docs", "reference", "linux-differences.md")


class Reason:
    def __init__(self, part, case, linux, skep, why):
        self.part, self.why, self.used = part, why, 0
        self.patterns = [self._pattern(text) for text in (case, linux, skep)]
        self.name = f"{part} {case}"

    @staticmethod
    def _pattern(text):
        # Brackets are common in what is matched, so they stand for themselves.
        return re.compile(fnmatch.translate(text.strip("`").replace("[", "[[]")))

    def explains(self, part, *texts):
        return part == self.part and all(
            pattern.match(text) for pattern, text in zip(self.patterns, texts))


def read(path=PAGE):
    reasons = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
            if line.startswith("| ") and len(cells) == 5 and cells[1].startswith("`"):
                reasons.append(Reason(*cells))
    return reasons


def find(reasons, part, case, linux, skep):
    """The reason for a difference, or None."""
    for reason in reasons:
        if reason.explains(part, case, linux, skep):
            reason.used += 1
            return reason.why
    return None
