"""The rows of a label file, CSV, JSON or JSON Lines, read strictly: a malformed row is reported, and never passed on.

Owns the formats. Never knows what a row means; a task may use columns or keys beyond those that it needs.

    CSV     a header with the columns, and a line for each row
    JSON    a list of objects, each a row with the keys
    JSONL   an object on each line, a row with the keys; blank lines are passed over
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from babycli.domain import Row
from babycli.typed import TOO_DEEP, is_deep
from babycli.wording import each_key_once, first_line, listed

BOM = b"\xef\xbb\xbf"
_MOST_WRONG = 10_000  # rows that are described; a file of millions takes minutes and gigabytes
_BLANK = " \t\r\n"
_WIDEST = 1 << 64
_HINT = "; it has one object on each line, not a list of them:  jq -c '.[]' FILE > FILE.jsonl"


@dataclass(frozen=True, slots=True)
class PlacedRow:
    """A row with its place in the file."""

    row: Row
    place: str  # "line 12" of CSV, the row's first line, and of JSONL; "item 12" of JSON


@dataclass(frozen=True, slots=True)
class ParsedRows:
    """The rows that are sound, and the faults of the others."""

    rows: tuple[PlacedRow, ...]
    wrong: tuple[str, ...]


def parse_rows(raw: bytes, label_format: str, columns: Sequence[str]) -> ParsedRows:
    """Reads the bytes of a label file whose rows must have these columns."""
    try:
        text = raw.removeprefix(BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        return ParsedRows((), (f"not UTF-8 at byte {error.start}",))
    parse = {"csv": _parse_csv, "json": _parse_json, "jsonl": _parse_lines}[label_format]
    return parse(text, columns)


def _parse_csv(text: str, columns: Sequence[str]) -> ParsedRows:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[PlacedRow] = []
    wrong: list[str] = []
    try:
        header = next(reader, [])
        lacking = [column for column in columns if column not in header]
        if lacking:
            what = f"column {lacking[0]} is" if len(lacking) == 1 else f"columns {', '.join(lacking)} are"
            return ParsedRows((), (f"the {what} missing; the header is {','.join(header)!r}",))
        twice = [column for column, n in Counter(header).items() if n > 1]
        if twice:
            names = ", ".join(column or "a column without a name" for column in twice)
            return ParsedRows((), (f"the header {','.join(header)!r} has {names} twice",))
        before = reader.line_num
        for fields in reader:
            if len(wrong) == _MOST_WRONG:
                wrong.append(f"the rest, from line {before + 1} on, was not read")
                break
            place, before = f"line {before + 1}", reader.line_num  # a quoted field may span several
            if len(fields) != len(header):
                wrong.append(f"{place} has {len(fields)} fields, should have {len(header)}")
                continue
            row = dict(zip(header, fields, strict=True))
            empty = _empty(row, columns)
            if empty:
                wrong.append(f"{place} has nothing in {', '.join(empty)}")
                continue
            rows.append(PlacedRow(row, place))
    except csv.Error as error:
        wrong.append(f"line {reader.line_num}: {error}")
    return ParsedRows(tuple(rows), tuple(wrong))


def _empty(row: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    return [column for column in columns if row[column] is None or not str(row[column]).strip()]


def _parse_json(text: str, columns: Sequence[str]) -> ParsedRows:
    """Reads one item after another, so that a fault can be reported for a single item."""
    at = _after_blanks(text, 0)
    if text[at : at + 1] != "[":
        return ParsedRows((), (f"it begins with {text[at : at + 20]!r}, should be a list of objects: [{{...}}, ...]",))
    decoder = _decoder()
    rows: list[PlacedRow] = []
    wrong: list[str] = []
    at = _after_blanks(text, at + 1)
    n_items, is_open = 0, text[at : at + 1] != "]"
    while is_open:
        if len(wrong) == _MOST_WRONG:
            return ParsedRows(tuple(rows), (*wrong, f"the rest, from item {n_items + 1} on, was not read"))
        n_items += 1
        place = f"item {n_items}"
        try:
            item, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:  # where the next item begins cannot be told any more
            return ParsedRows(tuple(rows), (*wrong, f"{place}: {_why_unreadable(error)}"))
        problem = _item_problem(item, columns)
        if problem:
            wrong.append(f"{place} {problem}")
        else:
            rows.append(PlacedRow(item, place))
        at = _after_blanks(text, at)
        is_open = text[at : at + 1] == ","
        if is_open:
            at = _after_blanks(text, at + 1)
        elif text[at : at + 1] != "]":
            line = text.count("\n", 0, at) + 1
            return ParsedRows(tuple(rows), (*wrong, f"after {place}, in line {line}: no comma and no end of the list"))
    rest = text[at + 1 :].strip(_BLANK)
    if rest:
        wrong.append(f"after the list there is {rest[:20]!r}")
    return ParsedRows(tuple(rows), tuple(wrong))


def _parse_lines(text: str, columns: Sequence[str]) -> ParsedRows:
    decoder = _decoder()
    rows: list[PlacedRow] = []
    wrong: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        place = f"line {number}"
        written = line.strip(_BLANK)
        if not written:
            continue
        if len(wrong) == _MOST_WRONG:
            wrong.append(f"the rest, from {place} on, was not read")
            break
        try:
            item = decoder.decode(written)
        except json.JSONDecodeError as error:
            wrong.append(f"{place}: {error.msg} in column {error.colno}{_HINT if written[0] == '[' else ''}")
            continue
        except (ValueError, RecursionError) as error:
            wrong.append(f"{place}: {_why_unreadable(error)}")
            continue
        problem = _item_problem(item, columns)
        if problem:
            wrong.append(f"{place} {problem}{_HINT if isinstance(item, list) else ''}")
        else:
            rows.append(PlacedRow(item, place))
    return ParsedRows(tuple(rows), tuple(wrong))


def _decoder() -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=each_key_once,
        parse_constant=_no_number,
        parse_float=_finite,
        parse_int=_bounded,
        strict=True,
    )


def _item_problem(item: object, columns: Sequence[str]) -> str:
    """Tells why an item is not a row; "" if it is one."""
    if is_deep(item):
        return TOO_DEEP
    if not isinstance(item, dict):
        return f"is {json.dumps(item)[:40]}, should be an object"
    lacking = [column for column in columns if column not in item]
    if lacking:
        return f"lacks {listed(lacking)}; its keys are {listed(item) or 'none'}"
    empty = _empty(item, columns)
    if empty:
        return f"has nothing in {', '.join(empty)}"
    try:
        json.dumps(item, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "has half of a character, as \\ud800 is"
    return ""


def _after_blanks(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in _BLANK:
        at += 1
    return at


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number that JSON knows")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large a number")
    return value


def _bounded(text: str) -> int:
    """Reads a whole number that samples can hold, of 64 bits."""
    value = int(text) if len(text) <= len(str(_WIDEST)) else _WIDEST
    if not -(_WIDEST // 2) <= value < _WIDEST:
        raise ValueError(f"{text[:40]} is too large a number")
    return value


def _why_unreadable(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} in line {error.lineno}, column {error.colno}"
    return TOO_DEEP if isinstance(error, RecursionError) else first_line(error)
