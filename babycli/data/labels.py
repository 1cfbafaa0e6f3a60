"""Label files: read strictly, checked against what is published of them, and made into items by their task.

Owns the checks of a label file. Never opens an image, and never fetches anything: see label_files.py. Only the task
knows which rows make an item.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from babycli.data.datasets import DEMO, OWN
from babycli.data.manifest import LabelledTask, Published, full_name, is_of_demo, published
from babycli.data.names import is_safe_name
from babycli.data.problems import Problem, ProblemKind
from babycli.data.rows import BOM, ParsedRows, PlacedRow, parse_rows
from babycli.domain import ImageRef, Item, Row
from babycli.errors import TaskError
from babycli.files import in_memory, raise_limit, read_file
from babycli.foreign import explained_for
from babycli.wording import listed

MAX_LABEL_BYTES = 256 << 20  # of a label file: a thousand times the longest one
_MEND = "docs/add_a_task.md has an example"


@dataclass(frozen=True, slots=True)
class Labels:
    """A label file as it is: its rows as far as they could be read, their items, and all that is wrong with it."""

    task: LabelledTask
    path: Path
    sha256: str
    data_set: str | None  # None for a file that differs from the published one
    rows: tuple[Row, ...]
    items: list[Item]
    problems: tuple[Problem, ...]

    def image_names(self, link_path: str) -> list[str]:
        """Lists the distinct names of the pictures that items have behind a link, sorted."""
        sources = {source for source, path in self.task.links.items() if path == link_path}
        return sorted({image.name for item in self.items for image in item.images if image.source in sources})

    def n_complete(self, lacking: Mapping[str, Collection[str]]) -> int:
        """Counts the items that lack no picture; ``lacking`` has the names of those that do, by path of the link."""
        links = self.task.links
        return sum(all(i.name not in lacking.get(links[i.source], ()) for i in item.images) for item in self.items)


def read_labels(path: Path, task: LabelledTask) -> Labels:
    """Reads a task's label file. A missing file or a malformed row is a problem in the result, not an exception."""
    try:
        raw = read_file(path, MAX_LABEL_BYTES)
    except OSError as error:
        raise_limit(error)
        missing = isinstance(error, FileNotFoundError)
        detail = "" if missing else str(error.strerror)
        kind = ProblemKind.LABELS_MISSING if missing else ProblemKind.UNREADABLE
        return Labels(task, path, "", None, (), [], (Problem(full_name(task), kind, str(path), detail),))
    return parse_labels(raw, path, task)


def parse_labels(raw: bytes, path: Path, task: LabelledTask) -> Labels:
    """Reads the bytes of a label file, as read_labels() does; ``path`` is for messages."""
    known, name, sha256 = published(task.name), full_name(task), hashlib.sha256(raw).hexdigest()
    if known is not None:
        data_set = known.data_set_of(sha256)
    else:
        data_set = DEMO if is_of_demo(task.name, sha256) else task.data_set or OWN
    with in_memory(path):
        parsed = parse_rows(raw, task.label_format, task.columns)
        rows = tuple(placed.row for placed in parsed.rows)
        of_items = _item_problems(task, path, rows) if _is_of_users(task) else []
        items = _made_items(task, path, rows) if rows and not of_items else []
    problems = [Problem(name, ProblemKind.LABELS_MALFORMED, str(path), detail) for detail in parsed.wrong]
    if known is not None and data_set is None:
        problems.insert(0, Problem(name, ProblemKind.LABELS_CHECKSUM, str(path), why_not(raw, known)))
        if not parsed.wrong and len(rows) not in (known.n_rows, known.demo_n_rows):
            detail = f"{len(rows)} rows, should be {known.n_rows}"
            problems.append(Problem(name, ProblemKind.LABELS_MALFORMED, str(path), detail))
    elif not rows and not parsed.wrong:
        problems.append(Problem(name, ProblemKind.LABELS_MALFORMED, str(path), "it has no rows"))
    problems += _repeated_ids(task, path, parsed, items)
    problems += _unsafe_names(task, path, parsed, items)
    problems += of_items
    return Labels(task, path, sha256, data_set, rows, items, tuple(problems))


def with_item_problems(labels: Labels) -> Labels:
    """Gives the same labels, with the problems of their items added to those of the file."""
    if _is_of_users(labels.task):
        return labels  # they are there already
    of_items = _item_problems(labels.task, labels.path, labels.rows)
    return replace(labels, problems=(*labels.problems, *of_items))


def _is_of_users(task: LabelledTask) -> bool:
    """Tells whether anybody may have made the items, of any form: items() need not take those that problems() names."""
    return bool(task.data_set) or task.label_format == "jsonl"


def _item_problems(task: LabelledTask, path: Path, rows: Sequence[Row]) -> list[Problem]:
    with in_memory(path), explained_for(task, f"{task.name}: problems() fails for {path}", TaskError):
        details = [str(problem.detail) for problem in (task.problems(rows) if rows else ())]
    return [Problem(full_name(task), ProblemKind.TRIAL, str(path), detail) for detail in details]


def equal_pictures(
    labels: Labels, item: Item, digest_of: Callable[[ImageRef], str | None]
) -> Iterator[tuple[ImageRef, ImageRef]]:
    """Gives pairs of an item's pictures that have the same bytes, where they must differ; None has other bytes."""
    for group in labels.task.distinct(item):
        first: dict[str, ImageRef] = {}
        for image in dict.fromkeys(group):
            digest = digest_of(image)
            other = first.setdefault(digest, image) if digest else image
            if other != image:
                yield other, image


def why_not(raw: bytes, known: Published) -> str:
    """Tells why a label file is not the known one; common causes, such as CRLF line ends, are named."""

    def is_known(candidate: bytes) -> bool:
        return known.data_set_of(hashlib.sha256(candidate).hexdigest()) is not None

    if is_known(raw.replace(b"\r\n", b"\n")):
        return "its line ends are CRLF, should be LF; an editor or git changed them"
    if is_known(raw.removeprefix(BOM)):
        return "it begins with a byte-order mark; an editor or spreadsheet put it there"
    if is_known(raw.removeprefix(BOM).replace(b"\r\n", b"\n")):
        return "it begins with a byte-order mark and its line ends are CRLF; a spreadsheet saved it"
    return f"its SHA-256 is {hashlib.sha256(raw).hexdigest()[:16]}…, should be {known.sha256[:16]}…"


def _made_items(task: LabelledTask, path: Path, rows: Sequence[Row]) -> list[Item]:
    """Lets a task make its items, and checks each of them. Raises TaskError."""
    with explained_for(task, f"{task.name}: items() fails for {path}", TaskError):
        made = task.items(rows)
        items = list(made) if isinstance(made, Iterable) else None  # a generator will do
    if not items:
        raise TaskError(f"{task.name}: items() gives {made!r:.40} for {path}; expected is a list of Item", _MEND)
    item_of_row: dict[int, str] = {}
    for n, item in enumerate(items, 1):
        what = f"{task.name} makes item {n} of {path}"
        if not isinstance(item, Item):
            raise TaskError(f"{what} as a {type(item).__name__}; expected is an Item", _MEND)
        fault, mend = _item_fault(task, item, len(rows))
        if fault:
            raise TaskError(f"{what}, {item.item_id!r:.40}, with {fault}", mend)
        shared = [item_of_row[i] for i in item.row_indices if i in item_of_row]
        if shared:
            raise TaskError(
                f"{what}, {item.item_id!r:.40}, of a row of {shared[0]!r:.40}", "let every row belong to one item only"
            )
        item_of_row |= dict.fromkeys(item.row_indices, item.item_id)
    return items


def _item_fault(task: LabelledTask, item: Item, n_rows: int) -> tuple[str, str]:
    """Tells what is wrong with an item, and how to mend it; "" if nothing is. A task of a user's may make any."""
    if not isinstance(item.item_id, str) or not item.item_id.strip():
        wrong = f"the item_id {item.item_id!r:.40}; expected is a text that is not empty"
        return wrong, 'write  Item(str(row["id"]), ...)'
    indices: object = item.row_indices
    if not (
        isinstance(indices, tuple | list)
        and indices
        and all(type(i) is int and 0 <= i < n_rows for i in indices)
        and len(set(indices)) == len(indices)
    ):
        wrong = f"the row_indices {indices!r:.40}; expected is a tuple of places in the rows, 0 to {n_rows - 1}"
        return wrong, "write  Item(..., (i,), (row,), ...)"
    if not _is_tuple_of(item.rows, Mapping) or len(item.rows) != len(item.row_indices):
        wrong = f"rows of {type(item.rows).__name__}; expected is a tuple with a row for each of its row_indices"
        return wrong, "write  Item(..., (i,), (row,), ...)"
    if not _is_tuple_of(item.images, ImageRef):
        wrong = f"the images {item.images!r:.60}; expected is a tuple of ImageRef"
        return wrong, f"write  (ImageRef({next(iter(task.links), 'saycam')!r}, name),)"
    if not isinstance(item.groups, Mapping) or not all(
        isinstance(part, str) for pair in item.groups.items() for part in pair
    ):
        return f"the groups {item.groups!r:.60}; expected is a text for each kind of group", "write  str(...)"
    return "", ""


def _is_tuple_of(values: object, kind: type) -> bool:
    return isinstance(values, tuple | list) and all(isinstance(value, kind) for value in values)


def _repeated_ids(task: LabelledTask, path: Path, parsed: ParsedRows, items: Sequence[Item]) -> Iterator[Problem]:
    """Gives a problem for each id that several items have: their results could not be told apart."""
    places: dict[str, list[str]] = {}
    for item in items:
        places.setdefault(item.item_id, []).append(parsed.rows[item.row_indices[0]].place)
    for item_id, of_id in places.items():
        if len(of_id) > 1:
            detail = f"{len(of_id)} items have the id {item_id!r}: {listed(of_id)}"
            yield Problem(full_name(task), ProblemKind.LABELS_MALFORMED, str(path), detail)


def _unsafe_names(task: LabelledTask, path: Path, parsed: ParsedRows, items: Sequence[Item]) -> Iterator[Problem]:
    """Gives a problem for each row with a picture whose name may lead out of its folder."""
    for item in items:
        of_item = [parsed.rows[i] for i in item.row_indices]
        names = [image.name for image in item.images]
        for i, image in enumerate(item.images):
            if not isinstance(image.source, str) or image.source not in task.links:
                raise TaskError(
                    f"{task.name} shows pictures of {image.source!r}, and its links have no place for them: item "
                    f"{item.item_id} of {path}",
                    f'add it to the links of the task:  links = {{"{image.source}": "{task.name}/images"}}',
                )
            is_safe = isinstance(image.name, str) and is_safe_name(image.name)  # in JSON it may be anything
            if not is_safe and image.name not in names[:i]:
                for place in _places_in_file(image, of_item):
                    yield Problem(full_name(task), ProblemKind.UNSAFE_NAME, str(image.name), f"in {place} of {path}")


def _places_in_file(image: ImageRef, rows: Sequence[PlacedRow]) -> list[str]:
    """Tells in which rows of an item a picture is named; the first row if none has exactly its name."""
    naming = [placed.place for placed in rows if image.name in placed.row.values()]
    return naming or [placed.place for placed in rows[:1]]
