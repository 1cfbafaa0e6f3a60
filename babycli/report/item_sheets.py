"""How items are shown: as tables for a terminal and Markdown, as lines of csv, as records of JSON.

Owns these layouts, for the items that only one of two models got right and for those that one model got wrong. What is
in them comes from items.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from babycli.domain import Metric
from babycli.errors import DataError
from babycli.report import values
from babycli.report.compare import Comparison
from babycli.report.grid import Grid, Line
from babycli.report.items import Given, Round, ShownItem, shown_items
from babycli.report.records import names_of
from babycli.report.rows import Column, TableRow
from babycli.report.sheet import Lines, Sheet
from babycli.report.tables import Table, heading
from babycli.tasks import all_tasks
from babycli.tasks.about import about, metric_of

CHOSE = ">"  # before the score of what a model chose
RIGHT = "(right)"  # behind a candidate
_OF_TWO = ("first", "second")
_OF_ROUND = ("turn", "question", "candidate", "right")
_OF_MODEL = ("score", "chosen", "said", "read", "value")


@dataclass(frozen=True, slots=True)
class ItemList:
    """Items of one task, with what one model or two gave for them."""

    rows: tuple[TableRow, ...]
    task: str
    metric: str
    only: str  # the label of the model that got more for them; "" where they are those of one model
    items: tuple[ShownItem, ...]
    with_right: bool = False  # of one model, also those that it got right

    @property
    def described(self) -> Metric:
        return metric_of(self.task, self.metric)

    @property
    def title(self) -> str:
        """What is listed: ``VTWT acc: only lab/a``, ``VTWT acc: wrong by lab/a``."""
        if self.described.is_share:
            of_one = f"{'answers of' if self.with_right else 'wrong by'} {self.rows[0].label}"
            of = f"only {self.only}" if self.only else of_one
        else:
            of = f"better by {self.only}" if self.only else f"{self.rows[0].label}, worst first"
        return f"{' '.join(heading((self.task, self.metric)))}: {of}"

    @property
    def heads(self) -> tuple[str, ...]:
        """What stands over the numbers of each model."""
        return ("A", "B") if len(self.rows) == len(_OF_TWO) else ("score",)


def of_comparison(comparison: Comparison) -> list[ItemList]:
    """Lists the items that only the first, and only the second model got right, or did better in; none of no items."""
    rows, found = (comparison.first, comparison.second), comparison.paired
    of_both = zip(rows, (found.only_first, found.only_second), strict=True)
    return [_list(rows, (comparison.task, comparison.metric), row.label, places) for row, places in of_both if places]


def wrong_of(tables: Sequence[Table], columns: Sequence[Column], with_right: bool) -> list[ItemList]:
    """Lists what each row of the tables got wrong in these columns, the worst first; ``with_right`` the others too.

    Raises DataError where no run has its trials.
    """
    found = []
    for row in (row for table in tables for row in table.rows):
        for task, metric in columns:
            trials = row.trials(task)
            if trials is None or metric not in trials.values:
                continue
            described = metric_of(task, metric)
            got = trials.values[metric] * (1 if described.higher_is_better else -1)
            best = described.limits[1] if described.higher_is_better else -described.limits[0]
            places = np.argsort(got, kind="stable") if not described.is_share else np.arange(len(got))
            kept = places if with_right else places[got[places] < best]
            found.append(_list((row,), (task, metric), "", tuple(kept.tolist()), with_right))
    if not found:
        raise DataError("no run has the results of single items", "evaluate again: their outcomes or samples are gone")
    return found


def _list(
    rows: tuple[TableRow, ...], column: Column, only: str, places: Sequence[int], with_right: bool = False
) -> ItemList:
    items = shown_items(rows, *column, places) if places else []
    return ItemList(rows, *column, only, tuple(items), with_right)


# ------------------------------------------------------------ tables


def as_grid(listed: ItemList) -> Grid:
    """Makes a table of the items: under each its candidates with their scores, or what was written."""
    heads = listed.heads
    names = [f"{head}: {row.label}" for head, row in zip(heads, listed.rows, strict=True)] if len(heads) > 1 else []
    sections = [tuple(_lines(listed, item)) for item in listed.items]
    n = len(listed.items)
    title = f"{listed.title} ({n} {about(listed.task).unit if n != 1 else 'item'})"
    is_told = any(item.about or item.rounds for item in listed.items)
    over = (("", "item" if is_told else ""), *(("", head) for head in heads))
    return Grid("trial", over, tuple(sections), title=title, lead=(*names, *_told(listed)), left=(0,))


def _told(listed: ItemList) -> list[str]:
    """Says what the numbers and marks are."""
    given = [each for item in listed.items for r in item.rounds if r.candidates for each in r.given if each is not None]
    told = []
    if listed.task not in all_tasks():
        told.append(
            f"No task {listed.task} is known here, so its items are not described: one in a file is named by --tasks "
            "FILE:TASK, trials of your own by --tasks FILE.jsonl."
        )
    if given:
        kinds = dict.fromkeys(
            "similarity, more is nearer" if e.is_similarity else "mean loss, less is better" for e in given
        )
        told.append(f"{'; '.join(kinds)}; {CHOSE} what the model chose, {RIGHT} what is right.")
    return told


def _lines(listed: ItemList, item: ShownItem) -> list[Line]:
    none = ("",) * len(listed.rows)
    got = tuple(value_text(listed.described, value) for value in item.values)
    lines = [Line(item.trial_id, (", ".join(item.about.values()), *got))]
    for number, of_round in enumerate(item.rounds, 1):
        if of_round.question:
            lead = f"turn {number}: " if len(item.rounds) > 1 else ""
            lines.append(Line("", (f"{lead}{of_round.question}", *none)))
        for i, candidate in enumerate(of_round.candidates):
            name = f"  {candidate.text}{f' {RIGHT}' if candidate.is_right else ''}"
            lines.append(Line("", (name, *(score_text(given, i) for given in of_round.given))))
        if of_round.right and not of_round.candidates:
            lines.append(Line("", (f"  {right_word(of_round)}: {of_round.right}", *none), "quiet"))
        for head, given in zip(listed.heads, of_round.given, strict=True):
            if said := said_text(of_round, given):
                lines.append(Line("", (f"  {head if len(listed.rows) > 1 else 'said'}: {said}", *none)))
    return lines


def value_text(metric: Metric, value: float) -> str:
    """Writes what an item got: of a share that is right or wrong, unless it got a part."""
    words = {metric.limits[1]: "right", metric.limits[0]: "wrong"} if metric.is_share else {}
    return words.get(value) or values.number(metric, value)


def score_text(given: Given | None, place: int) -> str:
    """Writes the score of a candidate, with a mark before that of the one that was chosen."""
    score = given.scores[place] if given is not None and place < len(given.scores) else None
    if given is None or score is None:
        return "?"
    return f"{f'{CHOSE} ' if given.chosen[place] else ''}{score:.3f}"


def said_text(of_round: Round, given: Given | None) -> str:
    """Writes what was said, what was read in it where that is not the same, and whether it is wrong.

    ``“It is a dog” → no answer, wrong``
    """
    if given is None or (of_round.candidates and not given.said):
        return ""
    if not of_round.is_of_closed_set:
        return f"“{given.said}”"
    read = f"“{given.read}”" if given.read else "no answer"
    if given.said and given.said.strip().casefold() != given.read.casefold():
        read = f"“{given.said}” → {given.read or 'no answer'}"
    return read if given.read == of_round.right else f"{read}, wrong"


def right_word(of_round: Round) -> str:
    """Names the text that stands for what is right."""
    return "right" if of_round.is_of_closed_set else "reference"


# ------------------------------------------------------------ csv and json


def lines(lists: Sequence[ItemList], tasks: Iterable[str], two: bool) -> Lines:
    """Makes a line for each candidate of each item, and one for each text; with the columns of all of these tasks."""
    told = {task: [item for listed in lists if listed.task == task for item in listed.items] for task in tasks}
    columns: list[str] = []
    for task, items in told.items():
        if not items or any(item.about for item in items):  # else nothing tells of the items
            columns += about(task).item_columns
    of_models = [f"{model}_{name}" for model in _OF_TWO for name in _OF_MODEL] if two else [*_OF_MODEL]
    of_list = [*_OF_TWO, "task", "metric", "only"] if two else ["model", "label", "path", "task", "metric"]
    names = dict.fromkeys([*of_list, "trial", *columns, *_OF_ROUND, *of_models])
    return Lines(tuple(names), tuple(line for listed in lists for line in _lines_of_list(listed)))


def _lines_of_list(listed: ItemList) -> list[Mapping[str, object]]:
    two = len(listed.rows) > 1
    of_rows = dict(zip(_OF_TWO, (row.label for row in listed.rows), strict=True)) if two else names_of(listed.rows[0])
    lead = {**of_rows, "task": listed.task, "metric": listed.metric, **({"only": listed.only} if two else {})}
    found: list[Mapping[str, object]] = []
    for item in listed.items:
        of_item = {**item.about, **lead, "trial": item.trial_id, **_named(list(item.values), "value", two)}
        of_rounds = [line for number, each in enumerate(item.rounds, 1) for line in _round_lines(each, number, two)]
        found += [{**of_item, **line} for line in of_rounds or [{}]]
    return found


def _round_lines(of_round: Round, number: int, two: bool) -> list[dict[str, object]]:
    lead: dict[str, object] = {"turn": number, "question": of_round.question or None}
    told = _candidates(of_round, two)
    texts = _texts(of_round, two)
    if of_round.right or any(texts.values()):
        told.append({"right": of_round.right or None, **texts})
    return [{**lead, **line} for line in told]


def _candidates(of_round: Round, two: bool) -> list[dict[str, object]]:
    found = []
    for i, candidate in enumerate(of_round.candidates):
        scores = [None if given is None or i >= len(given.scores) else given.scores[i] for given in of_round.given]
        chosen = [None if given is None or i >= len(given.chosen) else given.chosen[i] for given in of_round.given]
        line: dict[str, object] = {"candidate": candidate.text, "right": candidate.is_right}
        found.append({**line, **_named(scores, "score", two), **_named(chosen, "chosen", two)})
    return found


def _texts(of_round: Round, two: bool) -> dict[str, object]:
    said = [None if given is None else given.said or None for given in of_round.given]
    read = [None if given is None else given.read or None for given in of_round.given]
    return {**_named(said, "said", two), **_named(read, "read", two)}


def _named(of_models: Sequence[object], name: str, two: bool) -> dict[str, object]:
    return {f"{model}_{name}": v for model, v in zip(_OF_TWO, of_models, strict=True)} if two else {name: of_models[0]}


def document(item: ShownItem) -> dict[str, object]:
    """Makes the record of an item: its candidates, or its turns, or what was written."""
    two = len(item.values) > 1
    made: dict[str, object] = {"trial": item.trial_id, **item.about, **_named(list(item.values), "value", two)}
    rounds = [_round_document(each, two) for each in item.rounds]
    if any(each.is_of_closed_set for each in item.rounds):
        return made | {"turns": rounds}
    return made | (rounds[0] if len(rounds) == 1 else {"turns": rounds} if rounds else {})


def _round_document(of_round: Round, two: bool) -> dict[str, object]:
    made: dict[str, object] = {"question": of_round.question} if of_round.question else {}
    if of_round.candidates:
        made["candidates"] = _candidates(of_round, two)
    if of_round.right or not of_round.candidates:
        texts = {name: text or "" for name, text in _texts(of_round, two).items()}
        made |= {"right": of_round.right, **texts}
    return made


def records(lists: Sequence[ItemList]) -> list[dict[str, object]]:
    """Makes a record for each list of one model's items."""
    return [
        {**names_of(listed.rows[0]), "task": listed.task, "metric": listed.metric}
        | {"items": [document(item) for item in listed.items]}
        for listed in lists
    ]


def sheet(lists: Sequence[ItemList]) -> Sheet:
    """Makes the report of --wrong."""
    return Sheet(
        tuple(map(as_grid, lists)),
        tuple(records(lists)),
        lines=lines(lists, [listed.task for listed in lists], two=False),
    )
