"""The Typer app and main(argv): every error becomes its exit code here, and only here.

Owns the command tree and the last words on stderr. Never computes anything.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from babycli import interop
from babycli.commands.command import HELP
from babycli.commands.completion import InstallOption, ShowOption
from babycli.commands.interrupts import exit_code, heed_no_more, was_interrupted
from babycli.commands.library_talk import without_library_talk
from babycli.commands.on_use import OnUse, group_of
from babycli.commands.options import say
from babycli.commands.streams import guard_streams, naming, watching_stderr
from babycli.errors import (
    LIMITS,
    SHORTER,
    BabycliError,
    DataError,
    ExitCode,
    OutputError,
    UnfitFileError,
    UsageError,
    is_lack_of_memory,
)
from babycli.wording import shortened, whole_number, without_middle

_WIDEST_TERMINAL = 10_000  # columns
_NOWHERE, _ELSEWHERE = "the current folder is not there any more", "change into another:  cd ~"

_WORK, _LISTS, _START = "From data to a table", "What there is", "To begin with"
COMMANDS = {
    "data": OnUse("babycli.commands.data_group", "app", "Label files and images: fetch, link, check.", _WORK),
    "eval": OnUse(
        "babycli.commands.eval",
        "evaluate",
        "Evaluate a model on tasks of BabyVLM and the DevCV Toolbox, or on your own.",
        _WORK,
        before=interop.register,
    ),
    "report": OnUse(
        "babycli.commands.report",
        "report",
        "Show all evaluated models in one table: tasks across, 95 % intervals, chance in its own row.",
        _WORK,
        before=interop.register,
    ),
    "runs": OnUse(
        "babycli.commands.runs", "app", "List, show, rename and delete runs.", _WORK, before=interop.register
    ),
    "trials": OnUse("babycli.commands.trials", "app", "Trials of your own: check a file of them, or make one.", _WORK),
    "cite": OnUse(
        "babycli.commands.cite",
        "cite",
        "Write BibTeX of the papers behind the tasks, data, models and statistics of some runs, and of babycli.",
        _WORK,
        before=interop.register,
    ),
    "tasks": OnUse("babycli.commands.catalog", "tasks", "List the tasks.", _LISTS),
    "models": OnUse(
        "babycli.commands.catalog",
        "models_app",
        "List the model families, or show one model.",
        _LISTS,
        before=interop.register,
    ),
    "demo": OnUse(
        "babycli.commands.demo",
        "demo",
        "Try babycli without any data: link, verify, evaluate and report on drawn pictures, offline.",
        _START,
    ),
    "doctor": OnUse(
        "babycli.commands.doctor",
        "doctor",
        "Check this machine: packages, GPU, a torchvision that would break transformers. Exit 5 if one fails.",
        _START,
    ),
    **interop.commands(),
}
app = typer.Typer(
    name="babycli",
    cls=group_of(COMMANDS),
    no_args_is_help=True,
    add_completion=False,  # a script of our own, which starts no Python
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": list(HELP)},
    help="""Evaluate vision-language models on what an infant sees and hears: data, evaluation, reports.

    Examples:
    # the whole way on drawn pictures, without any data
    babycli demo
    # a model on two tasks
    babycli eval -m path/to/checkpoint -t vtwt,labeled_s
    # all runs in one table, as a page for the browser
    babycli report -o report.html
    """,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from babycli import __version__  # looked up among what is installed: slow

        print(f"babycli {__version__}")
        raise typer.Exit


@app.callback()
def _babycli(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    _install_completion: InstallOption = False,
    _show_completion: ShowOption = False,
) -> None:
    context.meta["babycli.main"] = main


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code (see babycli.errors.ExitCode). A bug raises."""
    typed = list(sys.argv[1:] if argv is None else argv)
    with watching_stderr(), without_library_talk(), naming(typed):
        try:
            _check_system(typed)
            _forget_odd_sizes()
            app(_dashed(typed), prog_name="babycli", obj=["babycli", *typed])
        except SystemExit as end:  # how Typer ends, also after a usage error that it has explained
            return end.code if isinstance(end.code, int) else ExitCode.DONE
        except BabycliError as error:
            say(f"babycli: {without_middle(error.message)}")
            mend = _mend_of_limit(error) or error.mend
            if mend:
                say(f"  mend: {without_middle(mend)}")
            return int(error.exit_code)
        except UnfitFileError as error:
            say(f"babycli: cannot read {error.filename}: {error.strerror}")
            return ExitCode.DATA
        except (OSError, MemoryError, ImportError) as error:
            if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
                say(f"babycli: {shortened(str(error.filename))!r}: {error.strerror}\n  mend: {SHORTER}")
                return ExitCode.DATA
            if isinstance(error, FileNotFoundError) and _is_nowhere():
                say(f"babycli: {_NOWHERE}\n  mend: {_ELSEWHERE}")
                return ExitCode.DATA
            limit = _limit_of(error)
            if limit is None:
                raise
            named = getattr(error, "filename", None) if limit == errno.ENOMEM else None
            where = f", for {without_middle(str(named))}" if named else ""
            say(f"babycli: the system refuses it: {os.strerror(limit)}{where}\n  mend: {LIMITS[limit]}")
            return ExitCode.DATA
    return ExitCode.DONE


def _limit_of(error: BaseException) -> int | None:
    """Gives the number in LIMITS of what the system refused; None where an error is no such thing."""
    if is_lack_of_memory(error):
        return errno.ENOMEM
    number = error.errno if isinstance(error, OSError) else None
    return number if number in LIMITS else None


def _mend_of_limit(error: BabycliError) -> str:
    """Gives the mend for an error that there is only because too many files were open; "" for any other."""
    cause = error.__cause__
    return LIMITS[cause.errno] if isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE) else ""


def _is_nowhere() -> bool:
    """Tells whether the current folder has been removed, which any relative path stumbles over."""
    try:
        os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        return True
    return False


def _check_system(words: Sequence[str]) -> None:
    """Checks that there is a current folder, and that the system has the links, locks and processes of POSIX.

    Raises DataError, and UsageError on Windows. Without a current folder, torch ends the process at its first product.
    """
    if not words or {*HELP, "--version"} & set(words):
        return
    if sys.platform == "win32":
        raise UsageError(
            "babycli runs on Linux and macOS", "on Windows use WSL: https://learn.microsoft.com/windows/wsl"
        )
    if _is_nowhere():
        raise DataError(_NOWHERE, _ELSEWHERE)


def _forget_odd_sizes() -> None:
    """Takes a size of the terminal out of the environment that is none; libraries would end at it, or fill memory."""
    for name in ("COLUMNS", "LINES"):
        if name in os.environ and (whole_number(os.environ[name]) or 0) not in range(1, _WIDEST_TERMINAL):
            del os.environ[name]


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


def run() -> None:
    """Runs the words of the command line, and ends the process with their exit code."""
    stdout = guard_streams()
    try:
        code = main()
    except KeyboardInterrupt:  # a second one, while the first was being heeded
        code = exit_code()
    except Exception:
        if not was_interrupted():
            raise
        code = exit_code()
    if code and was_interrupted():  # also where a library that was being imported made another error of it
        code = exit_code()
    heed_no_more()  # all is done; what Python does at its end must not be cut off
    stdout.flush()
    if stdout.failure is not None and not isinstance(stdout.failure, BrokenPipeError):
        say(f"babycli: cannot write to standard output: {stdout.failure.strerror}")
        code = code or OutputError.exit_code
    if os.environ.get("WORLD_SIZE", "1") != "1":  # gloo's threads abort some processes that end in Python's own way
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
