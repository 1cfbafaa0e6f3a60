"""The command line as completion needs it: its commands, their options, and what may be typed behind each.

Owns the table of values. Never writes a script: each shell has a module of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import typer.main

from babycli import cli, interop
from babycli.data.manifest import manifests_folder
from babycli.data.overlap_levels import Level
from babycli.data.sources import all_sources
from babycli.data.sources.devcv import KNOWN_SETS
from babycli.models import BUNDLED, all_families
from babycli.models.control import KINDS as CONTROLS
from babycli.models.control import PREFIX
from babycli.report.choosing import ALL, MAIN
from babycli.report.egobabyvlm import FIELDS
from babycli.report.forms import forms
from babycli.report.trackers import TRACKERS
from babycli.tasks import all_tasks, benchmarks
from babycli.tasks.groups import KINDS
from babycli.wording import AnswerWay, ControlKind, Depth, Dtype, History, LinkMode, Scoring, printable


class Place(Enum):
    """Where words are found when somebody presses TAB."""

    FILES = "files"
    FOLDERS = "folders"
    SETS = "sets"  # of the dataset folder
    HUB = "hub"  # models in the cache of the hub
    MODELS = "models"  # that have runs in the folder of logs
    RUNS = "runs"  # in that folder


@dataclass(frozen=True, slots=True)
class Values:
    """What may be typed as a value."""

    name: str  # of a shell's function, and what a shell calls the value
    words: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()
    is_list: bool = False  # several, with commas between them
    has_name: bool = False  # NAME=VALUE: the words are names, and files the values
    is_file_otherwise: bool = False  # files where no word fits


@dataclass(frozen=True, slots=True)
class Option:
    """An option in all its spellings; ``values`` is None for one that takes none."""

    names: tuple[str, ...]
    help: str
    values: Values | None
    is_repeated: bool
    is_wide: bool  # takes the words behind its value, too
    excluded: tuple[str, ...]  # spellings that do not go together with it


@dataclass(frozen=True, slots=True)
class Command:
    """A command, or a group with its commands."""

    path: tuple[str, ...]  # ("babycli", "data", "link")
    help: str
    options: tuple[Option, ...]
    arguments: tuple[Values, ...]
    takes_more: bool  # its last argument may be repeated
    commands: tuple[Command, ...]


def _names(kinds: Any) -> tuple[str, ...]:
    return tuple(map(str, kinds))


interop.register()
NOTHING = Values("text")
FILE, FOLDER = Values("file", places=(Place.FILES,)), Values("folder", places=(Place.FOLDERS,))
SET_FOLDER = Values("set", tuple(f"{name}=" for name in KNOWN_SETS), (Place.FILES,), has_name=True)
_TASKS = [name for name, task in all_tasks().items() if type(task).__module__.startswith("babycli.")]  # no plug-ins
TASKS = Values("task", (*benchmarks(), *_TASKS), is_list=True, is_file_otherwise=True)
MODEL = Values(
    "model",
    (*all_families(), *BUNDLED, *(PREFIX + kind for kind in CONTROLS)),
    (Place.HUB, Place.FILES),
)
_ARGUMENTS = dict.fromkeys(key for family in all_families().values() for key in family.arguments)
MODEL_ARGS = Values("argument", tuple(f"{key}=" for key in _ARGUMENTS), (Place.FILES,), is_list=True, has_name=True)
DTYPE = Values("precision", _names(Dtype))
EVALUATED = Values("evaluated_model", places=(Place.MODELS,))
COMPARED = Values("compared_run", places=(Place.MODELS, Place.RUNS), is_file_otherwise=True)
RUN = Values("run", places=(Place.RUNS,), is_file_otherwise=True)
_METRICS = dict.fromkeys(metric.name for name in _TASKS for metric in all_tasks()[name].metrics)

# Behind an option, whichever command has it, and behind an argument, which is named as its command's function has it.
VALUES = {
    "--answers": Values("answer", _names(AnswerWay), is_list=True),
    "--baselines": Values("baselines", tuple(json.loads((manifests_folder() / "baselines.json").read_bytes()))),
    "--batch-check": NOTHING,
    "--batch-size": Values("batch_size", ("auto",)),
    "--by": Values("kind", tuple(kind.name for kind in KINDS if kind.is_offered)),
    "--checkpoint": NOTHING,
    "--compare": COMPARED,
    "--control": Values("control", _names(ControlKind)),
    "--depth": Values("depth", _names(Depth)),
    "--device": Values("device", ("cpu", "cuda", "cuda:0")),
    "--devcv": SET_FOLDER,
    "--devcv-images": SET_FOLDER,
    "--distance": NOTHING,
    "--dtype": DTYPE,
    "--entry": Values("entry", tuple(f"{name}=" for name in FIELDS), has_name=True),
    "--format": Values("format", tuple(forms())),
    "--history": Values("history", _names(History)),
    "--hub-dataset": NOTHING,
    "--images": FILE,
    "--labeled-s": FILE,
    "--level": Values("level", _names(Level), is_list=True),
    "--limit": NOTHING,
    "--machine-devbench": FILE,
    "--max-new-tokens": NOTHING,
    "--metrics": Values("metric", (MAIN, ALL, *_METRICS), is_list=True),
    "--mode": Values("mode", _names(LinkMode)),
    "--model": MODEL,
    "--model-args": MODEL_ARGS,
    "--models": replace(EVALUATED, name="evaluated_models", is_list=True),
    "--name": NOTHING,
    "--prompt": Values("asked_task", tuple(f"{name}=" for name in _TASKS), has_name=True),
    "--rename": FILE,
    "--sample": NOTHING,
    "--scoring": Values("scoring", _names(Scoring)),
    "--seed": NOTHING,
    "--send-pictures-to": NOTHING,
    "--set": Values("linked_set", places=(Place.SETS,), is_list=True),
    "--sign": Values("sign", ("logprob", "loss")),
    "--source": Values("source", tuple(f"{name}=" for name in all_sources()), (Place.FILES,), has_name=True),
    "--split": NOTHING,
    "--synthetic": FILE,
    "--tasks": TASKS,
    "--to": Values("tracker", tuple(f"{name}:" for name in TRACKERS)),
    "--watch-for": NOTHING,
    "--watch-settle": NOTHING,
    "--within": NOTHING,
    "babycli report --model": EVALUATED,
    "data extract archive": FILE,
    "data extract destination": FOLDER,
    "data link saycam": FILE,
    "data manifest source": FILE,
    "data overlap training": FILE,
    "data subset destination": FOLDER,
    "data verify source": FILE,
    "models show model": MODEL,
    "report logs": FILE,
    "runs delete runs": RUN,
    "runs rename name": NOTHING,
    "runs rename run": RUN,
    "runs show run": RUN,
    "submission check file": FILE,
    "cite logs": FILE,
}
WIDE = "--compare"  # the option that takes the words behind its value, too; see cli.py
_BY_METAVAR = {"DIR": FOLDER, "[DIR]": FOLDER, "FILE": FILE, "N": NOTHING}
_ALTERNATIVES = re.compile(r"[a-z0-9_]+(\|[a-z0-9_]+)+")


def tree() -> Command:
    """Reads the command line of babycli as it is here."""
    return _command(typer.main.get_command(cli.app), ("babycli",))


def all_commands(command: Command) -> Iterator[Command]:
    """Gives a command, and all that are below it."""
    yield command
    for below in command.commands:
        yield from all_commands(below)


def all_values(root: Command) -> list[Values]:
    """Gives what may be typed anywhere, each once."""
    found = [
        values
        for command in all_commands(root)
        for values in (*(option.values for option in command.options), *command.arguments)
        if values is not None
    ]
    return list(dict.fromkeys(found))


def spellings_of(root: Command, name: str) -> tuple[str, ...]:
    """Gives the spellings of an option, ``--data`` and the like, in all commands."""
    options = [option for command in all_commands(root) for option in command.options if name in option.names]
    return tuple(dict.fromkeys(spelling for option in options for spelling in option.names))


def _command(command: Any, path: tuple[str, ...]) -> Command:
    context = command.make_context(path[-1], [], resilient_parsing=True)
    below = command.list_commands(context) if hasattr(command, "list_commands") else []
    made = (_command(command.resolve_command(context, [name])[1], (*path, name)) for name in below)
    options = [param for param in command.params if param.param_type_name == "option" and not param.hidden]
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    help_option = Option(tuple(context.help_option_names), "Show this message and exit.", None, False, False, ())
    return Command(
        path,
        _one_line(command.help),
        (*(option for param in options for option in _options(param, path)), help_option),
        tuple(_values(param, param.name, path) for param in arguments),
        any(param.nargs == -1 for param in arguments),
        tuple(made),
    )


def _options(param: Any, path: Sequence[str]) -> Iterator[Option]:
    """Gives an option, and the one that is its contrary."""
    values = None if param.is_flag else _values(param, max(param.opts, key=len), path)
    both = (*param.opts, *param.secondary_opts)
    for names in filter(None, (param.opts, param.secondary_opts)):
        is_contrary = names is param.secondary_opts
        help_text = f"Not: {_one_line(param.help)}" if is_contrary else _one_line(param.help)
        others = tuple(n for n in both if n not in names)
        yield Option(tuple(names), help_text, values, param.multiple, WIDE in names, others)


def _values(param: Any, name: str, path: Sequence[str]) -> Values:
    """Finds what may be typed behind an option or as an argument. Ends the program where nobody has said it."""
    metavar = param.metavar or ""
    for words in (" ".join((*path, name)), " ".join((*path[1:], name)), name):
        if words in VALUES:
            return VALUES[words]
    if _ALTERNATIVES.fullmatch(metavar):
        return Values(name.lstrip("-").replace("-", "_"), tuple(metavar.split("|")))
    if metavar in _BY_METAVAR:
        return _BY_METAVAR[metavar]
    raise SystemExit(f"what may be typed for {name} of {' '.join(path)}? Add it to VALUES in tools/completion_tree.py")


def _one_line(text: str | None) -> str:
    """Gives the first paragraph of a help text, which may be set in lines, on one."""
    return printable(" ".join((text or "").split("\n\n")[0].split()))
