"""`babycli trials`: check a file of own trials, or make one out of other files.

Owns the words on the screen. The work is done in babycli/tasks/trials/.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from babycli.commands.command import Command, Group
from babycli.commands.options import OUTPUT, JsonOption, print_json, say, tell, tell_wrapped
from babycli.data.images import open_store
from babycli.data.labels import parse_labels
from babycli.data.problems import Problem, raise_for
from babycli.data.root import DatasetRoot
from babycli.errors import DataError, UsageError
from babycli.files import in_home, write_atomically
from babycli.stats import wilson95
from babycli.tasks.trials.check import Checked, Control, check_trials
from babycli.tasks.trials.convert import Converted, from_devbench, from_levante, from_table
from babycli.tasks.trials.files import content_of, task_in
from babycli.tasks.trials.named import NamedTrials, trials_words
from babycli.wording import listed

_SHOWN = 5

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="""Trials of your own: check a file of them, or make one.

    Examples:
    # where the right answers stand, what is got without looking, how small a difference can be shown
    babycli trials check words.jsonl
    # a file of trials out of a table of pictures, options and answers
    babycli trials from-csv words.csv -o words.jsonl
    # evaluate a model on it
    babycli eval -m path/to/checkpoint --trials words.jsonl
    """,
)

ImagesOption = Annotated[
    Path | None,
    typer.Option(
        "--images",
        metavar="DIR",
        help="Folder or zip of the pictures; default the file's own folder.",
        show_default=False,
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write to a file.", show_default=False, rich_help_panel=OUTPUT),
]


@app.command(cls=Command)
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The trials.", show_default=False)],
    images: ImagesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a file of trials: its lines, its pictures, its right answers, and what a model gets without looking.

    Examples:
    # a file with its pictures beside it
    babycli trials check words.jsonl
    # with its pictures in a zip
    babycli trials check words.jsonl --images pictures.zip
    # for a program
    babycli trials check words.jsonl --json
    """
    trials_words([file], images)  # a name that eval refuses
    path = in_home(file)
    task = task_in(NamedTrials(path, in_home(images) if images is not None else None))
    labels = parse_labels(content_of(path), path, task)
    raise_for(labels.problems, f"mend {path}")
    missing = _missing(task.images, labels.image_names(task.links[task.source]), task.name)
    checked = check_trials(labels.rows)
    if as_json:
        of_file = {"file": str(file), "sha256": labels.sha256, "missing": [problem.subject for problem in missing]}
        print_json(of_file | asdict(checked))
    else:
        _tell(file, checked, len(missing))
    again = f"babycli trials check {shlex.quote(str(file))} --images DIR"
    raise_for(missing, f"name the folder or zip that has them:  {again}")


def _missing(place: Path, names: list[str], task: str) -> list[Problem]:
    """Finds the pictures that are not there. Raises DataError for a place that is neither folder nor zip."""
    if not place.exists():
        raise DataError(f"there is no {place}", "name the folder or zip of the pictures:  --images DIR")
    store = open_store(place, names, DatasetRoot.find(None).index_folder)
    found = (store.problem(name) for name in names)
    return [Problem(task, error.kind, error.path, error.detail) for error in found if error is not None]


def _tell(file: Path, checked: Checked, n_missing: int) -> None:
    of_clusters = f", {checked.n_clusters} clusters" if checked.n_clusters else ""
    of_groups = f", {len(checked.groups)} groups" if checked.groups else ""
    tell(f"{file}: {checked.n:,} trial{'s' if checked.n > 1 else ''}, metric {checked.metric}{of_groups}{of_clusters}")
    are_there = f"{n_missing:,} of them missing" if n_missing else "all there"
    tell(f"  pictures         {checked.n_pictures:,}, {are_there}")
    if checked.chance is not None:
        tell(f"  chance           {_percent(checked.chance)}")
    if checked.positions:
        told = (f"{p.place}: {_percent(p.n_right / p.n_offered)}" for p in checked.positions)
        tell_wrapped(f"  right answer at  {', '.join(told)} of the trials with an option there, counted from 0", 19)
    for i, control in enumerate(checked.controls):
        tell(f"  {'without looking' if not i else '':<16} {_control(control)}{_above(control, checked)}")
    if checked.half_width is not None and checked.detectable is not None:
        of_two = (
            f"a difference of {_points(checked.detectable)} points or more, in four of five times, if both are near "
            "50 % and err apart; less if they err alike" + (", more within clusters" if checked.n_clusters else "")
        )
        if checked.detectable > 1:
            of_two = "too few trials for any difference to show in four of five times"
        tell_wrapped(
            f"  what n shows     one model: ±{_points(checked.half_width)} points at 50 %; two models: {of_two}", 19
        )
    for ids in checked.alike[:_SHOWN]:
        tell(f"  ask the same     {listed(ids)}")
    if len(checked.alike) > _SHOWN:
        tell(f"{'':<19}and {len(checked.alike) - _SHOWN} more such groups of trials")
    if checked.shared:
        told = (f"{name} in {n} trials" for name, n in checked.shared.items())
        tell_wrapped(f"  pictures reused  {len(checked.shared):,}: {listed(told, most=3)}", 19)
    for control in checked.suspicions:
        say(f"note: {control.name} beats chance, {_percent(control.share)}: a model need not see to get so much")
    if checked.chance is not None and wilson95(checked.first_share, checked.n)[0] > checked.chance:
        say(
            f"note: the first option is right in {_percent(checked.first_share)} of the trials. babycli shares credit"
            " among equal options; code that takes the first of them gives that much to a model that never looks"
        )


def _control(control: Control) -> str:
    low, high = (f"{100 * end:.1f}" for end in control.interval)
    return f"{control.name}: {_percent(control.share)} [{low}, {high}]"


def _above(control: Control, checked: Checked) -> str:
    return "  above chance" if control in checked.suspicions else ""


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _points(share: float) -> str:
    return f"{100 * share:.1f}"


@app.command("from-csv", cls=Command)
def from_csv(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .csv file with image, options, answer.", show_default=False)
    ],
    output: OutOption = None,
    images: ImagesOption = None,
) -> None:
    """Make trials out of a table: a picture, options between |, and the right one.

    Examples:
    # image,options,answer    a.jpg,ball|cup,ball
    babycli trials from-csv words.csv -o words.jsonl
    # with whole paths of pictures, which become names below a folder
    babycli trials from-csv words.csv --images path/to/pictures -o words.jsonl
    # to look at first
    babycli trials from-csv words.csv
    """
    _convert(from_table, file, output, images)


@app.command("from-levante", cls=Command)
def levante(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="LEVANTE's trial lines.", show_default=False)],
    output: OutOption = None,
    images: ImagesOption = None,
) -> None:
    """Make trials out of LEVANTE's trial lines: its prompts with their pictures, its labels as options.

    Examples:
    # lines with trial_id, prompt, option_labels, correct_label and paths of pictures
    babycli trials from-levante levante.jsonl -o vocab.jsonl
    # with whole paths of pictures, which become names below a folder
    babycli trials from-levante levante.jsonl --images path/to/assets -o vocab.jsonl
    # to look at first
    babycli trials from-levante levante.jsonl
    """
    _convert(from_levante, file, output, images)


@app.command("from-devbench", cls=Command)
def devbench(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A manifest.csv with text1, image1 ...", show_default=False)
    ],
    output: OutOption = None,
    images: ImagesOption = None,
) -> None:
    """Make trials out of a manifest of DevBench: one text and several pictures, or two of each.

    Examples:
    # looking while listening: one text, two pictures, of which the first is right
    babycli trials from-devbench lex-lwl/manifest.csv -o lex-lwl/lwl.jsonl
    # sentences with four pictures each
    babycli trials from-devbench gram-trog/manifest.csv -o gram-trog/trog.jsonl
    # two texts with two pictures: pairs, to look at first
    babycli trials from-devbench gram-winoground/manifest.csv
    """
    _convert(from_devbench, file, output, images)


def _convert(turn: Callable[[Path, Path], Converted], file: Path, output: Path | None, images: Path | None) -> None:
    path = in_home(file)
    if not path.exists():
        raise DataError(f"there is no {path}", "name the file to be turned into trials")
    if output is not None and in_home(output).exists() and in_home(output).samefile(path):
        raise UsageError(f"--output {output} is the file that is read", "name another file")
    converted = turn(path, in_home(images) if images is not None else path.parent)
    text = "".join(_lines(converted))
    if output is None:
        sys.stdout.write(text)
    else:
        write_atomically(in_home(output), text.encode())
    for remark in converted.remarks:
        say(f"note: {remark}")
    n = len(converted.lines)
    where = f" in {output};  babycli trials check {shlex.quote(str(output))}" if output is not None else ""
    say(f"{n:,} trial{'s' if n > 1 else ''}{where}")


def _lines(converted: Converted) -> Iterable[str]:
    return (json.dumps(line, ensure_ascii=False) + "\n" for line in converted.lines)
