"""A task of the user's own on frames that are named as SAYCam's are, with pictures that do not look alike.

Owns no expectation.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

CODE = """
from babycli.domain import ImageRef, Item, Metric, Outcome, Score, ask
from babycli.tasks.base import Needs, Task


class Frames(Task):
    name = "frames"
    title = "Frames"
    question = "what is to be seen"
    metrics = (Metric("acc", "share", "acc", "acc", chance=1 / 2, is_main=True),)
    needs = Needs("score", n_images=2)
    label_path = "frames/frames.json"
    label_format = "json"
    columns = ("id", "pictures")
    links = {"saycam": "frames/images"}

    def items(self, rows):
        return [
            Item(row["id"], (i,), (row,), tuple(ImageRef("saycam", name) for name in row["pictures"]))
            for i, row in enumerate(rows)
        ]

    def play(self, item, asking):
        yield [Score(ask("", *item.images), word) for word in ("yes", "no")]
        return Outcome(item.item_id, {"acc": 1.0})


TASK = Frames()
"""
TASK = ("--tasks", "frames.py:TASK")
NAMES = tuple(  # of two utterances of each of two recordings, two frames that are 2 seconds apart
    f"S_20140420_1803_0{part}_{utterance:03}_{frame:02}.jpg"
    for part in (1, 2)
    for utterance in (7, 8)
    for frame in (0, 10)
)


def drawn(seed: int) -> Image.Image:
    """A picture of many discs and bars, which no other seed draws."""
    rng = random.Random(seed)
    image = Image.new("RGB", (224, 224), tuple(rng.randrange(256) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    for _ in range(40):
        x, y, wide, high = (
            rng.randrange(-20, 224),
            rng.randrange(-20, 224),
            rng.randrange(9, 90),
            rng.randrange(9, 90),
        )
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((x, y, x + wide, y + high), fill=tuple(rng.randrange(256) for _ in range(3)))
    return image


def write_frames(names: Sequence[str] = NAMES, linked: bool = True) -> None:
    """Writes the task's file, its labels of one picture each, and the pictures, below the current folder."""
    Path("frames.py").write_text(CODE)
    folder = Path("dataset/frames")
    folder.mkdir(parents=True)
    rows = [{"id": f"t{i}", "pictures": [name]} for i, name in enumerate(names)]
    (folder / "frames.json").write_text(json.dumps(rows))
    for i, name in enumerate(names if linked else ()):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn(i).save(path, quality=95)
