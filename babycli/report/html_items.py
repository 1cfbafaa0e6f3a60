"""The items of a page: what each model gave for them, with small pictures where a reader may see those.

Owns what stands where, and which pictures are read. Never writes markup: page.html.j2 does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from babycli.domain import ImageRef
from babycli.report.html_images import MAX_PICTURES, Images, Picture
from babycli.report.item_sheets import RIGHT, ItemList, right_word, said_text, score_text, value_text
from babycli.report.items import Round, ShownItem
from babycli.report.runs import Run

_UNNAMED = Picture("", 0, 0, "the log does not name it")
PictureKey = tuple[str, ImageRef]  # task, and its picture


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture of an item."""

    image: str
    picture: Picture
    picture_id: str  # of its one copy in the page; empty where there is none


@dataclass(frozen=True, slots=True)
class CandidateLine:
    text: str
    picture: Shown | None
    is_right: bool
    scores: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SaidLine:
    who: str
    text: str


@dataclass(frozen=True, slots=True)
class RoundPart:
    question: str
    right: str
    candidates: tuple[CandidateLine, ...]
    said: tuple[SaidLine, ...]


@dataclass(frozen=True, slots=True)
class ItemLine:
    trial_id: str
    values: tuple[str, ...]
    texts: tuple[str, ...]
    pictures: tuple[Shown, ...]  # besides those of candidates
    rounds: tuple[RoundPart, ...]


@dataclass(frozen=True, slots=True)
class Items:
    """One list of items."""

    title: str
    names: tuple[str, ...]  # of the models, where there are two: "A: lab/model"
    heads: tuple[str, ...]
    fields: tuple[str, ...]
    lines: tuple[ItemLine, ...]
    right: str = RIGHT


@dataclass(frozen=True, slots=True)
class Pictures:
    """All pictures of a page, each once however often it is shown."""

    by_key: Mapping[PictureKey, Picture]
    ids: Mapping[PictureKey, str]
    remarks: tuple[str, ...]  # that pictures have changed since a run

    def of(self, task: str, image: ImageRef) -> Shown:
        return Shown(image.name, self.by_key.get((task, image), _UNNAMED), self.ids.get((task, image), ""))


def read_pictures(lists: Sequence[ItemList], images: Images) -> Pictures:
    """Reads the pictures of all items by task and reference."""
    wanted: dict[str, list[ImageRef]] = {}
    runs: dict[str, list[Run]] = {}
    for listed in lists:
        wanted.setdefault(listed.task, []).extend(image for item in listed.items for image in item.images)
        runs.setdefault(listed.task, []).extend(run for row in listed.rows if (run := row.run_of(listed.task)))
    found: dict[PictureKey, Picture] = {}
    remarks: list[str] = []
    for task, of_task in wanted.items():
        changes = images.changes(task, list(dict.fromkeys(runs[task])))
        remarks += [changed.words for changed in changes]
        left = MAX_PICTURES - sum(bool(picture.uri) for picture in found.values())
        found |= {(task, image): picture for image, picture in images.pictures(task, of_task, left, changes).items()}
    ids = {key: f"p{i}" for i, (key, picture) in enumerate(found.items()) if picture.uri}
    return Pictures(found, ids, tuple(dict.fromkeys(remarks)))


def as_items(listed: ItemList, pictures: Pictures | None) -> Items:
    """Lays out a list; without pictures where there are none to be shown."""
    fields = tuple(dict.fromkeys(field for item in listed.items for field in item.about))
    two = len(listed.rows) > 1
    return Items(
        title=listed.title,
        names=tuple(f"{h}: {row.label}" for h, row in zip(listed.heads, listed.rows, strict=True)) if two else (),
        heads=listed.heads,
        fields=tuple(field.replace("_", " ") for field in fields),
        lines=tuple(_line(listed, item, fields, pictures) for item in listed.items),
    )


def _line(listed: ItemList, item: ShownItem, fields: Sequence[str], pictures: Pictures | None) -> ItemLine:
    of_candidates = {candidate.image for of_round in item.rounds for candidate in of_round.candidates}
    others = [image for image in item.images if image not in of_candidates]
    shown = [] if pictures is None else [pictures.of(listed.task, image) for image in others]
    if pictures is not None and not item.images:
        shown = [Shown("", _UNNAMED, "")]
    return ItemLine(
        trial_id=item.trial_id,
        values=tuple(value_text(listed.described, value) for value in item.values),
        texts=tuple(item.about.get(field, "") for field in fields),
        pictures=tuple(shown),
        rounds=tuple(_round(listed, of_round, pictures) for of_round in item.rounds),
    )


def _round(listed: ItemList, of_round: Round, pictures: Pictures | None) -> RoundPart:
    candidates = []
    for i, candidate in enumerate(of_round.candidates):
        image = candidate.image
        picture = None if pictures is None or image is None else pictures.of(listed.task, image)
        scores = tuple(score_text(given, i) for given in of_round.given)
        candidates.append(CandidateLine(candidate.text, picture, candidate.is_right, scores))
    whose = listed.heads if len(listed.rows) > 1 else ("said",)
    said = ((who, said_text(of_round, given)) for who, given in zip(whose, of_round.given, strict=True))
    return RoundPart(
        question=of_round.question,
        right="" if of_round.candidates or not of_round.right else f"{right_word(of_round)}: {of_round.right}",
        candidates=tuple(candidates),
        said=tuple(SaidLine(who, text) for who, text in said if text),
    )
