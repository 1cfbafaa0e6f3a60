"""Trials in other forms, turned into lines of a trials file: a table of pictures, LEVANTE's lines, DevBench's manifest.

Owns these forms. What is turned is checked as any trials file is, and a fault names the line of the file it came from.
Never looks at a picture.

    table      image,options,answer                   a.jpg,ball|cup,ball
    levante    {"trial_id": .., "prompt": "..<image1>..", "option_labels": ["A", ..], "correct_label": "A", ..}
    devbench   text1,image1,image2,...                the first picture is the right one; with text2, pairs

Sources: langcog/levante-bench, src/levante_bench/tasks; alvinwmtan/dev-bench, data_handling.py @ 191438c.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babycli.data.names import is_safe_name
from babycli.data.problems import Problem, ProblemKind, raise_for
from babycli.data.rows import BOM, PlacedRow, parse_rows
from babycli.domain import IMAGE_PLACE, Row
from babycli.errors import DataError
from babycli.files import in_memory
from babycli.tasks.trials.files import content_of
from babycli.tasks.trials.task import read_trials
from babycli.tasks.trials.trial import TrialError, is_picture_name

_BAR = "|"
_OF_TABLE = {  # the key of a trial: the names that its column may have
    "id": ("id", "trial_id", "trial"),
    "images": ("image", "images"),
    "options": ("options",),
    "answer": ("answer",),
    "context": ("context", "prompt", "question"),
    "group": ("group", "category"),
    "cluster": ("cluster", "session"),
    "metric": ("metric",),
}
_INDEX = re.compile(r"[0-9]{1,9}")
_PLACE = re.compile(r"<image(\d*)>")
_DEVBENCH = re.compile(r"(image|text)([1-9]\d?)")
_LEVANTE = (
    *("trial_id", "item_uid", "trial_type", "prompt", "options", "option_labels", "correct_label"),
    *("context_image_paths", "option_image_paths", "context_type", "option_type", "option_order_seed", "chance_level"),
)


@dataclass(frozen=True, slots=True)
class Converted:
    """The lines of a trials file, and what of the other file they do not hold."""

    lines: tuple[Mapping[str, Any], ...]
    remarks: tuple[str, ...]


_Line = Callable[[Row, int], Mapping[str, Any]]  # takes a row and its number, from 1: the id of one that has none


def from_table(path: Path, images: Path) -> Converted:
    """Turns a CSV file with a picture, options and the answer on each line. Raises DataError."""
    rows = _rows(path, "csv")
    columns = list(rows[0].row)
    known = {key: [c for c in columns if c.strip().casefold() in names] for key, names in _OF_TABLE.items()}
    for key in ("options", "answer"):
        if not known[key] and not known["metric"]:
            is_other = len(columns) == 1 and any(mark in columns[0] for mark in ";\t")
            raise DataError(
                f"{path} has no column {key!r}; its columns are {', '.join(columns)}",
                "save it with commas between the columns" if is_other else "name that column so",
            )
    for key, names in known.items():
        if len(names) > 1:
            raise DataError(f"{path} has two columns for {key}: {' and '.join(names)}", "leave out one of them")
    column_of = {key: names[0] for key, names in known.items() if names}
    others = [name for name in columns if name not in column_of.values()]

    def line(row: Row, n: int) -> Mapping[str, Any]:
        cells = {key: row[name].strip() for key, name in column_of.items()}
        written: dict[str, Any] = {"id": cells.get("id") or str(n)}
        for key in ("context", "group", "cluster", "metric"):
            if cells.get(key):
                written[key] = cells[key]
        if cells.get("images"):
            written["images"] = [_relative(name, images) for name in _parts(cells["images"])]
        options = _parts(cells.get("options", ""))
        if options:
            are_pictures = all(map(is_picture_name, options))
            written["options"] = [{"image": _relative(o, images)} for o in options] if are_pictures else options
        are_indices = bool(options) and not any(map(_INDEX.fullmatch, options))
        answers: list[Any] = [
            int(part) if are_indices and _INDEX.fullmatch(part) else part for part in _parts(cells.get("answer", ""))
        ]
        answers = [_relative(a, images) if isinstance(a, str) and is_picture_name(a) else a for a in answers]
        if answers:
            written["answer"] = answers[0] if len(answers) == 1 else answers
        return written | ({"meta": {name: row[name] for name in others}} if others else {})

    return _converted(path, rows, line, _kept("columns", others))


def from_levante(path: Path, images: Path) -> Converted:
    """Turns LEVANTE's trial lines, JSON or JSON Lines; the options are its labels. Raises DataError.

    Each ``<imageN>`` of its prompt is a picture: 0 the first of the context, 1 and on those of the options. Trials
    without labels, as its sliders, or without pictures are left out and counted.
    """
    rows = _rows(path, "jsonl", ("trial_id", "prompt", "option_labels", "correct_label"))
    sliders = [placed for placed in rows if _is_slider(placed.row)]
    blind = [placed for placed in rows if not _is_slider(placed.row) and not _shows(placed.row)]
    rows = [placed for placed in rows if not _is_slider(placed.row) and _shows(placed.row)]
    others = dict.fromkeys(key for placed in rows for key in placed.row if key not in _LEVANTE)

    def line(row: Row, n: int) -> Mapping[str, Any]:
        context = _names(row, "context_image_paths", images)
        of_options = _names(row, "option_image_paths", images)
        prompt, shown = _in_places(row["prompt"], context, of_options, row["option_labels"])
        meta = {key: row[key] for key in row if key not in ("trial_id", "prompt", "option_labels", "correct_label")}
        for key in ("context_image_paths", "option_image_paths"):
            meta.pop(key, None)
        written: dict[str, Any] = {"id": row["trial_id"], "context": prompt, "images": shown}
        written |= {"options": row["option_labels"], "answer": row["correct_label"]}
        if all(placed.row.get("trial_type") for placed in rows):
            written["group"] = row["trial_type"]
        return written | ({"meta": meta} if meta else {})

    told = [*_kept("keys", list(others))]
    if blind:
        told.append(f"trials without pictures are left out: {len(blind)}, the first on {blind[0].place}")
    if sliders:
        of = ", ".join(dict.fromkeys(str(placed.row["answer_format"]) for placed in sliders))
        told.append(f"trials without options ({of}) are left out: {len(sliders)}, the first on {sliders[0].place}")
    return _converted(path, rows, line, told)


def from_devbench(path: Path, images: Path) -> Converted:
    """Turns a manifest of DevBench: a text and pictures, of which the first fits, or two of each. Raises DataError."""
    rows = _rows(path, "csv", filled=("text1", "image1"))
    columns = [name for name in rows[0].row if _DEVBENCH.fullmatch(name)]
    columns.sort(key=lambda name: int(re.sub(r"\D", "", name)))
    texts = [name for name in columns if name.startswith("text")]
    pictures = [name for name in columns if name.startswith("image")]
    others = [name for name in rows[0].row if name not in columns]
    if len(texts) > 2 or len(pictures) < 2 or (len(texts) == 2 and len(pictures) != 2):
        raise DataError(
            f"{path} has {len(texts)} columns of texts and {len(pictures)} of pictures",
            "babycli knows one text with two or more pictures, and two of each",
        )

    def line(row: Row, n: int) -> Mapping[str, Any]:
        there = [name for name in pictures if row[name].strip()]
        names = [_relative(row[name].strip(), images) for name in there]
        written: dict[str, Any] = {"id": str(n)}
        if len(texts) == 2:
            written |= {"images": names, "options": [row[name] for name in texts], "metric": "pairs"}
        else:
            written |= {"options": [{"image": name, "text": row["text1"]} for name in names], "answer": 0}
        return written | ({"meta": {name: row[name] for name in others}} if others else {})

    return _converted(path, rows, line, _kept("columns", others))


def _kept(what: str, others: Sequence[str]) -> tuple[str, ...]:
    names = ", ".join(name or "one without a name" for name in others)
    return (f"{what} kept as meta, which nothing reads: {names}",) if others else ()


def _is_slider(row: Row) -> bool:
    return not row["option_labels"] and bool(row.get("answer_format"))


def _shows(row: Row) -> bool:
    return bool(row.get("context_image_paths") or row.get("option_image_paths") or _PLACE.search(str(row["prompt"])))


def _rows(path: Path, label_format: str, columns: Sequence[str] = (), filled: Sequence[str] = ()) -> list[PlacedRow]:
    """Reads the rows of a file, which have the columns; a file of JSON may be a list or lines. Raises DataError."""
    raw = content_of(path)
    if label_format == "jsonl" and raw.removeprefix(BOM).lstrip()[:1] == b"[":
        label_format = "json"
    if label_format == "csv" and raw.removeprefix(BOM)[:4].lower() == b"sep=":
        raise DataError(f"{path} begins with Excel's line sep=", "leave it out, and put commas between the columns")
    with in_memory(path):
        parsed = parse_rows(raw, label_format, filled)
        lacking = [
            f"{placed.place} lacks {', '.join(name for name in columns if name not in placed.row)}"
            for placed in parsed.rows
            if any(name not in placed.row for name in columns)
        ]
    wrong = [*parsed.wrong, *lacking] or ([] if parsed.rows else ["it has no trials"])
    _raise(path, wrong)
    return list(parsed.rows)


def _converted(path: Path, rows: Sequence[PlacedRow], line: _Line, remarks: Sequence[str]) -> Converted:
    """Turns the rows, and checks the trials that they make. Raises DataError with the lines that make none."""
    lines: list[Mapping[str, Any]] = []
    wrong: list[str] = []
    if not rows:
        raise DataError(f"no trial of {path} can be turned: {'; '.join(remarks)}", "docs/trials.md says what is taken")
    for n, placed in enumerate(rows, 1):
        try:
            lines.append(line(placed.row, n))
        except TrialError as error:
            wrong.append(f"{placed.place} {error}")
    places = [placed.place for placed in rows]
    wrong = wrong or [f"{places[at]} {fault}" for at, fault in read_trials(lines, places).faults.items()]
    _raise(path, wrong)
    return Converted(tuple(lines), tuple(remarks))


def _raise(path: Path, wrong: Sequence[str]) -> None:
    problems = [Problem("", ProblemKind.LABELS_MALFORMED, str(path), detail) for detail in wrong]
    raise_for(problems, f"mend {'that line' if len(wrong) == 1 else 'those lines'}; docs/trials.md says what is taken")


def _parts(cell: str) -> list[str]:
    return [part.strip() for part in cell.split(_BAR)] if cell else []


def _names(row: Row, key: str, images: Path) -> list[str]:
    names = row.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TrialError(f"has the {key} {names!r:.60}, should be a list of paths")
    return [_relative(name, images) for name in names]


def _relative(name: str, images: Path) -> str:
    """Gives the name of a picture below the folder of the pictures. Raises TrialError for one that is elsewhere."""
    if not Path(name).is_absolute():
        inside = name.removeprefix("./")
        if not is_safe_name(inside):
            raise TrialError(
                f"names {name!r:.80}, should be a name below the folder of the pictures, with / in it alone"
            )
        return inside
    inside = os.path.relpath(name, images.absolute())
    if inside.startswith(".."):
        raise TrialError(f"names {name}, which is not below {images.absolute()}; name the folder:  --images DIR")
    return inside


def _in_places(
    prompt: object, context: Sequence[str], of_options: Sequence[str], labels: object
) -> tuple[str, list[str]]:
    """Gives a prompt of LEVANTE's with ``<image>`` in the places of its pictures, and these in their order."""
    if not isinstance(prompt, str):
        raise TrialError(f"has the prompt {prompt!r:.60}, should be a text")
    if not isinstance(labels, list):
        raise TrialError(f"has the option_labels {labels!r:.60}, should be a list of texts")
    numbered = [number or "0" for number in _PLACE.findall(prompt)]
    pictures = {"0": context[0]} if context else {}
    pictures |= {str(n): name for n, name in enumerate(of_options, 1)}
    lacking = [number for number in numbered if number not in pictures]
    if lacking:
        raise TrialError(f"has <image{lacking[0]:.9}> in its prompt, and no such picture")
    twice = [number for number in numbered if numbered.count(number) > 1]
    if twice:
        raise TrialError(f"has <image{twice[0]}> in its prompt twice")
    before = [*([context[0]] if context and "0" not in numbered else []), *context[1:]]
    after = [n for n in range(1, len(of_options) + 1) if str(n) not in numbered]
    if after and len(of_options) != len(labels):
        raise TrialError(f"has {len(of_options)} pictures of options and {len(labels)} labels")
    words = IMAGE_PLACE * len(before) + _PLACE.sub(IMAGE_PLACE, prompt)
    words += "".join(f"\n{labels[n - 1]}: {IMAGE_PLACE}" for n in after)
    return words, [*before, *(pictures[n] for n in numbered), *(of_options[n - 1] for n in after)]
