"""The report as one HTML page that needs nothing else: no network, no font, no script but its own.

Owns the order of the page and its security policy. What stands in its parts is made by html_tables.py, html_figures.py,
html_methods.py and html_images.py; page.html.j2, page.css and page.js say how it looks and behaves. All text goes
through Jinja's escaping: names come from logs and may hold anything.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from babycli import __version__
from babycli.domain import ImageRef
from babycli.report import differences, html_figures, html_methods, html_tables
from babycli.report.compare import Comparison
from babycli.report.differences import Item
from babycli.report.grid import Grid
from babycli.report.html_images import IMAGES_WARNING, MAX_PICTURES, Images, Picture
from babycli.report.runs import Unread
from babycli.report.tables import Table, heading, metrics_of
from babycli.report.turns import LoggedTurn
from babycli.tasks.about import About, in_order, with_siblings
from babycli.wording import all_of, printable

__all__ = ["IMAGES_WARNING", "Images", "page"]

_HERE = Path(__file__).parent
_PictureKey = tuple[str, ImageRef]  # task, and its picture


@dataclass(frozen=True, slots=True)
class Page:
    text: str
    has_pictures: bool  # of the dataset


@dataclass(frozen=True, slots=True)
class _Part:
    """One table with all that is drawn of it."""

    anchor: str
    summary: html_tables.Summary
    forests: tuple[html_figures.Forest, ...]
    heats: tuple[html_tables.Heat, ...]
    drawn: str  # by what kinds of groups
    curves: html_figures.Curves
    turns: html_figures.Curves


@dataclass(frozen=True, slots=True)
class _Differences:
    """The grid of differences; its heads are one text each here."""

    grid: Grid
    heads: tuple[str, ...]
    scales: str  # what is counted in what


@dataclass(frozen=True, slots=True)
class _Listed:
    """The items of a comparison that the model ``label`` got more for than ``other``."""

    comparison: Comparison
    label: str
    other: str
    items: Sequence[Item]


@dataclass(frozen=True, slots=True)
class _Shown:
    """A picture of an item."""

    image: str
    picture: Picture
    picture_id: str  # of its one copy in the page; empty where there is none


@dataclass(frozen=True, slots=True)
class _TurnLine:
    """A turn of an item: what was asked, and what two models said."""

    question: str
    right: str
    said: str
    said_by_other: str


@dataclass(frozen=True, slots=True)
class _ItemLine:
    trial_id: str
    texts: tuple[str, ...]
    pictures: tuple[_Shown, ...]
    turns: tuple[_TurnLine, ...]


@dataclass(frozen=True, slots=True)
class _Items:
    """The trials in which one model got more than another."""

    task: str
    label: str
    other: str
    fields: tuple[str, ...]
    lines: tuple[_ItemLine, ...]


def page(
    tables: Sequence[Table],
    comparisons: Sequence[Comparison],
    with_items: bool,
    unread: Sequence[Unread],
    images: Images | None,
) -> Page:
    """Writes the whole page. With ``images``, it holds small pictures of the items and says who may see it."""
    sources = html_methods.sourced(tables)
    pictures: dict[_PictureKey, Picture] = {}
    listed = _listed(comparisons) if with_items else []
    if images is not None:
        pictures = _pictures(listed, images)
    ids = {key: f"p{i}" for i, (key, picture) in enumerate(pictures.items()) if picture.uri}
    style, script = _verbatim("page.css"), _verbatim("page.js")
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=_finalized,
    )
    text = environment.get_template("page.html.j2").render(
        version=__version__,
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        benchmarks=_benchmarks(tables),
        n_models=sum(not row.control for table in tables for row in table.rows),
        dates=_dates(tables),
        warning=IMAGES_WARNING if ids else "",
        parts=[_part(i, table) for i, table in enumerate(tables, 1)],
        differences=_differences(comparisons),
        items=[_items(each, pictures, ids) for each in listed],
        of_scores=_of_scores(with_siblings(each.comparison.task for each in listed)),
        pictures=[(ids[key], picture) for key, picture in pictures.items() if key in ids],
        with_pictures=images is not None,
        unread=unread,
        methods=html_methods.methods(tables, comparisons, sources),
        provenance=[html_methods.provenance(source) for source in sources],
        n_suspects=html_tables.N_SUSPECTS,
        n_marks=html_figures.N_MARKS,
        n_heat=html_tables.N_HEAT,
        n_series=html_figures.N_SERIES,
    )
    return Page(text, has_pictures=bool(ids))


def _part(number: int, table: Table) -> _Part:
    heats = html_tables.heat_maps(table)
    return _Part(
        anchor=f"part{number}",
        summary=html_tables.summary(table),
        forests=tuple(html_figures.forests(table)),
        heats=tuple(heats),
        drawn=all_of(dict.fromkeys(heat.by for heat in heats)),
        curves=html_figures.learning_curves(table),
        turns=html_figures.turn_curves(table),
    )


def _finalized(value: Any) -> Any:
    """Gives a value of the page; no name in it steers a terminal, or turns the words beside it around."""
    return value if isinstance(value, Markup | int | float) else printable(str(value))


def _verbatim(name: str) -> Markup:
    """Reads a file of the package as it is: the policy lets nothing run or style the page that has another digest."""
    return Markup((_HERE / name).read_text(encoding="utf-8"))  # ours, not the user's


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _benchmarks(tables: Sequence[Table]) -> str:
    """Names what the page is an evaluation of: ``BabyVLM``."""
    tasks = in_order(task for table in tables for task in table.tasks)
    return all_of(dict.fromkeys(task.benchmark.title for task in tasks if task.benchmark)) or "babycli"


def _of_scores(tasks: Sequence[About]) -> str:
    """Says what is listed where no trial is simply right: ``; of captions, those for which it got more``."""
    scored = [task for task in tasks if not all(metric.is_share for metric in task.metrics)]
    units = all_of(dict.fromkeys(task.unit for task in scored))
    is_less = any(not metric.higher_is_better for metric in metrics_of(tasks))
    return (
        f"; of {units}, those for which it got more{', or less where less is better' if is_less else ''}"
        if units
        else ""
    )


def _dates(tables: Sequence[Table]) -> tuple[str, ...]:
    """Finds the first and the last day on which a run was tables, as far as the logs tell: two, one or none."""
    found = {
        "-".join(day.groups())
        for table in tables
        for run in table.runs
        if (day := re.match(r"(\d{4})-?(\d{2})-?(\d{2})(?!\d)", run.date))
    }
    return tuple(sorted({min(found), max(found)})) if found else ()


def _differences(comparisons: Sequence[Comparison]) -> _Differences | None:
    if not comparisons:
        return None
    grid = differences.as_grid(comparisons)
    is_in_points, told = differences.units(comparisons, "×")
    scales = ", ".join([*(["points"] if is_in_points else []), *told])
    return _Differences(grid, tuple(f"{over} {under}".strip() for over, under in grid.heads), scales)


def _listed(comparisons: Sequence[Comparison]) -> list[_Listed]:
    """Lists the items of each comparison, those of either model apart; none without items."""
    found = []
    for each in comparisons:
        first, second = each.first.label, each.second.label
        of_first, of_second = differences.items(each)
        found += [_Listed(each, first, second, of_first), _Listed(each, second, first, of_second)]
    return [each for each in found if each.items]


def _pictures(listed: Sequence[_Listed], images: Images) -> dict[_PictureKey, Picture]:
    """Reads the pictures by task and reference, each once however often it is listed."""
    wanted: dict[str, list[ImageRef]] = {}
    for each in listed:
        wanted.setdefault(each.comparison.task, []).extend(image for item in each.items for image in item.images)
    found: dict[_PictureKey, Picture] = {}
    for task, of_task in wanted.items():
        left = MAX_PICTURES - sum(bool(picture.uri) for picture in found.values())
        found |= {(task, image): picture for image, picture in images.pictures(task, of_task, left).items()}
    return found


def _items(
    listed: _Listed,
    pictures: Mapping[_PictureKey, Picture],
    ids: Mapping[_PictureKey, str],
) -> _Items:
    comparison = listed.comparison
    fields = tuple(dict.fromkeys(field for item in listed.items for field in item.about))
    lines = []
    for item in listed.items:
        unnamed = Picture("", 0, 0, "the log does not name it")
        keys = [(comparison.task, image) for image in item.images]
        shown = [_Shown(key[1].name, pictures.get(key, unnamed), ids.get(key, "")) for key in keys]
        texts = tuple(item.about.get(field, "") for field in fields)
        turns = _turns(listed, item.trial_id)
        lines.append(_ItemLine(item.trial_id, texts, tuple(shown or [_Shown("", unnamed, "")]), turns))
    title = " ".join(heading((comparison.task, comparison.metric)))
    return _Items(title, listed.label, listed.other, tuple(field.replace("_", " ") for field in fields), tuple(lines))


def _turns(listed: _Listed, trial_id: str) -> tuple[_TurnLine, ...]:
    """Puts what both models said in an item side by side; nothing where the logs do not tell of turns."""
    of_both = differences.turns(listed.comparison, trial_id)
    if listed.label != listed.comparison.first.label:
        of_both = of_both[::-1]
    return tuple(
        _TurnLine(one.question, one.right, _said(one), _said(other)) for one, other in zip(*of_both, strict=False)
    )


def _said(turn: LoggedTurn) -> str:
    """Writes what was said, and what was read in it where that is not the same: ``“It is a dog” → no answer``."""
    if not turn.said or turn.said.strip().casefold() == turn.read.casefold():
        return f"“{turn.read}”" if turn.read else "no answer"
    return f"“{turn.said}” → {turn.read or 'no answer'}"
