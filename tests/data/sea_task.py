"""A source of pictures and a task of its own that only tests register: JSON labels, several pictures of two sources.

Owns no expectation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from babycli.data.sources.base import Source
from babycli.domain import ImageRef, Item, Metric, Outcome, Row, Write, ask
from babycli.tasks.base import Asking, LabelFormat, Needs, Play, StructureProblem, Task, is_unanswered, text_of
from tests.data.demo_copy import DATASET

SEA = Source("sea", "pictures of the sea")
LABELS = "kits/sea/seen_before.json"
LINK = "kits/sea/images"
SHARED_LINK = "vtwt/images"  # VTWT's: several tasks may read behind one link


class SeenBefore(Task):
    """Two pictures of the sea and a frame that VTWT does not read by its labels alone."""

    name = "seen_before"
    title = "Seen Before"
    question = "which of 2 pictures of the sea was seen before"
    metrics = (Metric("acc", "share", "acc", "acc", chance=1 / 2, is_main=True),)
    needs = Needs("write", n_images=3)
    label_path = LABELS
    label_format: LabelFormat = "json"
    columns = ("id", "pictures", "frame")
    links: Mapping[str, str] = {"sea": LINK, "saycam": SHARED_LINK}

    def items(self, rows: Sequence[Row]) -> list[Item]:
        return [
            Item(
                row["id"],
                (i,),
                (row,),
                (*(ImageRef("sea", name) for name in row["pictures"]), ImageRef("saycam", row["frame"])),
            )
            for i, row in enumerate(rows)
        ]

    def play(self, item: Item, asking: Asking) -> Play:
        answers = yield [Write(ask("Which one?", *item.images), 2)]
        is_right = text_of(answers[0]) == item.rows[0].get("answer")
        return Outcome(item.item_id, {"acc": float(is_right)}, is_answered=not is_unanswered(answers))

    def problems(self, rows: Sequence[Row]) -> list[StructureProblem]:
        return [
            StructureProblem(row["id"], f"item {row['id']} shows {len(row['pictures'])} pictures, should show 2")
            for row in rows
            if len(row["pictures"]) != 2
        ]


def rows_of(n_items: int) -> list[dict[str, object]]:
    return [
        {
            "id": f"s{i}",
            "pictures": [f"north/sea_{i:02}.png", f"south/sea_{i:02}.png"],
            "frame": f"demo_frame_{i:03}.png",
            "answer": "A",
        }
        for i in range(n_items)
    ]


def write_labels(rows: Sequence[Mapping[str, object]], dataset: Path = DATASET) -> Path:
    path = dataset / LABELS
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))
    return path


def write_pictures(folder: Path, pictures: Sequence[bytes]) -> Path:
    """A folder with all that rows_of() names of the sea: half of the pictures in the north, half in the south."""
    for i, content in enumerate(pictures):
        path = folder / ("north", "south")[i % 2] / f"sea_{i // 2:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
