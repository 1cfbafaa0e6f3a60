"""Options that several commands share, spelled once.

Owns their names and help. Never does anything with them.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Dataset folder; default $BABYCLI_DATA, else ./dataset.",
        show_default=False,
    ),
]
FromOption = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="DIR",
        help="Take the label files from this folder instead of the network.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON for a program instead of text.")]


def say(message: str) -> None:
    """Talk goes to stderr; stdout is for data."""
    print(message, file=sys.stderr)


def print_json(document: object) -> None:
    """JSON in ASCII, which every terminal encoding carries; file names that are not UTF-8 included."""
    print(json.dumps(document, indent=2))


def terminal_width() -> int:
    """Columns of the terminal; 100 where there is none."""
    return shutil.get_terminal_size((100, 24)).columns
