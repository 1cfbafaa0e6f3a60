"""A set of DevCV that a user has got, made ready to be linked: its name, its label files, and where its pictures lie.

Owns the checks of all that comes from there, and taking its label files away again. Never puts one in its place:
linking.py does, when the pictures have been read.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from babycli.data.datasets import DEMO, OWN
from babycli.data.labels import MAX_LABEL_BYTES, parse_labels, with_item_problems
from babycli.data.linking import LabelFile, tasks_that_would_lose
from babycli.data.lock import Lock, LockedLabels, lock_path, read_lock
from babycli.data.manifest import LabelledTask, full_name, is_of_demo
from babycli.data.problems import Problem, ProblemKind, raise_for
from babycli.data.root import DatasetRoot
from babycli.data.rows import PlacedRow, parse_rows
from babycli.data.set_files import TEST, SetFile, SetFiles, Tree, find_files, split_of_folder
from babycli.data.set_pictures import Led, common_folder, follow, is_address, picture_names, rewritten
from babycli.data.sets import checked_name, name_of_folder, set_folder
from babycli.data.sources.devcv import BENCHMARK, KNOWN_SETS, source_of_set
from babycli.data.zips import is_zip
from babycli.domain import Row
from babycli.errors import DataError, UsageError
from babycli.files import explained, locked, read_file, write_atomically
from babycli.wording import listed

RESERVED = (DEMO, OWN)


class SetTask(LabelledTask, Protocol):
    """A task that is asked on several sets."""

    def of_set(self, data_set: str) -> LabelledTask:
        """Gives the task for a set."""


@dataclass(frozen=True, slots=True)
class Given:
    """A set as the user gives it to `data link`."""

    path: Path  # a folder, a zip or a single label file
    name: str = ""  # "": after the folder
    images: Path | None = None  # where its pictures lie, if apart
    split: str | None = None


@dataclass(frozen=True, slots=True)
class ReadySet:
    """A set that is ready to be linked."""

    name: str
    images: Path  # the folder or zip that its link is to lead to
    files: tuple[LabelFile, ...]
    remarks: tuple[str, ...]  # what was found and decided, for the user

    @property
    def source(self) -> str:
        return source_of_set(self.name)


@dataclass(frozen=True, slots=True)
class _Read:
    """A label file with its rows, as far as they could be read."""

    file: SetFile
    place: str
    raw: bytes
    rows: tuple[PlacedRow, ...]
    wrong: tuple[str, ...]
    led: Led

    @property
    def plain_rows(self) -> tuple[Row, ...]:
        return tuple(placed.row for placed in self.rows)


def ready_set(root: DatasetRoot, given: Given, tasks: Mapping[str, SetTask], wanted: Collection[str]) -> ReadySet:
    """Reads the label files of a set, and finds where the pictures lie that they name.

    ``tasks`` are all of the benchmark, by name, and ``wanted`` those that are to be linked. Raises DataError for a
    folder without label files and for a broken label file, with its items; UsageError where no name can be made.
    """
    is_file = given.path.is_file() and not is_zip(given.path) and given.path.suffix.lower() == ".json"
    index = root.index_folder if root.path.is_dir() else None
    tree = Tree.open(given.path.parent if is_file else given.path, index)
    found = find_files(tree, given.split, tasks, given.path.name if is_file else "")
    pictures = Tree.open(given.images, index) if given.images is not None else tree
    read = [_read(tree, pictures, file, tasks) for file in found.files]
    name, why = _name_of(given, tree, found, read)
    folder = common_folder(pictures, [of_file.led for of_file in read if not of_file.wrong])
    remarks = [f"{given.path} is linked as the set {name!r}, {why}", *found.remarks]
    chosen = [of_file for of_file in read if of_file.file.task in wanted]
    if not chosen:
        there = listed((of_file.file.task for of_file in read), most=len(tasks))
        raise DataError(f"{given.path} has no label file of {listed(wanted)}", f"--tasks may name {there}")
    files = [_checked(of_file, tasks[of_file.file.task].of_set(name), folder is not None) for of_file in chosen]
    _check_others_stay(root, name, files, _place_of(pictures, folder), tasks)
    remarks += [remark for of_file, file in zip(chosen, files, strict=True) for remark in _ids_remarks(of_file, file)]
    return ReadySet(name, _place_of(pictures, folder), tuple(files), tuple(remarks))


def _place_of(pictures: Tree, folder: str | None) -> Path:
    return pictures.path if pictures.is_zip or not folder else pictures.path / folder


def _read(tree: Tree, pictures: Tree, file: SetFile, tasks: Mapping[str, SetTask]) -> _Read:
    raw = tree.read(file.name)
    task = tasks[file.task]
    parsed = parse_rows(raw, task.label_format, task.columns)
    rows = tuple(placed.row for placed in parsed.rows)
    wrong = parsed.wrong if rows or parsed.wrong else ("it has no items",)
    return _Read(file, tree.store.place(file.name), raw, parsed.rows, wrong, follow(pictures, file.name, rows))


def _name_of(given: Given, tree: Tree, found: SetFiles, read: Sequence[_Read]) -> tuple[str, str]:
    """Gives the name of a set, and why it is that. Raises UsageError."""
    if all(is_of_demo(of_file.file.task, hashlib.sha256(of_file.raw).hexdigest()) for of_file in read):
        return DEMO, "as its label files are the demo's"
    name, why = given.name, "as you say"
    if not name:
        of_split = split_of_folder(tree) or tree.name.lower() == "all"
        folder = tree.path.absolute().parent.name if of_split else tree.name
        name, why = name_of_folder(folder, KNOWN_SETS), "after the name of the folder"
    if not name or name in RESERVED:
        what = f"{name!r} is a name that babycli keeps for itself" if name else f"no name can be made of {given.path}"
        raise UsageError(what, f"choose one:  --devcv NAME={given.path}")
    if found.split != TEST and not name.endswith(f"_{found.split}"):
        name = f"{name}_{found.split}"
    return checked_name(name), why


def _checked(read: _Read, task: LabelledTask, as_it_is: bool) -> LabelFile:
    """Checks a label file whole, with its items. Raises DataError, or ChecksumError for nothing."""
    name, mend = full_name(task), f"mend {read.place}"
    raise_for([Problem(name, ProblemKind.LABELS_MALFORMED, read.place, detail) for detail in read.wrong], mend)
    unsafe = set(read.led.unsafe)
    raise_for(
        [
            Problem(
                *(name, ProblemKind.UNSAFE_NAME, picture),
                f"{'an address, ' * is_address(picture)}in {_item_words(placed)} of {read.place}",
            )
            for placed in read.rows
            for picture in picture_names(placed.row)
            if picture in unsafe
        ],
        f"{mend}: names must be those of files in the folder that is given",
    )
    is_as_it_is = as_it_is or all(path == written for written, path in read.led.paths.items())
    content = read.raw if is_as_it_is else rewritten(read.plain_rows, read.led)
    labels = with_item_problems(parse_labels(content, Path(read.place), task))
    raise_for(labels.problems, mend)
    record = LockedLabels(labels.sha256, read.place, hashlib.sha256(read.raw).hexdigest())
    return LabelFile(labels, content, record)


def _item_words(placed: PlacedRow) -> str:
    item_id = placed.row.get("id")
    return f"{placed.place} ({item_id})" if isinstance(item_id, str) else placed.place


def _ids_remarks(read: _Read, file: LabelFile) -> list[str]:
    """Names ids that several items have, as real files do: their items are told apart by their places."""
    ids = Counter(str(placed.row.get("id")) for placed in read.rows)
    again = [item_id for item_id, n_items in ids.items() if n_items > 1]
    if not again:
        return []
    return [f"{full_name(file.labels.task)}: several items have the same id: {listed(again)}"]


def _check_others_stay(
    root: DatasetRoot, name: str, files: Sequence[LabelFile], images: Path, tasks: Mapping[str, SetTask]
) -> None:
    """Checks that label files of the set that are not replaced keep their pictures. Raises DataError."""
    bound = [task.of_set(name) for task in tasks.values()]
    others = tasks_that_would_lose(root, bound, files, images)
    if others:
        (link,) = bound[0].links.values()
        raise DataError(
            f"{root.path / set_folder(BENCHMARK, name)} has {listed(others)} too, with pictures in "
            f"{root.link_target(link)}",
            f"babycli data unlink --set {name}{root.words}   removes that set; or name the new one:  "
            f"--devcv NAME={images}",
        )


def remove_linked_labels(root: DatasetRoot, label_paths: Sequence[str]) -> dict[str, bool]:
    """Removes those label files that linking has put in their places. Gives by path whether it is gone.

    A file that was changed since, or put there by the user, stays. Raises DataError.
    """
    there = [path for path in label_paths if (root.path / path).is_file()]
    if not there:
        return {}
    with locked(root.path):
        lock = read_lock(root)
        gone = {path: _is_as_linked(root.path / path, lock.labels.get(path)) for path in there}
        for path in there:
            if gone[path]:
                with explained(root.path / path):
                    (root.path / path).unlink()
        left = {path: record for path, record in lock.labels.items() if not gone.get(path)}
        write_atomically(lock_path(root), Lock(lock.links, left).content)
    return gone


def remove_empty_folders(root: DatasetRoot, label_paths: Sequence[str]) -> None:
    """Removes the folders of sets, and that of their benchmark, where nothing is left in them."""
    for label_path in label_paths:
        folder = (root.path / label_path).parent
        with contextlib.suppress(OSError):
            folder.rmdir()
            folder.parent.rmdir()


def _is_as_linked(place: Path, record: LockedLabels | None) -> bool:
    with explained(place):
        return record is not None and hashlib.sha256(read_file(place, MAX_LABEL_BYTES)).hexdigest() == record.sha256
