"""What the bridge hands to lmms-eval, as far as reading the logs of it must know: names, and the order of questions.

Owns what bridge.py writes and bridged_lines.py reads back, so that both agree. Never reads or writes a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from babycli.domain import Item, Row
from babycli.tasks.base import Task

PREFIX = "babycli_"  # of a task's name there: lmms-eval may have tasks of the same names
# What choices.winoground wants first: the frame before the synthetic picture. Other tasks keep the file's order.
_LATER: Mapping[str, Callable[[Row], bool]] = {"baby_winoground": lambda row: bool(row["image_tag"] == "negative")}


def places_asked(task: Task, item: Item) -> list[int]:
    """Gives the places of an item's rows in the order in which a document asks about them."""
    is_later = _LATER.get(task.name)
    places = list(range(len(item.rows)))
    return places if is_later is None else sorted(places, key=lambda place: is_later(item.rows[place]))
