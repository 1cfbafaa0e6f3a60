"""A model of a test's own: it says of each picture and text what a table says, told by the colour and the words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Colour = tuple[int, int, int]


class GoldenModel:
    def __init__(self, device: str, dtype: str, table: str) -> None:
        self.table: dict[str, list[Any]] = json.loads(Path(table).read_text())

    def encode(self, images: Sequence[Any]) -> list[Colour]:
        return [image.getpixel((0, 0)) for image in images]

    def similarity(self, images: Sequence[Colour], texts: Sequence[str]) -> list[float]:
        return [self._said(image, text) for image, text in zip(images, texts, strict=True)]

    def _said(self, colour: Colour, text: str) -> float:
        red, green, blue = colour
        value = self.table[str((red << 16) + (green << 8) + blue)][int(text.split()[1])]
        return float("nan" if value is None else value)
