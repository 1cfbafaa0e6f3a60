"""A model without weights: its scores come from a function, and it notes what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL.Image import Image

from babycli.domain import Generation, Loglikelihood
from babycli.models.base import Features, ModelInfo, Tokens

INFO = ModelInfo("fake", "fake", "0" * 64, 0, "float32", "cpu", "plain", ("loglikelihood", "generate"))


@dataclass
class FakeModel:
    """Features of a picture are its mean colour; a text's ids are its letters; ``loss`` decides a score."""

    loss: Callable[[Any, str], float]
    info: ModelInfo = INFO
    batches: list[int] = field(default_factory=list)
    encoded: int = 0

    def render(self, prompt: str) -> str:
        return f"<image>\n{prompt}"

    def preprocess(self, image: Image) -> Any:
        return image.resize((1, 1)).getpixel((0, 0))

    def encode(self, pixels: Sequence[Any]) -> list[Features]:
        self.encoded += len(pixels)
        return [Features(pixel, repr(pixel).encode()) for pixel in pixels]

    def tokenize(self, prompt: str, text: str) -> Tokens:
        ids = tuple(map(ord, prompt + text))
        return Tokens(ids, len(text), len(ids))

    def loglikelihood(self, features: Sequence[Features], tokens: Sequence[Tokens]) -> list[Loglikelihood]:
        assert len({t.batch_key for t in tokens}) == 1, "a batch mixes shapes"
        self.batches.append(len(tokens))
        texts = ["".join(map(chr, t.ids)) for t in tokens]
        return [Loglikelihood((-self.loss(f.data, t),), False) for f, t in zip(features, texts, strict=True)]

    def generate(self, features: Sequence[Features], prompt: str, max_new_tokens: int) -> list[Generation]:
        self.batches.append(len(features))
        return [Generation(f"{f.data}"[:max_new_tokens], (), True) for f in features]
