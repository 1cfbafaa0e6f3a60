"""Control models, which do not look at what a picture shows, or do not read: a number must be compared with theirs.

    control:constant        the same score for everything: every choice is a tie; it writes one caption for all
    control:random?seed=N   a score drawn for each image and text, or each pair of images; it writes words at random
    control:length          the longest text wins, whatever the image; it writes as the constant
    control:letter?pick=A   always the same answer, for label files whose right answers are not balanced
    control:pixels          of pictures, the one nearest to the first in 32 x 32 colours; it reads no word

What they are when answers are letters, numbers or directions:

    chosen    constant: all tie. letter: the answer that is what it picks, else all tie (pick=3 or pick=left chooses a
              number or a direction). pixels: only tasks where pictures alone are compared.
    written   letter: what it picks, and nothing else. constant and length: a caption, so no answer. random: words, so
              no answer but by chance: one of them is "a".

Owns their answers. Never imports torch. If one of them does better than chance on a task, the task's labels, wording or
pictures give answers away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qsl

from PIL import ImageChops, ImageStat
from PIL.Image import Image, Resampling

from babycli.domain import Context, Similarity, Text
from babycli.errors import UsageError
from babycli.models.base import Abilities, Family, Features, Model, ModelInfo, ModelSpec, Outline, Pictures, Tokens
from babycli.models.parts.pictures import picture_digest
from babycli.models.parts.prompts import all_words, filled
from babycli.wording import did_you_mean, whole_number

PREFIX = "control:"
_TALKS = Abilities(scores=("similarity",), writes=True, max_images=None, max_turns=None)
ABILITIES = replace(_TALKS, matches=True)
ABILITIES_OF: Mapping[str, Abilities] = {
    "constant": ABILITIES,
    "random": ABILITIES,
    "length": _TALKS,
    "letter": _TALKS,
    "pixels": Abilities(matches=True),
}
KINDS = tuple(ABILITIES_OF)
_ARGUMENT_OF = {"random": "seed", "letter": "pick"}
_WAY_OF = {"random": "?seed=N", "letter": "?pick=A"}  # to write the argument
_MOST_PICKED = 40  # characters
EDGE = 32  # pixels of the pictures that control:pixels compares
CAPTION = "look at that ."  # the caption of any picture, in words that are common in speech to children
WORDS = ("look", "at", "that", "the", "a", "you", "is", "it", "this", "what", "there", "see", "and", "to", "do", ".")


@dataclass(frozen=True, slots=True)
class Control:
    """A kind of control, with the seed of the random one, and the answer of the one that always gives the same."""

    kind: str
    seed: int = 0
    pick: str = ""


class ControlModel(Model):
    """A control as a model; the features of a picture are the digest of its pixels. See babycli.models.base."""

    def __init__(self, control: Control, info: ModelInfo) -> None:
        self._control = control
        self.info = info

    def render(self, context: Context) -> str:
        return all_words(context)

    def preprocess(self, image: Image) -> bytes:
        return picture_digest(image)

    def encode(self, pixels: Sequence[bytes]) -> list[Features]:
        return [Features(digest, digest) for digest in pixels]

    def tokenize(self, context: Context, answer: str) -> Tokens:
        text = answer if self._control.kind == "letter" else filled(all_words(context), answer)
        ids = tuple(text.encode())
        return Tokens(ids, len(ids), 0)

    def similarity(self, pictures: Sequence[Pictures], tokens: Sequence[Tokens]) -> list[Similarity]:
        return [Similarity(self._score(_seen(row), bytes(t.ids))) for row, t in zip(pictures, tokens, strict=True)]

    def _score(self, image: bytes, text: bytes) -> float:
        match self._control.kind:
            case "constant":
                return 0.0
            case "length":
                return float(len(text.decode()))
            case "letter":
                return float(text.decode().strip().casefold() == self._control.pick.casefold())
            case _:
                return self._random(image, text).random()

    def match(self, pairs: Sequence[Pictures]) -> list[Similarity]:
        # In either order of the two, and apart from all that has a text.
        return [Similarity(self._score(b"".join(sorted(f.digest for f in pair)), b"\0match")) for pair in pairs]

    def read(self, context: Context, max_new_tokens: int) -> Tokens:
        return Tokens(tuple(all_words(context).encode()), 0, 0)

    def generate(
        self, pictures: Sequence[Pictures], tokens: Sequence[Tokens], max_new_tokens: int, keeps: bool = False
    ) -> list[Text]:
        if self._control.kind != "random":
            return [Text(self._control.pick or CAPTION, (), True) for _ in tokens]
        draws = (self._random(_seen(row), bytes(t.ids)) for row, t in zip(pictures, tokens, strict=True))
        return [Text(" ".join(draw.choices(WORDS, k=5)), (), True) for draw in draws]

    def _random(self, image: bytes, text: bytes) -> Random:
        """Makes random numbers from seed, image and text alone, so that neither order nor batch matters."""
        return Random(sha256(b"%d\0%s\0%s" % (self._control.seed, image, text)).digest())


class PixelsModel(Model):
    """The control that compares pictures by their colours: the features of one are 32 x 32 pixels of it.

    A picture is resized to 32 x 32, whatever its shape, by the mean of the area that falls on each pixel (Pillow's
    BOX). Two are as near as minus the mean absolute difference of their 3,072 values of red, green and blue, which are
    whole numbers from 0 to 255: 0 for equal ones, -255 for black and white.
    """

    def __init__(self, info: ModelInfo) -> None:
        self.info = info

    def render(self, context: Context) -> str:
        return all_words(context)

    def preprocess(self, image: Image) -> Image:
        return image.resize((EDGE, EDGE), Resampling.BOX)

    def encode(self, pixels: Sequence[Image]) -> list[Features]:
        return [Features(small, picture_digest(small)) for small in pixels]

    def match(self, pairs: Sequence[Pictures]) -> list[Similarity]:
        return [Similarity(-_difference(one.data, other.data)) for one, other in pairs]


def _difference(one: Image, other: Image) -> float:
    """Computes the mean absolute difference of two RGB pictures of one size; sums are of whole numbers, so exact."""
    sums = ImageStat.Stat(ImageChops.difference(one, other)).sum
    return float(sum(sums)) / (3 * one.width * one.height)


def _seen(pictures: Pictures) -> bytes:
    return b"".join(features.digest for features in pictures)


def load(spec: ModelSpec, place: Path) -> ControlModel | PixelsModel:
    control = parse(spec.source, spec.args)
    info = ModelInfo(
        family="control",
        source=spec.source,
        fingerprint=sha256(f"babycli control 1: {control.kind} {control.pick or control.seed}".encode()).hexdigest(),
        n_parameters=0,
        dtype=spec.dtype,
        device=spec.device,
        template="none",
        abilities=ABILITIES_OF[control.kind],
        notes=_notes(control),
    )
    return PixelsModel(info) if control.kind == "pixels" else ControlModel(control, info)


def _notes(control: Control) -> tuple[str, ...]:
    """Tells what it is and, as no model's answer is like it, what its texts are worth."""
    if control.kind == "pixels":
        return ("a control: it compares colours, and does not read",)
    texts = {
        "random": 'it writes words at random: no letter, number or direction is among them, but the word "a"',
        "letter": f"it writes {control.pick!r} and nothing else; it chooses that, and all tie where it is no answer",
    }
    caption = f"it writes {CAPTION!r}, in which no letter, number or direction is an answer"
    return ("a control: it does not know what is in the image", texts.get(control.kind, caption))


def outline(spec: ModelSpec, place: Path) -> Outline:
    control = parse(spec.source, spec.args)
    abilities = ABILITIES_OF[control.kind]
    return Outline("control", (), None, "none", abilities, all_words, notes=_notes(control))


def parse(source: str, args: Mapping[str, Any]) -> Control:
    """Reads ``control:random?seed=3``, or the seed from ``--model-args seed=3``. Raises UsageError."""
    kind, _, query = source.removeprefix(PREFIX).partition("?")
    if kind not in KINDS:
        raise UsageError(
            f"there is no control {kind!r}.{did_you_mean(kind, list(KINDS))}",
            f"one of: {', '.join(PREFIX + name for name in KINDS)}",
        )
    argument = _ARGUMENT_OF.get(kind, "")
    written = dict(parse_qsl(query, keep_blank_values=True))
    given = written | dict(args)
    if (query and not written) or set(given) - {argument}:
        stray = "" if set(written) == set(given) else f" with {', '.join(given)}"
        raise UsageError(f"cannot read {source!r}{stray}", f"write  {PREFIX}{kind}{_WAY_OF.get(kind, '')}")
    match kind:
        case "random":
            return Control(kind, seed=_seed(source, given.get(argument, "0")))
        case "letter":
            return Control(kind, pick=_pick(source, given.get(argument, "A")))
    return Control(kind)


def _seed(source: str, typed: str) -> int:
    seed = whole_number(typed)
    if seed is None:
        raise UsageError(
            f"the seed of {source!r} must be a whole number, not {typed!r:.40}", f"write  {PREFIX}random?seed=1"
        )
    return seed


def _pick(source: str, typed: str) -> str:
    pick = typed.strip()
    if not pick or not pick.isprintable() or len(pick) > _MOST_PICKED:
        raise UsageError(
            f"the pick of {source!r} must be an answer of at most {_MOST_PICKED} characters, not {typed!r:.60}",
            f"write  {PREFIX}letter?pick=B  or, where answers are no letters,  pick=3  or  'pick=top left'",
        )
    return pick


FAMILY = Family(
    name="control",
    summary="controls that do not look (control:constant, :random?seed=N, :length, :letter?pick=A) or read (:pixels)",
    abilities=ABILITIES,
    arguments={
        "seed": "of control:random",
        "pick": "of control:letter: all it writes, and what it chooses where that is an answer; default A",
    },
    recognises=lambda folder, config: False,
    load=load,
    outline=outline,
    claims=lambda name: name.startswith(PREFIX),
    has_checkpoints=False,
    computes_here=False,
)
