"""The Typer app and main(argv): every error becomes its exit code here, and only here.

Owns the command tree and the last words on stderr. Never computes anything.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from babycli import __version__
from babycli.commands import catalog, data, demo, doctor, report
from babycli.commands import eval as eval_command
from babycli.errors import BabycliError, ExitCode

app = typer.Typer(
    name="babycli",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Evaluate vision-language models on what an infant sees and hears: data, evaluation, reports.",
)
app.add_typer(data.app, name="data")
app.command("eval")(eval_command.evaluate)
app.command("report")(report.report)
app.command("tasks")(catalog.tasks)
app.command("models")(catalog.models)
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"babycli {__version__}")
        raise typer.Exit


@app.callback()
def _babycli(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    context.meta["babycli.main"] = main


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code (see babycli.errors.ExitCode). A bug raises."""
    words = _dashed(list(sys.argv[1:] if argv is None else argv))
    try:
        app(words, prog_name="babycli", obj=["babycli", *words])
    except SystemExit as end:  # how Typer ends, also after a usage error that it has explained
        return end.code if isinstance(end.code, int) else ExitCode.DONE
    except BabycliError as error:
        print(f"babycli: {error.message}", file=sys.stderr)
        if error.mend:
            print(f"  mend: {error.mend}", file=sys.stderr)
        return int(error.exit_code)
    return ExitCode.DONE


def _dashed(words: list[str]) -> list[str]:
    """lmms-eval's spellings (--model_args, --task) as ours, so that its README's commands carry over."""
    dashed = []
    for word in words:
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            name = name.replace("_", "-")
            name = "--tasks" if name == "--task" else name
        dashed.append(name + equals + value)
    return dashed


def run() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # an odd file name must not end a command
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our stdout (head, less) has gone; that is no error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)
