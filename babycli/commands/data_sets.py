"""The sets of DevCV that `babycli data link` is given, and what it says of them.

Owns the words on the screen. The work is done in babycli/data/set_linking.py.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from babycli.commands.options import say, tell
from babycli.data.discovery import discover_sets
from babycli.data.labels import Labels, equal_pictures
from babycli.data.linking import LabelFile, LinkReport
from babycli.data.manifest import full_name
from babycli.data.root import DatasetRoot
from babycli.data.set_linking import Given, ReadySet, ready_set
from babycli.data.sets import checked_name
from babycli.data.sources.devcv import BENCHMARK
from babycli.domain import ImageRef
from babycli.errors import DataError, UsageError
from babycli.files import in_home
from babycli.tasks import all_tasks, select_tasks
from babycli.tasks.base import Task

SHOWN_ITEMS = 5
IMAGES = "Where the images are"
DevcvOption = Annotated[
    list[str] | None,
    typer.Option(
        "--devcv",
        metavar="[SET=]DIR",
        help="Folder, zip or label file of a set of DevCV: labels and pictures; may be repeated.",
        show_default=False,
        rich_help_panel=IMAGES,
    ),
]
DevcvImagesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--devcv-images",
        metavar="[SET=]DIR",
        help="Folder or zip of a set's pictures, if apart from its labels.",
        show_default=False,
        rich_help_panel=IMAGES,
    ),
]
SplitOption = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="NAME",
        help="The split of --devcv; default test.",
        show_default=False,
        rich_help_panel=IMAGES,
    ),
]


def read_given(sets: Sequence[str], images: Sequence[str], split: str | None) -> list[Given]:
    """Reads --devcv, --devcv-images and --split. Raises UsageError."""
    if not sets:
        for option, value in (("--devcv-images", images), ("--split", split)):
            if value:
                raise UsageError(f"{option} goes with --devcv", "add  --devcv DIR")
    if split is not None:
        checked_name(split)
    folders = [_named(word) for word in images]
    left = [name for name, _ in folders]
    for name in left:
        if left.count(name) > 1 or (not name and len(sets) > 1):
            raise UsageError("which pictures are of which set?", "write  --devcv SET=DIR --devcv-images SET=DIR")
    given = []
    for word in sets:
        name, path = _named(word)
        own = [folder for of, folder in folders if of in ("", name)]
        left = [of for of in left if of not in ("", name)]
        given.append(Given(path, name, own[0] if own else None, split))
    if left:
        raise UsageError(f"--devcv-images names {left[0]!r}, and no --devcv does", f"add  --devcv {left[0]}=DIR")
    return given


def _named(word: str) -> tuple[str, Path]:
    name, equals, folder = word.partition("=")
    if not word or (equals and not folder):
        raise UsageError(f"cannot read {word!r}", "write  --devcv DIR  or  --devcv SET=DIR")
    if not equals or "/" in name or not name:
        return "", in_home(word)
    return checked_name(name), in_home(folder)


def ready_sets(root: DatasetRoot, given: Sequence[Given], tasks: str | None) -> list[ReadySet]:
    """Makes the sets ready to be linked, and says what was found. Raises DataError or UsageError."""
    known = {task.name: task for task in all_tasks().values() if _is_of_sets(task)}
    wanted = [task.name for task in select_tasks(tasks) if _is_of_sets(task)]
    if given and not wanted:
        raise UsageError(f"--tasks names no task of {BENCHMARK}", f"one of: {', '.join(known)}")
    ready: list[ReadySet] = []
    for each in given:
        made = ready_set(root, each, known, wanted)
        if made.name in [other.name for other in ready]:
            raise UsageError(f"two folders are given for the set {made.name!r}", "name them:  --devcv SET=DIR")
        for remark in made.remarks:
            say(remark)
        ready.append(made)
    return ready


def found_sets(root: DatasetRoot, parent: Path, tasks: str | None) -> list[ReadySet]:
    """Makes the sets ready that lie in a folder of several kinds of data; one that cannot be linked is left out.

    What was found, and what is left out and why, is said.
    """
    wanted = [task.name for task in select_tasks(tasks) if _is_of_sets(task)]
    ready: list[ReadySet] = []
    for place in discover_sets(parent, wanted, root.index_folder) if wanted else []:
        say(f"found label files of {BENCHMARK} in {place}")
        try:
            made = ready_sets(root, [Given(place)], tasks)
        except (DataError, UsageError) as error:
            link = f"babycli data link --devcv SET={shlex.quote(str(place))}{root.words}"
            say(f"{place} is left out: {error.message}\n  to link it:  {link}")
            continue
        taken = [each.name for each in ready]
        for each in made:
            if each.name in taken:
                say(f"{place} is left out: another folder is of the set {each.name!r}; name them:  --devcv SET=DIR")
            else:
                ready.append(each)
    return ready


def _is_of_sets(task: Task) -> bool:
    return task.sets_of == BENCHMARK


def tell_labels(file: LabelFile, report: LinkReport) -> None:
    """Tells how many items have all of their pictures, and where the label file is from."""
    missing = set(report.found.missing) if report.found is not None else set()
    items = file.labels.items
    n_whole = sum(not any(image.name in missing for image in item.images) for item in items)
    changed = ", names of pictures rewritten" if file.record.sha256 != file.record.origin_sha256 else ""
    tell(f"    {n_whole} of {len(items)} items have all of their pictures")
    tell(f"    labels of {file.record.origin}{changed}")


def say_equal_pictures(labels: Labels, reports: Sequence[LinkReport]) -> None:
    """Warns of items that show the same picture under two names, where they must differ."""
    by_link = {report.link.path: report.found.sha256 for report in reports if report.found is not None}
    equal = list(_equal(labels, by_link))
    for words in equal[:SHOWN_ITEMS]:
        say(f"{full_name(labels.task)}: {words}")
    if len(equal) > SHOWN_ITEMS:
        say(f"{full_name(labels.task)}: and {len(equal) - SHOWN_ITEMS} more such pairs of pictures")


def _equal(labels: Labels, by_link: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    def digest_of(image: ImageRef) -> str | None:
        return by_link.get(labels.task.links[image.source], {}).get(image.name)

    for item in labels.items:
        for other, image in equal_pictures(labels, item, digest_of):
            what = f"item {item.item_id} (from 0), {item.rows[0].get('id')!r},"
            yield f"{what} cannot be decided: {other.name} and {image.name} are the same picture"
