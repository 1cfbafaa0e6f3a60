"""Commands of babycli as a target of fuzzing runs them: in this process, with what they print.

Owns running one, and what must hold for whatever is printed. Never makes a file.
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Collection
from dataclasses import dataclass

import typer.main

from babycli.cli import main

typer.main.get_command = functools.cache(typer.main.get_command)  # all commands are built once, not for each line


@dataclass(frozen=True, slots=True)
class Ran:
    words: tuple[str, ...]
    code: int
    out: str
    err: str

    def wrong(self, codes: Collection[int]) -> str:
        """Tells what is wrong with how it ended, and with what it printed; "" for nothing."""
        if self.code not in codes:
            return f"{self} ends with {self.code}, not one of {sorted(codes)}: {self.err[:1000]}"
        for name, text in (("stdout", self.out), ("stderr", self.err)):
            odd = sorted({character for character in text if not (character.isprintable() or character == "\n")})
            if odd:
                return f"{self} prints {odd!r} on {name}: {text[:2000]!r}"
        others = [line for line in self.err.splitlines() if "Warning" in line or "Traceback" in line]
        return f"{self} says {others[0]}" if others else ""

    def __str__(self) -> str:
        return f"babycli {' '.join(self.words)}"


def run(*words: object) -> Ran:
    """Runs a command line. What is not caught there is raised."""
    texts = tuple(map(str, words))
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(texts)
    return Ran(texts, code, out.getvalue(), err.getvalue())
