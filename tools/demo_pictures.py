"""Draws the demo's pictures: one toy on a plain ground, from a seed.

Owns what a demo picture shows and how it is put in words. Never writes a file: build_demo_data.py and
train_demo_model.py do, from different seeds. devcv_pictures.py draws several of these toys into a picture.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw

SIZE = 64
SCALE = 4  # drawn four times as large, then reduced: smooth edges

TOYS = ("ball", "star", "house", "fish", "tree", "cup", "car", "boat")
COLOURS = {
    "red": (214, 40, 40),
    "blue": (40, 80, 214),
    "green": (30, 150, 60),
    "yellow": (245, 205, 30),
    "pink": (240, 120, 190),
    "black": (40, 40, 44),
}
GROUNDS = {
    "sky": (176, 214, 240),
    "grass": (178, 214, 150),
    "sand": (232, 216, 176),
    "snow": (238, 242, 246),
}
_PLACES = {"sky": "in the sky", "grass": "on the grass", "sand": "on the sand", "snow": "in the snow"}


@dataclass(frozen=True, slots=True)
class Scene:
    toy: str
    colour: str
    ground: str

    @property
    def phrase(self) -> str:
        return f"{self.colour} {self.toy}"

    def caption(self, rng: random.Random) -> str:
        place = _PLACES[self.ground]
        return rng.choice(
            (
                f"look , there is a {self.phrase} {place} .",
                f"look , a {self.phrase} {place} .",
                f"look at the {self.phrase} {place} .",
            )
        )


def random_scene(rng: random.Random, toy: str | None = None) -> Scene:
    return Scene(toy or rng.choice(TOYS), rng.choice(list(COLOURS)), rng.choice(list(GROUNDS)))


def draw(scene: Scene, rng: random.Random) -> Image.Image:
    """The scene as a (64, 64) RGB picture; place, size, tilt and shade vary with ``rng``."""
    full = SIZE * SCALE
    image = Image.new("RGB", (full, full), shade(GROUNDS[scene.ground], rng, 12))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.randint(2, 5)):  # pebbles, so that the ground is not one flat colour
        x, y, r = rng.uniform(0, full), rng.uniform(0, full), rng.uniform(3, 8)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=shade(GROUNDS[scene.ground], rng, 30))
    radius = full * rng.uniform(0.24, 0.34)
    centre = (full * rng.uniform(0.38, 0.62), full * rng.uniform(0.38, 0.62))
    brush = Brush(pen, centre, radius, rng.uniform(-0.2, 0.2), shade(COLOURS[scene.colour], rng, 14))
    TOY_SHAPES[scene.toy](brush)
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def shade(colour: tuple[int, int, int], rng: random.Random, amount: int) -> tuple[int, int, int]:
    red, green, blue = (min(255, max(0, c + rng.randint(-amount, amount))) for c in colour)
    return red, green, blue


class Brush:
    """Draws in a toy's own coordinates: origin at its centre, 1 = its radius, y down, tilted."""

    OUTLINE = (52, 48, 60)
    DETAIL = (250, 250, 245)

    def __init__(
        self,
        pen: ImageDraw.ImageDraw,
        centre: tuple[float, float],
        radius: float,
        tilt: float,
        colour: tuple[int, int, int],
    ) -> None:
        self._pen, self._centre, self._radius = pen, centre, radius
        self._cos, self._sin = math.cos(tilt), math.sin(tilt)
        self.colour = colour

    def shape(
        self, points: list[tuple[float, float]], fill: tuple[int, int, int] | None = None, closed: bool = True
    ) -> None:
        placed = [
            (
                self._centre[0] + self._radius * (x * self._cos - y * self._sin),
                self._centre[1] + self._radius * (x * self._sin + y * self._cos),
            )
            for x, y in points
        ]
        width = max(3, round(self._radius * 0.07))
        if closed:
            self._pen.polygon(placed, fill=fill or self.colour)
            placed = [*placed, placed[0], placed[1]]
        self._pen.line(placed, fill=self.OUTLINE, width=width, joint="curve")

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: tuple[int, int, int] | None = None) -> None:
        turn = [2 * math.pi * k / 48 for k in range(48)]
        self.shape([(x + rx * math.cos(a), y + ry * math.sin(a)) for a in turn], fill)


def _ball(brush: Brush) -> None:
    brush.ellipse(0, 0, 0.9, 0.9)
    brush.shape([(-0.9, 0), (-0.3, -0.2), (0.3, -0.2), (0.9, 0)], closed=False)
    brush.shape([(-0.6, 0.62), (0, 0.4), (0.6, 0.62)], closed=False)


def _star(brush: Brush) -> None:
    brush.shape(
        [
            (r * math.sin(k * math.pi / 5), -r * math.cos(k * math.pi / 5))
            for k in range(10)
            for r in ((1.05 if k % 2 == 0 else 0.45),)
        ]
    )


def _house(brush: Brush) -> None:
    brush.shape([(-0.75, -0.1), (0.75, -0.1), (0.75, 0.9), (-0.75, 0.9)])
    brush.shape([(-1, -0.1), (0, -1), (1, -0.1)])
    brush.shape([(-0.2, 0.3), (0.2, 0.3), (0.2, 0.9), (-0.2, 0.9)], brush.DETAIL)


def _fish(brush: Brush) -> None:
    brush.shape([(0.45, 0), (1.05, -0.5), (1.05, 0.5)])
    brush.ellipse(-0.2, 0, 0.8, 0.5)
    brush.ellipse(-0.6, -0.1, 0.1, 0.1, brush.DETAIL)


def _tree(brush: Brush) -> None:
    brush.shape([(-0.15, 0.4), (0.15, 0.4), (0.15, 1), (-0.15, 1)], (130, 90, 50))
    brush.shape([(-0.8, 0.5), (0, -0.35), (0.8, 0.5)])
    brush.shape([(-0.6, -0.05), (0, -1), (0.6, -0.05)])


def _cup(brush: Brush) -> None:
    brush.ellipse(0.68, 0.05, 0.35, 0.4)
    brush.ellipse(0.68, 0.05, 0.16, 0.2, brush.DETAIL)
    brush.shape([(-0.8, -0.7), (0.65, -0.7), (0.45, 0.85), (-0.6, 0.85)])
    brush.ellipse(-0.07, -0.7, 0.72, 0.16, brush.DETAIL)


def _car(brush: Brush) -> None:
    brush.shape([(-0.5, -0.1), (-0.3, -0.6), (0.4, -0.6), (0.65, -0.1)], brush.DETAIL)
    brush.shape([(-1, -0.1), (1, -0.1), (1, 0.45), (-1, 0.45)])
    brush.ellipse(-0.55, 0.5, 0.25, 0.25, (70, 70, 76))
    brush.ellipse(0.55, 0.5, 0.25, 0.25, (70, 70, 76))


def _boat(brush: Brush) -> None:
    brush.shape([(-0.04, -1), (0.04, -1), (0.04, 0.3), (-0.04, 0.3)], (130, 90, 50))
    brush.shape([(0.1, -0.95), (0.8, 0.15), (0.1, 0.15)], brush.DETAIL)
    brush.shape([(-1, 0.3), (1, 0.3), (0.6, 0.85), (-0.6, 0.85)])


TOY_SHAPES = {
    "ball": _ball,
    "star": _star,
    "house": _house,
    "fish": _fish,
    "tree": _tree,
    "cup": _cup,
    "car": _car,
    "boat": _boat,
}
