"""The runs of a sweep file, one command after the other.

Owns what becomes of the others when one fails. The file is read in sweep.py.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import typer

from babycli.commands import sweep
from babycli.commands.options import say
from babycli.errors import BabycliError, ModelError, ResumeError, UntrustedResultError
from babycli.files import in_home

_PASSED_OVER = (ModelError, ResumeError, UntrustedResultError)  # of one run; what is wrong with data stops all


def run(context: typer.Context, config: Path) -> None:
    """Makes every run of a sweep file. A model that fails is passed over; the first such error is raised at the end."""
    lines = sweep.command_lines(config, context)
    extra = [f"--{name.replace('_', '-')}" for name in ("dry_run", "estimate") if context.params[name]]
    failed: list[BabycliError] = []
    for i, words in enumerate(lines, 1):
        say(f"run {i} of {len(lines)}: babycli eval {shlex.join(words)}")
        try:
            _evaluate(context, [*words, *extra])
        except _PASSED_OVER as error:
            say(f"failed: {error.in_full}")
            failed.append(error)
    if failed:
        first = failed[0]
        raise type(first)(f"{len(failed)} of {len(lines)} runs of {config} failed", "see above why")


def save(context: typer.Context, file: Path, config: Path | None, models: Sequence[str]) -> None:
    """Writes the command as a sweep file."""
    more = sweep.save(in_home(file), sweep.given_options(context), models, config, context)
    say(f"wrote {file}; to run it:  babycli eval --config {shlex.quote(str(file))}{more}")


def _evaluate(context: typer.Context, words: Sequence[str]) -> None:
    command = context.command
    with command.make_context(context.info_name, list(words), parent=context.parent) as own:
        own.obj = ["babycli", str(context.info_name), *words]
        command.invoke(own)
