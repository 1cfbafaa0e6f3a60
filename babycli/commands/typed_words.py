"""The words of a command line, before Typer reads them: several behind one option, and options of other programs.

Owns what a word behind an option means that needs no second option: ``--tasks a b``, ``--compare A B``, and the paths
that a shell puts in the place of ``--model runs/*``. Never knows a command: its parameters say what it takes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from babycli.commands.options import say
from babycli.errors import UsageError
from babycli.files import in_home
from babycli.wording import any_of, listed, natural_order

_TASKS, _MODEL, _COMPARED, _WATCH = "--tasks", "--model", "--compare", "--watch"
PATHS = ("DIR", "FILE", "LOGS", "SOURCE", "SAYCAM", "ZIP", "DEST")  # what help calls a value that is a path
_JOINED = (_TASKS, "--set", "--answers", "--metrics")  # given again, they are one list


@dataclass(frozen=True, slots=True)
class _Piece:
    """A word of a command line or, with its value, an option."""

    words: tuple[str, ...]
    option: str = ""  # by its long name; "" for a word that belongs to none
    values: list[str] = field(default_factory=list)  # of an option of which there may be several

    def as_typed(self) -> Iterator[str]:
        if not self.values:
            yield from self.words
        elif self.option in _JOINED:
            yield from (self.option, ",".join(_without_comma(self.values)))
        else:
            for value in _without_comma(self.values):
                yield from (self.option, value)


def in_single_words(command: Any, called: str, words: Sequence[str]) -> list[str]:
    """Gives the words of a command line in the form that Typer reads; ``called`` is what stands before them.

    Raises UsageError for a word out of place.
    """
    pieces = _pieces(command, called, words)
    models = [piece for piece in pieces if piece.option == _MODEL and len(piece.values) > 1]
    if models and any(piece.option == _WATCH for piece in pieces):
        raise UsageError(
            f"--watch looks for new checkpoints, and the shell has put {len(models[0].values)} paths in the place of "
            "a pattern",
            "quote the pattern, as  --model 'runs/checkpoint-*' --watch",
        )
    for piece in models:
        piece.values[:] = _checkpoints(piece.values)
    for option in _JOINED:
        same = [piece for piece in pieces if piece.option == option]
        for other in same[1:]:
            same[0].values.extend(other.values)
            pieces.remove(other)
    return [word for piece in pieces for word in piece.as_typed()]


def check_paths(command: Any, words: Sequence[str]) -> None:
    """Refuses an empty word for a path: a shell gives it for a variable that is not set, and it is the current folder.

    Raises UsageError.
    """
    of_values = [p for p in command.params if p.param_type_name == "option" and not p.is_flag]
    takes = {name: option for option in of_values for name in (*option.opts, *option.secondary_opts)}
    places = [p.metavar for p in command.params if p.param_type_name == "argument" and p.metavar in PATHS]
    last = ""  # the option that was given last, of those with a value
    for before, word in pairwise(["", *words]):
        name, value = split_option(word) if word.startswith("-") else ("", None)
        last = takes[name].opts[0] if name in takes else last
        option = takes.get(name if value == "" else before) if "" in (word, value) else None
        if option is not None and option.metavar in PATHS:
            asked = option.opts[0]
        elif option is None and word == "" and places and last != _COMPARED:
            asked = any_of(places)
        else:
            continue
        raise UsageError(f"the path for {asked} is empty", "give one; a variable of the shell may not be set")


def _pieces(command: Any, called: str, words: Sequence[str]) -> list[_Piece]:
    options = {name: param for param in command.params for name in (*param.opts, *param.secondary_opts)}
    takes_words = any(param.param_type_name == "argument" for param in command.params)
    pieces: list[_Piece] = []
    is_unknown = False
    rest = list(words)
    while rest:
        word = rest.pop(0)
        last = pieces[-1] if pieces else _Piece(())
        if word == "--":
            return [*pieces, _Piece((word, *rest))]
        if not word.startswith("-") or word == "-":
            if last.values and _goes_on(last, word, takes_words):
                last.values.append(word)
                continue
            if not takes_words and word and not is_unknown:  # else Typer says which option is none
                raise _out_of_place(word, last, options, called)
            pieces.append(_Piece((word,)))
            continue
        name, value = split_option(word)
        param = options.get(name)
        is_unknown = is_unknown or param is None
        if param is None or param.param_type_name == "argument" or param.is_flag:
            pieces.append(_Piece((word,), param.opts[-1] if param is not None else ""))
            continue
        if value is None:
            if not rest:
                return [*pieces, _Piece((word,))]  # Typer says what is missing
            value = rest.pop(0)
            typed: tuple[str, ...] = (word, value)
        else:
            typed = (word,)
        long = next(opt for opt in param.opts if opt.startswith("--"))
        takes_several = long in _JOINED or (long in (_MODEL, _COMPARED) and param.multiple)
        pieces.append(_Piece(typed, long, [value] if takes_several else []))
    return pieces


def named_in(words: Collection[str]) -> frozenset[str]:
    """Gives the names of the options among the words."""
    return frozenset(split_option(word)[0] for word in words if word.startswith("-"))


def split_option(word: str) -> tuple[str, str | None]:
    """Gives the name of an option, and the value that is written in one word with it."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return name, value if equals else None
    return word[:2], word[2:].removeprefix("=") or None


def _goes_on(piece: _Piece, word: str, takes_words: bool) -> bool:
    """Tells whether a word is one more of what stands behind an option."""
    if piece.option == _COMPARED or (piece.option in _JOINED and piece.values[-1].endswith(",")):
        return True
    is_there = in_home(word).exists()
    if piece.option == _MODEL:
        return is_there
    return piece.option == _TASKS and not is_there and (not takes_words or _names_tasks(word))


def _without_comma(values: Sequence[str]) -> list[str]:
    """Takes off the comma that stands between this word and the next, with a space behind it."""
    return [value.removesuffix(",") for value in values[:-1]] + [*values[-1:]]


def _names_tasks(word: str) -> bool:
    from babycli.tasks import is_known, names_in

    return all(map(is_known, names_in(word)))


def _out_of_place(word: str, last: _Piece, options: Mapping[str, Any], called: str) -> UsageError:
    nowhere = f"{word!r} belongs to no option"
    if _TASKS in options and _names_tasks(word):
        return UsageError(nowhere, f"tasks are given as  --tasks {word}")
    if _MODEL in options and (in_home(word).exists() or _no_model(word) is None):
        return UsageError(nowhere, f"a model is given as  --model {word}")
    if last.option == _MODEL and (why := _no_model(word)) is not None:
        return why
    mend = f"{called} --help  lists the options"
    if len(last.words) == 2 and "TEXT" in (options[last.words[0]].metavar or ""):
        option, value = last.words
        mend = f"a value of several words stands in quotes:  {option} '{value} {word} ...' ; {mend}"
    return UsageError(f"{word!r} is neither an option nor the value of one", mend)


def _no_model(word: str) -> UsageError | None:
    """Explains why a word names no model; None for one that does."""
    from babycli.models import resolve

    try:
        resolve(word, {})
    except UsageError as error:
        return error
    return None


def _checkpoints(paths: Sequence[str]) -> list[str]:
    """Leaves out the files among the paths of a pattern, which are no checkpoints. Raises UsageError if none is one.

    Step 9 comes before step 10, unless the user has chosen an order.
    """
    from babycli.models import is_checkpoint

    found = [path for path in paths if not in_home(path).exists() or is_checkpoint(path)]
    others = [path for path in paths if path not in found]
    if not found:
        raise UsageError(f"none of these is a folder: {listed(paths)}", "give checkpoints, as  --model runs/*")
    if others:
        say(f"note: left out, as no checkpoints: {listed(others)}")
    return sorted(found, key=natural_order) if found == sorted(found) else found
