"""Options that several commands share, spelled once.

Owns their names, help and how their text is read. Never does anything with them.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import typer

from babycli.commands.streams import begin_line, on_one_line
from babycli.errors import UsageError
from babycli.wording import printable_lines, whole_number

# Letters for what is typed most, each for one word in all commands: -m --model, -t --tasks, -l --limit,
# -b --batch-size, -d --data, -o --output and --output-path. Not -n for --limit: lmms-eval repeats answers with it.
DATA, OUTPUT = "Data", "Output"  # sections of help pages
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        "-d",
        metavar="DIR",
        help="Dataset folder; default $BABYCLI_DATA, else ./dataset.",
        show_default=False,
        rich_help_panel=DATA,
    ),
]
FromOption = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="DIR",
        help="Take the label files from this folder instead of the network.",
        show_default=False,
        rich_help_panel=DATA,
    ),
]
TasksOption = Annotated[
    str | None,
    typer.Option(
        "--tasks",
        "-t",
        metavar="A,B",
        help="Only the data of these tasks; default all.",
        show_default=False,
        rich_help_panel=DATA,
    ),
]
ModelArgsOption = Annotated[
    str,
    typer.Option(
        "--model-args",
        metavar="K=V,...",
        help="Arguments of the model family, as babycli models lists them.",
        show_default=False,
        rich_help_panel="What to evaluate",
    ),
]
_MOST_COUNTED = 1_000_000_000  # no number of trials or tokens is larger
JsonOption = Annotated[
    bool, typer.Option("--json", help="Write JSON for a program instead of text.", rich_help_panel=OUTPUT)
]


def say(message: str) -> None:
    """Writes a message to stderr, on a line of its own; stdout is for data. Names in it do not steer the terminal."""
    begin_line()
    print(printable_lines(on_one_line(message)), file=sys.stderr)


def tell(text: object, flush: bool = False) -> None:
    """Writes lines to stdout for people. Names in them that would steer the terminal do not."""
    print(printable_lines(on_one_line(str(text))), flush=flush)


def tell_wrapped(line: str, indent: int) -> None:
    """Writes a line to stdout in the width of the terminal; what follows its first row is indented."""
    width = max(terminal_width(), indent + 20)
    tell(textwrap.fill(line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False))


def print_json(document: object) -> None:
    """Writes JSON in ASCII, which every terminal can show, also with file names that are not UTF-8."""
    import json  # which help need not wait for

    print(json.dumps(document, indent=2))


def terminal_width() -> int:
    """Gives the width of the terminal in columns: of stdout, else (into a pager) of stderr, else 100."""
    try:
        fallback = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):  # no terminal, or a stream that is no file
        fallback = 100
    return shutil.get_terminal_size((fallback or 100, 24)).columns


def terminal_encoding() -> str:
    """Gives the encoding of stdout; what has none takes all characters."""
    return sys.stdout.encoding or "utf-8"


def has_colours() -> bool:
    """Tells whether stdout is a terminal whose user does not object to colours."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def parse_args(text: str) -> dict[str, str]:
    """Reads ``a=1,b=2``. Raises UsageError for a part without ``=`` or a repeated key."""
    parsed: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals or not key or key in parsed:
            raise UsageError(f"cannot read {part!r} in --model-args", "write it as  --model-args key=value,key=value")
        parsed[key] = value
    return parsed


def whole_number_of(option: str, least: int) -> Callable[[object], int]:
    """Gives the reader of an option's number. It raises UsageError for what is no whole number from ``least`` on."""

    def read(word: object) -> int:  # a default is a number already
        number = whole_number(str(word))
        if number is None or not least <= number <= _MOST_COUNTED:
            raise UsageError(
                f"{option} must be a whole number from {least} to {_MOST_COUNTED:,}, not {str(word)!r:.40}",
                f"write it as  {option} 20",
            )
        return number

    return read


def name_width(names: Iterable[str]) -> int:
    """Gives the width of a column with these names of tasks."""
    return max([16, *map(len, names)])
