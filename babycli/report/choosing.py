"""The part of a report that its reader wants: which rows, tasks and metrics, in which order and under which names.

Owns what --models, --tasks, --metrics, --rename and --no-controls do, and that a part is not shown beside the whole.
Chooses from finished tables: the name of a row, its gain and its control above chance are found among all runs,
whatever is shown of them. A name that nothing has is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from babycli.errors import DataError, UsageError
from babycli.files import open_to_read
from babycli.report.baselines import Baselines
from babycli.report.compare import rows_of
from babycli.report.families import is_in_families
from babycli.report.overall import RANKED, WINOGROUND
from babycli.report.rows import Column, TableRow
from babycli.report.runs import Run
from babycli.report.tables import Table
from babycli.report.told_by_whole import told_by_whole
from babycli.tasks.about import about, metric_of
from babycli.wording import all_of, did_you_mean, listed, printable

MAIN, ALL = "main", "all"  # of the metrics of each task
_BETWEEN_NAMES = re.compile(r",(?![^(]*\))")  # a label has commas in its brackets
_LONGEST_FILE = 1_000_000  # bytes of a file of names


@dataclass(frozen=True, slots=True)
class Choice:
    """The reader's wishes, as they were typed; what is empty leaves all as it is."""

    models: tuple[str, ...] = ()  # names and patterns, in the order of the rows
    tasks: tuple[str, ...] = ()  # tasks and benchmarks, in the order of the columns
    metrics: tuple[str, ...] = ()
    renamed: tuple[str, ...] = ()  # "old=new", or files of such lines
    with_controls: bool = True
    with_parts: bool = False  # also of a part of the trials, where the whole is there


def chosen(tables: Sequence[Table], choice: Choice) -> list[Table]:
    """Gives the tables with what was chosen of them; without those that have nothing of it.

    Raises UsageError for a name that nothing has, DataError where what was chosen has no number.
    """
    named = _renamed(tables, choice.renamed)
    found = _with_rows(named, choice)
    if choice.tasks or choice.metrics:
        columns = columns_of(named, choice)
        found = [with_columns(table, [column for column in columns if column in table.columns]) for table in found]
    found = [table for table in found if table.rows]
    if not found and tables:
        raise DataError(
            "no run has a number of what was chosen",
            "leave out --models, --tasks, --metrics, --no-controls or all of them",
        )
    return found


def names_in(text: str) -> list[str]:
    """Gives the names of a list: commas in brackets are part of a name."""
    return [name.strip() for name in _BETWEEN_NAMES.split(text) if name.strip()]


# ------------------------------------------------------------ rows


def _with_rows(tables: Sequence[Table], choice: Choice) -> list[Table]:
    rows = [row for table in tables for row in table.rows]
    parts = frozenset([] if choice.with_parts else told_by_whole(rows))
    asked, shown = rows, [row for row in rows if row not in parts]
    if choice.models:
        asked = [row for text in choice.models for row in _rows_named(text, rows, frozenset())]
        shown = [row for text in choice.models for row in _rows_named(text, rows, parts)]
    asked, shown = (
        [row for row in dict.fromkeys(found) if choice.with_controls or not row.control] for found in (asked, shown)
    )
    places = {row: place for place, row in enumerate(shown)}
    left_out = {row for row in asked if row not in places}
    return [
        replace(
            _with_only(table, sorted((row for row in table.rows if row in places), key=places.__getitem__)),
            n_parts_left_out=sum(len(row.runs) for row in table.rows if row in left_out),
        )
        for table in tables
    ]


def _rows_named(text: str, rows: Sequence[TableRow], parts: frozenset[TableRow]) -> list[TableRow]:
    """Finds the rows of a word of --models, which may be a label with commas, or several names.

    A part whose whole is there is meant only where the name fits nothing else, as its label does.
    """
    if any(row.label == printable(text) for row in rows):
        return rows_of(text, rows)
    found = []
    for name in names_in(text):
        if any(sign in name for sign in "*?"):
            fitting = [row for row in rows if any(_fits(text, name) for text in (row.label, row.runs[0].model))]
            if not fitting:
                labels = listed([row.label for row in rows], 20)
                raise UsageError(f"no row is called as the pattern {name!r} says", f"the rows: {labels}")
        else:
            fitting = rows_of(name, rows)
        found += [row for row in fitting if row not in parts] or fitting
    return found


def _fits(label: str, pattern: str) -> bool:
    """Tells whether a label is as the pattern says, or its end behind a slash, as a name without signs may be."""
    return fnmatchcase(label, pattern) or fnmatchcase(label, f"*/{pattern}")


def _with_only(table: Table, rows: Sequence[TableRow]) -> Table:
    labels = {row.label for row in rows}
    filled = {column for row in rows for column in row.cells}
    filled |= {column for row in table.published for column in row.values}
    return replace(
        table,
        columns=tuple(column for column in table.columns if column in filled),
        rows=tuple(rows),
        gains={label: gain for label, gain in table.gains.items() if label in labels},
        suspicions=tuple(each for each in table.suspicions if each.label in labels),
        overalls={label: means for label, means in table.overalls.items() if label in labels},
        families={label: means for label, means in table.families.items() if label in labels},
    )


# ------------------------------------------------------------ tasks and metrics


def tasks_of(runs: Iterable[Run], choice: Choice) -> list[str]:
    """Gives the tasks of runs that were chosen. Raises UsageError for one that no run has."""
    there = list(dict.fromkeys(task for run in runs for task, _ in run.cells))
    return [task for word in choice.tasks for task in _tasks_named(word, there)] if choice.tasks else there


def columns_of(tables: Sequence[Table], choice: Choice) -> list[Column]:
    """Gives the columns that were chosen of all tables, in their order."""
    there = list(dict.fromkeys(column for table in tables for column in table.columns))
    tasks = list(dict.fromkeys(task for task, _ in there))
    if choice.tasks:
        tasks = list(dict.fromkeys(task for word in choice.tasks for task in _tasks_named(word, tasks)))
    columns = [column for task in tasks for column in there if column[0] == task]
    if not choice.metrics or choice.metrics == (ALL,):
        return columns
    if choice.metrics == (MAIN,):
        rows = [row for table in tables for row in table.rows]
        return [column for task in tasks for column in _main_of(task, rows) if column in columns]
    ranks = {
        column: place for place, word in reversed([*enumerate(choice.metrics)]) for column in _named(word, columns)
    }
    return sorted((column for column in columns if column in ranks), key=lambda c: (tasks.index(c[0]), ranks[c]))


def _tasks_named(word: str, tasks: Sequence[str]) -> list[str]:
    of_benchmark = [task for task in tasks if (known := about(task).benchmark) is not None and known.name == word]
    if word in tasks or of_benchmark:
        return [word] if word in tasks else of_benchmark
    raise UsageError(f"no run is of a task {word!r}.{did_you_mean(word, tasks)}", f"one of: {', '.join(tasks)}")


def _main_of(task: str, rows: Sequence[TableRow]) -> list[Column]:
    """Gives the main metric of a task for each row: of answers that were only chosen it is another."""
    of_rows = [[metric for of, metric in row.cells if of == task] for row in rows]
    mains = (about(task).main_of(metrics) for metrics in of_rows if metrics)
    return [(task, name) for name in dict.fromkeys(metric.name for metric in mains if metric is not None)]


def _named(word: str, columns: Sequence[Column]) -> list[Column]:
    """Finds the columns of a metric, which is called by its key, or as a table calls it."""
    if word in (MAIN, ALL):
        raise UsageError(f"--metrics {word} goes with no other metric", f"write  --metrics {word}  alone")
    found = [c for c in columns if word in (c[1], (metric := metric_of(*c)).title, metric.short)]
    if not found:
        names = list(dict.fromkeys(metric for _, metric in columns))
        raise UsageError(
            f"no run has a metric {word!r}.{did_you_mean(word, names)}", f"one of: {', '.join([MAIN, ALL, *names])}"
        )
    return found


def with_columns(table: Table, columns: Sequence[Column]) -> Table:
    """Gives a table of these columns; rows that have none of them go, and so do means over tasks that are not there."""
    kept = set(columns)
    rows = [replace(row, runs=runs) for row in table.rows if (runs := _runs_with(row.runs, kept))]
    lost = {task for task, _ in table.columns} - {task for task, _ in columns}
    table = replace(
        _with_only(table, rows),
        columns=tuple(columns),
        suspicions=tuple(each for each in table.suspicions if (each.task, each.metric) in kept),
        baselines=None if table.baselines is None else _published_with(table.baselines, kept),
        overalls={} if lost & {*RANKED} - {WINOGROUND} else table.overalls,
        families={} if any(map(is_in_families, lost)) else table.families,
    )
    gains = {
        label: replace(gain, by_column=by_column, untold=tuple(column for column in gain.untold if column in kept))
        for label, gain in table.gains.items()
        if (by_column := {column: pair for column, pair in gain.by_column.items() if column in kept})
    }
    return replace(table, gains=gains)


def _runs_with(runs: Sequence[Run], columns: set[Column]) -> tuple[Run, ...]:
    """Gives the runs with only what they have of these columns; none that has nothing."""
    return tuple(found for run in runs if (found := run.only(columns)).cells)


def _published_with(baselines: Baselines, columns: set[Column]) -> Baselines:
    rows = (
        replace(row, values={column: value for column, value in row.values.items() if column in columns})
        for row in baselines.rows
    )
    return replace(baselines, rows=tuple(row for row in rows if row.values))


# ------------------------------------------------------------ names


def _renamed(tables: Sequence[Table], words: Sequence[str]) -> list[Table]:
    for word in words:
        for line in _lines_of(word):
            tables = _with_name(tables, line)
    for table in tables:
        labels = [row.label for row in table.rows]
        twice = [label for label in dict.fromkeys(labels) if labels.count(label) > 1]
        if twice:
            raise UsageError(f"--rename would call two rows {twice[0]!r}", "give each a name of its own")
    return list(tables)


def _lines_of(word: str) -> list[str]:
    """Gives ``old=new``, or the lines of a file of them; an empty line, or one that begins with #, says nothing."""
    path = Path(word)
    if not path.is_file():
        if "=" not in word:
            raise UsageError(f"--rename {word} is no file, and has no =", "write  --rename 'old name=new name'")
        return [word]
    with open_to_read(path) as file:
        content = file.read(_LONGEST_FILE + 1)
    try:
        if len(content) > _LONGEST_FILE:
            raise ValueError("is too large for a list of names")
        lines = content.decode().splitlines()
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not in UTF-8", "save it as UTF-8") from None
    except ValueError as error:
        raise UsageError(f"{path} {error}", "write a line  old name = new name  for each name") from None
    told = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    for line in told:
        if "=" not in line:
            raise UsageError(f"{path} has a line without =: {line!r:.80}", "write  old name = new name")
    return told


def _with_name(tables: Sequence[Table], line: str) -> list[Table]:
    """Gives the tables with a new name in the place of an old one.

    The name of a model is one also where its settings stand behind it, in the rows of its controls and limits.
    """
    rows = [row for table in tables for row in table.rows]
    old, new = _divided(line, rows)
    names = {row.label: label for row in rows if (label := _new_label(row, old, new)) is not None}
    if not names:
        found = rows_of(old, rows)
        models = {row.name for row in found if old in row.name}  # `old` is a part of them, and not of their settings
        if len(models) > 1:
            raise UsageError(f"--rename {old!r} fits {all_of(sorted(models))}", "write more of the one that is meant")
        names = {row.label: _with_prefix(row, new) for row in rows if row in found or row.name in models}
    return [_called(table, names, new) for table in tables]


def _divided(line: str, rows: Sequence[TableRow]) -> tuple[str, str]:
    """Divides ``old=new`` at the last = behind the name of a row, for labels have some; else at the first."""
    parts = line.split("=")
    known = {name for row in rows for name in (row.label, row.name, row.runs[0].model)}
    splits = [("=".join(parts[:i]).strip(), "=".join(parts[i:]).strip()) for i in range(1, len(parts))]
    old, new = next((split for split in reversed(splits) if split[0] in known), splits[0])
    if not old:
        raise UsageError(f"--rename says no old name: {line!r:.80}", "write  old name=new name")
    if not new or not new.isprintable():
        raise UsageError(f"--rename gives {old!r} a name that cannot be shown: {new!r:.80}", "write  old name=new name")
    return old, new


def _new_label(row: TableRow, old: str, new: str) -> str | None:
    if row.label == old:
        return new
    return _with_prefix(row, new) if old in (row.name, row.runs[0].model) else None


def _with_prefix(row: TableRow, new: str) -> str:
    return f"{new}{row.label.removeprefix(printable(row.name))}"


def _called(table: Table, names: Mapping[str, str], name: str) -> Table:
    def now(label: str) -> str:
        return names.get(label, label)

    return replace(
        table,
        rows=tuple(
            replace(row, label=now(row.label), name=name if row.label in names else row.name) for row in table.rows
        ),
        gains={now(label): replace(gain, label=now(gain.label)) for label, gain in table.gains.items()},
        suspicions=tuple(replace(each, label=now(each.label)) for each in table.suspicions),
        overalls={now(label): means for label, means in table.overalls.items()},
        families={now(label): means for label, means in table.families.items()},
    )
