"""Sweeps: a file of options that makes several runs, and the file that a command would be.

Owns the form of the file, which is TOML, and where its paths begin. Never evaluates: each run is a command line.

    models = ["checkpoints/a", "checkpoints/b"]     relative to the file
    tasks = ["vtwt", "labeled_s"]
    controls = ["none", "blind"]                    with and without
    limit = 200                                     any other option of babycli eval

    [[runs]]                                        more runs, with what is above unless they say otherwise
    model = "checkpoints/a"
    name = "a, asked otherwise"
    prompt = "What is this?"
"""

from __future__ import annotations

import glob
import json
import os
import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
import typer.core

from babycli.commands.options import say
from babycli.commands.typed_words import PATHS
from babycli.errors import DataError, UsageError
from babycli.files import in_home, read_file, write_atomically
from babycli.models import BUNDLED, all_families, is_path
from babycli.models.control import PREFIX as CONTROL
from babycli.wording import did_you_mean, listed

_NO_CONTROL = "none"
_LISTS = {"models": "model", "controls": "control"}  # a run for each
_RUNS = "runs"
_NOT_IN_FILES = frozenset({"config", "save", "dry_run", "estimate", "as_json", "trust_remote_code", "help"})
_CONSENT = "send-pictures-to"  # given anew at each command: a file may come from somebody else
_JOINED = ("tasks", "answers", "set")  # options that take several words as one, with commas
_MAX_BYTES = 1 << 20  # of ten thousand runs
_MAX_PARTS = 100  # of a key: a.b.c has three
_DEEP_KEY = re.compile(rf"(?:\.[ \t]*[\w\"'-][^.=,\n]*){{{_MAX_PARTS}}}")
Value = str | int | float | bool | list[Any] | dict[str, Any]
Options = dict[str, Value]  # by the name of the option, without its dashes


@dataclass(frozen=True, slots=True)
class _Known:
    """The options that a file may have, as the command has them."""

    by_name: Mapping[str, typer.core.TyperOption]

    @classmethod
    def of(cls, context: typer.Context) -> _Known:
        options = [
            p for p in context.command.params if isinstance(p, typer.core.TyperOption) and p.name not in _NOT_IN_FILES
        ]
        return cls({option.opts[0].lstrip("-"): option for option in options})

    def words(self, name: str, value: Value, file: Path) -> Iterator[str]:
        """Gives the words of a command line that set an option. Raises UsageError for a value that it cannot have."""
        option = self.by_name[name]
        if option.is_flag:
            if not isinstance(value, bool):
                raise UsageError(f"{file}: {name} is {value!r:.40}", "write  true  or  false")
            if value or option.secondary_opts:
                yield (option.opts if value else option.secondary_opts)[0]
            return
        if isinstance(value, bool):
            raise UsageError(f"{file}: {name} is {str(value).lower()}", "write its value")
        if isinstance(value, dict):
            value = ",".join(f"{key}={of}" for key, of in value.items())
        if isinstance(value, list) and name in _JOINED:
            value = ",".join(map(str, value))
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict | list | bool) or (isinstance(value, list) and not option.multiple):
                raise UsageError(f"{file}: {name} is {value!r:.40}", "write one value")
            yield from (option.opts[0], str(each))


def command_lines(config: Path, context: typer.Context) -> list[list[str]]:
    """Reads a sweep file, and gives the words behind `babycli eval` for each of its runs.

    Options that are given beside --config go before those of the file. Raises DataError for a file that is no TOML,
    UsageError for an option that is none, and where no run is left.
    """
    known = _Known.of(context)
    given = given_options(context)
    shared, runs = _read(config, known)
    lines = []
    for options in _expanded(shared, runs, given):
        words = [word for name, value in options.items() for word in known.words(name, value, config)]
        lines.append(words)
    if not lines:
        raise UsageError(
            f"{config} makes no run", f"run the models without a control too:  controls = ['{_NO_CONTROL}']"
        )
    return lines


def given_options(context: typer.Context) -> Options:
    """Gives the options that stand in the command line, by name."""
    known = _Known.of(context)
    found: Options = {}
    for name, option in known.by_name.items():
        source = context.get_parameter_source(str(option.name))
        if source is not None and source.name == "COMMANDLINE":
            value = context.params[str(option.name)]
            found[name] = list(map(str, value)) if isinstance(value, list | tuple) else _plain(value)
    return found


def save(file: Path, options: Options, models: Sequence[str], config: Path | None, context: typer.Context) -> str:
    """Writes the sweep file that a command would be; its paths are relative to the file. Raises DataError.

    Gives the words that the command with the file needs besides.
    """
    known = _Known.of(context)
    runs: list[Options] = []
    whole: Options = {}
    if config is not None:
        whole, runs = _read(config, known)
    whole |= options
    consent = f" --{_CONSENT} {shlex.quote(str(whole.pop(_CONSENT)))}" if _CONSENT in whole else ""
    if models:
        whole = {"models": list(models)} | {key: value for key, value in whole.items() if key != "model"}
    lines = [f"# babycli eval --config {file.name}{consent}"]
    lines += [f"{name} = {_toml(value)}" for name, value in _moved(whole, known, file.parent).items()]
    for run in runs:
        lines += ["", f"[[{_RUNS}]]"]
        lines += [f"{name} = {_toml(value)}" for name, value in _moved(run, known, file.parent).items()]
    write_atomically(file, ("\n".join(lines) + "\n").encode())
    return consent


def _read(config: Path, known: _Known) -> tuple[Options, list[Options]]:
    """Reads what all runs share, and what those below [[runs]] have of their own."""
    try:
        text = read_file(in_home(config), _MAX_BYTES).decode()
        if _DEEP_KEY.search(text):  # tomllib's time and memory grow with the square
            raise DataError(
                f"{config} has a key of more than {_MAX_PARTS} parts", "mend that line: an option is one word"
            )
        document = tomllib.loads(text)
    except FileNotFoundError as error:
        raise DataError(f"there is no file {config}", "babycli eval ... --dry-run --save FILE   writes one") from error
    except OSError as error:
        raise DataError(f"cannot read {config}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{config} is no TOML: it is not in UTF-8", "save it as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{config} is no TOML: {error}", "mend that line") from error
    runs = document.pop(_RUNS, [])
    if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
        raise DataError(f"{config}: runs is no list of tables", f"begin each with  [[{_RUNS}]]")
    if not document and not runs:
        raise DataError(f"{config} has no options", "name some models:  models = ['PATH']")
    shared = _checked(document, [*known.by_name, *_LISTS, _RUNS], config)
    own = [_checked(run, list(known.by_name), config) for run in runs]
    return (_located(shared, known, config.parent), [_located(run, known, config.parent) for run in own])


def _checked(table: Mapping[str, Any], names: Sequence[str], config: Path) -> Options:
    """Gives the options of a table by their names with hyphens. Raises UsageError for one that is none."""
    options: Options = {}
    for key, value in table.items():
        name = key.replace("_", "-")
        if name == _CONSENT:
            raise UsageError(
                f"{config}: {key} is not said in a file, but anew at each command",
                f"take it out, and give it beside --config:  --{_CONSENT} HOST",
            )
        if name not in names:
            raise UsageError(
                f"{config}: there is no option {key!r}.{did_you_mean(name, names)}", f"one of: {', '.join(names)}"
            )
        if name in options:
            raise UsageError(f"{config}: {name} is given twice", "give it once")
        if not isinstance(value, str | int | float | bool | list | dict):
            raise UsageError(f"{config}: {key} is {value}, a date or time", "write a text, a number or a list")
        if name in _LISTS and not (isinstance(value, list) and value and all(isinstance(of, str) for of in value)):
            raise UsageError(f"{config}: {key} is {value!r:.40}", f"write a list of texts:  {key} = ['...', '...']")
        options[name] = value
    for several, one in _LISTS.items():
        if several in options and one in options:
            raise UsageError(f"{config}: {several} and {one} say the same", "give one of them")
    return options


def _expanded(shared: Options, runs: Sequence[Options], given: Options) -> Iterator[Options]:
    """Gives the options of each run: of each model and control above, then of each table of [[runs]].

    All models with one control are one command, so that pictures are read once for them.
    """
    common = {name: value for name, value in shared.items() if name not in _LISTS}
    models = shared.get("models")
    if models is not None:
        common["model"] = models
    controls: Iterable[Any] = shared["controls"] if isinstance(shared.get("controls"), list) else [None]  # type: ignore[assignment]
    if models is not None or "model" in common or not runs:
        for control in [given["control"]] if "control" in given else controls:
            of_control = _without_none(common | ({} if control is None else {"control": control}) | given)
            if "model" in given or control in (None, _NO_CONTROL):
                yield of_control
            elif (left := _without_controls(of_control, str(control))) is not None:
                yield left
    for run in runs:
        yield _without_none(common | run | given)


def _without_controls(options: Options, control: str) -> Options | None:
    """Leaves out the models that are controls themselves, and says so; None where no other model is named."""
    named = options.get("model", [])
    models = list(map(str, named)) if isinstance(named, list) else [str(named)]
    own = [model for model in models if model.startswith(CONTROL)]
    if not own:
        return options
    say(f"note: no control {control} of {listed(own)}: a control has no control")
    return options | {"model": [model for model in models if model not in own]} if len(own) < len(models) else None


def _without_none(options: Options) -> Options:
    return {name: value for name, value in options.items() if not (name == "control" and value == _NO_CONTROL)}


def _located(options: Options, known: _Known, folder: Path) -> Options:
    """Gives options whose relative paths begin in the folder of the file, as paths from here."""
    return {
        name: _on_paths(name, value, known, lambda path: _from_here(folder, path)) for name, value in options.items()
    }


def _moved(options: Options, known: _Known, folder: Path) -> Options:
    """Gives options whose paths from here begin in the folder of a file that is written."""

    def moved(path: str) -> str:
        return path if in_home(path).is_absolute() else os.path.relpath(path, folder)

    return {name: _on_paths(name, value, known, moved) for name, value in options.items()}


def _on_paths(name: str, value: Value, known: _Known, change: Any) -> Value:
    """Changes the paths among the words of an option, as far as they are some."""
    option = known.by_name.get(_LISTS.get(name, name))
    if isinstance(value, list):
        return [_on_paths(name, each, known, change) for each in value]
    if isinstance(value, dict):
        return {key: _on_paths("model-args", of, known, change) for key, of in value.items()}
    if not isinstance(value, str) or option is None:
        return value
    if option.metavar in PATHS:
        return str(change(value))
    if option.opts[0] in ("--model", "--tasks", "--model-args"):
        words = value.split(",") if option.opts[0] != "--model" else [value]
        return ",".join(_moved_word(word, change, option.opts[0] == "--tasks") for word in words)
    return value


def _moved_word(word: str, change: Any, is_task: bool = False) -> str:
    """Changes a word that is a path, ``file.py:NAME``, ``trials.jsonl:path``, ``replay:path`` or ``key=path``.

    Names of the hub, addresses, controls, tasks and numbers stay.
    """
    if "://" in word:
        return word
    kind, colon, path = word.partition(":")
    if colon and any(family.claims(f"{kind}:") for family in all_families().values()):
        return word if word.startswith(CONTROL) else f"{kind}:{_moved_word(path, change)}"
    key, equals, path = word.partition("=")
    if equals:
        return f"{key}={_moved_word(path, change)}"
    file, colon, name = word.partition(":")
    if file.endswith(".jsonl") and is_task:
        return ":".join(str(change(path)) for path in (file, name) if path)
    place = file if colon and file.endswith(".py") else word
    if place in BUNDLED or place in all_families():
        return word
    moved = str(change(place))
    is_there = in_home(moved).exists() or in_home(place).exists()
    if not is_there and not is_path(place) and not glob.has_magic(place):
        return word
    return moved + (f"{colon}{name}" if place is not word else "")


def _from_here(folder: Path, path: str) -> str:
    return path if in_home(path).is_absolute() else os.path.normpath(folder / path)


def _plain(value: Any) -> Value:
    return value if isinstance(value, str | int | float | bool) else str(value)


def _toml(value: Value) -> str:
    """Writes a value of TOML. Its texts are those of JSON, with characters as they are."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(_toml(each) for each in value)}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(str(key))} = {_toml(of)}" for key, of in value.items()) + " }"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value)
