"""`babycli --show-completion` and `--install-completion`: what a shell completes when TAB is pressed.

Owns these two options, and the line that they put into a shell's own file. The scripts themselves are in completions/,
made by tools/build_completions.py; they start no Python.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from babycli.commands.options import tell
from babycli.errors import UsageError
from babycli.wording import Vocabulary, any_of, one_of

SHOW, INSTALL = "--show-completion", "--install-completion"


class Shell(Vocabulary):
    """A shell that babycli has a completion script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


FILE_NAMES = {Shell.BASH: "babycli.bash", Shell.ZSH: "_babycli", Shell.FISH: "babycli.fish"}


def _show(context: typer.Context, wanted: bool) -> None:
    if wanted:
        sys.stdout.write(script_of(_shell(context, SHOW)).read_text(encoding="utf-8"))
        raise typer.Exit


def _install(context: typer.Context, wanted: bool) -> None:
    if wanted:
        from babycli.files import explained, read_file  # which help need not wait for

        shell = _shell(context, INSTALL)
        place, line = start_file(shell), start_line(shell)
        with explained(place):
            before = read_file(place) if place.exists() else b""
            if line.encode() not in before.splitlines():
                place.parent.mkdir(parents=True, exist_ok=True)
                with place.open("ab") as file:  # which leaves a link and its owner as they are
                    file.write((b"\n" if before and not before.endswith(b"\n") else b"") + line.encode() + b"\n")
        tell(f"{place} has this line now:\n{line}\nCompletion is there in every new {shell}.")
        raise typer.Exit


ShowOption = Annotated[
    bool,
    typer.Option(
        SHOW, callback=_show, is_eager=True, help=f"Write the completion of this shell, or of {any_of(Shell)}."
    ),
]
InstallOption = Annotated[
    bool,
    typer.Option(INSTALL, callback=_install, is_eager=True, help="Let every new shell complete what babycli takes."),
]


def script_of(shell: Shell) -> Path:
    """Finds a shell's script, as installed with the package or, in a checkout, beside it."""
    inside = Path(__file__).parent.parent / "completions"
    return (inside if inside.is_dir() else inside.parent.parent / "completions") / FILE_NAMES[shell]


def start_file(shell: Shell) -> Path:
    """Gives the file that a shell reads when it starts."""
    from babycli.files import in_home

    if shell is Shell.FISH:
        return in_home(os.environ.get("XDG_CONFIG_HOME") or "~/.config") / "fish" / "completions" / "babycli.fish"
    if shell is Shell.ZSH:
        return in_home(os.environ.get("ZDOTDIR") or "~") / ".zshrc"
    return in_home("~/.bashrc")


def start_line(shell: Shell) -> str:
    """Gives the line that reads the script, which stays right when babycli is upgraded, and is harmless without it."""
    script = shlex.quote(str(script_of(shell)))
    return f"test -r {script}; and source {script}" if shell is Shell.FISH else f"[ -r {script} ] && . {script}"


def _shell(context: typer.Context, option: str) -> Shell:
    """Gives the shell named behind the option, else the one that babycli was typed in. Raises UsageError."""
    typed: Sequence[str] = context.obj or []
    behind = typed[typed.index(option) + 1 :] if option in typed else []
    named = next((word for word in behind if not word.startswith("-")), None)
    if named is not None:
        return one_of(named, Shell, "shell")
    for name in (_parent(), os.environ.get("SHELL", "")):
        words = Path(name.lstrip("-")).name
        if words in list(Shell):
            return Shell(words)
    raise UsageError("which shell is this?", f"name it:  babycli {option} {Shell.BASH}")


def _parent() -> str:
    """Gives the name of the program that started this one; "" where the system does not tell."""
    import subprocess

    try:
        told = subprocess.run(
            ["ps", "-o", "comm=", "-p", str(os.getppid())], capture_output=True, text=True, errors="replace", timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stdout.strip()
