"""The Typer app and main(argv): every error becomes its exit code here, and only here.

Owns the command tree and the last words on stderr. Never computes anything.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from babycli import __version__, interop
from babycli.errors import BabycliError, ExitCode, OutputError, UsageError

_OTHERS = interop.register()  # before the commands, whose help lists what is registered

from babycli.commands import catalog, data, demo, doctor, report  # noqa: E402
from babycli.commands import eval as eval_command  # noqa: E402
from babycli.commands.options import say  # noqa: E402

app = typer.Typer(
    name="babycli",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Evaluate vision-language models on what an infant sees and hears: data, evaluation, reports.",
)
app.add_typer(data.app, name="data")
for _name, _command in _OTHERS.items():
    app.add_typer(_command, name=_name)
app.command("eval")(eval_command.evaluate)
app.command("report")(report.report)
app.command("tasks")(catalog.tasks)
app.add_typer(catalog.models_app, name="models")
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
    typed = list(sys.argv[1:] if argv is None else argv)
    try:
        _check_system(typed)
        app(_repeated(_dashed(typed)), prog_name="babycli", obj=["babycli", *typed])
    except SystemExit as end:  # how Typer ends, also after a usage error that it has explained
        return end.code if isinstance(end.code, int) else ExitCode.DONE
    except BabycliError as error:
        say(f"babycli: {error.message}")
        if error.mend:
            say(f"  mend: {error.mend}")
        return int(error.exit_code)
    return ExitCode.DONE


def _check_system(words: Sequence[str]) -> None:
    """Checks that the system has the links, locks and processes of POSIX. Raises UsageError on Windows."""
    if sys.platform == "win32" and words and not {"--help", "--version"} & set(words):
        raise UsageError(
            "babycli runs on Linux and macOS", "on Windows use WSL: https://learn.microsoft.com/windows/wsl"
        )


def _dashed(words: list[str]) -> list[str]:
    """Turns lmms-eval's spellings (--model_args, --task) into ours, so that its README's commands carry over."""
    dashed = []
    for word in words:
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            name = name.replace("_", "-")
            name = "--tasks" if name == "--task" else name
        dashed.append(name + equals + value)
    return dashed


def _repeated(words: list[str]) -> list[str]:
    """Turns ``--compare A B C`` into ``--compare A --compare B --compare C``, the form that Typer reads."""
    repeated: list[str] = []
    is_compared = False
    for word in words:
        name, equals, value = word.partition("=")
        if word.startswith("-"):
            is_compared = name == "--compare"
            if is_compared and not equals:
                continue
            word = value if is_compared else word
        repeated += ["--compare", word] if is_compared else [word]
    return repeated if "--compare" in repeated or "--compare" not in words else words


class _Stdout(io.TextIOBase):
    """A stdout whose reader may stop reading (head, less): the command goes on and ends with its own exit code."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with self._explained():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._explained():
            self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            if not isinstance(error, BrokenPipeError):
                raise OutputError(f"cannot write to standard output: {error.strerror}") from error


def run() -> None:
    """Runs the console script: main() with the words of the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # an odd file name must not end a command
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _Stdout(sys.stdout)
    code = main()
    try:
        sys.stdout.flush()
    except OutputError as error:
        say(f"babycli: {error.message}")
        code = error.exit_code
    if os.environ.get("WORLD_SIZE", "1") != "1":  # gloo's threads abort some processes that end in Python's own way
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
