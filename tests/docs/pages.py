"""The pages of the documentation, and the commands and links in them.

Owns how a command is written: in a block of ```console, behind "$ ". What cannot be run by a test has a line
<!-- needs: what it needs --> above its block. Never runs anything.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import REPOSITORY

DOCS = REPOSITORY / "docs"
_FENCE = re.compile(r"^ {0,3}```(?P<kind>[a-z]*)$")
_NEEDS = re.compile(r"^<!-- needs: (?P<what>.+) -->$")
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<to>[^)\s]+)\)")
_PROMPT = "$ "


@dataclass(frozen=True, slots=True)
class Command:
    place: str  # page and line
    words: tuple[str, ...]
    needs: str  # what it needs that a test has not; "": it can be run

    @property
    def of_babycli(self) -> tuple[str, ...]:
        """What follows the word babycli; empty for another program's."""
        return self.words[self.words.index("babycli") + 1 :] if "babycli" in self.words else ()


@dataclass(frozen=True, slots=True)
class Block:
    kind: str  # of a fence; "" for none
    line: int
    lines: tuple[str, ...]
    needs: str


def pages() -> Sequence[Path]:
    """All pages; the README comes first."""
    return [REPOSITORY / "README.md", *sorted(DOCS.glob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of code between fences, and those that are indented by four spaces."""
    lines, i = page.read_text(encoding="utf-8").splitlines(), 0
    while i < len(lines):
        fence, needs = _FENCE.match(lines[i]), _NEEDS.match(lines[i - 1]) if i else None
        if fence:
            end = next(j for j in range(i + 1, len(lines)) if lines[j].strip() == "```")
            what = needs["what"] if needs else ""
            yield Block(fence["kind"], i + 1, tuple(lines[i + 1 : end]), what)
            i = end
        elif lines[i].startswith("    "):
            yield Block("", i + 1, (lines[i].strip(),), "")
        i += 1


def commands(page: Path) -> Iterator[Command]:
    """The commands in blocks of ```console, comments left out."""
    for block in blocks(page):
        if block.kind != "console":
            continue
        text = "\n".join(block.lines).replace("\\\n", " ")
        for line in text.splitlines():
            if line.startswith(_PROMPT):
                words = tuple(shlex.split(line.removeprefix(_PROMPT), comments=True))
                yield Command(f"{page.name}:{block.line}", words, block.needs)


def mentions(page: Path) -> Iterator[Command]:
    """The commands of babycli that stand between words, as `babycli eval --limit N`."""
    text = page.read_text(encoding="utf-8")
    for code in re.findall(r"`(babycli [^`]*)`", text):
        yield Command(page.name, tuple(code.replace("[", " ").replace("]", " ").replace("|", " ").split()), "a reader")


def links(page: Path) -> Iterator[str]:
    """Where links and pictures lead, outside of code."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    yield from (link["to"] for link in _LINK.finditer(text))


def anchors(page: Path) -> set[str]:
    """What can stand behind # in a link to the page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
