"""The report as one HTML page that needs nothing else: no network, no font, no script but its own.

Owns the order of the page and its security policy. What stands in its parts is made by html_tables.py, html_figures.py,
html_methods.py and html_images.py; page.html.j2, page.css and page.js say how it looks and behaves. All text goes
through Jinja's escaping: names come from logs and may hold anything.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import babycli
from babycli.errors import DataError
from babycli.report import (
    breakdown,
    differences,
    html_figures,
    html_items,
    html_methods,
    html_tables,
    overlap_scores,
    seeds,
)
from babycli.report.compare import Comparison
from babycli.report.grid import Grid
from babycli.report.html_images import IMAGES_WARNING, Images
from babycli.report.item_sheets import CHOSE, RIGHT, ItemList
from babycli.report.runs import Unread
from babycli.report.tables import Table, metrics_of
from babycli.tasks.about import About, in_order
from babycli.tasks.groups import STYLE
from babycli.wording import all_of, printable

__all__ = ["IMAGES_WARNING", "Images", "page"]

_HERE = Path(__file__).parent
_HOME = re.compile(r"(?<![\w.~/-])(?:/home/|/Users/|[A-Za-z]:\\Users\\)[^/\\\s'\",:;]+")


@dataclass(frozen=True, slots=True)
class Page:
    text: str
    has_pictures: bool  # of the dataset
    remarks: tuple[str, ...]  # that pictures have changed since a run


@dataclass(frozen=True, slots=True)
class _Plain:
    """A grid beside the summary; or why there is none, where there should be one. Its heads are one text each here."""

    grid: Grid | None
    heads: tuple[str, ...] = ()
    why: str = ""


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
    overlaps: tuple[_Plain, ...]  # scores on leaked and on clean trials
    seeds: _Plain | None
    families: _Plain | None


@dataclass(frozen=True, slots=True)
class _Differences:
    """The grid of differences; its heads are one text each here."""

    grid: Grid
    heads: tuple[str, ...]
    scales: str  # what is counted in what


def page(
    tables: Sequence[Table],
    comparisons: Sequence[Comparison],
    items: Sequence[ItemList],
    unread: Sequence[Unread],
    images: Images | None,
    people: Sequence[Grid] = (),
) -> Page:
    """Writes the whole page. With ``images``, it holds small pictures of the items and says who may see it."""
    sources = html_methods.sourced(tables)
    pictures = None if images is None else html_items.read_pictures(items, images)
    copies = [] if pictures is None else [(name, pictures.by_key[key]) for key, name in pictures.ids.items()]
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
        version=babycli.__version__,
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        benchmarks=_benchmarks(tables),
        n_models=len({html_methods.weights_of(row) for table in tables for row in table.rows if not row.control}),
        dates=_dates(tables),
        warning=IMAGES_WARNING if copies else "",
        parts=[_part(i, table) for i, table in enumerate(tables, 1)],
        differences=_differences(comparisons),
        people=[_Plain(grid, _heads(grid)) for grid in people],
        items=[html_items.as_items(listed, pictures) for listed in items],
        items_told=_items_told(items),
        pictures=copies,
        with_pictures=images is not None,
        remarks=() if pictures is None else pictures.remarks,
        unread=unread,
        methods=html_methods.methods(tables, comparisons, sources),
        provenance=[html_methods.provenance(source) for source in sources],
        n_suspects=html_tables.N_SUSPECTS,
        n_marks=html_figures.N_MARKS,
        n_heat=html_tables.N_HEAT,
        n_series=html_figures.N_SERIES,
    )
    return Page(text, has_pictures=bool(copies), remarks=() if pictures is None else pictures.remarks)


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
        overlaps=tuple(
            _Plain(grid, overlap_scores.heads_in_full(grid)) for grid in overlap_scores.as_grids(_split_alone(table))
        ),
        seeds=_over_seeds(table),
        families=_plain(breakdown.family_grid(table.rows, STYLE.name)),
    )


def _split_alone(table: Table) -> list[overlap_scores.OverlapScore]:
    """Gives the scores on leaked and on clean trials, where a report is of both."""
    rows = [row for row in table.rows if not any(run.overlap and run.overlap.only for run in row.runs)]
    return overlap_scores.overlap_scores(rows)


def _over_seeds(table: Table) -> _Plain | None:
    """Gathers the models with several seeds; None where there are none."""
    try:
        gathered, _ = seeds.gather(table.rows)
    except DataError as error:
        return _Plain(None, why=error.message)
    several = [of_model for of_model in gathered if of_model.n > 1]
    if not several:
        return None
    return _plain(seeds.grid_of(table, several, ()))


def _plain(grid: Grid | None) -> _Plain | None:
    return None if grid is None else _Plain(grid, _heads(grid))


def _finalized(value: Any) -> Any:
    """Gives a value of the page; no name in it steers a terminal, turns words around, or tells whose home it is of."""
    return value if isinstance(value, Markup | int | float) else printable(_as_elsewhere(str(value)))


def _as_elsewhere(text: str) -> str:
    """Gives a text with paths as others may see them: from the working folder on, and ``~`` for a home folder."""
    if "/" not in text and "\\" not in text:
        return text
    here, home = Path.cwd(), Path.home()
    for folder, instead in ((here, ""), (home, "~/")):
        if folder != folder.parent:  # not of the root
            text = text.replace(f"{folder}/", instead)
    return _HOME.sub("~", text)


def _verbatim(name: str) -> Markup:
    """Reads a file of the package as it is: the policy lets nothing run or style the page that has another digest."""
    return Markup((_HERE / name).read_text(encoding="utf-8"))  # ours, not the user's


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _benchmarks(tables: Sequence[Table]) -> str:
    """Names what the page is an evaluation of: ``BabyVLM``."""
    tasks = in_order(task for table in tables for task in table.tasks)
    return all_of(dict.fromkeys(task.benchmark.title for task in tasks if task.benchmark)) or "babycli"


def _items_told(lists: Sequence[ItemList]) -> str:
    """Says which items are listed, and how to read them."""
    which = "Trials with what a model gave" if any(i.with_right for i in lists) else "Trials that a model got wrong"
    if any(listed.only for listed in lists):
        which = f"Trials that one model got right and the other did not{_of_scores(in_order(i.task for i in lists))}"
    has_scores = any(r.candidates for listed in lists for item in listed.items for r in item.rounds)
    how = f" Of candidates, {RIGHT} is the right one, and {CHOSE} stands before the score of what a model chose."
    return f"{which}.{how if has_scores else ''}"


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
    return _Differences(grid, _heads(grid), scales)


def _heads(grid: Grid) -> tuple[str, ...]:
    return tuple(f"{over} {under}".strip() for over, under in grid.heads)
