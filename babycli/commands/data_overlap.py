"""`babycli data overlap`: the trials whose pictures are in a training set.

Owns the words on the screen. The work is done in babycli/data/overlap.py.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from babycli.commands.chosen import SetOption, chosen_tasks
from babycli.commands.data_verify import sound_labels
from babycli.commands.options import (
    OUTPUT,
    DataOption,
    JsonOption,
    TasksOption,
    name_width,
    print_json,
    say,
    tell,
    tell_wrapped,
    whole_number_of,
)
from babycli.commands.progress import progress_bar
from babycli.data.lock import read_lock
from babycli.data.overlap_levels import LEAKING, MEANINGS, Level, levels_in
from babycli.data.root import DatasetRoot
from babycli.errors import UsageError
from babycli.files import write_atomically
from babycli.wording import any_of

if TYPE_CHECKING:
    from babycli.data.overlap_file import Overlap, TaskOverlap

_WITHIN_S = 5


def overlap(
    training: Annotated[
        list[Path],
        typer.Argument(
            metavar="TRAINING...",
            help="Folder or zip of pictures, list of names or checksums, or JSON of training data; several if need be.",
            show_default=False,
        ),
    ],
    tasks: TasksOption = None,
    data_set: SetOption = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            metavar="DIR",
            help="Folder or zip in which the pictures lie that a list or JSON names; default: names alone.",
            show_default=False,
        ),
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(
            "--level",
            metavar="|".join(Level),
            help="Look at these levels alone, A,B; default all that can be told.",
            show_default=False,
        ),
    ] = None,
    within: Annotated[
        int,
        typer.Option(
            "--within",
            metavar="SECONDS",
            parser=whole_number_of("--within", 0),
            help="Seconds between two frames of one utterance, at most.",
        ),
    ] = _WITHIN_S,
    distance: Annotated[
        int | None,
        typer.Option(
            "--distance",
            metavar="BITS",
            parser=whole_number_of("--distance", 0),
            help="Bits of 256 in which the hashes of pictures that are alike may differ; default 40.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write all trials to a file, for `report --overlap`.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    data: DataOption = None,
) -> None:
    """Find the trials whose pictures are in a training set, by bytes, name, recording or look.

    A trial is leaked at a level if any of its pictures is. What each level says:

      sha256: a picture has the bytes of one of the training.
      name: it has the name of one, whatever the folder and the ending.
      within: a frame is of the same utterance, no more than --within seconds away.
      near: it looks like one, as it is or mirrored; by a perceptual hash, of the package ImageHash.
      recording: a frame is of the same recording; this alone does not count as leaked.

    Examples:
    # pictures that a model was trained on, beside those of all tasks that are linked
    babycli data overlap path/to/training_images
    # training data as LLaVA has them with their pictures, and the list for a report
    babycli data overlap train.json --images path/to/images -o overlap.json
    # a model's score on leaked and on clean trials
    babycli report logs --overlap overlap.json --by overlap
    """
    # They load NumPy, which help need not wait for.
    from babycli import __version__
    from babycli.data.overlap import Looking, compare
    from babycli.data.overlap_file import as_document, content_of, new_overlap
    from babycli.data.overlap_pictures import DISTANCE, INSTALL, MOST_DISTANCE, has_hashes, hash_told
    from babycli.data.overlap_training import read_training, with_pictures

    levels = tuple(Level) if level is None else levels_in(level)
    if distance is not None and distance > MOST_DISTANCE:
        raise UsageError(
            f"--distance {distance} would take any two pictures for alike: half of 256 bits differ by chance",
            f"write  --distance {DISTANCE},  or at most {MOST_DISTANCE}",
        )
    if level is not None and Level.NEAR in levels and not has_hashes():
        raise UsageError("--level near needs the package ImageHash, which is not installed", INSTALL)
    if output is not None:
        for path in training:
            if os.path.exists(output) and os.path.exists(path) and output.samefile(path):
                raise UsageError(f"--output {output} is the training set itself", "name another file")
    root = DatasetRoot.find(data)
    chosen = chosen_tasks(root, tasks, data_set, needs_labels=True)
    labels = [sound_labels(root, task, chosen) for task in chosen]
    trainings = [read_training(path, root.index_folder) for path in training]
    if images is not None:
        if all(each.store is not None for each in trainings):
            raise UsageError("--images is for lists and JSON, and these are pictures themselves", "leave out --images")
        trainings = [with_pictures(each, images, root.index_folder) for each in trainings]
    how = Looking(levels, within, DISTANCE if distance is None else distance, root.index_folder)
    with progress_bar("reading pictures", unit=" pictures") as count:
        compared = compare(root, read_lock(root), labels, trainings, how, count)
    made = new_overlap(
        __version__,
        within,
        how.distance,
        hash_told() if compared.has_hashes else "",
        compared.training,
        compared.tasks,
        compared.notes,
    )
    if output is not None:
        write_atomically(output, content_of(made))
    if as_json:
        print_json(as_document(made))
    else:
        _tell(made)
    if output is not None:
        say(f"wrote {output}; next:  babycli report LOGS --overlap {shlex.quote(str(output))} --by overlap")


def _tell(made: Overlap) -> None:
    from babycli.data.overlap_names import ASSUMED

    for number, training in enumerate(made.training, 1):
        lead = f"[{number}] " if len(made.training) > 1 else ""
        films = f", {training.n_films:,} films" if training.n_films else ""
        tell(f"{lead}{training.path}: {training.form}, {training.n_pictures:,} pictures{films}")
    looked = [level for level in Level if any(level in task.told for task in made.tasks)]
    others = [level for level in looked if level not in LEAKING]
    names = [_name(task) for task in made.tasks]
    columns: list[tuple[str, list[str]]] = [("trials", [f"{len(task.trials):,}" for task in made.tasks])]
    columns += [(made.level_told(level), _counts(made.tasks, level)) for level in looked if level in LEAKING]
    columns.append(("leaked", [_n_leaked(task) for task in made.tasks]))
    columns += [(made.level_told(level), _counts(made.tasks, level)) for level in others]
    widths = [max(len(head), *map(len, texts)) for head, texts in columns]
    width = name_width([*names, "task"])
    rows = [
        ("task", [head for head, _ in columns]),
        *zip(names, zip(*(t for _, t in columns), strict=True), strict=True),
    ]
    tell("")
    for name, texts in rows:
        tell(f"{name:<{width}}  " + "  ".join(f"{text:>{wide}}" for text, wide in zip(texts, widths, strict=True)))
    tell("")
    for level in looked:
        tell_wrapped(f"{level}: trials of which {MEANINGS[level]}.", 2)
    counted = any_of(level for level in looked if level in LEAKING)
    tell_wrapped(f"leaked: at {counted or 'no level'}. -: it cannot be told.", 2)
    for why, levels in _untold(made).items():
        tell_wrapped(f"left out: {why}: {levels}.", 2)
    if any(level in looked for level in (Level.WITHIN, Level.RECORDING)):
        tell_wrapped(ASSUMED, 2)
    for note in made.notes:
        say(f"note: {note}")


def _n_leaked(task: TaskOverlap) -> str:
    return f"{task.n_leaked(LEAKING):,}" if any(level in LEAKING for level in task.told) else "-"


def _counts(tasks: Sequence[TaskOverlap], level: Level) -> list[str]:
    return ["-" if level in task.untold else f"{task.n_leaked([level]):,}" for task in tasks]


def _name(task: TaskOverlap) -> str:
    return f"{task.task}@{task.data_set}" if task.data_set else task.task


def _untold(made: Overlap) -> dict[str, str]:
    """Gathers why levels are left out: by reason, the levels and, where it is not of all, the tasks."""
    found: dict[str, dict[str, list[str]]] = {}
    for task in made.tasks:
        for level, why in task.untold.items():
            found.setdefault(why, {}).setdefault(level, []).append(_name(task))
    told = {}
    for why, by_level in found.items():
        of = {tuple(names): [level for level in by_level if by_level[level] == names] for names in by_level.values()}
        parts = [
            f"{', '.join(levels)}" + (f" of {', '.join(names)}" if len(names) < len(made.tasks) else "")
            for names, levels in of.items()
        ]
        told[why] = "; ".join(parts)
    return told
