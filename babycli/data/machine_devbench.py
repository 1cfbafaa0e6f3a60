"""Machine-DevBench as its authors publish it, made ready to be linked: a label file for each task of its manifests.

    Lexical/Nouns/manifest_nouns_realistic.json                             one for each kind of word and style
    Grammatical/gram_negation/manifest_grammatical_negation_cartoon.json    one for each kind of sentence and style

Owns finding and checking these manifests, and the label files that are made of them: the items of all styles in one
list, each with its style, and the paths of pictures as they lead from the folder that holds Lexical and Grammatical.
Never puts a file in its place: linking.py does, when the pictures have been read.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from babycli.data.labels import parse_labels, with_item_problems
from babycli.data.linking import LabelFile, tasks_that_would_lose
from babycli.data.lock import LockedLabels
from babycli.data.manifest import LabelledTask, full_name
from babycli.data.names import is_safe_name
from babycli.data.problems import Problem, ProblemKind, raise_for
from babycli.data.root import DatasetRoot
from babycli.data.rows import BOM
from babycli.data.set_files import Tree
from babycli.data.set_pictures import is_address
from babycli.data.sources.machine_devbench import MACHINE_DEVBENCH
from babycli.domain import Row
from babycli.errors import DataError
from babycli.typed import TOO_DEEP, is_deep
from babycli.wording import each_key_once, first_line, listed

_TOPS = ("Lexical", "Grammatical")
_KEYS = ("description", "category", "style", "metadata", "items")
_MANIFEST = re.compile(rf"(?:(?P<base>.+)/)?(?P<name>(?:{'|'.join(_TOPS)})/[^/]+/manifest_[^/]+\.json)")
_STYLE = "style"


class ManifestTask(LabelledTask, Protocol):
    """A task of Machine-DevBench."""

    @property
    def manifest(self) -> str:
        """The path of its manifests, with {style} for the style."""

    @property
    def pictures(self) -> Sequence[str]:
        """The keys under which an item names its pictures."""

    def unread(self, row: Row) -> list[str]:
        """Gives the keys of an item that nothing reads."""


@dataclass(frozen=True, slots=True)
class ReadyBenchmark:
    """The benchmark, ready to be linked."""

    images: Path  # the folder or zip that its link is to lead to
    files: tuple[LabelFile, ...]
    remarks: tuple[str, ...]  # what was found and left out, for the user
    source: str = MACHINE_DEVBENCH


@dataclass(frozen=True, slots=True)
class _Manifest:
    """A manifest of a task and style."""

    style: str
    name: str  # from the folder that holds Lexical and Grammatical
    place: str
    raw: bytes


def ready_benchmark(
    root: DatasetRoot, given: Path, tasks: Mapping[str, ManifestTask], styles: Sequence[str], wanted: Sequence[str]
) -> ReadyBenchmark:
    """Reads the manifests in a folder or zip, and makes a label file of those of each wanted task.

    ``tasks`` are all of the benchmark, by name. Raises DataError for a folder without manifests, and for one that is
    broken, with its items.
    """
    tree = Tree.open(given, root.index_folder if root.path.is_dir() else None)
    base, names, closed = _manifests_in(tree)
    remarks = [f"not looked into: {place}" for place in closed]
    found: dict[str, list[_Manifest]] = {}
    known = {task.manifest.format(style=style): (task.name, style) for task in tasks.values() for style in styles}
    for name in names:
        if name in known:
            of_task, style = known[name]
            path = posixpath.join(base, name)
            found.setdefault(of_task, []).append(_Manifest(style, name, tree.store.place(path), tree.read(path)))
    unknown = [name for name in names if name not in known]
    if unknown:
        remarks.append(f"not read, as no task has a manifest of that name: {listed(unknown)}")
    if not found:
        raise _none_found(tree, remarks)
    chosen = [task for task in tasks.values() if task.name in found and task.name in wanted]
    if not chosen:
        names = [name for name in tasks if name in found]
        may = f"--tasks may name {listed(names, most=len(tasks))}"
        raise DataError(f"{given} has no manifest of {listed(wanted)}", may)
    for task in chosen:
        there = [manifest.style for manifest in found[task.name]]
        lacking = [style for style in styles if style not in there]
        if lacking:
            remarks.append(f"{task.name} has no manifest of the style {listed(lacking)}: all its trials are {there[0]}")
    absent = [name for name in tasks if name not in found]
    if absent:
        remarks.append(f"no manifest of {listed(absent, most=len(tasks))}: left out")
    in_order = {
        task.name: sorted(found[task.name], key=lambda manifest: styles.index(manifest.style)) for task in chosen
    }
    files = [_label_file(task, in_order[task.name], remarks) for task in chosen]
    images = tree.path if tree.is_zip or not base else tree.path / base
    _check_others_stay(root, files, images, list(tasks.values()))
    return ReadyBenchmark(images, tuple(files), tuple(remarks))


def _manifests_in(tree: Tree) -> tuple[str, list[str], list[str]]:
    """Gives the folder that holds Lexical and Grammatical, the manifests from there, and what could not be looked into.

    Raises DataError where there are several such folders.
    """
    names, closed = tree.store.scan()
    by_base: dict[str, list[str]] = {}
    for name in names:
        path = _MANIFEST.fullmatch(name)
        hidden = any(part.startswith((".", "__MACOSX")) for part in name.split("/"))
        if path is not None and not hidden:
            by_base.setdefault(path["base"] or "", []).append(path["name"])
    if len(by_base) > 1:
        places = [tree.store.place(base) if base else str(tree.path) for base in by_base]
        raise DataError(
            f"{tree.path} holds Machine-DevBench several times: in {listed(places)}", "give the folder that is meant"
        )
    base, found = next(iter(by_base.items()), ("", []))
    return base, found, [f"{problem.path} ({problem.detail})" for problem in closed]


def _none_found(tree: Tree, there_are: Sequence[str]) -> DataError:
    there = f"; {'; '.join(there_are)}" if there_are else ""
    return DataError(
        f"{tree.path} has no manifest of Machine-DevBench: looked for Lexical/Nouns/manifest_nouns_realistic.json and "
        f"the like, in it and in the folders in it{there}",
        "give the folder that MachineDevBench.tar holds, unpacked",
    )


def _label_file(task: ManifestTask, manifests: Sequence[_Manifest], remarks: list[str]) -> LabelFile:
    """Makes the label file of a task, and adds to the remarks which keys nothing reads.

    Raises DataError for a broken manifest, with its items.
    """
    places = [manifest.place for manifest in manifests]
    rows: list[dict[str, Any]] = []
    places_of: list[str] = []
    problems: list[Problem] = []
    for manifest in manifests:
        items, wrong, others = _items_of(manifest)
        if others:
            remarks.append(f"keys of {manifest.place} that nothing reads: {listed(others)}")
        problems += [Problem(full_name(task), ProblemKind.LABELS_MALFORMED, manifest.place, what) for what in wrong]
        for n, item in enumerate(items, 1):
            place = f"item {n} of {manifest.place}"
            if not isinstance(item, dict):
                what = f"is {json.dumps(item)[:40]}, should be an object"
                problems.append(Problem(full_name(task), ProblemKind.LABELS_MALFORMED, place, what))
                continue
            if _is_halved(item):
                what = "has half of a character, as \\ud800 is"
                problems.append(Problem(full_name(task), ProblemKind.LABELS_MALFORMED, place, what))
            if item.get(_STYLE, manifest.style) != manifest.style:
                what = "has a style of its own; that of the manifest is that of all of its items"
                problems.append(Problem(full_name(task), ProblemKind.LABELS_MALFORMED, place, what))
            row, unsafe = _row(task, item, manifest)
            problems += [Problem(full_name(task), ProblemKind.UNSAFE_NAME, name, f"in {place}") for name in unsafe]
            rows.append(row)
            places_of.append(place)
    problems += [
        Problem(full_name(task), ProblemKind.TRIAL, places_of[int(found.item_id)], found.what)
        for found in _faults(task, rows)
    ]
    if problems:
        told = [f"{problem.subject} {problem.detail}" for problem in problems]
        broken = [place for place in places if any(place in each for each in told)]
        is_unsafe = any(problem.kind == ProblemKind.UNSAFE_NAME for problem in problems)
        names = "; names of pictures must be those of files in the folder that is given" if is_unsafe else ""
        raise_for(problems, f"put {' and '.join(broken)} right, or get the benchmark again{names}")
    unread = dict.fromkeys(key for row in rows for key in task.unread(row))
    if unread:
        remarks.append(f"{task.name}: keys of items that nothing reads: {listed(unread)}")
    content = json.dumps(rows, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass") + b"\n"
    origin = " and ".join(places)
    labels = with_item_problems(parse_labels(content, Path(origin), task))
    raise_for(labels.problems, f"put {origin} right, or get the benchmark again")
    whole = hashlib.sha256(b"".join(hashlib.sha256(manifest.raw).digest() for manifest in manifests))
    return LabelFile(labels, content, LockedLabels(labels.sha256, origin, whole.hexdigest()))


@dataclass(frozen=True, slots=True)
class _Fault:
    item_id: str
    what: str


def _faults(task: ManifestTask, rows: Sequence[dict[str, Any]]) -> list[_Fault]:
    """Finds the faults of items, as the task tells them, without its own count of the item, which is of all styles."""
    found = []
    for i, row in enumerate(rows):
        for problem in task.problems([row]):
            what = problem.detail.partition(", ")[2]
            found.append(_Fault(str(i), what))
    return found


def _items_of(manifest: _Manifest) -> tuple[list[Any], list[str], list[str]]:
    """Reads the items of a manifest, and finds what is wrong with it as a whole, and its keys that nothing reads."""
    try:
        raw = manifest.raw.removeprefix(BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        return [], [f"not UTF-8 at byte {error.start}"], []
    try:
        read = json.loads(raw, object_pairs_hook=each_key_once, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        return [], [f"{error.msg} in line {error.lineno}, column {error.colno}"], []
    except RecursionError:
        return [], [TOO_DEEP], []
    except ValueError as error:
        return [], [first_line(error)], []
    if is_deep(read):
        return [], [TOO_DEEP], []
    if not isinstance(read, dict):
        return [], [f"it is {json.dumps(read)[:40]}, should be an object with items"], []
    wrong = []
    others = [key for key in read if key not in _KEYS]
    if read.get(_STYLE, manifest.style) != manifest.style:
        wrong.append(f"its style is {read[_STYLE]!r:.40}, and its name says {manifest.style}")
    items = read.get("items")
    if not isinstance(items, list):
        wrong.append("it has no list of items" if "items" not in read else f"its items are {json.dumps(items)[:40]}")
        return [], wrong, others
    return items, wrong if items else [*wrong, "it has no items"], others


def _is_halved(item: Mapping[str, Any]) -> bool:
    """Tells whether an item has half of a character, which no label file can hold."""
    try:
        json.dumps(item, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number that JSON knows")


def _row(task: ManifestTask, item: Mapping[str, Any], manifest: _Manifest) -> tuple[dict[str, Any], list[str]]:
    """Makes the row of an item: its style, and its pictures as they lead from the outer folder; and unsafe names."""
    row: dict[str, Any] = {_STYLE: manifest.style, **{key: value for key, value in item.items() if key != _STYLE}}
    unsafe = []
    for key in task.pictures:
        name = item.get(key)
        if not isinstance(name, str) or not name.strip():
            continue  # the task names it
        path = posixpath.normpath(posixpath.join(posixpath.dirname(manifest.name), name))
        if name.startswith("/") or "\\" in name or is_address(name) or not is_safe_name(path) or path == ".":
            unsafe.append(name)
        row[key] = path
    return row, unsafe


def _check_others_stay(
    root: DatasetRoot, files: Sequence[LabelFile], images: Path, tasks: Sequence[ManifestTask]
) -> None:
    """Checks that label files that are not replaced keep their pictures. Raises DataError."""
    others = tasks_that_would_lose(root, tasks, files, images)
    if others:
        (link,) = tasks[0].links.values()
        raise DataError(
            f"{root.path / MACHINE_DEVBENCH} has {listed(others, most=len(tasks))} too, with pictures in "
            f"{root.link_target(link)}",
            f"babycli data unlink --tasks {','.join(others)}{root.words}   removes them first",
        )
