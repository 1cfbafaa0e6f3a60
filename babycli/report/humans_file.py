"""What people chose, as a CSV file tells it: how many of them took which option of a trial.

Owns the forms of that file, and all that can be wrong with a line of it. Which options a trial has, a run tells: see
``shares_of``.

    trial,option,share,n,age         a line for each option; DevBench's age_group and age_bin are taken for age
    trial,image1,image2,...,age_bin  as DevBench's scripts make it: a line for each trial, options in their order
    trial,prop,age_bin               evals/lex-lwl/human.csv of DevBench: the share of the first of two options
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from babycli.data.rows import BOM
from babycli.errors import DataError
from babycli.files import in_memory, raise_limit
from babycli.logs.content import read_content
from babycli.wording import listed, natural_order

TOLERANCE = 0.01  # by which shares may miss a sum of 1, rounded as they may be; they are made to sum to it
_ROUNDING = 1e-9
_MOST_PEOPLE = 1_000_000_000
_AGES = ("age", "age_group", "age_bin")
_LONG, _ONE_OF_TWO = ("trial", "option", "share", "n"), "prop"
_IMAGE = re.compile(r"image([1-9][0-9]?)", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_COUNT = re.compile(r"([0-9]{1,12})(?:\.0*)?", re.ASCII)
_PLACE = re.compile(r"[0-9]{1,9}", re.ASCII)
_ANSWERS = ("answer", "answerword", "response")  # columns of a file with a line for each answer of each person
_SHOWN = 40  # characters of a cell in a message
_EXPECTED = "expected is a CSV with the columns trial, option, share, n and, where there are several, task and age"


@dataclass(frozen=True, slots=True)
class Said:
    """A share of the people of an age who chose an option."""

    line: int
    option: str | int  # an index where the form of the file has nothing else
    share: float
    n: int | None  # people who answered the trial; None where the file does not say it


@dataclass(frozen=True, slots=True)
class Key:
    """What the lines of a trial have in common; "" where the file has no such column."""

    task: str
    age: str
    trial: str


@dataclass(frozen=True, slots=True)
class People:
    """A file as far as it can be read without knowing the trials."""

    path: Path
    said: Mapping[Key, tuple[Said, ...]]
    has_tasks: bool
    unread: tuple[str, ...]  # names of columns that nothing here knows

    @property
    def ages(self) -> list[str]:
        """The age groups in their order; one without a name where the file has none."""
        return sorted({key.age for key in self.said}, key=natural_order)


def read_people(path: Path) -> People:
    """Reads a file of what people chose. Raises DataError, with the line, for what cannot be meant."""
    mend = f"docs/humans.md has the form; {_EXPECTED}"
    try:
        raw = read_content(path)
    except OSError as error:
        raise_limit(error)
        raise DataError(f"cannot read what people chose: {path}: {error.strerror}", mend) from error
    try:
        text = raw.removeprefix(BOM).decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}:{line}: is no UTF-8: byte {raw[error.start]:#04x}", f"save it as UTF-8; {mend}"
        ) from error
    with in_memory(path):
        return _parsed(path, text)


def _parsed(path: Path, text: str) -> People:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    records = _records(path, reader)
    start, header = next(records, (1, []))
    names = [name.strip().casefold() for name in header]
    form = _Form.of(path, start, names)
    said: dict[Key, list[Said]] = {}
    for line, fields in records:
        if len(fields) != len(names):
            raise DataError(
                f"{path}:{line}: has {len(fields)} fields, should have {len(names)} as its header",
                'put a text with a comma in it between " and "',
            )
        for key, share in form.read(line, dict(zip(names, fields, strict=True))):
            said.setdefault(key, []).append(share)
    if not said:
        raise DataError(f"{path}: has no line below its header", _EXPECTED)
    for of_trial in said.values():
        _check_once(path, of_trial)
    return People(path, {key: tuple(of) for key, of in said.items()}, "task" in names, form.unread)


def _records(path: Path, reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Gives the lines that are not empty, each with its number: a quoted field may span several."""
    before = 0
    try:
        for fields in reader:
            line, before = before + 1, reader.line_num  # type: ignore[attr-defined]
            if any(field.strip() for field in fields):
                yield line, fields
    except csv.Error as error:
        raise DataError(f"{path}:{before + 1}: is no line of a CSV file: {error}", _EXPECTED) from error


@dataclass(frozen=True, slots=True)
class _Form:
    """The form of a file, by its header."""

    path: Path
    age: str  # the column of the age group; "" for none
    has_task: bool
    images: tuple[str, ...]  # the columns of a line for each trial; () for one line each option
    has_n: bool
    unread: tuple[str, ...]

    @classmethod
    def of(cls, path: Path, line: int, names: Sequence[str]) -> _Form:
        """Finds the form. Raises DataError for a header that is of none."""
        place, header = f"{path}:{line}", listed(map(repr, names), 10)
        if not names:
            raise DataError(f"{path}: is empty", _EXPECTED)
        if len(names) == 1 and (sign := next((sign for sign in ";\t" if sign in names[0]), None)):
            raise DataError(f"{place}: its columns are separated by {sign!r}", "separate them by commas")
        if names[0].startswith(("{", "[")):
            raise DataError(f"{place}: this is JSON", f"make a CSV of it; {_EXPECTED}")
        twice = next((name for name in names if name and list(names).count(name) > 1), None)
        if twice is not None:
            raise DataError(f"{place}: the header has the column {twice} twice", "keep one of them")
        ages = [name for name in _AGES if name in names]
        if len(ages) > 1:
            raise DataError(f"{place}: both {' and '.join(ages)} are age groups", "keep one of these columns")
        images = sorted((name for name in names if _IMAGE.fullmatch(name)), key=natural_order)
        lacking = [name for name in _LONG if name not in names]
        if "option" in names or "share" in names or not (images or _ONE_OF_TWO in names):
            images = []
            if lacking:
                counted = "; this file has a line for each answer: count them" if set(_ANSWERS) & set(names) else ""
                raise DataError(
                    f"{place}: lacks the column{'s' if len(lacking) > 1 else ''} {', '.join(lacking)}; its columns are "
                    f"{header}{counted}",
                    f"docs/humans.md has the form; {_EXPECTED}",
                )
        elif "trial" not in names:
            raise DataError(f"{place}: lacks the column trial; its columns are {header}", _EXPECTED)
        elif images and images != [f"image{i}" for i in range(1, len(images) + 1)]:
            raise DataError(f"{place}: has {', '.join(images)}, should have all from image1 on", _EXPECTED)
        else:
            images = images or [_ONE_OF_TWO]
        read = {"trial", "task", "n", *ages, *(images or _LONG)}
        unread = tuple(name or "one without a name" for name in names if name not in read)
        return cls(path, ages[0] if ages else "", "task" in names, tuple(images), "n" in names, unread)

    def read(self, line: int, row: Mapping[str, str]) -> Iterator[tuple[Key, Said]]:
        """Reads what a line says. Raises DataError."""
        key = Key(self._named(line, row, "task"), self._named(line, row, self.age), self._named(line, row, "trial"))
        n = self._count(line, row["n"]) if self.has_n else None
        if not self.images:
            yield key, Said(line, self._named(line, row, "option"), self._share(line, row["share"]), n)
        elif self.images == (_ONE_OF_TWO,):
            share = self._share(line, row[_ONE_OF_TWO])
            yield key, Said(line, 0, share, n)
            yield key, Said(line, 1, 1 - share, n)
        else:
            cells = [row[name] for name in self.images]
            while cells and not cells[-1].strip():  # of a trial with fewer options than others
                cells.pop()
            for place, cell in enumerate(cells):
                yield key, Said(line, place, self._share(line, cell), n)
            if not cells:
                raise DataError(f"{self.path}:{line}: has no shares of trial {key.trial!r:.{_SHOWN}}", _EXPECTED)

    def _named(self, line: int, row: Mapping[str, str], column: str) -> str:
        if not column or column not in row:
            return ""
        if not row[column].strip():
            raise DataError(f"{self.path}:{line}: has nothing in {column}", "write it, or leave the line out")
        return row[column].strip()

    def _share(self, line: int, text: str) -> float:
        share = float(text) if _NUMBER.fullmatch(text.strip()) else None
        if share is None or not 0 <= share <= 1:
            percent = share is not None and 1 < share <= 100
            mend = (
                "divide by 100: 0.25 for 25 %" if percent or text.strip().endswith("%") else "0 for what nobody chose"
            )
            raise DataError(f"{self.path}:{line}: the share is {text!r:.{_SHOWN}}, should be a number of 0 to 1", mend)
        return share

    def _count(self, line: int, text: str) -> int:
        found = _COUNT.fullmatch(text.strip())
        n = int(found[1]) if found else 0
        if not 0 < n <= _MOST_PEOPLE:
            raise DataError(
                f"{self.path}:{line}: n is {text!r:.{_SHOWN}}, should be how many people answered the trial",
                "write a positive whole number",
            )
        return n


def _check_once(path: Path, of_trial: Sequence[Said]) -> None:
    """Raises DataError for an option that stands there twice, as it is written, and for people who differ in number."""
    seen: dict[str | int, Said] = {}
    for each in of_trial:
        first = seen.setdefault(each.option, each)
        if first is not each:
            raise _twice(path, each, first)
        if each.n != of_trial[0].n:
            raise DataError(
                f"{path}:{each.line}: n is {each.n}, and {of_trial[0].n} in line {of_trial[0].line} of the same trial",
                "n is how many people answered the trial, not how many chose the option; have a column age, or task, "
                "if these are others",
            )


def _twice(path: Path, each: Said, first: Said) -> DataError:
    where = f"line {first.line} has the same option of the same trial and age group"
    what = f"option {each.option!r:.{_SHOWN}}" if isinstance(each.option, str) else "trial"
    return DataError(f"{path}:{each.line}: the {what} is there twice: {where}", "keep one of them, or name the age")


def shares_of(path: Path, key: Key, said: Sequence[Said], options: Sequence[str]) -> tuple[float, ...]:
    """Gives people's shares of the options of a trial, in their order, made to sum to 1.

    An option is told by its text, or by its place from 0 on where no option is a number. Raises DataError.
    """
    shares: dict[int, Said] = {}
    for each in said:
        place = _place_of(path, key, each, options)
        first = shares.setdefault(place, each)
        if first is not each:
            raise _twice(path, each, first)
    line = said[0].line
    lacking = [options[place] for place in range(len(options)) if place not in shares]
    if lacking:
        raise DataError(
            f"{path}:{line}: trial {key.trial} has shares of {len(shares)} of its {len(options)} options; lacking "
            f"{'is' if len(lacking) == 1 else 'are'} {_named_options(lacking)}",
            "add lines for them, with the share 0 for what nobody chose",
        )
    total = sum(each.share for each in shares.values())
    if abs(total - 1) > TOLERANCE + _ROUNDING:
        raise DataError(
            f"{path}:{line}: the shares of trial {key.trial} sum to {total:.4g}, should sum to 1",
            f"correct them; {TOLERANCE} is allowed for rounding",
        )
    return tuple(shares[place].share / total for place in range(len(options)))


def _place_of(path: Path, key: Key, said: Said, options: Sequence[str]) -> int:
    """Finds the place of an option among those of its trial. Raises DataError."""
    of_trial = f"the options of trial {key.trial} are {_named_options(options)}"
    if isinstance(said.option, int):
        if said.option < len(options):
            return said.option
        raise DataError(f"{path}:{said.line}: has a share of option {said.option + 1}; {of_trial}", "leave it out")
    named = [place for place, option in enumerate(options) if option == said.option]
    if len(named) == 1:
        return named[0]
    are_numbers = any(_PLACE.fullmatch(option) for option in options)
    place = int(said.option) if _PLACE.fullmatch(said.option) and not are_numbers else len(options)
    if not named and place < len(options):
        return place
    shown = f"{said.option!r:.{_SHOWN}}"
    if not any(options):
        raise DataError(
            f"{path}:{said.line}: {shown} cannot be told: the log of a run does not name the options of trial "
            f"{key.trial}",
            "write its index, from 0 on, or have the label files in the dataset folder:  --data DIR",
        )
    if named:
        raise DataError(f"{path}:{said.line}: {shown} is several options; {of_trial}", "write its index, from 0 on")
    index = "" if are_numbers else f", or an index of 0 to {len(options) - 1}"
    raise DataError(f"{path}:{said.line}: {shown} is no option; {of_trial}", f"write one of them{index}")


def _named_options(options: Sequence[str]) -> str:
    return listed((f"{option!r:.{_SHOWN}}" for option in options), 12)
