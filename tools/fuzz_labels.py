"""Damaged label files: their rows are those that Python's csv and json read, or their faults are named.

A case is the name of a task, a newline, and the bytes of its label file. What is sound of the DevCV Toolbox is also
played by a control, as its files have no published digest that would tell that they were changed.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import functools
import io
import json
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import orjson
from fuzz_command import run
from fuzz_target import Target, damaged
from fuzz_values import TEXTS, damaged_json

from babycli.commands.demo import DEVCV, DOWNLOADS
from babycli.data.labels import parse_labels, with_item_problems
from babycli.data.problems import ProblemKind
from babycli.data.rows import parse_rows
from babycli.domain import Answer, Item, Loglikelihood, Text, Write
from babycli.tasks import all_tasks
from babycli.tasks.base import Asking, Task, groups_of, row_as_logged
from babycli.typed import is_deep
from babycli.wording import AnswerWay

_SET = "fuzz"
_N_ROWS = {"labeled_s.csv": 8}  # two trials
_N_ROWS_OF_OTHERS = 3
_SPLIT = "_test.json"
_DONE, _DATA, _UNTRUSTED = 0, 3, 7
# Of names that are too long, or of which one is a folder of the other.
_NO_NAMES = (errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST)
_EVERY = 8  # of cases, one goes through a command whatever it holds
_CELLS = (*TEXTS, '"', '""', 'a"b', "a,b", "x.jpg", "ball/x.jpg", "..", "./x", "x//y", "\ufeff", "positive", "1", "01")


@functools.cache
def _samples() -> tuple[bytes, ...]:
    found = []
    with zipfile.ZipFile(DOWNLOADS) as archive:
        for name in sorted(n for n in archive.namelist() if n.endswith(".csv")):
            lines = archive.read(name).splitlines(keepends=True)
            file = name.rpartition("/")[2]
            n = _N_ROWS.get(file, _N_ROWS_OF_OTHERS) + 1
            found.append(b"%s\n%s" % (file.removesuffix(".csv").lower().encode(), b"".join(lines[:n])))
    with zipfile.ZipFile(DEVCV) as archive:
        for name in sorted(n for n in archive.namelist() if n.endswith(_SPLIT)):
            entries = json.loads(archive.read(name))[:_N_ROWS_OF_OTHERS]
            content = json.dumps(entries, indent=2).encode()
            found.append(b"baby_%s\n%s" % (name.removesuffix(_SPLIT).encode(), content))
    return tuple(found)


def _damaged(rng: Random, sample: bytes, samples: Sequence[bytes]) -> bytes:
    name, _, content = sample.partition(b"\n")
    others = [other.partition(b"\n")[2] for other in samples]
    if rng.random() < 0.3:
        content = damaged(rng, content, others)
    elif _task(name).label_format == "json":
        content = damaged_json(rng, content)
    else:
        content = _damaged_csv(rng, content)
    return name + b"\n" + content


def _damaged_csv(rng: Random, content: bytes) -> bytes:
    """Damages cells, rows and columns, and how they are written."""
    rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
    for _ in range(rng.choice((1, 1, 2, 3))):
        row = rng.choice(rows)
        width = max(1, len(rows[0]))
        column, other = rng.randrange(width), rng.randrange(width)
        match rng.randrange(9):
            case 0 | 1 | 2:
                row[column:] = [rng.choice(_CELLS), *row[column + 1 :]]
            case 3:
                del row[column:]
            case 4:
                row.append(rng.choice(_CELLS))
            case 5:
                rows.insert(rng.randrange(len(rows)), list(rng.choice(rows)))
            case 6:
                rows = [[*r[:column], *r[column + 1 :]] for r in rows]
                rows = [r or [""] for r in rows]
            case 7:
                rows = [[*r, *r[other : other + 1]] for r in rows]
            case _:
                row[column : column + 1] = [cell * 2000 for cell in row[column : column + 1]]
    stream = io.StringIO()
    end = rng.choice(("\n", "\n", "\r\n", "\r"))
    if rng.random() < 0.3:
        csv.writer(stream, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(rows)
    else:
        csv.writer(stream, lineterminator=end).writerows(rows)
    return stream.getvalue().encode(errors="surrogatepass")


def _task(name: bytes) -> Task:
    task = all_tasks()[name.decode()]
    return task.of_set(_SET) if task.sets_of else task


def _attempt(case: bytes) -> str:
    name, _, content = case.partition(b"\n")
    task = _task(name)
    if wrong := _as_others_read(task, content):
        return wrong
    labels = with_item_problems(parse_labels(content, Path("x"), task))
    is_sound = not [problem for problem in labels.problems if problem.kind != ProblemKind.LABELS_CHECKSUM]
    if is_sound:
        _play(task, labels.items)
    if zlib.crc32(case) % _EVERY:
        return ""
    with tempfile.TemporaryDirectory(prefix="babycli-fuzz-") as folder:
        path = Path(folder, task.label_path)
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        (path.parent / "images").mkdir()
        return _as_commands_read(task, Path(folder), is_sound)


def _as_commands_read(task: Task, root: Path, is_sound: bool) -> str:
    on_set = ("--data", root, "--tasks", task.name)
    for command in ("data status", "data verify", "data verify --json"):
        ran = run(*command.split(), *on_set)
        if wrong := ran.wrong((_DONE, _DATA, 4)):
            return wrong
        if "--json" in command and not isinstance(json.loads(ran.out), dict | list):
            return f"{ran} prints no JSON"
    if not (is_sound and task.sets_of):
        return ""
    if not _draw(task, root):
        return ""
    logs = root / "logs"
    for model in ("control:letter?pick=A", "control:random?seed=1"):
        if wrong := run("eval", "--model", model, *on_set, "--output-path", logs).wrong((_DONE, _UNTRUSTED)):
            return wrong
    for words in (("--format", "html"), ("--format", "latex"), ("--by", "session"), ("--audit",)):
        codes = {"--audit": (_DONE, _UNTRUSTED), "--by": (_DONE, _DATA)}.get(words[0], (_DONE,))
        if wrong := run("report", logs, *words).wrong(codes):
            return wrong
    return ""


def _play(task: Task, items: Sequence[Item]) -> None:
    """Plays the items as models do that write, that choose, and that do both; what it raises is a finding."""
    for ways in ((AnswerWay.WRITTEN,), (AnswerWay.CHOSEN,), tuple(AnswerWay)):
        fitted = task.fitted(ways, ("loglikelihood", "generate"))
        for item in items:
            play = fitted.play(item, Asking(prompt="<image> What is it?"))
            answers: list[Answer] | None = None
            with contextlib.suppress(StopIteration):
                while True:
                    asked = next(play) if answers is None else play.send(answers)
                    answers = [
                        Text(item.item_id, (), True) if isinstance(request, Write) else Loglikelihood((-1.5,), False)
                        for request in asked
                    ]
            for row in item.rows:
                orjson.dumps([row_as_logged(fitted, row), fitted.target(row)])
        for metric in fitted.metrics:
            fitted.chance_of(metric, items)
        groups_of(items)


def _draw(task: Task, root: Path) -> bool:
    """Writes a picture for each name in a sound label file; tells whether files can have all of the names."""
    labels = parse_labels((root / task.label_path).read_bytes(), Path("x"), task)
    with zipfile.ZipFile(DEVCV) as archive:
        pictures = [name for name in archive.namelist() if name.endswith((".jpg", ".png", ".jpeg"))]
        for i, image in enumerate({image for item in labels.items for image in item.images}):
            path = root / task.links[image.source] / image.name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(pictures[i % len(pictures)]))
            except OSError as error:
                if error.errno not in _NO_NAMES:
                    raise
                return False
            if image.name.endswith("/"):
                return False
    return True


def _as_others_read(task: Task, content: bytes) -> str:
    """Compares the rows with those that Python's own readers give, where these read all of a file."""
    ours = parse_rows(content, task.label_format, task.columns)
    rows = [dict(placed.row) for placed in ours.rows]
    try:
        text = content.decode("utf-8-sig")
        theirs = _read_json(text) if task.label_format == "json" else _read_csv(text)
        is_whole = _is_whole(theirs, task.columns)
    except (ValueError, RecursionError, csv.Error):
        return "" if ours.wrong else "rows are read that Python's own reader refuses"
    if is_whole and ours.wrong:
        return f"Python's own reader gives whole rows: {ours.wrong[:3]!r:.300}"
    if not ours.wrong and rows != theirs:
        return "Python's own reader gives other rows"
    return ""


def _read_json(text: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a key twice")
        return dict(pairs)

    def finite(number: str) -> float:
        if abs(float(number)) == float("inf"):
            raise ValueError("no number")
        return float(number)

    def bounded(number: str) -> int:
        if not -(2**63) <= int(number) < 2**64:
            raise ValueError("no number that samples can hold")
        return int(number)

    decoder = json.JSONDecoder(
        object_pairs_hook=once, parse_constant=lambda word: finite("inf"), parse_float=finite, parse_int=bounded
    )
    read = decoder.decode(text)
    json.dumps(read, ensure_ascii=False).encode()
    if isinstance(read, list) and any(map(is_deep, read)):
        raise ValueError("too deep")
    return read


def _read_csv(text: str) -> Any:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = next(rows, [])
    whole = list(rows)
    if len(set(header)) < len(header):
        raise ValueError("a column twice")
    if any(len(row) != len(header) for row in whole):
        raise ValueError("a row has other columns")
    return [dict(zip(header, row, strict=True)) for row in whole]


def _is_whole(rows: Any, columns: Sequence[str]) -> bool:
    return (
        isinstance(rows, list)
        and bool(rows)
        and all(isinstance(row, dict) for row in rows)
        and all(str(row.get(column, "")).strip() and row[column] is not None for row in rows for column in columns)
    )


TARGET = Target("labels", _samples, _attempt, _damaged)
