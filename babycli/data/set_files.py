"""The label files of a set in a folder or zip that a user has got: which file is of which task, and of which split.

Owns the names under which label files of DevCV are published. Never looks into a file, except to tell whether two are
the same, and never into hidden folders.

    pv_test.json, pv_val.json               the toolbox: a name and a split
    picture_vocabulary_v2/dataset_seen.json the organizers' held-out files have names of their own
    test/count/data.json                    the tutorial: folders name task and split
    baby_count.json, count.json             a task's own name, for any split
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from babycli.data.finding import check_source
from babycli.data.images import FolderStore, ImageError, ImageStore, ZipStore, open_archive
from babycli.data.labels import MAX_LABEL_BYTES
from babycli.data.problems import ProblemKind
from babycli.errors import DataError
from babycli.files import raise_limit, read_file
from babycli.wording import all_of, listed

TEST = "test"
_SAME_SPLIT = {"valid": "val", "validation": "val", "dev": "val", "training": "train", "testing": TEST}
_SPLITS = {TEST, "val", "train", *_SAME_SPLIT}
_ALL = "all"  # a folder of it holds every split there is
_IN_FOLDER = {"data", "dataset_seen"}  # names of files whose folder names the task
_NAMES = {
    "baby_pv": ("pv", "picture_vocabulary", "picture_vocabulary_v2", "picture_vocab", "picture_vocab_selected"),
    "baby_localize": ("localize", "localization", "localize_4_crop_instructions_abc"),
    "baby_leftright": ("leftright", "left_right", "interleaved_leftright_instructions_abc"),
    "baby_spatialdetails": (
        *("spatialdetails", "spatial_details", "spatial"),
        "abc_interleaved_spatialdetails_instructions",
    ),
    "baby_vdr_binary": ("vdr_binary", "binary_dataset", "vdr"),
    "baby_vdr_open": ("vdr_open", "open_dataset"),
    "baby_compare_real": ("compare_real", "whohasmore_naturalistic", "whohasmore_real", "who_has_more"),
    "baby_compare_synthetic": ("compare_synthetic", "whohasmore_synthetic", "compare_synthetic_instructions_abc"),
    "baby_count": ("count", "counting", "count_v2"),
    "baby_memory": ("memory", "memory_task"),
    "baby_subitize": ("subitize", "subitizing"),
}
_TASK_OF = {name: task for task, names in _NAMES.items() for name in names}
_MEMORY = re.compile(r"memory_task_\w+")  # memory_task_test_base5_p5_250: how its items were made

# The originals of the NIH Baby Toolbox have names that do not say which of two tasks they are.
_WHY = {
    "who_has_more": "it asks as this task does, without the word Answer",
    "spatial": "it asks which picture contains exactly this object",
    "vdr": "it asks for one of two directions",
}
_WHOLE, _SELECTED = "picture_vocab", "picture_vocab_selected"  # all words of the NIH toolbox, and some of them


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder or zip of the user's, in which names are relative to its outermost folder."""

    path: Path
    store: ImageStore

    @classmethod
    def open(cls, path: Path, index_folder: Path | None) -> Tree:
        """Opens a folder or zip. Raises DataError."""
        check_source(path, index_folder)
        if path.is_dir():
            return cls(path, FolderStore(path))
        return cls(path, ZipStore(open_archive(path, index_folder), ""))

    @property
    def is_zip(self) -> bool:
        return isinstance(self.store, ZipStore)

    @property
    def name(self) -> str:
        """The name of the folder, or that of the zip without its suffix."""
        whole = Path(os.path.abspath(self.path))  # of "." and "..", without following links
        return whole.stem if self.is_zip else whole.name

    def has(self, name: str) -> bool:
        """Tells whether there is anything under a name, sound or not."""
        problem = self.store.problem(name)
        return problem is None or problem.kind != ProblemKind.MISSING

    def read(self, name: str) -> bytes:
        """Reads a label file. Raises DataError."""
        try:
            if isinstance(self.store, ZipStore):
                return self.store.read(name)
            return read_file(self.path / name, MAX_LABEL_BYTES)
        except ImageError as error:
            raise DataError(
                f"cannot read {error.path}: {error.detail or error.kind}",
                "unpack the zip with another program, and give the folder",
            ) from error
        except OSError as error:
            raise_limit(error)
            raise DataError(f"cannot read {self.path / name}: {error.strerror}", "mend that file") from error


@dataclass(frozen=True, slots=True)
class SetFile:
    """A label file of a task."""

    task: str
    name: str  # inside the tree
    called: str  # the name that told the task: "pv", "picture_vocab_selected"
    split: str  # "" for any


@dataclass(frozen=True, slots=True)
class SetFiles:
    """The label files of one split, one for each task, and what is said of the others."""

    split: str
    files: tuple[SetFile, ...]
    remarks: tuple[str, ...]


def split_of_folder(tree: Tree) -> str:
    """Gives the split that the given folder's own name says; "" for none."""
    return _as_split(tree.name.lower(), _SPLITS)


def find_files(tree: Tree, split: str | None, tasks: Collection[str], only: str = "") -> SetFiles:
    """Finds the label file of each task, of one split: the given one, else that of the folder's name, else test.

    ``only`` is the one file that the user named. Raises DataError where there is none, or two of which nothing tells
    which is meant.
    """
    wanted = split.lower() if split is not None else split_of_folder(tree) or TEST
    wanted = _SAME_SPLIT.get(wanted, wanted)
    names = [only] if only else _json_names(tree)
    read = {name: _file_of(name, tree.name, wanted, tasks) for name in names}
    known = [file for file in read.values() if file is not None]
    of_split = [file for file in known if file.split in ("", wanted) or only]
    others = sorted({file.split for file in known if file not in of_split})
    if not of_split:
        raise _nothing_found(tree, wanted, others, names)
    remarks: list[str] = []
    if others:
        n_others = sum(file not in of_split for file in known)
        remarks.append(f"{n_others} label files of {all_of(others)} in {tree.path} are left out (--split takes them)")
    unknown = [name for name, file in read.items() if file is None]
    if unknown:
        remarks.append(f"not read, as no task has a label file of that name: {listed(unknown)}")
    files = []
    for task in tasks:
        of_task = [file for file in of_split if file.task == task]
        if of_task:
            files.append(_chosen(tree, of_task, remarks))
    remarks += [f"{file.name} is read as {file.task}: {_WHY[file.called]}" for file in files if file.called in _WHY]
    return SetFiles(wanted, tuple(files), tuple(remarks))


def _json_names(tree: Tree) -> list[str]:
    names, _ = tree.store.scan()
    return [name for name in names if _is_visible_json(name)]


def _is_visible_json(name: str) -> bool:
    return name.lower().endswith(".json") and not any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def is_label_file(name: str, inside: str, tasks: Collection[str]) -> bool:
    """Tells whether a label file of a task may have this name in a folder called ``inside``."""
    return _is_visible_json(name) and _file_of(name, inside, TEST, tasks) is not None


def _file_of(name: str, inside: str, wanted: str, tasks: Collection[str]) -> SetFile | None:
    """Tells by its name of which task and split a file is; None for a name that no label file has."""
    folders = [_normal(part) for part in (inside, *PurePosixPath(name).parts[:-1])]
    splits = {*_SPLITS, wanted}
    words = _normal(PurePosixPath(name).name[: -len(".json")]).split("_")
    split = next((_as_split(word, splits) for word in words if word in splits), "")
    called = "_".join(word for word in words if word not in splits)
    if called in {*_IN_FOLDER, ""}:
        called = next((folder for folder in reversed(folders) if folder not in {*splits, _ALL}), "")
    split = split or next((_as_split(folder, splits) for folder in reversed(folders) if folder in splits), "")
    task = called if called in tasks else _TASK_OF.get(called, "baby_memory" if _MEMORY.fullmatch(called) else "")
    return SetFile(task, name, called, split) if task in tasks else None


def _normal(text: str) -> str:
    return re.sub(r"[-\s]+", "_", text.lower())


def _as_split(word: str, splits: Collection[str]) -> str:
    return _SAME_SPLIT.get(word, word) if word in splits else ""


def _chosen(tree: Tree, files: Sequence[SetFile], remarks: list[str]) -> SetFile:
    """Chooses one of the files of a task, and notes why. Raises DataError where nothing decides."""
    saying = [file for file in files if file.split]
    if saying and len(saying) < len(files):
        rest = [file.name for file in files if file not in saying]
        remarks.append(f"{listed(file.name for file in saying)} is of the split; left out: {listed(rest)}")
        files = saying
    if {file.called for file in files} == {_WHOLE, _SELECTED}:
        rest = [file.name for file in files if file.called == _SELECTED]
        files = [file for file in files if file.called == _WHOLE]
        remarks.append(f"{files[0].name} has all words; left out, and to be linked as a set of its own: {listed(rest)}")
    digests = {hashlib.sha256(tree.read(file.name)).hexdigest() for file in files} if len(files) > 1 else {""}
    if len(digests) > 1:
        raise DataError(
            f"{tree.path} has {len(files)} label files of {files[0].task}: {listed(file.name for file in files)}",
            f"give one of them alone, with the folder of its pictures:  --devcv SET={tree.path / files[0].name}",
        )
    if len(files) > 1:
        remarks.append(f"the same label file twice: {listed(file.name for file in files)}")
    return files[0]


def _nothing_found(tree: Tree, split: str, others: Sequence[str], names: Sequence[str]) -> DataError:
    if others:
        return DataError(
            f"{tree.path} has no label files of the split {split!r}, but of {all_of(others)}",
            f"add  --split {others[0]}",
        )
    there = f"; its .json files are {listed(names)}" if names else ""
    return DataError(
        f"{tree.path} has no label file of DevCV: looked for pv_test.json, count/data.json and the like{there}",
        "give the folder or zip that holds the label files",
    )
