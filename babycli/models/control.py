"""Models that do not look, or look at nothing that matters: what a number must be compared with.

    control:constant        the same score for everything: every choice is a tie
    control:random?seed=N   a score drawn for each image and text
    control:length          the longest text wins, whatever the image

Owns what these answer. Never imports torch. A task on which one of them does better than chance tells of its labels,
not of a model.
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

from babycli.domain import Generation, Offer, Similarity
from babycli.errors import UsageError
from babycli.models.base import Family, Features, ModelInfo, ModelSpec, Outline, Tokens
from babycli.models.parts.pictures import picture_digest
from babycli.models.parts.prompts import filled
from babycli.wording import did_you_mean

PREFIX = "control:"
KINDS = ("constant", "random", "length")
OFFERS: tuple[Offer, ...] = ("similarity", "generate")
CAPTION = "look at that ."  # what is said to any picture; in words that speech to children is full of
WORDS = ("look", "at", "that", "the", "a", "you", "is", "it", "this", "what", "there", "see", "and", "to", "do", ".")


@dataclass(frozen=True, slots=True)
class Control:
    """Which control, and the seed of the random one."""

    kind: str
    seed: int


class ControlModel:
    """See babycli.models.base; features of a picture are the digest of its pixels."""

    def __init__(self, control: Control, info: ModelInfo) -> None:
        self._control = control
        self.info = info

    def render(self, prompt: str) -> str:
        return prompt

    def preprocess(self, image: Image) -> bytes:
        return picture_digest(image)

    def encode(self, pixels: Sequence[bytes]) -> list[Features]:
        return [Features(digest, digest) for digest in pixels]

    def tokenize(self, prompt: str, text: str) -> Tokens:
        ids = tuple(filled(prompt, text).encode())
        return Tokens(ids, len(ids), 0)

    def similarity(self, features: Sequence[Features], tokens: Sequence[Tokens]) -> list[Similarity]:
        return [Similarity(self._score(f.digest, bytes(t.ids))) for f, t in zip(features, tokens, strict=True)]

    def _score(self, image: bytes, text: bytes) -> float:
        match self._control.kind:
            case "constant":
                return 0.0
            case "length":
                return float(len(text.decode()))
            case _:
                return self._random(image, text).random()

    def generate(self, features: Sequence[Features], prompt: str, max_new_tokens: int) -> list[Generation]:
        if self._control.kind != "random":
            return [Generation(CAPTION, (), True) for _ in features]
        draws = (self._random(f.digest, prompt.encode()) for f in features)
        return [Generation(" ".join(draw.choices(WORDS, k=5)), (), True) for draw in draws]

    def _random(self, image: bytes, text: bytes) -> Random:
        """Drawn from seed, image and text alone, so that neither order nor batch matters."""
        return Random(sha256(b"%d\0%s\0%s" % (self._control.seed, image, text)).digest())


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
        offers=OFFERS,
        notes=("a control: it does not know what is in the image",),
    )
    return ControlModel(control, info)


def outline(spec: ModelSpec, place: Path) -> Outline:
    parse(spec.source, spec.args)
    return Outline("control", (), None, "none", OFFERS, lambda prompt: prompt)


def parse(source: str, args: Mapping[str, Any]) -> Control:
    """``control:random?seed=3``, or the seed as ``--model-args seed=3``. Raises UsageError."""
    kind, _, query = source.removeprefix(PREFIX).partition("?")
    if kind not in KINDS:
        raise UsageError(
            f"there is no control {kind!r}.{did_you_mean(kind, list(KINDS))}",
            f"one of: {', '.join(PREFIX + name for name in KINDS)}",
        )
    given = dict(parse_qsl(query, keep_blank_values=True)) | dict(args)
    seed = given.pop("seed", "0")
    if given or (query and not query.startswith("seed=")) or (kind != "random" and "seed" in query):
        raise UsageError(f"cannot read {source!r}", f"write  {PREFIX}{kind}" + ("?seed=N" if kind == "random" else ""))
    if not seed.isdecimal():
        raise UsageError(
            f"the seed of {source!r} must be a whole number, not {seed!r}", f"write  {PREFIX}random?seed=1"
        )
    return Control(kind, int(seed))


FAMILY = Family(
    name="control",
    summary="controls that ignore the image: control:constant, control:random?seed=N, control:length (longest text)",
    offers=OFFERS,
    arguments={"seed": "of control:random"},
    recognises=lambda folder, config: False,
    load=load,
    outline=outline,
    claims=lambda name: name.startswith(PREFIX),
    has_checkpoints=False,
)
