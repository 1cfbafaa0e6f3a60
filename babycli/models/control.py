"""Control models, which ignore what a picture shows: a number must be compared with theirs.

    control:constant        the same score for everything: every choice is a tie
    control:random?seed=N   a score drawn for each image and text
    control:length          the longest text wins, whatever the image

Owns their answers. Never imports torch. If one of them does better than chance on a task, the task's labels or wording
give answers away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qsl

from PIL.Image import Image

from babycli.domain import Context, Similarity, Text
from babycli.errors import UsageError
from babycli.models.base import Abilities, Family, Features, Model, ModelInfo, ModelSpec, Outline, Pictures, Tokens
from babycli.models.parts.pictures import picture_digest
from babycli.models.parts.prompts import filled, prompt_text
from babycli.wording import did_you_mean, whole_number

PREFIX = "control:"
KINDS = ("constant", "random", "length")
ABILITIES = Abilities(scores=("similarity",), writes=True, max_images=None, max_turns=None)
CAPTION = "look at that ."  # the caption of any picture, in words that are common in speech to children
WORDS = ("look", "at", "that", "the", "a", "you", "is", "it", "this", "what", "there", "see", "and", "to", "do", ".")


@dataclass(frozen=True, slots=True)
class Control:
    """A kind of control, with the seed of the random one."""

    kind: str
    seed: int


class ControlModel(Model):
    """A control as a model; the features of a picture are the digest of its pixels. See babycli.models.base."""

    def __init__(self, control: Control, info: ModelInfo) -> None:
        self._control = control
        self.info = info

    def render(self, context: Context) -> str:
        return _all_words(context)

    def preprocess(self, image: Image) -> bytes:
        return picture_digest(image)

    def encode(self, pixels: Sequence[bytes]) -> list[Features]:
        return [Features(digest, digest) for digest in pixels]

    def tokenize(self, context: Context, answer: str) -> Tokens:
        ids = tuple(filled(_all_words(context), answer).encode())
        return Tokens(ids, len(ids), 0)

    def similarity(self, pictures: Sequence[Pictures], tokens: Sequence[Tokens]) -> list[Similarity]:
        return [Similarity(self._score(_seen(row), bytes(t.ids))) for row, t in zip(pictures, tokens, strict=True)]

    def _score(self, image: bytes, text: bytes) -> float:
        match self._control.kind:
            case "constant":
                return 0.0
            case "length":
                return float(len(text.decode()))
            case _:
                return self._random(image, text).random()

    def read(self, context: Context, max_new_tokens: int) -> Tokens:
        return Tokens(tuple(_all_words(context).encode()), 0, 0)

    def generate(
        self, pictures: Sequence[Pictures], tokens: Sequence[Tokens], max_new_tokens: int, keeps: bool = False
    ) -> list[Text]:
        if self._control.kind != "random":
            return [Text(CAPTION, (), True) for _ in tokens]
        draws = (self._random(_seen(row), bytes(t.ids)) for row, t in zip(pictures, tokens, strict=True))
        return [Text(" ".join(draw.choices(WORDS, k=5)), (), True) for draw in draws]

    def _random(self, image: bytes, text: bytes) -> Random:
        """Makes random numbers from seed, image and text alone, so that neither order nor batch matters."""
        return Random(sha256(b"%d\0%s\0%s" % (self._control.seed, image, text)).digest())


def _all_words(context: Context) -> str:
    """Gives all words of a context, a line for each turn."""
    return "\n".join(prompt_text(Context((turn,))) for turn in context.turns)


def _seen(pictures: Pictures) -> bytes:
    return b"".join(features.digest for features in pictures)


def load(spec: ModelSpec, place: Path) -> ControlModel:
    control = parse(spec.source, spec.args)
    info = ModelInfo(
        family="control",
        source=spec.source,
        fingerprint=sha256(f"babycli control 1: {control.kind} {control.seed}".encode()).hexdigest(),
        n_parameters=0,
        dtype=spec.dtype,
        device=spec.device,
        template="none",
        abilities=ABILITIES,
        notes=("a control: it does not know what is in the image",),
    )
    return ControlModel(control, info)


def outline(spec: ModelSpec, place: Path) -> Outline:
    parse(spec.source, spec.args)
    return Outline("control", (), None, "none", ABILITIES, _all_words)


def parse(source: str, args: Mapping[str, Any]) -> Control:
    """Reads ``control:random?seed=3``, or the seed from ``--model-args seed=3``. Raises UsageError."""
    kind, _, query = source.removeprefix(PREFIX).partition("?")
    if kind not in KINDS:
        raise UsageError(
            f"there is no control {kind!r}.{did_you_mean(kind, list(KINDS))}",
            f"one of: {', '.join(PREFIX + name for name in KINDS)}",
        )
    given = dict(parse_qsl(query, keep_blank_values=True)) | dict(args)
    typed = given.pop("seed", "0")
    seed = whole_number(typed)
    if given or (query and not query.startswith("seed=")) or (kind != "random" and "seed" in query):
        raise UsageError(f"cannot read {source!r}", f"write  {PREFIX}{kind}" + ("?seed=N" if kind == "random" else ""))
    if seed is None:
        raise UsageError(
            f"the seed of {source!r} must be a whole number, not {typed!r:.40}", f"write  {PREFIX}random?seed=1"
        )
    return Control(kind, seed)


FAMILY = Family(
    name="control",
    summary="controls that ignore the image: control:constant, control:random?seed=N, control:length (longest text)",
    abilities=ABILITIES,
    arguments={"seed": "of control:random"},
    recognises=lambda folder, config: False,
    load=load,
    outline=outline,
    claims=lambda name: name.startswith(PREFIX),
    has_checkpoints=False,
)
