"""Asks about drawn pictures as the DevCV Toolbox asks about photographs: eleven tasks in the published form.

Owns the prompts, the choice of options, and the albums of pictures that items share. Never draws and never writes:
build_demo_data.py and train_devcv_model.py do, from albums of different seeds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from demo_pictures import COLOURS, TOYS
from devcv_pictures import DIRECTIONS, MOST, QUADRANTS, View, at_quadrant, at_side, crowd, portrait, walk

LETTERS = "ABCD"
MORE = "Let's try more. "  # before all turns of memory but the first
FEW = 4  # the largest number that is seen at a glance
OPPOSITES = {
    "top": "bottom",
    "left": "right",
    "top left": "bottom right",
    "top right": "bottom left",
}
OPPOSITES |= {there: here for here, there in OPPOSITES.items()}


@dataclass(frozen=True, slots=True)
class Question:
    """An item: its pictures by name, and what is asked and answered in each turn."""

    pictures: tuple[str, ...]
    turns: tuple[tuple[str, str], ...]
    labels: tuple[tuple[str, ...], ...] = ()  # memory: what each turn shows
    box: tuple[int, ...] = ()  # localization: x, y, width and height of the toy
    clip: str = ""  # leaving the frame: the clip's name, which the item is called after


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many pictures of each kind an album has."""

    portraits: int  # of each toy in each colour
    crowds: int  # of each number
    mixed: int  # crowds of two kinds
    places: int  # of each quadrant
    sides: int  # each in four pictures
    walks: int  # in each direction


@dataclass(slots=True)
class Album:
    """Pictures that items choose from, by what they show. ``views`` has all of them by name."""

    views: dict[str, View] = field(default_factory=dict)
    portraits: dict[tuple[str, str], list[str]] = field(default_factory=dict)  # by kind and colour
    crowds: dict[tuple[str, int], list[str]] = field(default_factory=dict)  # by kind and number
    mixed: list[tuple[str, dict[str, int]]] = field(default_factory=list)  # a picture, and how many of each kind
    places: dict[int, list[str]] = field(default_factory=dict)  # by quadrant
    sides: list[tuple[str, str, str, str]] = field(default_factory=list)  # query, the same, mirrored, upside down
    walks: list[tuple[str, list[str]]] = field(default_factory=list)  # direction, frames


def make_album(seed: str, sizes: Sizes) -> Album:
    """Chooses what the pictures of an album show."""
    rng, album = random.Random(seed), Album()
    numbers = count()

    def add(stem: str, view: View) -> str:
        name = f"images/{stem}_{next(numbers):04}.png"
        album.views[name] = view
        return name

    def own_seed() -> str:
        return f"{seed}:{rng.random()}"

    for kind in TOYS:
        for colour in COLOURS:
            names = [add("toy", portrait(kind, colour, rng, own_seed())) for _ in range(sizes.portraits)]
            album.portraits[kind, colour] = names
    for number in range(1, MOST + 1):
        for k in range(sizes.crowds):
            kind = TOYS[(number + k) % len(TOYS)]
            name = add("crowd", crowd([kind] * number, rng, own_seed()))
            album.crowds.setdefault((kind, number), []).append(name)
    for k in range(sizes.mixed):
        first, second = TOYS[k % len(TOYS)], rng.choice([t for t in TOYS if t != TOYS[k % len(TOYS)]])
        numbers_of = {first: rng.randint(1, 6), second: rng.randint(1, 6)}
        kinds = [kind for kind, number in numbers_of.items() for _ in range(number)]
        album.mixed.append((add("room", crowd(kinds, rng, own_seed())), numbers_of))
    for k in range(4 * sizes.places):
        view = at_quadrant(rng.choice(TOYS), k % 4, rng, own_seed())
        album.places.setdefault(k % 4, []).append(add("place", view))
    for _ in range(sizes.sides):
        query = at_side(rng, own_seed())
        album.sides.append(_four_sides(query, own_seed, add))
    for direction in DIRECTIONS:
        for _ in range(sizes.walks):
            frames = walk(rng.choice(TOYS), direction, rng.randint(5, 8), rng, own_seed())
            album.walks.append((direction, [add("walk", frame) for frame in frames]))
    return album


def _four_sides(query: View, own_seed: Callable[[], str], add: Callable[[str, View], str]) -> tuple[str, str, str, str]:
    """Draws a query, and the same, a mirrored and an upside-down one in other shades."""

    def again(**changes: bool) -> str:
        return add("side", View(query.ground, query.toys, own_seed(), **changes))

    return add("side", query), again(), again(mirrored=True), again(upside_down=True)


def as_letters(n_options: int) -> str:
    return " ".join(f"({letter}) <image>" for letter in LETTERS[:n_options])


# ---------------------------------------------------------------- the eleven tasks; ``n`` is the number of the item


def picture_vocabulary(album: Album, n: int, rng: random.Random) -> Question:
    """Four different toys, one of them named."""
    kinds = rng.sample(TOYS, 4)
    pictures = tuple(rng.choice(album.portraits[kind, rng.choice(list(COLOURS))]) for kind in kinds)
    asked = f"Touch the image of '{kinds[n % 4]}' (A)<image> (B)<image> (C)<image> (D)<image>"
    return Question(pictures, ((asked, LETTERS[n % 4]),))


def localization(album: Album, n: int, rng: random.Random) -> Question:
    """Where a toy is, in a picture with another one elsewhere."""
    quadrant = n % 4
    picture = rng.choice(album.places[quadrant])
    toy = album.views[picture].toys[0]
    places = " or ".join(f"({letter}) {where}" for letter, where in zip(LETTERS, QUADRANTS, strict=True))
    asked = f"<image> Point at the {toy.kind}. Is it in the {places} of the image?"
    edges = (toy.x - toy.radius, toy.y - toy.radius, 2 * toy.radius, 2 * toy.radius)
    return Question((picture,), ((asked, LETTERS[quadrant]),), box=tuple(round(64 * edge) for edge in edges))


def _one_of_three(query: str, right: str, wrong: Sequence[str], asked: str, n: int) -> Question:
    options = [*wrong]
    options.insert(n % 3, right)
    return Question((query, *options), ((asked.format(as_letters(len(options))), LETTERS[n % 3]),))


def left_right(album: Album, n: int, rng: random.Random) -> Question:
    """The same picture among its mirrored and its upside-down one."""
    query, same, *others = album.sides[n % len(album.sides)]
    rng.shuffle(others)
    return _one_of_three(query, same, others, "<image> Which of the following is the same as this? {}", n)


def spatial_details(album: Album, n: int, rng: random.Random) -> Question:
    """The same toy in the same colour, elsewhere, among others of its kind."""
    kind = TOYS[n % len(TOYS)]
    colour, *others = rng.sample(list(COLOURS), 3)
    query, same = rng.sample(album.portraits[kind, colour], 2)
    wrong = [rng.choice(album.portraits[kind, other]) for other in others]
    asked = (
        "<image> Which of the following contains exactly this object? {}. "
        "Pay attention to details and give a letter A-C."
    )
    return _one_of_three(query, same, wrong, asked, n)


def _kind_in(album: Album, picture: str) -> str:
    return album.views[picture].toys[0].kind


def leaving_binary(album: Album, n: int, rng: random.Random) -> Question:
    """Through which of two opposite sides or corners a toy leaves."""
    direction, frames = album.walks[n % len(album.walks)]
    first, second = sorted((direction, OPPOSITES[direction]), reverse=rng.random() < 0.5)
    part = "corner" if " " in direction else "side"
    asked = (
        f"{'<image>' * len(frames)} does the {_kind_in(album, frames[0])} leave the frame through the {first} {part} "
        f"of the frame or the {second} {part} of the frame? respond ONLY with '{first}' or '{second}'."
    )
    return Question(tuple(frames), ((asked, direction),), clip=f"walk_{n % len(album.walks):03}")


def leaving_open(album: Album, n: int, rng: random.Random) -> Question:
    """From which of the eight sides and corners a toy leaves."""
    direction, frames = album.walks[n % len(album.walks)]
    asked = (
        f"{'<image>' * len(frames)} which part of the frame does the {_kind_in(album, frames[0])} leave from? respond "
        "ONLY with one of: 'top', 'bottom', 'left', 'right', 'top right', 'top left', 'bottom right', or 'bottom left'."
    )
    return Question(tuple(frames), ((asked, direction),), clip=f"walk_{n % len(album.walks):03}")


def _plural(kind: str) -> str:
    return {"fish": "fish"}.get(kind, f"{kind}s")


def more_real(album: Album, n: int, rng: random.Random) -> Question:
    """Which of two rooms, where other toys lie too, has more of one kind."""
    while True:
        kind = rng.choice(TOYS)
        several = [(name, numbers[kind]) for name, numbers in album.mixed if kind in numbers]
        pair = rng.sample(several, 2) if len(several) > 1 else []
        if pair and abs(pair[0][1] - pair[1][1]) > 1:
            break
    pair.sort(key=lambda shown: shown[1], reverse=n % 2 == 0)
    asked = f"Which image has more {_plural(kind)}? (A) <image> (B) <image>"
    return Question(tuple(name for name, _ in pair), ((asked, LETTERS[n % 2]),))


def more_synthetic(album: Album, n: int, rng: random.Random) -> Question:
    """Which of two crowds of one kind is larger."""
    while True:
        kind = rng.choice(TOYS)
        numbers = [number for shown, number in album.crowds if shown == kind]
        pair = rng.sample(numbers, 2)
        if abs(pair[0] - pair[1]) > 1:
            break
    pair.sort(reverse=n % 2 == 0)
    asked = f"Which image has more {_plural(kind)}? Answer (A) <image> (B) <image>"
    pictures = tuple(rng.choice(album.crowds[kind, number]) for number in pair)
    return Question(pictures, ((asked, LETTERS[n % 2]),))


def _how_many(album: Album, number: int, rng: random.Random) -> Question:
    kind, picture = rng.choice([(k, name) for (k, n), names in album.crowds.items() if n == number for name in names])
    return Question((picture,), ((f"<image> How many {_plural(kind)} do you see?", str(number)),))


def counting(album: Album, n: int, rng: random.Random) -> Question:
    return _how_many(album, n % MOST + 1, rng)


def subitizing(album: Album, n: int, rng: random.Random) -> Question:
    return _how_many(album, n % FEW + 1, rng)


def memory(album: Album, n: int, rng: random.Random, n_learned: int = 5) -> Question:
    """Which of two toys has not been seen yet: learning turns, then two turns for each toy that was learned.

    With two toys learned, in the order a, b, and c to f new:      a | a b | a c | b d | e a | b f
    """
    toys = rng.sample(list(album.portraits), 3 * n_learned)
    learned, fresh = toys[:n_learned], toys[n_learned:]
    again = [toy for _ in range(2) for toy in rng.sample(learned, n_learned)]
    known = [*zip(learned[1:], learned, strict=False), *zip(fresh, again, strict=True)]  # the new one and the old one
    picture = {toy: rng.choice(album.portraits[toy]) for toy in toys}
    shown: list[tuple[tuple[str, str], ...]] = [(learned[0],)]
    letters = ["A"]
    for new, old in known:
        is_first = rng.random() < 0.5
        shown.append((new, old) if is_first else (old, new))
        letters.append("A" if is_first else "B")
    asked = [
        f"{MORE if n_turn else ''}Touch the new image. {as_letters(len(turn))}" for n_turn, turn in enumerate(shown)
    ]
    return Question(
        tuple(picture[toy] for turn in shown for toy in turn),
        tuple(zip(asked, letters, strict=True)),
        tuple(tuple(f"{colour}_{kind}" for kind, colour in turn) for turn in shown),
    )


Asker = Callable[[Album, int, random.Random], Question]
ASKERS: dict[str, Asker] = {  # by the names of the label files
    "pv": picture_vocabulary,
    "localize": localization,
    "leftright": left_right,
    "spatialdetails": spatial_details,
    "vdr_binary": leaving_binary,
    "vdr_open": leaving_open,
    "compare_real": more_real,
    "compare_synthetic": more_synthetic,
    "count": counting,
    "memory": memory,
    "subitize": subitizing,
}
