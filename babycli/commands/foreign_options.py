"""Options of other programs that users type from habit: taken where they change nothing here, else refused with a way.

Owns the registry and what is said. Which options there are is known to the programs' own packages (interop/). They are
in no help page, and never completed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from babycli.commands.options import say
from babycli.commands.typed_words import named_in, split_option
from babycli.errors import UsageError

Given = Collection[str]  # the names of all options in a command line


@dataclass(frozen=True, slots=True)
class ForeignOption:
    """An option of another program, as babycli's own would be written: with hyphens."""

    name: str
    why_idle: str = ""  # why it changes nothing; "" where it would
    refusal: str = ""  # what is not so here; for the values that are not idle
    mend: str = ""
    short: str = ""
    takes_value: bool = True
    is_idle: Callable[[str], bool] = lambda value: True  # of a value, where there is a refusal as well
    is_meant: Callable[[str, Given], bool] = lambda value, given: True  # else the value is of babycli's own option


@dataclass(frozen=True, slots=True)
class _Program:
    name: str
    options: Sequence[ForeignOption]
    rewrite: Callable[[Sequence[str]], list[str]]


_by_command: dict[str, _Program] = {}


def register_options(
    command: str,
    program: str,
    options: Sequence[ForeignOption],
    rewrite: Callable[[Sequence[str]], list[str]] = list,
) -> None:
    """Adds the options of a program to a command of babycli; ``rewrite`` is given the words that are left."""
    _by_command[command] = _Program(program, options, rewrite)


def _takes_value(param: Any, option: ForeignOption | None) -> bool:
    """Tells whether a value follows; babycli's own option decides, where there is one of that name."""
    return not param.is_flag if param is not None else option is not None and option.takes_value


def without_them(command: Any, words: Sequence[str]) -> list[str]:
    """Leaves out the options that change nothing here, and says so. Raises UsageError for one that would."""
    program = _by_command.get(str(command.name))
    if program is None:
        return list(words)
    own = {name: param for param in command.params for name in (*param.opts, *param.secondary_opts)}
    foreign = {name: option for option in program.options for name in (option.name, option.short) if name}
    given = named_in(words)
    left: list[str] = []
    idle: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*left, word, *rest]
        name, value = split_option(word) if word.startswith("-") else ("", None)
        option, param = foreign.get(name), own.get(name)
        typed = [word]
        is_cut_off = False
        if value is None and _takes_value(param, option):
            is_cut_off = not rest
            typed += rest[:1]
            value = "".join(rest[:1])
            del rest[:1]
        if is_cut_off and param is None:
            raise UsageError(f"{word} stands at the end, without a value", "leave it out")
        if option is None or is_cut_off or not option.is_meant(value or "", given):  # Typer says what is missing
            left += typed
        elif option.why_idle and option.is_idle(value or ""):
            idle.append(f"{option.name} ({option.why_idle})")
        else:
            whose = "" if param is not None else f" is an option of {program.name}"
            raise UsageError(f"{' '.join(typed)}{whose}: {option.refusal}", option.mend)
    if idle:
        say(f"note: options of {program.name} that change nothing here: {', '.join(dict.fromkeys(idle))}")
    return program.rewrite(left)
