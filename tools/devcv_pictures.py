"""Draws the pictures of the demo's DevCV set: toys on a ground, alone, in a crowd, at a side, or on their way out.

Owns what such a picture shows. Never writes a file and knows no task: devcv_items.py asks about the pictures.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from demo_pictures import COLOURS, GROUNDS, SCALE, SIZE, TOY_SHAPES, TOYS, Brush, shade
from PIL import Image, ImageDraw

N_CELLS = 4  # a crowd stands on a grid of 4 x 4 cells, a toy in each, none hidden by another
MOST = 12  # toys in a crowd: the largest number that counting asks for
DIRECTIONS = {
    "top": (0, -1),
    "bottom": (0, 1),
    "left": (-1, 0),
    "right": (1, 0),
    "top right": (1, -1),
    "top left": (-1, -1),
    "bottom right": (1, 1),
    "bottom left": (-1, 1),
}
QUADRANTS = ("top left", "top right", "bottom left", "bottom right")  # as the letters of localization have them


@dataclass(frozen=True, slots=True)
class Toy:
    """A toy in a picture; places and sizes are shares of the picture's edge."""

    kind: str
    colour: str
    x: float
    y: float
    radius: float
    tilt: float = 0.0


@dataclass(frozen=True, slots=True)
class View:
    """What a picture shows; with the same seed, the same pixels."""

    ground: str
    toys: tuple[Toy, ...]
    seed: str  # of shades and pebbles
    mirrored: bool = False
    upside_down: bool = False


def draw(view: View) -> Image.Image:
    """Draws a view as a (64, 64) RGB picture."""
    rng = random.Random(view.seed)
    full = SIZE * SCALE
    ground = shade(GROUNDS[view.ground], rng, 10)
    image = Image.new("RGB", (full, full), ground)
    pen = ImageDraw.Draw(image)
    for _ in range(rng.randint(2, 5)):
        x, y, radius = rng.uniform(0, full), rng.uniform(0, full), rng.uniform(3, 8)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=shade(ground, rng, 25))
    for toy in view.toys:
        centre = (toy.x * full, toy.y * full)
        brush = Brush(pen, centre, toy.radius * full, toy.tilt, shade(COLOURS[toy.colour], rng, 14))
        TOY_SHAPES[toy.kind](brush)
    if view.mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if view.upside_down:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def any_toy(rng: random.Random) -> str:
    return rng.choice(TOYS)


def any_colour(rng: random.Random) -> str:
    return rng.choice(list(COLOURS))


def any_ground(rng: random.Random) -> str:
    return rng.choice(list(GROUNDS))


def portrait(kind: str, colour: str, rng: random.Random, seed: str) -> View:
    """A toy alone, large, near the middle."""
    place = (rng.uniform(0.42, 0.58), rng.uniform(0.42, 0.58))
    return View(any_ground(rng), (Toy(kind, colour, *place, rng.uniform(0.28, 0.34), rng.uniform(-0.15, 0.15)),), seed)


def crowd(kinds: list[str], rng: random.Random, seed: str) -> View:
    """Small toys of these kinds, one each, in different cells of a grid."""
    cells = rng.sample([(row, column) for row in range(N_CELLS) for column in range(N_CELLS)], len(kinds))
    colour = any_colour(rng)
    toys = [
        Toy(
            kind,
            colour,
            (column + 0.5 + rng.uniform(-0.1, 0.1)) / N_CELLS,
            (row + 0.5 + rng.uniform(-0.1, 0.1)) / N_CELLS,
            rng.uniform(0.095, 0.11),
        )
        for kind, (row, column) in zip(kinds, cells, strict=True)
    ]
    return View(any_ground(rng), tuple(toys), seed)


def at_quadrant(kind: str, quadrant: int, rng: random.Random, seed: str) -> View:
    """A toy in one of the four quadrants, and another kind of toy in one of the other three."""
    other = rng.choice([k for k in range(4) if k != quadrant])
    other_kind = rng.choice([k for k in TOYS if k != kind])
    toys = [
        Toy(
            which,
            any_colour(rng),
            0.25 + 0.5 * (place % 2) + rng.uniform(-0.06, 0.06),
            0.25 + 0.5 * (place // 2) + rng.uniform(-0.06, 0.06),
            rng.uniform(0.15, 0.19),
        )
        for which, place in ((kind, quadrant), (other_kind, other))
    ]
    return View(any_ground(rng), tuple(toys), seed)


def at_side(rng: random.Random, seed: str) -> View:
    """A toy away from both middle lines, so that no mirror leaves the picture as it was."""
    x, y = (rng.choice((0.3, 0.7)) + rng.uniform(-0.04, 0.04) for _ in range(2))
    toy = Toy(any_toy(rng), any_colour(rng), x, y, rng.uniform(0.2, 0.26), rng.uniform(-0.3, 0.3))
    return View(any_ground(rng), (toy,), seed)


def walk(kind: str, direction: str, n_frames: int, rng: random.Random, seed: str) -> list[View]:
    """The frames in which a toy goes from the middle to an edge or a corner, and half out."""
    start_x, start_y = (0.5 + rng.uniform(-0.08, 0.08) for _ in range(2))
    to_x, to_y = DIRECTIONS[direction]
    drift = rng.uniform(-0.06, 0.06)
    end_x = 0.5 + 0.5 * to_x if to_x else start_x + drift
    end_y = 0.5 + 0.5 * to_y if to_y else start_y + drift
    toy = Toy(kind, any_colour(rng), start_x, start_y, rng.uniform(0.16, 0.22))
    ground = any_ground(rng)
    frames = []
    for k in range(n_frames):
        share = k / (n_frames - 1)
        moved = replace(toy, x=start_x + share * (end_x - start_x), y=start_y + share * (end_y - start_y))
        frames.append(View(ground, (moved,), seed))  # the same pebbles and shades in all
    return frames
