"""What all figures of a paper have in common: widths, colours and letters, and names that are folded to their room.

Owns how a figure looks. Colours and marks are those of the page (page.css). Never knows what is drawn.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from babycli.domain import Metric
from babycli.report import values
from babycli.report.folding import fold
from babycli.report.measure import Interval
from babycli.wording import printable, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ONE_COLUMN, TWO_COLUMNS = 3.3, 7.0  # inches of a paper, where the letters are as large as its captions have them
LINE_IN = 0.15  # a line of text is high
NAME_ROOM = 28  # characters of a name on one line
_MOST_CHARACTERS = 100  # of a name
_CHARACTER_IN = 0.062  # a letter of a name is wide
_WIDEST_IN = 300  # as wide or high as a picture of 200 dots an inch can be
INK, QUIET, MODEL = "#1b2126", "#555f68", "#0f5c8c"
GRID: Any = {"color": "#d9dde0", "linewidth": 0.6}
CHANCE: Any = {"color": QUIET, "linewidth": 0.9, "linestyle": (0, (4, 3))}
STYLE: Any = {
    "font.size": 8,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.titlesize": 8,
    "text.color": INK,
    "text.parse_math": False,  # a $ in a name is one
    "xtick.color": INK,
    "ytick.color": INK,
    "pdf.fonttype": 42,  # text stays text that can be searched and edited
    "svg.fonttype": "none",
    "svg.hashsalt": "babycli",
}


def new_figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(min(width, _WIDEST_IN), min(height, _WIDEST_IN)), layout="constrained")


def in_words(text: str) -> str:
    """Gives a name as there is room for it; no font has what steers a terminal."""
    return shortened(printable(text), _MOST_CHARACTERS)


def on_lines(text: str, room: int = NAME_ROOM) -> str:
    """Gives a name on as many lines as it needs."""
    return "\n".join(fold(in_words(text), room))


def width_of(names: Iterable[str]) -> float:
    """Gives how many inches the longest line of some names takes."""
    return _CHARACTER_IN * max((len(line) for name in names for line in name.split("\n")), default=0)


def middles_of(names: Sequence[str]) -> list[float]:
    """Gives where the middle of each row is, in lines of text from above, so that names of several have room."""
    ends = list(itertools.accumulate(map(_height, names)))
    return [end - _height(name) / 2 for end, name in zip(ends, names, strict=True)]


def height_of(names: Sequence[str]) -> float:
    """Gives how many lines of text rows of these names take."""
    return sum(map(_height, names))


def _height(name: str) -> float:
    return n_lines(name) + 0.5


def n_lines(name: str) -> int:
    return name.count("\n") + 1


def scale_told(metric: Metric) -> str:
    """Says what stands along an axis: ``%``, or ``METEOR × 100``."""
    return values.with_scales([metric], "×", "%")[0]


def set_ticks(panel: Axes, axis: Any, metric: Metric, most: int) -> None:
    """Puts ticks at round numbers, three at least where these are short."""
    if metric.shown_scale == 100:
        panel.locator_params(axis=axis, nbins=most, steps=[1, 2, 5, 10], min_n_ticks=3)
    else:
        panel.locator_params(axis=axis, nbins=3)  # as many as long numbers have room for


def draw_chance(panel: Axes, metric: Metric, vertical: bool) -> None:
    if metric.chance is not None:
        line = panel.axvline if vertical else panel.axhline
        line(metric.shown_scale * metric.chance, **CHANCE)


def draw_band(panel: Axes, at: Any, intervals: Sequence[Interval], metric: Metric, colour: str) -> None:
    low, high = ([metric.shown_scale * interval[end] for interval in intervals] for end in (0, 1))
    panel.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
