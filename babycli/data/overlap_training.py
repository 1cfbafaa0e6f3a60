"""Training sets as they are at hand: a folder or zip of pictures, a list of names or of checksums, or training data.

Owns which forms there are, and how each is told. What lies in training data is read by overlap_json.py. Never compares.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from babycli.data.audit import is_named_as_image
from babycli.data.bags import find_bag
from babycli.data.beginnings import ZIP, what_begins
from babycli.data.checksums import ChecksumFile, Checksums, as_on_disk, parse_checksums, read_open_pipe
from babycli.data.finding import check_source
from babycli.data.images import FolderStore, ImageStore, ZipStore, open_archive, open_store
from babycli.data.names import is_safe_name
from babycli.data.other_lists import what_is
from babycli.data.overlap_json import is_json, parse_training_data
from babycli.data.overlap_names import frame_of
from babycli.data.rows import BOM
from babycli.data.zips import is_zip
from babycli.errors import DataError
from babycli.files import raise_limit, read_file
from babycli.wording import shortened

TAKEN = (
    "give a folder or a zip of pictures, a list of their names (one a line), a list of checksums, or training data as "
    "LLaVA has them (JSON, or JSON lines)"
)
_CHECKSUM = re.compile(r"\\?[0-9a-fA-F]{64}[ \t]+\S|(?:SHA256|SHA2-256|BLAKE3) ?\(.+\)[ \t]*=")
_HEAD_BYTES = 512
_LINE_END = re.compile(r"\r\n|\n|\r")
_LISTING = re.compile(  # of ls and tar; with date and time that of unzip, rsync and a bucket
    r"[-dlbcps](?:[-r][-w][-xsStT]){3}[.+@]? |(?:.*[ \t])?\d{2,4}[-/]\d\d[-/]\d{2,4} +\d\d:\d\d(?::\d\d)? +\S"
)
_COMMENTS = ("#", ";")


@dataclass(frozen=True, slots=True)
class Training:
    """One training set, as far as pictures go."""

    path: Path
    form: str  # in words
    names: Sequence[str]  # of pictures
    store: ImageStore | None = None  # that holds pictures of it
    at_hand: Sequence[str] = ()  # the names that are there
    digests: Mapping[str, str] = field(default_factory=dict)  # by name, of a list of checksums
    algorithm: str | None = "sha256"  # of these; None: SHA-256 or BLAKE3
    films: Sequence[str] = ()
    n_entries: int | None = None  # of training data
    notes: tuple[str, ...] = ()  # what of it says nothing of pictures


def read_training(path: Path, index_folder: Path | None) -> Training:
    """Reads what a path leads to. Raises DataError, with the line or entry, for what is no form of a training set."""
    if path.is_dir():
        return _of_store(path, FolderStore(path), "folder")
    if not os.path.exists(path):
        raise DataError(f"there is no {path}", TAKEN)
    if is_zip(path):
        check_source(path, index_folder)
        return _of_store(path, ZipStore(open_archive(path, index_folder), ""), "zip")
    try:
        piped = read_open_pipe(path)
        content = read_file(path) if piped is None else piped
    except OSError as error:
        raise_limit(error)
        raise DataError(f"cannot read {path}: {error.strerror}", TAKEN) from error
    content = as_on_disk(content, str(path)).removeprefix(BOM)
    if is_json(content):
        data = parse_training_data(content, str(path))
        return Training(
            path, data.form, data.names, films=data.films, n_entries=data.n_entries, notes=data.notes, algorithm=None
        )
    what = what_begins(content[:_HEAD_BYTES])
    if what == ZIP:
        check_source(path, index_folder)  # it does not end as one, which this explains
    if what is not None:
        raise DataError(f"{path} is {what}, which is no form of a training set", TAKEN)
    return _of_list(path, content)


def _of_store(path: Path, store: ImageStore, form: str) -> Training:
    every, problems = store.scan()
    names = [name for name in every if is_named_as_image(name)]
    others = [name for name in every if not is_named_as_image(name) and not _is_of_system(name)]
    if not names:
        first = f"; its first file is {shortened(every[0], 80)!r}" if every else ""
        unseen = f"; not looked into: {problems[0].message}" if problems else ""
        raise DataError(f"{path} holds no picture{first}{unseen}", TAKEN)
    notes = [_told(len(others), "file is", "files are", "no picture by name", others)] if others else []
    notes += [f"not looked into: {problem.message}" for problem in problems[:5]]
    notes += [f"and {len(problems) - 5} more places were not looked into"] if len(problems) > 5 else []
    return Training(path, form, names, store, names, notes=tuple(notes))


def with_pictures(training: Training, images: Path, index_folder: Path | None) -> Training:
    """Gives a list or training data with the folder or zip in which its names lie; a folder or zip stays as it is.

    Raises DataError where none of them lies there.
    """
    if training.store is not None:
        return training
    check_source(images, index_folder)
    below = {name: _below(images, name) for name in training.names}
    safe = [name for name in below.values() if is_safe_name(name)]
    store = open_store(images, safe, index_folder)
    at_hand = [name for name in dict.fromkeys(safe) if store.problem(name) is None]
    if not at_hand:
        first = next(iter(training.names), "")
        raise DataError(
            f"{images} has none of the pictures that {training.path} names; the first is {first!r:.80}",
            "give the folder in which these names begin, or the one that absolute names begin with",
        )
    there = frozenset(at_hand)
    away = [name for name in training.names if below[name] not in there]
    notes = [_told(len(away), "picture is", "pictures are", f"not in {images}", away)] if away else []
    return replace(training, store=store, at_hand=at_hand, notes=(*training.notes, *notes))


def _below(images: Path, name: str) -> str:
    """Gives the name that a picture has in a folder: of an absolute one that begins with the folder, the rest."""
    name = name.removeprefix("file://")
    return name.removeprefix(f"{os.path.abspath(images).rstrip('/')}/") if name.startswith("/") else name


def _is_of_system(name: str) -> bool:
    """Tells whether a file is one that macOS or Windows leaves beside pictures."""
    last = name.rpartition("/")[2]
    return last.startswith("._") or last in (".DS_Store", "Thumbs.db", "desktop.ini")


def _of_list(path: Path, content: bytes) -> Training:
    text = os.fsdecode(content)
    lines = text.split("\0") if text.endswith("\0") else _LINE_END.split(text)
    said = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    said = [(number, line) for number, line in said if line and not line.startswith(_COMMENTS)]
    if not said:
        raise DataError(f"{path} is empty", TAKEN)
    first = said[0][1]
    if find_bag(path) is not None:
        bag = ChecksumFile.open(path)
        return _of_checksums(path, bag.checksums, "data/")
    if _CHECKSUM.match(first):
        return _of_checksums(path, parse_checksums(content, str(path)), "")
    what = what_is(first)
    if what:
        raise DataError(f"{path}, line {said[0][0]}: {what}, which is no form of a training set", TAKEN)
    return _of_names(path, said)


def _of_checksums(path: Path, checksums: Checksums, prefix: str) -> Training:
    digests = {name: digest for name, digest in checksums.by_name.items() if is_named_as_image(name)}
    others = [name for name in checksums.by_name if name not in digests]
    if not digests:
        raise DataError(f"{path} names no picture; its first name is {next(iter(checksums.by_name), '')!r:.80}", TAKEN)
    notes = [_told(len(others), "name is", "names are", "no picture's", others)] if others else []
    names = [name.removeprefix(prefix) for name in digests]
    return Training(
        path,
        "list of checksums",
        names,
        digests=dict(zip(names, digests.values(), strict=True)),
        algorithm=checksums.algorithm,
        notes=tuple(notes),
    )


def _of_names(path: Path, said: Sequence[tuple[int, str]]) -> Training:
    tabbed = next(((number, line) for number, line in said if "\t" in line or _has_more(line)), None)
    n_commas = sum("," in line for _, line in said)
    if tabbed is not None or 2 * n_commas > len(said):
        number, line = tabbed or next((number, line) for number, line in said if "," in line)
        raise DataError(
            f"{path}, line {number}: this is a table, not a name: {shortened(line, 80)!r}",
            _names_alone(path, [line for _, line in said]),
        )
    names = list(dict.fromkeys(line for _, line in said if _is_picture(line)))
    if not names:
        number, line = said[0]
        raise DataError(f"{path}, line {number}: {shortened(line, 80)!r} is no name of a picture", TAKEN)
    others = [f"line {number} {shortened(line, 60)!r}" for number, line in said if not _is_picture(line)]
    notes = (_told(len(others), "line is", "lines are", "no name of a picture", others),) if others else ()
    return Training(path, "list of names", names, algorithm=None, notes=notes)


def _names_alone(path: Path, lines: Sequence[str]) -> str:
    """Says how the names of a table come into a list of their own."""
    for mark, how in (("\t", "cut -f{n}"), (",", "cut -d, -f{n}")):
        for line in lines:
            cells = line.split(mark)
            n = next((n for n, cell in enumerate(cells, 1) if len(cells) > 1 and _is_picture(cell.strip())), None)
            if n is not None:
                return f"give the names alone:  {how.format(n=n)} {shlex.quote(str(path))} > names.txt"
    return "give the names alone, one a line, of a folder:  ls -1 FOLDER > names.txt"


def _has_more(line: str) -> bool:
    """Tells whether a frame, or what `ls -l` writes before a name, shows that a line has more than a name in it."""
    last = line.rpartition(" ")[2]
    return _LISTING.match(line) is not None or (last != line and "/" not in line and frame_of(last) is not None)


def _is_picture(name: str) -> bool:
    return is_named_as_image(name) or frame_of(name) is not None


def _told(n: int, one: str, many: str, what: str, things: Iterable[str]) -> str:
    return (
        f"{n:,} {one if n == 1 else many} {what} ({'' if n == 1 else 'the first: '}{shortened(next(iter(things)), 80)})"
    )
